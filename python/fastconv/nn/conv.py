"""Convolution layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastconv import ops
from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn import init
from fastconv.nn.arguments import flag, integer, sizes
from fastconv.nn.arguments import padding as padding_of
from fastconv.nn.fused import conv2d_relu_max_pool2d
from fastconv.nn.module import MEMORY_FORMATS, Module, Parameter

if TYPE_CHECKING:
    from fastconv.ops.types import Activation, MemoryFormat


class Convolution(Module):
    """What the convolution layers of one to three dimensions have in common."""

    dimensions: int
    transposed = False
    output_padding: tuple[int, ...]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        memory_format: MemoryFormat | None = None,
    ) -> None:
        self.in_channels = integer(self._kind, "in_channels", in_channels)
        self.out_channels = integer(self._kind, "out_channels", out_channels)
        self.kernel_size = self._sizes("kernel_size", kernel_size)
        self.stride = self._sizes("stride", stride)
        self.padding = padding_of(self._kind, padding, self.dimensions)
        self.dilation = self._sizes("dilation", dilation)
        self.groups = integer(self._kind, "groups", groups)
        self.memory_format = memory_format
        self._check()
        channels = (self.out_channels, self.in_channels)
        first, second = channels[::-1] if self.transposed else channels
        shape = (first, second // self.groups, *self.kernel_size)
        self.weight = Parameter(init.empty(shape))
        biased = flag(self._kind, "bias", bias)
        self.bias = Parameter(init.empty((self.out_channels,))) if biased else None
        self.reset_parameters()

    @property
    def _kind(self) -> str:
        return f"Conv{'Transpose' if self.transposed else ''}{self.dimensions}d"

    def _sizes(self, name: str, value: Any, minimum: int = 1) -> tuple[int, ...]:
        return sizes(self._kind, name, value, self.dimensions, minimum)

    def _check(self) -> None:
        """Raise ValueError for arguments that do not fit each other."""
        for name in ("in_channels", "out_channels"):
            channels = getattr(self, name)
            if channels % self.groups:
                raise ValueError(
                    f"{self._kind}: {name} ({channels}) must be divisible by groups ({self.groups})"
                )
        if self.padding == "same" and any(stride != 1 for stride in self.stride):
            raise ValueError(f'{self._kind}: padding="same" needs stride 1, got {self.stride}')
        if self.memory_format not in (None, *MEMORY_FORMATS):
            raise ValueError(
                f"{self._kind}: memory_format must be None or one of {MEMORY_FORMATS}, "
                f"got {self.memory_format!r}"
            )

    def reset_parameters(self) -> None:
        """Draw weight and bias from U(+-1/sqrt(fan_in)), as PyTorch counts it: the second
        dimension of the weight times its kernel."""
        init.uniform_fan_in_(self.weight, self.bias)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the result for an input of this shape."""
        window = (self.stride, self.padding, self.dilation, self.groups)
        operation = f"conv{self.dimensions}d"
        problem = ops.conv_problem(input_shape, self.weight.shape, *window, operation=operation)
        return problem.output_shape

    def extra_repr(self) -> str:
        ones, zeros = (1,) * self.dimensions, (0,) * self.dimensions
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        if self.padding != zeros:
            text += f", padding={self.padding}"
        if self.dilation != ones:
            text += f", dilation={self.dilation}"
        if getattr(self, "output_padding", zeros) != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.memory_format is not None:
            text += f", memory_format={self.memory_format}"
        return text


class Conv1d(Convolution):
    """1-D cross-correlation of (N, in_channels, W) to (N, out_channels, W'); as :class:`Conv2d`.

    padding: an integer, ((before, after),), "same" (stride 1) or "valid". weight (out_channels,
    in_channels/groups, kernel_size).
    """

    dimensions = 1

    def forward(self, input: Tensor, activation: Activation | None = None) -> Tensor:
        """The convolution; ``activation`` is computed in the same kernel."""
        window = (self.stride, self.padding, self.dilation, self.groups)
        formats: Any = {"activation": activation, "memory_format": self.memory_format}
        return F.conv1d(input, self.weight, self.bias, *window, **formats)


class Conv2d(Convolution):
    """2-D cross-correlation of (N, in_channels, H, W) to (N, out_channels, H', W').

    H' = floor((H + 2*padding - dilation*(kernel_size - 1) - 1) / stride) + 1, the same for W'.

    kernel_size, stride, dilation: an integer or (height, width). padding: an integer, a pair,
    ((top, bottom), (left, right)), "same" (stride 1) or "valid". groups divides both channel
    counts. memory_format: how the result lies, "channels_last" or "contiguous"; None: as the
    input lies. weight (out_channels, in_channels/groups, kh, kw) and bias (out_channels,) start
    as U(+-1/sqrt(fan_in)).
    """

    dimensions = 2

    def forward(
        self,
        input: Tensor,
        activation: Activation | None = None,
        pooling: tuple[Any, Any, Any, Any, bool] | None = None,
        normalised: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """The convolution; ``activation`` is computed in the same kernel.

        pooling: the arguments of a max pooling that follows "relu" in the same operation.
        normalised: weight and bias to compute with, which a normalisation that follows made of
        this layer's own.
        """
        weight, bias = normalised or (self.weight, self.bias)
        window = (self.stride, self.padding, self.dilation, self.groups)
        if pooling is not None:
            return conv2d_relu_max_pool2d(input, weight, bias, window, pooling, self.memory_format)
        formats: Any = {"activation": activation, "memory_format": self.memory_format}
        return F.conv2d(input, weight, bias, *window, **formats)


class Conv3d(Convolution):
    """3-D cross-correlation of (N, in_channels, D, H, W) to (N, out_channels, D', H', W'); as
    :class:`Conv2d`.

    Three numbers are (depth, height, width). weight (out_channels, in_channels/groups, kd, kh,
    kw).
    """

    dimensions = 3

    def forward(self, input: Tensor, activation: Activation | None = None) -> Tensor:
        """The convolution; ``activation`` is computed in the same kernel."""
        window = (self.stride, self.padding, self.dilation, self.groups)
        formats: Any = {"activation": activation, "memory_format": self.memory_format}
        return F.conv3d(input, self.weight, self.bias, *window, **formats)
