"""The layers as functions of tensors: each operation with its backward closure beside it.

Shapes and errors are those of the same function in :mod:`fastconv.ops`; arguments are PyTorch's.
What a closure keeps is named where it is recorded; gradients nobody asked for are not computed.
"""

from __future__ import annotations

from fastconv.autograd import elementwise, shaping
from fastconv.autograd.tensor import Tensor
from fastconv.nn.averages import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
)
from fastconv.nn.border import pad
from fastconv.nn.class_losses import cross_entropy, multi_margin_loss, nll_loss
from fastconv.nn.convolution import (
    conv1d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
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
from fastconv.nn.dot_product import scaled_dot_product_attention
from fastconv.nn.drop import dropout, dropout1d, dropout2d, dropout3d
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
from fastconv.nn.maxima import (
    MaxPoolResult,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from fastconv.nn.normalize import batch_norm, group_norm, layer_norm, local_response_norm
from fastconv.nn.probabilities import log_softmax, softmax
from fastconv.nn.resize import interpolate
from fastconv.nn.windows import locally_connected1d, locally_connected2d

__all__ = [
    "MaxPoolResult",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "flatten",
    "gelu",
    "group_norm",
    "hardtanh",
    "hinge_loss",
    "huber_loss",
    "interpolate",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "locally_connected1d",
    "locally_connected2d",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "maxout",
    "mse_loss",
    "multi_margin_loss",
    "nll_loss",
    "pad",
    "relu",
    "relu6",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "zero_one_loss",
]


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


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the dimensions from ``start_dim`` to ``end_dim``, in logical (NCHW) order."""
    array_of("flatten", "input", input)
    return shaping.flatten(input, start_dim, end_dim)
