"""What a network is made of: each layer's output shape and number of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fastconv.autograd.creation import zeros
from fastconv.autograd.engine import no_grad
from fastconv.autograd.tensor import Tensor
from fastconv.devices import CPU
from fastconv.nn import Module, Parameter
from fastconv.nn.init import has_memory, shapes_only


@dataclass(frozen=True)
class Row:
    """One layer: its name in the model, its kind, its output without the batch, its parameters."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class Summary:
    """A row for each layer in the order of the computation; printing it gives a table."""

    rows: tuple[Row, ...]
    parameters: int

    @property
    def units(self) -> int:
        """The outputs of all layers that have parameters, for one sample."""
        return sum(math.prod(row.output_shape) for row in self.rows if row.parameters)

    def __str__(self) -> str:
        cells = [("layer", "kind", "output shape", "parameters")]
        for row in self.rows:
            shape = " x ".join(map(str, row.output_shape))
            cells.append((row.name, row.kind, shape, f"{row.parameters:,}"))
        cells.append(("total", "", "", f"{self.parameters:,}"))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {shape:<{widths[2]}}  {count:>{widths[3]}}"
            for name, kind, shape, count in cells
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def summary(
    model: Module | Callable[[], Module], input_shape: Sequence[int], **kwargs: Any
) -> Summary:
    """Each layer's output shape, by a forward pass, and its (F F D + 1) K parameters.

    Given a function that makes the model instead, parameters take no memory: 1.6 billion weights
    are counted as fast as ten. Layers with such parameters are not computed but asked for their
    ``output_shape``.

    `input_shape` is a sample's, (C, H, W); the sample has the parameters' type and device, float32
    on the CPU where there are none, and `kwargs` go to the model with it. Layers are the modules
    without modules in them, and those with parameters of their own; one that runs twice has two
    rows, its parameters in the first. Raises what the forward pass raises when the shape does not
    fit.
    """
    if not isinstance(model, Module):
        model = _without_memory(model)
    rows: list[Row] = []
    seen: set[int] = set()
    training = [(module, module.training) for module in model.modules()]
    like = next(model.parameters(), None)
    dtype, device = (np.float32, CPU) if like is None else (like.dtype, like.device)
    layers = [(name, module) for name, module in model.named_modules() if _is_layer(module)]
    hooks = [m.register_forward_hook(_recorder(n, rows, seen)) for n, m in layers]
    model.eval()
    try:
        with no_grad():
            model(zeros(1, *input_shape, dtype=dtype, device=device), **kwargs)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in training:
            module.training = mode
    return Summary(tuple(rows), sum(_size(p) for p in model.parameters()))


def _recorder(name: str, rows: list[Row], seen: set[int]) -> Callable[..., None]:
    """A hook that adds a layer's row at each of its calls."""

    def record(module: Module, inputs: Any, output: Any) -> None:
        new = [p for p in module.parameters() if id(p) not in seen]
        seen.update(map(id, new))
        kind, count = type(module).__name__, sum(map(_size, new))
        result = output[0] if isinstance(output, tuple) else output
        rows.append(Row(name or kind, kind, tuple(result.shape[1:]), count))

    return record


def _is_layer(module: Module) -> bool:
    own = any(isinstance(value, Parameter) for value in vars(module).values())
    return own or not any(True for _ in module.children())


def _without_memory(build: Callable[[], Module]) -> Module:
    """The model, whose layers give zeros where their parameters have no memory."""
    with shapes_only():
        model = build()
    for module in model.modules():
        own = (value for value in module.__dict__.values() if isinstance(value, Parameter))
        if not all(map(has_memory, own)):
            object.__setattr__(module, "forward", partial(_zeros, module))
    return model


def _zeros(module: Any, input: Tensor, *_: Any, **__: Any) -> Tensor:
    if not hasattr(module, "output_shape"):
        raise TypeError(
            f"summary: {type(module).__name__} has no output_shape; pass the model itself, not a "
            f"function that makes it"
        )
    return zeros(*module.output_shape(input.shape), dtype=input.dtype, device=input.device)


def _size(parameter: Tensor) -> int:
    return int(np.prod(parameter.shape, dtype=np.int64))
