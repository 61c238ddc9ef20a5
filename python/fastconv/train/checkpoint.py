"""One file that holds a whole run between two batches."""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.config import get_config
from fastconv.devices import is_array
from fastconv.files import (
    FileFormatError,
    PathLike,
    array_of,
    load_safetensors,
    save_safetensors,
)
from fastconv.train.trainer import Callback, Trainer

_FORMAT = "fastconv-checkpoint-1"
_WRITE_SHARE = 20  # writing may take 1/20 of the time between two mid-epoch checkpoints


def save_checkpoint(file: PathLike, state: Any, **notes: Any) -> None:
    """Write nested dicts and lists of arrays, numbers and text as one safetensors file.

    Arrays become its tensors, named by their place; the rest and `notes` go as JSON into its
    metadata. No pickle. Written whole or not at all.
    """
    arrays: dict[str, Any] = {}
    tree = _strip(state, "", arrays)
    text = json.dumps({"state": tree, **notes}, separators=(",", ":"))
    save_safetensors(file, arrays, {"format": _FORMAT, "json": text})


def load_checkpoint(file: PathLike) -> tuple[Any, dict[str, Any]]:
    """(state, notes) as `save_checkpoint` took them. FileFormatError when the file is no such."""
    arrays, metadata = load_safetensors(file)
    if metadata.get("format") != _FORMAT:
        raise FileFormatError(
            f"{file}: not a fastconv checkpoint: expected format {_FORMAT!r}, "
            f"found {metadata.get('format')!r}"
        )
    try:
        notes = json.loads(metadata["json"])
        return _restore(notes.pop("state"), arrays), notes
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{file}: the checkpoint is corrupt: {error!r}") from None


def _strip(value: Any, place: str, arrays: dict[str, Any]) -> Any:
    """JSON for `value`, its arrays moved to `arrays`."""
    value = array_of(value)
    if is_array(value):
        arrays[place] = value
        return {"array": place}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        # As pairs: JSON has only text for keys, an optimizer's state is keyed by number.
        return {"dict": [[key, _strip(v, f"{place}/{key}", arrays)] for key, v in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_strip(v, f"{place}/{i}", arrays) for i, v in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"save_checkpoint: cannot store a {type(value).__name__} at {place or '/'}")


def _restore(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_restore(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return arrays[content]
    if kind == "tuple":
        return tuple(_restore(item, arrays) for item in content)
    if kind == "dict":
        return {key: _restore(item, arrays) for key, item in content}
    raise ValueError(f"unknown node {kind!r}")


class Checkpoint(Callback):
    """Keeps the run in `file`: after every epoch, and between batches every so often.

    every_seconds: between batches at most this often, and so seldom that writing takes no more
    than 5 % of the time. every_steps: instead, after every so many batches.
    resume: go on from `file` where it exists. A run that goes on ends with the same bits as one
    that was never interrupted. Raises ValueError when `config`, a JSON-able dict, is not the one
    that the file was written with, and FileFormatError when the file is broken.
    """

    priority = 100  # after all others: what they did belongs to the state

    def __init__(
        self,
        file: PathLike,
        *,
        resume: bool = False,
        config: dict[str, Any] | None = None,
        every_seconds: float = 30.0,
        every_steps: int | None = None,
    ) -> None:
        self.file, self.resume, self.config = Path(file), resume, config or {}
        self.every_seconds, self.every_steps = every_seconds, every_steps
        self._steps, self._due = 0, 0.0

    def on_fit_start(self, trainer: Trainer) -> None:
        self._due = time.monotonic() + self.every_seconds
        if not self.resume or not self.file.exists():
            return
        state, notes = load_checkpoint(self.file)
        if not isinstance(notes.get("config"), dict) or "environment" not in notes:
            raise FileFormatError(f"{self.file}: the checkpoint lacks its config or environment")
        check_same(self.file, notes["config"], self.config)
        if notes["environment"] != _environment():
            warnings.warn(
                f"{self.file} was written under {notes['environment']}, this is {_environment()}: "
                "the last bits of the result may differ from an uninterrupted run's",
                stacklevel=2,
            )
        try:
            trainer.load_state_dict(state)
        except (LookupError, TypeError, AttributeError) as error:
            raise FileFormatError(f"{self.file}: the checkpoint is corrupt: {error!r}") from error

    def on_batch_end(self, trainer: Trainer, loss: float) -> None:
        if self.every_steps is not None:
            self._steps += 1
            if self._steps % self.every_steps == 0:
                self._save(trainer)
        elif time.monotonic() >= self._due:
            self._save(trainer)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        start = time.monotonic()
        for name, parameter in trainer.model.named_parameters():
            # A finite loss may still have had a gradient that was not.
            if not np.isfinite(parameter.data).all():
                raise FloatingPointError(
                    f"{name} is no longer finite in epoch {trainer.epoch + 1}, so {self.file} "
                    "stays as it was; a lower learning rate may help"
                )
        save_checkpoint(
            self.file, trainer.state_dict(), config=self.config, environment=_environment()
        )
        now = time.monotonic()
        self._due = now + max(self.every_seconds, _WRITE_SHARE * (now - start))


def check_same(file: PathLike, saved: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raise ValueError naming every entry that differs between two configurations."""
    differing = [
        f"{key} is {saved.get(key)!r} there and {asked.get(key)!r} here"
        for key in {**saved, **asked}
        if saved.get(key) != asked.get(key)
    ]
    if differing:
        raise ValueError(f"{file} belongs to another configuration: {', '.join(differing)}")


def _environment() -> dict[str, Any]:
    """What the bits of a result depend on beside the configuration."""
    config = get_config()
    return {"version": config["version"], "isa": config["isa"]}
