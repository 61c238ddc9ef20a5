"""Fully connected layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn import init
from fastconv.nn.arguments import flag, integer
from fastconv.nn.module import Module, Parameter

if TYPE_CHECKING:
    from fastconv.ops.types import Activation


class Linear(Module):
    """``x @ weight.T + bias`` from (..., in_features) to (..., out_features).

    weight (out_features, in_features) and bias (out_features,) start as U(+-1/sqrt(in_features)).
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features = integer("Linear", "in_features", in_features)
        self.out_features = integer("Linear", "out_features", out_features)
        self.weight = Parameter(init.empty((self.out_features, self.in_features)))
        self.bias = (
            Parameter(init.empty((self.out_features,))) if flag("Linear", "bias", bias) else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias from U(+-1/sqrt(in_features))."""
        init.uniform_fan_in_(self.weight, self.bias)

    def forward(self, input: Tensor, activation: Activation | None = None) -> Tensor:
        """The product; ``activation`` is computed in the same kernel."""
        return F.linear(input, self.weight, self.bias, activation=activation)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the result for an input of this shape."""
        if input_shape[-1:] != (self.in_features,):
            raise ValueError(
                f"Linear: input has shape {input_shape}, expected (..., {self.in_features})"
            )
        return (*input_shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
