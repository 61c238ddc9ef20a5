"""The matrix product of arrays and its gradients, in the kernels of the fully connected layer.

NumPy's would hand floats to its BLAS, whose sums are ordered by the number of its threads.
Operands have two or more dimensions, all but the last two broadcast. Floats are float32 or float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv import ops
from fastconv.autograd.broadcast import unbroadcast
from fastconv.autograd.variable import FLOATING


def product(x: Any, y: Any) -> Any:
    """``x @ y``: (..., m, k) and (..., k, n) to (..., m, n)."""
    if x.dtype not in FLOATING:
        return np.matmul(x, y)
    if y.ndim == 2:
        return ops.linear_backward_input(x, y)
    return _each(ops.linear_backward_input, x, y)


def product_backward_first(grad: Any, x: Any, y: Any) -> Any:
    """The gradient at ``x``: grad @ y.T, summed over what was broadcast."""
    if y.ndim == 2:
        return unbroadcast(ops.linear(grad, y), x.shape)
    return unbroadcast(_each(ops.linear, grad, y), x.shape)


def product_backward_second(grad: Any, x: Any, y: Any) -> Any:
    """The gradient at ``y``: x.T @ grad, summed over what was broadcast."""
    if y.ndim == 2:
        return _transposed_product(x, grad)
    return unbroadcast(_each(_transposed_product, x, grad), y.shape)


def _transposed_product(x: Any, y: Any) -> Any:
    return ops.linear_backward_weight(x, y, bias=False)[0]


def _each(kernel: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    """``kernel`` of each pair of matrices, broadcast over the leading dimensions."""
    leading = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    xs = np.broadcast_to(x, (*leading, *x.shape[-2:]))
    ys = np.broadcast_to(y, (*leading, *y.shape[-2:]))
    results = [kernel(xs[i], ys[i]) for i in np.ndindex(leading)]
    if results:
        return np.stack(results).reshape(*leading, *results[0].shape)
    last = kernel(np.empty_like(x, shape=x.shape[-2:]), np.empty_like(y, shape=y.shape[-2:])).shape
    return np.empty_like(x, shape=(*leading, *last))
