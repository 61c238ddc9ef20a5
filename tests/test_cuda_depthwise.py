"""Convolution in groups of few channels, channels last and in planes, on the emulator."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from emulator import backend as emulated_library
from emulator import build
from emulator.backend import EmulatedOps, library
from test_cuda_kernels import DTYPES, dtype_of

from fastconv import _core, reference
from fastconv.testing import (
    arrays_of,
    check,
    expected_results,
    lay_out,
    normal,
    parse_descriptor,
    run,
)

LAYOUTS = ("channels_last", "contiguous")
PASSES = ("forward", "backward_input", "backward_weight")
emulated = EmulatedOps()

CORNERS = (
    "n2g16c16h7w6k16r3sh2p1",  # vectors of groups of one channel, rows whose last run is not full
    "n2g3c3h6k3r3",  # channels that make no vector
    "n2g8c16h6k16r2",  # groups of two channels
    "n1g4c4h5k32r3dh2p2",  # many results of one channel
    "n1g4c32h5k4r3p1",  # one result of many channels
    "n2g16c16h9k16r5p2",  # more taps than a thread adds up
    "n1g16c16h8w9k16r2s3sh3sw2ph1pw2q0",  # stride residues without a tap
    "n3g8c8h9k8r4s1",
    "n4g128c128h9k128r3p1",  # several chunks of positions
    "n5g16c16h1k16r1",  # one pixel: an array lies both ways
)


def name_of(descriptor, pass_name, dtype="float32", source="channels_last", result="channels_last"):
    emulated.relu(np.zeros(1, np.float32))  # registers the backend
    return _core.conv_implementation(
        parse_descriptor(descriptor), pass_name, dtype, source, result, device="cuda"
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("descriptor", CORNERS)
def test_corners(descriptor, layout, pass_name, dtype):
    """Exact sums of small integers; 16-bit types round once."""
    assert name_of(descriptor, pass_name, dtype, layout, layout) == "depthwise"
    check(emulated, descriptor, pass_name, layout, dtype_of(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_bias_and_activation(activation, layout, dtype):
    problem, kind = parse_descriptor("n2g16c16h6w7k16r3p1"), dtype_of(dtype)
    x, _, weight, bias = (array.astype(kind) * kind.type(0.125) for array in arrays_of(problem, 9))
    y = emulated.conv_forward(problem, lay_out(x, layout), weight, bias, activation)
    wide = [array.astype(np.float64) for array in (x, weight, bias)]
    expected = reference.conv_forward(problem, *wide, activation)
    bound = {"float64": 2.0**-50, "float32": 2.0**-21, "float16": 2.0**-10, "bfloat16": 2.0**-7}
    assert np.abs(y.astype(np.float64) - expected).max() <= bound[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("descriptor", ["n1g2c6d4h5w4k4t3p1", "n2g3c3d3h4w3k6t2r2"])
def test_three_dimensions(descriptor, dtype):
    """One thread a result; a weight gradient takes a block for each element, or a thread."""
    for pass_name in PASSES:
        assert name_of(descriptor, pass_name, dtype) == "direct"
        for layout in LAYOUTS:
            check(emulated, descriptor, pass_name, layout, dtype_of(dtype))


def test_who_computes():
    depthwise = "n2g64c64h8k64r3p1"
    for pass_name in PASSES:
        assert name_of(depthwise, pass_name) == "depthwise"
        assert name_of("n2g64c64h8w1k64r3s1ph1pw0", pass_name, "float64") == "depthwise"
        assert name_of(depthwise, pass_name, source="contiguous") == "direct"
        assert name_of(depthwise, pass_name, result="contiguous") == "direct"
        assert name_of(depthwise, pass_name, "float16", "contiguous", "contiguous") == "depthwise"
        assert name_of("n2g8c64h8k64r3p1", pass_name) == "simt"
        assert name_of("n2g8c64h8k64r3p1", pass_name, "float16") == "tensor-core"


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_bits_in_every_order(layout, dtype, order):
    problem = parse_descriptor("n4g128c128h9k128r3p1")
    arrays = [
        lay_out(normal(a.shape, 5 + i, dtype), layout) for i, a in enumerate(arrays_of(problem, 0))
    ]
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


CHANGES = {
    "a row of sums left out": ("", "half >= columns", "half > columns", "backward_weight"),
    "a tap too far": ("", "at < a.in ? at", "at <= a.in ? at", "forward"),
    "results behind the row": ("", "if (column + q >= c.row) continue;", "", "forward"),
    "no barrier": (
        "",
        "    __syncthreads();\n  }\n  if (thread <",
        "  }\n  if (thread <",
        "backward_weight",
    ),
    "results behind the plane": ("_planes", "if (row + p < c.rows) ", "", "forward"),
    "a longer row of taps": ("_planes", "++s == c.w_taps", "s++ == c.w_taps", "backward_weight"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_for_the_worse_is_seen(name):
    file, old, new, pass_name = CHANGES[name]
    changes = {f"csrc/cuda/conv/depthwise{file}.cuh": (old, new)}
    changed = build.build_library(None, changes, within="depthwise.cu")
    fixed = EmulatedOps()
    fixed._before = lambda name, arguments: emulated_library.register(
        emulated_library.load(changed)
    )
    descriptor = "n9g16c16h9w9k16r3sh2p1" if file else "n2g16c16h6w6k16r3p1"
    layout = "contiguous" if file else "channels_last"
    arrays = [lay_out(a, layout) for a in arrays_of(parse_descriptor(descriptor), 0, "float32")]
    try:
        got = run(fixed, parse_descriptor(descriptor), pass_name, arrays)
    except RuntimeError as error:
        assert "CUDA error" in str(error)
    else:
        assert not np.array_equal(got[0], expected_results(descriptor, pass_name, 0)[0])
