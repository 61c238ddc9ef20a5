"""A run in a folder: configuration, model, data and trainer put together, started or resumed.

The folder holds config.json from the start, checkpoint.safetensors and history.json from the
first epoch, model.safetensors and curves.png from the end. Each is replaced as a whole.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fastconv import optim
from fastconv.data import ArrayDataset, DataLoader
from fastconv.data.sources import SOURCES
from fastconv.files import (
    FileFormatError,
    PathLike,
    load_json,
    load_weights,
    remove_temporaries,
    save_json,
    save_weights,
)
from fastconv.models import MODELS
from fastconv.nn import Module
from fastconv.train.callbacks import Curves, History, Progress, Schedule
from fastconv.train.checkpoint import Checkpoint, check_same
from fastconv.train.config import Config, fits
from fastconv.train.metrics import confusion_matrix, outputs
from fastconv.train.trainer import Callback, Trainer

CONFIG, HISTORY, MODEL = "config.json", "history.json", "model.safetensors"
CHECKPOINT, CURVES = "checkpoint.safetensors", "curves.png"
EVALUATION_BATCH = 500


class Run:
    """A training run's folder."""

    def __init__(self, folder: PathLike) -> None:
        self.folder = Path(folder)

    def __getitem__(self, name: str) -> Path:
        return self.folder / name

    def exists(self) -> bool:
        """Whether anything of a run is there."""
        return any(self[name].exists() for name in (CONFIG, CHECKPOINT, HISTORY, MODEL))

    def settle(self, asked: dict[str, Any], resume: bool) -> Config:
        """The configuration to train with: the run's own where there is one, else what is asked.

        Raises FileExistsError when the folder holds a run that is not to be resumed, ValueError
        when the run that is to be resumed was started with other values than those asked for.
        """
        if not self.exists():
            return Config.of(**asked)
        if not resume:
            raise FileExistsError(
                f"{self.folder} already holds a run; continue it with --resume, or name another "
                "folder with --output"
            )
        config = self.config()
        wanted = {key: value for key, value in asked.items() if value is not None}
        check_same(self[CONFIG], asdict(config), {**asdict(config), **wanted})
        return config

    def begin(self, config: Config, data_dir: PathLike | None) -> None:
        """Make the folder and write config.json; what a killed writer left half done goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_temporaries(self.folder, (CONFIG, HISTORY, MODEL, CHECKPOINT, CURVES))
        if not self[CONFIG].exists():
            source = SOURCES[config.data]
            where = None if data_dir is None else str(Path(data_dir).absolute())
            sample = {"shape": source.shape, "mean": source.mean, "std": source.std}
            notes = {"data_dir": where, "classes": source.classes, "input": sample}
            save_json(self[CONFIG], {**asdict(config), **notes})

    def notes(self) -> dict[str, Any]:
        """All of config.json: the configuration, data_dir, classes and input."""
        notes = load_json(self[CONFIG])
        keys = {*Config.__dataclass_fields__, "data_dir", "classes", "input"}
        if not isinstance(notes, dict) or not keys <= notes.keys():
            raise FileFormatError(f"{self[CONFIG]}: expected the entries {', '.join(sorted(keys))}")
        wrong = [name for name in sorted(keys) if not fits(name, notes[name])]
        if wrong:
            raise FileFormatError(
                f"{self[CONFIG]}: {wrong[0]} cannot be {json.dumps(notes[wrong[0]])[:80]}"
            )
        return notes

    def config(self) -> Config:
        """The configuration that the run was started with. FileFormatError when it is broken."""
        notes = self.notes()
        config = Config(**{key: notes[key] for key in Config.__dataclass_fields__})
        if config.model not in MODELS or config.data not in SOURCES:
            raise FileFormatError(
                f"{self[CONFIG]}: no model {config.model!r} or no data {config.data!r} here"
            )
        return config

    def model(self) -> Module:
        """The trained model, on the CPU."""
        if not self[MODEL].exists():
            raise FileNotFoundError(
                f"{self.folder} holds no {MODEL}: no run has ended there"
                + ("; continue it with train --resume" if self.exists() else "")
            )
        model = self.config().build()
        load_weights(model, self[MODEL])
        model.to(memory_format=self.config().memory_format)
        model.eval()
        return model

    def data_dir(self) -> str | None:
        """The folder that the data were read from, where one was named."""
        return self.notes()["data_dir"] if self[CONFIG].exists() else None


def train(
    run: Run,
    config: Config,
    data: tuple[ArrayDataset, ArrayDataset],
    *,
    resume: bool = False,
    callbacks: tuple[Callback, ...] = (),
    checkpoint_steps: int | None = None,
) -> list[dict[str, Any]]:
    """Train as `config` says: SGD with momentum under a cosine schedule over all batches.

    Validation is the test split. Ends with model.safetensors and returns the history.
    """
    model = config.build().to(device=config.device)
    loader, optimizer = _loader(config, data[0]), _optimizer(config, model)
    steps = max(1, config.epochs * len(loader))
    checkpoint = Checkpoint(
        run[CHECKPOINT], resume=resume, config=asdict(config), every_steps=checkpoint_steps
    )
    trainer = Trainer(
        model,
        optimizer,
        callbacks=[
            Schedule(optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)),
            Progress(),
            History(run[HISTORY]),
            Curves(run[CURVES]),
            *callbacks,
            checkpoint,
        ],
        memory_format=config.memory_format,
    )
    validation = DataLoader(data[1], EVALUATION_BATCH, device=config.device)
    history = trainer.fit(loader, validation, config.epochs)
    save_weights(model, run[MODEL])
    return history


def _loader(config: Config, rows: ArrayDataset) -> DataLoader:
    return DataLoader(
        rows,
        config.batch_size,
        shuffle=True,
        seed=config.seed,
        device=config.device,
        augment=SOURCES[config.data].augment if config.augment else None,
    )


def _optimizer(config: Config, model: Module) -> optim.SGD:
    return optim.SGD(
        model.parameters(),
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )


def evaluate(run: Run, data_dir: PathLike | None = None) -> tuple[float, float, int]:
    """(loss, accuracy, number of samples) of the run's model on the test split of its data."""
    model = run.model()
    _, test = SOURCES[run.config().data].load(data_dir or run.data_dir())
    trainer = Trainer(model, None, memory_format=None)
    loss, accuracy = trainer.evaluate(DataLoader(test, EVALUATION_BATCH))
    assert accuracy is not None  # all of SOURCES are classes
    return loss, accuracy, len(test)


def confusion(run: Run, data_dir: PathLike | None = None) -> np.ndarray:
    """`confusion_matrix` of the run's model on the test split of its data."""
    _, test = SOURCES[run.config().data].load(data_dir or run.data_dir())
    return confusion_matrix(*outputs(run.model(), DataLoader(test, EVALUATION_BATCH)))
