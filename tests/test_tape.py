"""The tape: modes, accumulation, freeing, depth, and errors for changes in place."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv.autograd.engine import enable_grad, is_grad_enabled


def ones(*shape):
    return fc.ones(*shape, dtype=np.float64, requires_grad=True)


def test_nothing_is_recorded_without_a_reason():
    assert (fc.ones(2) * 2).grad_fn is None
    x = ones(2)
    assert (x > 0).grad_fn is None
    assert x.argmax().grad_fn is None
    assert x.detach().requires_grad is False
    with pytest.raises(RuntimeError, match="nothing was recorded"):
        fc.ones(1).backward()


def test_gradients_of_gradients_are_not_there_and_say_so():
    x = ones(2)
    y = (x * x).sum()
    with pytest.raises(NotImplementedError, match=r"create_graph=True .*gradients of gradients"):
        y.backward(create_graph=True)
    y.backward()
    assert not x.grad.requires_grad
    with pytest.raises(RuntimeError, match="does not require grad, nothing was recorded"):
        (x.grad * x.grad).sum().backward()


def test_no_grad_as_context_and_decorator():
    x = ones(2)

    @fc.no_grad()
    def double(y):
        """Twice."""
        assert not is_grad_enabled()
        with enable_grad():
            assert is_grad_enabled()
        return y * 2

    assert not double(x).requires_grad
    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    with fc.no_grad():
        assert not (x * 2).requires_grad
        with fc.no_grad():
            pass
        assert not is_grad_enabled()
    assert is_grad_enabled()
    switch = fc.no_grad()
    with switch, switch:
        assert not is_grad_enabled()
    assert is_grad_enabled()
    with pytest.raises(KeyError), fc.no_grad():
        raise KeyError
    assert is_grad_enabled()


def test_no_grad_does_not_decorate_generators():
    def numbers():
        yield 1

    with pytest.raises(TypeError, match=r"generator or coroutine .*numbers"):
        fc.no_grad()(numbers)


def test_no_grad_is_of_one_thread():
    seen = []
    with fc.no_grad():
        thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_gradients_accumulate():
    x = ones(2)
    (x * 3).sum().backward()
    first = x.grad
    (x * 4).sum().backward()
    assert x.grad is first
    assert x.grad.tolist() == [7, 7]
    x.grad = None
    x.backward(np.array([1.0, 2.0]))
    assert x.grad.tolist() == [1, 2]


def test_gradients_are_nobody_elses():
    a, b = ones(2), ones(2)
    gradient = np.ones(2)
    (a + b).backward(gradient)
    a.grad.mul_(10)
    assert b.grad.tolist() == [1, 1]
    assert gradient.tolist() == [1, 1]
    c = ones(2, 2)
    d = c.view(4)
    d.retain_grad()
    (d * 1.0).sum().backward()
    d.grad.mul_(10)
    assert c.grad.tolist() == [[1, 1], [1, 1]]


def test_gradient_argument_is_checked():
    y = ones(2, 3) * 2
    with pytest.raises(ValueError, match=r"shape \(2, 3\); without the gradient"):
        y.backward()
    with pytest.raises(ValueError, match=r"shape \(3,\) for a tensor of shape \(2, 3\)"):
        y.backward(np.ones(3))
    with pytest.raises(TypeError, match=r"float32 gradient for a float64 tensor"):
        y.backward(fc.ones(2, 3))
    x = ones(2)
    with pytest.raises(ValueError, match=r"shape \(3,\) for a tensor of shape \(2,\)"):
        x.grad = fc.ones(3, dtype=np.float64)
    with pytest.raises(TypeError, match="ndarray"):
        x.grad = np.ones(2)
    (ones(1, 1) * 2).backward()


def test_a_graph_is_freed_unless_retained():
    x = ones(2)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 4]
    with pytest.raises(RuntimeError, match=r"second time .*retain_graph"):
        y.backward()
    with pytest.raises(RuntimeError, match="mul: backward a second time"):
        z = x * x
        z.sum().backward()
        z.mean().backward()


def test_memory_returns_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = ones(3)
        middle = x.exp()
        kept = weakref.ref(middle)
        y = F.relu(middle * 2).sum()
        del middle
        assert kept() is None
        node = y.grad_fn.edges[0]
        y.backward()
        assert node.backward is None
        assert list(node.edges) == []
        result = weakref.ref(y)
        del y
        assert result() is None
    finally:
        gc.enable()


def test_gradients_nobody_asked_for_are_not_computed(monkeypatch):
    from fastconv import ops

    def never(*args, **kwargs):
        raise AssertionError("computed")

    x, w, b = fc.randn(1, 2, 4, 4), fc.randn(3, 2, 3, 3), fc.randn(3)
    monkeypatch.setattr(ops, "conv_backward_input", never)
    monkeypatch.setattr(ops, "linear_backward_input", never)
    F.conv2d(x, w.requires_grad_(), b.requires_grad_()).sum().backward()
    rows, weight = fc.randn(2, 3), fc.randn(4, 3)
    F.linear(rows, weight.requires_grad_()).sum().backward()
    monkeypatch.undo()
    monkeypatch.setattr(ops, "conv_backward_weight", never)
    monkeypatch.setattr(ops, "linear_backward_weight", never)
    x.requires_grad_()
    F.conv2d(x, w.detach(), b).sum().backward()
    F.linear(rows.requires_grad_(), weight.detach()).sum().backward()
    assert x.grad.shape == x.shape
    np.testing.assert_allclose(b.grad.data, [8, 8, 8])


DEEP = """
import threading
import numpy as np, fastconv as fc

def run():
    x = fc.ones(1, dtype=np.float64, requires_grad=True)
    y = x
    for _ in range({depth}):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1
    for backward in (False, True):
        y = x
        for _ in range({depth}):
            y = y * 1.0
        if backward:
            y.backward(retain_graph=True)
        del y
    y = fc.ones(1)
    for i in range({depth} // 10):
        y = fc.cat([y, fc.ones(1, requires_grad=True)])[1:]
    del y

threading.stack_size(1024 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
print("done")
"""


def test_deep_graphs_need_no_stack():
    code = DEEP.format(depth=100_000)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_wide_graph_sums_all_its_paths():
    x = ones(3)
    y = fc.zeros(3, dtype=np.float64)
    for i in range(50):
        y = y + x * float(i)
    y.backward(np.array([1.0, 2.0, 3.0]))
    assert x.grad.tolist() == [1225, 2450, 3675]


CHANGED = [
    ("mul", "second operand", lambda a, b: a * b, "b"),
    ("mul", "first operand", lambda a, b: a * b, "a"),
    ("div", "second operand", lambda a, b: a / b, "b"),
    ("div", "output", lambda a, b: a / b, "out"),
    ("pow", "first operand", lambda a, b: a**b, "a"),
    ("matmul", "first operand", lambda a, b: a @ b, "a"),
    ("log", "input", lambda a, b: a.log(), "a"),
    ("exp", "output", lambda a, b: a.exp(), "out"),
    ("sqrt", "output", lambda a, b: a.sqrt(), "out"),
    ("relu", "output", lambda a, b: F.relu(a), "out"),
    ("sigmoid", "output", lambda a, b: F.sigmoid(a), "out"),
    ("tanh", "output", lambda a, b: F.tanh(a), "out"),
    ("softmax", "output", lambda a, b: F.softmax(a), "out"),
    ("log_softmax", "output", lambda a, b: F.log_softmax(a), "out"),
    ("linear", "weight", lambda a, b: F.linear(a, b), "b"),
    ("linear", "input", lambda a, b: F.linear(a, b), "a"),
    ("linear", "output", lambda a, b: F.linear(a, b, activation="relu"), "out"),
    ("max", "input", lambda a, b: a.max(), "a"),
]


@pytest.mark.parametrize(("operation", "label", "function", "changed"), CHANGED)
def test_a_kept_tensor_changed_in_place_is_an_error(operation, label, function, changed):
    a, b = ones(2, 2), ones(2, 2)
    out = function(a, b)
    with fc.no_grad():
        {"a": a, "b": b, "out": out}[changed].add_(1)
    with pytest.raises(
        RuntimeError, match=rf"{operation}: its {label} of shape .* was changed in place"
    ):
        out.backward(np.ones(out.shape))


def test_changes_that_spoil_nothing_are_allowed():
    a, b = ones(2), ones(2)
    y = a + b
    with fc.no_grad():
        a.add_(1)
        y.add_(1)
    y.sum().backward()
    w = ones(3, 2).detach()
    x = ones(1, 2)
    out = F.linear(w, x)  # only x wants a gradient: w is kept, x is not
    with fc.no_grad():
        x.add_(1)
    out.sum().backward()
    assert x.grad.tolist() == [[3, 3]]


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[0],
        lambda x: x.view(-1),
        lambda x: x.T,
        lambda x: x.detach(),
        lambda x: x.permute(1, 0),
        lambda x: next(iter(x)),
    ],
)
def test_a_change_through_a_view_counts(view):
    x = ones(2, 2)
    y = x * x
    with fc.no_grad():
        view(x).add_(1)
    with pytest.raises(RuntimeError, match="was changed in place"):
        y.sum().backward()


def test_a_copy_is_no_view():
    x = ones(2, 2)
    y = x * x
    with fc.no_grad():
        x.T.reshape(-1).add_(1)
        x[[0, 1]].add_(1)
        x.clone().add_(1)
    y.sum().backward()
    assert x.grad.tolist() == [[2, 2], [2, 2]]


def test_an_optimizer_step_counts():
    layer = fc.nn.Linear(2, 2)
    x = fc.ones(1, 2, requires_grad=True)
    first, second = layer(x).sum(), layer(x).sum()
    first.backward()
    fc.optim.SGD(layer.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match=r"linear: its weight of shape \(2, 2\) was changed"):
        second.backward()


def test_leaves_are_not_changed_while_recording():
    x = ones(2)
    for change in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: x.__setitem__(0, 1.0),
        lambda: x.copy_(np.zeros(2)),
    ):
        with pytest.raises(RuntimeError, match=r"a leaf tensor of shape \(2,\) that requires grad"):
            change()
    assert x.tolist() == [1, 1]
    with fc.no_grad():
        x -= 1
    assert x.is_leaf
    assert x.tolist() == [0, 0]


def test_recorded_changes_in_place():
    x, w = ones(3), ones(3)
    y = x * 2.0
    y.add_(w)
    y *= 3.0
    y[1] = w[0] * 5.0
    y[2:] = 0.0
    assert y.tolist() == [9, 5, 0]
    y.sum().backward()
    assert x.grad.tolist() == [6, 0, 0]
    assert w.grad.tolist() == [8, 0, 0]
    buffer = fc.zeros(2, dtype=np.float64)
    buffer.copy_(w[1:])
    buffer.sum().backward()
    assert w.grad.tolist() == [8, 1, 1]


def test_recorded_changes_of_shared_memory_are_refused():
    y = ones(2, 2) * 2.0
    row = y[0]
    with pytest.raises(RuntimeError, match="shares its memory with a view"):
        row.add_(1)
    with pytest.raises(RuntimeError, match="shares its memory with a view"):
        y.add_(1)
    y.exp().sum().backward()
