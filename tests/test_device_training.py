"""What steps into training on a CUDA device: the same bits as on the CPU, also after a crash."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from emulator import cupy_stand_in as cupy
from test_resume import Crash, CrashAfter, untimed

from fastconv import nn, optim
from fastconv.data import ArrayDataset, DataLoader, RandomShift
from fastconv.random import manual_seed
from fastconv.train import (
    Checkpoint,
    EarlyStopping,
    Hardness,
    Metrics,
    Trainer,
    accuracy,
    confusion_matrix,
    top_k_accuracy,
)

pytestmark = pytest.mark.usefixtures("cuda_by_cpu")

IMAGES = np.random.default_rng(0).standard_normal((60, 1, 8, 8), np.float32)
FUNCTIONS = {
    "mine": accuracy,
    "top2": lambda output, target: top_k_accuracy(output, target, 2),
    "confusion": confusion_matrix,
}


def fit(device: str, file, crash: int | None = None):
    """(weights, history, recorded labels) of three epochs, two batches a step."""
    manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 3)).to(device)
    data = ArrayDataset(IMAGES, np.arange(60) % 3)
    plain = DataLoader(data, 20, device=device)
    hardness = Hardness(plain)
    callbacks = [
        EarlyStopping("train_loss", 2, 1e9, restore_best=True),
        hardness,
        Metrics(plain, FUNCTIONS),
        Checkpoint(file, every_steps=1, resume=True),
        CrashAfter(crash),
    ]
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    trainer = Trainer(
        model, optimizer, callbacks=callbacks, accumulate=2, clip_norm=0.5, clip_value=0.1
    )
    loader = DataLoader(data, 8, shuffle=True, device=device, augment=RandomShift(1))
    with contextlib.suppress(Crash):
        trainer.fit(loader, plain, 3)
    arrays = model.state_dict().values()
    weights = [cupy.on_host(a) if cupy.is_array(a) else a for a in arrays]
    return [a.tobytes() for a in weights], untimed(trainer.history), hardness.labels.tolist()


def test_callbacks_and_steps_are_the_cpus(tmp_path) -> None:
    expected = fit("cpu", tmp_path / "cpu")
    assert len(expected[1]) == 3 and set(expected[1][0]) > {"val_mine", "val_top2"}
    assert fit("cuda", tmp_path / "cuda") == expected
    for crash in (1, 9, 10):
        fit("cuda", tmp_path / str(crash), crash)
        assert fit("cuda", tmp_path / str(crash)) == expected, f"crash after batch {crash}"


def test_metrics_take_the_devices_arrays() -> None:
    scores, targets = IMAGES.reshape(-1, 64)[:, :3].copy(), np.arange(60) % 3
    for function in FUNCTIONS.values():
        found = function(cupy.asarray(scores), cupy.asarray(targets))
        np.testing.assert_array_equal(found, function(scores, targets))
