"""Strided convolutions computed without strides, residues as channels, by Winograd's way."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import _core, ops, reference
from fastconv.testing import (
    WINOGRAD_EPS,
    Poisoned,
    arrays_of,
    lay_out,
    normal,
    parse_descriptor,
    relative_l2,
    repeat_line,
    run,
)

LAYOUTS = ("contiguous", "channels_last")
PASSES = ("forward", "backward_input", "backward_weight")
FOLDED = [
    "n8c3h67k96r11sh4",
    "n8c3h70k96r11sh4",  # the last two rows and columns are read by no output
    "n8c16h41w38k64r5sh2p2",
    "n2c32h30k64r6sh2ph1pw2",
    "n2c32h50k64r9sh3p4",
    "n4c32h33w45k64r6s9sh2sw3ph0pw8",
]


def chosen(problem, pass_name, algorithm="auto"):
    lies = "contiguous"
    return _core.conv_implementation(problem, pass_name, "float32", lies, lies, algorithm)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", FOLDED)
def test_error_stays_within_winograds_bound(cpu, descriptor, pass_name, dtype):
    problem = parse_descriptor(descriptor)
    bound = WINOGRAD_EPS[chosen(problem, pass_name)] * float(np.finfo(dtype).eps)
    shapes = [array.shape for array in arrays_of(problem, 0)]
    arrays = [normal(shape, seed, dtype) for seed, shape in enumerate(shapes)]
    wide = tuple(a.astype(np.longdouble if dtype == "float64" else float) for a in arrays)
    expected = run(reference, problem, pass_name, wide)
    for layout in LAYOUTS:
        laid = tuple(lay_out(array, layout) for array in arrays)
        out = Poisoned(expected[0].shape, dtype, layout) if pass_name != "backward_weight" else None
        results = run(cpu.ops, problem, pass_name, laid, out.array if out else None)
        repeat = repeat_line(descriptor, pass_name, layout, dtype, 0)
        if out:
            out.check(repeat)
        for got, want in zip(results, expected, strict=True):
            assert relative_l2(got, want) <= bound, repeat


def test_the_choice_for_layers_that_matter():
    for descriptor, expected in {
        "n16c3h227k96r11sh4": "yyy",  # AlexNet's first
        "n1c3h227k64r11sh4p2": "yyy",
        "n8c64h56k128r5sh2p2": "yyy",
        "n8c3h224k64r7sh2p3": "nnn",  # kernels of 4x4 then
        "n8c64h56k128r3sh2p1": "nnn",
        "n8c64h56k128r5sh2p2dh2": "nnn",
        "n8c64h56k128r1sh2": "nnn",
        "n8g2c64h56k128r5sh2p2": "nnn",
        "n32c1h64k8r5sh2p2": "nnn",
    }.items():
        problem = parse_descriptor(descriptor)
        names = [chosen(problem, pass_name) for pass_name in PASSES]
        assert "".join("yn"[not name.startswith("winograd")] for name in names) == expected, names
        for pass_name in PASSES:
            assert not chosen(problem, pass_name, "direct").startswith("winograd")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
def test_transposed_with_bias_and_activation(cpu, activation, layout):
    """Where nothing is added to the result it is the activation of the bias."""
    x, bias = normal((8, 96, 15, 15), 1), normal((3,), 3)
    weight = normal((96, 3, 11, 11), 2) / np.float32(26)  # sums of about 1
    window = {"stride": 4, "output_padding": 3}
    y = cpu.ops.conv_transpose2d(lay_out(x, layout), weight, bias, activation=activation, **window)
    assert y.shape == (8, 3, 70, 70)
    wide = (a.astype(float) for a in (x, weight, bias))
    expected = reference.conv_transpose2d(*wide, **window)
    if activation is not None:
        expected = getattr(reference, activation)(expected)
    assert relative_l2(y, expected) <= 12 * np.finfo("float32").eps
    rest = bias if activation is None else getattr(reference, activation)(bias)
    np.testing.assert_allclose(y[:, :, 68:], np.broadcast_to(rest[:, None, None], (8, 3, 2, 70)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pooled_as_the_two_operations(cpu, layout):
    problem = parse_descriptor("n8c3h67k96r11sh4")
    x, weight = lay_out(normal(problem.input_shape, 1), layout), normal(problem.weight_shape, 2)
    bias = normal((96,), 3)
    pooled, indices = cpu.ops.conv2d_max_pool2d(
        x, weight, bias, (4, 0, 1, 1), (3, 2, 0, 1, False), activation="relu", return_indices=True
    )
    y = cpu.ops.conv2d(x, weight, bias, 4, activation="relu")
    expected = ops.max_pool2d(y, 3, 2, return_indices=True)
    assert np.array_equal(pooled, expected[0]) and np.array_equal(indices, expected[1])
