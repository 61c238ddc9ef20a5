"""Convolution of one dimension as a function of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastconv.autograd.tensor import Tensor
from fastconv.nn.fused import convolution

if TYPE_CHECKING:
    from fastconv.ops.types import Activation, MemoryFormat


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    activation: Activation | None = None,
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    """1-D cross-correlation, input (N, C, W), weight (K, C/groups, S); as :func:`conv2d`."""
    window = (stride, padding, dilation, groups)
    return convolution("conv1d", input, weight, bias, window, activation, memory_format)
