"""kernels/cuda/lift.py and geometry.py: which operands go by vectors, and right results by every path."""

import math
import os
import random
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cuda as k
from kernels.cuda import geometry, lift
from kernels.cuda.array import layout
from kernels.cuda.compile import KERNELS

pytestmark = pytest.mark.usefixtures("device")
RNG = np.random.default_rng(0)


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Return (groups, elements left over, operands read by vectors, is the result written by them)."""
    found: list[tuple] = []
    call = lift._Part.__call__

    def note(self, arrays, numbers) -> None:
        launch, part, last = self._launch, self._part, len(arrays) - 1

        def launch_noted(*arguments) -> None:
            wide, width = arguments[-1], geometry.neighbours([a.itemsize for a in arrays])
            read = [n for n in range(last) if wide >> n & 1]
            found.append((part.groups, part.size - part.groups * width, read, bool(wide >> last)))
            launch(*arguments)

        self._launch = launch_noted
        try:
            call(self, arrays, numbers)
        finally:
            self._launch = launch

    monkeypatch.setattr(lift._Part, "__call__", note)
    return found


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Return how few elements are too many for a launch while a test runs."""

    def forget() -> None:
        geometry._plan.cache_clear()
        for kernel in KERNELS.values():
            kernel.plans.clear()

    forget()
    monkeypatch.setattr(geometry, "_LIMIT", 16)
    yield 16
    forget()


def draw(shape, dtype=np.float32) -> np.ndarray:
    return (9 * RNG.normal(size=shape)).astype(dtype)


def same(found: k.DeviceArray, expected) -> None:
    host = found.to_host()
    assert host.dtype == expected.dtype
    np.testing.assert_array_equal(host, expected)


@pytest.mark.parametrize(("dtype", "width"), [
    ("float32", 4), ("int32", 4), ("float64", 2), ("int64", 2), ("int16", 8), ("uint8", 8),
])  # fmt: skip
@pytest.mark.parametrize("size", [1, 15, 16, 37])
def test_arrays_in_order_go_by_vectors(launches: list[tuple], dtype: str, width: int, size: int) -> None:
    x, y = draw(size, dtype), draw(size, dtype)
    same(k.forward("add", k.from_host(x), k.from_host(y)), x + y)
    groups, left = divmod(size, width)
    assert launches == [(groups, left, [0, 1] if groups else [], groups > 0)]


def test_so_do_arrays_in_another_order_and_kinds_that_mix(launches: list[tuple]) -> None:
    x, y = draw((3, 8, 5)), draw((3, 8, 5))
    a, b = k.from_host(x).transpose(2, 0, 1), k.from_host(y).transpose(2, 0, 1)
    greater = k.compare("gt", a, b)
    same(greater, (x > y).transpose(2, 0, 1))
    assert launches == [(30, 0, [0, 1], True)]
    same(k.where(greater, a, b), np.maximum(x, y).transpose(2, 0, 1))
    same(k.cast(greater, np.dtype(np.int64)), (x > y).transpose(2, 0, 1).astype(np.int64))
    assert launches[1:] == [(30, 0, [0, 1, 2], True), (60, 0, [0], True)]


@pytest.mark.parametrize("start", [1, 2, 3])
def test_arrays_that_begin_between_vectors_do_not(launches: list[tuple], start: int) -> None:
    x, y = draw(40), draw(40)
    a, b = k.from_host(x), k.from_host(y)
    same(k.forward("add", a[start:], b[:-start]), x[start:] + y[:-start])
    same(k.forward("add", a[4:], b[:-4]), x[4:] + y[:-4])  # 16 bytes on
    out = k.from_host(np.zeros(40, np.float32))
    k.forward("add", a[: 40 - start], b[: 40 - start], out=out[start:])
    same(out, np.concatenate([np.zeros(start, np.float32), (x + y)[: 40 - start]]))
    left = (40 - start) % 4
    assert launches == [(9, left, [1], True), (9, 0, [0, 1], True), (9, left, [0, 1], False)]


def test_bytes_need_less(launches: list[tuple]) -> None:
    x, y, keep = draw(32), draw(32), RNG.random(40) < 0.5
    kept = k.from_host(keep)
    for start in (1, 4):  # beside float32 four bools are a group
        found = k.where(kept[start : 32 + start], k.from_host(x), k.from_host(y))
        same(found, np.where(keep[start : 32 + start], x, y))
    assert launches == [(8, 0, [1, 2], True), (8, 0, [0, 1, 2], True)]


def test_rows_and_columns_are_repeated(launches: list[tuple]) -> None:
    x, row, column, number = draw((5, 8)), draw(8), draw((5, 1)), draw(())
    a = k.from_host(x)
    for more in (row, column, number, row[:1]):
        same(k.forward("add", a, k.from_host(more)), x + more)
        same(k.forward("add", k.from_host(more), a), more + x)
    by_row = [(10, 0, [0, 1], True)] * 2
    assert launches == by_row + [(10, 0, [0], True), (10, 0, [1], True)] * 3
    launches.clear()
    narrow = draw((5, 6))  # the ends of rows of 6 part groups of 4
    same(k.forward("add", k.from_host(narrow), k.from_host(row)[:6]), narrow + row[:6])
    assert launches == [(0, 30, [], False)]


def test_transposed_and_thinned_operands(launches: list[tuple]) -> None:
    x, y = draw((8, 8)), draw((8, 16))
    a, b = k.from_host(x), k.from_host(y)
    same(k.forward("add", a, a.T), x + x.T)
    same(k.forward("add", a.T, a), x.T + x)
    same(k.forward("add", a, b[:, ::2]), x + y[:, ::2])
    same(k.forward("add", a, b[:, 4:12]), x + y[:, 4:12])
    same(k.forward("add", a, b[:, 3:11]), x + y[:, 3:11])
    assert [launch[2] for launch in launches] == [[0], [0], [0], [0, 1], [0]]
    assert all(launch[3] for launch in launches)


@pytest.mark.parametrize("shape", [(1,), (37,), (5, 8), (8, 5), (2, 3, 4), (3, 2, 3, 2, 2, 4), (2,) * 8])
def test_what_is_too_large_is_cut(limit: int, launches: list[tuple], shape: tuple[int, ...]) -> None:
    x, y, row = draw(shape), draw(shape[::-1]), draw(shape[-1:])
    a, b = k.from_host(x), k.from_host(y).T
    same(k.forward("add", a, b), x + y.T)
    same(k.forward("add", a, k.from_host(row)), x + row)
    assert all(groups * 4 + left < limit for groups, left, _, _ in launches)


def test_steps_back_are_as_far_as_steps_on() -> None:
    # Offsets are of 32 bits, with a sign: of few elements, far apart, in memory that nobody has to have.
    far, near = layout((1 << 30,), (-32,), "float32", True), layout((1 << 30,), (4,), "float32", True)
    back_and_on = layout((1 << 14, 1 << 14), (-(1 << 21), 1 << 21), "float32", True)
    for layouts in ([far, near], [near, far], [back_and_on, back_and_on]):
        parts = geometry.walk(layouts[0].shape, layouts)
        assert sum(part.size for part in parts) == math.prod(layouts[0].shape)
        for part in parts:
            for steps in part.steps:
                reach = [(n - 1) * abs(s) for n, s in zip(part.shape, steps, strict=True)]
                assert sum(reach) < 2**31


def test_products_divide() -> None:
    draws = random.Random(0)
    divisors = [
        2,
        3,
        7,
        2**30,
        2**31 - 1,
        *[draws.randrange(2, 1 << draws.randrange(2, 32)) for _ in range(300)],
    ]
    for divisor in divisors:
        largest = (2**31 - 1) // divisor * divisor
        for n in {0, divisor - 1, divisor, largest - 1, largest, 2**31 - 1, draws.randrange(2**31)}:
            inverse = geometry.inverse_of(divisor)
            assert ((n * (inverse % 2**32)) >> 32) >> (inverse >> 32) == n // divisor
            assert inverse < 2**63
