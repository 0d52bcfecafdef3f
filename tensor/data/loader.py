"""Batches: a sampler says which samples, a data set gives them, a collate function joins them."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from tensor.data.collate import default_collate, default_convert
from tensor.data.dataset import Dataset, IterableDataset, find_batch_reader
from tensor.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from tensor.random import Generator, default_generator

T_co = TypeVar("T_co", covariant=True)


class DataLoader(Generic[T_co]):
    """Iterates over a data set in batches; each `for` loop over it is one epoch.

    dataset: a Dataset (anything with `[index]` and `len`) or an IterableDataset.
    batch_size: samples a batch, 1 by default; None for single samples, not collated.
    shuffle: visit the samples at random, in the order that PyTorch does for the same seed; False by default.
    sampler: an iterable of indices instead. batch_sampler: an iterable of lists of indices, instead of
        batch_size, shuffle, sampler and drop_last.
    num_workers: 0, the only number so far: samples are fetched in this process.
    collate_fn: joins a list of samples to a batch; `default_collate` (`default_convert` where batch_size is
        None) by default. With the default, the batches of a TensorDataset are gathered as a whole.
    pin_memory, pin_memory_device, in_order: accepted; without effect on the CPU.
    drop_last: leave out a last batch that is smaller.
    generator: what the shuffling draws from; by default each epoch's order is seeded from the default
        generator.
    timeout, worker_init_fn, multiprocessing_context, prefetch_factor, persistent_workers: for workers.

    Raises ValueError where arguments exclude one another, NotImplementedError for num_workers > 0.
    """

    dataset: Any
    batch_size: int | None
    sampler: Iterable[Any]
    batch_sampler: Iterable[Any] | None
    drop_last: bool

    _FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")
    _initialized = False

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ):
        _check_worker_options(
            num_workers, timeout, multiprocessing_context, prefetch_factor, persistent_workers
        )
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            for name, value in (
                ("shuffle", shuffle or None),
                ("sampler", sampler),
                ("batch_sampler", batch_sampler),
            ):
                if value is not None:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, "
                        f"but got {name}={value}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                    "and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
            )
        if sampler is None:
            if self._iterable:
                sampler = _Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                sampler = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)

        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        default = default_convert if batch_sampler is None else default_collate
        self.collate_fn = default if collate_fn is None else collate_fn
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.pin_memory, self.pin_memory_device, self.in_order = pin_memory, pin_memory_device, in_order
        self.multiprocessing_context = multiprocessing_context
        self.prefetch_factor, self.persistent_workers = prefetch_factor, persistent_workers
        self._reported_length: int | None = None
        self._initialized = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in self._FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        return _Iteration(self)

    def __len__(self) -> int:
        """Return the number of batches; TypeError where the data set or the sampler has no length."""
        if not self._iterable:
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
        length = self._reported_length = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)


def _check_worker_options(
    num_workers: int, timeout: float, context: Any, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers > 0:
        raise NotImplementedError(
            f"DataLoader: num_workers={num_workers} is not supported yet; use num_workers=0, which fetches "
            "the samples in this process"
        )
    if prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing (num_workers > 0)"
        )
    if persistent_workers:
        raise ValueError("persistent_workers option needs num_workers > 0")
    if context is not None:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
            f"num_workers={num_workers}"
        )


class _Endless(Sampler[None]):
    """Stands for the indices of an IterableDataset, which needs none."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class _Iteration:
    """One epoch of a DataLoader."""

    def __init__(self, loader: DataLoader[Any]):
        self._loader = loader
        self._collate = loader.collate_fn
        self._batched = loader.batch_sampler is not None
        index_sampler = loader.batch_sampler if loader.batch_sampler is not None else loader.sampler
        self._indices = iter(index_sampler)
        # PyTorch seeds its workers here, also where there are none: the draw is seen by whatever draws next.
        (loader.generator or default_generator).random_int64()
        self._stream = iter(loader.dataset) if loader._iterable else None
        self._read = None
        if self._batched and self._collate is default_collate and not loader._iterable:
            self._read = find_batch_reader(loader.dataset)
        self._fetch_many = getattr(loader.dataset, "__getitems__", None)
        self._count = 0

    def __iter__(self) -> "_Iteration":
        return self

    def __len__(self) -> int:
        return len(self._loader)

    def __next__(self) -> Any:
        if self._stream is not None:
            return self._collate(self._next_of_stream(self._stream))
        index = next(self._indices)
        if not self._batched:
            return self._collate(self._loader.dataset[index])
        if self._read is not None and type(index) is list and index and all(type(i) is int for i in index):
            try:
                return self._read(index)
            except IndexError:
                pass  # fetched one by one, the sample at fault is named
        if self._fetch_many is not None:
            return self._collate(self._fetch_many(index))
        return self._collate([self._loader.dataset[i] for i in index])

    def _next_of_stream(self, stream: Iterator[Any]) -> Any:
        self._count += 1
        if not self._batched:
            sample = next(stream)
            self._warn_of_length()
            return sample
        size = self._loader.batch_size or 0
        batch = [sample for _, sample in zip(range(size), stream, strict=False)]
        if not batch or (self._loader.drop_last and len(batch) < size):
            raise StopIteration
        self._warn_of_length()
        return batch

    def _warn_of_length(self) -> None:
        length = self._loader._reported_length
        if length is not None and self._count > length:
            warnings.warn(
                f"Length of IterableDataset {self._loader.dataset} was reported to be {length} (when "
                f"accessing len(dataloader)), but {self._count} samples have been fetched.",
                stacklevel=3,
            )


def get_worker_info() -> None:
    """Return None: samples are fetched in this process, not by a worker."""
    return None
