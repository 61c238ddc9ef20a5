"""Max pooling as functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fastconv import ops
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.nn.fused import array_of


class MaxPoolResult(NamedTuple):
    """What ``max_pool2d(..., return_indices=True)`` returns."""

    output: Tensor
    indices: Tensor


def _maximum(
    name: str,
    input: Tensor,
    forward: Callable[..., Any],
    backward_of: Callable[..., Any],
    window: tuple[Any, ...],
    return_indices: bool,
    again: bool = True,
) -> Any:
    """``forward`` of the window's arguments; ``again``: ``backward_of`` takes them too."""
    x = array_of(name, "input", input)
    recorded = recording(input) is not None
    if not (recorded or return_indices):
        return Tensor(forward(x, *window, return_indices=False))
    y, indices = forward(x, *window, return_indices=True)
    places, shape, known = Tensor(indices), x.shape, window if again else ()

    def backward(grad: Any) -> Any:
        return (backward_of(grad, indices, shape, *known),)

    kept = [("indices", places)]
    out = record(name, y, (input,), backward, kept) if recorded else Tensor(y)
    return MaxPoolResult(out, places) if return_indices else out


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """:func:`max_pool2d` for input (N, C, L); indices are flat within L."""
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    backward = ops.max_pool1d_backward
    return _maximum("max_pool1d", input, ops.max_pool1d, backward, window, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of input (N, C, H, W); ``stride`` defaults to ``kernel_size``.

    The gradient goes to the window's first maximum, whose index the forward pass stores. With
    ``return_indices``: (output, indices), flat within the H*W plane of the input, int64.
    """
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    backward = ops.max_pool2d_backward
    return _maximum("max_pool2d", input, ops.max_pool2d, backward, window, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """:func:`max_pool2d` for input (N, C, D, H, W); indices are flat within D*H*W."""
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    backward = ops.max_pool3d_backward
    return _maximum("max_pool3d", input, ops.max_pool3d, backward, window, return_indices)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """:func:`adaptive_max_pool2d` for input (N, C, L)."""
    backward, window = ops.adaptive_max_pool1d_backward, (output_size,)
    return _maximum(
        "adaptive_max_pool1d",
        input,
        ops.adaptive_max_pool1d,
        backward,
        window,
        return_indices,
        False,
    )


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of windows that cover input (N, C, H, W), as many as ``output_size`` says.

    output_size: an integer or a pair; None keeps the input's extent. Gradients and indices are
    those of :func:`max_pool2d`.
    """
    backward, window = ops.adaptive_max_pool2d_backward, (output_size,)
    return _maximum(
        "adaptive_max_pool2d",
        input,
        ops.adaptive_max_pool2d,
        backward,
        window,
        return_indices,
        False,
    )


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """:func:`adaptive_max_pool2d` for input (N, C, D, H, W)."""
    backward, window = ops.adaptive_max_pool3d_backward, (output_size,)
    return _maximum(
        "adaptive_max_pool3d",
        input,
        ops.adaptive_max_pool3d,
        backward,
        window,
        return_indices,
        False,
    )
