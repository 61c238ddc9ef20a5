"""Element-wise functions as methods of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastconv.autograd import tensor as tape  # begun, not complete: its last lines import the rest
from fastconv.autograd.variable import Variable

if TYPE_CHECKING:
    from fastconv.autograd.tensor import Tensor


class Elementwise(Variable):
    """:class:`fastconv.autograd.tensor.Tensor` adds what has operators, shapes and sums."""

    __slots__ = ()

    def exp(self: Any) -> Tensor:
        return tape._elementwise.exp(self)

    def log(self: Any) -> Tensor:
        return tape._elementwise.log(self)

    def log1p(self: Any) -> Tensor:
        """``log(1 + x)``, exact for small x too."""
        return tape._elementwise.log1p(self)

    def sqrt(self: Any) -> Tensor:
        return tape._elementwise.sqrt(self)

    def abs(self: Any) -> Tensor:
        """``|x|``; the gradient at 0 is 0."""
        return tape._elementwise.absolute(self)

    __abs__ = abs

    def clamp(self: Any, min: Any = None, max: Any = None) -> Tensor:
        """At least ``min`` and at most ``max``, numbers or None; the gradient passes where the
        element stays as it is."""
        return tape._elementwise.clamp(self, min, max)

    def maximum(self: Any, other: Any) -> Tensor:
        """The larger of two elements; equal ones share the gradient, NaN stays NaN."""
        return tape._arithmetic.maximum(self, other)

    def minimum(self: Any, other: Any) -> Tensor:
        """The smaller of two elements; equal ones share the gradient, NaN stays NaN."""
        return tape._arithmetic.minimum(self, other)

    def relu(self: Any) -> Tensor:
        return tape._elementwise.relu(self)

    def sigmoid(self: Any) -> Tensor:
        return tape._elementwise.sigmoid(self)

    def tanh(self: Any) -> Tensor:
        return tape._elementwise.tanh(self)
