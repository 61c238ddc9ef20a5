"""Every kernel as a function: arrays in, arrays out, forward and backward apart.

Arrays are NumPy's, CuPy's, or anything with ``__dlpack__`` on the CPU or a CUDA device, in float32
or float64, on a CUDA device float16 or bfloat16 too; all arrays of a call lie on one device, all
floating ones share one dtype. Results are NumPy arrays from fastconv's memory pool
(``fastconv.memory``), or CuPy arrays on the device of the first argument. Shapes are (N, C, H, W)
however the array lies: contiguous and channels-last arrays are taken as they are, any other strides
cost one copy, and a result lies as the first argument does unless ``memory_format`` says otherwise.

ValueError for shapes and values, TypeError for types and dtypes, MemoryError for memory; each names
the operation and the argument. Backward functions take the gradient at the operation's own output;
where a forward function fused an activation, apply that activation's backward function first.

A call with CUDA arrays queues its work on CuPy's current stream and returns; nothing is waited for.
What a kernel finds in the data is therefore not raised: see ``cross_entropy`` and
``max_pool2d_backward``. Errors of the device are raised by a later call. An array lent through
DLPack must live until the stream has come past the call. Without a device, or in a build without
CUDA, RuntimeError begins with "no CUDA device"; an operation that has no CUDA kernel yet says so.
"""

from fastconv.ops.activation import (
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from fastconv.ops.adaptive_pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool1d_backward,
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    adaptive_avg_pool3d,
    adaptive_avg_pool3d_backward,
    adaptive_max_pool1d,
    adaptive_max_pool1d_backward,
    adaptive_max_pool2d,
    adaptive_max_pool2d_backward,
    adaptive_max_pool3d,
    adaptive_max_pool3d_backward,
)
from fastconv.ops.average_pool import (
    avg_pool1d,
    avg_pool1d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    avg_pool3d,
    avg_pool3d_backward,
)
from fastconv.ops.batch_norm import batch_norm, batch_norm_backward
from fastconv.ops.conv import (
    conv2d,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv_backward_input,
    conv_backward_weight,
    conv_forward,
    conv_problem,
)
from fastconv.ops.conv1d import conv1d, conv1d_backward_input, conv1d_backward_weight
from fastconv.ops.conv3d import conv3d, conv3d_backward_input, conv3d_backward_weight
from fastconv.ops.conv_transpose import (
    conv_transpose2d,
    conv_transpose2d_backward_input,
    conv_transpose2d_backward_weight,
    conv_transpose_backward_input,
    conv_transpose_backward_weight,
    conv_transpose_forward,
    conv_transpose_problem,
)
from fastconv.ops.conv_transpose_nd import (
    conv_transpose1d,
    conv_transpose1d_backward_input,
    conv_transpose1d_backward_weight,
    conv_transpose3d,
    conv_transpose3d_backward_input,
    conv_transpose3d_backward_weight,
)
from fastconv.ops.curve import (
    elu,
    elu_backward,
    gelu,
    gelu_backward,
    hardtanh,
    hardtanh_backward,
    leaky_relu,
    leaky_relu_backward,
    silu,
    silu_backward,
    softplus,
    softplus_backward,
)
from fastconv.ops.dropout import dropout
from fastconv.ops.group_norm import (
    group_norm,
    group_norm_backward,
    layer_norm,
    layer_norm_backward,
)
from fastconv.ops.linear import (
    linear,
    linear_backward,
    linear_backward_input,
    linear_backward_weight,
)
from fastconv.ops.local_response_norm import (
    local_response_norm,
    local_response_norm_backward,
)
from fastconv.ops.loss import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)
from fastconv.ops.maxout import maxout, maxout_backward
from fastconv.ops.pool import (
    conv2d_max_pool2d,
    conv2d_max_pool2d_backward,
    conv_max_pool_backward,
    max_pool2d,
    max_pool2d_backward,
)
from fastconv.ops.pool_nd import (
    max_pool1d,
    max_pool1d_backward,
    max_pool3d,
    max_pool3d_backward,
)
from fastconv.ops.update import (
    adadelta_update,
    adagrad_update,
    adam_update,
    lamb_update,
    rmsprop_update,
    sgd_update,
    total_norm,
)

__all__ = [
    "adadelta_update",
    "adagrad_update",
    "adam_update",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool1d_backward",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d",
    "adaptive_avg_pool3d_backward",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_backward",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_backward",
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "avg_pool3d",
    "avg_pool3d_backward",
    "batch_norm",
    "batch_norm_backward",
    "conv1d",
    "conv1d_backward_input",
    "conv1d_backward_weight",
    "conv2d",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_max_pool2d",
    "conv2d_max_pool2d_backward",
    "conv3d",
    "conv3d_backward_input",
    "conv3d_backward_weight",
    "conv_backward_input",
    "conv_backward_weight",
    "conv_forward",
    "conv_max_pool_backward",
    "conv_problem",
    "conv_transpose1d",
    "conv_transpose1d_backward_input",
    "conv_transpose1d_backward_weight",
    "conv_transpose2d",
    "conv_transpose2d_backward_input",
    "conv_transpose2d_backward_weight",
    "conv_transpose3d",
    "conv_transpose3d_backward_input",
    "conv_transpose3d_backward_weight",
    "conv_transpose_backward_input",
    "conv_transpose_backward_weight",
    "conv_transpose_forward",
    "conv_transpose_problem",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "group_norm",
    "group_norm_backward",
    "hardtanh",
    "hardtanh_backward",
    "lamb_update",
    "layer_norm",
    "layer_norm_backward",
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
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool3d",
    "max_pool3d_backward",
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
