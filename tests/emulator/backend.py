"""The emulated CUDA backend under the tests' roof: NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

import ctypes
import functools
import re
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from emulator import cupy_stand_in
from emulator.build import build_library

from fastconv import _core, ops
from fastconv.devices import Device, to_device, to_host

CUDA = Device("cuda", 0)

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def load(path: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(path))
    loaded.fastconv_backend.restype = ctypes.c_void_p
    loaded.emulator_allocate.restype = ctypes.c_void_p
    loaded.emulator_allocate.argtypes = [ctypes.c_size_t]
    loaded.emulator_release.restype = ctypes.c_char_p
    loaded.emulator_release.argtypes = [ctypes.c_void_p]
    loaded.emulator_launched.restype = ctypes.c_char_p
    return loaded


@functools.cache
def library() -> ctypes.CDLL:
    """The emulator with all kernels, compiled where anything has changed."""
    return load(build_library())


def kernels_held() -> set[str]:
    """All kernels of the library, each with its template arguments: every one can be launched."""
    command = ["nm", "--demangle", "--defined-only", str(build_library())]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(r" [TW] (?:void )?(fastconv::cuda::[\w:]+_kernel(?:<.*>)?)\(", listed)
    return {name.replace("> >", ">>") for name in found}


def kernels_launched() -> set[str]:
    return set(library().emulator_launched().decode().replace("> >", ">>").splitlines())


def _release(using: ctypes.CDLL, pointer: int) -> None:
    error = using.emulator_release(pointer)
    if error:
        raise RuntimeError(error.decode())


def register(using: ctypes.CDLL | None = None) -> None:
    """Run stand-in arrays on an emulator from now on, in its guarded memory."""
    using = library() if using is None else using
    _core.register_cuda_backend(_new_capsule(using.fastconv_backend(), b"fastconv.Backend", None))
    cupy_stand_in.use_memory(using.emulator_allocate, functools.partial(_release, using))


class DeviceOps:
    """``fastconv.ops`` on a CUDA device, NumPy arrays outside: what it changes is changed there.

    arrays: CuPy or its stand-in.
    """

    def __init__(self, arrays: Any) -> None:
        self._arrays = arrays

    def _before(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Called before each operation."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(ops, name)

        def run(*arguments: Any, **keywords: Any) -> Any:
            self._before(name, arguments)
            sent: list[tuple[np.ndarray, Any]] = []
            there = [self._send(x, sent) for x in arguments]
            result = function(*there, **{key: self._send(x, sent) for key, x in keywords.items()})
            for host, device in sent:
                if host.flags.writeable:
                    host[...] = on_host(device)
            return self._fetch(result, sent)

        return run

    def _send(self, value: Any, sent: list[tuple[np.ndarray, Any]]) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(self._send(x, sent) for x in value)
        if isinstance(value, np.generic):
            return self._arrays.asarray(value)
        if not isinstance(value, np.ndarray):
            return value
        sent.append((value, on_device(self._arrays, value)))
        return sent[-1][1]

    def _fetch(self, result: Any, sent: list[tuple[np.ndarray, Any]]) -> Any:
        if isinstance(result, tuple):
            return tuple(self._fetch(x, sent) for x in result)
        for host, device in sent:
            if result is device:
                return host
        return on_host(result) if isinstance(result, self._arrays.ndarray) else result


class EmulatedOps(DeviceOps):
    """On the emulator, where lanes, warps and blocks run forward, in reverse or shuffled: one of
    them a call."""

    def __init__(self) -> None:
        super().__init__(cupy_stand_in)

    def _before(self, name: str, arguments: tuple[Any, ...]) -> None:
        register()
        shapes = [getattr(x, "shape", type(x)) for x in arguments]
        order = zlib.crc32(repr((name, shapes)).encode())
        library().emulator_set_order(order % 3, order)


def on_host(array: Any) -> np.ndarray:
    """What lies there, laid out alike; the stand-in does not count it."""
    if isinstance(array, cupy_stand_in.ndarray):
        return cupy_stand_in.on_host(array)
    return to_host(array)


def on_device(arrays: Any, array: np.ndarray) -> Any:
    return cupy_stand_in.on_device(array) if arrays is cupy_stand_in else to_device(array, CUDA)
