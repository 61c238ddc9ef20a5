"""Max pooling, alone and of a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

from fastconv import _core
from fastconv.config import chosen_algorithm, float32_precision
from fastconv.ops.types import Activation, Array, ArrayLike, MemoryFormat, Padding, Size


@overload
def max_pool2d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True] = True,
) -> tuple[Array, Array]: ...
@overload
def max_pool2d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[False],
) -> Array: ...
def max_pool2d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    return_indices: bool = True,
) -> tuple[Array, Array] | Array:
    """Largest value of every window, and where it was.

    The first maximum in row-major order wins, also where all are -inf; NaN wins over every number
    and the last NaN over the others. Padding is -inf.

    Args:
        x: (N, C, H, W), float32 or float64; N may be 0.
        kernel_size: an integer or a pair, at least 1.
        stride: an integer or a pair; None: ``kernel_size``.
        padding: an integer or a pair, at most half of ``kernel_size``.
        dilation: distance between the cells of a window, an integer or a pair.
        ceil_mode: round the output size up; the last window must still begin inside the input or
            the padding before it.
        return_indices: whether positions are wanted.

    Returns:
        y (N, C, H', W'), and indices: int64 of the same shape, flat positions in the H*W plane of
        the input. ``y`` alone where ``return_indices`` is false. Both lie as ``x`` does.

    Raises:
        ValueError: shapes or values do not fit.
        TypeError: not an array, another dtype, or parameters of another type.
        MemoryError: the result cannot be held.
    """
    y, indices = _core.max_pool(
        2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )
    return y if indices is None else (y, indices)


def max_pool2d_backward(
    grad: ArrayLike,
    indices: ArrayLike,
    input_shape: Sequence[int],
    kernel_size: Size | None = None,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:
    """Gradient of ``max_pool2d``: every value of ``grad`` is added where its maximum came from.

    Args:
        grad: gradient at the output, (N, C, H', W'), float32 or float64.
        indices: int64, the shape of ``grad``, as ``max_pool2d`` returned them.
        input_shape: (N, C, H, W) of the input.
        kernel_size, stride, padding, dilation, ceil_mode: as ``max_pool2d`` had them. Without
            ``kernel_size`` the result is the same, but a CUDA device, which otherwise adds up the
            windows of each cell, then visits the values of a plane one after the other.

    Returns:
        (N, C, H, W); it lies as ``grad`` does.

    Raises:
        ValueError: shapes do not fit, or an index is outside [0, H*W); on a CUDA device such an
            index is left out instead.
        TypeError: not arrays, or another dtype.
    """
    return _core.max_pool_backward(
        2, grad, indices, input_shape, kernel_size, stride, padding, dilation, ceil_mode
    )


_CONVOLUTION = "(stride, padding, dilation, groups)"
_POOLING = "(kernel_size, stride, padding, dilation, ceil_mode)"


def _parts(operation: str, name: str, values: Any, words: str) -> tuple[Any, ...]:
    """The parameters of a convolution or a pooling, as many as ``words`` names."""
    error = ValueError if isinstance(values, (tuple, list)) else TypeError
    if error is TypeError or len(values) != words.count(",") + 1:
        raise error(f"{operation}: {name} must be {words}, got {values!r}")
    return tuple(values)


@overload
def conv2d_max_pool2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    convolution: tuple[Size, Padding, Size, int] = (1, 0, 1, 1),
    pooling: tuple[Size, Size | None, Size, Size, bool] = (2, None, 0, 1, False),
    *,
    activation: Activation | None = None,
    algorithm: str | None = "auto",
    memory_format: MemoryFormat | None = None,
    return_indices: Literal[False] = False,
) -> Array: ...
@overload
def conv2d_max_pool2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    convolution: tuple[Size, Padding, Size, int] = (1, 0, 1, 1),
    pooling: tuple[Size, Size | None, Size, Size, bool] = (2, None, 0, 1, False),
    *,
    activation: Activation | None = None,
    algorithm: str | None = "auto",
    memory_format: MemoryFormat | None = None,
    return_indices: Literal[True],
) -> tuple[Array, Array]: ...
def conv2d_max_pool2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    convolution: tuple[Size, Padding, Size, int] = (1, 0, 1, 1),
    pooling: tuple[Size, Size | None, Size, Size, bool] = (2, None, 0, 1, False),
    *,
    activation: Activation | None = None,
    algorithm: str | None = "auto",
    memory_format: MemoryFormat | None = None,
    return_indices: bool = False,
) -> tuple[Array, Array] | Array:
    """``max_pool2d(conv2d(...))``; the convolution's own result is not kept.

    Its map is computed piece by piece in reused memory, that of a large strided kernel at times as
    a whole. The pooled values are those of the two calls, to the last bit where the weight is
    finite.

    Args:
        x, weight, bias, activation, algorithm: as in ``conv2d``.
        convolution: its stride, padding, dilation and groups.
        pooling: kernel_size, stride, padding, dilation and ceil_mode of ``max_pool2d``.
        memory_format: how the result lies; None: as ``x`` does.
        return_indices: whether positions are wanted, as those of ``max_pool2d``.

    Returns:
        y (N, K, H', W'); with ``return_indices`` (y, indices), which lie alike.

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d`` and ``max_pool2d``.
    """
    operation = "conv2d_max_pool2d"
    window: Any = _parts(operation, "convolution", convolution, _CONVOLUTION)
    stride, padding, dilation, groups = window
    parameters: Any = _parts(operation, "pooling", pooling, _POOLING)
    y, indices = _core.conv2d_max_pool2d(
        x, weight, bias, stride, padding, dilation, groups, parameters, activation,
        chosen_algorithm(algorithm), memory_format, return_indices, float32_precision(),
    )  # fmt: skip
    return y if indices is None else (y, indices)


def conv2d_max_pool2d_backward(
    grad: ArrayLike,
    indices: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    convolution: tuple[Size, Padding, Size, int] = (1, 0, 1, 1),
    pooling: tuple[Size, Size | None, Size, Size, bool] = (2, None, 0, 1, False),
    *,
    bias: bool = True,
    algorithm: str | None = "auto",
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of ``max_pool2d(conv2d(x, weight, bias))`` from the gradient at its result.

    Only the cells of the convolution's result that windows chose have a gradient, at most one for
    each window. Where they are few enough and "winograd" is not asked for, the CPU takes them one
    by one, without those that are 0 (behind a ReLU there are many), instead of the whole map. But
    for rounding, and 0 times something infinite, these are the gradients that
    ``max_pool2d_backward`` and the convolution's backward functions give.

    Args:
        grad: gradient at the pooled map, before the activation, (N, K, H', W'), float32 or
            float64: behind "relu" ``relu_backward(grad, y)`` of the pooled ``y``.
        indices: int64, the shape of ``grad``, as ``conv2d_max_pool2d`` with ``return_indices`` or
            ``max_pool2d`` gave them.
        x, weight, convolution, pooling, algorithm: as in ``conv2d_max_pool2d``.
        bias: whether db is wanted.

    Returns:
        dx (N, C, H, W), which lies as ``grad`` does, dw (K, C/groups, R, S), and db (K,) or None.

    Raises:
        ValueError, TypeError, MemoryError: as the separate functions.
    """
    operation = "conv2d_max_pool2d_backward"
    window: Any = _parts(operation, "convolution", convolution, _CONVOLUTION)
    stride, padding, dilation, groups = window
    parameters: Any = _parts(operation, "pooling", pooling, _POOLING)
    return _core.conv2d_max_pool2d_backward(
        grad, indices, x, weight, stride, padding, dilation, groups, parameters, bool(bias),
        chosen_algorithm(algorithm), float32_precision(),
    )  # fmt: skip


def conv_max_pool_backward(
    problem: _core.ConvProblem,
    grad: ArrayLike,
    indices: ArrayLike,
    x: ArrayLike | None,
    weight: ArrayLike | None,
    pooling: tuple[Size, Size | None, Size, Size, bool],
    *,
    bias: bool = True,
    algorithm: str | None = None,
) -> tuple[Array | None, Array | None, Array | None]:
    """``conv2d_max_pool2d_backward`` for a checked problem; without ``x`` there are no dw and db,
    without ``weight`` there is no dx.
    """
    return _core.conv_max_pool_backward(
        problem, grad, indices, x, weight,
        _parts("conv2d_max_pool2d_backward", "pooling", pooling, _POOLING), bool(bias),
        chosen_algorithm(algorithm), float32_precision(),
    )  # fmt: skip
