"""Bad input gets the documented exception; its text names operation, argument and shapes."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from fastconv import ops

HUGE = 2**62
f32 = np.float32


def zeros(*shape, dtype=f32):
    return np.zeros(shape, dtype)


X, W, B = zeros(2, 3, 8, 8), zeros(4, 3, 3, 3), zeros(4)
Y = zeros(2, 4, 6, 6)
LOGITS, TARGET = zeros(5, 3), np.zeros(5, np.int64)


def conv(*arguments, **settings):
    return lambda: ops.conv2d(*arguments, **settings)


def pool(**settings):
    return lambda: ops.max_pool2d(X, **{"kernel_size": 2, **settings})


WRONG_SHAPES = [
    (
        lambda: ops.conv2d(zeros(8, 3, 32, 32), zeros(64, 16, 3, 3)),
        "conv2d: input has 3 channels but weight (64, 16, 3, 3) with groups=1 expects 16 "
        "(input shape (8, 3, 32, 32))",
    ),
    (
        conv(zeros(3, 8, 8), W),
        "conv2d: input has shape (3, 8, 8), expected 4 dimensions (N, C, H, W)",
    ),
    (conv(zeros(), W), "conv2d: input has shape (), expected 4 dimensions (N, C, H, W)"),
    (conv(X, zeros(4, 3, 3)), "conv2d: weight has shape (4, 3, 3), expected 4 dimensions"),
    (conv(X, W, zeros(5)), "conv2d: bias has shape (5,), expected (4,)"),
    (conv(X, W, zeros(4, 1)), "conv2d: bias has shape (4, 1), expected (4,)"),
    (
        conv(zeros(2, 3, 2, 2), W),
        "conv2d: kernel (3, 3) with dilation (1, 1) is larger than the padded input (2, 2) "
        "(input shape (2, 3, 2, 2))",
    ),
    (
        conv(X, W, dilation=4),
        "conv2d: kernel (3, 3) with dilation (4, 4) is larger than the padded",
    ),
    (conv(X, zeros(4, 1, 3, 3), groups=3), "output channels, which groups=3 does not divide"),
    (conv(X, W, groups=2), "conv2d: input has 3 channels but weight (4, 3, 3, 3) with groups=2"),
    (conv(zeros(2, 3, 0, 8), W, padding=2), "conv2d: input (2, 3, 0, 8) is empty"),
    (conv(zeros(2, 0, 8, 8), zeros(4, 0, 3, 3)), "conv2d: input (2, 0, 8, 8) has no channels"),
    (conv(X, zeros(0, 3, 3, 3)), "conv2d: weight (0, 3, 3, 3) has no output channels"),
    (conv(X, zeros(4, 3, 0, 3)), "conv2d: kernel size must be at least 1, got (0, 3)"),
    (
        lambda: ops.conv2d_backward_input(zeros(2, 4, 5, 6), W, X.shape),
        "conv2d_backward_input: grad has shape (2, 4, 5, 6), expected (2, 4, 6, 6)",
    ),
    (
        lambda: ops.conv2d_backward_weight(zeros(2, 4, 6, 5), X, W.shape),
        "conv2d_backward_weight: grad has shape (2, 4, 6, 5), expected (2, 4, 6, 6)",
    ),
    (
        lambda: ops.conv_forward(ops.conv_problem(X.shape, W.shape), zeros(1, 3, 8, 8), W),
        "conv2d: x has shape (1, 3, 8, 8), expected (2, 3, 8, 8)",
    ),
    (pool(kernel_size=9), "max_pool2d: kernel_size (9, 9) is larger than"),
    (pool(padding=2), "max_pool2d: padding (2, 2) must be at most half of kernel_size (2, 2)"),
    (
        lambda: ops.max_pool2d(zeros(2, 3, 8), 2),
        "max_pool2d: input has shape (2, 3, 8), expected 4 dimensions (N, C, H, W)",
    ),
    (
        lambda: ops.max_pool2d_backward(
            zeros(2, 3, 4, 4), np.zeros((2, 3, 4, 5), np.int64), X.shape
        ),
        "max_pool2d_backward: indices has shape (2, 3, 4, 5), expected (2, 3, 4, 4)",
    ),
    (
        lambda: ops.max_pool2d_backward(
            zeros(2, 4, 4, 4), np.zeros((2, 4, 4, 4), np.int64), X.shape
        ),
        "max_pool2d_backward: grad has shape (2, 4, 4, 4)",
    ),
    (
        lambda: ops.linear(zeros(5, 7), zeros(3, 8)),
        "linear: input has 7 features but weight (3, 8) expects 8 (input shape (5, 7))",
    ),
    (lambda: ops.linear(zeros(), zeros(3, 8)), "linear: input has shape (), expected"),
    (lambda: ops.linear(zeros(5, 8), zeros(8)), "linear: weight has shape (8,), expected 2 dim"),
    (
        lambda: ops.linear(zeros(5, 8), zeros(3, 8), zeros(4)),
        "linear: bias has shape (4,), expected (3,)",
    ),
    (
        lambda: ops.linear_backward_input(zeros(5, 4), zeros(3, 8)),
        "linear_backward_input: grad has shape (5, 4), expected (..., 3) for weight (3, 8)",
    ),
    (
        lambda: ops.linear_backward_weight(zeros(6, 3), zeros(5, 8)),
        "linear_backward_weight: grad has shape (6, 3), expected (..., out_features) with the "
        "leading dimensions of x (5, 8)",
    ),
    (
        lambda: ops.relu_backward(zeros(3), zeros(4)),
        "relu_backward: grad has shape (3,), expected (4,)",
    ),
    (
        lambda: ops.softmax_backward(zeros(3, 4), zeros(4, 3)),
        "softmax_backward: grad has shape (3, 4), expected (4, 3)",
    ),
    (lambda: ops.softmax(zeros(3, 4), 2), "softmax: dim must be in [-2, 1]"),
    (lambda: ops.log_softmax(zeros(3, 4), -3), "log_softmax: dim must be in [-2, 1]"),
    (lambda: ops.cross_entropy(zeros(5), TARGET), "cross_entropy: logits has shape (5,)"),
    (
        lambda: ops.cross_entropy(LOGITS, TARGET[:4]),
        "cross_entropy: target has shape (4,), expected (5,)",
    ),
    (
        lambda: ops.cross_entropy_backward(zeros(5), LOGITS, TARGET),
        "cross_entropy_backward: grad has shape (5,), expected ()",
    ),
]

WRONG_VALUES = [
    (conv(X, W, stride=0), "conv2d: stride must be at least 1, got (0, 0)"),
    (conv(X, W, stride=(1, -2)), "conv2d: stride must be at least 1, got (1, -2)"),
    (conv(X, W, dilation=0), "conv2d: dilation must be at least 1, got (0, 0)"),
    (conv(X, W, padding=-1), "conv2d: padding must be at least 0, got (-1, -1)"),
    (conv(X, W, padding=((0, 0), (0, -1))), "conv2d: padding must be at least 0"),
    (conv(X, W, groups=0), "conv2d: groups must be at least 1, got 0"),
    (conv(X, W, groups=-3), "conv2d: groups must be at least 1, got -3"),
    (conv(X, W, groups=HUGE), "conv2d: input has 3 channels"),
    (conv(X, W, stride=HUGE), "conv2d: stride must be at most"),
    (conv(X, W, dilation=HUGE), "conv2d: dilation must be at most"),
    (conv(X, W, padding=HUGE), "conv2d: padding must be at most"),
    (conv(X, W, padding=2**70), "conv2d: padding does not fit 64 bits"),
    (conv(X, W, stride=-(2**70)), "conv2d: stride does not fit 64 bits"),
    (conv(X, W, padding=2**30), "conv2d: "),
    (conv(X, W, stride=(1, 1, 1)), "conv2d: stride must be an integer or a tuple of 2 integers"),
    (conv(X, W, padding=(1, 2, 3)), "conv2d: padding must be an integer or a tuple of 2 integers"),
    (conv(X, W, padding=((1, 2),)), "conv2d: padding has 1 pairs, expected 2"),
    (conv(X, W, padding=((1, 2), (3,))), "(before, after) is expected"),
    (conv(X, W, padding="full"), 'conv2d: padding must be "same" or "valid", got \'full\''),
    (conv(X, W, padding="same", stride=2), 'conv2d: padding="same" needs stride 1, got (2, 2)'),
    (
        conv(X, W, activation="gelu"),
        'conv2d: activation must be None, "relu", "sigmoid" or "tanh", got \'gelu\'',
    ),
    (conv(X, W, algorithm="fft"), 'conv2d: algorithm must be "auto", "direct" or "winograd"'),
    (conv(X, W, memory_format="NHWC"), 'conv2d: memory_format must be None, "contiguous" or'),
    (
        lambda: ops.conv2d_backward_input(Y, W, (2, 3, HUGE, HUGE)),
        "conv2d_backward_input: input of shape (2, 3, 4611686018427387904, 4611686018427387904) "
        "is too large to hold",
    ),
    (
        lambda: ops.conv2d_backward_input(Y, W, (2, 3, -8, 8)),
        "conv2d_backward_input: input has a neg",
    ),
    (lambda: ops.conv2d_backward_weight(Y, X, (4, 3, HUGE, 3)), "conv2d_backward_weight: "),
    (pool(kernel_size=0), "max_pool2d: kernel_size must be at least 1, got (0, 0)"),
    (pool(kernel_size=HUGE), "max_pool2d: kernel_size must be at most"),
    (pool(stride=0), "max_pool2d: stride must be at least 1"),
    (pool(stride=HUGE), "max_pool2d: stride must be at most"),
    (pool(padding=-1), "max_pool2d: padding must be at least 0"),
    (
        lambda: ops.max_pool2d(zeros(2, 3, 1, 3), 2, 1, 1, 2),
        "max_pool2d: a window with dilation 2 and padding 1 lies in the padding alone "
        "(input shape (2, 3, 1, 3))",
    ),
    (pool(dilation=HUGE), "max_pool2d: dilation must be at most"),
    (
        lambda: ops.max_pool2d_backward(
            zeros(2, 3, 4, 4), np.full((2, 3, 4, 4), 64, np.int64), X.shape
        ),
        "max_pool2d_backward: ",
    ),
    (
        lambda: ops.max_pool2d_backward(
            zeros(2, 3, 4, 4), np.full((2, 3, 4, 4), -1, np.int64), X.shape
        ),
        "max_pool2d_backward: ",
    ),
    (lambda: ops.cross_entropy(LOGITS, TARGET + 3), "cross_entropy: target[0] is 3"),
    (
        lambda: ops.cross_entropy(LOGITS, TARGET, reduction="max"),
        "cross_entropy: reduction must be",
    ),
    (lambda: ops.softmax(zeros(3), HUGE), "softmax: dim must be in [-1, 0]"),
]

WRONG_TYPES = [
    (conv([[1.0]], W), "conv2d: x must be a NumPy array or have __dlpack__, got list"),
    (conv(None, W), "conv2d: x must be a NumPy array or have __dlpack__, got NoneType"),
    (conv(X, "weights"), "conv2d: weight must be a NumPy array or have __dlpack__, got str"),
    (conv(X, W, [0.0] * 4), "conv2d: bias must be a NumPy array or have __dlpack__, got list"),
    (conv(X.astype(np.int32), W), "conv2d: x must be float32 or float64, got int32"),
    (conv(X.astype(np.float16), W), "conv2d: x must be float32 or float64, got float16"),
    (conv(X.astype(complex), W), "conv2d: x must be float32 or float64, got complex128"),
    (conv(X.astype(object), W), "conv2d: x must be float32 or float64, got object"),
    (
        conv(X.astype(">f4"), W),
        "conv2d: x must be float32 or float64, got >f4, not in native byte order",
    ),
    (conv(X.astype(np.longdouble), W), "conv2d: x must be float32 or float64, got"),
    (conv(X, W.astype(float)), "conv2d: weight is float64 but x is float32"),
    (conv(X, W, B.astype(float)), "conv2d: bias is float64 but x is float32"),
    (
        conv(X, W, stride=1.0),
        "conv2d: stride must be an integer or a tuple of 2 integers, got float",
    ),
    (conv(X, W, stride=(1, 1.0)), "conv2d: stride must be an integer, got float"),
    (
        conv(X, W, stride=True),
        "conv2d: stride must be an integer or a tuple of 2 integers, got bool",
    ),
    (
        conv(X, W, stride=None),
        "conv2d: stride must be an integer or a tuple of 2 integers, got None",
    ),
    (conv(X, W, padding=math.nan), "conv2d: padding must be"),
    (conv(X, W, groups="2"), "conv2d: groups must be an integer, got str"),
    (
        lambda: ops.max_pool2d(X, 2, ceil_mode="no"),
        "max_pool2d: ceil_mode must be a bool, got str",
    ),
    (
        lambda: ops.adaptive_max_pool2d(X, 2, return_indices=None),
        "adaptive_max_pool2d: return_indices must be a bool, got NoneType",
    ),
    (
        lambda: ops.avg_pool2d(X, 2, count_include_pad=1),
        "avg_pool2d: count_include_pad must be a bool, got int",
    ),
    (conv(X, W, activation=3), "conv2d: activation must be"),
    (conv(X, W, out=[]), "conv2d: out must be a NumPy array or have __dlpack__, got list"),
    (conv(X, W, out=Y.astype(float)), "conv2d: out must be float32, got float64"),
    (
        lambda: ops.max_pool2d_backward(
            zeros(2, 3, 4, 4), np.zeros((2, 3, 4, 4), np.int32), X.shape
        ),
        "max_pool2d_backward: indices must be int64, got int32",
    ),
    (
        lambda: ops.linear(zeros(5, 8), zeros(3, 8, dtype=float)),
        "linear: weight is float64 but x is",
    ),
    (lambda: ops.relu("x"), "relu: x must be a NumPy array or have __dlpack__, got str"),
    (lambda: ops.relu(np.arange(3)), "relu: x must be float32 or float64, got int64"),
    (
        lambda: ops.cross_entropy(LOGITS, TARGET.astype(f32)),
        "cross_entropy: target must be int64 or int32",
    ),
    (lambda: ops.softmax(LOGITS, 1.0), "softmax: dim must be an integer, got float"),
]


def identity(case):
    return re.sub(r"\W+", "-", case)[:60] if isinstance(case, str) else ""


@pytest.mark.parametrize("call, text", WRONG_SHAPES + WRONG_VALUES, ids=identity)
def test_shapes_and_values(call, text):
    with pytest.raises(ValueError) as raised:
        call()
    assert text in str(raised.value)


@pytest.mark.parametrize("call, text", WRONG_TYPES, ids=identity)
def test_types(call, text):
    with pytest.raises(TypeError) as raised:
        call()
    assert text in str(raised.value)
