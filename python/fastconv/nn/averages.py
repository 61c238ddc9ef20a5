"""Average pooling as functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastconv import ops
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.nn.fused import floating_of
from fastconv.nn.tables import lies_channels_last


def _mean(
    name: str,
    input: Tensor,
    forward: Callable[..., Any],
    backward_of: Callable[..., Any],
    window: tuple[Any, ...],
    known: bool = True,
) -> Tensor:
    """``forward`` of the window's arguments; ``known``: ``backward_of`` takes them again."""
    x = floating_of(name, "input", input)
    y = forward(x, *window)
    if recording(input) is None:
        return Tensor(y)
    shape, again = x.shape, window if known else ()
    lies = "channels_last" if lies_channels_last(x) else "contiguous"

    def backward(grad: Any) -> Any:
        return (backward_of(grad, shape, *again, memory_format=lies),)

    return record(name, y, (input,), backward)


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """:func:`avg_pool2d` for input (N, C, L)."""
    window = (kernel_size, stride, padding, ceil_mode, count_include_pad)
    return _mean("avg_pool1d", input, ops.avg_pool1d, ops.avg_pool1d_backward, window)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of input (N, C, H, W); ``stride`` defaults to ``kernel_size``.

    Cells of the padding are 0 and count unless ``count_include_pad`` is false; those beyond it, in
    ceil mode, never do. ``divisor_override`` divides every sum instead.
    """
    window = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _mean("avg_pool2d", input, ops.avg_pool2d, ops.avg_pool2d_backward, window)


def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """:func:`avg_pool2d` for input (N, C, D, H, W)."""
    window = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _mean("avg_pool3d", input, ops.avg_pool3d, ops.avg_pool3d_backward, window)


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """:func:`adaptive_avg_pool2d` for input (N, C, L)."""
    backward = ops.adaptive_avg_pool1d_backward
    return _mean(
        "adaptive_avg_pool1d", input, ops.adaptive_avg_pool1d, backward, (output_size,), False
    )


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows that cover input (N, C, H, W), as many as ``output_size`` says.

    output_size: an integer or a pair; None keeps the input's extent; 1 is the mean of each plane.
    """
    backward = ops.adaptive_avg_pool2d_backward
    return _mean(
        "adaptive_avg_pool2d", input, ops.adaptive_avg_pool2d, backward, (output_size,), False
    )


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """:func:`adaptive_avg_pool2d` for input (N, C, D, H, W)."""
    backward = ops.adaptive_avg_pool3d_backward
    return _mean(
        "adaptive_avg_pool3d", input, ops.adaptive_avg_pool3d, backward, (output_size,), False
    )
