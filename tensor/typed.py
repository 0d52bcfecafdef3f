"""`torch.FloatTensor` and its kind: makers of tensors of one type, and names for it in annotations."""

from typing import Any

import numpy as np

from tensor import dtypes
from tensor.engine import Size, Tensor
from tensor.operands import to_array


class _TypedTensor(type):
    """The type of FloatTensor and its kind: isinstance() asks a tensor for its dtype."""

    dtype: dtypes.dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype

    def __call__(cls, *data: Any) -> Tensor:
        """Return a tensor of these sizes, or of a copy of this sequence, array or tensor of the type."""
        if not data:
            return Tensor._wrap(np.empty(0, cls.dtype._array))
        first = data[0]
        if len(data) > 1 or isinstance(first, int | Size):
            sizes = first if isinstance(first, Size) else data
            return Tensor._wrap(np.zeros(sizes, cls.dtype._array))  # never uninitialised memory
        if isinstance(first, Tensor):
            if first.dtype is not cls.dtype:
                raise TypeError(
                    f"{cls.__name__}: expected a tensor of {cls.dtype!r}, got {first.dtype!r}; "
                    f"use .to({cls.dtype!r})"
                )
            return first.detach()
        if not isinstance(first, list | tuple | np.ndarray):
            raise TypeError(f"{cls.__name__}: data must be a sequence (got {type(first).__name__})")
        return Tensor._wrap(to_array(first, cls.dtype, cls.__name__))

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


def _typed(dtype: dtypes.dtype) -> Any:
    name = dtypes.LEGACY_NAMES[dtype.name]
    text = f"A tensor of {dtype!r}: FloatTensor([1, 2]) copies, FloatTensor(2, 3) takes sizes, in that type."
    return _TypedTensor(name, (), {"dtype": dtype, "__doc__": text, "__module__": "torch"})


FloatTensor = _typed(dtypes.float32)
DoubleTensor = _typed(dtypes.float64)
LongTensor = _typed(dtypes.int64)
IntTensor = _typed(dtypes.int32)
ByteTensor = _typed(dtypes.uint8)
BoolTensor = _typed(dtypes.bool)


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
