"""The optimisers' kernels: the same bits on one thread and on many, below and above the parallel size."""

import numba
import numpy as np
import pytest

from kernels import cpu

SIZES = [1, 15, 1000, 16_383, 16_384, 20_001]


def arrays(size: int, dtype: str, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(size)
    return [np.abs(rng.standard_normal(size)).astype(dtype) for _ in range(count)]


def run_adam(made: list[np.ndarray]) -> list[np.ndarray]:
    for step in (1, 2):
        cpu.adam(*made, 0.01, 0.9, 0.999, 1e-8, 0.1, step, False, True, True)
    return made


def run_sgd(made: list[np.ndarray]) -> list[np.ndarray]:
    for first in (True, False):
        cpu.sgd(*made, 0.01, 0.9, 0.1, 0.1, True, False, first)
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("run", "count"), [(run_adam, 5), (run_sgd, 3)])
@pytest.mark.parametrize("size", SIZES)
def test_the_same_bits_on_any_number_of_threads(run, count, size, dtype):
    threads = numba.get_num_threads()
    found = run(arrays(size, dtype, count))
    try:
        numba.set_num_threads(1)
        alone = run(arrays(size, dtype, count))
    finally:
        numba.set_num_threads(threads)
    # The same numbers element by element: what a compiler makes of the loop's ends is the same arithmetic.
    single = [np.concatenate(parts) for parts in zip(*[
        run([a[i : i + 7].copy() for a in arrays(size, dtype, count)]) for i in range(0, min(size, 70), 7)
    ], strict=True)]  # fmt: skip
    for a, b, c in zip(found, alone, single, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a[:70], c[:70])


def test_sgd_without_momentum_leaves_no_trace():
    parameter, grad = arrays(100, "float32", 2)
    grad.flags.writeable = False
    before = parameter.copy()
    cpu.sgd(parameter, grad, None, 0.5, 0.0, 0.0, 0.0, False, True, False)
    np.testing.assert_array_equal(parameter, before + np.float32(0.5) * grad)
