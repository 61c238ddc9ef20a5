"""What a tensor is before any arithmetic: an array, its version, its gradient, its place on the
tape. :class:`fastconv.autograd.tensor.Tensor` adds the operators."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from fastconv import devices
from fastconv.autograd.conversion import Viewable
from fastconv.autograd.engine import Node, Version, backpropagate
from fastconv.autograd.hooks import GradientHooks, Handle

T = TypeVar("T", bound="Variable")

_FULL = frozenset(np.dtype(name) for name in ("float32", "float64"))
_HALF = ("float16", "bfloat16")


class _Floating:
    """The dtypes of numbers with gradients; those of 16 bits are of CUDA devices alone."""

    def __contains__(self, dtype: np.dtype) -> bool:
        return dtype in _FULL or dtype.name in _HALF


FLOATING = _Floating()
SUPPORTED = _FULL | frozenset(
    np.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64"),
    )
)


class Variable(Viewable):
    """An array that may take part in a recorded computation."""

    __slots__ = ("__weakref__", "_data", "_grad", "_hooks", "_node", "_requires_grad", "_version")

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self._node: Node | None = None
        self._grad: Any = None
        self._hooks: GradientHooks | None = None
        self._version = Version()
        self._data: Any = _checked(data)
        self._requires_grad = False
        if requires_grad is not False:
            self.requires_grad = requires_grad

    @property
    def data(self) -> Any:
        """The array itself, not a copy: writing to it writes to the tensor, unrecorded.

        Assigning another array replaces it; what the tape kept of the old one stays valid.
        """
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        if data is self._data:
            return
        data = _checked(data)
        if self._requires_grad and data.dtype not in FLOATING:
            raise TypeError(f"data: a tensor that requires grad cannot hold {data.dtype}")
        self._data = data
        self._version = Version()

    @property
    def grad(self: T) -> T | None:
        """The gradient accumulated by ``backward()``, a Tensor of this shape, or None."""
        return self._grad

    @grad.setter
    def grad(self: T, grad: T | None) -> None:
        if grad is not None:
            if not isinstance(grad, Variable):
                raise TypeError(f"grad: expected a Tensor or None, got {type(grad).__name__}")
            match("grad", grad._data, self._data)
        self._grad = grad

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded. Only floating dtypes may say so."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"requires_grad: must be a bool, got {value!r}")
        if self._node is not None and not value:
            raise RuntimeError(
                "requires_grad: the result of a recorded operation keeps it; use .detach()"
            )
        if value and self._data.dtype not in FLOATING:
            raise TypeError(
                f"requires_grad: only float32 and float64 tensors have gradients, "
                f"this one is {self._data.dtype}"
            )
        self._requires_grad = bool(value)

    def requires_grad_(self: T, requires_grad: bool = True) -> T:
        """Set ``requires_grad`` and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """True for a tensor that no recorded operation made: backward() fills its ``grad``."""
        return self._node is None

    @property
    def grad_fn(self) -> Node | None:
        """The recorded operation that made this tensor, or None."""
        return self._node

    def retain_grad(self) -> None:
        """Let ``backward()`` fill ``grad`` of this tensor although it is no leaf."""
        if not self._requires_grad:
            raise RuntimeError("retain_grad: the tensor does not require grad")
        if self._node is not None:
            self._node.retain = weakref.ref(self)

    def register_hook(self, hook: Callable[[Any], Any]) -> Handle:
        """Let ``backward()`` call ``hook`` with this tensor's gradient, summed over its uses.

        A Tensor of the same shape that it returns goes on in the gradient's place; the one that it
        is given may be another tensor's, too, and must not be written to.
        """
        if not self._requires_grad:
            raise RuntimeError("register_hook: the tensor does not require grad")
        owner: Any = self._node or self
        if owner._hooks is None:
            owner._hooks = GradientHooks()
        return Handle(owner._hooks, hook)

    def backward(
        self, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add the gradient of this tensor to ``grad`` of every leaf that it was computed from.

        gradient: the gradient of what follows with respect to this tensor, an array or Tensor of
        its shape and dtype; a tensor of one element may omit it (1 is taken).
        retain_graph: keep the graph, so that backward() can run through it again.
        create_graph: gradients are not recorded; asking for it raises NotImplementedError.
        Raises RuntimeError if nothing was recorded, if the graph is gone, or if an array that
        the tape kept was changed in place; ValueError and TypeError for a wrong gradient.
        """
        if create_graph:
            raise NotImplementedError(
                "backward: create_graph=True asks for gradients of gradients; fastconv does not "
                "record backward passes"
            )
        if not self._requires_grad:
            raise RuntimeError("backward: the tensor does not require grad, nothing was recorded")
        if gradient is None:
            if self._data.size != 1:
                raise ValueError(
                    f"backward: the tensor has shape {self._data.shape}; without the gradient "
                    "argument it must have one element"
                )
            gradient = np.ones_like(self._data)
        else:
            gradient = gradient._data if isinstance(gradient, Variable) else gradient
            gradient = gradient if devices.is_array(gradient) else np.asarray(gradient)
            match("backward", gradient, self._data)
        if self._node is None:
            passed = gradient if self._hooks is None else self._hooks.passed(gradient)
            self._accumulate(passed, fresh=False)
        else:
            with np.errstate(all="ignore"):
                backpropagate(self._node, gradient, retain_graph)

    def _accumulate(self, value: Any, fresh: bool) -> None:
        """Add to ``grad``; a ``fresh`` array is nobody else's and is taken without a copy."""
        if value.shape != self._data.shape:
            raise RuntimeError(
                f"backward: a gradient of shape {value.shape} for a tensor of {self._data.shape}"
            )
        if self._grad is None:
            self._grad = self._plain(value if fresh else value.copy(order="K"))
        else:
            self._grad._data += value
            self._grad._version.count += 1

    def detach(self: T) -> T:
        """The same array as a tensor outside the recorded graph."""
        out = self._plain(self._data)
        out._version = self._version
        return out

    def _plain(self, data: Any) -> Any:
        raise NotImplementedError

    def __reduce__(self) -> Any:
        if self._node is not None:
            raise RuntimeError(
                "copy or pickle: the tensor is the result of a recorded operation, and the graph "
                "does not travel; use .detach() or .clone()"
            )
        return _rebuild, (type(self), self._data, self._requires_grad, self._grad)


def _checked(data: Any) -> Any:
    if type(data) is not np.ndarray:
        if isinstance(data, np.generic):
            data = np.asarray(data)
        elif not devices.is_array(data):
            raise TypeError(
                f"Tensor: expected a NumPy or CuPy array, got {type(data).__name__}; "
                "fastconv.tensor() takes lists and numbers"
            )
        elif not isinstance(data, np.ndarray) and data.dtype in FLOATING:
            return data
    if data.dtype not in SUPPORTED:
        raise TypeError(
            f"Tensor: dtype {data.dtype.str} is not supported "
            "(float32, float64, integers and bool in native byte order are)"
        )
    return data


def match(operation: str, gradient: Any, data: Any) -> None:
    devices.check_same(operation, "gradient", gradient, "tensor", data)
    if gradient.shape != data.shape:
        raise ValueError(
            f"{operation}: a gradient of shape {gradient.shape} for a tensor of shape {data.shape}"
        )
    if gradient.dtype != data.dtype:
        raise TypeError(
            f"{operation}: a {gradient.dtype} gradient for a {data.dtype} tensor "
            f"(shape {data.shape})"
        )


def _rebuild(kind: type[T], data: Any, requires_grad: bool, grad: T | None) -> T:
    tensor = kind(data, requires_grad)
    tensor._grad = grad
    return tensor
