"""Tensor: an array whose history is recorded, with the operators that record it.

Methods of one line, some in ``methods``, stand for the functions of ``arithmetic``,
``elementwise``, ``reduction`` and ``shaping`` beside this file, where each forward has its backward
beside it. Names, arguments and results are PyTorch's. The tensors of an operation must have one
dtype (TypeError otherwise); Python and NumPy numbers take the tensor's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastconv.autograd.engine import Backward, Node
from fastconv.autograd.methods import Elementwise
from fastconv.autograd.variable import Variable
from fastconv.devices import Device


class Tensor(Elementwise):
    """An array that may take part in a recorded computation.

    ``Tensor(array, requires_grad=False)`` wraps a NumPy array without copying it;
    :func:`fastconv.autograd.tensor` also takes lists and numbers.
    """

    __slots__ = ()

    def _plain(self, data: Any) -> Tensor:
        return Tensor(data)

    def clone(self) -> Tensor:
        """A copy with its own memory; the gradient flows back to this tensor."""
        return _shaping.clone(self)

    def _cast(self, dtype: Any) -> Tensor:
        return _shaping.cast(self, dtype)

    def _move(self, where: Device) -> Tensor:
        return _shaping.move(self, where)

    def view(self, *shape: Any) -> Tensor:
        """The elements in logical (row-major) order under another shape; one entry may be -1.

        Shares memory where the strides allow it and copies otherwise (channels-last maps).
        """
        return _shaping.reshape(self, *shape)

    reshape = view

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Merge the dimensions from ``start_dim`` to ``end_dim`` into one."""
        return _shaping.flatten(self, start_dim, end_dim)

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """A view with two dimensions exchanged."""
        return _shaping.transpose(self, dim0, dim1)

    def permute(self, *dims: Any) -> Tensor:
        """A view with the dimensions in the given order."""
        return _shaping.permute(self, *dims)

    @property
    def T(self) -> Tensor:
        """A view with the dimensions in reverse order."""
        return _shaping.permute(self, *range(self.ndim - 1, -1, -1))

    def sum(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        """The sum over one dimension, several, or all (dim=None)."""
        return _reduction.sum(self, dim, keepdim)

    def mean(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        """The mean over one dimension, several, or all (dim=None)."""
        return _reduction.mean(self, dim, keepdim)

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The maximum of all elements, or (values, indices) along ``dim``."""
        return _reduction.max(self, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """The int64 index of the first maximum, in the flattened tensor or along ``dim``."""
        return _reduction.argmax(self, dim, keepdim)

    def __add__(self, other: Any) -> Tensor:
        return _arithmetic.add(self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Tensor:
        return _arithmetic.sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return _arithmetic.sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return _arithmetic.mul(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Tensor:
        return _arithmetic.div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return _arithmetic.div(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return _arithmetic.pow(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return _arithmetic.pow(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return _arithmetic.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return _arithmetic.matmul(other, self)

    def __neg__(self) -> Tensor:
        return _elementwise.neg(self)

    def __eq__(self, other: Any) -> Any:
        return _arithmetic.compare("eq", np.equal, self, other)

    def __ne__(self, other: Any) -> Any:
        return _arithmetic.compare("ne", np.not_equal, self, other)

    def __lt__(self, other: Any) -> Any:
        return _arithmetic.compare("lt", np.less, self, other)

    def __le__(self, other: Any) -> Any:
        return _arithmetic.compare("le", np.less_equal, self, other)

    def __gt__(self, other: Any) -> Any:
        return _arithmetic.compare("gt", np.greater, self, other)

    def __ge__(self, other: Any) -> Any:
        return _arithmetic.compare("ge", np.greater_equal, self, other)

    __hash__ = Variable.__hash__

    def __getitem__(self, index: Any) -> Tensor:
        return _shaping.getitem(self, index)

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iter: a tensor without dimensions cannot be iterated over")
        return (self[i] for i in range(len(self)))

    def add_(self, other: Any, alpha: Any = 1) -> Tensor:
        """Add ``alpha * other`` in place."""
        other = other if alpha == 1 else other * alpha
        return _inplace.update(self, "add_", np.add, _arithmetic.add, other)

    def sub_(self, other: Any, alpha: Any = 1) -> Tensor:
        """Subtract ``alpha * other`` in place."""
        other = other if alpha == 1 else other * alpha
        return _inplace.update(self, "sub_", np.subtract, _arithmetic.sub, other)

    def mul_(self, other: Any) -> Tensor:
        """Multiply in place."""
        return _inplace.update(self, "mul_", np.multiply, _arithmetic.mul, other)

    def div_(self, other: Any) -> Tensor:
        """Divide in place."""
        return _inplace.update(self, "div_", np.divide, _arithmetic.div, other)

    __iadd__ = add_
    __isub__ = sub_
    __imul__ = mul_
    __itruediv__ = div_

    def copy_(self, source: Any) -> Tensor:
        """Overwrite with the values of ``source``, broadcast to this shape."""
        return _inplace.assign(self, "copy_", ..., source)

    def fill_(self, value: Any) -> Tensor:
        """Overwrite every element with a number."""
        return _inplace.assign(self, "fill_", ..., value)

    def zero_(self) -> Tensor:
        """Overwrite every element with 0."""
        return _inplace.assign(self, "zero_", ..., 0)

    def __setitem__(self, index: Any, value: Any) -> None:
        _inplace.assign(self, "setitem", index, value)


def record(
    operation: str,
    data: Any,
    inputs: Sequence[Any],
    backward: Backward,
    kept: Sequence[tuple[str, Any]] = (),
) -> Tensor:
    """The result of an operation as a tensor with a node on the tape.

    ``kept`` labels what the closure holds; None stands for the result. Only tensors are watched.
    """
    out = Tensor(data)
    out._requires_grad = True
    held = [(label, out if x is None else x) for label, x in kept]
    out._node = Node(operation, inputs, backward, [h for h in held if isinstance(h[1], Tensor)])
    return out


def alias(out: Tensor, source: Tensor) -> Tensor:
    """Mark ``out`` as a view of ``source``: a write to either is a write to both."""
    out._version = source._version
    source._version.viewed = True
    return out


# The operators need the class above and its methods need the operators.
from fastconv.autograd import arithmetic as _arithmetic  # noqa: E402
from fastconv.autograd import elementwise as _elementwise  # noqa: E402
from fastconv.autograd import inplace as _inplace  # noqa: E402
from fastconv.autograd import reduction as _reduction  # noqa: E402
from fastconv.autograd import shaping as _shaping  # noqa: E402
