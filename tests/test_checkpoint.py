"""Checkpointing: the same bits from less memory."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as nn
import fastconv.nn.functional as F


def block(channels: int = 8) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.Sigmoid(),
    )


def plainly(function, *inputs):
    return function(*inputs)


class Net(nn.Module):
    """Three blocks, one of them twice, each around a shortcut."""

    def __init__(self) -> None:
        self.first, self.second = block(), block()
        self.head = nn.Linear(8, 3)

    def forward(self, x, run):
        for part in (self.first, self.second, self.first):
            x = run(lambda x, part=part: part(x) + x, x)
        return self.head(x.mean((2, 3)))


def step(run, dtype=np.float32):
    fc.manual_seed(3)
    net = Net().to(dtype)
    x = fc.tensor(np.random.default_rng(0).standard_normal((4, 8, 9, 9)), dtype=dtype)
    x.requires_grad = True
    out = net(x, run)
    F.cross_entropy(out, fc.tensor([0, 2, 1, 0])).backward()
    drawn = fc.randn(3).tolist()
    grads = [p.grad.data for p in net.parameters()]
    return [out.data, x.grad.data, *grads, *net.state_dict().values(), drawn]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_gradients_and_statistics_have_the_same_bits(dtype):
    for expected, got in zip(step(plainly, dtype), step(fc.checkpoint, dtype), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_checkpoint_in_a_checkpoint():
    def nested(function, *inputs):
        return fc.checkpoint(lambda *x: fc.checkpoint(function, *x), *inputs)

    for expected, got in zip(step(plainly), step(nested), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_parameters_alone_want_gradients():
    fc.manual_seed(0)
    layer, x = nn.Linear(4, 2), fc.randn(3, 4)
    fc.checkpoint(layer, x).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.data, np.tile(x.data.sum(0), (2, 1)))
    layer.requires_grad_(False)
    out = fc.checkpoint(layer, x)
    assert not out.requires_grad and out.grad_fn is None
    layer.requires_grad_(True)
    with fc.no_grad():
        assert not fc.checkpoint(layer, x).requires_grad


def test_other_arguments_pass_and_some_inputs_want_no_gradient():
    a, b = fc.ones(2, requires_grad=True), fc.ones(2) * 3
    out = fc.checkpoint(lambda x, n, y: x * y * n, a, 5.0, b)
    out.backward(np.array([1, 2], np.float32))
    assert a.grad.tolist() == [15, 30] and b.grad is None
    same = fc.checkpoint(lambda x: x, a * 2)
    same.sum().backward()
    assert a.grad.tolist() == [17, 32]


def test_the_graph_may_be_retained():
    x = fc.ones(2, requires_grad=True)
    out = fc.checkpoint(lambda x: (x * 3).exp(), x).sum()
    out.backward(retain_graph=True)
    first = x.grad.data.copy()
    out.backward()
    np.testing.assert_array_equal(x.grad.data, 2 * first)
    with pytest.raises(RuntimeError, match="backward a second time"):
        out.backward()


def test_the_second_run_takes_the_algorithm_of_the_first():
    fc.manual_seed(1)
    layers = nn.Sequential(
        nn.Conv2d(32, 32, 3, padding=1), nn.Tanh(), nn.Conv2d(32, 32, 3, padding=1)
    )
    x = fc.randn(2, 32, 24, 24)

    def gradients(run, name):
        layers.zero_grad()
        with fc.algorithm(name):
            out = run(layers, x)
        (out * out).sum().backward()
        return [p.grad.data.copy() for p in layers.parameters()]

    for name in ("direct", "winograd"):
        plain, again = gradients(plainly, name), gradients(fc.checkpoint, name)
        assert all(np.array_equal(a, b) for a, b in zip(plain, again, strict=True))
    assert not np.array_equal(gradients(fc.checkpoint, "direct")[0], again[0])


def peak(run) -> int:
    """Bytes that a step through 16 layers takes at most, above what was there before."""
    fc.manual_seed(0)
    parts = []
    for _ in range(4):
        pairs = [(nn.Conv2d(8, 8, 3, padding=1), nn.Sigmoid()) for _ in range(4)]
        parts.append(nn.Sequential(*(layer for pair in pairs for layer in pair)))
    x = fc.randn(4, 8, 64, 64)
    gc.collect()
    before = fc.memory.stats()["in_use"]
    fc.memory.reset_peak()
    y = x
    for part in parts:
        y = run(part, y)
    y.mean().backward()
    return fc.memory.stats()["peak"] - before


def test_it_takes_less_memory():
    plain, less = peak(plainly), peak(fc.checkpoint)
    image = 4 * 8 * 64 * 64 * 4
    assert plain >= 16 * image  # every layer's result
    assert less <= plain - 8 * image  # kept: four results between the parts, four within one


def test_what_changed_in_between_is_an_error():
    x, layer = fc.ones(1, 2, requires_grad=True), nn.Linear(2, 2)
    out = fc.checkpoint(layer, x * 1.0)
    out.sum().backward(retain_graph=True)
    fc.optim.SGD(layer.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match=r"checkpoint: its weight of shape \(2, 2\) was changed"):
        out.sum().backward()
    y = fc.ones(2)
    out = fc.checkpoint(lambda a, b: a * b, x, y)
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"checkpoint: its input of shape \(2,\) was changed"):
        out.sum().backward()
    out = fc.checkpoint(lambda a: a + layer.bias, x)  # an addition keeps nothing
    with fc.no_grad():
        layer.bias.add_(1)
    with pytest.raises(RuntimeError, match=r"its parameter of shape \(2,\) was changed"):
        out.sum().backward()


def test_wrong_functions():
    x = fc.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match="checkpoint: function must give one Tensor, got tuple"):
        fc.checkpoint(lambda x: (x, x), x)
    outside = x * 2
    with pytest.raises(RuntimeError, match=r"recorded operation \(mul\) that is not among its in"):
        fc.checkpoint(lambda x: x + outside, x)


def test_an_error_in_the_second_run_leaves_the_generator_where_it_was():
    runs = []

    def breaks(x):
        runs.append(1)
        if len(runs) == 2:
            fc.randn(1)
            raise KeyError
        return x * 1.0

    out = fc.checkpoint(breaks, fc.ones(2, requires_grad=True)).sum()
    fc.manual_seed(5)
    with pytest.raises(KeyError):
        out.backward()
    after = fc.randn(2).tolist()
    fc.manual_seed(5)
    assert after == fc.randn(2).tolist()
