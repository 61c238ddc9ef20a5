"""Modules made of modules."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor
from fastconv.nn.activation import ReLU, Sigmoid, Tanh
from fastconv.nn.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from fastconv.nn.conv import Conv1d, Conv2d, Conv3d
from fastconv.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from fastconv.nn.linear import Linear
from fastconv.nn.module import Module
from fastconv.nn.pooling import MaxPool2d

if TYPE_CHECKING:
    from typing import TypeGuard

    from fastconv.ops.types import Activation

_COMPUTING = (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Linear,
)
_NORMALISING = (BatchNorm1d, BatchNorm2d, BatchNorm3d)  # which compute ReLU alone
_ACTIVATIONS: dict[type[Module], Activation] = {ReLU: "relu", Sigmoid: "sigmoid", Tanh: "tanh"}


class Sequential(Module):
    """Layers one after another: ``Sequential(a, b)`` or ``Sequential({"first": a, "second": b})``.

    A convolution or Linear followed by ReLU, Sigmoid or Tanh is one kernel call with the result
    unchanged; after Conv2d and ReLU a MaxPool2d joins them, and only its result is kept for the
    gradients. A batch normalisation followed by ReLU is one, too; in evaluation without gradients a
    BatchNorm2d becomes part of the weights of the Conv2d before it, anew in each call, where these
    are fewer than the numbers of the map: the result then differs in the last digits.
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

    def __setitem__(self, index: int, layer: Any) -> None:
        """Put another layer into the place, and under the name, of the one at this position."""
        names = [name for name, _ in self.named_children()]
        if not -len(names) <= index < len(names):
            raise IndexError(f"Sequential: no layer {index} among {len(names)}")
        if not isinstance(layer, Module):
            raise TypeError(f"Sequential: layer {index} is a {type(layer).__name__}, not a Module")
        setattr(self, names[index], layer)

    def forward(self, input: Any) -> Any:
        return chain(input, *self.children())


def chain(input: Any, *layers: Module) -> Any:
    """``Sequential(*layers)(input)``, for layers that a module of another shape holds."""
    i, count = 0, len(layers)
    while i < count:
        layer = layers[i]
        options: dict[str, Any] = {}
        i += 1
        parameters = _folded(layer, layers[i], input) if i < count else None
        if parameters is not None:
            options["normalised"] = parameters
            i += 1
        activation = _fused(layer, layers[i]) if i < count else None
        if activation is not None:
            options["activation"] = activation
            i += 1
            pool = layers[i] if i < count else None
            if activation == "relu" and type(layer) is Conv2d and _poolable(pool):
                options["pooling"] = pool.window
                i += 1
        input = layer(input, **options)
    return input


def _plain(layer: Module, *kinds: type[Module]) -> bool:
    """Only fastconv's own layers: a subclass or an instance may have a ``forward`` of its own, and
    hooks want to see each layer's own result."""
    return type(layer) in kinds and "forward" not in layer.__dict__ and not layer._hooks


def _fused(layer: Module, activation: Module) -> Activation | None:
    """The activation's name if the layer can compute it, else None."""
    if _plain(activation, ReLU) and _plain(layer, *_COMPUTING, *_NORMALISING):
        return "relu"
    if _plain(activation, *_ACTIVATIONS) and _plain(layer, *_COMPUTING):
        return _ACTIVATIONS[type(activation)]
    return None


def _folded(layer: Module, norm: Module, input: Any) -> tuple[Tensor, Tensor] | None:
    """Weight and bias of the convolution that normalises, too, where an evaluation does better to
    scale the filters than the map that they make."""
    if not (isinstance(layer, Conv2d) and isinstance(norm, BatchNorm2d)) or norm.uses_batch:
        return None
    if not (_plain(layer, Conv2d) and _plain(norm, BatchNorm2d)):
        return None
    if recording(input, layer.weight, layer.bias, norm.weight, norm.bias) is not None:
        return None
    if layer.out_channels != norm.num_features or len(input.shape) != 4:
        return None  # their own errors name what is wrong
    pixels = input.shape[0] * input.shape[2] * input.shape[3] // math.prod(layer.stride)
    if math.prod(layer.weight.shape[1:]) > pixels:
        return None
    return norm.fold(layer.weight, layer.bias)


def _poolable(pool: Module | None) -> TypeGuard[MaxPool2d]:
    """Whether a convolution can be told to pool, too: the indices are not asked for."""
    return isinstance(pool, MaxPool2d) and not pool.return_indices and _plain(pool, MaxPool2d)
