"""What a Module holds: parameters, buffers, and those whose shape is not known before the first input.

The Parameter itself is defined beside the Tensor.
"""

from typing import Any

from tensor import creation
from tensor.engine import Parameter, Tensor

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"]


class _BufferType(type(Tensor)):  # type: ignore[misc]
    def __instancecheck__(cls, instance) -> bool:
        return isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferType):
    """A tensor that a Module registers as a buffer when it is assigned to an attribute.

    persistent: whether it is part of `state_dict()`. As in PyTorch the result is a plain tensor, marked.
    """

    _is_buffer: bool
    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True):
        """Mark `data`, by default an empty tensor."""
        made: Any = (creation.empty(0) if data is None else data).detach()
        made._is_buffer, made.persistent = True, persistent
        return made


_KNOWN = {
    "materialize",
    "requires_grad",
    "is_leaf",
    "grad",
    "device",
    "dtype",
    "data",
    "detach",
    "label",
    "grad_fn",
}


class _Uninitialized:
    """A tensor without a shape yet; whatever needs its elements is an error."""

    _becomes: type[Tensor]

    def materialize(self, shape, device=None, dtype=None) -> None:
        """Become a tensor of this shape, of any values."""
        given = object.__getattribute__(self, "_array").dtype.name
        made = creation.empty(tuple(shape), device=device, dtype=dtype or getattr(_dtypes(), given))
        self._array = made._array
        self.__class__ = object.__getattribute__(self, "_becomes")

    def __getattribute__(self, name: str) -> Any:
        if name == "detach":
            return lambda: self
        if name == "shape":
            raise RuntimeError(
                "Can't access the shape of an uninitialized parameter or buffer. This error usually happens "
                "in `load_state_dict` when trying to load an uninitialized parameter into an initialized "
                "one. Call `forward` to initialize the parameters before accessing their attributes."
            )
        if name in _KNOWN or (name.startswith("_") and name != "_array"):
            if name == "dtype":
                return getattr(_dtypes(), object.__getattribute__(self, "_array").dtype.name)
            return object.__getattribute__(self, name)
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {name}. This happens with a `LazyModule`, or an "
            "`UninitializedParameter`. Call `forward` with a dummy batch to initialize the parameters before "
            "calling torch functions"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _dtypes():
    from tensor import dtypes

    return dtypes


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape follows from the first input: see `LazyLinear`."""

    _becomes = Parameter

    def __init__(self, requires_grad: bool = True, device=None, dtype=None):
        made = creation.empty(0, device=device, dtype=dtype)
        self._array, self._version, self._requires_grad = made._array, made._version, bool(requires_grad)


class UninitializedBuffer(_Uninitialized, Tensor):
    """A buffer whose shape follows from the first input: see `LazyBatchNorm2d`."""

    _becomes = Tensor

    def __init__(self, requires_grad: bool = False, device=None, dtype=None):
        made = creation.empty(0, device=device, dtype=dtype)
        self._array, self._version = made._array, made._version
