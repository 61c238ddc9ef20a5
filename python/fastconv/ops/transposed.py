"""What transposed convolutions of one to three dimensions have in common.

window: stride, padding, output_padding, groups, dilation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from fastconv import _core
from fastconv.config import chosen_algorithm, float32_precision
from fastconv.devices import device_of, from_dlpack, is_array
from fastconv.ops.activation import relu, sigmoid, tanh

Window: TypeAlias = tuple[Any, Any, Any, Any, Any]

_ACTIVATIONS = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh}


def forward(
    spatial: int, x: Any, weight: Any, bias: Any, window: Window,
    activation: Any, algorithm: Any, memory_format: Any, out: Any,
) -> Any:  # fmt: skip
    def run(bias: Any, activation: Any) -> Any:
        return _core.conv_transpose(
            spatial, x, weight, bias, *window,
            activation, chosen_algorithm(algorithm), memory_format, out, float32_precision(),
        )  # fmt: skip

    return finished(f"conv_transpose{spatial}d", run, x, bias, activation)


def finished(
    operation: str, run: Callable[[Any, Any], Any], x: Any, bias: Any, activation: Any
) -> Any:
    """``run(bias, activation)``, of which CUDA kernels leave those two to others."""
    fused = bias is None and activation is None
    if fused or not is_array(x) or device_of(x).type == "cpu":
        return run(bias, activation)
    _check(operation, x, bias, activation)
    y = run(None, None)
    if bias is not None:
        if bias.shape != y.shape[1:2]:
            raise ValueError(
                f"{operation}: bias has shape {bias.shape}, expected {tuple(y.shape[1:2])}"
            )
        y += bias.reshape(-1, *(1 for _ in y.shape[2:]))
    if activation is not None:
        y[...] = _ACTIVATIONS[activation](y)
    return y


def _check(operation: str, x: Any, bias: Any, activation: Any) -> None:
    """What the CPU's kernels refuse before they compute, in their words."""
    if activation is not None and activation not in _ACTIVATIONS:
        text = isinstance(activation, str)
        got = repr(activation) if text else type(activation).__name__
        raise (ValueError if text else TypeError)(
            f'{operation}: activation must be None, "relu", "sigmoid" or "tanh", got {got}'
        )
    if bias is not None and getattr(bias, "dtype", None) != x.dtype:
        got = getattr(bias, "dtype", type(bias).__name__)
        raise TypeError(f"{operation}: bias is {got} but x is {x.dtype}")


def backward_input(
    spatial: int, grad: Any, weight: Any, input_shape: Any, window: Window,
    algorithm: Any, memory_format: Any, out: Any,
) -> Any:  # fmt: skip
    return _core.conv_transpose_input_gradient(
        spatial, grad, weight, input_shape, *window,
        chosen_algorithm(algorithm), memory_format, out, float32_precision(),
    )  # fmt: skip


def backward_weight(
    spatial: int, grad: Any, x: Any, weight_shape: Any, window: Window,
    bias: bool, algorithm: Any,
) -> tuple[Any, Any | None]:  # fmt: skip
    dw = _core.conv_transpose_weight_gradient(
        spatial, grad, x, weight_shape, *window, chosen_algorithm(algorithm), float32_precision()
    )
    return dw, sum_of_channels(grad if is_array(grad) else from_dlpack(grad)) if bias else None


def sum_of_channels(grad: Any) -> Any:
    """The gradient of a bias: float32 is too short for a running sum."""
    axes = (0, *range(2, grad.ndim))
    return np.sum(grad, axis=axes, dtype=np.float64).astype(grad.dtype)
