"""Batches: a sampler says which samples, a data set gives them, a collate function joins them."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from tensor.data.collate import default_collate, default_convert, pin
from tensor.data.dataset import Dataset, IterableDataset
from tensor.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from tensor.data.workers import Ahead, Fetcher, Fetching, Pool, find_context, get_worker_info, start_pool
from tensor.devices import missing_for_cuda
from tensor.random import Generator, find_generator

__all__ = ["DataLoader", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)


class DataLoader(Generic[T_co]):
    """Iterates over a data set in batches; each `for` loop over it is one epoch.

    dataset: a Dataset (anything with `[index]` and `len`) or an IterableDataset.
    batch_size: samples a batch, 1 by default; None for single samples, not collated.
    shuffle: visit the samples at random, in the order that PyTorch does for the same seed; False by default.
    sampler: an iterable of indices instead. batch_sampler: an iterable of lists of indices, instead of
        batch_size, shuffle, sampler and drop_last.
    num_workers: how many workers fetch batches ahead of time; 0 by default: the loop itself fetches them.
        Workers are threads: they share the data set (each has a shallow copy). Each has a default generator
        of its own, seeded as PyTorch's; but they share the generators of `random` and `np.random`, instead
        of which draw from `get_worker_info().rng`. With multiprocessing_context "spawn" or "forkserver" they
        are processes. See `tensor.data.workers`.
    collate_fn: joins a list of samples to a batch; `default_collate` (`default_convert` where batch_size is
        None) by default. With the default, the batches of a TensorDataset are gathered as a whole.
    pin_memory: put the tensors of each batch into memory from which a GPU copies faster, and by itself: see
        `Tensor.to(non_blocking=True)`. Without a GPU there is no such memory, and it has no effect.
        pin_memory_device: accepted; there is one GPU.
    drop_last: leave out a last batch that is smaller.
    generator: what the shuffling draws from; by default each epoch's order is seeded from the default
        generator.
    timeout: seconds to wait for workers, then RuntimeError; 0, the default, is forever.
    worker_init_fn: called in each worker with its id.
    prefetch_factor: batches that each worker fetches ahead, 2 by default.
    persistent_workers: let workers live until the loader is dropped, not for one epoch. in_order: True, the
        default, for batches in the order of the sampler; False for each as soon as it is there.

    An exception in a worker is raised in the loop, of the same kind, with the worker's traceback in its text.
    Raises ValueError where arguments exclude one another, and for multiprocessing_context "fork".
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
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
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
        self.multiprocessing_context = find_context(multiprocessing_context)
        self.prefetch_factor, self.persistent_workers = prefetch_factor, persistent_workers
        self._reported_length: int | None = None
        self._pool: Pool | None = None  # of workers that persist
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
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if num_workers > 0:
        return
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
        self._count = 0
        batched = loader.batch_sampler is not None
        fetching = Fetching(loader.collate_fn, batched, loader.batch_size, loader.drop_last)
        self._indices: Iterator[Any] = iter(loader.batch_sampler if batched else loader.sampler)  # type: ignore[arg-type]
        self._pool = loader._pool
        if self._pool is None:
            # PyTorch seeds its workers here, also where there are none: whatever draws next sees that draw.
            seed = find_generator(loader.generator).random_int64()
        if loader.num_workers == 0:
            self._fetcher = Fetcher(loader.dataset, fetching)
            return
        if self._pool is None:
            self._pool = start_pool(
                loader.dataset, fetching, loader.worker_init_fn, loader.num_workers, seed,
                loader.multiprocessing_context,
            )  # fmt: skip
        if loader.persistent_workers:
            loader._pool = self._pool
        prefetch = loader.prefetch_factor or 0
        self._ahead = Ahead(self._pool, self._indices, prefetch, loader.timeout, loader.in_order)

    def __iter__(self) -> "_Iteration":
        return self

    def __len__(self) -> int:
        return len(self._loader)

    def __next__(self) -> Any:
        if self._pool is None:
            batch = self._fetcher.fetch(next(self._indices))
        else:
            try:
                batch = next(self._ahead)
            except StopIteration:
                if not self._loader.persistent_workers:
                    self._pool.close()
                raise
        self._count += 1
        self._warn_of_length()
        return pin(batch) if self._loader.pin_memory and missing_for_cuda() is None else batch

    def _warn_of_length(self) -> None:
        length = self._loader._reported_length
        if length is not None and self._count > length:
            advice = ""
            if self._pool is not None:
                advice = " Each worker has the whole stream, unless it asks get_worker_info() for its part."
            warnings.warn(
                f"Length of IterableDataset {self._loader.dataset} was reported to be {length} (when "
                f"accessing len(dataloader)), but {self._count} samples have been fetched.{advice}",
                stacklevel=3,
            )
