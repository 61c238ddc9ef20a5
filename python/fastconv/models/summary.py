"""What a network is made of: each layer's output shape and number of parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastconv.autograd.creation import zeros
from fastconv.autograd.engine import no_grad
from fastconv.autograd.tensor import Tensor
from fastconv.devices import CPU
from fastconv.nn import Module


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


def summary(model: Module, input_shape: Sequence[int], **kwargs: Any) -> Summary:
    """Each layer's output shape, by a forward pass, and its (F F D + 1) K parameters.

    `input_shape` is a sample's, (C, H, W); the sample has the parameters' type and device, float32
    on the CPU where there are none, and `kwargs` go to the model with it. Layers are the modules
    without modules in them; one that runs twice has two rows, its parameters in the first. Raises
    what the forward pass raises when the shape does not fit.
    """
    rows: list[Row] = []
    training = [(module, module.training) for module in model.modules()]
    like = next(model.parameters(), None)
    dtype, device = (np.float32, CPU) if like is None else (like.dtype, like.device)
    model.eval()
    try:
        with no_grad(), _recording(model, rows):
            model(zeros(1, *input_shape, dtype=dtype, device=device), **kwargs)
    finally:
        for module, mode in training:
            module.training = mode
    return Summary(tuple(rows), sum(_size(p) for p in model.parameters()))


@contextmanager
def _recording(model: Module, rows: list[Row]) -> Iterator[None]:
    """Within it, every layer's forward also adds its row."""
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if not any(True for _ in module.children())
    ]
    seen: set[int] = set()

    def recorder(name: str, module: Module) -> Any:
        forward = module.forward

        def record(*inputs: Any, **kwargs: Any) -> Any:
            result = forward(*inputs, **kwargs)
            new = [p for p in module.parameters() if id(p) not in seen]
            seen.update(map(id, new))
            kind, count = type(module).__name__, sum(map(_size, new))
            rows.append(Row(name or kind, kind, tuple(result.shape[1:]), count))
            return result

        return record

    own = [(module, module.__dict__.get("forward")) for _, module in layers]
    try:
        for name, module in layers:
            object.__setattr__(module, "forward", recorder(name, module))
        yield
    finally:
        for module, forward in own:
            module.__dict__.pop("forward", None)
            if forward is not None:
                module.__dict__["forward"] = forward


def _size(parameter: Tensor) -> int:
    return int(np.prod(parameter.shape, dtype=np.int64))
