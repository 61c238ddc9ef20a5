"""The tape: what was computed, in which order, and how its gradient flows back.

Every recorded operation leaves a :class:`Node` that knows where its inputs came from (``edges``)
and a closure that turns the gradient of its output into the gradients of those inputs. Nodes are
numbered as they are made, and an operation can only use what exists already, so walking the
numbers downwards visits every node after all of its users: :func:`backpropagate` needs neither
recursion nor a separate sort, and its work grows linearly with the number of recorded operations.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from types import TracebackType
from typing import Any, TypeVar

from fastconv.devices import is_array

F = TypeVar("F", bound=Callable[..., Any])
Backward = Callable[[Any], "Sequence[Any]"]


class _Mode(threading.local):
    enabled = True


_mode = _Mode()
_order = itertools.count(0, -1)


def place() -> int:
    """Where the tape stands: nodes made from now on have smaller numbers, older ones larger."""
    return next(_order)


def is_grad_enabled() -> bool:
    """True where operations of this thread are recorded (everywhere but under ``no_grad``)."""
    return _mode.enabled


class _SetMode:
    """Context manager and decorator that switches recording for the current thread."""

    _enabled: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_mode.enabled)
        _mode.enabled = self._enabled

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _mode.enabled = self._before.pop()

    def __call__(self, function: F) -> F:
        code = getattr(function, "__code__", None)
        generator_or_coroutine = 0x20 | 0x80 | 0x200
        if code is not None and code.co_flags & generator_or_coroutine:
            raise TypeError(
                f"{type(self).__name__}: cannot decorate the generator or coroutine "
                f"{function.__qualname__}, whose body runs after the call returns; "
                f"use `with {type(self).__name__}():` inside it"
            )

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return wrapper  # type: ignore[return-value]


class no_grad(_SetMode):
    """``with no_grad():`` or ``@no_grad()``: nothing is recorded, in this thread only."""

    _enabled = False


class enable_grad(_SetMode):
    """``with enable_grad():`` or ``@enable_grad()``: records again inside a ``no_grad``."""

    _enabled = True


class Version:
    """Counts the writes to one array; shared by all tensors that are views of it."""

    __slots__ = ("count", "viewed")

    def __init__(self) -> None:
        self.count = 0
        self.viewed = False


class Node:
    """One recorded operation.

    ``edges`` has an entry per input: the node that made it, the leaf tensor itself, or None where
    no gradient is wanted. ``backward(grad)`` returns an array or None per input. ``kept`` lists
    what the closure holds: (label, shape, version, count when it was kept). ``_hooks`` see the
    gradient of the output first, ``retain`` gives the tensor that wants to keep it.
    """

    __slots__ = ("_hooks", "backward", "edges", "kept", "operation", "order", "retain")

    def __init__(
        self,
        operation: str,
        inputs: Sequence[Any],
        backward: Backward,
        kept: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self.operation = operation
        self.order = next(_order)
        self.edges: Sequence[Any] = [
            (x._node or x) if getattr(x, "_requires_grad", False) else None for x in inputs
        ]
        self.backward: Backward | None = backward
        self.kept: Any = [(label, x._data.shape, x._version, x._version.count) for label, x in kept]
        self._hooks: Any = None
        self.retain: Any = None

    def __repr__(self) -> str:
        return f"<{self.operation} backward>"

    def shown(self, grad: Any) -> Any:
        """The gradient of the output as hooks leave it, kept by the tensor that wants it."""
        if self._hooks is not None:
            grad = self._hooks.passed(grad)
        tensor = None if self.retain is None else self.retain()
        if tensor is not None:
            tensor._accumulate(grad, fresh=False)
        return grad

    def run(self, grad: Any) -> Sequence[Any]:
        """Gradients of the inputs; an error if the graph is gone or a kept array has changed."""
        if self.backward is None:
            raise RuntimeError(
                f"{self.operation}: backward a second time through a graph that was freed; "
                "say backward(retain_graph=True) the first time to keep it"
            )
        for label, shape, version, count in self.kept:
            if version.count != count:
                raise RuntimeError(
                    f"{self.operation}: its {label} of shape {shape} was changed in place after it "
                    f"was kept for the backward pass (kept at version {count}, now at version "
                    f"{version.count})"
                )
        return self.backward(grad)

    def free(self) -> None:
        """Drop what was kept, so that memory returns while the backward pass goes on."""
        self.backward = self._hooks = None
        self.edges = self.kept = ()


def recording(*inputs: Any) -> tuple[bool, ...] | None:
    """Which inputs want a gradient, or None when the operation need not be recorded."""
    if not _mode.enabled:
        return None
    needs = tuple([getattr(x, "_requires_grad", False) for x in inputs])
    return needs if True in needs else None


def backpropagate(root: Node, gradient: Any, retain_graph: bool = False) -> None:
    """Send ``gradient`` (an array of the root's shape) back to every leaf under ``root``.

    Gradients of leaves are added to their ``.grad``, those that hooks want to see at the end.
    Unless ``retain_graph`` is set, each node is freed as soon as it has been passed.
    """
    waiting = [(root.order, root)]
    gradients = {root.order: gradient}
    summed = set()
    hooked: dict[Any, Any] = {}
    while waiting:
        order, node = heappop(waiting)
        grad = gradients.pop(order)
        summed.discard(order)
        if node._hooks is not None or node.retain is not None:
            grad = node.shown(grad)
        values = node.run(grad)
        for edge, value in zip(node.edges, values, strict=True):
            if value is None or edge is None:
                continue
            if type(edge) is not Node:
                if edge._hooks is None:
                    edge._accumulate(value, fresh=value is not grad and _owns(value))
                else:
                    hooked[edge] = hooked[edge] + value if edge in hooked else value
            elif edge.order not in gradients:
                gradients[edge.order] = value
                heappush(waiting, (edge.order, edge))
            elif edge.order in summed:
                gradients[edge.order] += value
            else:
                # A closure may hand the same array to several inputs: only a sum is ours to write.
                gradients[edge.order] = gradients[edge.order] + value
                summed.add(edge.order)
        if not retain_graph:
            node.free()
    for leaf, value in hooked.items():
        leaf._accumulate(leaf._hooks.passed(value), fresh=False)


def _owns(value: Any) -> bool:
    """Whether nobody else can see this array: it is not a view of another one."""
    return not is_array(value.base)
