"""Where samples come from: anything with `[index]` and `len`, or anything that can be iterated."""

import itertools
import math
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from tensor.engine import Tensor
from tensor.random import Generator, find_generator

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Samples by index: subclasses define `__getitem__(index)` and, for most samplers, `__len__()`.

    `__getitems__(indices) -> list of samples` may be defined too; a DataLoader then fetches whole batches.
    """

    def __getitem__(self, index) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: "Dataset[T_co]") -> Any:
        return ConcatDataset([self, other])

    # No default __len__: `len()` of a data set without one has to fail as it does for any object.


class IterableDataset(Dataset[T_co]):
    """Samples in the order they come in: subclasses define `__iter__()`, and `__len__()` if they can."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")

    def __add__(self, other: Dataset[T_co]) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """The rows of tensors: sample i is the tuple of `t[i]`.

    tensors: (N, ...) each, of one N. Raises AssertionError where their N differ, TypeError for something
    other than tensors.
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor):
        for i, t in enumerate(tensors):
            if not isinstance(t, Tensor):
                raise TypeError(
                    f"TensorDataset: expected tensors, got {type(t).__name__} at position {i}; "
                    "wrap an array: from_numpy(...)"
                )
        sizes = [t.shape[0] for t in tensors]
        if len(set(sizes)) > 1:
            raise AssertionError(f"TensorDataset: Size mismatch between tensors: {sizes} samples")
        self.tensors = tensors

    def __getitem__(self, index) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class StackDataset(Dataset[Any]):
    """Data sets side by side: sample i is the tuple (or, given by name, the dict) of their samples i.

    Raises ValueError where their lengths differ, where none is given, and for both kinds at once.
    """

    datasets: Any

    def __init__(self, *args: Dataset, **kwargs: Dataset):
        if args and kwargs:
            raise ValueError(
                "StackDataset: supported either tuple- (via args) or dict- (via kwargs) like input/output, "
                "but both types are given."
            )
        if not args and not kwargs:
            raise ValueError("StackDataset: At least one dataset should be passed")
        self.datasets = args or kwargs
        lengths = [len(dataset) for dataset in args or kwargs.values()]  # type: ignore[arg-type]
        if len(set(lengths)) > 1:
            raise ValueError(f"StackDataset: Size mismatch between datasets: {lengths} samples")
        self._length = lengths[0]

    def __getitem__(self, index) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Return the samples at `indices`, fetched at once from the data sets that can do that."""
        named = isinstance(self.datasets, dict)
        columns = []
        for dataset in self.datasets.values() if named else self.datasets:
            columns.append(_fetch(dataset, indices))
            if len(columns[-1]) != len(indices):
                raise ValueError(
                    "StackDataset: Nested dataset's output size mismatch. "
                    f"Expected {len(indices)}, got {len(columns[-1])}"
                )
        rows = zip(*columns, strict=True)
        return [dict(zip(self.datasets, row, strict=True)) for row in rows] if named else list(rows)

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """Data sets one after the other. Raises AssertionError for none, and for an IterableDataset."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset; use ChainDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """Return where each data set ends."""
        return list(itertools.accumulate(len(dataset) for dataset in sequence))

    def __getitem__(self, index) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError("ConcatDataset: absolute value of index should not exceed dataset length")
            index += len(self)
        which = bisect_right(self.cumulative_sizes, index)
        if which == len(self.datasets):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset[T_co]):
    """Streams one after the other. Raises AssertionError, when it comes to it, for what is no stream."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]):
        self.datasets = datasets

    def _streams(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset; use ConcatDataset")
            yield dataset

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self._streams():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._streams())


class Subset(Dataset[T_co]):
    """The samples of a data set at some indices.

    dataset: a data set with `[index]`. indices: a sequence; sample i is `dataset[indices[i]]`.
    """

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]):
        self.dataset = dataset
        self.indices = indices
        if _overrides(self, Subset, "__getitem__") and not _overrides(self, Subset, "__getitems__"):
            raise NotImplementedError(
                f"{type(self).__name__} overrides __getitem__ but not __getitems__, which a DataLoader "
                "calls; add: def __getitems__(self, indices): return [self[i] for i in indices]"
            )

    def __getitem__(self, index):
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        """Return the samples at `indices`, fetched at once where the data set can do that."""
        inner = [self.indices[i] for i in indices]
        return _fetch(self.dataset, inner)

    def __len__(self) -> int:
        return len(self.indices)


def _fetch(dataset: Any, indices: list[int]) -> list[Any]:
    fetch = getattr(dataset, "__getitems__", None)
    return fetch(indices) if callable(fetch) else [dataset[i] for i in indices]


def random_split(
    dataset: Dataset[T_co],
    lengths: Sequence[int | float],
    generator: Generator | None = None,
) -> list[Subset[T_co]]:
    """Divide a data set at random into parts, the ones PyTorch makes for the same seed.

    lengths: numbers of samples that add up to len(dataset), or fractions that add up to 1 (rounded down; the
    samples left over go to the parts in turn). generator: the default generator if omitted. Raises ValueError
    where the lengths do not add up or a fraction is not in [0, 1]; warns of an empty part.
    """
    total: int = len(dataset)  # type: ignore[arg-type]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        for i, fraction in enumerate(lengths):
            if not 0 <= fraction <= 1:
                raise ValueError(
                    f"random_split: Fraction at index {i} is not between 0 and 1, got {fraction}"
                )
        counts = [math.floor(total * fraction) for fraction in lengths]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
        for i, count in enumerate(counts):
            if count == 0:
                warnings.warn(
                    f"Length of split at index {i} is 0. This might result in an empty dataset.", stacklevel=2
                )
    else:
        counts = [int(n) for n in lengths]
    if sum(counts) != total:
        raise ValueError(
            "random_split: Sum of input lengths does not equal the length of the input dataset: "
            f"{sum(lengths)} and {total}"
        )
    order = find_generator(generator).permutation(total).tolist()
    ends = itertools.accumulate(counts)
    return [Subset(dataset, order[end - n : end]) for end, n in zip(ends, counts, strict=True)]


def find_batch_reader(dataset: Any) -> Callable[[list[int]], list[Tensor]] | None:
    """Return a function that reads a batch at once, if `dataset` is made of tensors; else None.

    The function returns what `default_collate([dataset[i] for i in indices])` would, by one gather a tensor.
    """
    if isinstance(dataset, TensorDataset):
        plain = not _overrides(dataset, TensorDataset, "__getitem__", "__getitems__")
        # The gradient of rows that were stacked is recorded step by step: not here.
        if plain and not any(t.requires_grad or t.device.type != "cpu" for t in dataset.tensors):
            return lambda indices: _read_rows(dataset.tensors, indices)
    elif isinstance(dataset, Subset):
        read = find_batch_reader(dataset.dataset)
        if read is not None and not _overrides(dataset, Subset, "__getitem__", "__getitems__"):
            return lambda indices: read([dataset.indices[i] for i in indices])
    return None


def _read_rows(tensors: tuple[Tensor, ...], indices: list[int]) -> list[Tensor]:
    rows = np.array(indices, np.int64)
    return [t._wrap(t._array.take(rows, 0)) for t in tensors]


def _overrides(dataset: Any, base: type, *names: str) -> bool:
    return any(getattr(type(dataset), name, None) is not getattr(base, name, None) for name in names)
