"""The `fastconv` command.

Exit codes: 0, 1 for a failure with one line on standard error, 2 for wrong usage, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from fastconv.cli.arguments import make_parser

FAILURES = (OSError, ValueError, TypeError, ImportError, RuntimeError, MemoryError, ArithmeticError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.command == "train" and args.resume and not args.output:
        parser.error("train: --resume needs --output DIR, the run to go on with")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _guarded(args)


def _guarded(args: argparse.Namespace) -> int:
    try:
        return args.function(args)
    except BrokenPipeError:
        # The reader of our output left; what Python still holds goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except FAILURES as error:
        return _fail(args.command, _text(error), 1)
    except KeyboardInterrupt as error:
        return _fail(args.command, "; ".join(["interrupted", *map(str, error.args)]), 130)


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _fail(command: str, text: str, code: int) -> int:
    print(f"fastconv {command}: {' '.join(text.split())}", file=sys.stderr)
    return code


def _show_warning(message: Any, *_: Any, **__: Any) -> None:
    print(f"fastconv: warning: {message}", file=sys.stderr)
