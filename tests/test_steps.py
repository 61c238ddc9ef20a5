"""When a run ends, how gradients become steps, and how hard samples are: also after a crash."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest
from test_resume import Crash, CrashAfter, untimed, weights

from fastconv import nn, optim
from fastconv.data import ArrayDataset, DataLoader, RandomAffine
from fastconv.data.drawings import draw
from fastconv.random import manual_seed
from fastconv.train import (
    Callback,
    Checkpoint,
    EarlyStopping,
    Hardness,
    LossConverged,
    Schedule,
    Trainer,
    load_checkpoint,
    sample_hardness,
)
from fastconv.train.step import Step


def model_of() -> nn.Module:
    manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 3, 5, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(192, 2))


def trainer_of(callbacks=(), lr: float = 0.05, momentum: float = 0.9, **options) -> Trainer:
    model = model_of()
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    return Trainer(model, optimizer, callbacks=callbacks, **options)


def loader_of(count: int = 80, batch_size: int = 16, **options) -> DataLoader:
    return DataLoader(ArrayDataset(*draw(count)), batch_size, **options)


def state_of(trainer: Trainer) -> list[np.ndarray]:
    return [p.data.copy() for p in trainer.model.parameters()]


# --- steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [2, 3, 100])
def test_accumulated_batches_are_one_larger_batch(accumulate: int) -> None:
    small = trainer_of(accumulate=accumulate)
    large = trainer_of()
    # 4 batches of 16 and one of 6: an epoch's last step has fewer samples.
    small.fit(loader_of(70, 16), epochs=3)
    large.fit(loader_of(70, 16 * accumulate), epochs=3)
    for ours, expected in zip(state_of(small), state_of(large), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(
        [r["train_loss"] for r in small.history],
        [r["train_loss"] for r in large.history],
        rtol=1e-6,
    )


def test_accumulation_steps_as_often_as_it_says() -> None:
    steps = []

    class Count(Callback):
        def on_batch_end(self, trainer: Trainer, loss: float) -> None:
            steps.append(trainer.model[3].bias.data.tobytes())

    trainer_of([Count()], accumulate=2).fit(loader_of(), epochs=2)
    changed = [a != b for a, b in zip([b"", *steps], steps, strict=False)]
    assert changed[1:] == [True, False, True, True, False, True, False, True, True]


def step_of(**options) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(gradients of the first batch, what plain descent at rate 1 then took off)."""
    trainer = trainer_of(lr=1.0, momentum=0.0, **options)
    before = state_of(trainer)
    trainer.fit(loader_of(16, 16))
    taken = [a - b for a, b in zip(before, state_of(trainer), strict=True)]
    plain = model_of().to(memory_format="channels_last")
    nn.CrossEntropyLoss()(plain(*next(iter(loader_of(16, 16)))[:1]), targets_of(16)).backward()
    return [p.grad.numpy() for p in plain.parameters()], taken


def targets_of(count: int):
    return next(iter(loader_of(count, count)))[1]


def test_clipping() -> None:
    gradients, taken = step_of()
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients))
    largest = max(np.abs(g).max() for g in gradients)
    for gradient, step in zip(gradients, taken, strict=True):
        np.testing.assert_allclose(step, gradient, atol=1e-6)
    _, taken = step_of(clip_norm=norm / 4)
    for gradient, step in zip(gradients, taken, strict=True):
        np.testing.assert_allclose(step, gradient / 4, atol=1e-6)
    _, taken = step_of(clip_value=largest / 3)
    for gradient, step in zip(gradients, taken, strict=True):
        np.testing.assert_allclose(step, np.clip(gradient, -largest / 3, largest / 3), atol=1e-6)
    _, taken = step_of(clip_norm=2 * norm, clip_value=2 * largest)
    for gradient, step in zip(gradients, taken, strict=True):
        np.testing.assert_allclose(step, gradient, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"clip_norm": 0}, "clip_norm must be positive, got 0"),
        ({"clip_value": -1.0}, r"clip_value must be positive, got -1\.0"),
    ],
)
def test_steps_refuse_bad_arguments(options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=f"Trainer: {text}"):
        trainer_of(**options)


# --- the end of a run ----------------------------------------------------------------------------


def test_the_best_weights_come_back() -> None:
    kept = []

    class Spoil(Callback):
        """The validation loss is lowest after the second epoch."""

        def on_validation_end(self, trainer: Trainer, record: dict) -> None:
            kept.append(state_of(trainer))
            record["val_loss"] = [3.0, 1.0, 2.0, 2.5, 0.5][len(kept) - 1]

    for restore, best in ((True, 1), (False, 3)):
        kept.clear()
        trainer = trainer_of([Spoil(), EarlyStopping(patience=2, restore_best=restore)])
        trainer.fit(loader_of(), loader_of(20), epochs=5)
        assert len(kept) == 4
        for ours, expected in zip(state_of(trainer), kept[best], strict=True):
            np.testing.assert_array_equal(ours, expected)


def test_the_best_of_a_run_that_is_not_stopped() -> None:
    trainer = trainer_of([EarlyStopping("train_loss", 9, 1e9, restore_best=True)])
    first = trainer_of()
    first.fit(loader_of(), epochs=1)
    trainer.fit(loader_of(), epochs=3)
    assert weights(trainer) == weights(first), "nothing improved by as much after the first epoch"


def test_early_stopping_knows_which_way_is_better() -> None:
    trainer = trainer_of()
    upwards = EarlyStopping("val_top5", patience=1, mode="max")
    for value, stop in ((0.5, False), (0.6, False), (0.6, True)):
        upwards.on_epoch_end(trainer, {"val_top5": value})
        assert trainer.stop is stop
    with pytest.raises(ValueError, match="mode must be 'auto', 'min' or 'max', got 'up'"):
        EarlyStopping(mode="up")


def test_nan_is_never_the_best() -> None:
    trainer = trainer_of()
    stopping = EarlyStopping("val_loss", patience=2, restore_best=True)
    for value, best, stop in (
        (math.nan, None, False),
        (2.0, 2.0, False),
        (math.nan, 2.0, False),
        (1.0, 1.0, False),
        (math.nan, 1.0, False),
        (math.nan, 1.0, True),
    ):
        stopping.on_epoch_end(trainer, {"val_loss": value})
        assert (stopping.best, trainer.stop) == (best, stop)
        assert (stopping.state_dict()["weights"] is None) == (best is None)


@pytest.mark.parametrize("grads", [3, 5])
def test_gradients_of_other_parameters_are_refused(grads: int) -> None:
    step = Step(optim.SGD(model_of().parameters(), lr=0.1), accumulate=2)
    state = {"batches": 1, "samples": 8, "grads": [None] * grads}
    with pytest.raises(ValueError, match=f"holds gradients of {grads} parameters, expected 4"):
        step.load_state_dict(state)


@pytest.mark.parametrize(("n", "epochs"), [(1, 4), (2, 5), (3, 6), (9, 6)])
def test_a_run_ends_when_the_loss_has_converged(n: int, epochs: int) -> None:
    losses = iter([4.0, 3.0, 2.0, 2.0 + 2**-8, 2.0, 2.0])

    class Say(Callback):
        priority = -1

        def on_epoch_end(self, trainer: Trainer, record: dict) -> None:
            record["train_loss"] = next(losses)

    trainer = trainer_of([Say(), LossConverged(eps=2**-7, n=n)])
    assert len(trainer.fit(loader_of(16), epochs=6)) == epochs


def test_gradient_descent_converges_and_stops() -> None:
    """Full batches, as in the lecture: |f(x_t+1) - f(x_t)| < eps."""
    trainer = trainer_of([LossConverged(eps=1e-3)], lr=0.02, momentum=0.0)
    history = trainer.fit(loader_of(40, 40), epochs=500)
    losses = np.array([record["train_loss"] for record in history])
    steps = np.abs(np.diff(losses))
    assert 5 < len(history) < 500 and steps[-1] < 1e-3 and (steps[:-1] >= 1e-3).all()


def test_converged_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match="eps must be positive and n at least 1, got 0 and 1"):
        LossConverged(0)
    with pytest.raises(ValueError, match=r"LossConverged: no 'val_loss' in the record \['epoch'"):
        trainer_of([LossConverged(monitor="val_loss")]).fit(loader_of())


# --- hardness ------------------------------------------------------------------------------------


def test_hardness_is_the_epoch_from_which_the_label_stays() -> None:
    labels = [[1, 0, 0, 2], [1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 0, 1], [1, 1, 0, 2]]
    np.testing.assert_array_equal(sample_hardness(labels), [1, 2, 4, 5])
    np.testing.assert_array_equal(sample_hardness(labels[:1]), [1, 1, 1, 1])
    assert sample_hardness(np.zeros((3, 0))).shape == (0,)
    with pytest.raises(ValueError, match=r"expected labels \(epochs, N\), got \(0, 4\)"):
        sample_hardness(np.zeros((0, 4)))


def test_hardness_records_predictions_and_changes_nothing() -> None:
    hardness = Hardness(loader_of(50, 16))
    snapshots = []

    class Look(Callback):
        def on_epoch_end(self, trainer: Trainer, record: dict) -> None:
            images = next(iter(loader_of(50, 50)))[0]
            snapshots.append(trainer.model(images).data.argmax(1))

    watched, plain = trainer_of([hardness, Look()]), trainer_of()
    for trainer in (watched, plain):
        trainer.fit(loader_of(shuffle=True), epochs=4)
    assert weights(watched) == weights(plain)
    assert hardness.labels.dtype == np.int32
    np.testing.assert_array_equal(hardness.labels, snapshots)
    found = hardness.hardness()
    np.testing.assert_array_equal(found, sample_hardness(np.array(snapshots)))
    assert 1 <= found.min() < found.max() <= 4


@pytest.mark.parametrize(
    "options", [{"shuffle": True}, {"drop_last": True}, {"augment": RandomAffine(3)}]
)
def test_hardness_needs_every_sample_as_it_is(options: dict) -> None:
    with pytest.raises(ValueError, match="must not shuffle, augment or drop"):
        Hardness(loader_of(**options))


# --- resumed -------------------------------------------------------------------------------------


def run(file: Path, crash: int | None = None, accumulate: int = 1) -> tuple[Trainer, Hardness]:
    """Up to five augmented epochs of three batches, stopped early, the best weights restored."""
    hardness = Hardness(loader_of(30))
    model = model_of()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    callbacks = [
        Checkpoint(file, every_steps=1, resume=True),
        Schedule(optim.lr_scheduler.CosineAnnealingLR(optimizer, 15)),
        EarlyStopping("train_loss", 2, 1e9, restore_best=True),
        LossConverged(1e-9),
        hardness,
        CrashAfter(crash),
    ]
    trainer = Trainer(
        model, optimizer, callbacks=callbacks, accumulate=accumulate, clip_norm=0.5, clip_value=0.1
    )
    train = loader_of(80, 32, shuffle=True, seed=5, augment=RandomAffine(10, 1, 0.1, fill=-1))
    with contextlib.suppress(Crash):
        trainer.fit(train, loader_of(20, 20), epochs=5)
    return trainer, hardness


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resume_after_any_batch_equals_no_interruption(tmp_path: Path, accumulate: int) -> None:
    whole, watched = run(tmp_path / "whole", accumulate=accumulate)
    assert len(whole.history) == 3 and watched.labels.shape == (3, 30)
    for crash in range(1, 9):
        file = tmp_path / f"{crash}.safetensors"
        first, _ = run(file, crash, accumulate)
        best = 3 <= crash < 3 + accumulate  # the best epoch has ended, no step been made since
        assert (weights(first) == weights(whole)) is best
        again, hardness = run(file, accumulate=accumulate)
        assert weights(again) == weights(whole), f"crash after batch {crash}"
        assert untimed(again.history) == untimed(whole.history)
        np.testing.assert_array_equal(hardness.labels, watched.labels)
    finished, _ = run(tmp_path / "whole", accumulate=accumulate)
    assert weights(finished) == weights(whole), "a finished run still ends with its best weights"


def test_a_checkpoint_holds_gradients_only_between_steps(tmp_path: Path) -> None:
    run(tmp_path / "odd", crash=1, accumulate=2)
    run(tmp_path / "even", crash=2, accumulate=2)
    odd, even = (load_checkpoint(tmp_path / name)[0]["step"] for name in ("odd", "even"))
    assert (odd["batches"], odd["samples"]) == (1, 32) and len(odd["grads"]) == 4
    assert even == {"batches": 0, "samples": 0, "grads": []}


def test_hardness_of_other_samples_is_not_resumed() -> None:
    with pytest.raises(ValueError, match="saved with 30 samples, the loader has 80"):
        Hardness(loader_of()).load_state_dict({"labels": np.zeros((2, 30), np.int32)})
