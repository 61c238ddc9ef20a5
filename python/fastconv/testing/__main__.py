"""Checks descriptors against the reference: `python -m fastconv.testing n2c3h8k4r3p1`."""

from __future__ import annotations

import argparse
import sys

from fastconv import ops
from fastconv.testing import LAYOUTS, check, passes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fastconv.testing", description=__doc__)
    parser.add_argument("descriptor", nargs="+")
    parser.add_argument("--pass", dest="pass_name", help="one pass (default: every one)")
    parser.add_argument("--layout", choices=LAYOUTS, help="how inputs lie (default: every way)")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    failures = 0
    for descriptor in args.descriptor:
        for pass_name in [args.pass_name] if args.pass_name else passes(descriptor):
            for layout in [args.layout] if args.layout else LAYOUTS:
                case = (descriptor, pass_name, layout, args.dtype, args.seed)
                try:
                    check(ops, *case)
                    print("ok    ", *case)
                except AssertionError as error:
                    failures += 1
                    print("WRONG ", *case, f"\n{error}")
    print(f"{failures} wrong" if failures else "all exact")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
