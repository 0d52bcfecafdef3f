"""`torch.FloatTensor` and its kind: makers of tensors of one type, and names for it in annotations.

Those of `torch.cuda` make their tensors on the GPU.
"""

from typing import Any

import numpy as np

from tensor import dtypes
from tensor.devices import device as Device
from tensor.engine import Size, Tensor
from tensor.operands import to_array


class _TypedTensor(type):
    """The type of FloatTensor and its kind: isinstance() asks a tensor for its dtype and device."""

    dtype: dtypes.dtype
    device: Device

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, Tensor)
            and instance.dtype is cls.dtype
            and instance.device.type == cls.device.type
        )

    def __call__(cls, *data: Any) -> Tensor:
        """Return a tensor of these sizes, or of a copy of this sequence, array or tensor of the type."""
        cls.device.require()
        if len(data) == 1 and isinstance(data[0], Tensor):
            return cls._of(data[0])
        return cls._on_host(*data).to(cls.device)

    def _of(cls, given: Tensor) -> Tensor:
        if not isinstance(given, cls):
            raise TypeError(
                f"{cls.__name__}: expected a tensor of {cls.dtype!r} on {cls.device}, got {given.dtype!r} on "
                f"{given.device}; use .to({str(cls.device)!r}, {cls.dtype!r})"
            )
        return given.detach()

    def _on_host(cls, *data: Any) -> Tensor:
        if not data:
            return Tensor._wrap(np.empty(0, cls.dtype._array))
        first = data[0]
        if len(data) > 1 or isinstance(first, int | Size):
            sizes = first if isinstance(first, Size) else data
            return Tensor._wrap(np.zeros(sizes, cls.dtype._array))  # never uninitialised memory
        if not isinstance(first, list | tuple | np.ndarray):
            raise TypeError(f"{cls.__name__}: data must be a sequence (got {type(first).__name__})")
        return Tensor._wrap(to_array(first, cls.dtype, cls.__name__))

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__}.{cls.__name__}'>"


def typed(dtype: dtypes.dtype, where: str = "cpu") -> Any:
    """Return the maker of tensors of a dtype on a device."""
    name = dtypes.LEGACY_NAMES[dtype.name]
    text = f"A tensor of {dtype!r}: {name}([1, 2]) copies, {name}(2, 3) takes sizes, in that type."
    module = "torch" if where == "cpu" else f"torch.{where}"
    inside = {"dtype": dtype, "device": Device(where), "__doc__": text, "__module__": module}
    return _TypedTensor(name, (), inside)


FloatTensor = typed(dtypes.float32)
DoubleTensor = typed(dtypes.float64)
LongTensor = typed(dtypes.int64)
IntTensor = typed(dtypes.int32)
ShortTensor = typed(dtypes.int16)
CharTensor = typed(dtypes.int8)
ByteTensor = typed(dtypes.uint8)
BoolTensor = typed(dtypes.bool)


def set_default_tensor_type(t: Any) -> None:
    """Make FloatTensor or DoubleTensor (or its name) what tensors of Python floats are."""
    dtypes.set_default_dtype(dtypes.of_type(t))


def typename(obj: Any) -> str:
    """Return the name of an object's type with its module; of a tensor "torch.FloatTensor" and the like."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", None)
    if module in (None, "builtins"):
        return kind.__qualname__
    return f"{module}.{kind.__qualname__}"
