"""Mixed precision: convolutions and linear layers in 16 bits, losses and norms in float32."""

from __future__ import annotations

from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import Any

from fastconv.autograd import shaping
from fastconv.autograd.tensor import Tensor
from fastconv.devices import as_dtype

_DTYPES = ("bfloat16", "float16")
_NARROW = ("float32", *_DTYPES)  # float64 stays what it is
_active: ContextVar[str | None] = ContextVar("fastconv.autocast", default=None)


class autocast(ContextDecorator):
    """Within it, as a context or a decorator, Conv2d and Linear compute in 16 bits.

    ``with fastconv.autocast("bfloat16"):`` around the forward pass and the loss, on CUDA tensors.
    Weights stay float32, are rounded at each call, and get float32 gradients; sums are float32
    inside the kernels. Softmax, losses and batch normalisation take their input in float32. With
    "float16" the loss wants scaling (Micikevicius et al., 2018):
    :class:`fastconv.train.GradScaler`.

    dtype: "bfloat16" or "float16". enabled: False makes the context do nothing.

    Raises ValueError for another dtype; in the context, operations on CPU tensors raise TypeError.
    """

    def __init__(self, dtype: str = "bfloat16", enabled: bool = True) -> None:
        if dtype not in _DTYPES:
            raise ValueError(f"autocast: dtype must be one of {_DTYPES}, got {dtype!r}")
        self.dtype = dtype if enabled else None
        self._tokens: list[Token[str | None]] = []

    def __enter__(self) -> autocast:
        self._tokens.append(_active.set(self.dtype))
        return self

    def __exit__(self, *exception: object) -> None:
        _active.reset(self._tokens.pop())


def lowered(operation: str, *tensors: Any) -> tuple[Any, ...]:
    """The operands of a convolution or linear layer in the context's dtype."""
    dtype = _active.get()
    if dtype is None:
        return tensors
    return tuple(_cast(operation, x, dtype) for x in tensors)


def raised(operation: str, tensor: Any) -> Any:
    """The operand of a loss or a normalisation, in float32 within the context."""
    return tensor if _active.get() is None else _cast(operation, tensor, "float32")


def _cast(operation: str, x: Any, dtype: str) -> Any:
    if not isinstance(x, Tensor) or x.dtype.name not in _NARROW or x.dtype.name == dtype:
        return x
    if x.device.type == "cpu":
        raise TypeError(
            f"{operation}: autocast to {_active.get()} is for CUDA tensors, got one of shape "
            f"{x.shape} on the CPU, which computes in float32 and float64"
        )
    return shaping.cast(x, as_dtype(dtype))
