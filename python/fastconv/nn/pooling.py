"""Max pooling layers."""

from __future__ import annotations

from typing import Any

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.arguments import flag, sizes
from fastconv.nn.average import Adaptive
from fastconv.nn.module import Module


class _MaxPool(Module):
    dims: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        layer = type(self).__name__
        self.return_indices = flag(layer, "return_indices", return_indices)
        self.ceil_mode = flag(layer, "ceil_mode", ceil_mode)
        sizes(layer, "kernel_size", kernel_size, self.dims)
        sizes(layer, "stride", self.stride, self.dims)
        sizes(layer, "padding", padding, self.dims, 0)
        sizes(layer, "dilation", dilation, self.dims)

    @property
    def window(self) -> tuple[Any, Any, Any, Any, bool]:
        """kernel_size, stride, padding, dilation, ceil_mode: as ``F.max_pool2d`` takes them."""
        return self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The maximum of each window of (N, C, L); see :class:`MaxPool2d`."""

    dims = 1

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(input, *self.window, self.return_indices)


class MaxPool2d(_MaxPool):
    """The maximum of each window of (N, C, H, W); ``stride`` defaults to ``kernel_size``.

    padding is at most half the kernel and counts as -inf; ceil_mode lets the last window hang
    over the edge; return_indices gives (output, indices), flat within the input's H*W plane.
    """

    dims = 2

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(input, *self.window, self.return_indices)


class MaxPool3d(_MaxPool):
    """The maximum of each window of (N, C, D, H, W), indices flat within D*H*W; see
    :class:`MaxPool2d`."""

    dims = 3

    def forward(self, input: Tensor) -> Any:
        return F.max_pool3d(input, *self.window, self.return_indices)


class _AdaptiveMaxPool(Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = flag(type(self).__name__, "return_indices", return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The maxima of ``output_size`` windows that cover (N, C, L)."""

    dims = 1

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The maxima of windows that cover (N, C, H, W), ``output_size`` of them.

    output_size: an integer or a pair; None keeps the input's extent. return_indices gives (output,
    indices) as :class:`MaxPool2d` does.
    """

    dims = 2

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The maxima of ``output_size`` windows that cover (N, C, D, H, W)."""

    dims = 3

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)
