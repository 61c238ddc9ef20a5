"""Convolution and linear layers on the tensor cores, emulated: 16-bit types and TF32."""

from __future__ import annotations

import ctypes
import itertools
import shutil

import ml_dtypes
import numpy as np
import pytest
from emulator.backend import EmulatedOps, library

import fastconv
from fastconv import _core, reference
from fastconv.testing import (
    arrays_of,
    assert_matches,
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
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = {"float16": np.dtype(np.float16), "bfloat16": BFLOAT16, "tf32": np.dtype(np.float32)}
emulated = EmulatedOps()

# Every size of tile, whole and ragged; every way to load an operand.
CORNERS = (
    "n2c32h6k16r3p1",  # narrow
    "n2c64h8w9k72r3p1",  # 18 stages, more than the pipeline holds
    "n1c3h12k16r5p2",  # few channels: the taps of a row
    "n2c1h9k6r3",
    "n2c4h9w6k40r3s2sh2sw1p1dw2",
    "n2c8h7k40r3s2sh2sw2ph1pw1",  # stride residues
    "n2c12h8w9k16r2s2sh3sw4",  # some of them without a tap
    "n2c16h6k24r1",  # a matrix product: both weights as they lie
    "n2c16h6k24r1sh2sw2",
    "n3c20h5k33r1",  # cells and chunks that are not full
    "n2g2c32h6k48r3p1",
    "n2g3c27h6k30r3p1sh2sw3",
    "n2g2c16h5k16r1",
    "n2c16h9w7k70r3p1dh2dw2",
    "n2c9h4k8r3ph5pw4qh1qw0",  # padding larger than the kernel
    "n70c24h2k130r1",
    "n3c40h1w1k40r3p1",
    "linear:n5i20o33",
    "linear:n70i72o130",
    "linear:n1i300o8",
)
# Results that fill 132 blocks of 128x128 or 128x64, by way of groups.
LARGE = (
    "n1g4c288h66w64k288r1",
    "n1g4c160h66w64k160r1",
    "n1g4c32h66w64k288r3p1",
    "n1g2c16h92w92k128r3p1",
)


@pytest.fixture(params=DTYPES)
def dtype(request):
    fastconv.set_float32_precision("tf32")
    yield DTYPES[request.param]
    fastconv.set_float32_precision("highest")


@pytest.fixture(params=["forward", "reverse", "shuffled"])
def order(request):
    set_order = library().emulator_set_order
    set_order(["forward", "reverse", "shuffled"].index(request.param), ctypes.c_uint(3))
    yield
    set_order(0, ctypes.c_uint(1))


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", CORNERS)
def test_corners_in_every_layout(dtype, descriptor, pass_name):
    for layout in ("contiguous", "channels_last", "strided"):
        check(emulated, descriptor, pass_name, layout, dtype)


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", CORNERS[:4])
def test_results_may_lie_otherwise(dtype, descriptor, pass_name):
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


def test_the_same_bits_in_every_order(dtype, order):
    for pass_name in PASSES:
        check(emulated, "n3c20h9k40r3p1", pass_name, "contiguous", dtype)
        problem = parse_descriptor("n3c20h9k40r3p1")
        arrays = [normal(a.shape, 5 + i, dtype) for i, a in enumerate(arrays_of(problem, 0))]
        got = run(emulated, problem, pass_name, arrays)
        library().emulator_set_order(0, ctypes.c_uint(1))
        for first, again in zip(got, run(emulated, problem, pass_name, arrays), strict=True):
            assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_bias_and_activation_come_before_the_rounding(dtype, layout, activation):
    problem = parse_descriptor("n2c5h7w6k11r3p1")
    x, _, weight, bias = (a / 4 for a in arrays_of(problem, 3))
    expected = reference.conv_forward(problem, x, weight, bias, activation=activation)
    x, weight, bias = (a.astype(dtype) for a in (x, weight, bias))
    got = emulated.conv_forward(problem, lay_out(x, layout), weight, bias, activation=activation)
    error = np.abs(got.astype(np.float64) - expected)
    step = np.float64(ml_dtypes.finfo(dtype).eps) * np.abs(expected)
    # Half a step for the rounding; the function itself is good to a few steps of float32.
    assert np.all(error <= step * (0.51 if dtype.itemsize == 2 else 8) + 1e-12)


def test_nan_and_infinity_stay_where_the_kernel_reaches(dtype):
    problem = parse_descriptor("n1c8h9k8r3p1")
    x, _, weight, _ = arrays_of(problem, 0, dtype)
    weight[weight == 0] = 1
    x[0, 3, 4, 4], x[0, 2, 1, 7] = np.nan, np.inf
    got = emulated.conv_forward(problem, x, weight, activation="relu")
    assert np.isnan(got[0, :, 3:6, 3:6].astype(np.float32)).all()
    finite = np.isfinite(got[0].astype(np.float32)).all(0)
    assert not finite[0:3, 6:9].all()
    finite[3:6, 3:6] = finite[0:3, 6:9] = True
    assert finite.all()


def rounded_to_tf32(x):
    """To 10 bits after the point, ties away from zero."""
    return ((x.view(np.uint32) + 0x1000) & 0xFFFFE000).view(np.float32)


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", ["n2c16h6k24r3p1", "n2c3h6k8r3", "linear:n9i40o24"])
@pytest.mark.parametrize("dtype", ["tf32"], indirect=True)
def test_tf32_rounds_the_factors_and_sums_in_float32(dtype, descriptor, pass_name):
    problem = parse_descriptor(descriptor)
    arrays = [normal(a.shape, i, dtype) for i, a in enumerate(arrays_of(problem, 0))]
    rounded = [rounded_to_tf32(a).astype(np.float64) for a in arrays[:3]]
    expected = run(reference, problem, pass_name, [*rounded, arrays[3].astype(np.float64)])
    got = run(emulated, problem, pass_name, arrays)
    assert_matches(got[0], expected[0], dtype, 300)
    plain = run(reference, problem, pass_name, [a.astype(np.float64) for a in arrays])
    assert np.abs(got[0] - plain[0]).max() > 1e-5
    for actual, want in zip(got[1:], plain[1:], strict=True):  # the bias's: a plain sum
        assert_matches(actual, want, dtype, 300)


def test_who_computes():
    emulated.relu(np.zeros(1, np.float32))  # registers the backend
    name = lambda text, dtype, precision: _core.conv_implementation(  # noqa: E731
        parse_descriptor(text), "forward", dtype, device="cuda", precision=precision
    )
    for dtype in ("float16", "bfloat16"):
        assert name("n2c64h8k64r3p1", dtype, "highest") == "tensor-core"
        assert name("n2g64c64h8k64r3p1", dtype, "highest") != "tensor-core"
    assert name("n2c64h8k64r3p1", "float32", "tf32") == "tensor-core"
    assert name("n2c64h8k64r3p1", "float32", "highest") == "simt"
    assert name("n2c64h8k64r3p1", "float64", "tf32") == "simt"


@pytest.mark.parametrize("descriptor", LARGE)
def test_large_tiles(dtype, descriptor):
    for pass_name in PASSES[: 2 if "r1" in descriptor else 1]:
        check(emulated, descriptor, pass_name, "channels_last", dtype)
