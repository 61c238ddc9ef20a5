"""Where arrays lie: the library of an array, the library of a device, the way from one to another.

Arrays of the CPU are NumPy's, those of a CUDA device CuPy's, which is imported by the first use of
the device and never with fastconv.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from typing import Any

import numpy as np

from fastconv import _core


class Device:
    """``type``, "cpu" or "cuda", and ``index``, the number of the CUDA device; "cuda:0" as text."""

    __slots__ = ("index", "type")

    def __init__(self, type: str, index: int | None = None) -> None:
        self.type, self.index = type, index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device({str(self)!r})"


CPU = Device("cpu")


def device(name: Any) -> Device:
    """The device of a name: "cpu", "cuda" (the first one) or "cuda:1"; a Device is returned.

    Raises TypeError for what is neither, ValueError for another name. Whether the device is there
    shows when it is used.
    """
    if isinstance(name, Device):
        return name
    if not isinstance(name, str):
        raise TypeError(f"device: expected a name such as 'cuda', got {type(name).__name__}")
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name, re.ASCII)
    if match is None:
        raise ValueError(f"device: must be 'cpu', 'cuda' or 'cuda:N', got {name!r}")
    return CPU if name == "cpu" else Device("cuda", int(match[1] or 0))


_libraries: dict[type, Any] = {np.ndarray: np}


def _library(kind: type) -> Any:
    """The module whose array type this is, or a base of it: NumPy, CuPy, or None."""
    if kind not in _libraries:
        _libraries[kind] = next(filter(None, map(_library_of, kind.__mro__)), None)
    return _libraries[kind]


def _library_of(kind: type) -> Any:
    module = sys.modules.get(kind.__module__)
    if getattr(module, "ndarray", None) is not kind:
        return None
    computes = hasattr(getattr(module, "cuda", None), "get_current_stream")
    return module if computes or module is np else None


def destination(
    operation: str, target: tuple[Any, ...], where: Any, dtype: Any
) -> tuple[Device | None, np.dtype | None]:
    """(device, dtype) of what ``to`` was given, each by position or by name."""
    for value in target:
        named = isinstance(value, Device) or (
            isinstance(value, str) and value.startswith(("cpu", "cuda"))
        )
        if (where if named else dtype) is not None:
            raise TypeError(f"{operation}: {'device' if named else 'dtype'} is given twice")
        where, dtype = (value, dtype) if named else (where, value)
    try:
        kind = None if dtype is None else as_dtype(dtype)
    except TypeError:
        raise TypeError(f"{operation}: {dtype!r} is neither a device nor a dtype") from None
    return None if where is None else device(where), kind


def as_dtype(dtype: Any) -> np.dtype:
    """NumPy's dtype; "bfloat16", which is ml_dtypes', by its name too."""
    if isinstance(dtype, str) and dtype == "bfloat16":
        dtype = importlib.import_module("ml_dtypes").bfloat16
    return np.dtype(dtype)


def is_array(x: Any) -> bool:
    """Whether this is an array of NumPy or CuPy."""
    return isinstance(x, np.ndarray) or _library(type(x)) is not None


def device_of(array: Any) -> Device:
    """The device that an array of NumPy or CuPy lies on."""
    return CPU if isinstance(array, np.ndarray) else Device("cuda", array.data.device_id)


def check_same(operation: str, name: str, array: Any, other: str, like: Any) -> None:
    """TypeError where two arrays lie on different devices."""
    if type(array) is not type(like) and device_of(array) != device_of(like):
        raise TypeError(
            f"{operation}: {name} (shape {array.shape}) is on {device_of(array)} but {other} "
            f"(shape {like.shape}) is on {device_of(like)}; move one with .to(device)"
        )


def require_cuda() -> Any:
    """CuPy. Raises RuntimeError where there is no CUDA device or no CuPy."""
    _core.require_cuda()
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        raise RuntimeError(
            "arrays of a CUDA device are CuPy's, which cannot be imported "
            f"(pip install 'fastconv[cuda]'): {error}"
        ) from None


def from_dlpack(lender: Any) -> Any:
    """The memory of another library's array as an array of NumPy or CuPy."""
    cuda = hasattr(lender, "__dlpack_device__") and int(lender.__dlpack_device__()[0]) in (2, 13)
    return (require_cuda() if cuda else np).from_dlpack(lender)


def to_device(array: Any, where: Device) -> Any:
    """The array on a device, laid out as it was; itself where it lies there.

    Copies between host and device are queued on CuPy's current stream; one to the host waits.
    """
    here = device_of(array)
    if here == where:
        return array
    # In memory order: CuPy's transfers make C-contiguous arrays.
    turned = not array.flags.c_contiguous
    order = [int(i) for i in np.argsort([-abs(s) for s in array.strides], kind="stable")]
    source = array.transpose(order) if turned else array
    if where == CPU:
        moved = source.get()
    else:
        cupy = require_cuda()
        with cupy.cuda.Device(where.index):
            moved = cupy.asarray(source) if here == CPU else source.copy()
    return moved.transpose([order.index(i) for i in range(array.ndim)]) if turned else moved


def to_host(array: Any) -> Any:
    """The array as NumPy's."""
    return to_device(array, CPU)


def describe_cuda() -> tuple[str | None, str]:
    """The architectures that CUDA kernels were built for, None without any; and the devices that
    are there, or why none is."""
    if importlib.util.find_spec("fastconv._cuda") is None:
        return None, "none: this fastconv was built without CUDA"
    built = importlib.import_module("fastconv._cuda")
    try:
        return built.architectures, "; ".join(built.devices())
    except RuntimeError as error:
        return built.architectures, str(error).replace("no CUDA device", "none", 1)
