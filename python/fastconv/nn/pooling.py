"""Pooling layers."""

from __future__ import annotations

from typing import Any

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.arguments import pair
from fastconv.nn.module import Module


class MaxPool2d(Module):
    """The maximum of each window of (N, C, H, W); ``stride`` defaults to ``kernel_size``.

    padding is at most half the kernel and counts as -inf; ceil_mode lets the last window hang
    over the edge; return_indices gives (output, indices), flat within the input's H*W plane.
    """

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
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode
        pair("MaxPool2d", "kernel_size", kernel_size)
        pair("MaxPool2d", "stride", self.stride)
        pair("MaxPool2d", "padding", padding, 0)
        pair("MaxPool2d", "dilation", dilation)

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(input, *self.window, self.return_indices)

    @property
    def window(self) -> tuple[Any, Any, Any, Any, bool]:
        """kernel_size, stride, padding, dilation, ceil_mode: as ``F.max_pool2d`` takes them."""
        return self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )
