"""The fused parameter updates of the optimizers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastconv import ops, reference
from fastconv.testing import LAYOUTS, assert_matches, lay_out, normal

SIZES = [(), (1,), (7,), (33,), (5, 3, 3, 3), (1031,), (0, 4), (40000,)]
SGD = [
    {},
    {"weight_decay": 0.01},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
]
ADAM = [
    {},
    {"weight_decay": 0.01},
    {"weight_decay": 0.01, "decoupled": True},
    {"betas": (0.5, 0.9), "eps": 1e-3},
]


def by_hand_sgd(p, g, v, first, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    """One parameter, one number at a time."""
    g = g + weight_decay * p
    if momentum:
        v = g if first else momentum * v + (1 - dampening) * g
        g = g + momentum * v if nesterov else v
    return p - lr * g, v


def by_hand_adam(
    p, g, m, v, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False
):
    if decoupled:
        p = p - lr * weight_decay * p
    else:
        g = g + weight_decay * p
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g**2
    return p - lr * (m / (1 - betas[0] ** t)) / ((v / (1 - betas[1] ** t)) ** 0.5 + eps), m, v


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", SGD)
@pytest.mark.parametrize("shape", SIZES)
def test_sgd(backend, shape, settings, dtype):
    parameter = np.asarray(normal(shape, 1, dtype))
    velocity = np.full(shape, np.nan, dtype) if settings.get("momentum") else None
    p, v = parameter.astype(float), np.zeros(shape)
    for step in range(3):
        grad = np.asarray(normal(shape, 10 + step, dtype))
        first = {"first_step": step == 0}
        buffers = None if velocity is None else [velocity]
        returned = backend.ops.sgd_update([parameter], [grad], buffers, lr=0.1, **settings, **first)
        assert returned is None
        p, v = by_hand_sgd(p, grad.astype(float), v, step == 0, 0.1, **settings)
    assert_matches(parameter, np.asarray(p), dtype, terms=12)
    if velocity is not None:
        assert_matches(velocity, np.asarray(v), dtype, terms=12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", ADAM)
@pytest.mark.parametrize("shape", SIZES)
def test_adam(backend, shape, settings, dtype):
    parameter = np.asarray(normal(shape, 1, dtype))
    mean, square = np.zeros(shape, dtype), np.zeros(shape, dtype)
    p, m, v = parameter.astype(float), np.zeros(shape), np.zeros(shape)
    for step in range(1, 4):
        grad = np.asarray(normal(shape, 10 + step, dtype))
        backend.ops.adam_update(
            [parameter], [grad], [mean], [square], step=step, lr=0.01, **settings
        )
        p, m, v = by_hand_adam(p, grad.astype(float), m, v, step, 0.01, **settings)
    for got, want in [(parameter, p), (mean, m), (square, v)]:
        assert_matches(got, np.asarray(want), dtype, terms=30)


def test_the_gradient_is_left_alone(backend):
    parameter, grad, velocity = (normal((50,), seed) for seed in range(3))
    before = grad.copy()
    backend.ops.sgd_update([parameter], [grad], [velocity], lr=0.1, momentum=0.9, weight_decay=0.1)
    np.testing.assert_array_equal(grad, before)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_writes_into_any_layout(backend, layout):
    shape = (4, 3, 5, 2)
    parameter, velocity = lay_out(normal(shape, 1), layout), lay_out(normal(shape, 3), layout)
    grad = normal(shape, 2)
    p, v = by_hand_sgd(parameter.astype(float), grad, velocity.astype(float), False, 0.1, 0.9)
    backend.ops.sgd_update(
        [parameter], [lay_out(grad, "fortran")], [velocity], lr=0.1, momentum=0.9
    )
    assert_matches(parameter, p, np.float32, terms=8)
    assert_matches(velocity, v, np.float32, terms=8)


def test_two_threads_worth_of_parameters(backend):
    """Larger than any chunk, with a tail."""
    parameter, grad = normal((1_000_003,), 1), normal((1_000_003,), 2)
    expected = parameter.astype(float) - 0.5 * grad.astype(float)
    backend.ops.sgd_update([parameter], [grad], lr=0.5)
    assert_matches(parameter, expected, np.float32)


RULES = {
    "adagrad_update": [("state_sums",), [{}, {"lr_decay": 0.1, "weight_decay": 0.1}]],
    "adadelta_update": [("square_avgs", "acc_deltas"), [{}, {"rho": 0.5, "weight_decay": 0.1}]],
    "rmsprop_update": [
        ("square_avgs", "grad_avgs", "momentum_buffers"),
        [{}, {"momentum": 0.9, "weight_decay": 0.1}],
    ],
    "lamb_update": [("exp_avgs", "exp_avg_sqs"), [{}, {"weight_decay": 0.1}]],
    "adam_update": [("exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs"), [{}, {"weight_decay": 0.1}]],
}
COUNTS = {"adagrad_update", "lamb_update", "adam_update"}


def steps(ops, rule, names, options, dtype):
    """Three steps of parameters of every size at once; all that was changed."""
    shapes = [shape for shape in SIZES if shape != ()]
    parameters = [normal(shape, 1, dtype) for shape in shapes]
    states = {name: [np.zeros(shape, dtype) for shape in shapes] for name in names}
    for step in range(1, 4):
        grads = [normal(shape, 10 * step, dtype) for shape in shapes]
        count = {"step": step} if rule in COUNTS else {}
        getattr(ops, rule)(parameters, grads, **states, lr=0.01, **count, **options)
    return [*parameters, *(array for arrays in states.values() for array in arrays)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES)
def test_the_other_rules(backend, rule, dtype):
    names, settings = RULES[rule]
    optional = {"rmsprop_update": 2, "adam_update": 1}.get(rule, 0)
    for given in range(len(names) - optional, len(names) + 1):
        for options in settings:
            if options.get("momentum") and given < len(names):
                continue
            got = steps(backend.ops, rule, names[:given], options, dtype)
            want = steps(reference, rule, names[:given], options, "float64")
            # Rounding of the gradients to float32 moves Adadelta's first tiny steps most.
            for a, b in zip(got, want, strict=True):
                assert_matches(a, b, dtype, terms=1000)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_total_norm(backend, dtype):
    arrays = [normal(shape, seed, dtype) for seed, shape in enumerate([(3, 4), (40_001,), (0,)])]
    norm = backend.ops.total_norm(arrays)
    assert norm.shape == () and norm.dtype == dtype
    exact = math.sqrt(math.fsum(float(x) ** 2 for a in arrays for x in a.flat))
    assert_matches(norm, np.asarray(exact), dtype, terms=4)


def test_what_lists_are_refused():
    a, b, c = (np.zeros(4, np.float32) for _ in range(3))
    with pytest.raises(TypeError, match=r"^sgd_update: parameters must be a list of arrays, got"):
        ops.sgd_update(a, [b], lr=0.1)
    with pytest.raises(ValueError, match=r"^sgd_update: grads has 2 arrays but parameters has 1"):
        ops.sgd_update([a], [b, c], lr=0.1)
    with pytest.raises(ValueError, match=r"^sgd_update: .*must share one dtype and device"):
        ops.sgd_update([a, np.zeros(4)], [b, np.zeros(4)], lr=0.1)
    with pytest.raises(ValueError, match=r"^sgd_update: parameters overlaps parameters"):
        ops.sgd_update([a, a], [b, c], lr=0.1)
    with pytest.raises(ValueError, match=r"^sgd_update: parameters overlaps grads"):
        ops.sgd_update([a, b], [c, a], lr=0.1)
    with pytest.raises(ValueError, match=r"^total_norm: arrays is empty"):
        ops.total_norm([])
    ops.sgd_update([], [], lr=0.1)


def test_what_is_refused():
    parameter, grad, state = (
        np.zeros(4, np.float32),
        np.zeros(4, np.float32),
        np.zeros(4, np.float32),
    )
    with pytest.raises(ValueError, match=r"^sgd_update: grads has shape \(5,\), expected \(4,\)"):
        ops.sgd_update([parameter], [np.zeros(5, np.float32)], lr=0.1)
    with pytest.raises(ValueError, match=r"^sgd_update: .*momentum"):
        ops.sgd_update([parameter], [grad], lr=0.1, momentum=0.9)
    with pytest.raises(TypeError, match=r"^sgd_update: grads is float64 but parameters is float32"):
        ops.sgd_update([parameter], [grad.astype(float)], lr=0.1)
    with pytest.raises(ValueError, match=r"^sgd_update: .*overlaps"):
        ops.sgd_update([parameter], [grad], [parameter], lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match=r"^adam_update: .*overlaps"):
        ops.adam_update([parameter], [grad], [state], [state], step=1, lr=0.1)
    with pytest.raises(ValueError, match=r"^adam_update: step"):
        ops.adam_update([parameter], [grad], [state], [state.copy()], step=0, lr=0.1)
    parameter.flags.writeable = False
    with pytest.raises(ValueError, match=r"^sgd_update: parameters is read-only"):
        ops.sgd_update([parameter], [grad], lr=0.1)
