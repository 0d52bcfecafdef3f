"""kernels/cuda/rounding.py, and powers, beside the CPU's: every sign, halves, nan and infinities."""

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


SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.4999, -7.0, 3.7, 1e9, -1e20, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("how", ["floor", "ceil", "trunc", "round", "sign"])
def test_rounding(how: str, dtype: str) -> None:
    x = np.array([0, 1, 3], dtype) if np.dtype(dtype).kind != "f" else np.array(SPECIAL, dtype)
    if dtype == "bool" and how == "sign":
        return
    found, expected = k.round(k.from_host(x), how), cpu.round(x, how)
    same(found, expected)
    if x.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(k.to_host(found)), np.signbit(expected))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_division_of_floats(dtype: str) -> None:
    x = np.array([*SPECIAL, 7.5, -7.5, 0.3], dtype)[:, None]
    y = np.array([1.0, -1.0, 2.0, -0.1, 0.0, -0.0, np.inf, -np.inf, np.nan], dtype)
    for found, expected in [
        (k.remainder(k.from_host(x), k.from_host(y)), cpu.remainder(x, y)),
        *[
            (k.divide_rounded(k.from_host(x), k.from_host(y), how), cpu.divide_rounded(x, y, how))
            for how in ("floor", "trunc")
        ],
    ]:
        same(found, expected)
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(k.to_host(found))[numbers], np.signbit(expected)[numbers])


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_division_of_integers(dtype: str) -> None:
    least = np.iinfo(dtype).min
    x = np.array([7, 0, least, np.iinfo(dtype).max, *([-7, -8] if least else [200])], dtype)[:, None]
    y = np.array([1, 2, 3, *([-1, -2, -5] if least else [255])], dtype)
    with np.errstate(all="ignore"):
        same(k.remainder(k.from_host(x), k.from_host(y)), cpu.remainder(x, y))
        for how in ("floor", "trunc"):
            same(k.divide_rounded(k.from_host(x), k.from_host(y), how), cpu.divide_rounded(x, y, how))


def test_powers_of_one_number_and_of_many() -> None:
    x = np.array([-np.inf, -2.0, -0.0, 0.0, 3.0, np.inf, np.nan], np.float32)
    for y in (np.float32(0.5), np.float32(2), np.float32(-1), np.full(7, 0.5, np.float32)):
        y = np.asarray(y)
        found, expected = k.forward("pow", k.from_host(x), k.from_host(y)), cpu.forward("pow", x, y)
        same(found, expected)
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(k.to_host(found))[numbers], np.signbit(expected)[numbers])
