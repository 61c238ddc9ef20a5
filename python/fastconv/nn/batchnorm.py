"""Batch normalisation layers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from fastconv import ops
from fastconv.autograd.checkpoint import recomputing
from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.arguments import flag, integer
from fastconv.nn.module import Module, Parameter


class _BatchNorm(Module):
    dimensions: tuple[int, ...]  # that an input may have
    expected: str

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        name = type(self).__name__
        self.num_features = integer(name, "num_features", num_features)
        self.eps = eps
        self.momentum = momentum
        self.affine = flag(name, "affine", affine)
        self.track_running_stats = flag(name, "track_running_stats", track_running_stats)
        shape = self.num_features
        self.weight = Parameter(np.ones(shape, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(shape, np.float32)) if affine else None
        buffers = {
            "running_mean": np.zeros(shape, np.float32),
            "running_var": np.ones(shape, np.float32),
            "num_batches_tracked": np.zeros((), np.int64),
        }
        for name, array in buffers.items():
            self.register_buffer(name, Tensor(array) if track_running_stats else None)

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def reset_running_stats(self) -> None:
        """Forget what was seen: mean 0, variance 1, no batches."""
        for tensor, value in (
            (self.running_mean, 0),
            (self.running_var, 1),
            (self.num_batches_tracked, 0),
        ):
            if tensor is not None:
                tensor._data[...] = value
                tensor._version.count += 1

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and no statistics."""
        self.reset_running_stats()
        for parameter, value in ((self.weight, 1), (self.bias, 0)):
            if parameter is not None:
                parameter._data[...] = value
                parameter._version.count += 1

    @property
    def uses_batch(self) -> bool:
        """Whether a call now takes its statistics from the batch."""
        return self.training or self.running_mean is None

    def _momentum(self) -> float:
        """Of this batch, which is counted once; without a momentum all batches weigh the same."""
        count = self.num_batches_tracked
        if not self.training or count is None or recomputing():
            return self.momentum or 0.0
        count._data += 1
        count._version.count += 1
        return 1 / float(count._data) if self.momentum is None else self.momentum

    def forward(self, input: Tensor, activation: Literal["relu"] | None = None) -> Tensor:
        """The normalised input; ``activation`` is computed in the same kernel."""
        self._check(input)
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.uses_batch,
            self._momentum(),
            self.eps,
            activation=activation,
        )

    def fold(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weight and bias of the layer that computes what this evaluation makes of a layer's map.

        weight: (num_features, ...) of the layer before; its filters are scaled, its bias (None: 0)
        goes through the whole normalisation.
        """
        if self.running_mean is None or self.running_var is None:
            raise RuntimeError("fold: there are no running statistics to normalise with")
        mean, var = self.running_mean._data, self.running_var._data
        gain = None if self.weight is None else self.weight._data
        shift = None if self.bias is None else self.bias._data
        zero = np.zeros_like(mean)
        filters = weight._data.reshape(1, self.num_features, -1)
        offsets = (zero if bias is None else bias._data).reshape(1, -1)
        scaled = ops.batch_norm(filters, zero, var, gain, None, eps=self.eps)[0]
        moved = ops.batch_norm(offsets, mean, var, gain, shift, eps=self.eps)[0]
        return Tensor(scaled.reshape(weight.shape)), Tensor(moved.reshape(-1))

    def _check(self, input: Any) -> None:
        if not isinstance(input, Tensor):
            return  # refused by the operation
        name, shape = type(self).__name__, input.shape
        if len(shape) not in self.dimensions:
            raise ValueError(f"{name}: input has shape {shape}, expected {self.expected}")
        if shape[1] != self.num_features:
            raise ValueError(
                f"{name}: input has shape {shape}, expected {self.num_features} channels"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Each of ``num_features`` channels of (N, C) or (N, C, L) to mean 0 and variance 1, then times
    ``weight`` plus ``bias`` (if ``affine``).

    In training the batch's statistics count, and the running ones move towards them by
    ``momentum`` (None: their average over all batches, which ``num_batches_tracked`` counts); in
    evaluation the running ones. Without ``track_running_stats`` it is always the batch's.
    """

    dimensions = (2, 3)
    expected = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """:class:`BatchNorm1d` for (N, C, H, W)."""

    dimensions = (4,)
    expected = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """:class:`BatchNorm1d` for (N, C, D, H, W)."""

    dimensions = (5,)
    expected = "(N, C, D, H, W)"
