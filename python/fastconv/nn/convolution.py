"""Convolutions of one and three dimensions, and transposed ones, as functions of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastconv import ops
from fastconv.autograd.autocast import lowered
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.config import algorithm, chosen_algorithm
from fastconv.nn.fused import ACTIVATION_BACKWARD, arrays_of, convolution, kept_for, sum_over

if TYPE_CHECKING:
    from fastconv.ops.types import Activation, MemoryFormat


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    activation: Activation | None = None,
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    """1-D cross-correlation, input (N, C, W), weight (K, C/groups, S); as :func:`conv2d`."""
    window = (stride, padding, dilation, groups)
    return convolution("conv1d", input, weight, bias, window, activation, memory_format)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    activation: Activation | None = None,
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    """3-D cross-correlation, input (N, C, D, H, W), weight (K, C/groups, T, R, S); as
    :func:`conv2d`.
    """
    window = (stride, padding, dilation, groups)
    return convolution("conv3d", input, weight, bias, window, activation, memory_format)


def _transposed(
    spatial: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    window: tuple[Any, Any, Any, int, Any],
    activation: Activation | None,
    memory_format: MemoryFormat | None,
) -> Tensor:
    operation, chosen = f"conv_transpose{spatial}d", chosen_algorithm(None)
    input, weight, bias = lowered(operation, input, weight, bias)
    x, w, b = arrays_of(operation, input, weight, bias)
    problem = ops.conv_transpose_problem(x.shape, w.shape, *window, spatial=spatial)
    y = ops.conv_transpose_forward(problem, x, w, b, activation, memory_format)
    needs = recording(input, weight, bias)
    if needs is None:
        return Tensor(y)
    kept_w, kept_x, kept_y, kept = kept_for(needs, activation, input, weight, y)

    def backward(grad: Any) -> Any:
        dx = dw = db = None
        if activation is not None:
            grad = ACTIVATION_BACKWARD[activation](grad, kept_y)
        with algorithm(chosen):
            if needs[0]:
                dx = ops.conv_transpose_backward_input(problem, grad, kept_w)
            if needs[1]:
                dw = ops.conv_transpose_backward_weight(problem, grad, kept_x)
        if needs[2]:
            db = sum_over(grad, (0, *range(2, grad.ndim)))
        return dx, dw, db

    return record(operation, y, (input, weight, bias), backward, kept)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    activation: Activation | None = None,
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    """Transposed 1-D convolution, input (N, C, W), weight (C, K/groups, S), bias (K,); as
    :func:`conv_transpose2d`.
    """
    window = (stride, padding, output_padding, groups, dilation)
    return _transposed(1, input, weight, bias, window, activation, memory_format)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    activation: Activation | None = None,
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    """Transposed 2-D convolution, input (N, C, H, W), weight (C, K/groups, R, S), bias (K,).

    The gradient of a convolution at its input as an operation: H' = (H - 1) * stride - 2 * padding
    + dilation * (R - 1) + 1 + output_padding. activation, memory_format: as in :func:`conv2d`.
    """
    window = (stride, padding, output_padding, groups, dilation)
    return _transposed(2, input, weight, bias, window, activation, memory_format)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    activation: Activation | None = None,
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    """Transposed 3-D convolution, input (N, C, D, H, W), weight (C, K/groups, T, R, S), bias
    (K,); as :func:`conv_transpose2d`.
    """
    window = (stride, padding, output_padding, groups, dilation)
    return _transposed(3, input, weight, bias, window, activation, memory_format)
