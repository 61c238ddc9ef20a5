"""Transposed convolution layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastconv import ops
from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.conv import Convolution

if TYPE_CHECKING:
    from fastconv.ops.types import Activation, MemoryFormat


class ConvTranspose(Convolution):
    """What the transposed convolution layers of one to three dimensions have in common."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        *,
        memory_format: MemoryFormat | None = None,
    ) -> None:
        padding = self._sizes("padding", padding, 0)
        self.output_padding = self._sizes("output_padding", output_padding, 0)
        window = (kernel_size, stride, padding, dilation, groups, bias)
        super().__init__(in_channels, out_channels, *window, memory_format=memory_format)

    def _check(self) -> None:
        super()._check()
        fits = [
            more < max(stride, dilation)
            for more, stride, dilation in zip(
                self.output_padding, self.stride, self.dilation, strict=True
            )
        ]
        if not all(fits):
            raise ValueError(
                f"{self._kind}: output_padding {self.output_padding} must be smaller than stride "
                f"{self.stride} or dilation {self.dilation}"
            )

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the result for an input of this shape."""
        shapes = (input_shape, self.weight.shape)
        problem = ops.conv_transpose_problem(*shapes, *self._window, spatial=self.dimensions)
        return problem.input_shape

    @property
    def _window(self) -> tuple[Any, Any, Any, int, Any]:
        return self.stride, self.padding, self.output_padding, self.groups, self.dilation


class ConvTranspose1d(ConvTranspose):
    """Transposed convolution of (N, in_channels, W) to (N, out_channels, W'); as
    :class:`ConvTranspose2d`.
    """

    dimensions = 1

    def forward(self, input: Tensor, activation: Activation | None = None) -> Tensor:
        """The transposed convolution; ``activation`` is computed in the same kernel."""
        return F.conv_transpose1d(
            input, self.weight, self.bias, *self._window,
            activation=activation, memory_format=self.memory_format,
        )  # fmt: skip


class ConvTranspose2d(ConvTranspose):
    """Transposed convolution of (N, in_channels, H, W) to (N, out_channels, H', W').

    The gradient of a convolution at its input, as a layer.

    H' = (H - 1)*stride - 2*padding + dilation*(kernel_size - 1) + 1 + output_padding, the same for
    W'; output_padding is smaller than the stride or the dilation. Numbers are integers or (height,
    width). weight (in_channels, out_channels/groups, kh, kw) and bias (out_channels,) start as
    U(+-1/sqrt(out_channels/groups*kh*kw)), as PyTorch's.
    """

    dimensions = 2

    def forward(self, input: Tensor, activation: Activation | None = None) -> Tensor:
        """The transposed convolution; ``activation`` is computed in the same kernel."""
        return F.conv_transpose2d(
            input, self.weight, self.bias, *self._window,
            activation=activation, memory_format=self.memory_format,
        )  # fmt: skip


class ConvTranspose3d(ConvTranspose):
    """Transposed convolution of (N, in_channels, D, H, W) to (N, out_channels, D', H', W'); as
    :class:`ConvTranspose2d`.
    """

    dimensions = 3

    def forward(self, input: Tensor, activation: Activation | None = None) -> Tensor:
        """The transposed convolution; ``activation`` is computed in the same kernel."""
        return F.conv_transpose3d(
            input, self.weight, self.bias, *self._window,
            activation=activation, memory_format=self.memory_format,
        )  # fmt: skip
