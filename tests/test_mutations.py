"""Kernels changed in one place: the emulator must see each change, by an error or in the result."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from emulator import backend as emulated
from emulator import build
from emulator import cupy_stand_in as cupy
from test_emulator import LAUNCH, ORDERS, Library, bits_of

from fastconv import _core, ops, reference
from fastconv.testing import exact_integers, normal

PRODUCT = build.HERE / "kernels" / "product.cu"


def product(library: Library, kind: str, order: str, shape: tuple[int, int, int]) -> str:
    """What is wrong with a product of small integers, "" where nothing is."""
    m, n, k = shape
    rng = np.random.default_rng(5)
    a, b = rng.integers(-8, 9, (m, k)), rng.integers(-8, 9, (k, n))
    arrays = [bits_of(x.astype(np.float32), kind).astype(np.uint16) for x in (a, b)]
    c = np.full((m, n), np.nan, np.float32)
    addresses = [library.allocate(x) for x in (*arrays, c)]
    library.c.emulator_set_order(ORDERS[order], 11)
    run = library.c.run_product
    run.restype = ctypes.c_char_p
    run.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 3, *[ctypes.c_int] * 3, ctypes.c_void_p]
    text = run(kind == "half", *addresses, m, n, k, None)
    c = library.fetch(addresses[2], c)
    damage = [library.release(address) for address in addresses]
    if text is not None:
        return text.decode()
    return "" if (c == a @ b).all() and damage == [None] * 3 else "a wrong result"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(64, 64, 32), (70, 88, 200), (5, 8, 8), (64, 64, 64)])
@pytest.mark.parametrize("kind", ["bfloat16", "half"])
def test_product(kind, shape, order):
    library = Library(build.build_library([PRODUCT, LAUNCH]))
    assert product(library, kind, order, shape) == ""


MUTATIONS = {
    "a wait for one group too few": (
        "cp_async_wait<kStages - 2>();",
        "cp_async_wait<kStages - 1>();",
        "before the cp.async of thread",
    ),
    "no barrier": ("    __syncthreads();   // the stage", "    // the stage", "between"),
    "a barrier before the wait": (
        "cp_async_wait<kStages - 2>();\n    __syncthreads();",
        "__syncthreads();\n    cp_async_wait<kStages - 2>();",
        "cp.async",
    ),
    "a barrier that one warp leaves out": (
        "    __syncthreads();   //",
        "    if (warp != 3 || step != 1) __syncthreads();   //",
        "",
    ),
    "a group that is not committed": (
        "fetch(step + kStages - 1);\n    cp_async_commit();",
        "fetch(step + kStages - 1);",
        "before the cp.async of thread",
    ),
    "a stage too few": (
        "stages[step % kStages];\n    for (int i",
        "stages[step % 2];\n    for (int i",
        "",
    ),
    "halves of a's fragment swapped": (
        "depth / 8 + lane / 16",
        "depth / 8 + 1 - lane / 16",
        "wrong result",
    ),
    "registers of b's fragment swapped": (
        "{fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]}",
        "{fb[j / 2][j % 2 * 2 + 1], fb[j / 2][j % 2 * 2]}",
        "wrong result",
    ),
    "b not transposed": ("ldmatrix<4, true>", "ldmatrix<4, false>", "wrong result"),
    "rows of the result swapped": ("lane / 4 + e / 2 * 8", "lane / 4 + e % 2 * 8", "wrong result"),
    "tiles read as they were not written": (
        "stage.b + place_b(depth + lane % 16, warp_column / 8 + j * 2 + lane / 16)",
        "stage.b + (depth + lane % 16) * kColumns + warp_column + j * 16 + lane / 16 * 8",
        "wrong result",
    ),
    "no zeros behind the last row": (
        "inside ? b + from_row * n + from : b, inside ? 16 : 0",
        "b + from_row * n + from, 16",
        "of an allocation of",
    ),
    "one row too many written": (
        "if (row < m && column",
        "if (row <= m && column",
        "of an allocation of",
    ),
    "an element too far": (
        "place_a(row, eight), inside",
        "place_a(row, eight) + 1, inside",
        "not a multiple",
    ),
    "too little shared memory": (
        "kStages * sizeof(Stage<T>)",
        "2 * sizeof(Stage<T>)",
        "shared memory",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_change_for_the_worse_is_seen(name):
    """In every order of lanes and blocks, not by luck in one of them."""
    old, new, expected = MUTATIONS[name]
    changes = {"tests/emulator/kernels/product.cu": (old, new)}
    library = Library(build.build_library([PRODUCT, LAUNCH], changes))
    for order in ORDERS:
        text = product(library, "bfloat16", order, (70, 88, 200))
        assert text != "" and expected in text, order


LOOP, TILE = "csrc/cuda/tiled/tile.cuh", "csrc/cuda/tiled/tensor_core_tile.cuh"
CONVOLUTION = {
    "no barrier": (LOOP, "    __syncthreads();   // stage i is", "    // stage i is", "between"),
    "a wait for one group too few": (
        LOOP,
        "cp_async_wait<Tile::stages - 2>();",
        "cp_async_wait<Tile::stages - 1>();",
        "before the cp.async of thread",
    ),
    "halves of a's fragment swapped": (
        TILE,
        "(step << 1) | (lane >> 4)));",
        "(step << 1) | (1 - (lane >> 4))));",
        None,
    ),
    "registers of b's fragment swapped": (
        TILE,
        "left[2] = {b[0], b[1]}",
        "left[2] = {b[1], b[0]}",
        None,
    ),
}


@pytest.mark.parametrize("name", CONVOLUTION)
def test_a_change_of_the_convolution_is_seen(name):
    """In what every tensor-core kernel is made of. None: by a wrong result."""
    file, old, new, expected = CONVOLUTION[name]
    changed = build.build_library(None, {file: (old, new)}, within="correlation_half.cu")
    emulated.register(emulated.load(changed))
    try:
        x, w = (exact_integers(shape, 1) for shape in ((2, 32, 8, 9), (40, 32, 3, 3)))
        arrays = [cupy.asarray(array.astype(np.float16)) for array in (x, w)]
        if expected is None:
            y = ops.conv2d(*arrays, padding=1).get()
            assert not np.array_equal(y, reference.conv2d(x, w, padding=1).astype(np.float16))
        else:
            with pytest.raises(RuntimeError, match=f"conv2d: CUDA error: .*{expected}"):
                ops.conv2d(*arrays, padding=1)
    finally:
        _core.register_cuda_backend(None)


ELEMENTWISE = {
    "vectors behind the end": (
        "    if (i + N <= count) {\n      Vector<T, N> v",
        "    if (i < count) {\n      Vector<T, N> v",
        r"byte \d+ of an allocation of 4100 bytes",
    ),
    "vectors at any address": (
        "vectors = is_aligned(x.data, 16) && is_aligned(y.data, 16);",
        "vectors = is_aligned(x.data, 4);",
        "is not a multiple of 16, which its type needs",
    ),
    "an array of the host": (
        "x.as<const T>(), y.as<T>()",
        "(const T*)&x, y.as<T>()",
        "not in the device",
    ),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_change_of_the_librarys_own_kernels_is_seen(name):
    old, new, expected = ELEMENTWISE[name]
    changes = {"csrc/cuda/elementwise.cuh": (old, new)}
    changed = build.build_library(substitutions=changes, within="activation.cu")
    emulated.register(emulated.load(changed))
    try:
        x = cupy.asarray(normal((1025,), 1))
        with pytest.raises(RuntimeError, match=f"relu: CUDA error: .*{expected}"):
            ops.relu(x[1:] if "any address" in name else x)
    finally:
        _core.register_cuda_backend(None)
