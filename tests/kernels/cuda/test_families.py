"""kernels/cuda: families beside the CPU's, where operations' tests do not reach: long lines, nan, ties."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cpu
from kernels import cuda as k
from kernels.cuda import scan, walking
from kernels.cuda.array import DeviceArray

pytestmark = pytest.mark.usefixtures("device")
RNG = np.random.default_rng(0)


def on_both(name: str, x: np.ndarray, *arguments, rtol: float = 2e-6) -> None:
    """Compare a kernel of the two tables; arrays among the arguments go to the GPU."""
    given = [k.from_host(a) if isinstance(a, np.ndarray) else a for a in (x, *arguments)]
    found, expected = getattr(k, name)(*given), getattr(cpu, name)(x, *arguments)
    pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    for ours, theirs in pairs:
        host = ours.to_host() if isinstance(ours, DeviceArray) else np.asarray(ours)
        theirs = np.asarray(theirs)
        assert host.dtype == theirs.dtype
        assert host.shape == theirs.shape
        np.testing.assert_allclose(host, theirs, rtol, rtol)


@pytest.fixture
def short_parts(monkeypatch):
    """Cut lines into parts that are short enough for the simulator."""
    monkeypatch.setattr(walking, "_PART", 6)
    monkeypatch.setattr(walking, "_WHOLE", 6)
    monkeypatch.setattr(scan, "_PART", 6)
    walking._plan.cache_clear()
    yield
    walking._plan.cache_clear()


@pytest.mark.parametrize("shape", [(37,), (2, 26), (2, 13, 2)], ids=str)
def test_lines_of_several_parts(short_parts, shape) -> None:
    x = RNG.uniform(0.5, 1.5, shape).astype(np.float32)
    dim = min(len(shape) - 1, 1)
    ties = np.round(x * 2).astype(np.float32)
    for sign in (1, -1):
        on_both("extreme", ties, dim, sign)
        on_both("extreme_value", x, (dim,), sign)
        on_both("cumextreme", ties, dim, sign)
    for from_end in (False, True):
        on_both("cumsum", x, dim, from_end)
        on_both("logcumsumexp", x, dim, from_end)
    on_both("cumprod", x, dim)
    on_both("cumprod_dx", x, RNG.normal(size=shape).astype(np.float32), dim)
    on_both("cumsum", (x * 10).astype(np.int32), dim)
    on_both("prod", x, (dim,))
    on_both("square_deviation", x, x.mean(dim), (dim,))


@pytest.mark.parametrize("dims", [(0,), (0, 2), (0, 1, 2, 3)], ids=str)
def test_sums_of_columns_and_of_planes(short_parts, dims) -> None:
    x = RNG.normal(size=(9, 2, 3, 5)).astype(np.float32)
    for layout in (x.transpose(2, 3, 0, 1), x[::2, :, :, ::-2]):
        on_both("sum", layout, dims)
        on_both("sum", layout > 0, dims)
        on_both("extreme_value", layout, dims, -1)
        on_both("all", layout != 0, dims)
    on_both("sum", np.zeros((0, 4), np.float32), (0,))
    on_both("sum", np.zeros((4, 0), np.float32), (0,))


def test_products_of_zeros_and_their_gradients(short_parts) -> None:
    x = RNG.uniform(0.5, 1.5, (3, 15)).astype(np.float32)
    x[0, 4], x[1, [2, 9]] = 0, 0
    grad = RNG.normal(size=x.shape).astype(np.float32)
    on_both("cumprod_dx", x, grad, 1)
    on_both("prod_dx", x, grad[:, 0].copy(), (1,))
    on_both("prod_dx", x, grad[0].copy(), (0,))


def test_extremes_with_nan_in_any_part(short_parts) -> None:
    x = np.round(RNG.normal(size=(4, 20))).astype(np.float32)
    x[1, 13], x[2, [3, 19]], x[3, 0] = np.nan, np.nan, np.nan
    for sign in (1, -1):
        on_both("extreme", x, 1, sign)
        on_both("extreme", np.asfortranarray(x), 0, sign)
        on_both("cumextreme", x, 1, sign)
        on_both("extreme_value", x, (0, 1), sign)
    on_both("bounds", x[:1])
    on_both("bounds", np.array([[True, False]]))


# --- order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_sorting_with_ties_and_nan(dtype: str) -> None:
    x = RNG.integers(0, 2 if dtype == "bool" else 9, (3, 21)).astype(dtype)
    if x.dtype.kind == "f":
        x -= 4
        x[0, [3, 17]], x[1, 5], x[1, 6] = np.nan, -np.inf, -0.0
    for descending in (False, True):
        on_both("sort", x, 1, descending)
        for count in (0, 1, 3, 7, 21):
            on_both("topk", x, count, 1, descending)
    on_both("sort", np.asfortranarray(x), 0, False)
    on_both("sort", x[:, ::-2], 1, True)
    for place in (0, 10, 20):
        on_both("kth", x, place, 1)
    on_both("mode", x, 1)
    on_both("median", x[1:], 1, False)


def test_medians_that_leave_nan_out() -> None:
    x = RNG.normal(size=(4, 9)).astype(np.float32)
    x[0, [3, 8]], x[1, :], x[2, 0] = np.nan, np.nan, np.nan
    for ignore_nan in (False, True):
        on_both("median", x, 1, ignore_nan)
        on_both("median", x, 0, ignore_nan)


def test_nothing_and_a_single_element() -> None:
    for shape in ((0, 3), (3, 0), (1, 1)):
        x = np.ones(shape, np.float32)
        on_both("sort", x, 1, False)
        on_both("cumsum", x, 0)
        on_both("cumprod_dx", x, x, 1)
        on_both("prod", x, (0,))
        on_both("softmax", x, 1)
        on_both("unique", x, None)
    on_both("softmax", np.float32(3.0).reshape(()), 0)
    on_both("unique_consecutive", np.ones((0,), np.int64), 0)


# --- counting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_distinct_elements_and_slices(dtype: str) -> None:
    x = RNG.integers(0, 3, (11, 2)).astype(dtype)
    if dtype == "float32":
        x[2, 0] = np.nan
    for dim in (None, 1) if dtype == "float32" else (None, 0, 1):
        on_both("unique", x, dim)
    on_both("unique_only", x)
    for dim in (0, 1):
        on_both("unique_consecutive", np.repeat(x, 2, 0), dim)
    on_both("isin", x, x[:1].copy())
    on_both("isin", x, x[:0].copy())


def test_places_and_bins() -> None:
    rows = np.sort(RNG.integers(0, 9, (3, 7)).astype(np.float32), 1)
    values = np.concatenate([rows[:, ::3] + 0.5, rows[:, ::2], [[-1], [99], [np.nan]]], 1).astype(np.float32)
    for right in (False, True):
        on_both("searchsorted", rows, values, right)
        on_both("searchsorted", rows[0].copy(), values, right)
    x = RNG.normal(size=(3, 8)).astype(np.float32)
    x[0, 0], x[1, 1] = np.nan, 50
    weights = RNG.normal(size=x.shape).astype(np.float32)
    for edges in (np.array([-1, 0, 0.5, 2], np.float32), cpu.even_edges(-2.0, 2.0, 5, x.dtype)):
        on_both("histogram", x, edges, None, False)
        on_both("histogram", x, edges, weights, False, rtol=1e-5)
    on_both("histogram", x, edges, None, True)
    counted = RNG.integers(0, 6, 40).astype(np.int32)
    for least in (0, 10):
        on_both("bincount", counted, None, least)
        on_both("bincount", counted, RNG.normal(size=40), least)
    on_both("bincount", counted[:0], None, 4)
    found, expected = k.even_edges(-1.0, 2.0, 7, x.dtype), cpu.even_edges(-1.0, 2.0, 7, x.dtype)
    np.testing.assert_array_equal(found.to_host(), expected)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_what_only_floats_can_be(dtype) -> None:
    x = np.array([[0, 1, 3], [120, 7, -2 if dtype == "int64" else 2]]).astype(dtype)
    for name in ("isnan", "isinf", "isfinite", "isposinf", "isneginf", "signbit"):
        found = k.compare(name, k.from_host(x)).to_host()
        assert found.dtype == np.bool_
        np.testing.assert_array_equal(found, cpu.compare(name, x), name)


@pytest.mark.parametrize("name", ["fmax", "fmin", "maximum", "minimum"])
@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8"])
def test_the_larger_and_the_smaller_of_integers(name, dtype) -> None:
    x, y = (RNG.integers(0, 100, (3, 4)).astype(dtype) for _ in range(2))
    found = k.forward(name, k.from_host(x), k.from_host(y)).to_host()
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, np.maximum(x, y) if "max" in name else np.minimum(x, y))
