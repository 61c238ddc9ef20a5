"""Parameters, and the tree of modules that they are found in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from fastconv.autograd.tensor import Tensor

if TYPE_CHECKING:
    from fastconv.nn.module import Module


class Parameter(Tensor):
    """A tensor that a module learns; found by ``parameters()`` when it is an attribute."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data._data if isinstance(data, Tensor) else data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Tree:
    """What finds modules, parameters and buffers among the attributes of a module and of those
    below it, in the order in which they were first assigned."""

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules that are attributes of this one."""
        for name, value in self.__dict__.items():
            if isinstance(value, Tree):
                yield name, cast("Module", value)

    def children(self) -> Iterator[Module]:
        """The modules that are attributes of this one."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(dotted name, module) of this module and all below it, each module once."""
        seen: set[int] = set()
        for name, module in self._walk(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, cast("Module", self)
        for name, module in self.named_children():
            yield from module._walk(f"{prefix}.{name}" if prefix else name)

    def _entries(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """(key, tensor) of all parameters and buffers, shared ones under each of their names."""
        for path, module in self._walk(prefix):
            dot = f"{path}." if path else ""
            for name, value in module.__dict__.items():
                if isinstance(value, Parameter):
                    yield dot + name, value
            for name, value in module._own_buffers():
                yield dot + name, value

    def _own_buffers(self) -> Iterator[tuple[str, Tensor]]:
        for name in self.__dict__.get("_buffer_names", ()):
            value = self.__dict__.get(name)
            if value is not None:
                yield name, value

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter), each parameter once."""
        seen: set[int] = set()
        for name, value in self._entries(prefix):
            if isinstance(value, Parameter) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """(dotted name, tensor) of all registered buffers."""
        for name, value in self._entries(prefix):
            if not isinstance(value, Parameter):
                yield name, value
