"""kernels/cuda: families beside the CPU's, where operations' tests do not reach: long lines, nan, ties."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cpu
from kernels import cuda as k
from kernels.cuda import reduce, scan
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
def short_parts(monkeypatch) -> None:
    """Cut lines into parts that are short enough for the simulator."""
    monkeypatch.setattr(reduce, "_PART", 6)
    monkeypatch.setattr(scan, "_PART", 6)


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
