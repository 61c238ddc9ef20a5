"""Normalisation of one example at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.arguments import flag, integer
from fastconv.nn.module import Module, Parameter


class _Affine(Module):
    """Weight 1 and bias 0 of one shape, each where wanted."""

    weight: Parameter | None
    bias: Parameter | None

    def _make_parameters(self, shape: Any, weight: bool, bias: bool) -> None:
        self.weight = Parameter(np.ones(shape, np.float32)) if weight else None
        self.bias = Parameter(np.zeros(shape, np.float32)) if bias else None

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        for parameter, value in ((self.weight, 1), (self.bias, 0)):
            if parameter is not None:
                parameter._data[...] = value
                parameter._version.count += 1


class LayerNorm(_Affine):
    """The last dimensions, ``normalized_shape``, to mean 0 and variance 1, then times ``weight``
    plus ``bias`` (Ba, Kiros, Hinton, 2016): the same in training and evaluation."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        name = type(self).__name__
        sizes = normalized_shape if isinstance(normalized_shape, Sequence) else [normalized_shape]
        self.normalized_shape = tuple(integer(name, "normalized_shape", size) for size in sizes)
        self.eps = eps
        self.elementwise_affine = flag(name, "elementwise_affine", elementwise_affine)
        biased = flag(name, "bias", bias) and elementwise_affine
        self._make_parameters(self.normalized_shape, elementwise_affine, biased)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(_Affine):
    """Each of ``num_groups`` groups of channels of an example (N, C, ...) to mean 0 and variance 1
    over its channels and all of space, then times ``weight`` plus ``bias`` of each channel (Wu, He,
    2018)."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True
    ) -> None:
        name = type(self).__name__
        self.num_groups = integer(name, "num_groups", num_groups)
        self.num_channels = integer(name, "num_channels", num_channels)
        if self.num_channels % self.num_groups != 0:
            raise ValueError(
                f"{name}: num_groups={num_groups} does not divide num_channels={num_channels}"
            )
        self.eps = eps
        self.affine = flag(name, "affine", affine)
        self._make_parameters(self.num_channels, affine, affine)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class InstanceNorm2d(_Affine):
    """Each channel of each image (N, C, H, W) to mean 0 and variance 1 over its own pixels (Ulyanov
    et al., 2016), with weight and bias if ``affine``. Running statistics are not kept, so that
    ``momentum`` says nothing."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
    ) -> None:
        name = type(self).__name__
        if track_running_stats:
            raise ValueError(f"{name}: track_running_stats=True is not supported")
        self.num_features = integer(name, "num_features", num_features)
        self.eps = eps
        self.affine = flag(name, "affine", affine)
        self._make_parameters(self.num_features, affine, affine)

    def forward(self, input: Tensor) -> Tensor:
        shape = input.shape if isinstance(input, Tensor) else None
        if shape is not None and (len(shape) != 4 or shape[1] != self.num_features):
            raise ValueError(
                f"{type(self).__name__}: input has shape {shape}, expected "
                f"(N, {self.num_features}, H, W)"
            )
        return F.group_norm(input, self.num_features, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.affine}"


class LocalResponseNorm(Module):
    """``input / (k + alpha * mean)**beta`` with the mean of input**2 over ``size`` channels, past
    the ends of which are zeros.

    AlexNet's (Krizhevsky et al., 2012: a sum with k = 2, n = 5, alpha = 1e-4, beta = 0.75) is
    ``LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)``.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = integer(type(self).__name__, "size", size)
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
