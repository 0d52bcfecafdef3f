"""kernels/cuda/indexing.py beside the CPU's: the same results for every kind of index."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cpu
from kernels import cuda as k
from kernels.cuda.radix import sort_keys

pytestmark = pytest.mark.usefixtures("device")
RNG = np.random.default_rng(0)
_ALL = slice(None)
INDICES = [
    np.array([0, 2, 2, -1]),
    np.array([[0, 1], [2, 0]], np.int32),
    np.array([], np.int64),
    np.array(1),
    (np.array([0, 1, 0]), np.array([1, -1, 1])),
    (_ALL, np.array([3, 0, 3])),
    (_ALL, _ALL, np.array([[1], [1]])),
    (np.array([0, 2, 0]), _ALL, np.array([1, 0, 1])),
    (_ALL, np.array([0, 2]), np.array([1, 0])),
    np.array([True, False, True]),
    np.array([False, False, False]),
    (_ALL, np.array([True, False, True, False])),
    (_ALL, np.arange(8).reshape(4, 2) % 3 == 0),
    (np.array([[0], [2]]), np.array([1, 3])),
    (np.array([0, 1]), np.array([True, False, True, False])),
    np.array(True),
    (_ALL, np.array(False)),
]


def on_gpu(index):
    if isinstance(index, tuple):
        return tuple(item if isinstance(item, slice) else k.from_host(item) for item in index)
    return k.from_host(index)


def same(found, expected) -> None:
    host = k.to_host(found)
    assert host.dtype == expected.dtype
    assert host.shape == expected.shape
    np.testing.assert_allclose(host, expected, 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("index", INDICES, ids=str)
def test_take_put_and_scatter_add(index, dtype: str) -> None:
    x = np.arange(24).reshape(3, 4, 2).astype(dtype)
    for host in (x, np.asfortranarray(np.repeat(x, 2, 2))[:, :, ::2]):
        same(k.take(k.from_host(host), on_gpu(index)), x[index])
    values = RNG.integers(1, 50, x[index].shape).astype(dtype)
    expected = np.zeros_like(x)
    np.add.at(expected, index, values)
    for layout in (values, np.asfortranarray(values)):
        found = k.scatter_add(k.from_host(layout), on_gpu(index), x.shape)
        same(found, expected)
        assert found.flags.c_contiguous
    for value in (values, np.asarray(7, dtype), np.asarray([7], dtype)):
        written, wanted = k.from_host(np.asfortranarray(x)), x.copy()
        k.put(written, on_gpu(index), k.from_host(value))
        wanted[index] = value
        same(written, wanted)


def test_more_dims_than_a_launch_takes() -> None:
    x = RNG.normal(size=(2,) * 9).astype(np.float32)
    index = (_ALL, _ALL, _ALL, _ALL, np.array([1, 0, 0]))
    order = [*range(0, 9, 2), *range(1, 9, 2)]
    same(k.take(k.from_host(x).transpose(order), on_gpu(index)), x.transpose(order)[index])
    written = k.from_host(x)
    k.put(written.transpose(order), on_gpu(index), k.zeros((), x.dtype))
    x.transpose(order)[index] = 0
    same(written, x)


def test_the_last_of_many_stays() -> None:
    positions, values = RNG.integers(0, 5, 40), np.arange(40.0)
    expected = np.zeros(5)
    expected[positions] = values
    written = k.from_host(np.zeros(5))
    k.put(written, k.from_host(positions), k.from_host(values))
    same(written, expected)


def test_values_in_the_memory_that_is_written() -> None:
    x = k.from_host(np.arange(6.0))
    k.put(x, k.from_host(np.array([1, 2, 3, 4, 5])), x[:5])
    same(x, np.array([0.0, 0, 1, 2, 3, 4]))


@pytest.mark.parametrize("size", [0, 1, 33, 100])
@pytest.mark.parametrize("limit", [1, 300])
def test_sorted_keys(size: int, limit: int) -> None:
    keys = RNG.integers(0, limit, size)
    found, order = sort_keys(k.from_host(keys), limit)
    same(order, np.argsort(keys, kind="stable"))
    same(found, np.sort(keys))


@pytest.mark.parametrize(("rows", "limit"), [(1, 1), (32, 2), (33, 2), (65, 40), (600, 2)])
def test_long_and_short_runs(rows: int, limit: int) -> None:
    keys = RNG.integers(0, limit, rows) // 3  # sorted, they end within a thread's rows and at their ends
    values = RNG.integers(-9, 9, (rows, 2)).astype(np.float32)
    expected = np.zeros((limit, 2), np.float32)
    np.add.at(expected, keys, values)
    same(k.scatter_add(k.from_host(values), k.from_host(keys), (limit, 2)), expected)


@pytest.mark.parametrize("length", [31, 32, 33])
def test_runs_at_the_ends_of_parts(length: int) -> None:
    keys = np.repeat([2, 0, 5, 5], length)
    values = np.arange(keys.size, dtype=np.int64)
    expected = np.zeros(6, np.int64)
    np.add.at(expected, keys, values)
    same(k.scatter_add(k.from_host(values), k.from_host(keys), (6,)), expected)


def test_one_order_of_sums() -> None:
    values, keys = RNG.normal(size=100).astype(np.float32), RNG.integers(0, 3, 100)
    first, again = (k.scatter_add(k.from_host(values), k.from_host(keys), (3,)).tolist() for _ in range(2))
    assert first == again


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
def test_along(dim: int, dtype: str) -> None:
    shape, places = (3, 4, 2), [3, 4, 2]
    dim %= 3
    places[dim] = 5
    x = RNG.integers(0, 9, shape).astype(dtype)
    positions = RNG.integers(0, shape[dim], places)
    index, theirs = k.along(k.from_host(positions), dim), cpu.along(positions, dim)
    values = RNG.integers(0, 9, places).astype(dtype)
    same(k.take(k.from_host(x.T).T, index), np.take_along_axis(x, positions, dim))
    same(k.scatter_add(k.from_host(values), index, shape), cpu.scatter_add(values, theirs, shape))
    written, expected = k.from_host(x), x.copy()
    k.put(written, index, k.from_host(values))
    expected[theirs] = values
    same(written, expected)
    for reduce in ("sum", "mean", "prod", "amax", "amin"):
        for include in (True, False):
            same(
                k.scatter_reduce(k.from_host(x), index, k.from_host(values), reduce, include),
                cpu.scatter_reduce(x, theirs, values, reduce, include),
            )


def test_along_a_part_of_the_other_dims() -> None:
    x, positions = RNG.normal(size=(4, 3)), np.array([[2, 1], [0, 0]])
    same(
        k.take(k.from_host(x), k.along(k.from_host(positions), 1)),
        np.take_along_axis(x[:2], positions, 1),
    )
    same(
        k.scatter_add(k.from_host(np.ones((2, 2))), k.along(k.from_host(positions), 1), (4, 3)),
        np.array([[0, 1, 1], [2.0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    )


def test_nan_and_bools_worked_in() -> None:
    x, values = np.array([1.0, 2.0, 3.0]), np.array([np.nan, 5.0, -1.0])
    positions = np.array([0, 1, 1])
    for reduce in ("amax", "amin"):
        same(
            k.scatter_reduce(
                k.from_host(x), k.along(k.from_host(positions), 0), k.from_host(values), reduce, True
            ),
            cpu.scatter_reduce(x, cpu.along(positions, 0), values, reduce, True),
        )
    truths = k.scatter_add(k.from_host(np.ones(256, bool)), k.from_host(np.zeros(256, int)), (2,))
    assert truths.tolist() == [True, False]


@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("by_frequency", [False, True])
def test_embedding(padding, by_frequency) -> None:
    index, grad = np.array([[0, 2, 4], [2, 2, 0]], np.int32), RNG.normal(size=(2, 3, 3)).astype(np.float32)
    same(
        k.embedding_dx(k.from_host(grad), k.from_host(index), 5, padding, by_frequency),
        cpu.embedding_dx(grad, index, 5, padding, by_frequency),
    )
    assert k.embedding_dx(k.zeros((0, 3), grad.dtype), k.from_host(index[:0]), 5, None, True).shape == (5, 3)


@pytest.mark.parametrize("order", [0.0, 0.5, 1.0, 2.0, 3.0, np.inf, -np.inf, -1.0])
def test_norms_are_limited(order: float) -> None:
    table = RNG.normal(size=(5, 7)).astype(np.float32)
    table[3] = 1e30
    table[4, 0] = np.nan
    index = np.array([[0, 3], [0, 4]])
    for host in (table, np.asfortranarray(table)):
        there, here = k.from_host(host), table.copy()
        k.limit_norms(there, k.from_host(index), 0.7, order)
        with np.errstate(all="ignore"):
            cpu.limit_norms(here, index, 0.7, order)
        same(there, here)


@pytest.mark.parametrize("shape", [(), (1,), (5, 3), (2, 3, 40), (0, 3), (3, 0)])
def test_nonzero(shape) -> None:
    x = RNG.integers(0, 2, shape)
    for host in (x, x.astype(bool), x.astype(np.float32), np.asfortranarray(x)):
        same(k.nonzero(k.from_host(np.asarray(host))), cpu.nonzero(np.asarray(host)))


def test_unravel_and_repeat() -> None:
    for found, expected in zip(
        k.unravel(k.from_host(np.array([0, 5, -1])), (3, 4)), ([0, 1, 2], [0, 1, 3]), strict=True
    ):
        assert found.tolist() == expected
    for counts in ([2, 0, 3, 0], [0, 0], [], 3):
        given = np.asarray(counts, np.int64)
        same(k.repeat(k.from_host(given)), cpu.repeat(given))
