"""Random zeros while training."""

from __future__ import annotations

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.drop import check_probability
from fastconv.nn.module import Module


class Dropout(Module):
    """In training each element is 0 with probability ``p``, the others are divided by 1 - p
    (Srivastava et al., 2014); in evaluation nothing happens."""

    def __init__(self, p: float = 0.5) -> None:
        check_probability(type(self).__name__, p)
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout1d(Dropout):
    """The same for whole channels of (N, C, L) (Tompson et al., 2015)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training)


class Dropout2d(Dropout):
    """The same for whole channels of (N, C, H, W) (Tompson et al., 2015)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training)


class Dropout3d(Dropout):
    """The same for whole channels of (N, C, D, H, W) (Tompson et al., 2015)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training)
