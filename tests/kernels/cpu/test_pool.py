"""kernels/cpu/pool.py: every kind of window against NumPy, on any layout and number of threads."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest

from kernels import cpu


def numbers(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def sliding(size: int, kernel: int, stride: int, padding: int = 0, dilation: int = 1):
    count = (size + 2 * padding - (kernel - 1) * dilation - 1) // stride + 1
    return cpu.sliding_windows(size, count, kernel, stride, padding, dilation)


def places(w) -> list[range]:
    return [range(a, b, w.step) for a, b in zip(w.first.tolist(), w.stop.tolist(), strict=True)]


def reference_max(x: np.ndarray, windows) -> tuple[np.ndarray, np.ndarray]:
    """Return values and flat places of (planes, rows, columns), window by window."""
    down, across = map(places, windows)
    out = np.full((len(x), len(down), len(across)), -np.inf if x.dtype.kind == "f" else 0, x.dtype)
    at = np.full(out.shape, -1)
    for p, i, j in np.ndindex(*out.shape):
        flat = [r * x.shape[2] + c for r in down[i] for c in across[j]]
        if flat:
            window = x[p].reshape(-1)[flat]
            nan = np.flatnonzero(window != window)
            k = nan[-1] if nan.size else window.argmax()
            out[p, i, j], at[p, i, j] = window[k], flat[k]
    return out, at


def scatter(grad: np.ndarray, at: np.ndarray, x: np.ndarray) -> np.ndarray:
    dx = np.zeros(x.shape, x.dtype)
    for index in np.ndindex(*at.shape):
        if at[index] >= 0:
            dx[index[0]].reshape(-1)[at[index]] += grad[index]
    return dx


def test_sliding_windows() -> None:
    w = sliding(7, kernel=3, stride=2, padding=1)
    assert places(w) == [range(0, 2), range(1, 4), range(3, 6), range(5, 7)]
    assert w.padded.tolist() == [3, 3, 3, 3]
    assert places(sliding(7, kernel=3, stride=2, padding=2, dilation=2)) == [
        range(0, 3, 2),
        range(0, 5, 2),
        range(2, 7, 2),
        range(4, 7, 2),
    ]
    # ceil_mode: a last window that passes the padding on the right does not count what lies beyond.
    w = cpu.sliding_windows(6, 3, 3, 3, 1, 1)
    assert w.padded.tolist() == [3, 3, 2]
    assert [len(r) for r in places(sliding(1, kernel=2, stride=1, padding=1, dilation=2))] == [0]


def test_adaptive_windows() -> None:
    assert places(cpu.adaptive_windows(7, 3)) == [range(0, 3), range(2, 5), range(4, 7)]
    assert places(cpu.adaptive_windows(2, 4)) == [range(0, 1), range(0, 1), range(1, 2), range(1, 2)]
    assert places(cpu.adaptive_windows(5, 0)) == []


WINDOWS = [
    *[((2, 2), (2, 2), (0, 0), (1, 1)), ((3, 3), (2, 2), (1, 1), (1, 1)), ((3, 3), (1, 1), (1, 1), (1, 1))],
    *[((2, 3), (1, 2), (1, 0), (2, 1)), ((5, 1), (3, 1), (2, 0), (1, 1)), ((1, 1), (2, 3), (0, 0), (1, 1))],
    *[((2, 2), (3, 4), (0, 1), (1, 3)), ((4, 4), (4, 4), (2, 2), (1, 1))],
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", WINDOWS, ids=str)
def test_max_and_average(options, dtype: str) -> None:
    for rows, columns in [(6, 6), (7, 9), (8, 5), (12, 23)]:
        windows = tuple(sliding(n, *sizes) for n, *sizes in zip((rows, columns), *options, strict=True))
        compare(numbers(3, rows, columns, dtype=dtype), windows)


def compare(x: np.ndarray, windows) -> None:
    """Check maxima, averages and their gradients of (planes, rows, columns)."""
    values, at = reference_max(x, windows)
    out, found = cpu.max_pool(x, windows, True)
    np.testing.assert_array_equal(out, values)
    np.testing.assert_array_equal(cpu.max_pool_indices(found, windows), at)
    assert cpu.max_pool_indices(found, windows).dtype == np.int64
    alone, nothing = cpu.max_pool(x, windows, False)
    np.testing.assert_array_equal(alone, values)
    assert nothing is None
    grad = numbers(*values.shape, dtype=x.dtype.name, seed=1)
    tolerance = 1e-5 if x.dtype == np.float32 else 1e-12
    for given in (grad, np.array(grad.T, order="C").T):
        dx = cpu.max_pool_dx(given, found, windows)
        assert dx.dtype == x.dtype
        np.testing.assert_allclose(dx, scatter(grad, at, x), tolerance, tolerance)
    if any(w.step != 1 for w in windows):
        return
    for include_pad, divisor in [(True, None), (False, None), (True, 7)]:
        sums, spread = np.zeros(values.shape), np.zeros(x.shape)
        down, across = windows
        for i, j in np.ndindex(*values.shape[1:]):
            r, c = slice(down.first[i], down.stop[i]), slice(across.first[j], across.stop[j])
            inside = (down.stop[i] - down.first[i]) * (across.stop[j] - across.first[j])
            by = divisor or (down.padded[i] * across.padded[j] if include_pad else inside)
            sums[:, i, j] = x[:, r, c].sum((1, 2), dtype=np.float64) / by
            spread[:, r, c] += grad[:, i, j, None, None].astype(np.float64) / by
        out = cpu.average_pool(x, windows, include_pad, divisor)
        assert out.dtype == x.dtype
        np.testing.assert_allclose(out, sums, tolerance, tolerance)
        dx = cpu.average_pool_dx(np.array(grad.T, order="C").T, windows, include_pad, divisor)
        np.testing.assert_allclose(dx, spread, tolerance, tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adaptive(dtype: str) -> None:
    for (rows, down), (columns, across) in itertools.product([(7, 3), (2, 5), (6, 1)], [(8, 4), (5, 5)]):
        windows = (cpu.adaptive_windows(rows, down), cpu.adaptive_windows(columns, across))
        compare(numbers(2, rows, columns, dtype=dtype), windows)


def halving(rows: int, columns: int):
    return sliding(rows, 2, 2), sliding(columns, 2, 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [2, 3, 5, 6, 7, 8, 9, 14, 15, 16, 17, 18, 28, 31, 32, 33, 34, 35, 63, 66])
def test_halving_every_width(columns: int, dtype: str) -> None:
    """2x2 windows side by side have kernels of their own, in vectors: around their widths, odd ones too."""
    for rows in (2, 3, 6, 7):
        x = numbers(3, rows, columns, dtype=dtype, seed=columns)
        x[x > 1.2] = np.nan
        x[1] = np.round(x[1])  # equals: the first counts
        x[2, :, : columns // 2] = -np.inf
        compare(x, halving(rows, columns))


def test_halving_stays_within_the_plane() -> None:
    """Neither what is read nor what is written passes an edge: nan all around would show."""
    x = np.full((4, 9, 37), np.nan, np.float32)
    x[1:3] = numbers(2, 9, 37, dtype="float32")
    windows = halving(9, 37)
    out, found = cpu.max_pool(x, windows, True)
    assert np.isfinite(out[1:3]).all()
    dx = cpu.max_pool_dx(np.ones_like(out), found, windows)
    assert dx.sum() == out.size
    assert set(np.unique(dx)) == {0.0, 1.0}
    assert not dx[:, -1].any(), "an odd last row"
    assert not dx[:, :, -1].any(), "an odd last column"


def test_nan_and_infinity() -> None:
    nan = math.nan
    x = np.array([[[1, nan, 2, nan], [nan, 3, 4, 5]]])
    for windows, at in [(halving(2, 4), [4, 3]), ((sliding(2, 2, 1), sliding(4, 4, 1)), [4])]:
        out, found = cpu.max_pool(x, windows, True)
        assert np.isnan(out).all()
        assert cpu.max_pool_indices(found, windows).reshape(-1).tolist() == at, "the last nan"
    x = np.full((1, 4, 4), -np.inf)
    for windows, at in [(halving(4, 4), [0, 2, 8, 10]), ((sliding(4, 3, 2, 1),) * 2, [0, 1, 4, 5])]:
        out, found = cpu.max_pool(x, windows, True)
        assert (out == -np.inf).all()
        assert cpu.max_pool_indices(found, windows).reshape(-1).tolist() == at


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_integers(dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 200, (2, 6, 7)).astype(dtype)
    for windows in [halving(6, 7), (sliding(6, 3, 2, 1), sliding(7, 3, 1, 1))]:
        out, found = cpu.max_pool(x, windows, True)
        values, at = reference_max(x, windows)
        np.testing.assert_array_equal(out, values)
        np.testing.assert_array_equal(cpu.max_pool_indices(found, windows), at)
        assert out.dtype == dtype
    if dtype == "int64":
        average = cpu.average_pool(-x, halving(6, 7))
        assert average.dtype == dtype
        sums = -sum(x[:, i:6:2, j:6:2] for i in (0, 1) for j in (0, 1))
        np.testing.assert_array_equal(average, np.trunc(sums / 4))
        lowest = np.full((1, 2, 2), np.iinfo(np.int64).min)
        assert cpu.max_pool(lowest, (sliding(2, 3, 1, 1),) * 2, False)[0].min() == np.iinfo(np.int64).min


def test_one_dimension_and_layouts() -> None:
    x = numbers(2, 3, 11)
    windows = (sliding(11, 3, 2, 1),)
    pairs = (cpu.adaptive_windows(1, 1), *windows)
    flat = x.reshape(6, 1, 11)
    for view in (x, np.array(x.T, order="C").T, np.repeat(x, 2, 2)[..., ::2]):
        out, found = cpu.max_pool(view, windows, True)
        expected, at = reference_max(flat, pairs)
        np.testing.assert_array_equal(out, expected.reshape(2, 3, 6))
        dx = cpu.max_pool_dx(out, found, windows)
        np.testing.assert_array_equal(dx, scatter(expected, at, flat).reshape(x.shape))
        np.testing.assert_array_equal(
            cpu.average_pool(view, windows), cpu.average_pool(flat, pairs).reshape(2, 3, 6)
        )
        np.testing.assert_array_equal(
            cpu.average_pool_dx(out, windows),
            cpu.average_pool_dx(out.reshape(6, 1, 6), pairs).reshape(x.shape),
        )
    x = numbers(2, 3, 8, 34, dtype="float32")
    for view in (
        np.array(x.transpose(0, 2, 3, 1), order="C").transpose(0, 3, 1, 2),
        x[:, :, ::-1][:, :, ::-1],
    ):
        for windows in [halving(8, 34), (sliding(8, 3, 2, 1), sliding(34, 3, 2, 1))]:
            ours, theirs = cpu.max_pool(view, windows, True), cpu.max_pool(x, windows, True)
            np.testing.assert_array_equal(ours[0], theirs[0])
            np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize(
    "windows", [halving(28, 28), (sliding(28, 3, 2, 1),) * 2], ids=["halving", "general"]
)
def test_threads_change_no_bit(windows) -> None:
    x = numbers(40, 28, 28, dtype="float32")
    before, results = cpu.get_num_threads(), []
    try:
        for threads in (1, 2):
            cpu.set_num_threads(threads)
            out, found = cpu.max_pool(x, windows, True)
            average = cpu.average_pool(x, windows)
            results.append(
                (out, found, cpu.max_pool_dx(out, found, windows), average, cpu.average_pool_dx(out, windows))
            )
    finally:
        cpu.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    "windows", [halving(28, 28), (sliding(28, 3, 2, 1),) * 2], ids=["halving", "general"]
)
def test_memory_is_that_of_the_results(windows) -> None:
    x = numbers(64, 28, 28, dtype="float32")

    def peak(function, *args) -> tuple[int, tuple]:
        function(*args)  # compiled before it is measured
        tracemalloc.start()
        result = function(*args)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size, result

    slack = 20_000
    size, (out, found) = peak(cpu.max_pool, x, windows, True)
    assert size < out.nbytes + found.nbytes + slack
    size, _ = peak(cpu.max_pool, x, windows, False)
    assert size < out.nbytes + slack, "no places where nobody asks"
    assert peak(cpu.max_pool_dx, out, found, windows)[0] < x.nbytes + slack
    assert peak(cpu.average_pool, x, windows)[0] < out.nbytes + slack
    assert peak(cpu.average_pool_dx, out, windows)[0] < x.nbytes + slack


def test_halving_keeps_a_byte_for_a_window() -> None:
    assert cpu.max_pool(numbers(2, 4, 4), halving(4, 4), True)[1].dtype == np.uint8


def test_nothing() -> None:
    for windows in [halving(4, 4), (cpu.adaptive_windows(4, 0), cpu.adaptive_windows(4, 2))]:
        x = np.zeros((0, 3, 4, 4))
        out, found = cpu.max_pool(x, windows, True)
        assert out.shape == (0, 3, windows[0].first.size, 2)
        assert cpu.max_pool_dx(out, found, windows).shape == x.shape
        assert cpu.average_pool(x, windows).shape == out.shape
        assert cpu.average_pool_dx(out, windows).shape == x.shape
    windows = (cpu.adaptive_windows(4, 0), cpu.adaptive_windows(4, 2))
    out, found = cpu.max_pool(np.ones((2, 4, 4)), windows, True)
    assert not cpu.max_pool_dx(out, found, windows).any()
    assert cpu.max_pool_dx(out, found, windows).shape == (2, 4, 4)


def test_window_without_elements() -> None:
    """Dilation steps over a dimension of one element: the lowest number, and no gradient."""
    windows = (cpu.adaptive_windows(1, 1), sliding(1, kernel=2, stride=1, padding=1, dilation=2))
    out, found = cpu.max_pool(np.ones((1, 1, 1)), windows, True)
    assert out.tolist() == [[[-math.inf]]]
    assert cpu.max_pool_dx(np.ones_like(out), found, windows).tolist() == [[[0.0]]]
