"""Functions that are called where a gradient or a module's result passes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

_numbers = itertools.count()


class Handle:
    """What a registration returns: ``remove()``, or the end of a ``with``, undoes it."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks, self._number = hooks, next(_numbers)
        hooks[self._number] = hook

    def remove(self) -> None:
        """Call the function no more."""
        self._hooks.pop(self._number, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class GradientHooks(dict[int, Callable[..., Any]]):
    """Those of one tensor, called with the array of its gradient."""

    def passed(self, grad: Any) -> Any:
        """The gradient after all of them, in the order of their registration."""
        from fastconv.autograd.tensor import Tensor
        from fastconv.autograd.variable import match

        for hook in tuple(self.values()):
            changed = hook(Tensor(grad))
            if changed is None:
                continue
            if not isinstance(changed, Tensor):
                kind = type(changed).__name__
                raise TypeError(f"register_hook: a hook must return a Tensor or None, got {kind}")
            match("register_hook", changed._data, grad)
            grad = changed._data
        return grad
