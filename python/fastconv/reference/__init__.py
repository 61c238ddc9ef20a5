"""The operations of `fastconv.ops` stated in plain NumPy, to be read beside their formulas.

Names, signatures and results are those of `fastconv.ops`; the arithmetic is done in the dtype of
the arguments, so float64 arrays give the values that the kernels are held to. Arguments are taken
as valid: shapes are checked in one place, which is the compiled module's. Convolution and pooling
are written for any number of spatial dimensions: a loop over the taps of the kernel, vectorised
over everything else.
"""

from fastconv.reference.activation import (
    log_softmax,
    log_softmax_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
    tanh,
    tanh_backward,
)
from fastconv.reference.batch_norm import batch_norm, batch_norm_backward
from fastconv.reference.conv import (
    ConvProblem,
    conv2d,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv_backward_input,
    conv_backward_weight,
    conv_forward,
    conv_problem,
)
from fastconv.reference.curve import (
    elu,
    elu_backward,
    gelu,
    gelu_backward,
    hardtanh,
    hardtanh_backward,
    leaky_relu,
    leaky_relu_backward,
    maxout,
    maxout_backward,
    silu,
    silu_backward,
    softplus,
    softplus_backward,
)
from fastconv.reference.dropout import dropout
from fastconv.reference.linear import (
    linear,
    linear_backward,
    linear_backward_input,
    linear_backward_weight,
)
from fastconv.reference.local_response_norm import (
    local_response_norm,
    local_response_norm_backward,
)
from fastconv.reference.loss import cross_entropy, cross_entropy_backward
from fastconv.reference.optimizer import (
    adadelta_update,
    adagrad_update,
    adam_update,
    lamb_update,
    rmsprop_update,
    sgd_update,
    total_norm,
)
from fastconv.reference.pool import conv2d_max_pool2d, max_pool2d, max_pool2d_backward

__all__ = [
    "ConvProblem",
    "adadelta_update",
    "adagrad_update",
    "adam_update",
    "batch_norm",
    "batch_norm_backward",
    "conv2d",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_max_pool2d",
    "conv_backward_input",
    "conv_backward_weight",
    "conv_forward",
    "conv_problem",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "hardtanh",
    "hardtanh_backward",
    "lamb_update",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "linear_backward_input",
    "linear_backward_weight",
    "local_response_norm",
    "local_response_norm_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "maxout",
    "maxout_backward",
    "relu",
    "relu_backward",
    "rmsprop_update",
    "sgd_update",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_backward",
    "tanh",
    "tanh_backward",
    "total_norm",
]
