"""Convolution layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn import init
from fastconv.nn.arguments import integer, pair
from fastconv.nn.arguments import padding as padding_of
from fastconv.nn.fused import conv2d_relu_max_pool2d
from fastconv.nn.module import MEMORY_FORMATS, Module, Parameter

if TYPE_CHECKING:
    from fastconv.ops.types import Activation, MemoryFormat


class Conv2d(Module):
    """2-D cross-correlation of (N, in_channels, H, W) to (N, out_channels, H', W').

    H' = floor((H + 2*padding - dilation*(kernel_size - 1) - 1) / stride) + 1, the same for W'.

    kernel_size, stride, dilation: an integer or (height, width). padding: an integer, a pair,
    ((top, bottom), (left, right)), "same" (stride 1) or "valid". groups divides both channel
    counts. memory_format: how the result lies, "channels_last" or "contiguous"; None: as the
    input lies. weight (out_channels, in_channels/groups, kh, kw) and bias (out_channels,) start
    as U(+-1/sqrt(fan_in)).
    """

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
        self.in_channels = integer("Conv2d", "in_channels", in_channels)
        self.out_channels = integer("Conv2d", "out_channels", out_channels)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride = pair("Conv2d", "stride", stride)
        self.padding = padding_of("Conv2d", padding)
        self.dilation = pair("Conv2d", "dilation", dilation)
        self.groups = integer("Conv2d", "groups", groups)
        self.memory_format = memory_format
        self._check()
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(np.empty(shape, np.float32))
        self.bias = Parameter(np.empty(self.out_channels, np.float32)) if bias else None
        self.reset_parameters()

    def _check(self) -> None:
        """Raise ValueError for arguments that do not fit each other."""
        for name in ("in_channels", "out_channels"):
            channels = getattr(self, name)
            if channels % self.groups:
                raise ValueError(
                    f"Conv2d: {name} ({channels}) must be divisible by groups ({self.groups})"
                )
        if self.padding == "same" and self.stride != (1, 1):
            raise ValueError(f'Conv2d: padding="same" needs stride 1, got {self.stride}')
        if self.memory_format not in (None, *MEMORY_FORMATS):
            raise ValueError(
                f"Conv2d: memory_format must be None or one of {MEMORY_FORMATS}, "
                f"got {self.memory_format!r}"
            )

    def reset_parameters(self) -> None:
        """Draw weight and bias from U(+-1/sqrt(fan_in))."""
        bound = 1 / math.sqrt(init.fans(self.weight)[0])
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

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
        if pooling is not None:
            convolution = (self.stride, self.padding, self.dilation, self.groups)
            return conv2d_relu_max_pool2d(
                input, weight, bias, convolution, pooling, self.memory_format
            )
        return F.conv2d(
            input,
            weight,
            bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            activation=activation,
            memory_format=self.memory_format,
        )

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.memory_format is not None:
            text += f", memory_format={self.memory_format}"
        return text
