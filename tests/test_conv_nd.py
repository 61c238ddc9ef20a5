"""Convolution in one and three dimensions: every pass, in every layout, exact."""

from __future__ import annotations

import numpy as np
import pytest
from gradcheck import check_gradients
from hypothesis import given
from hypothesis import strategies as st

import fastconv as fc
from fastconv import _core, nn, ops, reference
from fastconv.nn import functional as F
from fastconv.testing import (
    LAYOUTS,
    arrays_of,
    assert_exact,
    assert_matches,
    check,
    exact_integers,
    lay_out,
    normal,
    parse_descriptor,
    run,
)

PASSES = ("forward", "backward_input", "backward_weight")

LINES = (
    "n1c1w1k1s1",
    "n2c3w17k5s3p1",
    "n2c4w31k6s5sw2p2",
    "n1c6w20k8s4dw3pw2qw5",
    "n2g4c8w33k12s3p1",
    "n2g8c8w40k8s7p3",
    "n3c2w9k3s2sw4",
    "n0c3w8k4s3",
    "n16c20w24k20s3p1",
)
VOLUMES = (
    "n1c1d1k1t1",
    "n2c3d4h5w6k5t3p1",
    "n1c2d5h7w6k3t2r3s1p2",
    "n2c3d6k4t3sd2p1",
    "n1c3d7h6w9k4t3dd2ph1pw2pd2",
    "n2g2c4d5h6k6t3p1",
    "n1g6c6d4h7k6t3p1",
    "n1g3c6d5h4w9k9t2r3s5sd2sh1sw2p1",
    "n2c4d6h5k6t3r1",
    "n2c4d6h5k6t1r3p0",
    "n1c5d4h6k4t1sd2",
    "n1c4d3h8k6t5r3pd4ph0pw1",
    "n0c3d4k2t3p1",
    "n1c3d5h6k2t1r1sd3sh1sw1",
    "n2c18d6h14k20t3p1",
)


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", LINES + VOLUMES)
def test_corners_in_every_layout(backend, descriptor, pass_name):
    for layout in LAYOUTS:
        check(backend.ops, descriptor, pass_name, layout, "float32")
    check(backend.ops, descriptor, pass_name, "contiguous", "float64")


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize(
    "descriptor",
    ["n2c33d20h30k34t3p1", "n1c3d8h40k40t3r7s7sd1sh2sw2pd1ph3pw3", "n3c16d9h22k24t3sd2p1"],
)
def test_pieces_and_parts(cpu, descriptor, pass_name):
    """More slices than one piece holds, and edges with weights of their own."""
    for layout in ("contiguous", "channels_last"):
        check(cpu.ops, descriptor, pass_name, layout, "float32")


@st.composite
def descriptors(draw):
    """Any small convolution of one or three dimensions that has an output."""
    number = lambda low, high: draw(st.integers(low, high))  # noqa: E731
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    c, k = groups * number(1, 6), groups * number(1, 6)
    axes = draw(st.sampled_from(["w", "dhw"]))
    text = f"n{number(0, 2)}g{groups}c{c}k{k}"
    kernels = dict(zip("dhw", "trs", strict=True))
    for axis in axes:
        size, dilation, before, after = number(1, 4), number(1, 2), number(0, 3), number(0, 3)
        extent = number(max(1, dilation * (size - 1) + 1 - before - after), 8)
        text += f"{axis}{extent}{kernels[axis]}{size}s{axis}{number(1, 3)}"
        text += f"d{axis}{dilation}p{axis}{before}q{axis}{after}"
    return text


@given(
    descriptor=descriptors(),
    pass_name=st.sampled_from(PASSES),
    layout=st.sampled_from(sorted(LAYOUTS)),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**31),
)
def test_random_problems(backend, descriptor, pass_name, layout, dtype, seed):
    check(backend.ops, descriptor, pass_name, layout, dtype, seed)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("descriptor", ["n2c3w20k6s3p1", "n2c3d4h6k6t3p1", "n2c4d3h5k6t3r1pd2ph0"])
def test_fused_bias_and_activation(backend, descriptor, activation, layout):
    problem = parse_descriptor(descriptor)
    x, _, weight, bias = (array * np.float32(0.125) for array in arrays_of(problem, 9, np.float32))
    y = backend.ops.conv_forward(problem, lay_out(x, layout), weight, bias, activation, "direct")
    wide = [a.astype(np.float64) for a in (x, weight, bias)]
    assert_matches(y, reference.conv_forward(problem, *wide, activation), np.float32)


@pytest.mark.parametrize(
    "dims, arguments",
    [
        (1, {"padding": "same", "dilation": 2}),
        (1, {"padding": ((2, 1),), "stride": 2}),
        (1, {"padding": (3,), "stride": [2]}),
        (3, {"padding": "same"}),
        (3, {"padding": ((1, 0), (0, 2), (1, 1)), "stride": (1, 2, 1)}),
        (3, {"padding": "valid", "dilation": (1, 2, 1)}),
    ],
)
def test_functions_of_arrays(backend, dims, arguments):
    x, weight = (
        exact_integers((2, 3, 9, 8, 7)[: dims + 2], 1),
        exact_integers((4, 3, *[3] * dims), 2),
    )
    conv, ours = getattr(backend.ops, f"conv{dims}d"), backend.ops
    wide = x.astype(float)
    expected = reference.conv2d(wide, weight, **arguments)
    assert_exact(conv(x, weight, **arguments), expected, np.float32)
    grad = exact_integers(expected.shape, 3)
    dx = getattr(ours, f"conv{dims}d_backward_input")(grad, weight, x.shape, **arguments)
    dw, db = getattr(ours, f"conv{dims}d_backward_weight")(grad, x, weight.shape, **arguments)
    wide = grad.astype(float)
    assert_exact(
        dx, reference.conv2d_backward_input(wide, weight, x.shape, **arguments), np.float32
    )
    expected_dw, expected_db = reference.conv2d_backward_weight(wide, x, weight.shape, **arguments)
    assert_exact(dw, expected_dw, np.float32)
    assert_exact(db, expected_db, np.float32)


@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 4, 5, 6)])
def test_results_lie_as_the_input(shape):
    dims = len(shape) - 2
    conv = getattr(ops, f"conv{dims}d")
    weight = np.ones((4, 3, *[3] * dims), np.float32)
    y = conv(lay_out(exact_integers(shape, 1), "channels_last"), weight, padding=1)
    assert np.moveaxis(y, 1, -1).flags.c_contiguous
    assert conv(y[:, :3].copy(), weight, padding=1, memory_format="contiguous").flags.c_contiguous


def test_winograd_serves_slices():
    problem = parse_descriptor("n4c64d8h28k64t3p1")
    for pass_name in PASSES:
        assert "winograd" in _core.conv_implementation(problem, pass_name)
        assert "winograd" not in _core.conv_implementation(problem, pass_name, algorithm="direct")
    assert (
        _core.conv_implementation(
            parse_descriptor("n1c2d4k3t3sh2"), "forward", algorithm="winograd"
        )
        is None
    )


def test_same_bits_for_any_number_of_threads(restore_threads):
    x, weight = normal((2, 8, 12, 20, 20), 1), normal((16, 8, 3, 3, 3), 2)
    results = []
    for count in (1, 2, 5):
        fc.set_num_threads(count)
        y = ops.conv3d(x, weight, padding=1)
        dw, db = ops.conv3d_backward_weight(y, x, weight.shape, padding=1)
        dx = ops.conv3d_backward_input(y, weight, x.shape, padding=1)
        results.append([a.tobytes() for a in (y, dx, dw, db)])
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    "function, x, weight",
    [
        (lambda x, w, b: F.conv1d(x, w, b, 2, 1, 1, 2, activation="tanh"), (2, 4, 7), (6, 2, 3)),
        (lambda x, w, b: F.conv3d(x, w, b, (1, 2, 1), 1), (2, 2, 3, 4, 3), (3, 2, 2, 3, 2)),
    ],
)
def test_gradients_by_finite_differences(function, x, weight):
    arrays = (normal(x, 1, np.float64), normal(weight, 2, np.float64))
    check_gradients(function, *arrays, normal(weight[:1], 3, np.float64))


@pytest.mark.parametrize("layer, shape", [(nn.Conv1d, (2, 4, 9)), (nn.Conv3d, (2, 4, 5, 6, 7))])
def test_layers(layer, shape):
    dims = len(shape) - 2
    conv = layer(4, 6, 3, padding="same", groups=2)
    assert conv.weight.shape == (6, 2, *[3] * dims) and conv.bias.shape == (6,)
    assert repr(conv).startswith(
        f"Conv{dims}d(4, 6, kernel_size=({'3,' if dims == 1 else '3, 3, 3'}"
    )
    x = fc.tensor(normal(shape, 1))
    y = nn.Sequential(conv, nn.ReLU())(x)
    assert y.shape == (2, 6, *shape[2:]) and y.data.min() == 0
    np.testing.assert_array_equal(y.data, np.maximum(conv(x).data, 0))
    with pytest.raises(ValueError, match=f"Conv{dims}d: padding=.same. needs stride 1"):
        layer(4, 6, 3, stride=2, padding="same")
    with pytest.raises(ValueError, match=f"Conv{dims}d: kernel_size must be an integer or a t"):
        layer(4, 6, (3, 3))


def zeros(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: ops.conv1d(zeros(2, 3, 8, 8), zeros(4, 3, 3)),
            "conv1d: input has shape (2, 3, 8, 8), expected 3 dimensions (N, C, W)",
        ),
        (
            lambda: ops.conv1d(zeros(2, 3, 8), zeros(4, 2, 3)),
            "conv1d: input has 3 channels but weight (4, 2, 3) with groups=1 expects 2 "
            "(input shape (2, 3, 8))",
        ),
        (
            lambda: ops.conv3d(zeros(2, 3, 8, 8, 8), zeros(4, 3, 3, 3)),
            "conv3d: weight has shape (4, 3, 3, 3), expected 5 dimensions "
            "(out_channels, in_channels/groups, T, R, S)",
        ),
        (
            lambda: ops.conv3d(zeros(1, 3, 2, 8, 8), zeros(4, 3, 3, 3, 3)),
            "conv3d: kernel (3, 3, 3) with dilation (1, 1, 1) is larger than the padded input "
            "(2, 8, 8) (input shape (1, 3, 2, 8, 8))",
        ),
        (
            lambda: ops.conv3d_backward_input(
                zeros(1, 4, 2, 2, 2), zeros(4, 3, 3, 3, 3), (1, 3, 4, 4, 5)
            ),
            "conv3d_backward_input: grad has shape (1, 4, 2, 2, 2), expected (1, 4, 2, 2, 3)",
        ),
        (
            lambda: ops.conv1d(zeros(1, 3, 8), zeros(4, 3, 3), stride=(1, 2)),
            "conv1d: stride must be an integer or a tuple of 1 integers, got (1, 2)",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError) as raised:
        call()
    assert str(raised.value) == message


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize(
    "descriptor",
    [
        "n1c64d9h24k32t2r8sd1sh2sw2",
        "n1c64d7h26k32t4r2",
        "n2c32d3h31k64t2r7sd1sh2sw2",
        "n1c64d6h29k16t4r8sd1sh2sw2",
        "n1c16d5h12k16t3pd1ph1pw1",
    ],
)
def test_volumes_run_what_their_name_says(cpu, descriptor, layout, pass_name):
    problem = parse_descriptor(descriptor)
    arrays = tuple(
        lay_out(normal(array.shape, i), layout) for i, array in enumerate(arrays_of(problem, 0))
    )
    name = _core.conv_implementation(problem, pass_name, "float32", layout, layout)
    results = (run(cpu.ops, problem, pass_name, arrays, algorithm=a)[0] for a in ("auto", "direct"))
    same = np.array_equal(*results)
    assert same != name.startswith("winograd"), name
