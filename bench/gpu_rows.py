"""Kernels and networks on a GPU beside PyTorch (cuDNN), in turn, timed by CUDA events.

    python bench/gpu_rows.py kernels [--json FILE] [--only CLASS ...]
    python bench/gpu_rows.py networks [--json FILE]

Both sides channels-last, of the same dtype, on the same stream; cuDNN may choose its algorithm
(``benchmark``); float32 rows without TF32 on either side, tf32 rows with it on both. Every call
takes other arrays than the one before, so many that together they do not fit the L2 cache.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import Any, NamedTuple

from gpu_calls import Arrays, copies, event_times, our_call, peer_call, shapes_of

import fastconv as fc
from fastconv import ops
from fastconv.testing import parse_descriptor

HALVES = ("bfloat16", "float16")

# Problems of each class, and the dtypes that it is measured in.
CLASSES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "3x3": (
        (
            *("n64c64h56k64r3p1", "n64c128h28k128r3p1", "n64c256h14k256r3p1"),
            *("n64c512h7k512r3p1", "n16c256h56k256r3p1", "n64c128h56k128r3sh2p1"),
        ),
        ("float32", "tf32", *HALVES),
    ),
    "1x1": (
        ("n64c64h56k256r1", "n64c256h56k64r1", "n64c512h28k128r1", "n64c1024h14k256r1"),
        ("float32", *HALVES),
    ),
    "first": (
        ("n64c3h224k64r7sh2p3", "n64c3h224k32r3sh2p1", "n256c1h28k6r5p2", "n256c3h32k16r5p2"),
        ("float32", "bfloat16"),
    ),
    "depthwise": (
        ("n64g64c64h112k64r3sh2p1", "n64g256c256h28k256r3p1", "n64g512c512h14k512r3p1"),
        ("float32", "bfloat16"),
    ),
    "linear": (
        ("linear:n256i4096o4096", "linear:n128i9216o4096", "linear:n8192i1024o1024"),
        ("float32", *HALVES),
    ),
    "pool": (("pool:n64c64h112r3sh2p1", "pool:n64c64h224r2"), ("float32", "bfloat16")),
}
# Operations that move memory above all: the shape, further arguments (PyTorch's are the same).
MOVED: dict[str, tuple[Any, ...]] = {
    "relu": ((1 << 26,),),
    "gelu": ((1 << 26,),),
    "layer_norm": ((1 << 16, 1 << 10), (1 << 10,)),
    "group_norm": ((64, 64, 128, 128), 32),
    "local_response_norm": ((64, 64, 128, 128), 5),
}
PASSES = ("forward", "backward_input", "backward_weight")


class Row(NamedTuple):
    kind: str
    descriptor: str
    pass_name: str
    dtype: str


def rows(only: list[str]) -> Iterator[Row]:
    for kind, (descriptors, dtypes) in CLASSES.items():
        if only and kind not in only:
            continue
        for descriptor in descriptors:
            for dtype in dtypes:
                passes = PASSES[:2] if kind == "pool" else PASSES
                extra = ("fused",) if kind in ("3x3", "1x1") else ()
                for pass_name in (*passes, *extra):
                    yield Row(kind, descriptor, pass_name, dtype)


def set_precision(dtype: str) -> None:
    import torch

    fast = dtype == "tf32"
    fc.set_float32_precision("tf32" if fast else "highest")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = fast
    torch.backends.cudnn.benchmark = True


def measure(row: Row, bandwidth: float) -> dict[str, Any]:
    import torch

    problem = parse_descriptor(row.descriptor)
    set_precision(row.dtype)
    itemsize = 2 if row.dtype in HALVES else 4
    shapes = shapes_of(problem)
    sets = [Arrays(shapes, row.dtype, 10 * i) for i in range(copies(problem, itemsize))]
    with torch.inference_mode():
        ours = [our_call(row, problem, s.arrays) for s in sets]
        peers = [peer_call(row, problem, s.tensors) for s in sets]
        times = event_times([ours, peers])
    moved = sum(math.prod(shape) for shape in shapes[:2]) * itemsize
    if row.kind == "pool":
        moved += 8 * math.prod(shapes[1])  # indices
    return {
        **row._asdict(),
        "seconds": times[0],
        "peer_seconds": times[1],
        "ratio": times[1] / times[0],
        "tflops": problem.flops / times[0] / 1e12,
        "share_of_bandwidth": moved / times[0] / bandwidth,
    }


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of a copy that no cache holds."""
    import torch

    source = torch.randn(1 << 28, device="cuda")
    target = torch.empty_like(source)
    (seconds,) = event_times([[lambda: target.copy_(source)]])
    return 2 * source.numel() * 4 / seconds


def elementwise(bandwidth: float) -> Iterator[dict[str, Any]]:
    import cupy
    import torch

    for name, dtype in product(MOVED, ("float32", "bfloat16")):
        shape, *settings = MOVED[name]
        kind = getattr(torch, dtype)
        tensors = [torch.randn(shape, device="cuda", dtype=kind) for _ in "ab"]
        arrays = [cupy.from_dlpack(tensor) for tensor in tensors]
        ours = [partial(getattr(ops, name), array, *settings) for array in arrays]
        peers = [partial(getattr(torch.nn.functional, name), t, *settings) for t in tensors]
        times = event_times([ours, peers])
        moved = 2 * tensors[0].numel() * tensors[0].element_size()
        key = Row("elementwise", name, "forward", dtype)._asdict()
        share = moved / times[0] / bandwidth
        yield {
            **key,
            **{"seconds": times[0], "peer_seconds": times[1], "ratio": times[1] / times[0]},
            **{"tflops": 0.0, "share_of_bandwidth": share},
        }


def kernels(only: list[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    bandwidth = copy_bandwidth()
    print(f"# copy bandwidth {bandwidth / 1e12:.2f} TB/s")
    done = []
    layers = (measure(row, bandwidth) for row in rows(only))
    for found in chain(layers, elementwise(bandwidth) if not only or "elementwise" in only else ()):
        done.append(found)
        print(
            f"{found['kind']:<11} {found['descriptor']:<26} {found['pass_name']:<16} "
            f"{found['dtype']:<9} {1e6 * found['seconds']:9.1f} us {found['tflops']:7.1f} TFLOP/s "
            f"{found['ratio']:6.2f}",
            flush=True,
        )
    return {"copy_bandwidth": bandwidth}, done


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("kernels", "networks"))
    parser.add_argument("--only", nargs="+", choices=(*CLASSES, "elementwise"), default=[])
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.what == "networks":
        from gpu_networks import networks

        header, found = networks()
    else:
        header, found = kernels(args.only)
    if args.json:
        content = {"header": header, "rows": found}
        args.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
