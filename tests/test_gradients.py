"""Every recorded operation against finite differences in float64."""

from __future__ import annotations

import numpy as np
import pytest
from gradcheck import check_gradients
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import fastconv as fc
import fastconv.nn.functional as F


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def apart(*shape):
    """Values at least 0.05 from 0 and from each other: no kink within a finite difference."""
    size = int(np.prod(shape))
    values = (np.arange(size) - size // 2 + 0.5) * 0.1
    return np.random.default_rng(3).permutation(values).reshape(shape)


def positive(*shape):
    return np.abs(normal(*shape)) + 0.5


UNARY = {
    "neg": (lambda x: -x, normal(3, 4)),
    "exp": (lambda x: x.exp(), normal(3, 4)),
    "log": (lambda x: x.log(), positive(3, 4)),
    "sqrt": (lambda x: x.sqrt(), positive(3, 4)),
    "square": (lambda x: x**2, normal(3, 4)),
    "cube": (lambda x: x**3, normal(3, 4)),
    "root": (lambda x: x**0.5, positive(3, 4)),
    "reciprocal": (lambda x: x**-1, positive(3, 4)),
    "exponent": (lambda x: 2.0**x, normal(3, 4)),
    "log1p": (lambda x: x.log1p(), positive(3, 4)),
    "abs": (lambda x: abs(x), apart(3, 4)),
    "clamp": (lambda x: x.clamp(-0.3, 0.42), apart(3, 4)),
    "clamp from below": (lambda x: x.clamp(min=0.02), apart(3, 4)),
    "relu": (lambda x: x.relu(), apart(3, 4)),
    "sigmoid": (lambda x: x.sigmoid(), normal(3, 4)),
    "tanh": (lambda x: x.tanh(), normal(3, 4)),
    "sum": (lambda x: x.sum(), normal(2, 3, 4)),
    "sum of one dim": (lambda x: x.sum(1), normal(2, 3, 4)),
    "sum of two, kept": (lambda x: x.sum((0, -1), keepdim=True), normal(2, 3, 4)),
    "mean": (lambda x: x.mean(), normal(2, 3, 4)),
    "mean of one dim": (lambda x: x.mean(-1), normal(2, 3, 4)),
    "max": (lambda x: x.max(), apart(2, 3, 4)),
    "max of one dim": (lambda x: x.max(1).values, apart(2, 3, 4)),
    "max of one dim, kept": (lambda x: x.max(-1, keepdim=True)[0], apart(2, 3, 4)),
    "reshape": (lambda x: x.reshape(4, -1), normal(2, 3, 4)),
    "view": (lambda x: x.view((6, 4)), normal(2, 3, 4)),
    "flatten": (lambda x: x.flatten(1), normal(2, 3, 4)),
    "transpose": (lambda x: x.transpose(0, -1), normal(2, 3, 4)),
    "permute": (lambda x: x.permute(2, 0, 1), normal(2, 3, 4)),
    "T": (lambda x: x.T, normal(3, 4)),
    "reshaped after a transpose": (lambda x: x.permute(0, 2, 1).reshape(-1), normal(2, 3, 4)),
    "one element": (lambda x: x[1, 2], normal(3, 4)),
    "slices": (lambda x: x[::-2, None, 1:], normal(3, 4)),
    "repeated indices": (lambda x: x[np.array([0, 2, 0, 0])], normal(3, 4)),
    "tensor indices": (lambda x: x[fc.tensor([0, 2]), fc.tensor([1, 1])], normal(3, 4)),
    "mask": (lambda x: x[np.arange(12).reshape(3, 4) % 2 == 0], normal(3, 4)),
    "clone": (lambda x: x.clone(), normal(3, 4)),
    "used twice": (lambda x: x * x + x, normal(3, 4)),
    "used thrice": (lambda x: x * x * x - x.exp() + 2 * x, normal(3, 4)),
    "softmax": (lambda x: F.softmax(x, 1), normal(3, 4)),
    "softmax of the first dim": (lambda x: F.softmax(x, 0), normal(3, 4, 2)),
    "log_softmax": (lambda x: F.log_softmax(x), normal(3, 4)),
    "log_softmax of the middle": (lambda x: F.log_softmax(x, 1), normal(3, 4, 2)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), apart(2, 3, 4, 6)),
    "max_pool2d, overlapping": (
        lambda x: F.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True),
        apart(1, 2, 6, 6),
    ),
    "cross_entropy": (lambda x: F.cross_entropy(x, fc.tensor([3, 0, 1])), normal(3, 4)),
    "cross_entropy, sum": (
        lambda x: F.cross_entropy(x, fc.tensor([3, 0, 1]), reduction="sum"),
        normal(3, 4),
    ),
    "cross_entropy, none": (
        lambda x: F.cross_entropy(x, fc.tensor([3, 0, 1]), reduction="none"),
        normal(3, 4),
    ),
}


@pytest.mark.parametrize("name", UNARY)
def test_one_tensor(name):
    check_gradients(*UNARY[name])


SEVERAL = {
    "add": (lambda a, b: a + b, normal(3, 4), normal(4, seed=1)),
    "sub": (lambda a, b: a - b, normal(3, 1), normal(4, seed=1)),
    "mul": (lambda a, b: a * b, normal(3, 4), normal(3, 1, seed=1)),
    "div": (lambda a, b: a / b, normal(4), positive(3, 4)),
    "pow": (lambda a, b: a**b, positive(3, 4), normal(4, seed=1)),
    "matrices": (lambda a, b: a @ b, normal(3, 4), normal(4, 2, seed=1)),
    "matrix and vector": (lambda a, b: a @ b, normal(3, 4), normal(4, seed=1)),
    "vector and matrix": (lambda a, b: a @ b, normal(4), normal(4, 2, seed=1)),
    "vectors": (lambda a, b: a @ b, normal(4), normal(4, seed=1)),
    "batches": (lambda a, b: a @ b, normal(2, 1, 3, 4), normal(5, 4, 2, seed=1)),
    "batch and vector": (lambda a, b: a @ b, normal(2, 3, 4), normal(4, seed=1)),
    "vector and batch": (lambda a, b: a @ b, normal(4), normal(2, 4, 3, seed=1)),
    "cat": (lambda a, b: fc.cat([a, b], 1), normal(2, 3), normal(2, 1, seed=1)),
    "mse_loss": (lambda a, b: F.mse_loss(a, b), normal(3, 4), normal(3, 4, seed=1)),
    "mse_loss, sum": (
        lambda a, b: F.mse_loss(a, b, reduction="sum"),
        normal(3, 4),
        normal(3, 4, seed=1),
    ),
    "mse_loss, none": (
        lambda a, b: F.mse_loss(a, b, reduction="none"),
        normal(3, 4),
        normal(3, 4, seed=1),
    ),
    "linear": (F.linear, normal(3, 4), normal(2, 4, seed=1), normal(2, seed=2)),
    "linear without bias": (F.linear, normal(3, 4), normal(2, 4, seed=1)),
    "linear of more dimensions": (F.linear, normal(2, 3, 4), normal(2, 4, seed=1), normal(2)),
    "conv2d": (F.conv2d, normal(2, 2, 5, 4), normal(3, 2, 3, 2, seed=1), normal(3, seed=2)),
    "conv2d without bias": (F.conv2d, normal(1, 2, 5, 4), normal(3, 2, 3, 2, seed=1)),
    "conv2d with everything": (
        lambda x, w, b: F.conv2d(x, w, b, (2, 1), ((1, 0), (2, 1)), (1, 2), 2),
        normal(2, 4, 6, 5),
        normal(6, 2, 3, 2, seed=1),
        normal(6, seed=2),
    ),
    'conv2d, "same"': (
        lambda x, w: F.conv2d(x, w, padding="same"),
        normal(1, 1, 4, 4),
        normal(1, 1, 2, 3, seed=1),
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_tensors(name):
    check_gradients(*SEVERAL[name])


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_fused_activations(activation):
    check_gradients(
        lambda x, w, b: F.conv2d(x, w, b, padding=1, activation=activation),
        normal(2, 2, 4, 4),
        normal(3, 2, 3, 3, seed=1),
        normal(3, seed=2),
    )
    check_gradients(
        lambda x, w, b: F.linear(x, w, b, activation=activation),
        normal(3, 4),
        normal(2, 4, seed=1),
        normal(2, seed=2),
    )


@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div"])
@given(shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3))
def test_broadcasting(operation, shapes):
    function = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
    }[operation]
    a, b = (positive(*shape) for shape in shapes.input_shapes)
    assert function(fc.tensor(a), fc.tensor(b)).shape == shapes.result_shape
    check_gradients(function, a, b)


@given(st.data())
def test_sums_over_any_dimensions(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 3), max_size=4)))
    dims = data.draw(st.sets(st.integers(0, len(shape) - 1))) if shape else set()
    keepdim = data.draw(st.booleans())
    signed = tuple(d - len(shape) * data.draw(st.booleans()) for d in dims) or None
    expected = positive(*shape).sum(axis=tuple(dims) or None, keepdims=keepdim)
    result = fc.tensor(positive(*shape)).sum(signed, keepdim)
    np.testing.assert_allclose(result.data, expected, rtol=1e-14)
    assert result.shape == np.shape(expected)
    check_gradients(lambda x: x.sum(signed, keepdim), positive(*shape))
    check_gradients(lambda x: x.mean(signed, keepdim), positive(*shape))


@pytest.mark.parametrize("channels_last", [False, True])
def test_channels_last_activations_keep_the_logical_order(channels_last):
    def network(x, w):
        y = F.conv2d(x, w, padding=1, memory_format="channels_last" if channels_last else None)
        strides = y.data.strides
        assert (strides[1] < strides[3]) == channels_last
        y = F.max_pool2d(F.tanh(y), 2)
        return y.view(-1, 3 * 2 * 3) * fc.tensor(np.arange(18.0))

    check_gradients(network, apart(2, 2, 4, 6), normal(3, 2, 3, 3, seed=1))
