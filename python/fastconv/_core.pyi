"""
Compiled kernels behind fastconv.ops. Arguments are positional there and checked here.
"""

from __future__ import annotations

import typing

import numpy

__all__: list[str] = [
    "ConvProblem",
    "LinearProblem",
    "NormProblem",
    "PoolProblem",
    "adadelta_update",
    "adagrad_update",
    "adam_update",
    "adaptive_avg_pool",
    "adaptive_avg_pool_backward",
    "adaptive_max_pool",
    "adaptive_max_pool_backward",
    "avg_pool",
    "avg_pool_backward",
    "avg_pool_implementation",
    "batch_norm",
    "batch_norm_backward",
    "config",
    "conv",
    "conv2d_max_pool2d",
    "conv2d_max_pool2d_backward",
    "conv_backward_input",
    "conv_backward_weight",
    "conv_forward",
    "conv_implementation",
    "conv_input_gradient",
    "conv_max_pool_backward",
    "conv_max_pool_backward_implementation",
    "conv_problem",
    "conv_transpose",
    "conv_transpose_backward_input",
    "conv_transpose_backward_weight",
    "conv_transpose_forward",
    "conv_transpose_input_gradient",
    "conv_transpose_problem",
    "conv_transpose_weight_gradient",
    "conv_weight_gradient",
    "cpu_backend",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "gelu_tanh",
    "gelu_tanh_backward",
    "get_num_threads",
    "group_norm",
    "group_norm_backward",
    "hardtanh",
    "hardtanh_backward",
    "isa",
    "lamb_update",
    "layer_norm",
    "layer_norm_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "linear_backward_input",
    "linear_backward_weight",
    "linear_problem",
    "local_response_norm",
    "local_response_norm_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool",
    "max_pool_backward",
    "memory_release_cached",
    "memory_reset_peak",
    "memory_set_cache_limit",
    "memory_set_poison",
    "memory_stats",
    "parse_descriptor",
    "probe_copy",
    "probe_fma",
    "probe_read",
    "register_cuda_backend",
    "relu",
    "relu_backward",
    "require_cuda",
    "rmsprop_update",
    "set_flush_denormal",
    "set_num_threads",
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

class ConvProblem:
    """
    One convolution: its shapes and parameters, checked.
    """
    def __eq__(self, arg0: typing.Any) -> bool: ...
    def __hash__(self) -> int: ...
    def __init__(self, descriptor: str) -> None:
        """
        From its descriptor, the text that str() gives.
        """
    def __reduce__(self) -> tuple[type, tuple[str]]: ...
    def __repr__(self) -> str: ...
    def __str__(self) -> str: ...
    def bytes(self, itemsize: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Bytes of input, weight and output, each touched once.
        """
    @property
    def batch(self) -> int: ...
    @property
    def dilation(self) -> tuple[int, ...]: ...
    @property
    def flops(self) -> int: ...
    @property
    def groups(self) -> int: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def input(self) -> tuple[int, ...]: ...
    @property
    def input_shape(self) -> tuple[int, ...]: ...
    @property
    def kernel(self) -> tuple[int, ...]: ...
    @property
    def out_channels(self) -> int: ...
    @property
    def output(self) -> tuple[int, ...]: ...
    @property
    def output_shape(self) -> tuple[int, ...]: ...
    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """
        A pair (before, after) for each spatial dimension.
        """
    @property
    def stride(self) -> tuple[int, ...]: ...
    @property
    def weight_shape(self) -> tuple[int, ...]: ...

class PoolProblem:
    """
    One pooling: its shapes and parameters, checked.
    """
    def __eq__(self, arg0: typing.Any) -> bool: ...
    def __hash__(self) -> int: ...
    def __init__(self, descriptor: str) -> None:
        """
        From its descriptor, the text that str() gives.
        """
    def __reduce__(self) -> tuple[type, tuple[str]]: ...
    def __repr__(self) -> str: ...
    def __str__(self) -> str: ...
    def bytes(self, itemsize: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Bytes of input, weight and output, each touched once.
        """
    @property
    def batch(self) -> int: ...
    @property
    def ceil_mode(self) -> bool: ...
    @property
    def channels(self) -> int: ...
    @property
    def dilation(self) -> tuple[int, ...]: ...
    @property
    def flops(self) -> int: ...
    @property
    def input(self) -> tuple[int, ...]: ...
    @property
    def input_shape(self) -> tuple[int, ...]: ...
    @property
    def kernel(self) -> tuple[int, ...]: ...
    @property
    def output(self) -> tuple[int, ...]: ...
    @property
    def output_shape(self) -> tuple[int, ...]: ...
    @property
    def padding(self) -> tuple[int, ...]: ...
    @property
    def stride(self) -> tuple[int, ...]: ...

class LinearProblem:
    """
    One fully connected layer: its extents.
    """
    def __eq__(self, arg0: typing.Any) -> bool: ...
    def __hash__(self) -> int: ...
    def __init__(self, descriptor: str) -> None:
        """
        From its descriptor, the text that str() gives.
        """
    def __reduce__(self) -> tuple[type, tuple[str]]: ...
    def __repr__(self) -> str: ...
    def __str__(self) -> str: ...
    def bytes(self, itemsize: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Bytes of input, weight and output, each touched once.
        """
    @property
    def flops(self) -> int: ...
    @property
    def in_features(self) -> int: ...
    @property
    def input_shape(self) -> tuple[int, ...]: ...
    @property
    def out_features(self) -> int: ...
    @property
    def output_shape(self) -> tuple[int, ...]: ...
    @property
    def rows(self) -> int: ...
    @property
    def weight_shape(self) -> tuple[int, ...]: ...

class NormProblem:
    """
    One normalisation: the shape of its array.
    """
    def __eq__(self, arg0: typing.Any) -> bool: ...
    def __hash__(self) -> int: ...
    def __init__(self, descriptor: str) -> None:
        """
        From its descriptor, the text that str() gives.
        """
    def __reduce__(self) -> tuple[type, tuple[str]]: ...
    def __repr__(self) -> str: ...
    def __str__(self) -> str: ...
    def bytes(self, itemsize: typing.SupportsInt | typing.SupportsIndex) -> int:
        """
        Bytes of input, weight and output, each touched once.
        """
    @property
    def batch(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def flops(self) -> int: ...
    @property
    def input(self) -> tuple[int, ...]: ...
    @property
    def input_shape(self) -> tuple[int, ...]: ...
    @property
    def output_shape(self) -> tuple[int, ...]: ...

def adadelta_update(
    parameters: typing.Any,
    grads: typing.Any,
    square_avgs: typing.Any,
    acc_deltas: typing.Any,
    lr: typing.SupportsFloat | typing.SupportsIndex,
    rho: typing.SupportsFloat | typing.SupportsIndex,
    eps: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
) -> None: ...
def adagrad_update(
    parameters: typing.Any,
    grads: typing.Any,
    state_sums: typing.Any,
    step: typing.Any,
    lr: typing.SupportsFloat | typing.SupportsIndex,
    lr_decay: typing.SupportsFloat | typing.SupportsIndex,
    eps: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
) -> None: ...
def adam_update(
    parameters: typing.Any,
    grads: typing.Any,
    exp_avgs: typing.Any,
    exp_avg_sqs: typing.Any,
    max_exp_avg_sqs: typing.Any,
    step: typing.Any,
    lr: typing.SupportsFloat | typing.SupportsIndex,
    betas: tuple[
        typing.SupportsFloat | typing.SupportsIndex, typing.SupportsFloat | typing.SupportsIndex
    ],
    eps: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
    decoupled: bool,
) -> None: ...
def adaptive_avg_pool(
    spatial: typing.SupportsInt | typing.SupportsIndex, x: typing.Any, output_size: typing.Any
) -> numpy.ndarray: ...
def adaptive_avg_pool_backward(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    grad: typing.Any,
    input_shape: typing.Any,
    memory_format: typing.Any,
) -> numpy.ndarray: ...
def adaptive_max_pool(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    x: typing.Any,
    output_size: typing.Any,
    return_indices: typing.Any,
) -> tuple[numpy.ndarray, numpy.ndarray | None]: ...
def adaptive_max_pool_backward(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    grad: typing.Any,
    indices: typing.Any,
    input_shape: typing.Any,
) -> numpy.ndarray: ...
def avg_pool(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    x: typing.Any,
    kernel_size: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    ceil_mode: typing.Any,
    count_include_pad: typing.Any,
    divisor_override: typing.Any,
) -> numpy.ndarray: ...
def avg_pool_backward(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    grad: typing.Any,
    input_shape: typing.Any,
    kernel_size: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    ceil_mode: typing.Any,
    count_include_pad: typing.Any,
    divisor_override: typing.Any,
    memory_format: typing.Any,
) -> numpy.ndarray: ...
def avg_pool_implementation(
    problem: PoolProblem,
    pass_: typing.Any,
    dtype: typing.Any = "float32",
    memory_format: typing.Any = "contiguous",
    count_include_pad: typing.Any = True,
    divisor_override: typing.Any = None,
    device: typing.Any = "cpu",
) -> str:
    """
    Name of the kernel that a call would run.
    """

def batch_norm(
    x: typing.Any,
    running_mean: typing.Any,
    running_var: typing.Any,
    weight: typing.Any,
    bias: typing.Any,
    training: typing.Any,
    momentum: typing.SupportsFloat | typing.SupportsIndex,
    eps: typing.SupportsFloat | typing.SupportsIndex,
    activation: typing.Any,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def batch_norm_backward(
    grad: typing.Any,
    x: typing.Any,
    weight: typing.Any,
    bias: typing.Any,
    mean: typing.Any,
    invstd: typing.Any,
    training: typing.Any,
    activation: typing.Any,
    output_mask: tuple[bool, bool, bool],
) -> tuple[numpy.ndarray | None, numpy.ndarray | None, numpy.ndarray | None]: ...
def config() -> dict[str, typing.Any]: ...
def conv(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    x: typing.Any,
    weight: typing.Any,
    bias: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    dilation: typing.Any,
    groups: typing.Any,
    activation: typing.Any,
    algorithm: typing.Any,
    memory_format: typing.Any,
    out: typing.Any,
    precision: typing.Any = "highest",
) -> numpy.ndarray: ...
def conv2d_max_pool2d(
    x: typing.Any,
    weight: typing.Any,
    bias: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    dilation: typing.Any,
    groups: typing.Any,
    pooling: tuple,
    activation: typing.Any,
    algorithm: typing.Any,
    memory_format: typing.Any,
    return_indices: typing.Any,
    precision: typing.Any = "highest",
) -> tuple[numpy.ndarray, numpy.ndarray | None]: ...
def conv2d_max_pool2d_backward(
    grad: typing.Any,
    indices: typing.Any,
    x: typing.Any,
    weight: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    dilation: typing.Any,
    groups: typing.Any,
    pooling: tuple,
    bias: bool,
    algorithm: typing.Any,
    precision: typing.Any = "highest",
) -> tuple[numpy.ndarray | None, numpy.ndarray | None, numpy.ndarray | None]: ...
def conv_backward_input(
    problem: ConvProblem,
    grad: typing.Any,
    weight: typing.Any,
    algorithm: typing.Any,
    memory_format: typing.Any,
    out: typing.Any,
    precision: typing.Any = "highest",
) -> numpy.ndarray: ...
def conv_backward_weight(
    problem: ConvProblem,
    grad: typing.Any,
    x: typing.Any,
    bias: bool,
    algorithm: typing.Any,
    precision: typing.Any = "highest",
) -> tuple[numpy.ndarray, numpy.ndarray | None]: ...
def conv_forward(
    problem: ConvProblem,
    x: typing.Any,
    weight: typing.Any,
    bias: typing.Any,
    activation: typing.Any,
    algorithm: typing.Any,
    memory_format: typing.Any,
    out: typing.Any,
    precision: typing.Any = "highest",
) -> numpy.ndarray: ...
def conv_implementation(
    problem: ConvProblem,
    pass_: typing.Any,
    dtype: typing.Any = "float32",
    source: typing.Any = "contiguous",
    result: typing.Any = "contiguous",
    algorithm: typing.Any = "auto",
    device: typing.Any = "cpu",
    precision: typing.Any = "highest",
) -> str | None:
    """
    Name of the implementation that a call would run, or None where none accepts.

    source: how the input lies, in backward passes the gradient;
    result: how the result lies, for backward_weight the input.
    """

def conv_input_gradient(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    grad: typing.Any,
    weight: typing.Any,
    input_shape: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    dilation: typing.Any,
    groups: typing.Any,
    algorithm: typing.Any,
    memory_format: typing.Any,
    out: typing.Any,
    precision: typing.Any = "highest",
) -> numpy.ndarray: ...
def conv_max_pool_backward(
    problem: ConvProblem,
    grad: typing.Any,
    indices: typing.Any,
    x: typing.Any,
    weight: typing.Any,
    pooling: tuple,
    bias: bool,
    algorithm: typing.Any,
    precision: typing.Any = "highest",
) -> tuple[numpy.ndarray | None, numpy.ndarray | None, numpy.ndarray | None]: ...
def conv_max_pool_backward_implementation(
    problem: ConvProblem,
    pass_: typing.Any,
    pooling: tuple,
    algorithm: typing.Any = "auto",
    device: typing.Any = "cpu",
) -> str:
    """
    "sparse" where a call takes the chosen cells alone, else "spread".
    """

def conv_problem(
    x_shape: typing.Any,
    weight_shape: typing.Any,
    stride: typing.Any = 1,
    padding: typing.Any = 0,
    dilation: typing.Any = 1,
    groups: typing.Any = 1,
    operation: str = "conv2d",
) -> ConvProblem: ...
def conv_transpose(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    x: typing.Any,
    weight: typing.Any,
    bias: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    output_padding: typing.Any,
    groups: typing.Any,
    dilation: typing.Any,
    activation: typing.Any,
    algorithm: typing.Any,
    memory_format: typing.Any,
    out: typing.Any,
    precision: typing.Any = "highest",
) -> numpy.ndarray: ...
def conv_transpose_backward_input(
    problem: ConvProblem,
    grad: typing.Any,
    weight: typing.Any,
    algorithm: typing.Any,
    precision: typing.Any = "highest",
) -> numpy.ndarray: ...
def conv_transpose_backward_weight(
    problem: ConvProblem,
    grad: typing.Any,
    x: typing.Any,
    algorithm: typing.Any,
    precision: typing.Any = "highest",
) -> numpy.ndarray: ...
def conv_transpose_forward(
    problem: ConvProblem,
    x: typing.Any,
    weight: typing.Any,
    bias: typing.Any,
    activation: typing.Any,
    algorithm: typing.Any,
    memory_format: typing.Any,
    precision: typing.Any = "highest",
) -> numpy.ndarray: ...
def conv_transpose_input_gradient(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    grad: typing.Any,
    weight: typing.Any,
    input_shape: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    output_padding: typing.Any,
    groups: typing.Any,
    dilation: typing.Any,
    algorithm: typing.Any,
    memory_format: typing.Any,
    out: typing.Any,
    precision: typing.Any = "highest",
) -> numpy.ndarray: ...
def conv_transpose_problem(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    x_shape: typing.Any,
    weight_shape: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    output_padding: typing.Any,
    groups: typing.Any,
    dilation: typing.Any,
) -> ConvProblem: ...
def conv_transpose_weight_gradient(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    grad: typing.Any,
    x: typing.Any,
    weight_shape: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    output_padding: typing.Any,
    groups: typing.Any,
    dilation: typing.Any,
    algorithm: typing.Any,
    precision: typing.Any = "highest",
) -> numpy.ndarray: ...
def conv_weight_gradient(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    grad: typing.Any,
    x: typing.Any,
    weight_shape: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    dilation: typing.Any,
    groups: typing.Any,
    bias: bool,
    algorithm: typing.Any,
    precision: typing.Any = "highest",
) -> tuple[numpy.ndarray, numpy.ndarray | None]: ...
def cpu_backend() -> typing.Any:
    """
    The CPU backend as a capsule for register_cuda_backend, for tests.
    """

def cross_entropy(
    logits: typing.Any, target: typing.Any, reduction: typing.Any
) -> numpy.ndarray: ...
def cross_entropy_backward(
    grad: typing.Any, logits: typing.Any, target: typing.Any, reduction: typing.Any
) -> numpy.ndarray: ...
def dropout(
    x: typing.Any,
    p: typing.SupportsFloat | typing.SupportsIndex,
    key: typing.SupportsInt | typing.SupportsIndex,
    memory_format: typing.Any,
) -> numpy.ndarray: ...
def elu(x: typing.Any, a: typing.Any = None, b: typing.Any = None) -> numpy.ndarray: ...
def elu_backward(
    grad: typing.Any, x: typing.Any, a: typing.Any = None, b: typing.Any = None
) -> numpy.ndarray: ...
def gelu(x: typing.Any, a: typing.Any = None, b: typing.Any = None) -> numpy.ndarray: ...
def gelu_backward(
    grad: typing.Any, x: typing.Any, a: typing.Any = None, b: typing.Any = None
) -> numpy.ndarray: ...
def gelu_tanh(x: typing.Any, a: typing.Any = None, b: typing.Any = None) -> numpy.ndarray: ...
def gelu_tanh_backward(
    grad: typing.Any, x: typing.Any, a: typing.Any = None, b: typing.Any = None
) -> numpy.ndarray: ...
def get_num_threads() -> int: ...
def group_norm(
    x: typing.Any,
    num_groups: typing.Any,
    weight: typing.Any,
    bias: typing.Any,
    eps: typing.SupportsFloat | typing.SupportsIndex,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def group_norm_backward(
    grad: typing.Any,
    x: typing.Any,
    num_groups: typing.Any,
    weight: typing.Any,
    mean: typing.Any,
    invstd: typing.Any,
    output_mask: tuple[bool, bool, bool],
) -> tuple[numpy.ndarray | None, numpy.ndarray | None, numpy.ndarray | None]: ...
def hardtanh(x: typing.Any, a: typing.Any = None, b: typing.Any = None) -> numpy.ndarray: ...
def hardtanh_backward(
    grad: typing.Any, x: typing.Any, a: typing.Any = None, b: typing.Any = None
) -> numpy.ndarray: ...
def isa() -> str: ...
def lamb_update(
    parameters: typing.Any,
    grads: typing.Any,
    exp_avgs: typing.Any,
    exp_avg_sqs: typing.Any,
    step: typing.Any,
    lr: typing.SupportsFloat | typing.SupportsIndex,
    betas: tuple[
        typing.SupportsFloat | typing.SupportsIndex, typing.SupportsFloat | typing.SupportsIndex
    ],
    eps: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
) -> None: ...
def layer_norm(
    x: typing.Any,
    normalized_shape: typing.Any,
    weight: typing.Any,
    bias: typing.Any,
    eps: typing.SupportsFloat | typing.SupportsIndex,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def layer_norm_backward(
    grad: typing.Any,
    x: typing.Any,
    normalized_shape: typing.Any,
    weight: typing.Any,
    mean: typing.Any,
    invstd: typing.Any,
    output_mask: tuple[bool, bool, bool],
) -> tuple[numpy.ndarray | None, numpy.ndarray | None, numpy.ndarray | None]: ...
def leaky_relu(x: typing.Any, a: typing.Any = None, b: typing.Any = None) -> numpy.ndarray: ...
def leaky_relu_backward(
    grad: typing.Any, x: typing.Any, a: typing.Any = None, b: typing.Any = None
) -> numpy.ndarray: ...
def linear(
    x: typing.Any,
    weight: typing.Any,
    bias: typing.Any,
    activation: typing.Any,
    precision: typing.Any = "highest",
) -> numpy.ndarray: ...
def linear_backward(
    grad: typing.Any,
    x: typing.Any,
    weight: typing.Any,
    bias: bool,
    precision: typing.Any = "highest",
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray | None]: ...
def linear_backward_input(
    grad: typing.Any, weight: typing.Any, precision: typing.Any = "highest"
) -> numpy.ndarray: ...
def linear_backward_weight(
    grad: typing.Any, x: typing.Any, bias: bool, precision: typing.Any = "highest"
) -> tuple[numpy.ndarray, numpy.ndarray | None]: ...
def linear_problem(x_shape: typing.Any, weight_shape: typing.Any) -> LinearProblem: ...
def local_response_norm(
    x: typing.Any,
    size: typing.Any,
    alpha: typing.SupportsFloat | typing.SupportsIndex,
    beta: typing.SupportsFloat | typing.SupportsIndex,
    k: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def local_response_norm_backward(
    grad: typing.Any,
    x: typing.Any,
    size: typing.Any,
    alpha: typing.SupportsFloat | typing.SupportsIndex,
    beta: typing.SupportsFloat | typing.SupportsIndex,
    k: typing.SupportsFloat | typing.SupportsIndex,
) -> numpy.ndarray: ...
def log_softmax(x: typing.Any, dim: typing.Any) -> numpy.ndarray: ...
def log_softmax_backward(grad: typing.Any, y: typing.Any, dim: typing.Any) -> numpy.ndarray: ...
def max_pool(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    x: typing.Any,
    kernel_size: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    dilation: typing.Any,
    ceil_mode: typing.Any,
    return_indices: typing.Any,
) -> tuple[numpy.ndarray, numpy.ndarray | None]: ...
def max_pool_backward(
    spatial: typing.SupportsInt | typing.SupportsIndex,
    grad: typing.Any,
    indices: typing.Any,
    input_shape: typing.Any,
    kernel_size: typing.Any,
    stride: typing.Any,
    padding: typing.Any,
    dilation: typing.Any,
    ceil_mode: typing.Any,
) -> numpy.ndarray: ...
def memory_release_cached() -> None: ...
def memory_reset_peak() -> None: ...
def memory_set_cache_limit(bytes: typing.Any) -> None: ...
def memory_set_poison(on: bool) -> None: ...
def memory_stats() -> dict[str, int]: ...
def parse_descriptor(descriptor: str) -> ConvProblem | PoolProblem | LinearProblem | NormProblem:
    """
    The problem that a descriptor names; ValueError says which part is wrong.
    """

def probe_copy(x: typing.Any, out: typing.Any) -> numpy.ndarray: ...
def probe_fma(dtype: typing.Any, steps: typing.Any) -> int: ...
def probe_read(x: typing.Any) -> None: ...
def register_cuda_backend(backend: typing.Any) -> None:
    """
    Run CUDA arrays on the backend of this capsule from now on; None forgets it.
    """

def relu(x: typing.Any) -> numpy.ndarray: ...
def relu_backward(grad: typing.Any, y: typing.Any) -> numpy.ndarray: ...
def require_cuda() -> None:
    """
    RuntimeError "no CUDA device ..." where there is none.
    """

def rmsprop_update(
    parameters: typing.Any,
    grads: typing.Any,
    square_avgs: typing.Any,
    grad_avgs: typing.Any,
    momentum_buffers: typing.Any,
    lr: typing.SupportsFloat | typing.SupportsIndex,
    alpha: typing.SupportsFloat | typing.SupportsIndex,
    eps: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
    momentum: typing.SupportsFloat | typing.SupportsIndex,
) -> None: ...
def set_flush_denormal(mode: bool) -> bool: ...
def set_num_threads(count: typing.Any) -> None: ...
def sgd_update(
    parameters: typing.Any,
    grads: typing.Any,
    momentum_buffers: typing.Any,
    lr: typing.SupportsFloat | typing.SupportsIndex,
    momentum: typing.SupportsFloat | typing.SupportsIndex,
    dampening: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
    nesterov: bool,
    first_step: bool,
) -> None: ...
def sigmoid(x: typing.Any) -> numpy.ndarray: ...
def sigmoid_backward(grad: typing.Any, y: typing.Any) -> numpy.ndarray: ...
def silu(x: typing.Any, a: typing.Any = None, b: typing.Any = None) -> numpy.ndarray: ...
def silu_backward(
    grad: typing.Any, x: typing.Any, a: typing.Any = None, b: typing.Any = None
) -> numpy.ndarray: ...
def softmax(x: typing.Any, dim: typing.Any) -> numpy.ndarray: ...
def softmax_backward(grad: typing.Any, y: typing.Any, dim: typing.Any) -> numpy.ndarray: ...
def softplus(x: typing.Any, a: typing.Any = None, b: typing.Any = None) -> numpy.ndarray: ...
def softplus_backward(
    grad: typing.Any, x: typing.Any, a: typing.Any = None, b: typing.Any = None
) -> numpy.ndarray: ...
def tanh(x: typing.Any) -> numpy.ndarray: ...
def tanh_backward(grad: typing.Any, y: typing.Any) -> numpy.ndarray: ...
def total_norm(arrays: typing.Any) -> numpy.ndarray: ...

__version__: str
