"""Learning-rate schedules: the formulas, PyTorch's values, chains, saved state."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fastconv import nn, optim
from fastconv.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    StepLR,
)

SCHEDULES = [
    (StepLR, {"step_size": 3}),
    (StepLR, {"step_size": 1, "gamma": 0.9}),
    (CosineAnnealingLR, {"T_max": 10}),
    (CosineAnnealingLR, {"T_max": 7, "eta_min": 0.01}),
    (CosineAnnealingLR, {"T_max": 1}),
    (CosineAnnealingWarmRestarts, {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    (MultiStepLR, {"milestones": [3, 9, 9], "gamma": 0.5}),
    (ExponentialLR, {"gamma": 0.9}),
    (LinearLR, {}),
    (LinearLR, {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 9}),
    (OneCycleLR, {"max_lr": 0.7, "total_steps": 60, "cycle_momentum": False}),
    (
        OneCycleLR,
        {"max_lr": 0.7, "total_steps": 41, "anneal_strategy": "linear", "cycle_momentum": False},
    ),
]


def optimizer(*rates):
    groups = [{"params": [nn.Parameter(np.ones(1))], "lr": lr} for lr in rates or (0.5,)]
    return optim.SGD(groups)


def rates(scheduler, epochs):
    seen = []
    for _ in range(epochs):
        seen.append([g["lr"] for g in scheduler.optimizer.param_groups])
        assert scheduler.get_last_lr() == seen[-1]
        scheduler.step()
    return seen


def test_step_formula():
    seen = rates(StepLR(optimizer(0.5), step_size=4, gamma=0.1), 12)
    expected = [[0.5 * 0.1 ** (epoch // 4)] for epoch in range(12)]
    np.testing.assert_allclose(seen, expected, rtol=1e-14)


def test_cosine_formula():
    seen = rates(CosineAnnealingLR(optimizer(0.5, 0.1), T_max=10, eta_min=0.02), 45)
    for epoch, row in enumerate(seen):
        height = (1 + math.cos(math.pi * epoch / 10)) / 2
        expected = [0.02 + (base - 0.02) * height for base in (0.5, 0.1)]
        np.testing.assert_allclose(row, expected, rtol=1e-10)
    assert seen[10] == [0.02, 0.02]


@pytest.mark.parametrize(("kind", "options"), SCHEDULES)
def test_rates_equal_pytorch(kind, options):
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.ones(1))
    theirs = torch.optim.SGD([parameter], lr=0.3)
    scheduler = getattr(torch.optim.lr_scheduler, kind.__name__)(theirs, **options)
    expected = []
    for _ in range(40):
        expected.append([theirs.param_groups[0]["lr"]])
        theirs.step()
        scheduler.step()
    np.testing.assert_allclose(
        rates(kind(optimizer(0.3), **options), 40), expected, rtol=1e-9, atol=1e-15
    )


def test_schedules_chain():
    torch = pytest.importorskip("torch")
    ours = optimizer(0.3)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.3)
    library = torch.optim.lr_scheduler
    pairs = [
        (StepLR(ours, 4, 0.5), library.StepLR(theirs, 4, 0.5)),
        (CosineAnnealingLR(ours, 30), library.CosineAnnealingLR(theirs, 30)),
    ]
    for _ in range(25):
        theirs.step()
        for mine, other in pairs:
            mine.step()
            other.step()
        np.testing.assert_allclose(
            ours.param_groups[0]["lr"], theirs.param_groups[0]["lr"], rtol=1e-12
        )


@pytest.mark.parametrize(("kind", "options"), SCHEDULES)
def test_saved_state_continues_exactly(kind, options):
    ours = optimizer(0.3)
    scheduler = kind(ours, **options)
    rates(scheduler, 5)
    saved = json.loads(json.dumps([ours.state_dict(), scheduler.state_dict()]))
    expected = rates(scheduler, 30)

    again = optimizer(0.7)
    resumed = kind(again, **options)
    again.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    assert resumed.last_epoch == 5
    assert rates(resumed, 30) == expected


@pytest.mark.parametrize("last_epoch", [2, 9])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (StepLR, {"step_size": 3, "gamma": 0.5}),
        (StepLR, {"step_size": 4}),
        (CosineAnnealingLR, {"T_max": 10}),
        (CosineAnnealingLR, {"T_max": 10, "eta_min": 0.01}),
    ],
)
def test_last_epoch_continues_as_pytorch(kind, options, last_epoch):
    torch = pytest.importorskip("torch")
    group = {"lr": 0.2, "initial_lr": 0.3}
    theirs = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.ones(1))], **group}])
    ours = optim.SGD([{"params": [nn.Parameter(np.ones(1))], **group}])
    other = getattr(torch.optim.lr_scheduler, kind.__name__)(
        theirs, **options, last_epoch=last_epoch
    )
    scheduler = kind(ours, **options, last_epoch=last_epoch)
    assert scheduler.base_lrs == other.base_lrs
    assert scheduler.last_epoch == other.last_epoch
    expected = []
    for _ in range(25):
        expected.append(other.get_last_lr())
        theirs.step()
        other.step()
    np.testing.assert_allclose(rates(scheduler, 25), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: StepLR(optimizer(), 0), ValueError, "step_size must be at least 1, got 0"),
        (lambda: CosineAnnealingLR(optimizer(), 0), ValueError, "T_max must be at least 1"),
        (lambda: StepLR(None, 1), TypeError, "expected an Optimizer, got NoneType"),
        (lambda: StepLR(optimizer(), 1, last_epoch=2), ValueError, "group 0 has no initial_lr"),
        (
            lambda: StepLR(optimizer(), 1).load_state_dict({"last_epoch": 1}),
            ValueError,
            "load_state_dict: expected",
        ),
        (
            lambda: StepLR(optimizer(), 1).load_state_dict(
                StepLR(optimizer(0.1, 0.2), 1).state_dict()
            ),
            ValueError,
            "has 1 parameter groups, the state 2",
        ),
    ],
)
def test_wrong_arguments(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_inverse_root_by_a_function():
    schedule = optim.lr_scheduler.LambdaLR(optimizer(0.5), lambda t: 1 / math.sqrt(t + 1))
    np.testing.assert_allclose(
        rates(schedule, 20), [[0.5 / math.sqrt(t)] for t in range(1, 21)], rtol=1e-14
    )


def test_one_cycle_moves_the_momentum_as_pytorch():
    torch = pytest.importorskip("torch")
    for kind, options in (("SGD", {"momentum": 0.9}), ("Adam", {})):
        ours = getattr(optim, kind)([nn.Parameter(np.ones(1))], lr=0.1, **options)
        theirs = getattr(torch.optim, kind)([torch.nn.Parameter(torch.ones(1))], lr=0.1, **options)
        pair = [
            library(optimizer, max_lr=0.5, total_steps=20)
            for library, optimizer in (
                (OneCycleLR, ours),
                (torch.optim.lr_scheduler.OneCycleLR, theirs),
            )
        ]
        for _ in range(19):
            mine, other = ours.param_groups[0], theirs.param_groups[0]
            assert mine["lr"] == pytest.approx(other["lr"], rel=1e-12)
            name = "momentum" if kind == "SGD" else "betas"
            assert mine[name] == pytest.approx(other[name], rel=1e-12)
            theirs.step()
            for schedule in pair:
                schedule.step()
    with pytest.raises(ValueError, match="only 20 steps"):
        pair[0].step()


def test_warm_up_then_cosine_as_pytorch():
    torch = pytest.importorskip("torch")
    ours = optimizer(0.3)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.3)
    pair = []
    for library, chosen in ((optim.lr_scheduler, ours), (torch.optim.lr_scheduler, theirs)):
        parts = [library.LinearLR(chosen, 0.1, 1.0, 5), library.CosineAnnealingLR(chosen, 20)]
        pair.append(library.SequentialLR(chosen, parts, [5]))
    for _ in range(24):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
        theirs.step()
        for schedule in pair:
            schedule.step()


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 2, "factor": 0.5},
        {"mode": "max", "patience": 1, "threshold_mode": "abs", "threshold": 0.1},
        {"patience": 0, "cooldown": 3, "min_lr": 1e-3},
    ],
)
def test_plateau_as_pytorch(options):
    torch = pytest.importorskip("torch")
    ours = optimizer(0.3)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.3)
    mine = optim.lr_scheduler.ReduceLROnPlateau(ours, **options)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    rng = np.random.default_rng(0)
    for epoch in range(60):
        measure = 1 / (1 + epoch) + 0.3 * rng.random()
        theirs.step()
        mine.step(measure)
        other.step(measure)
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
