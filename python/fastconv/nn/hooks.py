"""What modules call besides their ``forward``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastconv.autograd.engine import is_grad_enabled
from fastconv.autograd.tensor import Tensor

if TYPE_CHECKING:
    from fastconv.nn.module import Module

Registered = dict[int, Callable[..., Any]]


class ModuleHooks:
    """Those of one module; false where there are none."""

    def __init__(self) -> None:
        self.before: Registered = {}
        self.after: Registered = {}
        self.backward: Registered = {}

    def __bool__(self) -> bool:
        return bool(self.before or self.after or self.backward)

    def call(self, module: Module, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of the module, and of its hooks around it."""
        for hook in tuple(self.before.values()):
            inputs = _tuple(hook(module, inputs), inputs)
        watched = bool(self.backward) and is_grad_enabled()
        if watched:
            place = _place(module, inputs)
            inputs = tuple(_of_its_own(x) if i == place else x for i, x in enumerate(inputs))
        output = module.forward(*inputs, **kwargs)
        for hook in tuple(self.after.values()):
            changed = hook(module, inputs, output)
            output = output if changed is None else changed
        return self._watched(module, inputs, place, output) if watched else output

    def _watched(
        self, module: Module, inputs: tuple[Any, ...], place: int | None, output: Any
    ) -> Any:
        """The output, whose gradient waits for that of the input at ``place``."""
        if not isinstance(output, Tensor):
            kind = type(output).__name__
            raise TypeError(
                f"register_full_backward_hook: {type(module).__name__} gives a {kind}, not one "
                "Tensor; register a hook with the tensors themselves"
            )
        if not output.requires_grad:
            return output
        output = _of_its_own(output)
        count, waiting = len(inputs), {}

        def leave(grad: Tensor) -> None:
            waiting["output"] = grad
            if place is None:
                enter(None)

        def enter(grad: Tensor | None) -> Tensor | None:
            grads = tuple(grad if i == place else None for i in range(count))
            for hook in tuple(self.backward.values()):
                grads = _tuple(hook(module, grads, (waiting["output"],)), grads)
            return None if place is None else grads[place]

        output.register_hook(leave)
        if place is not None:
            inputs[place].register_hook(enter)
        return output


def _tuple(changed: Any, before: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a hook gave, where it gave anything."""
    if changed is None:
        return before
    return changed if isinstance(changed, tuple) else (changed,)


def _place(module: Module, inputs: tuple[Any, ...]) -> int | None:
    """Where the input stands that wants a gradient, if one does."""
    places = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if len(places) > 1:
        raise RuntimeError(
            f"register_full_backward_hook: {len(places)} inputs of {type(module).__name__} want "
            "gradients, and a hook takes one; register hooks with the tensors themselves"
        )
    return places[0] if places else None


def _of_its_own(x: Tensor) -> Tensor:
    """The tensor at a place of its own in the graph, where only this call's gradient passes."""
    return x.view(x.shape)
