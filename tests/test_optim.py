"""Optimizers: steps by the formulas, groups, saved state, wrong arguments."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn, optim

SGD_CASES = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
]
ADAM_CASES = [{}, {"betas": (0.5, 0.9), "eps": 1e-3}, {"weight_decay": 0.1}]
CASES = [(optim.SGD, c) for c in SGD_CASES] + [(optim.Adam, c) for c in ADAM_CASES]
OTHERS = [
    (optim.Adam, {"amsgrad": True}),
    (optim.AdamW, {}),
    (optim.AdamW, {"weight_decay": 0.3, "amsgrad": True}),
    (optim.Adagrad, {}),
    (optim.Adagrad, {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2}),
    (optim.Adadelta, {}),
    (optim.Adadelta, {"rho": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    (optim.RMSprop, {}),
    (optim.RMSprop, {"momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    (optim.RMSprop, {"centered": True, "alpha": 0.5}),
    (optim.RMSprop, {"momentum": 0.5}),
]


def sgd_formula(p, grads, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    v = None
    for grad in grads:
        g = grad + weight_decay * p
        if momentum:
            v = g if v is None else momentum * v + (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        p = p - lr * g
    return p


def adam_formula(p, grads, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    m = v = np.zeros_like(p)
    for t, grad in enumerate(grads, 1):
        g = grad + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        p = p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return p


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_a_hundred_steps_follow_the_formula(kind, options):
    rng = np.random.default_rng(0)
    start, grads = rng.standard_normal((4, 5)), rng.standard_normal((100, 4, 5))
    formula = sgd_formula if kind is optim.SGD else adam_formula
    expected = formula(start, grads, lr=0.01, **options)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 2e-5)):
        p = nn.Parameter(start.astype(dtype))
        array = p.data
        optimizer = kind([p], lr=0.01, **options)
        for grad in grads:
            p.grad = fc.tensor(grad.astype(dtype))
            optimizer.step()
        assert p.data is array
        np.testing.assert_allclose(p.data, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("kind", "options"), CASES + OTHERS)
def test_steps_equal_pytorch(kind, options):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    start, grads = rng.standard_normal(30), rng.standard_normal((100, 30))
    ours, theirs = nn.Parameter(start.copy()), torch.nn.Parameter(torch.tensor(start))
    first = kind([ours], lr=0.05, **options)
    second = getattr(torch.optim, kind.__name__)([theirs], lr=0.05, **options)
    for grad in grads:
        ours.grad, theirs.grad = fc.tensor(grad), torch.tensor(grad)
        first.step()
        second.step()
        np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-11, atol=1e-13)


def quadratic(seed):
    """A model, its optimizer-independent step, and data."""
    fc.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    return model, fc.randn(8, 3), fc.randn(8, 2)


def train(model, optimizer, x, t, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        nn.MSELoss()(model(x), t).backward()
        optimizer.step()


LAMB = [(optim.LAMB, {}), (optim.LAMB, {"weight_decay": 0.1, "betas": (0.8, 0.9)})]


@pytest.mark.parametrize(("kind", "options"), LAMB)
def test_lamb_follows_the_paper(kind, options):
    """You et al. (2020), algorithm 2, layer by layer."""
    rng = np.random.default_rng(2)
    shapes = [(4, 5), (7,), (3, 2, 3, 3)]
    layers = [nn.Parameter(rng.standard_normal(shape)) for shape in shapes]
    w = [p.data.copy() for p in layers]
    m, v = [0.0] * 3, [0.0] * 3
    (b1, b2), decay = options.get("betas", (0.9, 0.999)), options.get("weight_decay", 0.0)
    optimizer = kind(layers, lr=0.01, **options)
    for t in range(1, 101):
        for i, p in enumerate(layers):
            g = rng.standard_normal(p.shape)
            p.grad = fc.tensor(g)
            m[i] = b1 * m[i] + (1 - b1) * g
            v[i] = b2 * v[i] + (1 - b2) * g**2
            ratio = (m[i] / (1 - b1**t)) / (np.sqrt(v[i] / (1 - b2**t)) + 1e-6)
            direction = ratio + decay * w[i]
            trust = np.linalg.norm(w[i]) / np.linalg.norm(direction)
            w[i] = w[i] - 0.01 * trust * direction
        optimizer.step()
    for p, expected in zip(layers, w, strict=True):
        np.testing.assert_allclose(p.data, expected, rtol=1e-11)


def quartic(x, matrix, library):
    """A convex loss with its minimum at 1, in either library."""
    y = x - 1.0
    row, column = y.reshape(1, 8), y.reshape(8, 1)
    return ((y * y) * (y * y)).sum() + (row @ library(matrix) @ column).sum()


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.2, "max_iter": 4},
        {"lr": 0.1, "max_iter": 3, "history_size": 3},
        {"line_search_fn": "strong_wolfe", "max_iter": 5},
    ],
)
def test_lbfgs_equals_pytorch(options):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    start, root = rng.standard_normal(8), rng.standard_normal((8, 8))
    matrix = root @ root.T + np.eye(8)
    ours, theirs = nn.Parameter(start.copy()), torch.nn.Parameter(torch.tensor(start))
    pairs = [
        (optim.LBFGS([ours], **options), ours, fc.tensor),
        (torch.optim.LBFGS([theirs], **options), theirs, torch.tensor),
    ]

    def step(optimizer, x, library):
        def closure():
            optimizer.zero_grad()
            loss = quartic(x, matrix, library)
            loss.backward()
            return loss

        return optimizer.step(closure).item()

    for _ in range(6):
        losses = [step(*pair) for pair in pairs]
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-6, atol=1e-9)


def test_lbfgs_saved_and_resumed():
    def problem(seed):
        fc.manual_seed(seed)
        p = nn.Parameter(np.arange(3.0))
        return p, optim.LBFGS([p], lr=0.3, max_iter=3)

    def run(p, optimizer, times):
        def closure():
            optimizer.zero_grad()
            loss = ((p - 2.0) * (p - 2.0) * (p - 2.0) * (p - 2.0)).sum()
            loss.backward()
            return loss

        for _ in range(times):
            optimizer.step(closure)

    p, optimizer = problem(0)
    run(p, optimizer, 3)
    q, resumed = problem(1)
    q.data[...] = p.data
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(p, optimizer, 3)
    run(q, resumed, 3)
    np.testing.assert_array_equal(p.data, q.data)


@pytest.mark.parametrize(("kind", "options"), CASES + OTHERS + LAMB)
@pytest.mark.parametrize("through_json", [False, True])
def test_saved_state_continues_bit_for_bit(kind, options, through_json):
    model, x, t = quadratic(0)
    optimizer = kind(model.parameters(), lr=0.05, **options)
    train(model, optimizer, x, t, 5)
    weights, state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    if through_json:
        text = json.dumps(state, default=lambda a: {"array": a.tolist(), "dtype": str(a.dtype)})
        state = json.loads(
            text,
            object_hook=lambda d: np.array(d["array"], d["dtype"]) if "array" in d else d,
        )
    train(model, optimizer, x, t, 5)

    twin, _, _ = quadratic(1)
    twin.load_state_dict(weights)
    resumed = kind(twin.parameters(), lr=1.0)
    resumed.load_state_dict(state)
    assert resumed.param_groups[0]["lr"] == 0.05
    train(twin, resumed, x, t, 5)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_state_dict_has_pytorchs_form():
    model, x, t = quadratic(0)
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": [model[2].bias]}]
    optimizer = optim.Adam(groups, lr=0.1)
    assert optimizer.state_dict()["state"] == {}
    train(model, optimizer, x, t, 2)
    state = optimizer.state_dict()
    assert list(state["state"]) == [0, 1, 2]
    assert state["state"][0]["step"] == 2
    assert state["state"][0]["exp_avg"].shape == (4, 3)
    assert set(state["state"][2]) == {"step", "exp_avg", "exp_avg_sq"}
    assert [g["params"] for g in state["param_groups"]] == [[0, 1], [2]]
    assert [g["lr"] for g in state["param_groups"]] == [0.5, 0.1]


def test_load_state_dict_errors_change_nothing():
    model, x, t = quadratic(0)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, optimizer, x, t, 1)
    before = copy.deepcopy(optimizer.state_dict())

    def broken(change):
        state = copy.deepcopy(before)
        state["param_groups"][0]["lr"] = 7.0
        change(state)
        return state

    cases = [
        (lambda s: s["param_groups"][0]["params"].pop(), ValueError, r"\[4\] parameters"),
        (lambda s: s["param_groups"].append(s["param_groups"][0]), ValueError, r"\[4, 4\]"),
        (
            lambda s: s["state"][0].update(momentum_buffer=np.zeros(3, np.float32)),
            ValueError,
            r"parameter 0: momentum_buffer has shape \(3,\), the parameter \(4, 3\)",
        ),
        (
            lambda s: s["state"][0].update(momentum_buffer=np.zeros((4, 3))),
            TypeError,
            "momentum_buffer is float64, the parameter float32",
        ),
        (lambda s: s["state"].update({9: {}}), ValueError, "no parameter 9"),
        (lambda s: s["param_groups"][0].update(lr=-1.0), ValueError, "lr must be"),
    ]
    for change, error, text in cases:
        with pytest.raises(error, match=text):
            optimizer.load_state_dict(broken(change))
        after = optimizer.state_dict()
        assert after["param_groups"] == before["param_groups"]
        for i, kept in before["state"].items():
            np.testing.assert_array_equal(
                after["state"][i]["momentum_buffer"], kept["momentum_buffer"]
            )


def test_loaded_state_is_a_copy():
    model, x, t = quadratic(0)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, optimizer, x, t, 1)
    state = optimizer.state_dict()
    twin = optim.SGD(model.parameters(), lr=0.1)
    twin.load_state_dict(state)
    kept = state["state"][0]["momentum_buffer"]
    assert optimizer.state_dict()["state"][0]["momentum_buffer"] is kept
    assert twin.state_dict()["state"][0]["momentum_buffer"] is not kept


def test_parameters_without_gradient_stay():
    model, x, t = quadratic(0)
    frozen = model[0].weight.data.copy()
    model[0].requires_grad_(False)
    optimizer = optim.Adam(model.parameters(), weight_decay=1.0)
    train(model, optimizer, x, t, 2)
    np.testing.assert_array_equal(model[0].weight.data, frozen)
    assert list(optimizer.state_dict()["state"]) == [2, 3]


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_decay_bias_switches_one_dimension_off(kind):
    weight, bias = nn.Parameter(np.ones((2, 2))), nn.Parameter(np.ones(2))
    optimizer = kind([weight, bias], lr=0.1, weight_decay=0.5, decay_bias=False)
    for p in (weight, bias):
        p.grad = fc.zeros(*p.shape, dtype=np.float64)
    optimizer.step()
    assert (weight.data < 1).all()
    assert (bias.data == 1).all()


def test_zero_grad_and_closure():
    p = nn.Parameter(np.ones(2, np.float32))
    optimizer = optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with fc.no_grad():
        assert optimizer.step(closure).item() == 2
    assert p.tolist() == [0, 0]
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


def test_channels_last_gradients_and_parameters():
    rng = np.random.default_rng(2)
    start, grad = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 4, 5))
    lying = np.ascontiguousarray(grad.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for kind in (optim.SGD, optim.Adam):
        results = []
        for array in (grad, lying):
            p = nn.Parameter(start.copy())
            optimizer = kind([p], lr=0.1)
            p.grad = fc.tensor(array)
            optimizer.step()
            optimizer.step()
            results.append(p.data)
        np.testing.assert_array_equal(*results)


PARAMETER = nn.Parameter(np.ones(2, np.float32))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: optim.SGD([]), ValueError, "list of parameters is empty"),
        (lambda: optim.SGD(PARAMETER), TypeError, "must be an iterable"),
        (lambda: optim.SGD([np.ones(2)]), TypeError, "parameters are Tensors, got ndarray"),
        (lambda: optim.SGD([PARAMETER * 2]), ValueError, r"shape \(2,\) is no leaf"),
        (lambda: optim.SGD([PARAMETER, PARAMETER]), ValueError, "given twice"),
        (lambda: optim.SGD([{"lr": 1.0}]), TypeError, 'dict with "params"'),
        (lambda: optim.SGD([{"params": [PARAMETER], "betas": 1}]), ValueError, "unknown options"),
        (lambda: optim.SGD([PARAMETER], lr=-1), ValueError, "lr must be finite and at least 0"),
        (lambda: optim.SGD([PARAMETER], lr=float("nan")), ValueError, "lr must be .*nan"),
        (lambda: optim.SGD([PARAMETER], lr="1"), TypeError, "lr must be a number, got '1'"),
        (lambda: optim.SGD([PARAMETER], momentum=-0.1), ValueError, "momentum must be"),
        (lambda: optim.SGD([PARAMETER], nesterov=True), ValueError, "nesterov needs momentum"),
        (lambda: optim.Adam([PARAMETER], betas=(0.9, 1.0)), ValueError, r"betas\[1\] must be in"),
        (lambda: optim.Adam([PARAMETER], betas=(0.9,)), ValueError, "must be two numbers"),
        (lambda: optim.Adam([PARAMETER], eps=-1), ValueError, "eps must be"),
    ],
)
def test_wrong_arguments(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_groups_are_added_and_shown():
    optimizer = optim.SGD([nn.Parameter(np.ones(1))], lr=0.5)
    optimizer.add_param_group({"params": nn.Parameter(np.ones(1)), "lr": 0.25})
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.25]
    assert "group 1: 1 parameters, " in repr(optimizer)
    with pytest.raises(ValueError, match="given twice"):
        optimizer.add_param_group({"params": optimizer.param_groups[0]["params"]})
    assert len(optimizer.param_groups) == 2
