"""The trainer's loop, hooks and callbacks."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from fastconv import nn, optim, threads
from fastconv.autograd.tensor import Tensor
from fastconv.data import ArrayDataset, DataLoader, drawings, mnist
from fastconv.data.drawings import draw
from fastconv.random import manual_seed
from fastconv.train import (
    Callback,
    Checkpoint,
    Curves,
    EarlyStopping,
    History,
    Progress,
    Schedule,
    Trainer,
    load_checkpoint,
)

HOOKS = [name for name in vars(Callback) if name.startswith("on_")]


def loaders(train: int = 96, test: int = 40, batch_size: int = 32) -> list[DataLoader]:
    return [
        DataLoader(ArrayDataset(*draw(train)), batch_size, shuffle=True),
        DataLoader(ArrayDataset(*draw(test, split=1)), 16),
    ]


def trainer_of(callbacks=(), lr: float = 0.05, **options) -> Trainer:
    manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 13 * 13, 2)
    )
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return Trainer(model, optimizer, callbacks=callbacks, **options)


class Recorder(Callback):
    """Writes down which hooks were called."""

    def __init__(self) -> None:
        self.calls: list[str] = []


def _recording(hook: str):
    return lambda self, trainer, *arguments: self.calls.append(hook)


for _hook in HOOKS:
    setattr(Recorder, _hook, _recording(_hook))


def test_seven_hooks_in_their_order() -> None:
    assert len(HOOKS) == 7
    recorder = Recorder()
    trainer_of([recorder]).fit(*loaders(), epochs=2)
    epoch = ["on_epoch_start", *["on_batch_end"] * 3, "on_validation_end", "on_epoch_end"]
    assert recorder.calls == ["on_fit_start", *epoch, *epoch, "on_fit_end"]


def test_an_exception_is_told_and_passed_on() -> None:
    class Fail(Callback):
        def on_batch_end(self, trainer: Trainer, loss: float) -> None:
            raise KeyboardInterrupt

    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        trainer_of([Fail(), recorder]).fit(*loaders())
    assert recorder.calls == ["on_fit_start", "on_epoch_start", "on_exception"]


def test_a_failing_hook_hides_no_error_and_no_hook() -> None:
    class Fail(Callback):
        def on_batch_end(self, trainer: Trainer, loss: float) -> None:
            raise ValueError("the first")

        def on_exception(self, trainer: Trainer, error: BaseException) -> None:
            raise OSError("the second")

    recorder = Recorder()
    with pytest.raises(ValueError, match="the first") as raised:
        trainer_of([Fail(), recorder]).fit(*loaders())
    assert recorder.calls[-1] == "on_exception"
    assert isinstance(raised.value.__context__, OSError), "it is shown beside the first"


def test_hooks_of_one_object_are_called() -> None:
    callback, losses = Callback(), []
    callback.on_batch_end = lambda trainer, loss: losses.append(loss)  # type: ignore[method-assign]
    trainer_of([callback]).fit(loaders()[0])
    assert len(losses) == 3


def test_history_says_what_happened() -> None:
    trainer = trainer_of()
    history = trainer.fit(*loaders(), epochs=3)
    assert [record["epoch"] for record in history] == [1, 2, 3]
    keys = ["epoch", "train_loss", "val_loss", "val_accuracy", "seconds"]
    assert all(list(record) == keys for record in history)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    loss, accuracy = trainer.evaluate(loaders()[1])
    assert (loss, accuracy) == (history[-1]["val_loss"], history[-1]["val_accuracy"])
    assert trainer.fit(*loaders(), epochs=3) == history, "three epochs in all are done"


def test_without_validation_there_is_no_validation() -> None:
    (record,) = trainer_of().fit(loaders()[0])
    assert list(record) == ["epoch", "train_loss", "seconds"]


def test_the_first_losses_are_the_formulas() -> None:
    """One batch an epoch: the training loss is the untrained model's, and evaluation's."""
    images, labels = draw(20)
    loader = DataLoader(ArrayDataset(images, labels), 20)
    trainer = trainer_of()
    logits = trainer.model(next(iter(loader))[0]).data.astype(np.float64)
    log_sum = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
    expected = (log_sum - logits[np.arange(20), labels]).mean()
    uneven = DataLoader(ArrayDataset(images, labels), 7)
    loss, accuracy = trainer.evaluate(uneven)
    assert math.isclose(loss, expected, rel_tol=1e-5)
    assert accuracy == (logits.argmax(1) == labels).mean()
    (record,) = trainer.fit(loader)
    assert math.isclose(record["train_loss"], expected, rel_tol=1e-5)


@pytest.mark.parametrize("shape", [(30, 1), (30, 3)])
def test_regression_has_no_accuracy(tmp_path: Path, capsys, shape: tuple[int, int]) -> None:
    manual_seed(0)
    rows = np.random.default_rng(0).standard_normal((30, 4), np.float32)
    loader = DataLoader(ArrayDataset(rows, np.zeros(shape, np.float32)), 8)
    model = nn.Linear(4, shape[1])
    callbacks = [Progress(), Curves(tmp_path / "curves.png")]
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, optimizer, nn.MSELoss(), callbacks=callbacks, memory_format=None)
    history = trainer.fit(loader, loader, epochs=2)
    assert [list(r) for r in history] == [["epoch", "train_loss", "val_loss", "seconds"]] * 2
    loss, accuracy = trainer.evaluate(loader)
    assert accuracy is None
    assert math.isclose(loss, (model(Tensor(rows)).data ** 2).mean(), rel_tol=1e-5)
    assert "val_accuracy" not in capsys.readouterr().out


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_a_loss_that_is_no_mean_is_refused(reduction: str) -> None:
    with pytest.raises(ValueError, match=f"Trainer: the loss must be .*, not its '{reduction}'"):
        Trainer(nn.Linear(1, 1), None, nn.CrossEntropyLoss(reduction=reduction))


@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
def test_memory_format_reaches_the_layers(memory_format: str) -> None:
    trainer = trainer_of(memory_format=memory_format)
    trainer.fit(loaders()[0])
    result = trainer.model[0](next(iter(loaders()[1]))[0]).data
    channels_last = result.transpose(0, 2, 3, 1).flags.c_contiguous
    assert channels_last == (memory_format == "channels_last")


@pytest.mark.parametrize(("prefetch", "count"), [(2, 1), (0, 1), (3, 2)])
def test_training_twice_gives_the_same_bits(prefetch: int, count: int) -> None:
    results = []
    for ahead, workers in ((2, 1), (prefetch, count)):
        train, test = loaders()
        train.prefetch = ahead
        trainer = trainer_of()
        with threads(workers):
            history = trainer.fit(train, test, epochs=2)
        losses = [(r["train_loss"], r["val_loss"]) for r in history]
        results.append((losses, [p.data.tobytes() for p in trainer.model.parameters()]))
    assert results[0] == results[1]


def test_a_diverging_loss_is_an_error() -> None:
    with (
        np.errstate(all="ignore"),
        pytest.raises(
            FloatingPointError, match=r"(train|valid).* loss is (nan|inf) in epoch .*lower"
        ),
    ):
        trainer_of(lr=1e6).fit(*loaders(), epochs=5)


def loss_of(*values: float):
    """A loss that has `values` one after the other, with gradients of 1."""
    left = iter(values)
    return lambda output, target: (output - output.detach()).sum() + next(left)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("losses", "which"), [((1.0,), "training"), ((1, 1, 1), "validation")])
def test_no_callback_sees_a_loss_that_is_not_finite(
    tmp_path: Path, losses: tuple[float, ...], which: str, value: float
) -> None:
    recorder = Recorder()
    history, file = tmp_path / "history.json", tmp_path / "checkpoint"
    trainer = trainer_of([recorder, History(history), Checkpoint(file, every_steps=100)])
    trainer.loss = loss_of(*losses, value, *[1] * 9)
    with pytest.raises(FloatingPointError, match=f"the {which} loss is {value} in epoch 1"):
        trainer.fit(*loaders(), epochs=1)
    assert recorder.calls.count("on_batch_end") == len(losses)
    assert "on_epoch_end" not in recorder.calls and not list(tmp_path.iterdir())


def test_a_checkpoint_never_holds_weights_that_are_not_finite(tmp_path: Path) -> None:
    class Spoil(Callback):
        def on_batch_end(self, trainer: Trainer, loss: float) -> None:
            if trainer.loader.state_dict()["position"] == 2:
                trainer.model[0].bias.data[1] = np.inf

    file = tmp_path / "checkpoint"
    trainer = trainer_of([Spoil(), Checkpoint(file, every_steps=1)])
    with pytest.raises(FloatingPointError, match=r"0\.bias is no longer finite in epoch 1"):
        trainer.fit(*loaders())
    state, _ = load_checkpoint(file)
    assert state["loader"]["position"] == 1
    assert all(np.isfinite(array).all() for array in state["model"].values())


def test_progress_prints_plain_lines(capsys) -> None:
    trainer_of([Progress()]).fit(*loaders(), epochs=2)
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert len(lines) == 2
    words = lines[1].split()
    assert words[:2] == ["epoch", "2/2"] and words[2::2][:1] == ["train_loss"]
    assert "val_accuracy" in words and words[-1] == "s" and "\r" not in out


def test_progress_shows_a_bar_on_a_terminal(capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    trainer_of([Progress()]).fit(*loaders(), epochs=1)
    out, err = capsys.readouterr()
    assert "epoch 1/1" in err and "3" in err and out.startswith("epoch 1/1")


def test_history_file_is_written_every_epoch(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    lengths = []

    class Look(Callback):
        priority = 1

        def on_epoch_end(self, trainer: Trainer, record: dict) -> None:
            lengths.append(len(json.loads(file.read_text())))

    trainer = trainer_of([Look(), History(file)])
    trainer.fit(*loaders(), epochs=3)
    assert lengths == [1, 2, 3]
    assert json.loads(file.read_text()) == trainer.history


@pytest.mark.parametrize("every", ["batch", "epoch"])
def test_schedule_steps(every: str) -> None:
    trainer = trainer_of()
    rates = []

    class Look(Callback):
        def on_batch_end(self, trainer: Trainer, loss: float) -> None:
            rates.append(trainer.optimizer.param_groups[0]["lr"])

    steps = 6 if every == "batch" else 2
    scheduler = optim.lr_scheduler.CosineAnnealingLR(trainer.optimizer, steps)
    trainer.callbacks = [Look(), Schedule(scheduler, every)]
    trainer.fit(loaders()[0], epochs=2)
    done = range(6) if every == "batch" else [0, 0, 0, 1, 1, 1]
    expected = [0.05 * (1 + math.cos(math.pi * n / steps)) / 2 for n in done]
    np.testing.assert_allclose(rates, expected, rtol=1e-9)
    with pytest.raises(ValueError, match="every must be 'batch' or 'epoch', got 'day'"):
        Schedule(scheduler, "day")


def test_early_stopping_waits_and_stops() -> None:
    stopping = EarlyStopping("val_loss", patience=2, min_delta=0.01)
    trainer = trainer_of()
    stopped = []
    for loss in (1.0, 0.8, 0.795, 0.9):
        stopping.on_epoch_end(trainer, {"val_loss": loss})
        stopped.append(trainer.stop)
    assert stopped == [False, False, False, True]
    upwards = EarlyStopping("val_accuracy", patience=1)
    trainer.stop = False
    for accuracy, stop in ((0.5, False), (0.6, False), (0.6, True)):
        upwards.on_epoch_end(trainer, {"val_accuracy": accuracy})
        assert trainer.stop is stop
    with pytest.raises(ValueError, match="no 'val_loss' in the record"):
        stopping.on_epoch_end(trainer, {"train_loss": 1.0})
    with pytest.raises(ValueError, match="patience must be at least 1, got 0"):
        EarlyStopping(patience=0)


def test_early_stopping_leaves_the_stop_of_others() -> None:
    stopping, trainer = EarlyStopping(patience=3), trainer_of()
    stopping.on_epoch_end(trainer, {"val_loss": 1.0})
    trainer.stop = True
    stopping.on_epoch_end(trainer, {"val_loss": 2.0})
    assert trainer.stop and stopping.waited == 1


def test_early_stopping_ends_the_run() -> None:
    trainer = trainer_of([EarlyStopping("train_loss", patience=1, min_delta=100.0)])
    assert len(trainer.fit(*loaders(), epochs=10)) == 2


@pytest.mark.parametrize("validated", [True, False])
def test_curves_are_a_picture(tmp_path: Path, validated: bool) -> None:
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    file = tmp_path / "curves.png"
    trainer_of([Curves(file)]).fit(*loaders()[: 1 + validated], epochs=2)
    with image.open(file) as picture:
        assert picture.format == "PNG" and picture.size[0] > 400
    assert list(tmp_path.iterdir()) == [file]


def test_without_matplotlib_there_are_no_curves(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    trainer_of([Curves(tmp_path / "curves.png")]).fit(*loaders())
    assert not list(tmp_path.iterdir())


# --- what it must reach --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mnist_dir() -> Path:
    """Where the real MNIST is."""
    folder = os.environ.get("FASTCONV_DATA_DIR")
    if folder is None:
        pytest.skip("set FASTCONV_DATA_DIR to a folder with the four MNIST files")
    return Path(folder)


def fit(name: str, data: tuple[ArrayDataset, ArrayDataset], folder: Path, epochs=None) -> float:
    from fastconv.train.run import Config, Run, train

    history = train(Run(folder), Config.of(model=name, epochs=epochs), data)
    return history[-1]["val_accuracy"]


def test_unseen_drawings_are_recognised(tmp_path: Path) -> None:
    assert fit("xo_net", drawings(), tmp_path) >= 0.99


def test_lenet5_learns_mnist(tmp_path: Path, mnist_dir: Path) -> None:
    """One epoch; the full runs are the command line's."""
    assert fit("lenet5", mnist(mnist_dir), tmp_path, epochs=1) >= 0.975
