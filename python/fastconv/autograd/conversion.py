"""How a tensor is seen from Python and NumPy, and as what else: shape, numbers, arrays, text, dtype
and device."""

from __future__ import annotations

import builtins
from typing import Any, TypeVar

import numpy as np

from fastconv.devices import CPU, Device, destination, device_of, to_host

V = TypeVar("V", bound="Viewable")


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

    @property
    def device(self) -> Device:
        """Where the array lies: ``device.type`` is "cpu" or "cuda"."""
        return device_of(self._data)

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
        """The array, shared with the tensor; RuntimeError if the tensor requires grad, TypeError
        if it is on a CUDA device."""
        array = self._unrecorded("numpy")
        if self.device != CPU:
            raise TypeError(f"numpy: the tensor is on {self.device}; use .cpu() first")
        return array

    def _unrecorded(self, operation: str) -> Any:
        if self._requires_grad:
            raise RuntimeError(
                f"{operation}: the tensor requires grad and NumPy records nothing; "
                f"use .detach().{operation}(), or .data for the array itself"
            )
        return self._data

    def item(self) -> Any:
        """The value of a tensor of one element as a Python number."""
        return self._single("item")

    def _single(self, operation: str) -> Any:
        if self._data.size != 1:
            raise ValueError(
                f"{operation}: the tensor has shape {self._data.shape}, not one element"
            )
        return self._data.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._data.tolist()

    def to(self: V, *target: Any, dtype: Any = None, device: Any = None) -> V:
        """The values on a device, as a dtype, or both: ``x.to("cuda")``, ``x.to("cuda", dtype)``.

        The tensor itself where nothing changes. The gradient flows back through copies between
        devices and between floating dtypes. RuntimeError where there is no such device.
        """
        where, kind = destination("to", target, device, dtype)
        out = self if where is None else self._move(where)
        return out if kind is None else out._cast(kind)

    def cpu(self: V) -> V:
        """The values on the CPU."""
        return self._move(CPU)

    def cuda(self: V, index: int = 0) -> V:
        """The values on a CUDA device."""
        return self._move(Device("cuda", index))

    def float(self: V) -> V:
        """The values as float32."""
        return self._cast(np.float32)

    def double(self: V) -> V:
        """The values as float64."""
        return self._cast(np.float64)

    def long(self: V) -> V:
        """The values as int64."""
        return self._cast(np.int64)

    def _cast(self: V, dtype: Any) -> V:
        raise NotImplementedError

    def _move(self: V, where: Device) -> V:
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"tensor: {array.dtype} cannot become {dtype} without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **options: Any) -> Any:
        return self._unrecorded("__dlpack__").__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()

    def __len__(self) -> int:
        if self._data.ndim == 0:
            raise TypeError("len: a tensor without dimensions has no length")
        return len(self._data)

    def __bool__(self) -> bool:
        return bool(self._single("bool"))

    def __float__(self) -> builtins.float:
        return builtins.float(self._single("float"))

    def __int__(self) -> int:
        return int(self._single("int"))

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iub":
            raise TypeError(f"index: only integer tensors can be indices, not {self._data.dtype}")
        return int(self._single("int"))

    def __format__(self, specification: str) -> str:
        return format(self.item() if specification else str(self), specification)

    def __repr__(self) -> str:
        prefix = "tensor("
        values = to_host(self._data)
        text = np.array2string(values, separator=", ", precision=4, prefix=prefix)
        if self._data.dtype not in (np.dtype("float32"), np.dtype("int64"), np.dtype("bool")):
            text += f", dtype={self._data.dtype}"
        if self.device != CPU:
            text += f", device='{self.device}'"
        if self._node is not None:
            text += f", grad_fn={self._node!r}"
        elif self._requires_grad:
            text += ", requires_grad=True"
        return f"{prefix}{text})"
