"""In which order elements lie in memory: layouts and memory formats, as names and as strides."""

import math


class layout:
    """How a tensor is stored; there is one: `strided`."""

    def __init__(self, name: str):
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"


class memory_format:
    """The order in memory that a copy is to have."""

    def __init__(self, name: str):
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
_CHANNELS_LAST = {channels_last: 4, channels_last_3d: 5}


def has_format(array, format: memory_format, operation: str) -> bool:
    """Return whether the elements of an array lie in this order, without gaps."""
    if format is contiguous_format:
        return array.flags.c_contiguous
    _check(format, operation)
    if array.ndim != _CHANNELS_LAST[format]:
        return False
    return array.transpose(0, *range(2, array.ndim), 1).flags.c_contiguous


def strides_of(array, format: memory_format, operation: str) -> tuple[int, ...] | None:
    """Return the strides of a copy in this order; None where that is the order of its positions."""
    if format is contiguous_format:
        return None
    if format is preserve_format:
        dense = is_dense(array) and not array.flags.c_contiguous
        return array.strides if dense else None
    _check(format, operation)
    if array.ndim != _CHANNELS_LAST[format]:
        raise RuntimeError(
            f"{operation}: required rank {_CHANNELS_LAST[format]} tensor to use {format!r} format, got "
            f"{array.ndim}-D"
        )
    last = array.ndim - 1
    steps = [math.prod(array.shape[d + 1 :]) * array.shape[1] for d in range(2, last + 1)]
    return (math.prod(array.shape[1:]), 1, *steps)


def is_dense(array) -> bool:
    """Return whether the elements fill their memory without gaps, each at one position, in any order."""
    expected = array.itemsize
    for stride, size in sorted(zip(array.strides, array.shape, strict=True)):
        if size > 1:
            if stride != expected:
                return False
            expected *= size
    return True


def _check(format, operation: str) -> None:
    if format not in _CHANNELS_LAST:
        raise RuntimeError(
            f"{operation}: expected a memory format (torch.contiguous_format, torch.channels_last), "
            f"got {format!r}"
        )
