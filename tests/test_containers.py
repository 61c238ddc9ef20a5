"""Lists and dictionaries of modules, layers of shape, and tensors joined and taken apart."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from gradcheck import check_gradients

import fastconv as fc
from fastconv import nn
from fastconv.nn import functional as F
from fastconv.testing import normal


def test_module_list():
    layers = nn.ModuleList([nn.Linear(2, 3), nn.ReLU()])
    layers.append(nn.Linear(3, 1)).extend([nn.Tanh()])
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU", "Linear", "Tanh"]
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert layers[-2] is layers[2] and len(layers) == 4
    assert list(layers[1:3]) == [layers[1], layers[2]]
    first = layers[0]
    layers.insert(0, nn.Sigmoid())
    assert layers[1] is first and len(layers) == 5
    layers[0] = nn.Identity()
    assert isinstance(layers[0], nn.Identity)
    assert len(copy.deepcopy(layers)) == 5

    class Net(nn.Module):
        def __init__(self):
            self.parts = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))

    assert list(Net().state_dict())[-1] == "parts.1.bias"


def test_module_dict():
    layers = nn.ModuleDict({"a": nn.Linear(2, 3)})
    layers["b"] = nn.ReLU()
    layers.update({"a": nn.Linear(4, 5)})
    assert list(layers) == ["a", "b"] and "a" in layers and "c" not in layers and len(layers) == 2
    assert layers["a"].in_features == 4
    assert [name for name, _ in layers.items()] == list(layers.keys())
    assert layers.pop("b") is not None and list(layers.values()) == [layers["a"]]
    del layers["a"]
    assert len(layers) == 0


def test_parameter_list():
    parameters = nn.ParameterList([nn.Parameter(np.ones(2, np.float32)), fc.zeros(3)])
    assert list(parameters.state_dict()) == ["0", "1"]
    assert isinstance(parameters[1], nn.Parameter) and parameters[1].requires_grad
    assert [p.shape for p in parameters.parameters()] == [(2,), (3,)]


def test_identity_and_unflatten():
    x = fc.tensor(normal((2, 12, 3), 0, "float32"))
    assert nn.Identity(54, unused=True)(x) is x
    assert nn.Unflatten(1, (3, 4))(x).shape == (2, 3, 4, 3)
    assert nn.Unflatten(-2, (2, -1))(x).shape == (2, 2, 6, 3)
    np.testing.assert_array_equal(nn.Flatten(1, 2)(nn.Unflatten(1, (3, 4))(x)).data, x.data)


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout1d, (4, 8, 9)), (nn.Dropout3d, (4, 8, 2, 3, 4))]
)
def test_dropout_of_whole_channels(layer, shape):
    fc.manual_seed(0)
    y = layer(0.5)(fc.ones(*shape)).data.reshape(32, -1)
    assert ((y == 0).all(1) | (y == 2).all(1)).all()
    assert 4 < (y[:, 0] == 0).sum() < 28
    x = fc.ones(*shape)
    assert layer(0.5).eval()(x) is x


def test_stack_split_and_chunk():
    arrays = [normal((2, 3), seed, "float64") for seed in range(3)]
    for dim in (0, 1, 2, -1, -3):
        stacked = fc.stack([fc.tensor(a) for a in arrays], dim)
        np.testing.assert_array_equal(stacked.data, np.stack(arrays, dim))
    x = fc.tensor(normal((7, 4), 0, "float64"))
    assert [part.shape for part in fc.split(x, 3)] == [(3, 4), (3, 4), (1, 4)]
    assert [part.shape for part in fc.split(x, [1, 0, 3], -1)] == [(7, 1), (7, 0), (7, 3)]
    assert [part.shape for part in fc.chunk(x, 3)] == [(3, 4), (3, 4), (1, 4)]
    assert [part.shape for part in fc.chunk(x, 9, 1)] == [(7, 1)] * 4
    np.testing.assert_array_equal(np.concatenate([p.data for p in fc.chunk(x, 2)]), x.data)
    assert [part.shape for part in fc.split(x[:0], 3)] == [(0, 4)]


def test_gradients_of_stack_and_split():
    def function(x, y):
        first, _, last = fc.split(fc.stack([x, y, x * y], 1), [1, 1, 2], 2)
        return first * last

    check_gradients(function, normal((2, 4), 0, "float64"), normal((2, 4), 1, "float64"))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: nn.ModuleList([3]), TypeError, "ModuleList: item 0 is a int, not a Module"),
        (lambda: nn.ModuleList()[0], IndexError, "ModuleList: no item 0 among 0"),
        (lambda: nn.ParameterList([nn.ReLU()]), TypeError, "ParameterList: item 0 is a ReLU"),
        (lambda: nn.ModuleDict({"a": 1}), TypeError, "ModuleDict: a is a int, not a Module"),
        (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), ValueError, "cannot be named 'a.b'"),
        (lambda: nn.ModuleDict({"train": nn.ReLU()}), ValueError, "cannot be named 'train'"),
        (lambda: nn.ModuleDict()["a"], KeyError, "ModuleDict: no module 'a' among []"),
        (
            lambda: nn.Unflatten(1, (3, 5))(fc.zeros(2, 12)),
            ValueError,
            "Unflatten: dim 1 of shape (2, 12) does not become (3, 5)",
        ),
        (lambda: nn.Unflatten(2, (1,))(fc.zeros(2, 1)), ValueError, "dim 2 is out of range"),
        (lambda: fc.stack([]), ValueError, "stack: expected at least one tensor"),
        (
            lambda: fc.stack([fc.zeros(2), fc.zeros(3)]),
            ValueError,
            "stack: shapes (2,) and (3,) differ",
        ),
        (lambda: fc.stack([fc.zeros(2)], 2), ValueError, "stack: dim 2 is out of range"),
        (lambda: fc.split(fc.zeros(5), [2, 2]), ValueError, "split: sizes [2, 2] do not add up"),
        (lambda: fc.split(fc.zeros(5), 0), ValueError, "split: size must be at least 1, got 0"),
        (lambda: fc.chunk(fc.zeros(5), 0), ValueError, "chunk: chunks must be at least 1, got 0"),
        (lambda: fc.chunk(np.zeros(5), 2), TypeError, "chunk: expected a Tensor"),
        (
            lambda: F.dropout1d(fc.zeros(2, 3)),
            ValueError,
            "dropout1d: input has shape (2, 3), expected (N, C, L)",
        ),
        (
            lambda: F.dropout3d(fc.zeros(2, 3, 4)),
            ValueError,
            "dropout3d: input has shape (2, 3, 4), expected (N, C, D, H, W)",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
