"""Transposed convolution in one and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from fastconv.ops.transposed import backward_input, backward_weight, forward
from fastconv.ops.types import Activation, Array, ArrayLike, MemoryFormat, Size


def conv_transpose1d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    activation: Activation | None = None,
    algorithm: str | None = "auto",
    memory_format: MemoryFormat | None = None,
    out: Array | None = None,
) -> Array:
    """:func:`conv_transpose2d` of x (N, C, W), weight (C, K/groups, S): (N, K, W')."""
    window = (stride, padding, output_padding, groups, dilation)
    return forward(1, x, weight, bias, window, activation, algorithm, memory_format, out)


def conv_transpose1d_backward_input(
    grad: ArrayLike,
    weight: ArrayLike,
    input_shape: Sequence[int],
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    algorithm: str | None = "auto",
    memory_format: MemoryFormat | None = None,
    out: Array | None = None,
) -> Array:
    """:func:`conv_transpose2d_backward_input` of grad (N, K, W'): (N, C, W)."""
    window = (stride, padding, output_padding, groups, dilation)
    return backward_input(1, grad, weight, input_shape, window, algorithm, memory_format, out)


def conv_transpose1d_backward_weight(
    grad: ArrayLike,
    x: ArrayLike,
    weight_shape: Sequence[int],
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    bias: bool = True,
    algorithm: str | None = "auto",
) -> tuple[Array, Array | None]:
    """:func:`conv_transpose2d_backward_weight` of grad (N, K, W'): dw (C, K/groups, S), db."""
    window = (stride, padding, output_padding, groups, dilation)
    return backward_weight(1, grad, x, weight_shape, window, bias, algorithm)


def conv_transpose3d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    activation: Activation | None = None,
    algorithm: str | None = "auto",
    memory_format: MemoryFormat | None = None,
    out: Array | None = None,
) -> Array:
    """:func:`conv_transpose2d` of x (N, C, D, H, W), weight (C, K/groups, T, R, S)."""
    window = (stride, padding, output_padding, groups, dilation)
    return forward(3, x, weight, bias, window, activation, algorithm, memory_format, out)


def conv_transpose3d_backward_input(
    grad: ArrayLike,
    weight: ArrayLike,
    input_shape: Sequence[int],
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    algorithm: str | None = "auto",
    memory_format: MemoryFormat | None = None,
    out: Array | None = None,
) -> Array:
    """:func:`conv_transpose2d_backward_input` of grad (N, K, D', H', W'): (N, C, D, H, W)."""
    window = (stride, padding, output_padding, groups, dilation)
    return backward_input(3, grad, weight, input_shape, window, algorithm, memory_format, out)


def conv_transpose3d_backward_weight(
    grad: ArrayLike,
    x: ArrayLike,
    weight_shape: Sequence[int],
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    bias: bool = True,
    algorithm: str | None = "auto",
) -> tuple[Array, Array | None]:
    """:func:`conv_transpose2d_backward_weight` of grad (N, K, D', H', W') and x (N, C, D, H, W)."""
    window = (stride, padding, output_padding, groups, dilation)
    return backward_weight(3, grad, x, weight_shape, window, bias, algorithm)
