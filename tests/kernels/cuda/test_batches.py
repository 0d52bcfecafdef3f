"""kernels/cuda/batches.py beside NumPy."""

import math
import os
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

from kernels import cuda as k

pytestmark = pytest.mark.usefixtures("device")
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(9,), (9, 1), (9, 4), (9, 3, 5), (9, 16), (9, 8, 12), (9, 0)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_rows(shape, dtype):
    x = RNG.integers(0, 100, shape).astype(dtype)
    for positions in ([8, 0, 3, 3], [2], [], RNG.integers(0, 9, 70)):
        wanted = np.array(positions, np.int64)
        found = k.take_rows(k.from_host(x), k.from_host(wanted))
        np.testing.assert_array_equal(found.to_host(), x[wanted])
        assert found.dtype == x.dtype


def test_rows_that_begin_between_vectors():
    memory = RNG.normal(size=(41,)).astype(np.float32)
    x = k.from_host(memory)[1:].reshape(10, 4)
    positions = k.from_host(np.array([9, 0, 5, 4, 4]))
    expected = memory[1:].reshape(10, 4)[[9, 0, 5, 4, 4]]
    np.testing.assert_array_equal(k.take_rows(x, positions).to_host(), expected)
    out = k.zeros((21,), np.dtype(np.float32))
    assert k.take_rows(k.from_host(memory[1:]).reshape(10, 4), positions, out[1:].reshape(5, 4)) is not out
    np.testing.assert_array_equal(out.to_host()[1:].reshape(5, 4), expected)
    assert out[:1].item() == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (11, 10), (9, 1)])
def test_totals(shape, dtype):
    totals = k.from_host(np.array([1.5, 3.0]))
    scores = RNG.integers(0, 3, shape).astype(dtype)  # with ties: the first of the largest counts
    if shape == (11, 10):
        scores[0, 4] = scores[1, 0] = scores[2, 9] = scores[2, 8] = math.nan
    labels = scores.argmax(1)
    labels[3:6] = shape[1] - 1
    for _ in range(2):
        k.tally(totals, k.from_host(np.array(0.25, dtype)), k.from_host(scores.T).T, k.from_host(labels))
    right = np.count_nonzero(scores.argmax(1) == labels)
    assert totals.tolist() == [1.5 + 0.5 * shape[0], 3.0 + 2 * right]
