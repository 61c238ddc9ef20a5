"""Killed at any moment and resumed, a run ends with the bytes of one that never stopped."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from deadlines import HANG

from fastconv import nn, optim
from fastconv.data import ArrayDataset, DataLoader
from fastconv.data.drawings import draw
from fastconv.files import FileFormatError, load_json, load_safetensors, save_safetensors
from fastconv.random import manual_seed
from fastconv.train import (
    Callback,
    Checkpoint,
    EarlyStopping,
    History,
    Schedule,
    Trainer,
    load_checkpoint,
    save_checkpoint,
)


class Crash(Exception):
    """Stands for the end of the process."""


class CrashAfter(Callback):
    """Raises after so many batches, when everything else has been done for the batch."""

    priority = 1000

    def __init__(self, batches: int | None) -> None:
        self.left = batches

    def on_batch_end(self, trainer: Trainer, loss: float) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise Crash


def run(file: Path, crash: int | None = None, optimizer: str = "SGD", **options) -> Trainer:
    """Four epochs of three batches, stopped by EarlyStopping after the third."""
    manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 144, 2)
    )
    if optimizer == "SGD":
        made = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    else:
        made = optim.Adam(model.parameters(), lr=0.01)
    options.setdefault("every_steps", 1)
    options.setdefault("resume", True)
    trainer = Trainer(
        model,
        made,
        callbacks=[
            Checkpoint(file, **options),  # first in the list, last in effect
            Schedule(optim.lr_scheduler.CosineAnnealingLR(made, 12)),
            EarlyStopping("train_loss", patience=2, min_delta=1e9),
            History(file.with_name("history.json")),
            CrashAfter(crash),
        ],
    )
    train = DataLoader(ArrayDataset(*draw(80)), 32, shuffle=True, seed=5)
    test = DataLoader(ArrayDataset(*draw(20, split=1)), 20)
    with contextlib.suppress(Crash):
        trainer.fit(train, test, epochs=4)
    return trainer


def weights(trainer: Trainer) -> list[bytes]:
    return [p.data.tobytes() for p in trainer.model.parameters()]


def untimed(history: list[dict]) -> list[dict]:
    return [{key: value for key, value in r.items() if key != "seconds"} for r in history]


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("every_steps", [1, 2])
def test_resume_after_any_batch_equals_no_interruption(
    tmp_path: Path, optimizer: str, every_steps: int
) -> None:
    whole = run(tmp_path / "whole", None, optimizer)
    assert len(whole.history) == 3
    for crash in range(1, 10):
        file = tmp_path / f"{crash}.safetensors"
        first = run(file, crash, optimizer, every_steps=every_steps)
        assert weights(first) != weights(whole) or crash == 9
        second = run(file, None, optimizer, every_steps=every_steps)
        assert weights(second) == weights(whole), f"crash after batch {crash}"
        assert untimed(second.history) == untimed(whole.history)
        assert load_json(tmp_path / "history.json") == second.history


def test_resume_after_many_crashes(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    for _ in range(5):
        run(tmp_path / "file", crash=2)
    assert weights(run(tmp_path / "file")) == weights(whole)


def test_resume_of_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    whole = run(tmp_path / "file")
    again = run(tmp_path / "file")
    assert weights(again) == weights(whole) and again.history == whole.history


def test_without_resume_the_run_starts_anew(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    run(tmp_path / "file", crash=4)
    fresh = run(tmp_path / "file", resume=False)
    assert weights(fresh) == weights(whole)


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "file", crash=4, config={"lr": 0.05, "epochs": 4})
    with pytest.raises(ValueError, match=r"file belongs to another .* epochs is 4 there and 5"):
        run(tmp_path / "file", config={"lr": 0.05, "epochs": 5})


def test_another_environment_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    run(file, crash=4)
    state, notes = load_checkpoint(file)
    notes["environment"]["version"] = "0.0.0"
    save_checkpoint(file, state, **notes)
    with pytest.warns(UserWarning, match="last bits of the result may differ"):
        run(file)


def test_other_callbacks_are_refused(tmp_path: Path) -> None:
    trainer = run(tmp_path / "file", crash=4)
    state, _ = load_checkpoint(tmp_path / "file")
    trainer.callbacks.pop()
    with pytest.raises(ValueError, match=r"saved with callbacks \['Schedule'"):
        trainer.load_state_dict(state)


def test_other_data_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    trainer = run(tmp_path / "file", crash=4)
    state, _ = load_checkpoint(tmp_path / "file")
    before = weights(trainer)
    state["model"] = {name: 0 * value for name, value in state["model"].items()}
    trainer.loader = DataLoader(ArrayDataset(*draw(80)), 16, shuffle=True, seed=5)
    with pytest.raises(ValueError, match="batch_size 32, this loader has 16"):
        trainer.load_state_dict(state)
    assert weights(trainer) == before


def test_a_broken_checkpoint_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "file"
    run(file, crash=4)
    cut = file.read_bytes()[:-100]
    file.write_bytes(cut)
    with pytest.raises(FileFormatError, match="file: not a whole safetensors file"):
        run(file)
    assert file.read_bytes() == cut
    save_safetensors(file, {"a": np.zeros(3)}, {"format": "np"})
    with pytest.raises(FileFormatError, match="not a fastconv checkpoint"):
        run(file)
    for text in ("{", "{}", '{"state": {"array": "none"}}', '{"state": {"set": [1]}}'):
        save_safetensors(file, {}, {"format": "fastconv-checkpoint-1", "json": text})
        with pytest.raises(FileFormatError, match="file: the checkpoint is corrupt"):
            run(file)


def test_any_state_comes_back(tmp_path: Path) -> None:
    state = {
        "state": {0: {"step": 3, "buffer": np.arange(4.0)}, 1: {}},
        "groups": [{"lr": 0.1 + 0.2, "betas": (0.9, 0.999), "nesterov": False, "note": None}],
        "scalar": np.float64(1 / 3),
        "array": np.array(2.5, np.float32),
        "text": "Grüße / {}",
        "large": 2**64 - 1,
    }
    save_checkpoint(tmp_path / "file", state, config={"a": 1})
    back, notes = load_checkpoint(tmp_path / "file")
    assert notes == {"config": {"a": 1}}
    np.testing.assert_array_equal(back["state"][0].pop("buffer"), np.arange(4.0))
    assert back["array"].dtype == np.float32 and back.pop("array") == 2.5
    assert back == {
        "state": {0: {"step": 3}, 1: {}},
        "groups": state["groups"],
        "scalar": 1 / 3,
        "text": state["text"],
        "large": 2**64 - 1,
    }
    assert isinstance(back["groups"][0]["betas"], tuple)
    with pytest.raises(TypeError, match="cannot store a set at /callbacks/0"):
        save_checkpoint(tmp_path / "file", {"callbacks": [{1}]})


def test_mid_epoch_checkpoints_follow_the_clock(tmp_path: Path, monkeypatch) -> None:
    from fastconv.train import checkpoint

    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    callback = Checkpoint(tmp_path / "file", every_seconds=10)
    saves = []
    monkeypatch.setattr(checkpoint, "save_checkpoint", lambda *_, **__: saves.append(now[0]))
    trainer = trainer_stub()
    callback.on_fit_start(trainer)
    for second in range(1, 36):
        now[0] = float(second)
        callback.on_batch_end(trainer, 0.0)
    assert saves == [10, 20, 30]

    def slow(*_, **__) -> None:
        saves.append(now[0])
        now[0] += 2

    monkeypatch.setattr(checkpoint, "save_checkpoint", slow)
    while now[0] < 130:
        now[0] += 1
        callback.on_batch_end(trainer, 0.0)
    assert saves[3:] == [40, 82, 124], "at most 5 % of the time goes into writing"


def trainer_stub() -> Trainer:
    trainer = Trainer(nn.Linear(1, 1), None, memory_format=None)
    trainer.state_dict = dict  # type: ignore[method-assign]
    return trainer


# --- killed from outside -------------------------------------------------------------------------

SCRIPT = """
import sys
from fastconv.data import drawings
from fastconv.train import Callback
from fastconv.train.run import Run, train

class Tell(Callback):
    def on_batch_end(self, trainer, loss):
        print("batch", trainer.epoch * len(trainer.loader) + trainer.loader.position, flush=True)

run = Run(sys.argv[1])
asked = {"model": "xo_net", "epochs": 3, "seed": 4}
config = run.settle(asked, resume=True)
run.begin(config, None)
print("begun", flush=True)
train(run, config, drawings(1500, 200), resume=True, callbacks=(Tell(),), checkpoint_steps=1)
print("ended", flush=True)
sys.stdin.read()  # so that a signal never comes too late
"""


def start(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)


def finish(folder: Path) -> int:
    """Run to the end, and return how many batches that took."""
    process = start(folder)
    output, error = process.communicate(timeout=HANG)
    assert process.returncode == 0, error.decode()
    return output.count(b"batch ")


def kill_at(folder: Path, batch: int, delay: float) -> None:
    """Start the run and kill it `delay` seconds after the end of a batch, or of the run.

    Its checkpoint is written meanwhile.
    """
    process = start(folder)
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    while batch > 0:
        words = process.stdout.readline().split()
        assert words, "ended by itself"
        if words == [b"ended"] or (words[0] == b"batch" and int(words[1]) >= batch):
            break
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=HANG)
    assert process.returncode == -signal.SIGKILL


def check_folder(folder: Path) -> None:
    """Whatever stands under its own name can be read."""
    for file in folder.iterdir():
        if file.name.startswith("."):
            assert file.name.endswith(".tmp")
        elif file.suffix == ".safetensors":
            load_safetensors(file)
        elif file.suffix == ".json":
            json.loads(file.read_text())


def test_sigkill_at_random_moments(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    batches = finish(whole)
    moments = random.Random(0)
    for batch in (0, *sorted(moments.sample(range(1, batches), 5))):
        kill_at(killed, batch, moments.uniform(0, 0.02))
        check_folder(killed)
    finish(killed)
    check_folder(killed)
    assert not list(killed.glob(".*"))
    for name in ("model.safetensors", "config.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    histories = [untimed(load_json(folder / "history.json")) for folder in (whole, killed)]
    assert histories[0] == histories[1]


def test_leftovers_of_a_kill_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(timeout=HANG)
    (folder / f".model.safetensors.{ended.pid}.tmp").write_bytes(b"half")
    finish(folder)
    assert not list(folder.glob(".*"))
