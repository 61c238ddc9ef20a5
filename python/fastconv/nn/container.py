"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastconv.nn.activation import ReLU, Sigmoid, Tanh
from fastconv.nn.conv import Conv2d
from fastconv.nn.linear import Linear
from fastconv.nn.module import Module


class Sequential(Module):
    """Layers one after another: ``Sequential(a, b)`` or ``Sequential({"first": a, "second": b})``.

    A Conv2d or Linear followed by ReLU, Sigmoid or Tanh is one kernel call with the same result.
    """

    def __init__(self, *layers: Any) -> None:
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named = dict(layers[0])
        else:
            named = {str(i): layer for i, layer in enumerate(layers)}
        for name, layer in named.items():
            self._add(name, layer)

    def _add(self, name: str, layer: Any) -> None:
        if not isinstance(layer, Module):
            raise TypeError(f"Sequential: layer {name} is a {type(layer).__name__}, not a Module")
        if hasattr(self, name) or "." in name or not name:
            raise ValueError(f"Sequential: a layer cannot be named {name!r}")
        setattr(self, name, layer)

    def append(self, layer: Module) -> Sequential:
        """Add a layer at the end."""
        number = len(self)
        while str(number) in self.__dict__:  # a slice keeps the names that its layers had
            number += 1
        self._add(str(number), layer)
        return self

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Any:
        """A layer by its position, or a Sequential of several (which shares their parameters)."""
        items = list(self.named_children())
        if isinstance(index, slice):
            return Sequential(dict(items[index]))
        if not -len(items) <= index < len(items):
            raise IndexError(f"Sequential: no layer {index} among {len(items)}")
        return items[index][1]

    def forward(self, input: Any) -> Any:
        layers = list(self.children())
        i = 0
        while i < len(layers):
            layer = layers[i]
            activation = _fused(layer, layers[i + 1]) if i + 1 < len(layers) else None
            if activation is None:
                input = layer(input)
                i += 1
            else:
                input = layer(input, activation=activation)
                i += 2
        return input


def _fused(layer: Module, activation: Module) -> str | None:
    """The activation's name if the layer can compute it, else None.

    Only fastconv's own layers: a subclass or an instance may have a ``forward`` of its own.
    """
    if (
        type(layer) in (Conv2d, Linear)
        and isinstance(activation, (ReLU, Sigmoid, Tanh))
        and type(activation) in (ReLU, Sigmoid, Tanh)
        and "forward" not in layer.__dict__
        and "forward" not in activation.__dict__
    ):
        return activation.fused
    return None
