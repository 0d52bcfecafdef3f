"""kernels/cpu/pad.py: frames of a constant and of own elements, beside plain indexing."""

import itertools

import numpy as np
import pytest

from kernels import cpu


def test_constant_crops_and_pads():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)
    for before, after in itertools.product((-2, -1, 0, 3), (-1, 0, 2)):
        pads = ((before, after), (0, 1), (1, -1))
        out = cpu.pad_constant(x, pads, 7.0)
        positive = [tuple(max(n, 0) for n in pair) for pair in pads]
        inner = x[max(-before, 0) : 4 - max(-after, 0), :, :2]
        np.testing.assert_array_equal(out, np.pad(inner, positive, constant_values=7.0))
        assert out.flags.c_contiguous

        grad = np.random.default_rng(0).normal(size=out.shape).astype(np.float32)
        found = cpu.pad_constant_dx(grad, x.shape, pads)
        each = np.arange(1.0, x.size + 1).reshape(x.shape)  # where the elements went to
        places = cpu.pad_constant(each, pads, 0.0)
        expected = np.zeros(x.size + 1)
        expected[places.astype(int)] = grad
        np.testing.assert_array_equal(found, expected[1:].reshape(x.shape).astype(np.float32))
        assert found.base is None, "a gradient of its own memory is not copied again"


@pytest.mark.parametrize("before", [-3, -1, 0, 2, 6])
@pytest.mark.parametrize("length", [1, 4, 9])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_from_own_elements(before, length, dim):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 4, 5))[:, ::-1]
    size = x.shape[dim]
    source = np.clip(np.arange(length) - before, 0, size - 1)
    out = cpu.pad_from(x, dim, source, before)
    np.testing.assert_array_equal(out, np.take(x, source, dim))

    grad = rng.normal(size=out.shape)
    expected = np.zeros_like(x)
    for i, from_ in enumerate(source):
        np.moveaxis(expected, dim, 0)[from_] += np.moveaxis(grad, dim, 0)[i]
    np.testing.assert_allclose(cpu.pad_from_dx(grad, dim, source, before, size), expected, 1e-13, 1e-13)
