"""Average pooling layers, and those of a given output size."""

from __future__ import annotations

from typing import Any

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.arguments import flag, integer, sizes
from fastconv.nn.module import Module


class _AvgPool(Module):
    dims: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        layer = type(self).__name__
        self.ceil_mode = flag(layer, "ceil_mode", ceil_mode)
        self.count_include_pad = flag(layer, "count_include_pad", count_include_pad)
        self.divisor_override = divisor_override
        sizes(layer, "kernel_size", kernel_size, self.dims)
        sizes(layer, "stride", self.stride, self.dims)
        sizes(layer, "padding", padding, self.dims, 0)
        if (
            divisor_override is not None
            and integer(layer, "divisor_override", divisor_override, -(2**62)) == 0
        ):
            raise ValueError(f"{layer}: divisor_override must not be 0")

    @property
    def window(self) -> tuple[Any, Any, Any, bool, bool]:
        """kernel_size, stride, padding, ceil_mode, count_include_pad."""
        return self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window of (N, C, L); see :class:`AvgPool2d`."""

    dims = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, *self.window)


class AvgPool2d(_AvgPool):
    """The mean of each window of (N, C, H, W); ``stride`` defaults to ``kernel_size``.

    padding is at most half the kernel; its zeros count unless count_include_pad is false.
    ceil_mode lets the last window hang over the edge. divisor_override divides every sum.
    """

    dims = 2

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(input, *self.window, self.divisor_override)


class AvgPool3d(_AvgPool):
    """The mean of each window of (N, C, D, H, W); see :class:`AvgPool2d`."""

    dims = 3

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool3d(input, *self.window, self.divisor_override)


class Adaptive(Module):
    """What pooling layers of a given output size are configured with."""

    dims: int

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size
        layer, wanted = type(self).__name__, output_size
        if not isinstance(wanted, (tuple, list)):
            wanted = (wanted,)
        elif len(wanted) != self.dims:
            raise ValueError(f"{layer}: output_size must have {self.dims} values, got {wanted}")
        for size in wanted:
            if size is not None:
                integer(layer, "output_size", size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(Adaptive):
    """Means of ``output_size`` windows that cover (N, C, L)."""

    dims = 1

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(Adaptive):
    """Means of windows that cover (N, C, H, W), ``output_size`` of them; 1: of each plane.

    output_size: an integer or a pair; None keeps the input's extent.
    """

    dims = 2

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(Adaptive):
    """Means of ``output_size`` windows that cover (N, C, D, H, W)."""

    dims = 3

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(input, self.output_size)
