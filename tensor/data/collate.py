"""From a list of samples to one batch."""

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from tensor import dtypes
from tensor.creation import as_tensor, from_numpy, tensor
from tensor.engine import Tensor
from tensor.join import stack


def default_collate(batch: Sequence[Any]) -> Any:
    """Join samples into a batch, with a new first dimension.

    Tensors, arrays and NumPy numbers are stacked; ints and bools become an int64 or bool tensor, floats a
    float64 one; strings and bytes stay as they are. Dicts, namedtuples, tuples and lists are joined entry by
    entry: a dict of batches, a namedtuple of them, and a list for tuples and lists. Raises RuntimeError where
    tensors or sequences differ in size, TypeError for samples of another kind, IndexError for an empty batch.
    """
    if len(batch) == 0:
        raise IndexError("default_collate: the batch has no samples")
    first = batch[0]
    if isinstance(first, Tensor):
        return _stack(batch)
    if isinstance(first, np.ndarray):
        return _stack([as_tensor(_numeric(sample)) for sample in batch])
    if isinstance(first, np.generic) and not isinstance(first, float | str | bytes):
        return from_numpy(_numeric(np.array(batch)))
    if isinstance(first, float):
        return tensor(batch, dtype=dtypes.float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return _like_mapping(
            first, {key: default_collate([sample[key] for sample in batch]) for key in first}
        )
    if isinstance(first, Sequence):
        return _like_sequence(first, [default_collate(entries) for entries in _columns(batch)])
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}; pass a collate_fn"
    )


def default_convert(data: Any) -> Any:
    """Return one sample with its arrays and NumPy numbers as tensors; all else stays as it is."""
    if isinstance(data, np.ndarray | np.generic) and not isinstance(data, str | bytes):
        return data if data.dtype.kind in "SaUO" else as_tensor(np.asarray(data))
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _like_sequence(data, [default_convert(value) for value in data])
    return data


def pin(batch: Any) -> Any:
    """Return a batch with its tensors in pinned memory; what has a method `pin_memory` sees to it itself."""
    if hasattr(batch, "pin_memory"):
        return batch.pin_memory()
    if isinstance(batch, Mapping):
        return _like_mapping(batch, {key: pin(value) for key, value in batch.items()})
    if isinstance(batch, Sequence) and not isinstance(batch, str | bytes):
        return _like_sequence(batch, [pin(value) for value in batch])
    return batch


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    for i, t in enumerate(tensors):
        if t.shape != tensors[0].shape:
            raise RuntimeError(
                "default_collate: stack expects each tensor to be equal size, but got "
                f"{list(tensors[0].shape)} at entry 0 and {list(t.shape)} at entry {i}; pad the samples in "
                "the data set, or pass a collate_fn that does"
            )
    return stack(tensors)


def _numeric(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "SaUO":
        raise TypeError(
            "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
            f"found {array.dtype}"
        )
    return array


def _columns(batch: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    sizes = [len(sample) for sample in batch]
    if len(set(sizes)) > 1:
        raise RuntimeError(
            "default_collate: each element in list of batch should be of equal size, got lengths "
            f"{sorted(set(sizes))}"
        )
    return list(zip(*batch, strict=True))


def _like_mapping(sample: Mapping[Any, Any], entries: dict[Any, Any]) -> Any:
    """Return `entries` in a mapping of the sample's type, and with its other attributes, where it allows."""
    try:
        if not isinstance(sample, MutableMapping):
            return type(sample)(entries)  # type: ignore[call-arg]
        clone = copy.copy(sample)
        clone.update(entries)
        return clone
    except TypeError:
        return entries


def _like_sequence(sample: Sequence[Any], entries: list[Any]) -> Any:
    """Return `entries` in a sequence of the sample's type where it allows; a plain tuple becomes a list."""
    if isinstance(sample, tuple):
        return type(sample)(*entries) if hasattr(sample, "_fields") else entries
    try:
        if not isinstance(sample, MutableSequence):
            return type(sample)(entries)  # type: ignore[call-arg]
        clone = copy.copy(sample)
        for i, entry in enumerate(entries):
            clone[i] = entry
        return clone
    except TypeError:
        return entries
