"""Initial values, written into a tensor in place, unrecorded, from fastconv's generator.

Xavier (Glorot and Bengio, 2010) keeps the variance of activations and gradients through linear
layers, Kaiming (He et al., 2015) through ReLU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from fastconv.autograd.tensor import Tensor
from fastconv.autograd.variable import FLOATING
from fastconv.devices import is_array, to_device
from fastconv.random import generator

_skipping: ContextVar[bool] = ContextVar("fastconv.init.skip", default=False)


@contextmanager
def skip() -> Iterator[None]:
    """Within it nothing is drawn: parameters hold what their memory held.

    For a network whose weights are loaded next, or that is only counted: memory that is never
    written takes no room.
    """
    token = _skipping.set(True)
    try:
        yield
    finally:
        _skipping.reset(token)


_shapes_only: ContextVar[bool] = ContextVar("fastconv.shapes_only", default=False)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Within it layers are made without memory: their parameters have shapes and no values.

    For counting (:func:`fastconv.models.summary`); nothing can be computed with them.
    """
    token = _shapes_only.set(True)
    try:
        yield
    finally:
        _shapes_only.reset(token)


def empty(shape: Sequence[int]) -> np.ndarray:
    """The float32 array of a parameter to come; within ``shapes_only`` one number under its
    shape, which cannot be written."""
    if _shapes_only.get():
        return np.broadcast_to(np.float32(0), tuple(shape))
    return np.empty(shape, np.float32)


def has_memory(tensor: Tensor) -> bool:
    """False for what :func:`empty` made within ``shapes_only``."""
    return tensor._data.size < 2 or any(tensor._data.strides)


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...): the summands of an output, the uses of an
    input."""
    shape = tensor.shape
    if len(shape) < 2:
        raise ValueError(f"init: fan_in and fan_out need 2 or more dimensions, got shape {shape}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def uniform_fan_in_(weight: Tensor, bias: Tensor | None) -> None:
    """Weight and bias from U(+-1/sqrt(fan_in)), how layers begin."""
    bound = 1 / math.sqrt(fans(weight)[0])
    uniform_(weight, -bound, bound)
    if bias is not None:
        uniform_(bias, -bound, bound)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What the standard deviation is multiplied with before this nonlinearity.

    1 for linear layers, convolutions and sigmoid, 5/3 for tanh, sqrt(2) for relu,
    sqrt(2 / (1 + slope**2)) for leaky_relu (``param`` is the slope, 0.01 by default).
    """
    if nonlinearity in ("linear", "conv1d", "conv2d", "conv3d", "sigmoid"):
        return 1.0
    if nonlinearity == "tanh":
        return 5 / 3
    if nonlinearity == "relu":
        return math.sqrt(2)
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}")


def _write(tensor: Tensor, values: Any) -> Tensor:
    if not has_memory(tensor):
        return tensor
    tensor._data[...] = to_device(values, tensor.device) if is_array(values) else values
    tensor._version.count += 1
    return tensor


def _draw(
    operation: str, tensor: Tensor, drawer: Callable[..., Any], scale: float, offset: float
) -> Tensor:
    """``drawer``'s numbers times ``scale`` plus ``offset``, those of 16 bits drawn in float32."""
    if tensor.dtype not in FLOATING:
        raise TypeError(f"{operation}: expected a float32 or float64 tensor, got {tensor.dtype}")
    if _skipping.get() or not has_memory(tensor):
        return tensor
    dtype = np.dtype(np.float64 if tensor.dtype == np.float64 else np.float32)
    values = drawer(tensor.shape, dtype) * dtype.type(scale) + dtype.type(offset)
    return _write(tensor, np.asarray(values).astype(tensor.dtype, copy=False))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Numbers from U(a, b)."""
    return _draw("uniform_", tensor, generator().random, b - a, a)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Numbers from N(mean, std**2)."""
    return _draw("normal_", tensor, generator().standard_normal, std, mean)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """The same number everywhere."""
    return _write(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return _write(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return _write(tensor, 1)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """U(+-gain * sqrt(6 / (fan_in + fan_out)))."""
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """N(0, gain**2 * 2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"kaiming: mode must be fan_in or fan_out, got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """U(+-gain * sqrt(3 / fan)); ``a`` is the slope of leaky_relu."""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """N(0, gain**2 / fan); ``a`` is the slope of leaky_relu."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))
