"""kernels/cuda/updates.py: one launch for all parameters, on the same tables step after step."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cpu
from kernels import cuda as k
from kernels.cuda import updates, vectors

pytestmark = pytest.mark.usefixtures("device")
RNG = np.random.default_rng(0)
SIZES = (1, updates.PIECE, 0, 2 * updates.PIECE + 3)


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of kernels as they are launched."""
    names: list[str] = []
    launch = updates.Kernel.launch

    def note(kernel, *arguments) -> None:
        names.append(kernel.name)
        launch(kernel, *arguments)

    monkeypatch.setattr(updates.Kernel, "launch", note)
    return names


def draw(dtype=np.float32) -> list[np.ndarray]:
    return [RNG.normal(size=n).astype(dtype) for n in SIZES]


def on_gpu(arrays: list[np.ndarray]) -> list:
    return [k.from_host(a) for a in arrays]


def same(found: list, expected: list[np.ndarray], rtol: float = 1e-6) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.to_host(), b, rtol, rtol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_is_one_launch(launches: list[str], dtype) -> None:
    p, grads, mean, square = draw(dtype), draw(dtype), draw(dtype), [abs(a) for a in draw(dtype)]
    moved = on_gpu(p), on_gpu(mean), on_gpu(square)
    counts = np.full(len(SIZES), 3.0)
    rule = (0.1, 0.9, 0.99, 1e-8, 0.1, True, False, False)
    arrays, given = k.Arrays(*moved), on_gpu(grads)
    launches.clear()
    k.adam(arrays, given, counts, *rule)
    assert launches == ["adam"]
    cpu.adam(cpu.Arrays(p, mean, square), grads, counts, *rule)
    for found, expected in zip(moved, (p, mean, square), strict=True):
        same(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shifted", [None, "p", "grads", "mean", "square", "top"])
def test_vectors_are_for_arrays_that_all_begin_at_their_multiples(monkeypatch, dtype, shifted) -> None:
    by_vectors: list[int] = []
    monkeypatch.setattr(vectors, "_checked", note_calls(vectors._checked, by_vectors))
    n = 2 * updates.PIECE + 3
    host = {name: RNG.random(n).astype(dtype) for name in ("p", "grads", "mean", "square", "top")}
    gpu = {
        name: k.from_host(np.concatenate([a[:1], a]))[1:] if name == shifted else k.from_host(a)
        for name, a in host.items()
    }
    rule = (0.1, 0.9, 0.99, 1e-8, 0.1, True, False, True)
    for table, arrays in ((k, gpu), (cpu, host)):
        grads, rest = [arrays["grads"]], [[arrays[name]] for name in ("p", "mean", "square", "top")]
        table.adam(table.Arrays(*rest), grads, np.array([3.0]), *rule)
    for name, a in host.items():
        same([gpu[name]], [a], 1e-5)
    if updates.SIMULATED:
        groups = n // (16 // gpu["p"].itemsize)
        assert len(by_vectors) == (0 if shifted else 9 * groups)  # five reads and four writes


def note_calls(function, calls: list):
    def noted(*arguments):
        calls.append(1)
        return function(*arguments)

    return noted


def test_counts_that_differ_take_a_launch_each(launches: list[str]) -> None:
    p, grads, mean, square = draw(), draw(), draw(), [abs(a) for a in draw()]
    moved = on_gpu(p), on_gpu(mean), on_gpu(square)
    counts = np.array([1.0, 5.0, 1.0, 5.0])
    rule = (0.1, 0.9, 0.99, 1e-8, 0.0, False, False, False)
    arrays, given = k.Arrays(*moved), on_gpu(grads)
    launches.clear()
    k.adam(arrays, given, counts, *rule)
    assert launches == ["adam", "adam"]
    cpu.adam(cpu.Arrays(p, mean, square), grads, counts, *rule)
    same(moved[0], p)


def test_gradients_at_other_places_are_found() -> None:
    p = draw()
    moved = on_gpu(p)
    arrays, table = k.Arrays(moved), cpu.Arrays(p)
    rule = (np.zeros(len(SIZES), bool), 0.1, 0.0, 0.0, 0.0, False, False)
    kept = []
    for _ in range(40):  # more places than tables are kept
        grads = draw()
        kept.append(on_gpu(grads))
        k.sgd(arrays, kept[-1], *rule)
        cpu.sgd(table, grads, *rule)
    k.sgd(arrays, kept[0], *rule)  # whose table is no more
    cpu.sgd(table, [a.to_host() for a in kept[0]], *rule)
    same(moved, p, 1e-5)


def test_the_same_places_need_no_memory() -> None:
    moved, grads = on_gpu(draw()), on_gpu(draw())
    arrays = k.Arrays(moved)
    rule = (np.zeros(len(SIZES), bool), 0.1, 0.0, 0.0, 0.0, False, False)
    k.sgd(arrays, grads, *rule)
    before = k.driver.allocator.allocated
    for _ in range(3):
        k.sgd(arrays, grads, *rule)
    assert k.driver.allocator.allocated == before


def test_each_stream_has_tables_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list = []
    launch = updates.Kernel.launch

    def note(kernel, blocks, block, pieces, table, *rest) -> None:
        tables.append(table)
        launch(kernel, blocks, block, pieces, table, *rest)

    monkeypatch.setattr(updates.Kernel, "launch", note)
    moved, grads = on_gpu(draw()), on_gpu(draw())
    arrays = k.Arrays(moved)
    rule = (np.zeros(len(SIZES), bool), 0.1, 0.0, 0.0, 0.0, False, False)
    k.sgd(arrays, grads, *rule)
    side, before = k.driver.new_stream(), k.driver.streams.current
    k.driver.streams.current = side
    try:
        k.driver.wait_between(before, side)
        k.sgd(arrays, grads, *rule)
    finally:
        k.driver.streams.current = before
    k.driver.wait_between(side, before)
    assert len({table.address for table in tables}) == len(tables) == 2
    # Where a table was, what is next made on its stream may lie.
    kept_for = {f"tables of {number}" for number in (0, k.driver.number_of(side))}
    assert {table.block._key[0] for table in tables} == kept_for
