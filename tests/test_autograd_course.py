"""Backpropagation as the lectures work it out by hand, digit by digit."""

from __future__ import annotations

import gc
import itertools
import math
import time

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import nn, optim
from fastconv.autograd.engine import Node


def leaf(values):
    return fc.tensor(np.array(values, np.float64), requires_grad=True)


def test_sigmoid_neuron_gate_by_gate():
    w, x = leaf([2, -3, -3]), leaf([-1, -2])
    products = [w[0] * x[0], w[1] * x[1]]
    total = products[0] + products[1]
    dot = total + w[2]
    negative = -1.0 * dot
    exponential = negative.exp()
    plus_one = exponential + 1.0
    f = 1.0 / plus_one
    gates = [*products, total, dot, negative, exponential, plus_one, f]
    for gate in gates:
        gate.retain_grad()
    f.backward()

    assert [round(g.item(), 2) for g in gates] == [-2, 6, 4, 1, -1, 0.37, 1.37, 0.73]
    assert [round(g.grad.item(), 2) for g in gates] == [
        0.2,
        0.2,
        0.2,
        0.2,
        -0.2,
        -0.53,
        -0.53,
        1.0,
    ]
    np.testing.assert_array_equal(np.round(w.grad.data, 2), [-0.20, -0.39, 0.20])
    np.testing.assert_array_equal(np.round(x.grad.data, 2), [0.39, -0.59])
    s = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(f.item(), s, rtol=1e-15)
    slope = s * (1 - s)
    np.testing.assert_allclose(w.grad.data, [-slope, -2 * slope, slope], rtol=1e-14)
    np.testing.assert_allclose(x.grad.data, [2 * slope, -3 * slope], rtol=1e-14)


def test_sigmoid_gate_equals_its_parts():
    w, x = leaf([2, -3, -3]), leaf([-1, -2])
    (w[0] * x[0] + w[1] * x[1] + w[2]).sigmoid().backward()
    np.testing.assert_array_equal(np.round(w.grad.data, 2), [-0.20, -0.39, 0.20])
    np.testing.assert_array_equal(np.round(x.grad.data, 2), [0.39, -0.59])


def test_gates_distribute_swap_copy_and_route():
    x, y = leaf(3.0), leaf(-4.0)
    (x + y).backward(np.float64(2))
    assert (x.grad.item(), y.grad.item()) == (2, 2)

    x, y = leaf(3.0), leaf(-4.0)
    (x * y).backward(np.float64(2))
    assert (x.grad.item(), y.grad.item()) == (-8, 6)

    x = leaf(3.0)
    (4.0 * x + 2.0 * x).backward()
    assert x.grad.item() == 6

    z = leaf([2.0, -1.0])
    z.max().backward(np.float64(2))
    np.testing.assert_array_equal(z.grad.data, [2, 0])


def test_squared_norm_of_a_matrix_product():
    W, x = leaf([[0.1, 0.5], [-0.3, 0.8]]), leaf([0.2, 0.4])
    q = W @ x
    q.retain_grad()
    f = (q**2).sum()
    f.backward()
    np.testing.assert_allclose(q.data, [0.22, 0.26], rtol=1e-14)
    np.testing.assert_allclose(f.item(), 0.116, rtol=1e-14)
    np.testing.assert_allclose(q.grad.data, [0.44, 0.52], rtol=1e-14)
    np.testing.assert_allclose(W.grad.data, [[0.088, 0.176], [0.104, 0.208]], rtol=1e-14)
    np.testing.assert_allclose(x.grad.data, [-0.112, 0.636], rtol=1e-14)
    assert W.grad.shape == W.shape
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_backward_is_an_implicit_product(dtype):
    x = fc.tensor(np.array([1, -2, 3, -1], dtype), requires_grad=True)
    F.relu(x).backward(np.array([4, -1, 5, 9], dtype))
    np.testing.assert_array_equal(x.grad.data, [4, 0, 5, 0])


def test_relu_has_slope_zero_at_zero():
    x = fc.tensor([0.0, -0.0], requires_grad=True)
    F.relu(x).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [0, 0])


def test_four_layer_softmax_network_by_hand():
    rng = np.random.default_rng(0)
    sizes = [7, 6, 5, 4, 5]
    weights = [rng.standard_normal((n, m)) * 0.5 for m, n in itertools.pairwise(sizes)]
    biases = [rng.standard_normal(n) for n in sizes[1:]]
    x, y = rng.standard_normal((3, 7)), np.array([4, 0, 2])

    a, kept = x, []
    for i, (W, b) in enumerate(zip(weights, biases, strict=True)):
        kept.append(a)
        z = a @ W.T + b
        a = np.maximum(z, 0) if i < 3 else z
    e = np.exp(z - z.max(axis=1, keepdims=True))
    y_hat = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(y_hat[np.arange(3), y]).mean()
    delta = (y_hat - np.eye(5)[y]) / 3
    gradients = []
    for i in reversed(range(4)):
        gradients.append((delta.T @ kept[i], delta.sum(axis=0)))
        delta = (delta @ weights[i]) * (kept[i] > 0)

    layers = [nn.Linear(m, n).double() for m, n in itertools.pairwise(sizes)]
    for layer, W, b in zip(layers, weights, biases, strict=True):
        layer.load_state_dict({"weight": W, "bias": b})
    network = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2], nn.ReLU())
    network.append(layers[3])
    result = nn.CrossEntropyLoss()(network(fc.tensor(x)), fc.tensor(y))
    result.backward()
    np.testing.assert_allclose(result.item(), loss, rtol=1e-13)
    for layer, (dW, db) in zip(layers, reversed(gradients), strict=True):
        np.testing.assert_allclose(layer.weight.grad.data, dW, rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(layer.bias.grad.data, db, rtol=1e-11, atol=1e-15)


def test_softmax_cross_entropy_delta_is_prediction_minus_truth():
    # The lecture's y_hat = [.5, 0, .1, .2, .1] sums to 0.9 and shows the formula only:
    y_hat, y = np.array([0.5, 0, 0.1, 0.2, 0.1]), np.array([1, 0, 0, 0, 0])
    np.testing.assert_array_equal(y_hat - y, [-0.5, 0, 0.1, 0.2, 0.1])
    # the same for probabilities that softmax can give, through the kernels.
    y_hat = np.array([[0.5, 0.1, 0.1, 0.2, 0.1]])
    z = fc.tensor(np.log(y_hat), requires_grad=True)
    F.cross_entropy(z, fc.tensor([0])).backward()
    np.testing.assert_allclose(z.grad.data, y_hat - y, rtol=1e-13)


def _backward_seconds(depth: int) -> float:
    best = math.inf
    for _ in range(5):
        x = leaf(1.0)
        y = x
        for _ in range(depth):
            y = y * 1.0
        start = time.thread_time()
        y.backward()
        best = min(best, time.thread_time() - start)
        assert x.grad.item() == 1
    return best


def test_backward_time_grows_linearly_with_depth():
    gc.collect()
    gc.disable()
    try:
        shallow, deep = _backward_seconds(500), _backward_seconds(16_000)
    finally:
        gc.enable()
    # 32 times the layers: 32 times the time if linear, 1024 if quadratic; halfway between them.
    assert deep / shallow < 32**1.5, f"{shallow} s for 500 layers, {deep} s for 16000"


def test_each_recorded_operation_runs_backward_once(monkeypatch):
    count = 0
    run = Node.run

    def counted(node, grad):
        nonlocal count
        count += 1
        return run(node, grad)

    monkeypatch.setattr(Node, "run", counted)
    x = leaf(1.0)
    y = x
    for _ in range(20):
        y = y * 0.5 + y * 0.5  # 2**20 paths, 60 operations
    y.backward()
    assert count == 60
    assert x.grad.item() == 1


def test_weight_decay_leaves_the_intercept_alone_by_one_switch():
    layer = nn.Linear(3, 2).double()
    weight, bias = layer.weight.data.copy(), layer.bias.data.copy()
    rng = np.random.default_rng(2)
    x, t = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    lr, decay = 0.1, 0.25

    delta = 2 * (x @ weight.T + bias - t) / t.size
    optimizer = optim.SGD(layer.parameters(), lr=lr, weight_decay=decay, decay_bias=False)
    F.mse_loss(layer(fc.tensor(x)), fc.tensor(t)).backward()
    optimizer.step()
    expected = weight - lr * (delta.T @ x + decay * weight)
    np.testing.assert_allclose(layer.weight.data, expected, rtol=1e-12)
    np.testing.assert_allclose(layer.bias.data, bias - lr * delta.sum(axis=0), rtol=1e-12)
