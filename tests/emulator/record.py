"""Records what a device answers (golden.py): python -m emulator.record LIBRARY FILE

LIBRARY: kernels/primitives.cu and csrc/cuda/launch.cpp, compiled by nvcc. Needs CuPy and a device.
"""

from __future__ import annotations

import ctypes
import sys

import numpy as np
from emulator.golden import record


def on_a_device(library: ctypes.CDLL, name: str, *arrays: np.ndarray) -> np.ndarray:
    import cupy

    there = [cupy.asarray(array) for array in arrays]
    run = library.run_primitive
    run.restype, run.argtypes = ctypes.c_char_p, [ctypes.c_char_p, *[ctypes.c_void_p] * 4]
    stream = cupy.cuda.get_current_stream()
    error = run(name.encode(), *(array.data.ptr for array in there), stream.ptr)
    if error is not None:
        raise RuntimeError(error.decode())
    return there[-1].get()


def main(path: str, file: str) -> None:
    library = ctypes.CDLL(path)
    np.savez_compressed(file, **record(lambda *call: on_a_device(library, *call)))


if __name__ == "__main__":
    main(*sys.argv[1:])
