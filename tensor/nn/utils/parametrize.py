"""Parameters computed from others: what a module calls `weight` is a function of what is trained.

`module.weight` becomes a property of a class of the module's own; what is trained lies in
`module.parametrizations.weight`, as `original`, or as `original0`, `original1`... where several make one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import Any

from tensor.autograd import no_grad
from tensor.engine import Tensor
from tensor.nn.container import ModuleDict, ModuleList
from tensor.nn.module import Module
from tensor.nn.parameter import Parameter

_kept: dict[tuple[int, str], Tensor] = {}
_caching = 0


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrised tensor once, at its first use, until the block is left."""
    global _caching
    _caching += 1
    try:
        yield
    finally:
        _caching -= 1
        if not _caching:
            _kept.clear()


def _register(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _require_like(found: Any, before: Tensor, words: str) -> None:
    """Raise ValueError unless a parametrisation gave a tensor of the shape and dtype there were."""
    if not isinstance(found, Tensor):
        raise ValueError(f"{words} must return a tensor. Got {type(found).__name__}.")
    for what in ("dtype", "shape"):
        if getattr(found, what) != getattr(before, what):
            raise ValueError(
                f"Registering a parametrization may not change the {what} of the tensor, unless `unsafe` "
                f"flag is enabled.\nunparametrized {what}: {getattr(before, what)}\n"
                f"parametrized {what}: {getattr(found, what)}"
            )


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor, first to last, and what they are computed from.

    Made by `register_parametrization`. Calling it gives the tensor.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not len(modules):
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        new: Any = original
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):  # then the identity, as without right_inverse
                        new = module.right_inverse(new)
        self.is_tensor = isinstance(new, Tensor)
        if self.is_tensor:
            self.ntensors = 1
            if new.dtype != original.dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {new.dtype}"
                )
            if new is not original:
                original.data = new.detach()  # the same object: optimisers know it
            _register(self, "original", original)
        elif not isinstance(new, Sequence) or not all(isinstance(part, Tensor) for part in new):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        else:
            self.ntensors = len(new)
            for index, part in enumerate(new):
                if isinstance(original, Parameter):
                    part = Parameter(part.detach(), original.requires_grad)
                _register(self, f"original{index}", part)
        if not unsafe:
            _require_like(self(), Parameter(new, False) if self.is_tensor else original, "A parametrization")

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{index}") for index in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the tensor becomes `value`; RuntimeError without a right_inverse."""
        found: Any = value
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                found = module.right_inverse(found)
            parts = [found] if self.is_tensor else found
            if not isinstance(parts, Sequence) or len(parts) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors of length {self.ntensors}."
                )
            for original, part in zip(self._originals(), parts, strict=True):
                if not isinstance(part, Tensor):
                    raise ValueError(f"`right_inverse` should return a tensor. Got {type(part).__name__}")
                if part.dtype != original.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {part.dtype} while `original` "
                        f"has dtype {original.dtype}"
                    )
                original.data = part.detach()

    def forward(self) -> Tensor:
        first, *others = self
        value = first(*self._originals())
        for module in others:
            value = module(value)
        return value


def _property(name: str) -> property:
    def read(module: Any) -> Tensor:
        if not _caching:
            return module.parametrizations[name]()
        key = (id(module), name)
        if key not in _kept:
            _kept[key] = module.parametrizations[name]()
        return _kept[key]

    def write(module: Any, value: Tensor) -> None:
        module.parametrizations[name].right_inverse(value)

    return property(read, write)


def _refuse_pickle(module: Any) -> None:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(); save that instead"
    )


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Make a parameter or buffer a function of what is trained; returns the module.

    parametrization: a module, called with the original tensor; with a method `right_inverse`, that method is
        called with the tensor as it is to find the original, and makes assignment work. If it returns
        several tensors, the module is called with these. Further ones are applied after the first.
    unsafe: do not check that shape and dtype stay what they are.

    Raises ValueError where there is no such tensor, or where its shape or dtype would change.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            before = getattr(module, tensor_name)
            found = parametrization(before)
            _require_like(found, before, "A parametrization")
            if hasattr(parametrization, "right_inverse"):
                try:
                    back = parametrization.right_inverse(found)
                except NotImplementedError:
                    pass
                else:
                    _require_like(back, before, "parametrization.right_inverse")
        own: Any = module.parametrizations[tensor_name]
        own.append(parametrization)
        own.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        own = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            kind = type(module)
            module.__class__ = type(
                f"Parametrized{kind.__name__}",
                (kind,),
                {"__getstate__": _refuse_pickle, "__deepcopy__": _copy},
            )
            module.parametrizations = ModuleDict()
        setattr(type(module), tensor_name, _property(tensor_name))
        module.parametrizations[tensor_name] = own
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def _copy(module: Any, memo: dict) -> Any:
    """Return a deep copy with a class of its own: its properties go when its parametrisations are removed."""
    kind = type(module)
    made: Any = object.__new__(type(kind.__name__, kind.__bases__, dict(kind.__dict__)))
    memo[id(module)] = made
    made.__dict__.update(deepcopy(module.__dict__, memo))
    return made


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Return whether a tensor of a module is parametrised; for None, whether any is."""
    own = getattr(module, "parametrizations", None)
    if not isinstance(own, ModuleDict):
        return False
    return bool(len(own)) if tensor_name is None else tensor_name in own


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a tensor one that is trained itself again; returns the module.

    leave_parametrized: of the value it has; otherwise of the value of the original, if there is one only.
    Raises ValueError for a tensor that is not parametrised.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    own: Any = module.parametrizations[tensor_name]
    if own.is_tensor:
        original = own.original
        if leave_parametrized:
            with no_grad():
                original.data = getattr(module, tensor_name).detach()
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms "
            "of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """Return the class that a module has without its parametrisations."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give a module the parametrisations of another, and what they are computed from; returns it."""
    if is_parametrized(from_module):
        names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
        for name in names:
            if not hasattr(to_module, name):
                setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
            source = from_module.parametrizations[name]
            for parametrization in source:
                register_parametrization(to_module, name, parametrization)
            for key, value in source._parameters.items():
                setattr(to_module.parametrizations[name], key, value)
    return to_module
