"""Transposed convolution: the backward-input of a convolution as an operation of its own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gradcheck import check_gradients

import fastconv as fc
from fastconv import _core, nn, ops, reference
from fastconv.devices import Device
from fastconv.nn import functional as F
from fastconv.ops import transposed
from fastconv.testing import assert_exact, assert_matches, exact_integers, lay_out, normal

# input, weight, (stride, padding, output_padding, groups, dilation)
CASES = [
    ((2, 3, 5, 6), (3, 4, 3, 3), (1, 0, 0, 1, 1)),
    ((2, 3, 5, 6), (3, 4, 3, 2), (2, 1, 1, 1, 1)),
    ((1, 5, 4, 7), (5, 2, 4, 4), ((2, 3), (1, 0), (0, 2), 1, 1)),
    ((2, 6, 5, 5), (6, 2, 3, 3), (2, 1, 1, 2, 1)),
    ((2, 8, 7, 6), (8, 1, 3, 3), (2, 1, 0, 8, 1)),
    ((1, 4, 5, 6), (4, 3, 3, 3), (1, 1, 1, 1, 2)),
    ((1, 4, 5, 6), (4, 3, 3, 3), (2, 0, 2, 1, 3)),
    ((2, 3, 4, 5), (3, 70, 2, 2), (2, 0, 0, 1, 1)),
    ((2, 3, 4, 5), (3, 4, 1, 2), (3, 0, 2, 1, 1)),  # rows that no tap reaches
    ((1, 3, 1, 1), (3, 4, 1, 1), (2, (0, 0), 1, 1, 1)),
    ((18, 5, 6, 6), (5, 20, 3, 3), (1, 1, 0, 1, 1)),
    ((16, 6, 5, 5), (6, 12, 3, 3), (2, 1, 1, 1, 1)),
    ((0, 3, 4, 5), (3, 4, 3, 3), (2, 1, 1, 1, 1)),
    ((2, 40, 9, 9), (40, 36, 3, 3), (1, 1, 0, 1, 1)),
    ((2, 3, 9), (3, 4, 3), (2, 1, 1, 1, 1)),
    ((1, 4, 8), (4, 2, 5), (3, 2, 1, 2, 1)),
    ((2, 3, 4, 3, 5), (3, 4, 3, 3, 2), (2, 1, 1, 1, 1)),
    ((1, 4, 3, 4, 5), (4, 2, 1, 2, 3), ((3, 1, 2), (0, 0, 1), (2, 0, 1), 2, 1)),
    ((1, 2, 3, 4, 5), (2, 3, 2, 1, 1), (2, 0, 1, 1, 1)),
    ((2, 2, 4, 3, 3), (2, 3, 3, 1, 1), ((2, 1, 1), (1, 0, 0), (1, 0, 0), 1, 1)),
]


def name_of(case):
    return f"conv_transpose{len(case[0]) - 2}d"


def arrays(case, dtype=np.float32):
    x, weight, window = case
    return (
        exact_integers(x, 1, dtype),
        exact_integers(weight, 2, dtype),
        exact_integers((weight[1] * window[3],), 3, dtype),
    )


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "strided"])
@pytest.mark.parametrize("case", CASES)
def test_exact(backend, case, layout):
    name, window = name_of(case), case[2]
    for dtype, with_bias in itertools.product((np.float32, np.float64), (True, False)):
        x, weight, bias = arrays(case, dtype)
        bias = bias if with_bias else None
        wide = [None if a is None else a.astype(float) for a in (x, weight, bias)]
        expected = reference.conv_transpose2d(*wide, *window)
        x = lay_out(x, layout)
        y = getattr(backend.ops, name)(x, weight, bias, *window, algorithm="direct")
        assert_exact(y, expected, dtype)
        grad = lay_out(exact_integers(expected.shape, 4, dtype), layout)
        dx = getattr(backend.ops, name + "_backward_input")(
            grad, weight, x.shape, *window, algorithm="direct"
        )
        dw, db = getattr(backend.ops, name + "_backward_weight")(
            grad, x, weight.shape, *window, bias=with_bias, algorithm="direct"
        )
        wide = grad.astype(float)
        assert_exact(
            dx, reference.conv_transpose2d_backward_input(wide, weight, x.shape, *window), dtype
        )
        expected_dw, expected_db = reference.conv_transpose2d_backward_weight(
            wide, x.astype(float), weight.shape, *window
        )
        assert_exact(dw, expected_dw, dtype)
        if with_bias:
            assert_exact(db, expected_db, dtype)
        else:
            assert db is None


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("case", CASES)
def test_fused_bias_and_activation(backend, case, layout, activation):
    x, weight, bias = (array * np.float32(0.125) for array in arrays(case))
    y = getattr(backend.ops, name_of(case))(
        lay_out(x, layout), weight, bias, *case[2], activation=activation, algorithm="direct"
    )
    wide = [a.astype(float) for a in (x, weight, bias)]
    expected = reference.conv_transpose2d(*wide, *case[2], activation=activation)
    assert_matches(y, expected, np.float32)


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_gradient_of_a_convolution(case):
    """<conv(y), x> = <y, conv_transpose(x)>; the padding of the result may hide its last cells."""
    x, weight, _ = arrays(case, np.float64)
    stride, padding, _, groups, dilation = case[2]
    y = getattr(ops, name_of(case))(x, weight, None, *case[2])
    other = exact_integers(y.shape, 7, np.float64)
    conv = getattr(ops, f"conv{y.ndim - 2}d")(
        other, weight, None, stride, padding, dilation, groups
    )
    inside = (..., *(slice(size) for size in x.shape[2:]))
    assert np.vdot(conv[inside], x) == np.vdot(other, y)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_results_lie_as_asked(layout):
    x, weight = lay_out(exact_integers((2, 3, 4, 5), 1), layout), exact_integers((3, 4, 3, 3), 2)
    y = ops.conv_transpose2d(x, weight, stride=2)
    lies = np.moveaxis(y, 1, -1) if layout == "channels_last" else y
    assert lies.flags.c_contiguous
    out = np.full(y.shape, np.nan, np.float32)
    assert ops.conv_transpose2d(x, weight, stride=2, out=out) is out
    np.testing.assert_array_equal(out, y)
    z = ops.conv_transpose2d(x, weight, stride=2, memory_format="channels_last")
    assert np.moveaxis(z, 1, -1).flags.c_contiguous


@pytest.mark.parametrize(
    "function, x, weight, outputs",
    [
        (
            lambda x, w, b: F.conv_transpose1d(x, w, b, 2, 1, 1, 2, activation="sigmoid"),
            (2, 4, 4),
            (4, 3, 3),
            6,
        ),
        (lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1), (2, 3, 3, 2), (3, 2, 3, 3), 2),
        (
            lambda x, w, b: F.conv_transpose3d(x, w, b, (1, 2, 2), activation="tanh"),
            (1, 2, 2, 2, 2),
            (2, 2, 2, 1, 2),
            2,
        ),
    ],
)
def test_gradients_by_finite_differences(function, x, weight, outputs):
    check_gradients(
        function,
        normal(x, 1, np.float64),
        normal(weight, 2, np.float64),
        normal((outputs,), 3, np.float64),
    )


@pytest.mark.parametrize(
    "layer, shape", [(nn.ConvTranspose1d, (2, 4, 5)), (nn.ConvTranspose2d, (2, 4, 5, 4)),
                     (nn.ConvTranspose3d, (2, 4, 3, 4, 5))],
)  # fmt: skip
def test_layers(layer, shape):
    dims = len(shape) - 2
    conv = layer(4, 6, 3, 2, 1, 1, 2)
    assert conv.weight.shape == (4, 3, *[3] * dims) and conv.bias.shape == (6,)
    x = fc.tensor(normal(shape, 1))
    y = nn.Sequential(conv, nn.ReLU())(x)
    assert y.shape == (2, 6, *(2 * size for size in shape[2:]))
    np.testing.assert_array_equal(y.data, np.maximum(conv(x).data, 0))
    bound = 1 / np.sqrt(3 * 3**dims)
    assert 0.5 * bound < np.abs(conv.weight.data).max() <= bound
    with pytest.raises(ValueError, match="must be smaller than stride"):
        layer(4, 6, 3, stride=2, output_padding=2)
    with pytest.raises(TypeError, match="padding must be an integer"):
        layer(4, 6, 3, padding="same")


def zeros(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: ops.conv_transpose2d(zeros(2, 3, 8, 8), zeros(4, 3, 3, 3)),
            "conv_transpose2d: input has 3 channels but weight (4, 3, 3, 3) expects 4 "
            "(input shape (2, 3, 8, 8))",
        ),
        (
            lambda: ops.conv_transpose2d(zeros(2, 3, 8), zeros(3, 4, 3, 3)),
            "conv_transpose2d: input has shape (2, 3, 8), expected 4 dimensions (N, C, H, W)",
        ),
        (
            lambda: ops.conv_transpose1d(zeros(2, 3, 8), zeros(3, 4, 3, 3)),
            "conv_transpose1d: weight has shape (3, 4, 3, 3), expected 3 dimensions "
            "(in_channels, out_channels/groups, S)",
        ),
        (
            lambda: ops.conv_transpose2d(zeros(2, 3, 8, 8), zeros(3, 4, 3, 3), groups=2),
            "conv_transpose2d: weight (3, 4, 3, 3) has 3 input channels, which groups=2 does not "
            "divide",
        ),
        (
            lambda: ops.conv_transpose2d(zeros(2, 3, 8, 8), zeros(3, 4, 3, 3), output_padding=1),
            "conv_transpose2d: output_padding (1, 1) must be smaller than stride (1, 1) or "
            "dilation (1, 1)",
        ),
        (
            lambda: ops.conv_transpose2d(zeros(2, 3, 2, 2), zeros(3, 4, 1, 1), padding=1),
            "conv_transpose2d: padding (1, 1) leaves no output (input shape (2, 3, 2, 2), kernel "
            "(1, 1))",
        ),
        (
            lambda: ops.conv_transpose2d(zeros(2, 3, 4, 4), zeros(3, 4, 3, 3), zeros(3)),
            "conv_transpose2d: bias has shape (3,), expected (4,)",
        ),
        (
            lambda: ops.conv_transpose2d_backward_input(
                zeros(2, 4, 5, 5), zeros(3, 4, 3, 3), (2, 3, 4, 4)
            ),
            "conv_transpose2d_backward_input: grad has shape (2, 4, 5, 5), expected (2, 4, 6, 6)",
        ),
        (
            lambda: ops.conv_transpose2d_backward_weight(
                zeros(2, 4, 6, 6), zeros(2, 3, 4, 4), (3, 4, 2, 3)
            ),
            "conv_transpose2d_backward_weight: grad has shape (2, 4, 6, 6), expected (2, 4, 5, 6)",
        ),
        (
            lambda: ops.conv_transpose2d(zeros(2, 3, 4, 4), zeros(3, 4, 3, 3), stride=2**31),
            "conv_transpose2d: stride must be at most 2147483647, got (2147483648, 2147483648)",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError) as raised:
        call()
    assert str(raised.value) == message


def test_types():
    with pytest.raises(TypeError, match=r"conv_transpose2d: x must be a NumPy array"):
        ops.conv_transpose2d([1.0], zeros(3, 4, 3, 3))
    with pytest.raises(TypeError, match="conv_transpose2d: weight is float64 but x is float32"):
        ops.conv_transpose2d(zeros(2, 3, 4, 4), zeros(3, 4, 3, 3).astype(float))
    with pytest.raises(TypeError, match=r"conv_transpose2d: input must be a Tensor"):
        F.conv_transpose2d(zeros(2, 3, 4, 4), zeros(3, 4, 3, 3))


def test_descriptor_of_output_padding_beyond_the_stride():
    p = ops.conv_transpose_problem((1, 2, 5, 6), (2, 3, 3, 3), 1, 0, (1, 2), 1, (2, 3))
    assert p.padding == ((0, -1), (0, -2))
    again = _core.parse_descriptor(str(p))
    assert again == p and again.output_shape == p.output_shape == (1, 2, 5, 6)
    assert again.input_shape == p.input_shape
    p = ops.conv_transpose_problem((1, 2, 5), (2, 3, 3), 1, 0, 1, 1, 2, spatial=1)
    assert str(p).endswith("q-1") and _core.parse_descriptor(str(p)) == p


@pytest.mark.parametrize(
    "text, message",
    [
        ("n1c3h8k2r3q-1", "padding after of -1; below 0"),
        ("n1c3h3k2r1dh4q-3", "padding after of -3; below 0"),
        ("n1c3h8k2r3dh2q-9223372036854775807", "padding after of -9223372036854775807"),
        ("n1c3h8k2r3q-", "malformed"),
        ("n1c3h8k2r3p-1", "malformed"),
        ("pool:n1c3h8r3q-1", "means nothing here"),
    ],
)
def test_descriptors_with_a_sign_that_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        _core.parse_descriptor(text)


@pytest.mark.parametrize("wrong", [{"activation": "gelu"}, {"activation": 3}, {"bias": "float64"}])
def test_what_devices_refuse_is_what_the_cpu_refuses(monkeypatch, wrong):
    x, weight = np.ones((1, 2, 3, 3), np.float32), np.ones((2, 2, 3, 3), np.float32)
    bias = np.ones(2, wrong["bias"]) if "bias" in wrong else None
    activation = wrong.get("activation")
    with pytest.raises((TypeError, ValueError)) as on_cpu:
        ops.conv_transpose2d(x, weight, bias, activation=activation)
    monkeypatch.setattr(transposed, "device_of", lambda _: Device("cuda", 0))
    with pytest.raises(type(on_cpu.value)) as on_device:
        ops.conv_transpose2d(x, weight, bias, activation=activation)
    assert str(on_device.value) == str(on_cpu.value)


@pytest.mark.parametrize("algorithm", ["auto", "direct"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_sigmoid_without_bias_where_no_tap_reaches(backend, dims, algorithm):
    x, weight = np.ones((1, 2) + (2,) * dims, np.float32), np.ones((2, 2) + (1,) * dims, np.float32)
    transposed = getattr(backend.ops, f"conv_transpose{dims}d")
    y = transposed(x, weight, None, 2, activation="sigmoid", algorithm=algorithm)
    expected = getattr(reference, f"conv_transpose{dims}d")
    wide = expected(x.astype(float), weight.astype(float), None, 2, activation="sigmoid")
    assert_matches(y, wide, np.float32, 2)
