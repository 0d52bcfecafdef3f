"""kernels/cuda/resize.py, pad.py and dropout.py beside the CPU's."""

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


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "cubic", "cubic-antialias"])
@pytest.mark.parametrize("new", [2, 6])
def test_resize(mode: str, new: int) -> None:
    x = RNG.normal(size=(2, 4, 3)).astype(np.float32)
    for dim, size in enumerate(x.shape):
        table = k.resize_table(mode, size, new, None, False, x.dtype)
        expected = cpu.resize(x, dim, size, table)
        same(k.resize(k.from_host(x.T).T, dim, size, table), expected)
        grad = RNG.normal(size=expected.shape).astype(np.float32)
        same(k.resize_dx(k.from_host(grad), dim, size, table), cpu.resize_dx(grad, dim, size, table))


def test_resized_integers() -> None:
    x = np.array([[0, 200, 255]], np.uint8)
    table = k.resize_table("nearest", 3, 5, None, False, x.dtype)
    same(k.resize(k.from_host(x), 1, 3, table), cpu.resize(x, 1, 3, table))


@pytest.mark.parametrize("pads", [((1, 2), (0, 1)), ((-1, 0), (2, -2)), ((-2, -1), (0, 0))])
def test_constant_frames(pads) -> None:
    x = RNG.integers(0, 9, (3, 4)).astype(np.int32).T.copy().T
    expected = cpu.pad_constant(x, pads, 7)
    same(k.pad_constant(k.from_host(x), pads, 7), expected)
    grad = RNG.normal(size=expected.shape)
    same(k.pad_constant_dx(k.from_host(grad), x.shape, pads), cpu.pad_constant_dx(grad, x.shape, pads))


@pytest.mark.parametrize("dim", [0, 1])
def test_frames_of_own_elements(dim: int) -> None:
    x = RNG.normal(size=(3, 4))
    for source in (np.array([2, 1, 0, 1, 2, 1]), np.array([0, 0, 0]), np.array([], np.int64)):
        place = k.from_host(source)
        expected = x.take(source, dim)
        same(k.pad_from(k.from_host(x), dim, place, 0), expected)
        grad = RNG.normal(size=expected.shape)
        wanted = np.zeros_like(x)
        np.add.at(wanted, (slice(None),) * dim + (source,), grad)
        same(k.pad_from_dx(k.from_host(grad), dim, place, 0, x.shape[dim]), wanted)


def test_dropped_and_scaled() -> None:
    x = RNG.normal(size=(2, 3, 4)).astype(np.float32)
    x[0, 0, 0] = np.inf
    for kept in (RNG.random(x.shape) < 0.5, RNG.random((2, 3, 1)) < 0.5):
        for host in (x, x.transpose(2, 0, 1).copy().transpose(1, 2, 0)):
            out = k.keep_scaled(k.from_host(host), k.from_host(kept), 2.5)
            with np.errstate(all="ignore"):
                expected = cpu.keep_scaled(host, kept, 2.5)
            same(out, expected)
            assert out.strides == host.strides
            target = k.from_host(host)
            assert k.keep_scaled(target, k.from_host(kept), 2.5, out=target) is target
            same(target, expected)
