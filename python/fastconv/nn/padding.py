"""Padding layers: cells around an image, a row or a volume."""

from __future__ import annotations

from typing import Any

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.arguments import integer
from fastconv.nn.module import Module


class _Pad(Module):
    dims: int
    mode: str

    def __init__(self, padding: Any) -> None:
        layer, least = type(self).__name__, -(2**62) if self.mode == "constant" else 0
        if isinstance(padding, (tuple, list)):
            if len(padding) != 2 * self.dims:
                raise ValueError(
                    f"{layer}: padding must be an integer or {2 * self.dims} of them, got {padding}"
                )
            self.padding = tuple(integer(layer, "padding", side, least) for side in padding)
        else:
            self.padding = (integer(layer, "padding", padding, least),) * (2 * self.dims)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != self.dims + 2:
            raise ValueError(
                f"{type(self).__name__}: input has shape {input.shape}, expected {self.dims + 2} "
                "dimensions"
            )
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"padding={self.padding}"


class ConstantPad1d(_Pad):
    """``value`` around (N, C, L); see :class:`ConstantPad2d`."""

    dims, mode = 1, "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad2d(ConstantPad1d):
    """``value`` around (N, C, H, W); padding: an integer or (left, right, top, bottom).

    Negative numbers cut cells off.
    """

    dims = 2


class ConstantPad3d(ConstantPad1d):
    """``value`` around (N, C, D, H, W); see :class:`ConstantPad2d`."""

    dims = 3


class ZeroPad1d(_Pad):
    """Zeros around (N, C, L); see :class:`ZeroPad2d`."""

    dims, mode = 1, "constant"


class ZeroPad2d(_Pad):
    """Zeros around (N, C, H, W); padding: an integer or (left, right, top, bottom).

    Negative numbers cut cells off.
    """

    dims, mode = 2, "constant"


class ZeroPad3d(_Pad):
    """Zeros around (N, C, D, H, W); see :class:`ZeroPad2d`."""

    dims, mode = 3, "constant"


class ReflectionPad1d(_Pad):
    """(N, C, L) mirrored at its ends; see :class:`ReflectionPad2d`."""

    dims, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """(N, C, H, W) mirrored at its edges, which are not repeated; padding as in ZeroPad2d."""

    dims, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """(N, C, D, H, W) mirrored at its sides; see :class:`ReflectionPad2d`."""

    dims, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """(N, C, L) with its ends repeated; see :class:`ReplicationPad2d`."""

    dims, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """(N, C, H, W) with its edges repeated; padding as in ZeroPad2d."""

    dims, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """(N, C, D, H, W) with its sides repeated; see :class:`ReplicationPad2d`."""

    dims, mode = 3, "replicate"
