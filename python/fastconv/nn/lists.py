"""Containers that hold modules or parameters and compute nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastconv.autograd.tensor import Tensor
from fastconv.nn.module import Module, Parameter


class _List(Module):
    """Items under the names 0, 1, ..."""

    kind: type  # of the items

    def __init__(self, items: Iterable[Any] | None = None) -> None:
        self.extend(items or ())

    def append(self, item: Any) -> Any:
        """Add an item at the end."""
        self._set(len(self), item)
        return self

    def extend(self, items: Iterable[Any]) -> Any:
        """Add several items at the end."""
        for item in items:
            self.append(item)
        return self

    def _set(self, number: int, item: Any) -> None:
        if not isinstance(item, self.kind):
            raise TypeError(
                f"{type(self).__name__}: item {number} is a {type(item).__name__}, not a "
                f"{self.kind.__name__}"
            )
        setattr(self, str(number), item)

    def _items(self) -> list[Any]:
        return [value for value in self.__dict__.values() if isinstance(value, self.kind)]

    def _place(self, index: int) -> int:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"{type(self).__name__}: no item {index} among {count}")
        return index % count

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __getitem__(self, index: int | slice) -> Any:
        """An item, or a list of several, which are the same objects."""
        items = self._items()
        if isinstance(index, slice):
            return type(self)(items[index])
        return items[self._place(index)]

    def __setitem__(self, index: int, item: Any) -> None:
        self._set(self._place(index), item)


class ModuleList(_List):
    """Modules that are found by ``parameters()`` and called one by one: ``ModuleList([a, b])``."""

    kind = Module

    def insert(self, index: int, module: Module) -> None:
        """Put a module before item ``index``."""
        modules = self._items()
        modules.insert(index, module)
        for number, item in enumerate(modules):
            self._set(number, item)


class ParameterList(_List):
    """Parameters that are found by ``parameters()``; tensors become parameters."""

    kind = Parameter

    def _set(self, number: int, item: Any) -> None:
        plain = isinstance(item, Tensor) and not isinstance(item, Parameter)
        super()._set(number, Parameter(item) if plain else item)

    def extra_repr(self) -> str:
        return ", ".join(str(parameter.shape) for parameter in self)


class ModuleDict(Module):
    """Modules under names of their own, in order: ``ModuleDict({"conv": a, "pool": b})``."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add modules, or replace those of the same name."""
        for name, module in modules.items():
            self[name] = module

    def keys(self) -> Iterable[str]:
        """The names."""
        return [name for name, _ in self.named_children()]

    def values(self) -> Iterable[Module]:
        """The modules."""
        return list(self.children())

    def items(self) -> Iterable[tuple[str, Module]]:
        """(name, module) of each."""
        return list(self.named_children())

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return any(name == own for own in self.keys())

    def __getitem__(self, name: str) -> Module:
        if name not in self:
            raise KeyError(f"ModuleDict: no module {name!r} among {list(self)}")
        return self.__dict__[name]

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"ModuleDict: {name} is a {type(module).__name__}, not a Module")
        if name not in self and (hasattr(self, name) or "." in name or not name):
            raise ValueError(f"ModuleDict: a module cannot be named {name!r}")
        setattr(self, name, module)

    def __delitem__(self, name: str) -> None:
        del self.__dict__[self._existing(name)]

    def pop(self, name: str) -> Module:
        """Take a module out."""
        return self.__dict__.pop(self._existing(name))

    def _existing(self, name: str) -> str:
        self[name]
        return name
