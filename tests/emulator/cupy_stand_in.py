"""What fastconv uses of CuPy, over memory of this machine, so that the tests need no device.

An :class:`ndarray` is a NumPy array that nobody can reach by accident: NumPy's functions and
operators take and give stand-in arrays only, an implicit conversion is a TypeError as CuPy's is,
reductions give arrays of no dimensions. ``calls`` counts what costs a copy or a wait: ``get`` (to
the host, and waits), ``asarray`` (from the host), ``empty`` (allocations), ``copy`` (on the
device), ``synchronize``.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

calls: Counter[str] = Counter()


_system = ctypes.CDLL(None)
_system.aligned_alloc.restype = ctypes.c_void_p


def _from_system(size: int) -> int:
    return _system.aligned_alloc(ctypes.c_size_t(64), ctypes.c_size_t(-(-size // 64) * 64))


def _to_system(pointer: int) -> None:
    _system.free(ctypes.c_void_p(pointer))


class _Memory:
    """Where arrays lie; the emulator's functions give memory with guarded ends."""

    allocate: Callable[[int], int]
    release: Callable[[int], None]


memory = _Memory()


def use_memory(allocate: Callable[[int], int], release: Callable[[int], None]) -> None:
    """Take the memory of later arrays from ``allocate(bytes)``, give it to ``release(pointer)``."""
    memory.allocate, memory.release = allocate, release


class ndarray(NDArrayOperatorsMixin):
    """An array on the one device, 0."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: np.ndarray, base: ndarray | None = None) -> None:
        self._host = host
        self.base = base

    @property
    def data(self) -> SimpleNamespace:
        pointer = self._host.ctypes.data if self._host.size else 0  # CuPy's too
        return SimpleNamespace(ptr=pointer, device_id=0)

    device = property(lambda self: cuda.Device(0))
    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides if self.size else (0,) * self.ndim)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    T = property(lambda self: self.transpose())

    @property
    def flags(self) -> SimpleNamespace:
        flags = self._host.flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous)

    def get(self) -> np.ndarray:
        calls["get"] += 1
        return self._host.copy(order="C")

    def item(self) -> Any:
        calls["get"] += 1
        return self._host.item()

    def tolist(self) -> Any:
        calls["get"] += 1
        return self._host.tolist()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return int(self.item())

    def __len__(self) -> int:
        return len(self._host)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **options: Any) -> Any:
        return self  # from_dlpack below is the only reader

    def __repr__(self) -> str:
        return f"cupy_stand_in.{self._host!r}"

    def __getitem__(self, index: Any) -> ndarray:
        return self._wrap(self._host[_host_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        calls["copy"] += 1
        self._host[_host_index(index)] = _to_host(value)

    def reshape(self, *shape: Any, order: str = "C") -> ndarray:
        return self._wrap(self._host.reshape(*shape, order=order))

    def transpose(self, *axes: Any) -> ndarray:
        return self._wrap(self._host.transpose(*axes))

    def squeeze(self, axis: Any = None) -> ndarray:
        return self._wrap(self._host.squeeze(axis))

    def copy(self, order: str = "C") -> ndarray:
        calls["copy"] += 1
        return _adopt(self._host.copy(order=order))

    def astype(self, dtype: Any, copy: bool = True, order: str = "K") -> ndarray:
        if not copy and self._host.dtype == np.dtype(dtype):
            return self
        calls["copy"] += 1
        return _adopt(self._host.astype(dtype, order=order))

    def sum(self, *arguments: Any, **keywords: Any) -> ndarray:
        return _adopt(self._host.sum(*arguments, **keywords))

    def max(self, *arguments: Any, **keywords: Any) -> ndarray:
        return _adopt(self._host.max(*arguments, **keywords))

    def all(self) -> ndarray:
        return _adopt(self._host.all())

    def argmax(self, axis: Any = None) -> ndarray:
        return _adopt(self._host.argmax(axis))

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    def _wrap(self, out: Any) -> ndarray:
        """A view stays one, a copy moves to the device's memory."""
        if isinstance(out, np.ndarray) and np.may_share_memory(out, self._host):
            return ndarray(out, self if self.base is None else self.base)
        calls["copy"] += 1
        return _adopt(out)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        out = keywords.pop("out", None)
        arguments = [_to_host(x) for x in inputs]
        if out is not None:
            keywords["out"] = tuple(_to_host(x) for x in out)
        result = getattr(ufunc, method)(*arguments, **keywords)
        return out[0] if out is not None else _adopt_all(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result = function(*_to_host(args), **{key: _to_host(x) for key, x in kwargs.items()})
        shares = isinstance(result, np.ndarray) and np.may_share_memory(result, self._host)
        return ndarray(result, self) if shares else _adopt_all(result)


def _to_host(value: Any) -> Any:
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (tuple, list)):
        return type(value)(_to_host(x) for x in value)
    return value


def _host_index(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_host_index(part) for part in index)
    if isinstance(index, np.ndarray):
        calls["asarray"] += 1
    return index._host if isinstance(index, ndarray) else index


def _adopt_all(result: Any) -> Any:
    if isinstance(result, (tuple, list)):
        return type(result)(_adopt_all(x) for x in result)
    return _adopt(result) if isinstance(result, (np.ndarray, np.generic)) else result


def _adopt(host: Any) -> ndarray:
    """A copy in the device's memory, laid out alike; broadcast axes become full ones."""
    host = np.asarray(host)
    order = np.argsort([-abs(stride) for stride in host.strides], kind="stable")
    made = _allocate(tuple(host.shape[axis] for axis in order), host.dtype)
    made = made.transpose(np.argsort(order)) if host.ndim else made
    made[...] = host
    return ndarray(made)


def _allocate(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size == 0:
        return np.empty(shape, dtype)
    pointer = memory.allocate(size)
    block = (ctypes.c_char * size).from_address(pointer)
    ctypes.memset(pointer, 0xFF, size)  # NaN, and -1 among integers
    weakref.finalize(block, memory.release, pointer).atexit = False
    return np.frombuffer(block, dtype).reshape(shape)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    calls["empty"] += 1
    return ndarray(_allocate(tuple(shape) if isinstance(shape, (tuple, list)) else (shape,), dtype))


def asarray(array: Any, dtype: Any = None, order: Any = None) -> ndarray:
    if isinstance(array, ndarray):
        return array if dtype is None else array.astype(dtype, copy=False)
    calls["asarray"] += 1
    return _adopt(np.asarray(array, dtype, order="C"))


def is_array(value: Any) -> bool:
    return isinstance(value, ndarray)


def on_device(array: np.ndarray) -> ndarray:
    """A copy that lies as the array does, uncounted: for tests that bring their inputs along."""
    return _adopt(array)


def on_host(array: ndarray) -> np.ndarray:
    """What a test looks at, uncounted."""
    return array._host.copy(order="K")


def from_dlpack(source: Any) -> ndarray:
    return source.__dlpack__(stream=0)


class _Device:
    def __init__(self, id: int = 0) -> None:
        if id != 0:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self.id = id

    def __enter__(self) -> _Device:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def synchronize(self) -> None:
        calls["synchronize"] += 1


class _Stream:
    ptr = 0

    def synchronize(self) -> None:
        calls["synchronize"] += 1


_stream = _Stream()
cuda = SimpleNamespace(
    Device=_Device,
    Stream=_Stream,
    get_current_stream=lambda device_id=-1: _stream,
    runtime=SimpleNamespace(getDevice=lambda: 0, getDeviceCount=lambda: 1),
)

use_memory(_from_system, _to_system)
