"""kernels/cuda/vectors.py: neighbouring elements at once; what must not be is noticed by the simulator."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cuda as k
from kernels.cuda import vectors
from kernels.cuda.array import empty
from kernels.cuda.compile import SIMULATED, Kernel, cuda

pytestmark = pytest.mark.usefixtures("device")
simulated = pytest.mark.skipif(not SIMULATED, reason="a GPU does not check: NUMBA_ENABLE_CUDASIM=1")


def _turn(first, x, out):
    shared = cuda.shared.array(64, T, alignment=16)  # noqa: F821
    t = cuda.threadIdx.x
    store(shared, t * COUNT, load(x, first + t * COUNT, COUNT))  # noqa: F821
    cuda.syncthreads()
    store(out, t * COUNT, load(shared, (3 - t) * COUNT, COUNT))  # noqa: F821


def turned(x: np.ndarray, count: int, first: int = 0) -> np.ndarray:
    scope = {"load": vectors.load, "store": vectors.store, "COUNT": count}
    out = empty((4 * count,), x.dtype)
    Kernel(_turn, "int64, T*, out T*", [x.dtype.name], scope).launch(1, 4, first, k.from_host(x), out)
    return out.to_host()


@pytest.mark.parametrize(
    ("dtype", "count"),
    [("float32", 4), ("float64", 2), ("float64", 4), ("int64", 2), ("uint8", 16), ("int16", 4)],
)
def test_elements_come_in_order(dtype, count) -> None:
    x = np.arange(6 * count).astype(dtype)
    kind = np.uint8 if dtype == "bool" else dtype
    np.testing.assert_array_equal(
        turned(x.view(kind), count, count),
        x[count : 5 * count].reshape(4, count)[::-1].reshape(-1).view(kind),
    )


@simulated
def test_what_is_not_aligned_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"4 elements at number .* does not lie at a multiple of 16"):
        turned(np.arange(24, dtype=np.float32), 4, 2)


@simulated
def test_what_lies_beyond_the_end_is_an_error() -> None:
    with pytest.raises(IndexError, match=r"elements .* of 18"):
        turned(np.arange(18, dtype=np.float32), 4, 4)


def test_strides_and_addresses_that_allow_vectors() -> None:
    assert vectors.is_aligned(256, (64, 0, -32))
    assert not vectors.is_aligned(256, (64, 8))
    assert not vectors.is_aligned(260, (64,))
    assert vectors.is_aligned(260, (64,), 4)
    assert [vectors.width(np.dtype(d)) for d in ("float32", "float64", "bool")] == [4, 2, 16]
