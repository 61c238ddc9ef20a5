"""Time for memory: a part of a network whose inside is computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any

from fastconv import random
from fastconv.autograd.engine import Node, enable_grad, is_grad_enabled, place
from fastconv.autograd.tensor import Tensor

_recomputing: ContextVar[bool] = ContextVar("fastconv.recomputing", default=False)


def recomputing() -> bool:
    """Whether this is the second run of a checkpoint, in which statistics must not move again."""
    return _recomputing.get()


def checkpoint(function: Callable[..., Any], *inputs: Any) -> Tensor:
    """``function(*inputs)``, of which nothing but the inputs is kept for the backward pass.

    What lies between is computed a second time when its gradients are wanted, from the same random
    numbers and under the same ``algorithm`` and ``autocast``; batch normalisation counts a batch
    once. Values and gradients have the bits of ``function(*inputs)``, except that gradients of an
    input that is used outside, too, are added up in another order. After Chen et al. (2016).

    function: a module or a function that gives one Tensor. Results of recorded operations that it
    uses must be among the inputs; parameters need not.

    Raises TypeError where the result is no Tensor; RuntimeError where ``function`` uses a recorded
    result that is no input, and in the backward pass where an input or a parameter was changed in
    place since.
    """
    if not is_grad_enabled():
        return _single(function(*inputs))
    state, context, start = random.generator().bit_generator.state, copy_context(), place()
    kept = [("input", x._data.shape, x._version, x._version.count) for x in _tensors(inputs)]
    first = _single(function(*map(_leaf, inputs)))
    if not first._requires_grad:
        return first
    kept += _inside(first, start)

    def second() -> tuple[list[Any], Tensor]:
        _recomputing.set(True)
        leaves = [_leaf(x) for x in inputs]
        with enable_grad(), _drawing_from(state):
            return leaves, function(*leaves)

    def backward(grad: Any) -> Any:
        leaves, result = context.run(second)
        result.backward(grad)
        grads = [x._grad if isinstance(x, Tensor) else None for x in leaves]
        return [None if g is None else g._data for g in grads]

    out = Tensor(first._data)
    out._requires_grad, out._version = True, first._version
    out._node = Node("checkpoint", inputs, backward)
    out._node.kept = kept
    return out


def _tensors(inputs: tuple[Any, ...]) -> list[Tensor]:
    return [x for x in inputs if isinstance(x, Tensor)]


def _single(result: Any) -> Tensor:
    if not isinstance(result, Tensor):
        raise TypeError(f"checkpoint: function must give one Tensor, got {type(result).__name__}")
    return result


def _leaf(x: Any) -> Any:
    """A tensor where a graph of its own begins; anything else as it is."""
    if not isinstance(x, Tensor):
        return x
    leaf = x.detach()
    leaf._requires_grad = x._requires_grad
    return leaf


def _inside(result: Tensor, start: int) -> list[Any]:
    """What must not change before the second run: the parameters that the recorded operations
    began at, and what they kept."""
    kept: list[Any] = []
    waiting, seen = [result._node or result], set()
    while waiting:
        edge: Any = waiting.pop()
        if edge is None or id(edge) in seen:
            continue
        seen.add(id(edge))
        if isinstance(edge, Tensor):
            kept.append(("parameter", edge._data.shape, edge._version, edge._version.count))
        elif edge.order > start:
            raise RuntimeError(
                f"checkpoint: function uses the result of a recorded operation ({edge.operation}) "
                "that is not among its inputs"
            )
        else:
            kept += edge.kept
            waiting += edge.edges
    return kept


@contextmanager
def _drawing_from(state: Any) -> Iterator[None]:
    """Within it random numbers are those after ``state``; afterwards those that were next."""
    bits = random.generator().bit_generator
    before, bits.state = bits.state, state
    try:
        yield
    finally:
        bits.state = before
