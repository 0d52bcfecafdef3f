"""The Module: a part of a network that knows its parameters, its buffers and the parts within it.

Assigning a Parameter or a Module to an attribute registers it; `register_buffer` registers a tensor that
belongs to the state but is not trained. What is registered lives in three dicts, `_parameters`, `_buffers`
and `_modules`, in order of registration, and every method below is a walk over them.
"""

from collections.abc import Callable, Iterator
from typing import Any

from micro.trace import Trace
from tensor import creation, dtypes
from tensor.autograd import HookTable
from tensor.devices import device as Device
from tensor.engine import Parameter, Tensor
from tensor.nn.calling import (
    Called,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
)
from tensor.nn.parameter import Buffer
from tensor.nn.state import Saved, new_state_hooks
from tensor.nn.tracing import trace

__all__ = [
    "Module",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
]

_REGISTRIES = ("_parameters", "_buffers", "_modules")


def type_name(value) -> str:
    """Return the name of a value's type as PyTorch's messages write it."""
    if isinstance(value, Tensor):
        return value.type()
    kind = value if isinstance(value, type) else type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _cannot_assign(value, kind: str, name: str, expected: str, hint: str = "") -> TypeError:
    return TypeError(
        f"cannot assign '{type_name(value)}' as {kind} '{name}' ({expected} or None expected){hint}"
    )


def _indent(text: str) -> str:
    first, *rest = text.split("\n")
    return "\n".join([first, *["  " + line if line.strip() else "" for line in rest]])


class Module(Called, Saved):
    """A part of a network. Subclasses call `super().__init__()` first and define `forward`."""

    training: bool

    def __init__(self, *args, **kwargs):
        if args or kwargs:
            given = f"{len(args)} positional arguments" if args else f"argument {next(iter(kwargs))!r}"
            raise TypeError(
                f"{type(self).__name__}.__init__() got unexpected {given}: Module.__init__ takes none; call "
                "super().__init__()"
            )
        # Straight into the dict: __setattr__ looks for these registries, and is slower.
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _non_persistent_buffers=set(),
            _forward_pre_hooks=HookTable(),
            _forward_hooks=HookTable(),
            _backward_pre_hooks=HookTable(),
            _backward_hooks=HookTable(),
            _state_hooks=new_state_hooks(),
        )

    # --- attributes ----------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:  # reached only by names that are not in __dict__
        own = self.__dict__
        for registry in _REGISTRIES:
            if registry in own and name in own[registry]:
                return own[registry][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _parameter(self, name: str) -> Any:
        """Return what `getattr` does for a parameter, four times faster: layers ask at every call."""
        own = self._parameters
        return own[name] if name in own else getattr(self, name)

    def __setattr__(self, name: str, value) -> None:
        own = self.__dict__
        if isinstance(value, Parameter):
            self._require_init("parameters")
            self._forget(name, keep="_parameters")
            self.register_parameter(name, value)
        elif name in own.get("_parameters", ()):
            if value is not None:
                hint = "; wrap it: nn.Parameter(...)" if isinstance(value, Tensor) else ""
                raise _cannot_assign(value, "parameter", name, "torch.nn.Parameter", hint)
            own["_parameters"][name] = None
        elif isinstance(value, Module):
            self._require_init("module")
            self._forget(name, keep="_modules")
            own["_modules"][name] = value
        elif name in own.get("_modules", ()):
            if value is not None:
                raise _cannot_assign(value, "child module", name, "torch.nn.Module")
            own["_modules"][name] = None
        elif name in own.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise _cannot_assign(value, "buffer", name, "torch.Tensor")
            own["_buffers"][name] = value
            if isinstance(value, Buffer):
                self.register_buffer(name, value, value.persistent)
        elif isinstance(value, Buffer):
            self._require_init("buffer")
            self._forget(name, keep="_buffers")
            self.register_buffer(name, value, value.persistent)
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            if name in self.__dict__.get(registry, ()):
                del self.__dict__[registry][name]
                self._non_persistent_buffers.discard(name)
                return
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[0].isdigit())

    def _require_init(self, kind: str) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(
                f"cannot assign {kind} before Module.__init__() call; begin __init__ with super().__init__()"
            )

    def _forget(self, name: str, keep: str) -> None:
        """Take `name` out of wherever it is registered but `keep`; a name stands for one thing."""
        self.__dict__.pop(name, None)
        for registry in _REGISTRIES:
            if registry != keep:
                self.__dict__[registry].pop(name, None)
        self._non_persistent_buffers.discard(name)

    def _check_name(self, name, kind: str, registry: dict) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type_name(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
        if not name:
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in registry:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None says that there is none (a layer without bias)."""
        self._require_init("parameter")
        self._check_name(name, "parameter", self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type_name(param)}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        if param is not None and not param.is_leaf:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                f"explicitly. To express '{name}' as a function of another Tensor, compute the value in the "
                "forward() method."
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that moves and is saved with the module but is not trained.

        persistent: whether it is part of `state_dict()`.
        """
        self._require_init("buffer")
        self._check_name(name, "buffer", self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type_name(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers.discard(name)
        else:
            self._non_persistent_buffers.add(name)

    def add_module(self, name: str, module: "Module | None") -> None:
        """Add a child under `name`."""
        self._require_init("module")
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type_name(module)} is not a Module subclass")
        self._check_name(name, "module", self._modules)
        self._modules[name] = module

    def register_module(self, name: str, module: "Module | None") -> None:
        """Add a child under `name`; the same as `add_module`."""
        self.add_module(name, module)

    # --- walking over what is registered -------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield the modules directly within this one, each once, with their names."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator["Module"]:
        """Yield the modules directly within this one."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, "Module"]]:
        """Yield this module and all below it, each once unless told otherwise, with dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                below = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, below, remove_duplicate)

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def _named_members(self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool):
        seen: set[Tensor] = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in getattr(module, registry).items():
                if tensor is None or tensor in seen:
                    continue
                if remove_duplicate:
                    seen.add(tensor)
                yield f"{path}.{name}" if path else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters here and below with dotted names; a shared one once, under its first name."""
        yield from self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters here and below, each once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the buffers here and below with dotted names."""
        yield from self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers here and below, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> "Module":
        """Return the module of a dotted name; "" is this one."""
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: "Module", strict: bool = False) -> None:
        """Put a module in the place of a dotted name. strict: there must be one already."""
        if not target:
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{type(parent).__name__} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter of a dotted name."""
        return self._get_tensor(target, "_parameters", "nn.Parameter")

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer of a dotted name."""
        return self._get_tensor(target, "_buffers", "buffer")

    def _get_tensor(self, target: str, registry: str, kind: str):
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        if name not in getattr(module, registry):
            raise AttributeError(f"`{name}` is not an {kind}")
        return getattr(module, registry)[name]

    def trace(self, *inputs, **kwargs) -> Trace:
        """Call this module once and return what was computed, and by which of the modules within it.

        Also where nothing requires gradients, in `eval()` mode and under `no_grad()`. Values are kept, to be
        drawn, within `keep_values()` only. Buffers, such as BatchNorm's means, and the random numbers to come
        stay as they were.
        """
        return trace(self, inputs, kwargs)

    # --- changing all of it ----------------------------------------------------------------------------

    def apply(self, fn: Callable[["Module"], Any]):
        """Call fn on every module below and then on this one; returns this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True):
        """Switch this and all modules below to training behaviour, or to evaluation (mode=False)."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """Switch this and all modules below to evaluation behaviour."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True):
        """Say of every parameter whether it is trained."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop every parameter's gradient, or fill it with zeros (set_to_none=False)."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter._grad = None
            else:
                if not parameter.grad.is_leaf:
                    parameter.grad.detach_()
                parameter.grad.requires_grad_(False).zero_()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True):
        """Replace the data of every parameter and buffer, here and below, by fn of it."""
        for module in self.modules() if recurse else (self,):
            for parameter in module._parameters.values():
                if parameter is None:
                    continue
                before = parameter.data
                after = fn(before)
                if after is not before:
                    parameter.data = after  # the object stays: optimisers hold it
                if parameter.grad is not None:
                    parameter.grad = fn(parameter.grad.detach())
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = fn(buffer)
        return self

    def to(self, *args, device=None, dtype=None, non_blocking: bool = False, memory_format=None):
        """Move to a device, or convert floating-point parameters and buffers to a dtype, in place.

        Takes a device, a dtype, both, or a tensor to follow. memory_format: the order in memory that
        parameters and buffers of 4 and 5 dims get, such as torch.channels_last.
        """
        for arg in args:
            if isinstance(arg, Tensor):
                device, dtype = arg.device, arg.dtype
            elif isinstance(arg, str | Device):
                device = arg
            elif arg is not None and not isinstance(arg, bool):
                dtype = arg
        if dtype is not None:
            dtype = dtypes.of_array(dtypes.array_dtype(dtype))
            if not dtype.is_floating_point:
                raise TypeError(
                    "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                    f"dtype={dtype!r}"
                )
        return self._apply(
            lambda t: t.to(
                device=device,
                dtype=dtype if dtype and t.is_floating_point() else None,
                non_blocking=non_blocking,
                memory_format=memory_format if t.ndim in (4, 5) else None,
            )
        )

    def type(self, dst_type):
        """Convert all parameters and buffers to a dtype."""
        return self._apply(lambda t: t.to(dst_type))

    def float(self):
        """Convert floating-point parameters and buffers to float32."""
        return self.to(dtypes.float32)

    def double(self):
        """Convert floating-point parameters and buffers to float64."""
        return self.to(dtypes.float64)

    def cpu(self):
        """Move to the CPU's memory."""
        return self.to("cpu")

    def cuda(self, device=None):
        """Move to a GPU's memory."""
        return self.to("cuda" if device is None else device)

    def to_empty(self, *, device, recurse: bool = True):
        """Move to a device without the values, which then are anything."""
        return self._apply(lambda t: creation.empty(t.shape, device=device, dtype=t.dtype), recurse)

    def share_memory(self):
        """Return the module: threads share its memory as it is, processes do not; see `data.DataLoader`."""
        return self

    def compile(self, *args, **kwargs) -> None:
        """Accept PyTorch's options; there is nothing to compile, kernels are."""

    # --- showing -----------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Return what stands between the parentheses of the printed form; subclasses define it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {_indent(repr(module))}" for name, module in self._modules.items()]
        if len(lines) == 1 and not children:
            return f"{self._get_name()}({extra})"
        lines += children
        return f"{self._get_name()}(" + ("\n  " + "\n  ".join(lines) + "\n" if lines else "") + ")"
