"""What a run was started with, as config.json holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastconv import random
from fastconv.data.sources import SOURCES
from fastconv.models import MODELS
from fastconv.nn import Module
from fastconv.ops.types import MemoryFormat


@dataclass(frozen=True)
class Config:
    """What decides the bits of a run, given the data."""

    model: str
    data: str
    epochs: int
    batch_size: int
    lr: float
    momentum: float
    weight_decay: float
    seed: int
    device: str
    memory_format: MemoryFormat
    augment: bool

    @classmethod
    def of(cls, **asked: Any) -> Config:
        """What was asked for; what is None or missing comes from the model's defaults.

        Raises ValueError when the model does not take the data's samples, or has none of its own.
        """
        given = {key: value for key, value in asked.items() if value is not None}
        entry = MODELS[given.setdefault("model", "xo_net")]
        defaults = {
            "data": entry.data,
            "epochs": entry.epochs,
            "batch_size": 64,
            "lr": entry.lr,
            "momentum": 0.9,
            "weight_decay": entry.weight_decay,
            "seed": 0,
            "device": "cpu",
            "memory_format": entry.memory_format,
            "augment": False,
        }
        config = cls(**{**defaults, **given})
        if config.data is None:
            raise ValueError(f"no data set goes with {config.model}: name one with --data")
        shape = SOURCES[config.data].shape
        if not entry.takes(shape):
            raise ValueError(
                f"{config.model} takes input of shape {entry.input_shape} (C, H, W), "
                f"but samples of {config.data} have {shape}"
            )
        return config

    def build(self) -> Module:
        """The untrained model, initialised from the seed."""
        random.manual_seed(self.seed)
        return MODELS[self.model].build(num_classes=len(SOURCES[self.data].classes))


_KINDS: dict[str, Any] = {
    **dict.fromkeys(("model", "data", "device", "memory_format"), str),
    **dict.fromkeys(("epochs", "batch_size", "seed"), int),
    **dict.fromkeys(("lr", "momentum", "weight_decay"), (int, float)),
    "augment": bool,
    "data_dir": (str, type(None)),
    "classes": list,
    "input": dict,
}


def fits(name: str, value: Any) -> bool:
    """Whether an entry of config.json has the form that `begin` gave it."""
    if not isinstance(value, _KINDS[name]) or isinstance(value, bool) != (name == "augment"):
        return False
    if name == "classes":
        return all(isinstance(entry, str) for entry in value)
    if name != "input":
        return True
    shape = value.get("shape")
    return (
        isinstance(shape, list)
        and len(shape) == 3
        and all(type(size) is int and size > 0 for size in shape)
        and all(_is_scale(value.get(key), shape[0]) for key in ("mean", "std"))
    )


def _is_scale(value: Any, channels: int) -> bool:
    """A number, or one for each channel."""
    if isinstance(value, list):
        return len(value) == channels and all(isinstance(entry, (int, float)) for entry in value)
    return isinstance(value, (int, float))
