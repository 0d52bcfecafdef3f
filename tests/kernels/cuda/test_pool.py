"""kernels/cuda/pool.py beside the CPU's: windows of every kind."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cpu
from kernels import cuda as k

pytestmark = pytest.mark.usefixtures("device")
RNG = np.random.default_rng(0)


def same(found, expected) -> None:
    host = k.to_host(found)
    assert host.dtype == expected.dtype
    assert host.shape == expected.shape
    np.testing.assert_allclose(host, expected, 1e-5, 1e-6)


# Sizes of a dim, then count, kernel, stride, padding and dilation of its windows.
SLIDING = [
    [(7, 4, 3, 2, 1, 1), (5, 5, 3, 1, 1, 1)],
    [(6, 4, 3, 1, 3, 4), (5, 5, 2, 1, 1, 2)],  # dilation steps over padding: the firsts go back and forth
    [(6, 3, 3, 3, 1, 1), (4, 2, 2, 2, 0, 1)],
]


@pytest.mark.parametrize("options", SLIDING, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_maxima_and_their_gradient(options, dtype: str) -> None:
    windows = tuple(cpu.sliding_windows(*o) for o in options)
    x = RNG.integers(-3, 4, (2, 3, *[w.size for w in windows])).astype(dtype)
    if dtype != "int64":
        x[0, 0, 1, 1:3] = np.nan
        x[1, 1] = -np.inf
    for pooled, given in ((windows, x), (windows[1:], x[:, :, 0])):
        expected, places = cpu.max_pool(given, pooled, True)
        out, found = k.max_pool(k.from_host(given), pooled, True)
        same(out, expected)
        same(k.max_pool_indices(found, pooled), cpu.max_pool_indices(places, pooled))
        without, none = k.max_pool(k.from_host(given), pooled, False)
        same(without, expected)
        assert none is None
        if dtype != "int64":
            grad = RNG.normal(size=expected.shape).astype(dtype)
            same(k.max_pool_dx(k.from_host(grad), found, pooled), cpu.max_pool_dx(grad, places, pooled))


AVERAGED = {
    "sliding": (cpu.sliding_windows(7, 4, 3, 2, 1, 1), cpu.sliding_windows(5, 5, 3, 1, 1, 1)),
    "beyond the end": (cpu.sliding_windows(6, 3, 3, 3, 1, 1), cpu.sliding_windows(4, 2, 2, 2, 0, 1)),
    "adaptive": (cpu.adaptive_windows(7, 3), cpu.adaptive_windows(5, 7)),
    "one": (cpu.adaptive_windows(9, 1), cpu.adaptive_windows(10, 1)),
    "none": (cpu.adaptive_windows(3, 0), cpu.adaptive_windows(10, 1)),
}


@pytest.mark.parametrize("name", AVERAGED)
@pytest.mark.parametrize(("include_pad", "divisor"), [(True, None), (False, None), (True, -3)])
def test_averages_and_their_gradient(name: str, include_pad: bool, divisor) -> None:
    windows = AVERAGED[name]
    x = RNG.normal(size=(2, *[w.size for w in windows])).astype(np.float32)
    for pooled, given in ((windows, x), (windows[1:], x[:, :1])):
        expected = cpu.average_pool(given, pooled, include_pad, divisor)
        same(k.average_pool(k.from_host(given), pooled, include_pad, divisor), expected)
        grad = RNG.normal(size=expected.shape).astype(np.float32)
        same(
            k.average_pool_dx(k.from_host(grad), pooled, include_pad, divisor),
            cpu.average_pool_dx(grad, pooled, include_pad, divisor),
        )
    whole = RNG.integers(-9, 9, x.shape)
    same(
        k.average_pool(k.from_host(whole), windows, include_pad, divisor),
        cpu.average_pool(whole, windows, include_pad, divisor),
    )
