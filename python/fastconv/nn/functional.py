"""The layers as functions of tensors: each operation with its backward closure beside it.

Shapes and errors are those of the same function in :mod:`fastconv.ops`; arguments are PyTorch's.
What a closure keeps is named where it is recorded; gradients nobody asked for are not computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastconv import ops, random
from fastconv.autograd import elementwise, shaping
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.nn.class_losses import cross_entropy, multi_margin_loss, nll_loss
from fastconv.nn.curves import (
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    maxout,
    relu6,
    silu,
    softplus,
)
from fastconv.nn.fused import array_of, conv2d, linear
from fastconv.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    hinge_loss,
    huber_loss,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
    zero_one_loss,
)
from fastconv.nn.normalize import batch_norm, local_response_norm
from fastconv.nn.probabilities import log_softmax, softmax

if TYPE_CHECKING:
    from fastconv.ops.types import MemoryFormat

__all__ = [
    "MaxPoolResult",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "elu",
    "flatten",
    "gelu",
    "hardtanh",
    "hinge_loss",
    "huber_loss",
    "l1_loss",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "max_pool2d",
    "maxout",
    "mse_loss",
    "multi_margin_loss",
    "nll_loss",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "zero_one_loss",
]


class MaxPoolResult(NamedTuple):
    """What ``max_pool2d(..., return_indices=True)`` returns."""

    output: Tensor
    indices: Tensor


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
    x = array_of("max_pool2d", "input", input)
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    recorded = recording(input) is not None
    if not (recorded or return_indices):
        return Tensor(ops.max_pool2d(x, *window, return_indices=False))
    y, indices = ops.max_pool2d(x, *window, return_indices=True)
    places, shape = Tensor(indices), x.shape

    def backward(grad: Any) -> Any:
        return (ops.max_pool2d_backward(grad, indices, shape, *window),)

    kept = [("indices", places)]
    out = record("max_pool2d", y, (input,), backward, kept) if recorded else Tensor(y)
    return MaxPoolResult(out, places) if return_indices else out


def relu(input: Tensor) -> Tensor:
    """``max(input, 0)``; the gradient at 0 is 0, NaN stays NaN."""
    array_of("relu", "input", input)
    return elementwise.relu(input)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``."""
    array_of("sigmoid", "input", input)
    return elementwise.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    array_of("tanh", "input", input)
    return elementwise.tanh(input)


def check_probability(operation: str, p: float) -> None:
    """ValueError unless 0 <= p <= 1."""
    if not 0 <= p <= 1:
        raise ValueError(f"{operation}: p must be in [0, 1], got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """In training each element is 0 with probability ``p``, the others are divided by 1 - p.

    Draws 64 bits from fastconv's generator: a seed repeats it on every device.
    """
    x = array_of("dropout", "input", input)
    check_probability("dropout", p)
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0.0
    key = int(random.generator().integers(2**64, dtype=np.uint64))
    y = ops.dropout(x, p, key)
    if recording(input) is None:
        return Tensor(y)
    lies: MemoryFormat = "contiguous" if y.flags.c_contiguous else "channels_last"

    def backward(grad: Any) -> Any:
        return (ops.dropout(grad, p, key, memory_format=lies),)

    return record("dropout", y, (input,), backward)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """:func:`dropout` of whole channels: input (N, C, ...)."""
    x = array_of("dropout2d", "input", input)
    check_probability("dropout2d", p)
    if x.ndim < 2:
        raise ValueError(f"dropout2d: input has shape {x.shape}, expected (N, C, ...)")
    if not training or p == 0:
        return input
    first = (slice(None), slice(None)) + (slice(1),) * (x.ndim - 2)
    ones = np.ones_like(x[first])
    return input * dropout(Tensor(ones), p)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the dimensions from ``start_dim`` to ``end_dim``, in logical (NCHW) order."""
    array_of("flatten", "input", input)
    return shaping.flatten(input, start_dim, end_dim)
