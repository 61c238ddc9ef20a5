"""Convolution and linear layers of float32 and float64 as tiled products, emulated."""

from __future__ import annotations

import ctypes
import itertools
import shutil

import numpy as np
import pytest
from emulator import backend as emulated_library
from emulator import build
from emulator.backend import EmulatedOps, library

from fastconv import _core
from fastconv.testing import (
    arrays_of,
    check,
    expected_results,
    lay_out,
    normal,
    parse_descriptor,
    run,
)

if shutil.which("g++") is None:
    pytest.skip("the emulator needs g++", allow_module_level=True)

PASSES = ("forward", "backward_input", "backward_weight")
DTYPES = ("float32", "float64")
emulated = EmulatedOps()

# Beside the corners of test_conv.py and test_linear.py, which run on these kernels too.
CORNERS = (
    "n2c64h8w9k72r3p1",  # more stages than the pipeline holds, whole cells, a square tile
    "n2c16h6k24r1",  # a matrix product: both weights as they lie
    "n2c8h7k40r3s2sh2sw2ph1pw1",  # stride residues, a narrow gradient of the input
    "n2g2c32h5k48r3p1",
    "linear:n70i72o130",
)


def backend_of(path):
    emulated_library.register(emulated_library.load(path))


def name_of(descriptor, pass_name, dtype):
    emulated.relu(np.zeros(1, np.float32))  # registers the backend
    return _core.conv_implementation(
        parse_descriptor(descriptor), pass_name, dtype, device="cuda", precision="highest"
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", CORNERS)
def test_corners_in_every_layout(descriptor, pass_name, dtype):
    for layout in ("contiguous", "channels_last"):
        check(emulated, descriptor, pass_name, layout, dtype)


def test_large_tiles():
    """Results that fill 132 blocks of 128x128, by way of groups; a weight of 128x128 and more."""
    check(emulated, "n1g4c32h66w64k288r1", "forward", "channels_last", "float32")
    check(emulated, "n1c20h4k130r3p1", "backward_weight", "contiguous", "float32")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pass_name", PASSES)
def test_results_may_lie_otherwise(pass_name, dtype):
    descriptor = "n2c5h7k9r3p1"
    problem, expected = parse_descriptor(descriptor), expected_results(descriptor, pass_name, 0)
    x, grad, weight, bias = arrays_of(problem, 0, dtype)
    for source, result in itertools.permutations(("contiguous", "channels_last")):
        if pass_name == "forward":
            got = emulated.conv_forward(
                problem, lay_out(x, source), weight, bias, memory_format=result
            )
        elif pass_name == "backward_input":
            got = emulated.conv_backward_input(
                problem, lay_out(grad, source), weight, memory_format=result
            )
        else:
            got, _ = emulated.conv_backward_weight(
                problem, lay_out(grad, source), lay_out(x, result)
            )
        assert np.array_equal(got, expected[0].astype(dtype))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_in_every_order(dtype, order):
    """Of lanes, warps and blocks; the gradient's splits are added in one order."""
    problem = parse_descriptor("n3c20h9k40r3p1")
    arrays = [normal(a.shape, 5 + i, dtype) for i, a in enumerate(arrays_of(problem, 0))]
    fixed = EmulatedOps()
    fixed._before = lambda name, arguments: emulated_library.register()
    try:
        for pass_name in PASSES:
            library().emulator_set_order(order, ctypes.c_uint(3))
            got = run(fixed, problem, pass_name, arrays)
            library().emulator_set_order(0, ctypes.c_uint(1))
            for first, again in zip(got, run(fixed, problem, pass_name, arrays), strict=True):
                assert first.tobytes() == again.tobytes()
    finally:
        library().emulator_set_order(0, ctypes.c_uint(1))


def test_who_computes():
    for dtype in DTYPES:
        for pass_name in PASSES:
            assert name_of("n2c64h8k64r3p1", pass_name, dtype) == "simt"
            assert name_of("n2c3h8k10r5", pass_name, dtype) == "simt"
            assert name_of("n2g64c64h8k64r3p1", pass_name, dtype) == "depthwise"


SIMT = "csrc/cuda/tiled/simt_tile.cuh"
CHANGES = {  # those of the loop around it are in test_mutations.py
    "columns that were not read": ("turned_b ? lanes : 2", "turned_b ? lanes : 1"),
    "a step for its neighbour": ("a[i][e] * b[e]", "a[i][e] * b[e ^ 1]"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_for_the_worse_is_seen(name):
    changed = build.build_library(None, {SIMT: CHANGES[name]}, within="correlation_float64.cu")
    fixed = EmulatedOps()
    fixed._before = lambda name, arguments: backend_of(changed)
    descriptor = "n2c32h6w7k20r3p1"
    problem = parse_descriptor(descriptor)
    x, _, weight, bias = arrays_of(problem, 0, "float64")
    got = fixed.conv_forward(problem, x, weight, bias)
    assert not np.array_equal(got, expected_results(descriptor, "forward", 0)[0])
