"""How a tensor is seen from Python and NumPy: shape, numbers, arrays, text."""

from __future__ import annotations

from typing import Any

import numpy as np


class Viewable:
    """What only reads the array; :class:`fastconv.autograd.variable.Variable` adds the gradient."""

    __slots__ = ()

    __array_ufunc__ = None  # array + tensor is the tensor's business, np.exp(tensor) an error
    __hash__ = object.__hash__

    _data: Any
    _node: Any
    _requires_grad: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one of its entries."""
        return self._data.shape if dim is None else self._data.shape[dim]

    def dim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    def numel(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    def numpy(self) -> Any:
        """The array, shared with the tensor; RuntimeError if the tensor requires grad."""
        if self._requires_grad:
            raise RuntimeError(
                "numpy: the tensor requires grad and NumPy records nothing; "
                "use .detach().numpy(), or .data for the array itself"
            )
        return self._data

    def item(self) -> Any:
        """The value of a tensor of one element as a Python number."""
        if self._data.size != 1:
            raise ValueError(f"item: the tensor has shape {self._data.shape}, not one element")
        return self._data.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._data.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"tensor: {array.dtype} cannot become {dtype} without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **options: Any) -> Any:
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()

    def __len__(self) -> int:
        if self._data.ndim == 0:
            raise TypeError("len: a tensor without dimensions has no length")
        return len(self._data)

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iub":
            raise TypeError(f"index: only integer tensors can be indices, not {self._data.dtype}")
        return int(self.item())

    def __format__(self, specification: str) -> str:
        return format(self.item() if specification else str(self), specification)

    def __repr__(self) -> str:
        prefix = "tensor("
        text = np.array2string(self._data, separator=", ", precision=4, prefix=prefix)
        if self._data.dtype not in (np.dtype("float32"), np.dtype("int64"), np.dtype("bool")):
            text += f", dtype={self._data.dtype}"
        if self._node is not None:
            text += f", grad_fn={self._node!r}"
        elif self._requires_grad:
            text += ", requires_grad=True"
        return f"{prefix}{text})"
