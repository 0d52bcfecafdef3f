"""The optimisers' kernels: the same bits on one thread and on many, below and above the parallel size."""

import numba
import numpy as np
import pytest

from kernels import cpu

SIZES = [1, 15, 1000, 16_383, 16_384, 20_001]


def arrays(size: int, dtype: str, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(size)
    return [np.abs(rng.standard_normal(size)).astype(dtype) for _ in range(count)]


def run_adam(parameters, grads, *state) -> None:
    table = cpu.Arrays(parameters, *state)
    for step in (1.0, 2.0):
        counts = np.full(len(parameters), step)
        cpu.adam(table, grads, counts, 0.01, 0.9, 0.999, 1e-8, 0.1, False, True, True)


def run_sgd(parameters, grads, *state) -> None:
    table = cpu.Arrays(parameters, *state)
    for first in (True, False):
        flags = np.full(len(parameters), first)
        cpu.sgd(table, grads, flags, 0.01, 0.9, 0.1, 0.1, True, False)


def run_rmsprop(parameters, grads, *state) -> None:
    table = cpu.Arrays(parameters, *state)
    for step in (1.0, 2.0):
        cpu.rmsprop(table, grads, np.full(len(parameters), step), 0.01, 0.9, 1e-8, 0.1, 0.9, True, False)


def run_adagrad(parameters, grads, *state) -> None:
    table = cpu.Arrays(parameters, *state)
    for step in (1.0, 2.0):
        cpu.adagrad(table, grads, np.full(len(parameters), step), 0.01, 0.1, 1e-10, 0.1, True)


def pieces(made: list[np.ndarray], lengths: list[int]) -> list[list[np.ndarray]]:
    """Return each array as a list of arrays of their own of these lengths."""
    ends = np.cumsum(lengths)[:-1]
    return [[part.copy() for part in np.split(array, ends)] for array in made]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("run", "count"), [(run_adam, 5), (run_sgd, 3), (run_rmsprop, 5), (run_adagrad, 3)])
@pytest.mark.parametrize("size", SIZES)
def test_the_same_bits_on_any_number_of_threads_and_in_any_pieces(run, count, size, dtype):
    def result(lengths):
        made = pieces(arrays(size, dtype, count), lengths)
        run(*made)
        return [np.concatenate(parts) for parts in made]

    threads = numba.get_num_threads()
    found = result([size])
    try:
        numba.set_num_threads(1)
        alone = result([size])
    finally:
        numba.set_num_threads(threads)
    # The same numbers element by element: what a compiler makes of a loop's ends is the same arithmetic.
    small = min(size, 35)
    several = result([0, *[small // 5] * 5, 0, size - small // 5 * 5])
    one_by_one = [[p[i : i + 1].copy() for p in arrays(size, dtype, count)] for i in range(min(size, 20))]
    for single in one_by_one:
        run(*[[array] for array in single])
    for i, (a, b, c) in enumerate(zip(found, alone, several, strict=True)):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(a[:20], np.concatenate([single[i] for single in one_by_one]))


def test_every_parameter_has_a_count_of_its_own():
    parameters, grads = [[np.ones(3), np.ones(3)] for _ in range(2)]
    table = cpu.Arrays(parameters, *[[np.zeros(3), np.zeros(3)] for _ in range(2)])
    counts = np.array([1.0, 100.0])
    cpu.adam(table, grads, counts, 0.1, 0.9, 0.999, 0.0, 0.0, False, False, False)
    # mean = 0.1, square = 0.001: lr * (0.1 / (1 - 0.9^n)) / sqrt(0.001 / (1 - 0.999^n))
    sizes = 0.01 / (1 - 0.9**counts) / np.sqrt(0.001 / (1 - 0.999**counts))
    np.testing.assert_allclose(parameters, np.broadcast_to(1 - sizes[:, None], (2, 3)), 1e-12)


def test_adagrad_falls_by_the_count_of_each_parameter():
    parameters, grads = [[np.ones(3), np.ones(3)] for _ in range(2)]
    table = cpu.Arrays(parameters, [np.zeros(3), np.zeros(3)])
    cpu.adagrad(table, grads, np.array([1.0, 11.0]), 0.5, 0.1, 0.0, 0.0, False)
    np.testing.assert_allclose(parameters, [[0.5] * 3, [0.75] * 3], 1e-12)


def test_rmsprop_reads_no_state_that_is_not_there():
    parameter, grad, square = np.ones(3), np.ones(3), np.zeros(3)
    cpu.rmsprop(cpu.Arrays([parameter], [square]), [grad], np.ones(1), 0.1, 0.75, 0.0, 0.0, 0.0, False, False)
    np.testing.assert_allclose(parameter, 1 - 0.1 / 0.5, 1e-12)
    np.testing.assert_allclose(square, 0.25, 1e-12)


def test_sgd_without_momentum_leaves_no_trace():
    parameter, grad = arrays(100, "float32", 2)
    grad.flags.writeable = False
    before = parameter.copy()
    table = cpu.Arrays([parameter])
    cpu.sgd(table, [grad], np.zeros(1, bool), 0.5, 0.0, 0.0, 0.0, False, True)
    np.testing.assert_array_equal(parameter, before + np.float32(0.5) * grad)
