"""kernels/cpu/fold.py: blocks of planes as columns and back, beside plain loops."""

import itertools

import numpy as np
import pytest

from kernels import cpu


@pytest.mark.parametrize("padding", [(0, 0), (2, 1)], ids=str)
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)], ids=str)
@pytest.mark.parametrize("stride", [(1, 1), (3, 2)], ids=str)
def test_beside_loops(stride, dilation, padding) -> None:
    rng = np.random.default_rng(0)
    kernel, size = (2, 3), (7, 9)
    sizes = zip(size, kernel, stride, padding, dilation, strict=True)
    blocks = tuple((n + 2 * p - d * (m - 1) - 1) // s + 1 for n, m, s, p, d in sizes)
    options = kernel, blocks, stride, padding, dilation
    x = rng.normal(size=(2, 9, 2, 7)).transpose(0, 2, 3, 1)
    columns = rng.normal(size=(2, 2 * 6, blocks[0] * blocks[1]))

    expected, planes = np.zeros_like(columns), np.zeros(x.shape)
    taps = itertools.product(range(2), range(2), range(3))
    for row, (channel, i, j) in enumerate(taps):
        for block, (top, left) in enumerate(itertools.product(*map(range, blocks))):
            y = top * stride[0] + i * dilation[0] - padding[0]
            z = left * stride[1] + j * dilation[1] - padding[1]
            if 0 <= y < 7 and 0 <= z < 9:
                expected[:, row, block] = x[:, channel, y, z]
                planes[:, channel, y, z] += columns[:, row, block]
    np.testing.assert_array_equal(cpu.unfold(x, *options), expected)
    np.testing.assert_allclose(cpu.fold(columns, size, *options), planes, 1e-13, 1e-13)
    assert cpu.fold(columns.astype(np.float32), size, *options).dtype == np.float32
