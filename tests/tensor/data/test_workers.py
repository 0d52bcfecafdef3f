"""tensor/data/workers.py: the same batches in the same order, whoever fetches them; errors with a place."""

import os
import threading
import time
import weakref

import numpy as np
import pytest

import tensor as lg
from tensor.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info
from tensor.data.workers import PATIENCE
from tensor.random import Generator, manual_seed

WORKERS = [1, 2, 3]


class Numbers(Dataset):
    def __init__(self, count, action=None):
        self.count, self.action = count, action

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if self.action is not None:
            self.action(index)
        return index


class Shards(IterableDataset):
    """0 .. count - 1, divided among the workers."""

    def __init__(self, count):
        self.count = count

    def __iter__(self):
        info = get_worker_info()
        return iter(range(info.id, self.count, info.num_workers))


def batches(loader):
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 3, "shuffle": True},
        {"batch_size": 3, "shuffle": True, "prefetch_factor": 7, "drop_last": True},
        {"batch_sampler": [[0, 1], [9], [5, 2, 7]], "prefetch_factor": 0},
        {"batch_size": None},
    ],
)
def test_the_same_order_with_and_without(workers, persistent, options):
    generator = Generator().manual_seed(5)
    without = {key: value for key, value in options.items() if key != "prefetch_factor"}
    loader = DataLoader(TensorDataset(lg.arange(10)), generator=generator, **without)
    expected = [[batch.tolist() for (batch,) in loader]]
    generator = Generator().manual_seed(5)
    loader = DataLoader(
        TensorDataset(lg.arange(10)), generator=generator, num_workers=workers,
        persistent_workers=persistent, **options,
    )  # fmt: skip
    assert [[batch.tolist() for (batch,) in loader]] == expected
    assert len([None for _ in loader]) == len(expected[0])


def test_workers_that_persist_are_the_same_ones():
    seen = []
    dataset = Numbers(8, lambda _: seen.append(threading.get_ident()))
    loader = DataLoader(dataset, num_workers=2, persistent_workers=True)
    for _ in range(3):
        assert batches(loader) == [[i] for i in range(8)]
    assert len(set(seen)) == 2
    assert threading.get_ident() not in seen


def test_an_epoch_that_is_left():
    for persistent in (False, True):
        loader = DataLoader(Numbers(20), batch_size=2, num_workers=2, persistent_workers=persistent)
        for batch in loader:
            assert batch.tolist() == [0, 1]
            break
        assert batches(loader) == [[2 * i, 2 * i + 1] for i in range(10)]


def test_one_epoch_at_a_time_where_workers_persist():
    loader = DataLoader(Numbers(4), num_workers=1, persistent_workers=True)
    first = iter(loader)
    next(first)
    assert batches(loader) == [[0], [1], [2], [3]]
    with pytest.raises(RuntimeError, match="another was begun with the same persistent workers"):
        next(first)


def test_threads_end_when_the_loop_is_left():
    before = set(threading.enumerate())
    loader = DataLoader(Numbers(100), num_workers=2)
    batch = iter(loader)
    assert next(batch).tolist() == [0]
    threads = set(threading.enumerate()) - before
    assert len(threads) >= 2
    dropped = weakref.ref(batch)
    del batch
    assert dropped() is None
    for thread in threads:
        thread.join(10.0)
        assert not thread.is_alive()


def test_batches_are_fetched_ahead():
    fetched = []
    loader = DataLoader(Numbers(50, fetched.append), num_workers=2, prefetch_factor=3)
    next(iter(loader))
    limit = time.monotonic() + 10.0
    while len(fetched) < 6 and time.monotonic() < limit:
        time.sleep(0.001)
    time.sleep(0.05)
    assert 6 <= len(fetched) <= 7


def test_order_may_be_given_up():
    released = threading.Event()
    dataset = Numbers(4, lambda index: released.wait(10.0) if index == 0 else None)
    ready = iter(DataLoader(dataset, num_workers=2, in_order=False))
    assert next(ready).tolist() == [1]
    released.set()
    assert sorted(batch.item() for batch in ready) == [0, 2, 3]


def test_who_a_worker_is():
    assert get_worker_info() is None
    found = {}

    def note(worker):
        info = get_worker_info()
        found[worker] = info
        info.dataset.count = 3 + worker  # of this worker's copy

    dataset = Numbers(10)
    manual_seed(0)
    assert len(batches(DataLoader(dataset, num_workers=2, worker_init_fn=note))) == 10
    assert [found[i].id for i in range(2)] == [0, 1]
    assert found[1].seed == found[0].seed + 1
    assert found[0].num_workers == 2
    assert found[0].worker_method == "thread"
    assert [found[i].dataset.count for i in range(2)] == [3, 4]
    assert dataset.count == 10
    draws = [found[i].rng.random_generator.random() for i in range(2)]
    again = {}
    manual_seed(0)
    list(DataLoader(dataset, num_workers=2, worker_init_fn=lambda i: again.update({i: get_worker_info()})))
    assert [again[i].rng.random_generator.random() for i in range(2)] == draws
    assert draws[0] != draws[1]
    assert again[0].rng.numpy_generator.random() == found[0].rng.numpy_generator.random()
    assert again[0].rng.torch_generator.random_int64() == found[0].rng.torch_generator.random_int64()
    assert get_worker_info() is None


# PyTorch 2.13: torch.manual_seed(4), then two epochs of DataLoader(Draws(), batch_size=2, num_workers=2,
# shuffle=True), then torch.rand(1).
DRAWN = [
    [
        [0.4101096987724304, 3.6555769443511963],
        [1.4774751663208008, 2.940347909927368],
        [4.589710712432861, 5.676809310913086],
    ],
    [
        [2.572251796722412, 3.4213571548461914],
        [4.937008857727051, 1.9643160104751587],
        [0.14276498556137085, 5.162415027618408],
    ],
]
DRAWN_AFTER = 0.6185790300369263


class Draws(Dataset):
    """Six samples, index + a random number."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        time.sleep(0.001 * (index % 3))  # so that workers would draw in another order than they are asked
        return lg.rand(1)[0] + index


def test_workers_draw_what_pytorchs_draw():
    for _ in range(3):
        manual_seed(4)
        loader = DataLoader(Draws(), batch_size=2, num_workers=2, shuffle=True)
        assert [batches(loader) for _ in range(2)] == DRAWN
        assert lg.rand(1).item() == DRAWN_AFTER  # the loop's own generator has given two seeds an epoch


def test_whatever_draws_in_a_worker_draws_from_its_own_generator():
    def everything():
        lg.manual_seed(lg.initial_seed())
        for drawn in (lg.rand(3), lg.randn(3), lg.randint(9, (3,)), lg.randperm(3), lg.ones(3).uniform_()):
            yield drawn.tolist()
        yield lg.nn.functional.dropout(lg.ones(9)).tolist()
        yield list(lg.data.RandomSampler(range(9)))
        with lg.random.fork_rng():
            yield lg.ones(3).normal_().tolist()
        yield lg.get_rng_state().tolist()

    found = {}
    manual_seed(0)
    before = lg.get_rng_state().tolist()
    dataset = Numbers(4)
    note = lambda worker: found.update({worker: (get_worker_info().seed, list(everything()))})  # noqa: E731
    assert len(list(DataLoader(dataset, num_workers=2, worker_init_fn=note, generator=Generator()))) == 4
    assert lg.get_rng_state().tolist() == before
    for seed, numbers in found.values():
        manual_seed(seed)
        assert list(everything()) == numbers


@pytest.mark.parametrize("workers", WORKERS)
def test_streams(workers):
    loader = DataLoader(Shards(11), batch_size=2, num_workers=workers)
    for _ in range(2):
        found = batches(loader)
        assert sorted(i for batch in found for i in batch) == list(range(11))
    if workers == 2:
        assert found == [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9]]
    persistent = DataLoader(Shards(11), batch_size=2, num_workers=workers, persistent_workers=True)
    assert [batches(persistent) for _ in range(2)] == [found, found]
    assert batches(DataLoader(Shards(0), num_workers=workers)) == []


class TwoWords(Exception):
    def __init__(self, one, other):
        super().__init__(one, other)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("sample 3 is broken"), ValueError),
        (KeyError("sample 3 is broken"), KeyError),
        (TwoWords("sample 3", "is broken"), RuntimeError),
        (StopIteration("sample 3 is broken"), RuntimeError),
    ],
)
def test_an_error_in_a_worker_is_raised_in_the_loop(error, kind):
    def fail(index):
        if index == 3:
            raise error

    ready = iter(DataLoader(Numbers(6, fail), num_workers=2))
    assert [next(ready).item() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(kind) as raised:
        next(ready)
    text = str(raised.value)
    assert text.startswith(
        f"Caught {type(error).__name__} in DataLoader worker thread 1.\nOriginal Traceback"
    )
    assert "in fail" in text
    assert "broken" in text
    assert [batch.item() for batch in ready] == [4, 5]  # as PyTorch goes on


def test_an_error_of_worker_init_fn():
    def fail(worker):
        raise OSError("no such disk")

    with pytest.raises(OSError, match=r"(?s)Caught OSError in DataLoader worker thread 0.*no such disk"):
        list(DataLoader(Numbers(3), num_workers=1, worker_init_fn=fail))


def test_a_worker_that_takes_too_long():
    released = threading.Event()
    loader = DataLoader(Numbers(2, lambda _: released.wait(10.0)), num_workers=1, timeout=0.05)
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.05 seconds"):
        next(iter(loader))
    released.set()


def test_lists_and_arrays_are_not_copied():
    rows = np.arange(6.0)
    seen = []
    loader = DataLoader(
        rows, num_workers=2, worker_init_fn=lambda _: seen.append(get_worker_info().dataset is rows)
    )
    assert len(batches(loader)) == 6
    assert seen == [True, True]


# --- processes -----------------------------------------------------------------------------------------


def test_forking_is_refused():
    with pytest.raises(ValueError, match="killed by their OpenMP library; use 'spawn'"):
        DataLoader(Numbers(3), num_workers=1, multiprocessing_context="fork")


def test_processes():
    dataset = TensorDataset(lg.arange(10), lg.randn(10, 2))
    options = {"batch_size": 4, "shuffle": True}
    manual_seed(3)
    expected = list(DataLoader(dataset, **options))
    manual_seed(3)
    loader = DataLoader(dataset, num_workers=2, multiprocessing_context="spawn", **options)
    for ours, theirs in zip(loader, expected, strict=True):
        assert ours[0].tolist() == theirs[0].tolist()
        assert ours[1].tolist() == theirs[1].tolist()


def test_an_error_in_a_process():
    loader = DataLoader(
        TensorDataset(lg.arange(3)),
        sampler=[0, 5],
        num_workers=1,
        multiprocessing_context="spawn",
        timeout=60,
    )
    ready = iter(loader)
    assert next(ready)[0].tolist() == [0]
    with pytest.raises(IndexError, match="Caught IndexError in DataLoader worker process 0"):
        next(ready)


def test_a_process_that_dies():
    assert PATIENCE <= 5.0
    loader = DataLoader(
        TensorDataset(lg.arange(3)), num_workers=1, multiprocessing_context="spawn", worker_init_fn=os._exit
    )
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly"):
        next(iter(loader))
