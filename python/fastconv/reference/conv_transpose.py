"""Transposed convolution: the backward pass of a convolution as an operation, and its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastconv.reference.activation import activate
from fastconv.reference.conv import (
    ConvProblem,
    conv_backward_input,
    conv_backward_weight,
    conv_forward,
)
from fastconv.reference.layout import Array, deliver, per_dimension


def conv_transpose_problem(
    x_shape: Sequence[int],
    weight_shape: Sequence[int],
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    spatial: int = 2,
) -> ConvProblem:
    """The convolution whose output is x and whose input is the result, of extents
    (size - 1) stride - 2 padding + dilation (kernel - 1) + 1 + output_padding.

    Dumoulin, Visin, A guide to convolution arithmetic for deep learning (2016), relationship 14.
    """
    n, _, *sizes = x_shape
    window = [per_dimension(v, len(sizes)) for v in (stride, padding, output_padding, dilation)]
    kernel = weight_shape[2:]
    result = tuple(
        (size - 1) * s - 2 * p + d * (k - 1) + 1 + more
        for size, k, s, p, more, d in zip(sizes, kernel, *window, strict=True)
    )
    shapes = (n, weight_shape[1] * groups, *result), tuple(weight_shape), tuple(x_shape)
    pairs = tuple((p, p) for p in window[1])
    return ConvProblem(*shapes, window[0], pairs, window[3], int(groups))


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    activation: str | None = None,
    algorithm: str = "auto",
    memory_format: str | None = None,
    out: Array | None = None,
) -> Array:
    """y[k,s i+m,s j+n] += w[c,k,m,n] x[c,i,j] for all c,i,j,m,n, on b[k]; the padding is cut off.

    x (N, C, *spatial), weight (C, K/groups, *kernel), bias (K,) -> (N, K, *output).
    """
    window = (stride, padding, output_padding, groups, dilation)
    y = conv_backward_input(conv_transpose_problem(x.shape, weight.shape, *window), x, weight)
    if bias is not None:
        y = y + bias.reshape(-1, *(1 for _ in y.shape[2:]))
    return deliver(activate(y, activation), x, memory_format, out)


def conv_transpose2d_backward_input(
    grad: Array,
    weight: Array,
    input_shape: Sequence[int],
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    algorithm: str = "auto",
    memory_format: str | None = None,
    out: Array | None = None,
) -> Array:
    """dL/dx[c,i,j] = sum over k,m,n of w[c,k,m,n] dL/dy[k,s i+m,s j+n], a convolution."""
    window = (stride, padding, output_padding, groups, dilation)
    problem = conv_transpose_problem(input_shape, weight.shape, *window)
    return conv_forward(problem, grad, weight, memory_format=memory_format, out=out)


def conv_transpose2d_backward_weight(
    grad: Array,
    x: Array,
    weight_shape: Sequence[int],
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    bias: bool = True,
    algorithm: str = "auto",
) -> tuple[Array, Array | None]:
    """dL/dw[c,k,m,n] = sum over i,j of x[c,i,j] dL/dy[k,s i+m,s j+n]; dL/db = sum of dL/dy."""
    window = (stride, padding, output_padding, groups, dilation)
    problem = conv_transpose_problem(x.shape, weight_shape, *window)
    dw, _ = conv_backward_weight(problem, x, grad, bias=False)
    return dw, grad.sum(axis=(0, *range(2, grad.ndim))) if bias else None


conv_transpose1d = conv_transpose3d = conv_transpose2d  # of any number of spatial dimensions
conv_transpose1d_backward_input = conv_transpose2d_backward_input
conv_transpose3d_backward_input = conv_transpose2d_backward_input
conv_transpose1d_backward_weight = conv_transpose2d_backward_weight
conv_transpose3d_backward_weight = conv_transpose2d_backward_weight
