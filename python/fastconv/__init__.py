"""fastconv: convolutional networks for NumPy, with compiled kernels under a PyTorch-shaped API."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastconv import memory, nn, ops, optim
from fastconv._core import __version__
from fastconv.autograd.autocast import autocast
from fastconv.autograd.checkpoint import checkpoint
from fastconv.autograd.creation import arange, ones, randn, tensor, zeros
from fastconv.autograd.engine import enable_grad, is_grad_enabled, no_grad
from fastconv.autograd.joining import chunk, split, stack
from fastconv.autograd.shaping import cat
from fastconv.autograd.tensor import Tensor
from fastconv.config import (
    algorithm,
    get_num_threads,
    set_float32_precision,
    set_flush_denormal,
    set_num_threads,
    show_config,
    threads,
)
from fastconv.devices import Device, device
from fastconv.files import FileFormatError, load_weights, save_weights
from fastconv.random import manual_seed

if TYPE_CHECKING:
    from fastconv import data, models, reference, testing, train

__all__ = [
    "Device",
    "FileFormatError",
    "Tensor",
    "__version__",
    "algorithm",
    "arange",
    "autocast",
    "cat",
    "checkpoint",
    "chunk",
    "data",
    "device",
    "enable_grad",
    "get_num_threads",
    "is_grad_enabled",
    "load_weights",
    "manual_seed",
    "memory",
    "models",
    "nn",
    "no_grad",
    "ones",
    "ops",
    "optim",
    "randn",
    "reference",
    "save_weights",
    "set_float32_precision",
    "set_flush_denormal",
    "set_num_threads",
    "show_config",
    "split",
    "stack",
    "tensor",
    "testing",
    "threads",
    "train",
    "zeros",
]

# Imported when first used: a kernel or a layer needs none of them.
_LAZY = {"data", "models", "reference", "testing", "train"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"fastconv.{name}")
    raise AttributeError(f"module 'fastconv' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
