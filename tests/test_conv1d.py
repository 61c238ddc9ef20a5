"""Convolution in one dimension, as a function of tensors and as a layer."""

from __future__ import annotations

import numpy as np
import pytest
from gradcheck import check_gradients

import fastconv as fc
from fastconv import nn, reference
from fastconv.nn import functional as F
from fastconv.testing import assert_exact, exact_integers, normal


@pytest.mark.parametrize(
    "arguments",
    [
        {"padding": "same", "dilation": 2},
        {"padding": ((2, 1),), "stride": 2},
        {"padding": (3,), "stride": [2], "activation": "relu"},
        {"padding": "valid", "dilation": (3,)},
    ],
)
def test_exact(arguments):
    x, weight = exact_integers((2, 3, 19), 1), exact_integers((4, 3, 3), 2)
    bias = exact_integers((4,), 3)
    y = F.conv1d(fc.tensor(x), fc.tensor(weight), fc.tensor(bias), **arguments)
    assert_exact(y.data, reference.conv2d(x.astype(float), weight, bias, **arguments), np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("padding, dilation", [(0, 1), (4, 1), (1, 3), (40, 2)])
@pytest.mark.parametrize("width", [9, 64, 71, 150, 301])
def test_depthwise_lines_are_exact(cpu, width, padding, dilation, dtype):
    """Tiles of eight vectors, single ones, and columns at the edges, in all three passes."""
    x, weight = exact_integers((2, 6, width), 1, dtype), exact_integers((6, 2, 4), 2, dtype)
    arguments = {"padding": padding, "dilation": dilation, "groups": 3}
    bias = exact_integers((6,), 3, dtype)
    y = cpu.ops.conv1d(x, weight, bias, activation="relu", **arguments)
    expected = reference.conv1d(x, weight, bias, activation="relu", **arguments)
    assert_exact(y, expected, dtype)
    grad = exact_integers(y.shape, 4, dtype)
    dx = cpu.ops.conv1d_backward_input(grad, weight, x.shape, **arguments)
    assert_exact(dx, reference.conv1d_backward_input(grad, weight, x.shape, **arguments), dtype)
    results = cpu.ops.conv1d_backward_weight(grad, x, weight.shape, **arguments)
    theirs = reference.conv1d_backward_weight(grad, x, weight.shape, **arguments)
    for ours, reference_result in zip(results, theirs, strict=True):
        assert_exact(ours, reference_result, dtype)


def test_gradients_by_finite_differences():
    check_gradients(
        lambda x, w, b: F.conv1d(x, w, b, 2, 1, 1, 2, activation="tanh"),
        normal((2, 4, 7), 1, np.float64),
        normal((6, 2, 3), 2, np.float64),
        normal((6,), 3, np.float64),
    )


def test_layer():
    conv = nn.Conv1d(4, 6, 3, padding="same", groups=2)
    assert conv.weight.shape == (6, 2, 3) and conv.bias.shape == (6,)
    assert repr(conv).startswith("Conv1d(4, 6, kernel_size=(3,), stride=(1,), padding=same")
    x = fc.tensor(normal((2, 4, 9), 1))
    y = nn.Sequential(conv, nn.ReLU())(x)
    assert y.shape == (2, 6, 9) and y.data.min() == 0
    np.testing.assert_array_equal(y.data, np.maximum(conv(x).data, 0))
    with pytest.raises(ValueError, match=r"Conv1d: padding=.same. needs stride 1"):
        nn.Conv1d(4, 6, 3, stride=2, padding="same")
    with pytest.raises(ValueError, match="Conv1d: kernel_size must be an integer or a tuple of"):
        nn.Conv1d(4, 6, (3, 3))
    with pytest.raises(ValueError, match="conv1d: input has shape"):
        conv(fc.zeros(2, 4, 9, 9))


def test_parity_with_pytorch():
    torch = pytest.importorskip("torch")
    arrays = [normal(shape, i) for i, shape in enumerate(((2, 6, 23), (8, 3, 5), (8,)))]
    theirs = [torch.from_numpy(a).requires_grad_() for a in arrays]
    expected = torch.nn.functional.conv1d(*theirs, 2, 3, 2, 2)
    grad = normal(tuple(expected.shape), 4)
    expected.backward(torch.from_numpy(grad))
    ours = [fc.tensor(a, requires_grad=True) for a in arrays]
    y = F.conv1d(*ours, 2, 3, 2, 2)
    y.backward(grad)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.grad.data, other.grad.numpy(), rtol=1e-5, atol=2e-5)
