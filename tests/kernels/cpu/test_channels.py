"""kernels/cpu/channels.py: sums for each channel, of every size and layout, on any number of threads."""

import numpy as np
import pytest

from kernels import cpu

SHAPES = [
    (1, 1),
    (5, 3, 1, 1),
    (32, 3, 6, 6),
    (2, 17, 5, 7),
    (64, 33, 14, 14),
    (3, 8, 60, 60),
    (4, 40, 1000),
    (0, 3, 2, 2),
    (2, 0, 3, 3),
    (2, 3, 0, 3),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums(shape, dtype) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    others = tuple(d for d in range(len(shape)) if d != 1)
    exact, magnitude = x.astype(np.float64).sum(others), np.abs(x).astype(np.float64).sum(others)
    gaps = np.full((*shape[:-1], shape[-1] + 2), np.nan, dtype)
    gaps[..., 1:-1] = x
    for given in (x, gaps[..., 1:-1], np.asfortranarray(x)):
        out = cpu.sum_channels(given)
        assert out.dtype == dtype
        assert out.shape == shape[1:2]
        assert (np.abs(out - exact) <= 40 * np.finfo(dtype).eps * magnitude).all()


def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    before = cpu.get_num_threads()
    try:
        for shape in SHAPES:
            x, results = np.random.default_rng(1).normal(size=shape).astype(np.float32), []
            for threads in (1, 2):
                cpu.set_num_threads(threads)
                results.append(cpu.sum_channels(x))
            np.testing.assert_array_equal(*results)
    finally:
        cpu.set_num_threads(before)


def test_one_nan_stays_in_its_channel() -> None:
    x = np.ones((4, 20, 30, 30), np.float32)
    x[2, 7, 3, 3] = np.nan
    assert np.flatnonzero(np.isnan(cpu.sum_channels(x))).tolist() == [7]
