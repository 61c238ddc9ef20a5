"""Hooks: reading, and changing, activations and gradients."""

from __future__ import annotations

import copy
import gc
import weakref

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn as nn
import fastconv.nn.functional as F


def small() -> nn.Sequential:
    fc.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 2)
    )


@pytest.mark.parametrize("leaf", [True, False])
def test_a_tensors_hook_sees_the_sum_over_all_uses(leaf):
    x, seen = fc.ones(2, requires_grad=True), []
    y = x if leaf else x * 1.0
    handle = y.register_hook(lambda grad: seen.append(grad.tolist()))
    (y * 2 + y * y + y.sum()).sum().backward()
    assert seen == [[6, 6]] and x.grad.tolist() == [6, 6]
    handle.remove()
    handle.remove()
    x.sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [7, 7]


def test_hooks_change_gradients_in_turn():
    x = fc.ones(2, requires_grad=True)
    y = x * 3
    y.retain_grad()
    with y.register_hook(lambda grad: grad * 2), y.register_hook(lambda grad: grad + 1):
        x.register_hook(lambda grad: -grad)
        y.sum().backward(retain_graph=True)
        assert y.grad.tolist() == [3, 3]
        assert x.grad.tolist() == [-9, -9]
    y.sum().backward()
    assert x.grad.tolist() == [-12, -12]
    x.grad = None
    x.backward(np.ones(2, np.float32))
    assert x.grad.tolist() == [-1, -1]


def test_wrong_gradient_hooks():
    with pytest.raises(RuntimeError, match="register_hook: the tensor does not require grad"):
        fc.ones(2).register_hook(print)
    for hook, error, text in (
        (lambda grad: grad.data, TypeError, "must return a Tensor or None, got ndarray"),
        (lambda grad: grad.sum(), ValueError, r"register_hook: a gradient of shape \(\) for"),
        (lambda grad: fc.tensor(grad.data, dtype=np.float64), TypeError, "float64 gradient"),
    ):
        x = fc.ones(2, requires_grad=True)
        y = x * 2
        y.register_hook(hook)
        with pytest.raises(error, match=text):
            y.sum().backward()


def test_forward_hooks_read_every_layer():
    model, x = small(), fc.randn(2, 1, 6, 6)
    expected, y = [], x
    for layer in model:
        y = layer(y)
        expected.append(y.data)
    seen = []

    def keep(module, inputs, output):
        assert isinstance(inputs, tuple) and len(inputs) == 1
        seen.append(output.data)

    handles = [layer.register_forward_hook(keep) for layer in model]
    result = model(x)
    assert all(np.array_equal(a, b) for a, b in zip(seen, expected, strict=True))
    assert np.array_equal(result.data, expected[-1])
    for handle in handles:
        handle.remove()
    model(x)
    assert len(seen) == 5


@pytest.mark.parametrize("place", range(5))
def test_one_layers_hook_sees_its_own_result(place):
    """Whatever is computed together with its neighbours where nobody looks."""
    model, x, seen = small(), fc.randn(2, 1, 6, 6), []
    model[place].register_forward_hook(lambda module, inputs, output: seen.append(output))
    model(x)
    before = model[: place + 1]
    np.testing.assert_array_equal(seen[0].data, before(x).data)
    assert len(seen) == 2


def test_forward_hooks_change_inputs_and_results():
    layer, x = nn.Linear(2, 2), fc.ones(1, 2)
    plain = layer(x).data
    with layer.register_forward_hook(lambda module, inputs, output: output * 2):
        np.testing.assert_array_equal(layer(x).data, 2 * plain)
    with layer.register_forward_pre_hook(lambda module, inputs: inputs[0] * 0):
        np.testing.assert_array_equal(layer(x).data, [layer.bias.data])
    np.testing.assert_array_equal(layer(x).data, plain)


def test_activations_and_their_gradients_as_a_heat_map_wants_them():
    model, held = small(), {}

    def keep(module, inputs, output):
        held["map"] = output
        output.register_hook(lambda grad: held.update(grad=grad))

    model[1].register_forward_hook(keep)
    x = fc.randn(1, 1, 6, 6)
    model(x)[0, 1].backward()
    y = fc.tensor(held["map"].data, requires_grad=True)
    model[2:](y)[0, 1].backward()
    np.testing.assert_array_equal(held["grad"].data, y.grad.data)


def test_full_backward_hooks():
    model, x = small(), fc.randn(2, 1, 6, 6)
    model(x).sum().backward()
    plain = [p.grad.data.copy() for p in model.parameters()]
    seen = {}

    def keep(module, grad_inputs, grad_outputs):
        seen[type(module).__name__] = (grad_inputs, grad_outputs)

    for layer in model:
        layer.register_full_backward_hook(keep)
    model.zero_grad()
    model(x).sum().backward()
    for parameter, grad in zip(model.parameters(), plain, strict=True):
        np.testing.assert_array_equal(parameter.grad.data, grad)
    assert list(seen) == ["Linear", "Flatten", "MaxPool2d", "ReLU", "Conv2d"]
    assert seen["Conv2d"][0] == (None,)
    np.testing.assert_array_equal(seen["Linear"][1][0].data, np.ones((2, 2)))
    for above, below in (("Linear", "Flatten"), ("MaxPool2d", "ReLU"), ("ReLU", "Conv2d")):
        np.testing.assert_array_equal(seen[above][0][0].data, seen[below][1][0].data)


def test_full_backward_hooks_see_their_own_call_and_change_its_gradient():
    layer, x = nn.Linear(2, 2, bias=False), fc.ones(1, 2, requires_grad=True)
    seen = []
    layer.register_full_backward_hook(
        lambda module, ins, outs: (seen.append(ins[0].tolist()), (ins[0] * 10,))[1]
    )
    (layer(x) + x).sum().backward()
    own = layer.weight.data.sum(0)
    np.testing.assert_array_equal(seen, [[own]])
    np.testing.assert_allclose(x.grad.data, [own * 10 + 1], rtol=1e-6)
    with fc.no_grad():
        layer(x)


def test_full_backward_hooks_that_cannot_be():
    class Two(nn.Module):
        def forward(self, x, y):
            return (x, y)

    module, x = Two(), fc.ones(2, requires_grad=True)
    module.register_full_backward_hook(print)
    with pytest.raises(RuntimeError, match="2 inputs of Two want gradients"):
        module(x, x)
    with pytest.raises(TypeError, match="Two gives a tuple, not one Tensor"):
        module(x, 1)


def test_hooks_hold_nothing_longer_than_the_graph():
    gc.collect()
    gc.disable()
    try:
        layer = nn.Linear(2, 2)
        layer.register_full_backward_hook(lambda *_: None)
        x = fc.ones(1, 2, requires_grad=True)
        y = x * 2
        y.register_hook(lambda grad: None)
        out = layer(y)
        references = [weakref.ref(y), weakref.ref(out)]
        F.relu(out).sum().backward()
        del y, out
        assert [r() for r in references] == [None, None]
    finally:
        gc.enable()


def test_a_copy_of_a_module_has_its_hooks():
    layer, seen = nn.Linear(2, 2), []
    handle = layer.register_forward_hook(lambda *_: seen.append(1))
    other = copy.deepcopy(layer)
    handle.remove()
    layer(fc.ones(1, 2))
    other(fc.ones(1, 2))
    assert seen == [1]


def test_gradients_equal_pytorchs_with_hooks():
    torch = pytest.importorskip("torch")
    results = []
    for tensor, relu in ((fc.tensor, F.relu), (torch.tensor, torch.relu)):
        x = tensor([[1.0, -2.0, 3.0]], requires_grad=True)
        seen = []
        h = relu(x) * x
        h.retain_grad()
        h.register_hook(lambda g, seen=seen: seen.append(g.tolist()))
        h.register_hook(lambda g: g * 0.5)
        x.register_hook(lambda g: g + 1)
        (h * h + h).sum().backward()
        results.append((seen, h.grad.tolist(), x.grad.tolist()))
    assert results[0] == results[1]
