"""Module: a layer is its configuration and one functional call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from fastconv.autograd.hooks import Handle
from fastconv.autograd.tensor import Tensor
from fastconv.autograd.variable import FLOATING
from fastconv.devices import CPU, Device, destination, is_array, to_device
from fastconv.nn.hooks import ModuleHooks
from fastconv.nn.tree import Parameter, Tree

if TYPE_CHECKING:
    from fastconv.ops.types import MemoryFormat

M = TypeVar("M", bound="Module")

MEMORY_FORMATS = ("contiguous", "channels_last")


class LoadResult(NamedTuple):
    """What ``load_state_dict(strict=False)`` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(Tree):
    """Base class of layers and networks.

    Attributes that are Parameters, Modules or registered buffers are found in the order in which
    they were first assigned; ``forward`` says what a call computes.
    """

    training: bool = True
    _hooks: ModuleHooks | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks:
            return self._hooks.call(self, args, kwargs)
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
            own[key]._data[...] = to_device(array, own[key].device)
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

    def to(
        self: M,
        *target: Any,
        dtype: Any = None,
        device: Any = None,
        memory_format: MemoryFormat | None = None,
    ) -> M:
        """Move parameters and buffers to a device; convert parameters and floating-point buffers
        to a dtype; let convolutions give their results as ``memory_format``, "channels_last" or
        "contiguous": ``to("cuda")``, ``to(dtype)``, ``to("cuda", dtype)`` or by name.

        Gradients move along, and are forgotten where the dtype changes. Make the optimizer
        afterwards, or load its state afterwards: state stays where it was made. Weights keep
        their layout: kernels pack them anyway, and files want them contiguous.
        """
        where, new = destination("to", target, device, dtype)
        if memory_format is not None:
            if memory_format not in MEMORY_FORMATS:
                raise ValueError(
                    f"to: memory_format must be one of {MEMORY_FORMATS}, got {memory_format!r}"
                )
            for module in self.modules():
                if hasattr(module, "memory_format"):
                    module.memory_format = memory_format
        if new is not None and new not in FLOATING:
            raise TypeError(f"to: parameters are float32 or float64, not {new}")
        for _, tensor in self._entries():
            _place(tensor, where, new)
        return self

    def cpu(self: M) -> M:
        """Move parameters and buffers to the CPU."""
        return self.to(CPU)

    def cuda(self: M, index: int = 0) -> M:
        """Move parameters and buffers to a CUDA device."""
        return self.to(Device("cuda", index))

    def float(self: M) -> M:
        """Convert parameters and buffers to float32."""
        return self.to(np.float32)

    def double(self: M) -> M:
        """Convert parameters and buffers to float64."""
        return self.to(np.float64)

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, inputs)`` before each call; what it returns, unless None, are the
        inputs."""
        return Handle(self._own_hooks().before, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, inputs, output)`` after each call; what it returns, unless None, is
        the output. A Sequential runs a module that has hooks by itself."""
        return Handle(self._own_hooks().after, hook)

    def register_full_backward_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, grad_inputs, grad_outputs)``, tuples of Tensors and None, in the
        backward pass; what it returns, unless None, are the inputs' gradients. For modules that
        give one Tensor, and of whose inputs at most one wants a gradient."""
        return Handle(self._own_hooks().backward, hook)

    def _own_hooks(self) -> ModuleHooks:
        if self._hooks is None:
            self._hooks = ModuleHooks()
        return self._hooks

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


def _place(tensor: Tensor, where: Device | None, dtype: np.dtype | None) -> None:
    if where is not None:
        tensor.data = to_device(tensor._data, where)
        if tensor.grad is not None:
            tensor.grad.data = to_device(tensor.grad._data, where)
    if dtype is not None and tensor.dtype in FLOATING and tensor.dtype != dtype:
        tensor.data = tensor._data.astype(dtype)
        tensor.grad = None


def _as_array(value: Any) -> Any:
    value = value._data if isinstance(value, Tensor) else value
    return value if is_array(value) else np.asarray(value)
