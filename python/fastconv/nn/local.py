"""Locally connected layers: windows as a convolution's, filters not shared between places."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastconv import ops
from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn import init
from fastconv.nn.arguments import flag, integer, sizes
from fastconv.nn.arguments import padding as padding_of
from fastconv.nn.module import Module, Parameter

if TYPE_CHECKING:
    from fastconv.ops.types import Activation


class LocallyConnected(Module):
    """What the locally connected layers of one and two dimensions have in common."""

    dimensions: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: Any,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        bias: bool = True,
    ) -> None:
        kind, dims = f"LocallyConnected{self.dimensions}d", self.dimensions
        self.in_channels = integer(kind, "in_channels", in_channels)
        self.out_channels = integer(kind, "out_channels", out_channels)
        self.input_size = sizes(kind, "input_size", input_size, dims)
        self.kernel_size = sizes(kind, "kernel_size", kernel_size, dims)
        self.stride = sizes(kind, "stride", stride, dims)
        self.padding = padding_of(kind, padding, dims)
        self.dilation = sizes(kind, "dilation", dilation, dims)
        filters = (self.out_channels, self.in_channels, *self.kernel_size)
        _, _, *places = ops.conv_problem(
            (1, self.in_channels, *self.input_size), filters, *self._window, operation=kind
        ).output_shape
        self.weight = Parameter(init.empty((*places, *filters)))
        biased = flag(kind, "bias", bias)
        self.bias = Parameter(init.empty((self.out_channels, *places))) if biased else None
        self.reset_parameters()

    @property
    def _window(self) -> tuple[Any, Any, Any]:
        return self.stride, self.padding, self.dilation

    def reset_parameters(self) -> None:
        """Draw weight and bias from U(+-1/sqrt(in_channels * kernel))."""
        bound = 1 / math.sqrt(self.in_channels * math.prod(self.kernel_size))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the result for an input of this shape."""
        places = self.weight.shape[: self.dimensions]
        return (input_shape[0], self.out_channels, *places)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, input_size={self.input_size}"
        text += f", kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.dimensions:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.dimensions:
            text += f", dilation={self.dilation}"
        return text + ("" if self.bias is not None else ", bias=False")


class LocallyConnected1d(LocallyConnected):
    """:class:`LocallyConnected2d` of (N, in_channels, input_size): weight (W', out, in, S)."""

    dimensions = 1

    def forward(self, input: Tensor, activation: Activation | None = None) -> Tensor:
        """Each place's products; ``activation`` is computed in the same kernel."""
        window = self._window
        return F.locally_connected1d(input, self.weight, self.bias, *window, activation=activation)


class LocallyConnected2d(LocallyConnected):
    """The windows of a :class:`Conv2d`, with filters of its own at every place.

    input_size: height and width of the input (or one number), which says how many places there
    are. Other arguments as Conv2d's. weight (H', W', out_channels, in_channels, kh, kw) and bias
    (out_channels, H', W') start as U(+-1/sqrt(fan_in)).
    """

    dimensions = 2

    def forward(self, input: Tensor, activation: Activation | None = None) -> Tensor:
        """Each place's products; ``activation`` is computed in the same kernel."""
        window = self._window
        return F.locally_connected2d(input, self.weight, self.bias, *window, activation=activation)
