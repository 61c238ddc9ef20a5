"""Convolution, as neural networks say it: cross-correlation, the kernel not flipped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastconv.reference.activation import activate
from fastconv.reference.layout import Array, deliver, per_dimension, under_tap


class ConvProblem(NamedTuple):
    """What a convolution is. The functions here also take the problems of `fastconv.ops`."""

    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int


def _explicit_padding(
    padding: Any, kernel: Sequence[int], dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """((before, after), ...); the odd cell of "same" stands at the end."""
    if isinstance(padding, str):
        wanted = {"same": 1, "valid": 0}[padding]
        totals = [wanted * d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if np.ndim(padding) == 2:
        return tuple((int(before), int(after)) for before, after in padding)
    return tuple((p, p) for p in per_dimension(padding, len(kernel)))


def conv_problem(
    x_shape: Sequence[int],
    weight_shape: Sequence[int],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    operation: str = "conv2d",
) -> ConvProblem:
    """Output size floor((size + before + after - dilation (kernel - 1) - 1) / stride) + 1.

    Padding is an integer, one a dimension, (before, after) for each dimension, "same" or "valid".
    Dumoulin, Visin, A guide to convolution arithmetic for deep learning (2016), relationship 15.
    """
    sizes, kernel = tuple(x_shape[2:]), tuple(weight_shape[2:])
    stride, dilation = per_dimension(stride, len(sizes)), per_dimension(dilation, len(sizes))
    padding = _explicit_padding(padding, kernel, dilation)
    output = tuple(
        (size + before + after - d * (k - 1) - 1) // s + 1
        for size, (before, after), k, s, d in zip(
            sizes, padding, kernel, stride, dilation, strict=True
        )
    )
    shapes = tuple(x_shape), tuple(weight_shape), (x_shape[0], weight_shape[0], *output)
    return ConvProblem(*shapes, stride, padding, dilation, int(groups))


def _grouped(p: Any, array: Array) -> Array:
    """(N, channels, ...) as (N, groups, channels/groups, ...)."""
    return array.reshape(array.shape[0], p.groups, array.shape[1] // p.groups, *array.shape[2:])


def _rows(grouped: Array) -> Array:
    """(N, groups, channels, *spatial) as matrices (N, groups, channels, cells)."""
    return grouped.reshape(*grouped.shape[:3], math.prod(grouped.shape[3:]))


def _padded(p: Any, x: Array) -> Array:
    return _grouped(p, np.pad(x, ((0, 0), (0, 0), *p.padding)))


def _taps(p: Any, weight: Array) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Each tap with its own matrix of weights, (groups, K/groups, C/groups)."""
    k, *rest = weight.shape
    matrices = weight.reshape(p.groups, k // p.groups, *rest)
    for tap in np.ndindex(*weight.shape[2:]):
        index = (..., *tap)
        yield tap, matrices[index]


def conv_forward(
    problem: Any,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    activation: str | None = None,
    algorithm: str | None = None,
    memory_format: str | None = None,
    out: Array | None = None,
) -> Array:
    """z[k,i,j] = b[k] + sum over c,m,n of w[k,c,m,n] a[c,i+m,j+n], for each image of the batch.

    x (N, C, *spatial), weight (K, C/groups, *kernel), bias (K,) -> (N, K, *output).
    Goodfellow, Bengio, Courville, Deep Learning (2016), equation 9.6; with strides 9.8.
    """
    p, output = problem, problem.output_shape[2:]
    a = _padded(p, x)
    z = np.zeros((len(x), p.groups, p.output_shape[1] // p.groups, math.prod(output)), x.dtype)
    for tap, matrix in _taps(p, weight):
        z += matrix @ _rows(a[under_tap(tap, output, p.stride, p.dilation)])
    z = z.reshape(p.output_shape)
    if bias is not None:
        z += bias.reshape(-1, *(1 for _ in output))
    return deliver(activate(z, activation), x, memory_format, out)


def conv_backward_input(
    problem: Any,
    grad: Array,
    weight: Array,
    algorithm: str | None = None,
    memory_format: str | None = None,
    out: Array | None = None,
) -> Array:
    """dL/da[p,q] = sum over m,n of w[m,n] dL/dz[p-m,q-n]: a tap sends back to where it read.

    grad (N, K, *output), weight (K, C/groups, *kernel) -> (N, C, *spatial).
    Goodfellow, Bengio, Courville, Deep Learning (2016), equation 9.13.
    """
    p, output = problem, problem.output_shape[2:]
    dz = _rows(_grouped(p, grad))
    da = _padded(p, np.zeros(p.input_shape, grad.dtype))
    for tap, matrix in _taps(p, weight):
        cells = under_tap(tap, output, p.stride, p.dilation)
        da[cells] += (np.swapaxes(matrix, -1, -2) @ dz).reshape(da[cells].shape)
    edges = zip(p.padding, p.input_shape[2:], strict=True)
    inside: tuple[Any, ...] = (..., *(slice(before, before + size) for (before, _), size in edges))
    return deliver(da[inside].reshape(p.input_shape), grad, memory_format, out)


def conv_backward_weight(
    problem: Any, grad: Array, x: Array, bias: bool = True, algorithm: str | None = None
) -> tuple[Array, Array | None]:
    """dL/dw[m,n] = sum over i,j of dL/dz[i,j] a[i+m,j+n], and over the batch; dL/db = sum of dL/dz.

    grad (N, K, *output), x (N, C, *spatial) -> (K, C/groups, *kernel), (K,) or None.
    Goodfellow, Bengio, Courville, Deep Learning (2016), equation 9.11.
    """
    p, output = problem, problem.output_shape[2:]
    dz, a = _rows(_grouped(p, grad)), _padded(p, x)
    dw = np.zeros(p.weight_shape, x.dtype)
    for tap in np.ndindex(*p.weight_shape[2:]):
        met = np.swapaxes(_rows(a[under_tap(tap, output, p.stride, p.dilation)]), -1, -2)
        index = (..., *tap)
        dw[index] = (dz @ met).sum(axis=0).reshape(p.weight_shape[:2])
    return dw, grad.sum(axis=(0, *range(2, grad.ndim))) if bias else None


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
    algorithm: str = "auto",
    memory_format: str | None = None,
    out: Array | None = None,
) -> Array:
    """`conv_forward` of x (N, C, H, W) and weight (K, C/groups, R, S) -> (N, K, P, Q)."""
    problem = conv_problem(x.shape, weight.shape, stride, padding, dilation, groups)
    return conv_forward(problem, x, weight, bias, activation, algorithm, memory_format, out)


def conv2d_backward_input(
    grad: Array,
    weight: Array,
    input_shape: Sequence[int],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    algorithm: str = "auto",
    memory_format: str | None = None,
    out: Array | None = None,
) -> Array:
    """`conv_backward_input` of grad (N, K, P, Q) -> `input_shape`."""
    problem = conv_problem(input_shape, weight.shape, stride, padding, dilation, groups)
    return conv_backward_input(problem, grad, weight, algorithm, memory_format, out)


def conv2d_backward_weight(
    grad: Array,
    x: Array,
    weight_shape: Sequence[int],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    bias: bool = True,
    algorithm: str = "auto",
) -> tuple[Array, Array | None]:
    """`conv_backward_weight` of grad (N, K, P, Q) and x -> `weight_shape`, (K,) or None."""
    problem = conv_problem(x.shape, weight_shape, stride, padding, dilation, groups)
    return conv_backward_weight(problem, grad, x, bias, algorithm)


conv1d = conv3d = conv2d  # of any number of spatial dimensions
conv1d_backward_input = conv3d_backward_input = conv2d_backward_input
conv1d_backward_weight = conv3d_backward_weight = conv2d_backward_weight
