"""Convolution of volumes, and gradients of strides with many residues, on the CUDA emulator."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from emulator.backend import EmulatedOps
from test_cuda_kernels import dtype_of

import fastconv
from fastconv import _core, reference
from fastconv.testing import (
    arrays_of,
    check,
    exact_integers,
    expected_results,
    lay_out,
    parse_descriptor,
)

if shutil.which("g++") is None:
    pytest.skip("the emulator needs g++", allow_module_level=True)

PASSES = ("forward", "backward_input", "backward_weight")
KINDS = ("float32", "float64", "float16", "bfloat16", "tf32")
emulated = EmulatedOps()

VOLUMES = (
    "n2c16d4h5w6k24t3p1",  # a narrow tile forward and backward
    "n1c64d4h5w7k72t3p1",  # 54 stages, more than the pipeline holds, a square tile
    "n2c3d5h6w7k16t3r5s5pd1ph2pw2",  # few channels: the taps of a row
    "n2c1d4h5k6t2r3",
    "n2c8d7h6w5k40t3r2s3sd2sh2sw2pd1ph0pw1",  # stride residues on every axis
    "n1c12d9h8w9k16t2r2s1sd3sh4sw2",  # some of them without a tap
    "n1c9d9h7w6k17t3r2s2dd3dh2dw1pd2",  # dilation; cells that are not full
    "n2c8d6h5w5k10t3r2s2sd4dd2pd3qd1",  # stride and dilation that share a factor
    "n1c9d2h3w4k8t4r3s5pd4ph5pw4qd1qh1qw0",  # padding larger than the input
    "n2c16d3h4w5k24t1r1",  # a matrix product: both weights as they lie
    "n2c16d5h4w5k24t1r1sd2sh1sw1",  # the same but for the stride of the depth
    "n2c16d4h3w5k24t3r1s1pd1ph0pw0",  # depth alone
    "n2g2c32d4h5k32t2r3s3p1",
    "n9c8d2h2w3k8t2r2s2p1",  # stages that reach over images
)
STRIDES = (
    "n2c8h20w23k16r7s9sh5sw9",  # one launch of rows, two of columns
    "n1c16h17w33k8r3s2sh16sw17ph1",  # most residues without a tap
    "n1c8d9h10w11k8t9r2s3sd9sh10sw11",  # two launches of every axis
    "n2c16w70k8s40sw32pw4",  # one dimension
    "n2c8h9k8r9sh12",  # strides that exceed the input
    "n1c16h33w9k16r4s1sh16sw1dh6dw1",  # residues of a stride that shares a factor with the dilation
)


@pytest.fixture(params=KINDS)
def kind(request) -> Iterator[str]:
    fastconv.set_float32_precision("tf32" if request.param == "tf32" else "highest")
    yield request.param
    fastconv.set_float32_precision("highest")


def type_of(kind: str) -> np.dtype:
    return dtype_of("float32" if kind == "tf32" else kind)


def tiled(kind: str) -> str:
    return "simt" if kind in ("float32", "float64") else "tensor-core"


def name_of(
    descriptor, pass_name, kind="float32", source="channels_last", result="channels_last"
) -> str:
    emulated.relu(np.zeros(1, np.float32))  # registers the backend
    dtype, precision = ("float32", "tf32") if kind == "tf32" else (kind, "highest")
    problem = parse_descriptor(descriptor)
    place = {"device": "cuda", "precision": precision}
    return _core.conv_implementation(problem, pass_name, dtype, source, result, **place)


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", VOLUMES)
def test_volumes(kind, descriptor, pass_name):
    assert name_of(descriptor, pass_name, kind) == tiled(kind)
    for layout in ("contiguous", "channels_last"):
        check(emulated, descriptor, pass_name, layout, type_of(kind))


@pytest.mark.parametrize("descriptor", STRIDES)
def test_strides_backward(kind, descriptor):
    assert name_of(descriptor, "backward_input", kind) == tiled(kind)
    for layout in ("contiguous", "channels_last"):
        check(emulated, descriptor, "backward_input", layout, type_of(kind))


@pytest.mark.parametrize("pass_name", PASSES)
def test_results_may_lie_otherwise(kind, pass_name):
    descriptor, dtype = "n2c5d3h4w6k9t3r2s3p1", type_of(kind)
    problem, expected = parse_descriptor(descriptor), expected_results(descriptor, pass_name, 0)
    x, grad, weight, bias = arrays_of(problem, 0, dtype)
    for source, result in itertools.permutations(("contiguous", "channels_last")):
        if pass_name == "backward_weight":
            sources = lay_out(grad, source), lay_out(x, result)
            got, _ = emulated.conv_backward_weight(problem, *sources)
        elif pass_name == "forward":
            arrays = lay_out(x, source), weight, bias
            got = emulated.conv_forward(problem, *arrays, memory_format=result)
        else:
            arrays = lay_out(grad, source), weight
            got = emulated.conv_backward_input(problem, *arrays, memory_format=result)
        assert np.array_equal(got, expected[0].astype(dtype))


@pytest.mark.parametrize("far, name", [(30000, "simt"), (40000, "direct")])
def test_planes_and_rows_that_fill_a_word(far, name):
    """Steps so long that taps find the first plane and row of the input or nothing."""
    x, weight = exact_integers((2, 8, 3, 3, 4), 1), exact_integers((8, 8, 2, 2, 2), 2)
    grad = exact_integers((2, 8, 2, 2, 3), 3)
    descriptor = f"n2c8d3h3w4k8t2r2s2sd{far}sh{far}sw1dd{far}dh{far}dw1pd{far}ph{far}pw0"
    problem, near = parse_descriptor(descriptor), parse_descriptor("n2c8d1h1w4k8t2r2s2pd1ph1pw0")
    assert problem.output_shape == grad.shape
    assert [name_of(descriptor, p) for p in PASSES] == [name, "simt", "simt"]
    found = x[:, :, :1, :1]
    y = emulated.conv_forward(problem, x, weight)
    assert np.array_equal(y, reference.conv_forward(near, found, weight))
    dx = emulated.conv_backward_input(problem, grad, weight)
    assert np.array_equal(dx[:, :, :1, :1], reference.conv_backward_input(near, grad, weight))
    assert not dx[:, :, 1:].any() and not dx[:, :, :, 1:].any()
    dw, _ = emulated.conv_backward_weight(problem, grad, x)
    assert np.array_equal(dw, reference.conv_backward_weight(near, grad, found)[0])


def test_more_residues_than_launches_are_made():
    """One thread a result."""
    descriptor = "n1c8h70k8r3sh65"
    assert [name_of(descriptor, p) for p in PASSES] == ["simt", "direct", "simt"]
    check(emulated, descriptor, "backward_input", "channels_last", "float32")
