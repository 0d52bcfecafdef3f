"""Workers of a DataLoader: they fetch batches ahead of time, and the batches come back in order.

Workers are threads, unless the loader is given a `multiprocessing_context`. PyTorch's are processes, forked
by default; but the OpenMP library that runs the kernels kills a process forked after its first use. Threads
start at once, share the data set, copy no batch, and need nothing pickled; Python code takes turns among
them, while reading files, decoding pictures and NumPy's work run side by side. Processes of the context
"spawn" or "forkserver" run Python code side by side, too; data set, functions and batches are then pickled.
"""

import copy
import multiprocessing
import pickle
import queue
import random
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple

import numpy as np

from kernels import cpu
from tensor.data.collate import default_collate
from tensor.data.dataset import IterableDataset, find_batch_reader
from tensor.random import Generator, draw_by_default_from, manual_seed

PATIENCE = 1.0
"""Seconds between looks at whether worker processes still live."""


class WorkerRng(NamedTuple):
    """Generators of one worker thread, seeded with its seed.

    `torch_generator` is its default generator, too; those of `random` and `np.random` all threads share.
    """

    random_generator: random.Random
    torch_generator: Generator
    numpy_generator: np.random.Generator


@dataclass(frozen=True)
class WorkerInfo:
    """Who this worker is; see `get_worker_info`.

    id: from 0 to num_workers - 1. seed: the epoch's, plus id. dataset: this worker's copy, of which threads
    share the inner parts. rng: generators of a thread; None in a process, whose global ones are seeded.
    worker_method: "thread" or "multiprocessing".
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: WorkerRng | None = None
    worker_method: str = "thread"


_here = threading.local()


def get_worker_info() -> WorkerInfo | None:
    """Return who this worker is; None where no worker calls, but the loop itself."""
    return getattr(_here, "info", None)


@dataclass(frozen=True)
class Fetching:
    """How samples become batches; batch_size is None where they do not."""

    collate: Callable[[Any], Any]
    batched: bool
    batch_size: int | None
    drop_last: bool

    def start(self, dataset: Any) -> "Fetcher":
        return Fetcher(dataset, self)


class Fetcher:
    """Fetches batches of one data set, for one epoch."""

    def __init__(self, dataset: Any, how: Fetching) -> None:
        self._dataset, self._how = dataset, how
        self._stream = iter(dataset) if isinstance(dataset, IterableDataset) else None
        self._read = None
        if how.batched and how.collate is default_collate and self._stream is None:
            self._read = find_batch_reader(dataset)
        self._fetch_many = getattr(dataset, "__getitems__", None)

    def fetch(self, index: Any) -> Any:
        """Return the batch (or sample) of an index; of a stream the next one, or StopIteration."""
        how = self._how
        if self._stream is not None:
            return how.collate(self._next_of_stream(self._stream))
        if not how.batched:
            return how.collate(self._dataset[index])
        if self._read is not None and type(index) is list and index and all(type(i) is int for i in index):
            try:
                return self._read(index)
            except IndexError:
                pass  # fetched one by one, the sample at fault is named
        if self._fetch_many is not None:
            return how.collate(self._fetch_many(index))
        return how.collate([self._dataset[i] for i in index])

    def _next_of_stream(self, stream: Iterator[Any]) -> Any:
        if not self._how.batched:
            return next(stream)
        size = self._how.batch_size or 0
        batch = [sample for _, sample in zip(range(size), stream, strict=False)]
        if not batch or (self._how.drop_last and len(batch) < size):
            raise StopIteration
        return batch


class Failure:
    """An exception in a worker, with the worker's traceback as text."""

    def __init__(self, error: BaseException, where: str) -> None:
        self._kind: type[BaseException] = type(error)
        self._text = f"Caught {self._kind.__name__} {where}.\nOriginal {_format(error)}"

    def reraise(self) -> None:
        """Raise an exception of the same kind, or a RuntimeError where its kind cannot be made of a text."""
        text: Any = self._text
        if issubclass(self._kind, KeyError):
            text = _Verbatim(text)
        try:
            error = self._kind(text)
        except Exception:
            raise RuntimeError(self._text) from None
        raise error

    def plain(self) -> "Failure":
        """Return the same as a RuntimeError, for exceptions that cannot be pickled."""
        self._kind = RuntimeError
        return self


class _Verbatim(str):
    """A text that KeyError shows as it is, with its lines."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _format(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


class _End:
    """What a worker answers whose stream has ended."""


@dataclass(frozen=True)
class _Job:
    """What every worker is told once."""

    dataset: Any
    fetching: Fetching
    initialize: Callable[[int], Any] | None
    count: int
    seed: int


def _work(job: _Job, worker: int, method: str, tasks: Any, answers: Any) -> None:
    """Fetch what `tasks` say, (epoch, number, index), until one is None; answer with worker and batch."""
    where = f"in DataLoader worker {'thread' if method == 'thread' else 'process'} {worker}"
    cpu.set_num_threads(1)  # of this Python thread's kernels: the cores have other workers
    seed = (job.seed + worker) % 2**64
    rng, dataset = None, job.dataset
    if method == "thread":
        rng = WorkerRng(random.Random(seed), Generator().manual_seed(seed), np.random.default_rng(seed))
        draw_by_default_from(rng.torch_generator)
        dataset = _own_copy(dataset)
    else:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        manual_seed(seed)
    _here.info = WorkerInfo(worker, job.count, seed, dataset, rng, method)
    broken: Failure | None = None
    try:
        if job.initialize is not None:
            job.initialize(worker)
    except Exception as error:
        broken = Failure(error, where)
    fetcher, fetching_for = None, -1
    while (task := tasks.get()) is not None:
        epoch, number, index = task
        answer: Any = broken
        if broken is None:
            try:
                if fetcher is None or fetching_for != epoch:
                    fetcher, fetching_for = job.fetching.start(dataset), epoch
                answer = fetcher.fetch(index)
            except StopIteration as error:
                stream = isinstance(dataset, IterableDataset)
                answer = _End() if stream else Failure(error, where).plain()  # would end the loop unseen
            except Exception as error:
                answer = Failure(error, where)
        if method != "thread":
            answer = _pickle(answer, where)
        answers.put((epoch, number, worker, answer))
        del answer, task, index


def _own_copy(dataset: Any) -> Any:
    """Return a shallow copy, on which worker_init_fn may set attributes of this worker, as in a process."""
    if not hasattr(dataset, "__dict__"):  # lists and arrays have none, and would be copied as a whole
        return dataset
    try:
        return copy.copy(dataset)
    except Exception:  # it cannot be copied: then it is shared
        return dataset


def _pickle(answer: Any, where: str) -> bytes:
    """Pickle here: an error in the queue's own thread would be lost, and the loop would wait forever."""
    try:
        return pickle.dumps(answer)
    except Exception as error:
        return pickle.dumps(answer.plain() if isinstance(answer, Failure) else Failure(error, where).plain())


class Pool:
    """The workers of a loader, for one epoch or, where they persist, for all.

    context: None for threads, or the context of multiprocessing to start processes with.
    """

    def __init__(self, job: _Job, context: BaseContext | None) -> None:
        self.count = job.count
        self.epoch = 0  # the one under way
        self._threads = context is None
        self._processes: list[Any] = []
        if context is None:
            self._answers: Any = queue.SimpleQueue()
            self._tasks: list[Any] = [queue.SimpleQueue() for _ in range(job.count)]
        else:
            self._answers = context.Queue()
            self._tasks = [context.Queue() for _ in range(job.count)]
        for worker, tasks in enumerate(self._tasks):
            if context is None:
                # not the pool's method, and holding nothing of it: so the pool ends when it is dropped
                arguments: tuple = (job, worker, "thread", tasks, self._answers)
                threading.Thread(target=_work, args=arguments, name=f"loader-{worker}", daemon=True).start()
            else:
                arguments = (job, worker, "multiprocessing", tasks, self._answers)
                process = context.Process(target=_work, args=arguments, daemon=True)  # type: ignore[attr-defined]
                process.start()
                self._processes.append(process)
        self._close = weakref.finalize(self, _end_workers, self._tasks, self._processes)

    def ask(self, worker: int, task: tuple[int, int, Any]) -> None:
        """Give a worker a task."""
        self._tasks[worker].put(task)

    def answer(self, timeout: float) -> tuple[int, int, int, Any]:
        """Return the next answer; RuntimeError after `timeout` seconds (0: never), or if a process died."""
        limit = time.monotonic() + timeout if timeout else None
        while True:
            left = limit - time.monotonic() if limit else None
            wait = left if self._threads else min(PATIENCE, left if left is not None else PATIENCE)
            try:
                epoch, number, worker, answer = self._answers.get(timeout=wait and max(wait, 0.0))
            except queue.Empty:
                dead = [str(process.pid) for process in self._processes if not process.is_alive()]
                if dead:
                    raise RuntimeError(
                        f"DataLoader worker (pid(s) {', '.join(dead)}) exited unexpectedly"
                    ) from None
                if limit and time.monotonic() >= limit:
                    raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None
                continue
            return epoch, number, worker, answer if self._threads else pickle.loads(answer)

    def close(self) -> None:
        """Let the workers end; what they are at, they finish."""
        self._close()


def _end_workers(tasks: list[Any], processes: list[Any]) -> None:
    for tasks_of_one in tasks:
        tasks_of_one.put(None)
    for process in processes:
        process.join(PATIENCE)
        if process.is_alive():
            process.terminate()
            process.join()


class Ahead:
    """One epoch fetched by workers: `prefetch` tasks a worker are under way, and answers come in order."""

    def __init__(
        self, pool: Pool, indices: Iterator[Any], prefetch: int, timeout: float, in_order: bool
    ) -> None:
        pool.epoch += 1
        self._pool, self._epoch, self._indices = pool, pool.epoch, indices
        self._timeout, self._in_order = timeout, in_order
        self._sent = 0  # tasks
        self._next_worker = 0
        self._live = [True] * pool.count
        self._under_way: dict[int, int] = {}  # task -> worker
        self._early: dict[int, Any] = {}  # answers that came before their turn
        for _ in range(max(prefetch, 1) * pool.count):
            self._send()

    def _send(self) -> None:
        """Give the next task to the next worker, if there are both."""
        for _ in range(self._pool.count):
            worker, self._next_worker = self._next_worker, (self._next_worker + 1) % self._pool.count
            if self._live[worker]:
                break
        else:
            return
        try:
            index = next(self._indices)
        except StopIteration:
            return
        self._pool.ask(worker, (self._epoch, self._sent, index))
        self._under_way[self._sent] = worker
        self._sent += 1

    def __next__(self) -> Any:
        if self._epoch != self._pool.epoch:
            raise RuntimeError(
                "DataLoader: this epoch ended when another was begun with the same persistent workers; "
                "finish one before the next, or use a second DataLoader"
            )
        while self._under_way or self._early:
            number = self._take_number()
            answer = self._early.pop(number)
            if isinstance(answer, _End):
                continue
            self._send()
            if isinstance(answer, Failure):
                answer.reraise()
            return answer
        raise StopIteration

    def _take_number(self) -> int:
        """Wait for the answer that is to be given next, and return its number."""
        while True:
            wanted = min([*self._under_way, *self._early]) if self._in_order else min(self._early, default=-1)
            if wanted in self._early:
                return wanted
            epoch, number, worker, answer = self._pool.answer(self._timeout)
            if epoch != self._epoch:  # of an epoch that was left
                continue
            del self._under_way[number]
            self._early[number] = answer
            if isinstance(answer, _End) and self._live[worker]:
                self._live[worker] = False
                self._send()


def start_pool(
    dataset: Any,
    fetching: Fetching,
    initialize: Callable[[int], Any] | None,
    count: int,
    seed: int,
    context: BaseContext | None,
) -> Pool:
    """Start `count` workers over the data set."""
    return Pool(_Job(dataset, fetching, initialize, count, seed), context)


def find_context(given: Any) -> BaseContext | None:
    """Return the context of multiprocessing that is asked for; None where none is.

    Raises ValueError for an unknown start method and for "fork", TypeError for what is no context.
    """
    if given is None:
        return None
    if isinstance(given, str):
        known = multiprocessing.get_all_start_methods()
        if given not in known:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {known!r}, but got "
                f"multiprocessing_context={given!r}"
            )
        given = multiprocessing.get_context(given)
    if not isinstance(given, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string specifying the "
            f"start method, but got multiprocessing_context={given}"
        )
    if given.get_start_method() == "fork":
        raise ValueError(
            "multiprocessing_context: a process forked after kernels have run is killed by their OpenMP "
            "library; use 'spawn', 'forkserver', or None for threads"
        )
    return given
