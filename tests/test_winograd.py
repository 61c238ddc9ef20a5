"""Winograd's convolution: exact on integer points, within its bound on the others."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
from fastconv import _core, ops, reference
from fastconv.testing import (
    LAYOUTS,
    WINOGRAD_EPS,
    Poisoned,
    arrays_of,
    assert_exact,
    assert_matches,
    check,
    descriptor_set,
    lay_out,
    normal,
    parse_descriptor,
    relative_l2,
    repeat_line,
    run,
)

PASSES = ("forward", "backward_input", "backward_weight")


def variant(problem, pass_name, algorithm="winograd"):
    lies = "contiguous"
    return _core.conv_implementation(problem, pass_name, "float32", lies, lies, algorithm)


SMALL_TILES = [
    (descriptor, pass_name)
    for descriptor in descriptor_set("winograd")
    for pass_name in PASSES
    if variant(parse_descriptor(descriptor), pass_name).endswith("2x2-3x3")
]


@pytest.mark.parametrize("descriptor, pass_name", SMALL_TILES)
def test_small_tiles_are_exact_on_integers(cpu, descriptor, pass_name):
    for layout in LAYOUTS:
        check(cpu.ops, descriptor, pass_name, layout, "float32", algorithm="winograd")


def check_bound(cpu, descriptor, pass_name, dtype, algorithm):
    problem = parse_descriptor(descriptor)
    bound = WINOGRAD_EPS[variant(problem, pass_name, algorithm)] * float(np.finfo(dtype).eps)
    shapes = [array.shape for array in arrays_of(problem, 0)]
    arrays = [normal(shape, seed, dtype) for seed, shape in enumerate(shapes)]
    wide = tuple(a.astype(np.longdouble if dtype == "float64" else float) for a in arrays)
    expected = run(reference, problem, pass_name, wide)
    for layout in ("contiguous", "channels_last"):
        laid = tuple(lay_out(array, layout) for array in arrays)
        out = Poisoned(expected[0].shape, dtype, layout) if pass_name != "backward_weight" else None
        place = out.array if out else None
        results = run(cpu.ops, problem, pass_name, laid, place, algorithm=algorithm)
        repeat = repeat_line(descriptor, pass_name, layout, dtype, 0)
        if out:
            out.check(repeat)
        for got, want in zip(results, expected, strict=True):
            assert relative_l2(got, want) <= bound, repeat


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", descriptor_set("winograd"))
def test_error_stays_within_the_documented_bound(cpu, descriptor, pass_name, dtype):
    check_bound(cpu, descriptor, pass_name, dtype, "winograd")


def test_gradient_and_input_may_lie_differently(cpu):
    problem = parse_descriptor("n2c33h13k34r3p1")
    x, grad = (normal(s, i) for i, s in enumerate((problem.input_shape, problem.output_shape)))
    dw, db = cpu.ops.conv_backward_weight(problem, grad, x, algorithm="winograd")
    laid = lay_out(x, "channels_last")
    other, bias = cpu.ops.conv_backward_weight(problem, grad, laid, algorithm="winograd")
    assert_exact(other, dw, np.float32)
    assert_exact(bias, db, np.float32)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("descriptor", ["n2c33h13k70r3p1", "n1c40h7k66r3p1", "n2c9h6k7r3p1"])
def test_fused_bias_and_activation(cpu, descriptor, activation, layout):
    problem = parse_descriptor(descriptor)
    x, weight, bias = (
        normal(s, i)
        for i, s in enumerate(
            (problem.input_shape, problem.weight_shape, (problem.weight_shape[0],))
        )
    )
    laid = lay_out(x, layout)
    plain = cpu.ops.conv_forward(problem, laid, weight, bias, algorithm="winograd")
    fused = cpu.ops.conv_forward(problem, laid, weight, bias, activation, algorithm="winograd")
    assert_matches(fused, getattr(reference, activation)(plain.astype(float)), np.float32, 1)


def test_a_nan_reaches_the_tiles_that_read_it_and_no_further():
    x = normal((1, 32, 24, 24), 1)
    x[0, 3, 9, 9] = np.nan
    y = ops.conv2d(x, normal((32, 32, 3, 3), 2), padding=1, algorithm="winograd")
    spread = np.isnan(y[0]).any(0)
    assert spread[8:11, 8:11].all() and not spread[:4].any() and not spread[16:].any()


def test_chosen_where_it_pays():
    for descriptor, expected in {
        "n8c64h56k64r3p1": True,
        "n8c512h7k512r3p1": True,
        "n16c256h13k384r3p1": True,
        "n4c3h224k64r3p1": False,
        "n8c128h28k256r3sh2p1": False,
        "n8c64h56k64r1": False,
        "n2c64h30k64r3dh2p2": False,
        "n16c96h27k256r5p2": True,
        "n64c6h14k16r5": False,
        "n16c64h28k64r4p1": True,
        "n16c64h28k64r2": True,
        "n4c3h64k64r4": False,
        "n1c256h7k256r2": False,
        "n2c32h30k32r3s5p1": False,
    }.items():
        problem = parse_descriptor(descriptor)
        for pass_name in PASSES:
            for lies in ("contiguous", "channels_last"):
                where = (problem, pass_name, "float32", lies, lies)
                name = _core.conv_implementation(*where)
                assert name.startswith("winograd") == expected, f"{descriptor} {pass_name}: {name}"
                assert not _core.conv_implementation(*where, "direct").startswith("winograd")


@pytest.mark.parametrize("lies", ["contiguous", "channels_last"])
@pytest.mark.parametrize("pass_name", ["forward", "backward_input"])
def test_images_along_the_vectors_where_channels_would_not_fill_them(pass_name, lies):
    for descriptor, expected in {
        "n64c16h16k20r5p2": True,
        "n64c20h8k20r5p2": True,
        "n64c24h16k24r3p1": True,
        "n32c20h8k20r3p1": True,
        "n8c16h16k20r5p2": False,
        "n32c32h28k16r4": True,
        "n64c48h8k48r3p1": False,
        "n64c64h8k64r3p1": False,
        "n64c3h32k16r5p2": False,
    }.items():
        problem = parse_descriptor(descriptor)
        name = _core.conv_implementation(problem, pass_name, "float32", lies, lies)
        assert name.startswith("winograd-lanes") == expected, f"{descriptor}: {name}"


def test_weight_gradients_of_maps_smaller_than_the_kernel_are_direct():
    for descriptor in ("n16c64h40w2k96r5p2", "n16c64h3w40k96r4p2", "n16c64h80w4k96r10sh2p4"):
        problem = parse_descriptor(descriptor)
        assert not variant(problem, "backward_weight", "auto").startswith("winograd")
        assert variant(problem, "forward", "auto").startswith("winograd")


def test_other_kernels_are_refused():
    x, weight = normal((1, 3, 9, 9), 1), normal((4, 3, 7, 7), 2)
    message = 'conv2d: algorithm "winograd" has no implementation for n1c3h9k4r7 on cpu'
    with pytest.raises(ValueError, match=message), fastconv.algorithm("winograd"):
        ops.conv2d(x, weight)
    strided = normal((4, 3, 3, 3), 3)
    with pytest.raises(ValueError, match="winograd"):
        ops.conv2d(x, strided, stride=2, algorithm="winograd")


# Strided kernels that are computed without strides, residues as channels.
FOLDED = [
    "n4c3h115k96r11sh4",
    "n4c3h118k96r11sh4",  # the last three rows and columns are read by no output
    "n3c32h63w64k96r5sh2p2",
    "n4c32h46k64r6sh2ph1pw2",
    "n4c32h66k64r9sh3p4",
    "n4c32h51w63k64r6s9sh2sw3ph0pw8",
    "n2c64h47k128r4sh2p1",
    "n4c64h33w46k96r4sh2p1",
    "n3c33h41k64r7sh2ph3pw2",
    "n4c48h64k96r7sh3p3",
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", FOLDED)
def test_folded_within_the_same_bound(cpu, descriptor, pass_name, dtype):
    check_bound(cpu, descriptor, pass_name, dtype, "auto")


def test_strided_kernels_folded_where_it_pays():
    for descriptor, expected in {
        "n16c3h227k96r11sh4": "yyy",  # AlexNet's first
        "n1c3h227k64r11sh4p2": "yyy",
        "n8c64h56k128r5sh2p2": "yyy",
        "n8c64h56k128r4sh2p1": "yyy",
        "n8c3h224k64r7sh2p3": "nyy",  # ResNet's first
        "n8c64h56k128r3sh2p1": "nnn",
        "n8c64h56k128r5sh2p2dh2": "nnn",
        "n8c64h56k128r1sh2": "nnn",
        "n8g2c64h56k128r5sh2p2": "nnn",
        "n32c1h64k8r5sh2p2": "nnn",
        "n1c256h14k256r5sh2p2": "nnn",  # the weight is more than the image
        "n16c128h8k256r5sh2p2": "nnn",
    }.items():
        problem = parse_descriptor(descriptor)
        names = [variant(problem, pass_name, "auto") for pass_name in PASSES]
        assert "".join("yn"[not name.startswith("winograd")] for name in names) == expected, names
        for pass_name in PASSES:
            assert not variant(problem, pass_name, "direct").startswith("winograd")


def test_folding_costs_more_in_planes():
    problem = parse_descriptor("n4c32h64k64r7sh3p3")
    for lies, expected in (("contiguous", "nyn"), ("channels_last", "yyy")):
        names = [_core.conv_implementation(problem, p, "float32", lies, lies) for p in PASSES]
        assert "".join("yn"[not name.startswith("winograd")] for name in names) == expected, names


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid"])
def test_folded_transposed_with_bias_and_activation(cpu, activation, biased, layout):
    """Where nothing is added to the result it is the activation of the bias, or of 0."""
    x, bias = normal((4, 96, 27, 27), 1), normal((3,), 3) if biased else None
    weight = normal((96, 3, 11, 11), 2) / np.float32(26)  # sums of about 1
    window = {"stride": 4, "output_padding": 3}
    y = cpu.ops.conv_transpose2d(lay_out(x, layout), weight, bias, activation=activation, **window)
    assert y.shape == (4, 3, 118, 118)
    wide = (None if a is None else a.astype(float) for a in (x, weight, bias))
    expected = reference.conv_transpose2d(*wide, **window)
    if activation is not None:
        expected = getattr(reference, activation)(expected)
    assert relative_l2(y, expected) <= 12 * np.finfo("float32").eps
    rest = np.zeros(3, np.float32) if bias is None else bias
    rest = rest if activation is None else getattr(cpu.ops, activation)(rest)
    assert np.array_equal(y[:, :, 115:], np.broadcast_to(rest[:, None, None], (4, 3, 3, 118)))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_folded_and_pooled_as_the_two_operations(cpu, layout):
    problem = parse_descriptor("n4c3h115k96r11sh4")
    x, weight = lay_out(normal(problem.input_shape, 1), layout), normal(problem.weight_shape, 2)
    bias = normal((96,), 3)
    pooled, indices = cpu.ops.conv2d_max_pool2d(
        x, weight, bias, (4, 0, 1, 1), (3, 2, 0, 1, False), activation="relu", return_indices=True
    )
    y = cpu.ops.conv2d(x, weight, bias, 4, activation="relu")
    expected = ops.max_pool2d(y, 3, 2, return_indices=True)
    assert np.array_equal(pooled, expected[0]) and np.array_equal(indices, expected[1])


def test_folded_without_what_no_output_reads(cpu):
    problem = parse_descriptor("n4c3h118k96r11sh4")
    x, weight = normal(problem.input_shape, 1), normal(problem.weight_shape, 2)
    grad = normal(problem.output_shape, 3)
    x[:, :, 115:] = x[:, :, :, 115:] = np.nan
    assert np.isfinite(cpu.ops.conv_forward(problem, x, weight)).all()
    assert np.isfinite(cpu.ops.conv_backward_weight(problem, grad, x)[0]).all()
    grad[0, 0, 26, 26] = np.nan
    dx = cpu.ops.conv_backward_input(problem, grad, weight)
    assert np.isnan(dx[0, :, 104:115, 104:115]).all()
    assert not dx[:, :, 115:].any() and not dx[:, :, :, 115:].any()
