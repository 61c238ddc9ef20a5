"""Parameter and Module: a layer is its configuration and one functional call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from fastconv.autograd.tensor import Tensor
from fastconv.autograd.variable import FLOATING

if TYPE_CHECKING:
    from fastconv.ops.types import MemoryFormat

M = TypeVar("M", bound="Module")

MEMORY_FORMATS = ("contiguous", "channels_last")


class Parameter(Tensor):
    """A tensor that a module learns; found by ``parameters()`` when it is an attribute."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data._data if isinstance(data, Tensor) else data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class LoadResult(NamedTuple):
    """What ``load_state_dict(strict=False)`` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base class of layers and networks.

    Attributes that are Parameters, Modules or registered buffers are found in the order in which
    they were first assigned; ``forward`` says what a call computes.
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        old = self.__dict__.get(name)
        if isinstance(old, Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{type(self).__name__}: {name} is a Parameter and cannot become a "
                f"{type(value).__name__}; wrap it in nn.Parameter, or write through .data"
            )
        super().__setattr__(name, value)

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """Hold a tensor that is no parameter but part of ``state_dict()``."""
        if not (tensor is None or isinstance(tensor, Tensor)):
            raise TypeError(
                f"register_buffer: {name} must be a Tensor or None, got {type(tensor).__name__}"
            )
        self.__dict__.setdefault("_buffer_names", {})[name] = None
        setattr(self, name, tensor)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules that are attributes of this one."""
        for name, value in self.__dict__.items():
            if isinstance(value, Module):
                yield name, value

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
        yield prefix, self
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

    def state_dict(self) -> dict[str, np.ndarray]:
        """PyTorch's keys and the arrays of all parameters and buffers.

        The arrays are the module's own, not copies: training goes on in them. Copy what is to
        be kept, or save it at once.
        """
        return {key: tensor._data for key, tensor in self._entries()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy arrays (or tensors) into the parameters and buffers of the same key.

        Raises ValueError that lists missing and unexpected keys (if ``strict``) and shapes that
        differ, TypeError for other dtypes; nothing has changed then.
        """
        own = dict(self._entries())
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        found = {key: _as_array(state_dict[key]) for key in own if key in state_dict}
        problems = []
        if strict and missing:
            problems.append(f"missing keys: {', '.join(missing)}")
        if strict and unexpected:
            problems.append(f"unexpected keys: {', '.join(unexpected)}")
        for key, array in found.items():
            if array.shape != own[key].shape:
                problems.append(f"{key} has shape {own[key].shape}, the state {array.shape}")
        if problems:
            raise ValueError(f"load_state_dict: {type(self).__name__}: " + "; ".join(problems))
        for key, array in found.items():
            if array.dtype != own[key].dtype:
                raise TypeError(
                    f"load_state_dict: {type(self).__name__}: {key} is {own[key].dtype}, the "
                    f"state {array.dtype} (shape {array.shape}); convert one first"
                )
        for key, array in found.items():
            own[key]._data[...] = array
            own[key]._version.count += 1
        return LoadResult(missing, unexpected)

    def train(self: M, mode: bool = True) -> M:
        """Switch this module and all below it to training (or, with False, to evaluation)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Switch this module and all below it to evaluation."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with 0."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Set ``requires_grad`` of all parameters: False freezes them."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def apply(self: M, function: Callable[[Module], Any]) -> M:
        """Call ``function`` with every module, children before their parents."""
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    def to(self: M, dtype: Any = None, *, memory_format: MemoryFormat | None = None) -> M:
        """Convert parameters and floating-point buffers to ``dtype``; let convolutions give
        their results as ``memory_format``, "channels_last" or "contiguous".

        Weights keep their layout: kernels pack them anyway, and files want them contiguous.
        """
        if memory_format is not None:
            if memory_format not in MEMORY_FORMATS:
                raise ValueError(
                    f"to: memory_format must be one of {MEMORY_FORMATS}, got {memory_format!r}"
                )
            for module in self.modules():
                if hasattr(module, "memory_format"):
                    module.memory_format = memory_format
        if dtype is not None:
            new = np.dtype(dtype)
            if new not in FLOATING:
                raise TypeError(f"to: parameters are float32 or float64, not {new}")
            for _, tensor in self._entries():
                if tensor.dtype in FLOATING and tensor.dtype != new:
                    tensor.data = tensor._data.astype(new)
                    tensor.grad = None
        return self

    def float(self: M) -> M:
        """Convert parameters and buffers to float32."""
        return self.to(np.float32)

    def double(self: M) -> M:
        """Convert parameters and buffers to float64."""
        return self.to(np.float64)

    def extra_repr(self) -> str:
        """The configuration, as ``repr`` shows it in parentheses."""
        return ""

    def __repr__(self) -> str:
        lines = []
        for name, module in self.named_children():
            lines.append(f"  ({name}): " + repr(module).replace("\n", "\n  "))
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


def _as_array(value: Any) -> np.ndarray:
    return value._data if isinstance(value, Tensor) else np.asarray(value)
