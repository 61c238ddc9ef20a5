"""Graphs that are no chain: shared weights, shortcuts, branches that meet, several outputs."""

from __future__ import annotations

import numpy as np
from gradcheck import check_gradients

import fastconv as fc
import fastconv.nn as nn
import fastconv.nn.functional as F

RNG = np.random.default_rng(0)


def numbers(*shape):
    return RNG.standard_normal(shape)


def test_a_weight_used_twice():
    def twice(x, weight, bias):
        return F.conv2d(F.tanh(F.conv2d(x, weight, bias, padding=1)), weight, bias, padding=1)

    check_gradients(twice, numbers(2, 2, 4, 4), numbers(2, 2, 3, 3), numbers(2))


def test_a_weight_at_work_on_two_inputs():
    def distance(x, y, weight):
        return (F.sigmoid(F.linear(x, weight)) - F.sigmoid(F.linear(y, weight))) ** 2

    check_gradients(distance, numbers(3, 4), numbers(3, 4), numbers(2, 4))


def test_shortcuts():
    def block(x, first, second):
        y = F.conv2d(F.relu(F.conv2d(x, first, padding=1)), second, padding=1)
        return F.relu(y + x) + x

    check_gradients(block, numbers(1, 2, 4, 4), numbers(3, 2, 3, 3), numbers(2, 3, 3, 3))


def test_branches_that_are_concatenated():
    def inception(x, narrow, wide):
        a = F.conv2d(x, narrow)
        b = F.sigmoid(F.conv2d(x, wide, padding=1))
        c = F.max_pool2d(x, 3, 1, 1)
        return fc.cat([a, b, c, x], 1)

    check_gradients(inception, numbers(2, 2, 4, 4), numbers(2, 2, 1, 1), numbers(3, 2, 3, 3))


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        self.trunk, self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(4, 1)

    def forward(self, x):
        hidden = F.tanh(self.trunk(x))
        return {"class": self.first(hidden), "size": self.second(hidden)}


def gradients(net, loss):
    net.zero_grad()
    loss(net(X)).backward()
    return {name: None if p.grad is None else p.grad.data for name, p in net.named_parameters()}


X = fc.tensor(numbers(5, 3))
CLASSES, SIZES = fc.tensor([0, 1, 1, 0, 1]), fc.tensor(numbers(5, 1))


def test_several_outputs_add_their_gradients():
    fc.manual_seed(0)
    net = TwoHeads().double()

    def classes(out):
        return F.cross_entropy(out["class"], CLASSES)

    def sizes(out):
        return F.mse_loss(out["size"], SIZES)

    one, other = gradients(net, classes), gradients(net, sizes)
    both = gradients(net, lambda out: classes(out) + sizes(out))
    assert one["second.weight"] is None and other["first.weight"] is None
    for name, grad in both.items():
        parts = [part[name] for part in (one, other) if part[name] is not None]
        np.testing.assert_allclose(grad, sum(parts), rtol=1e-12, err_msg=name)
    out = net(X)
    net.zero_grad()
    classes(out).backward(retain_graph=True)
    sizes(out).backward()
    for name, p in net.named_parameters():
        np.testing.assert_allclose(p.grad.data, both[name], rtol=1e-12, err_msg=name)


def test_pieces_of_one_result_go_different_ways():
    def split(x, weight):
        y = F.linear(x, weight)
        values, _ = y.max(1)
        return y[:, 0] * F.tanh(y[:, 1:]).sum(1) + values

    check_gradients(split, numbers(3, 4), numbers(5, 4))
