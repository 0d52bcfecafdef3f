"""kernels/cuda/conv.py beside the CPU's: every way in which windows, strides and taps may meet."""

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

# (images, filters, (stride, padding, dilation, groups))
CASES = [
    (
        (1, 1, 7, 6),
        (2, 1, 3, 2),
        ((4, 3), (2, 1), (2, 3), 1),
    ),  # taps and strides with a common divisor, or none
    ((1, 2, 6, 7), (1, 2, 2, 2), ((3, 4), (1, 0), (1, 2), 1)),  # pixels that no window reaches
    ((2, 2, 4, 4), (2, 1, 2, 2), ((2, 2), (1, 1), (1, 1), 2)),  # windows that have no pixel in common
    ((1, 1, 5, 5), (1, 1, 4, 3), ((3, 2), (0, 0), (1, 1), 1)),  # one position down, several across
    ((1, 1, 3, 4), (1, 1, 3, 2), ((9, 1), (0, 3), (1, 1), 1)),  # more padding than a window is wide
    ((1, 4, 3, 3), (6, 2, 1, 1), ((2, 1), (0, 0), (1, 1), 2)),
    ((2, 1, 2, 33), (2, 1, 2, 31), ((1, 2), (1, 2), (1, 1), 1)),  # more taps than an entry has bits for
]


def numbers(*shape: int) -> np.ndarray:
    return RNG.uniform(-2, 2, shape)


def moved(array: np.ndarray, gaps: bool):
    """Return an array on the GPU, in order or with gaps between its elements."""
    if not gaps:
        return k.from_host(array)
    wide = np.zeros([2 * n for n in array.shape])
    window = tuple(slice(None, None, 2) for _ in array.shape)
    wide[window] = array
    return k.from_host(wide)[window]


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("images", "filters", "options"), CASES, ids=str)
def test_as_on_the_cpu(images, filters, options, gaps) -> None:
    x, weight, bias = numbers(*images), numbers(*filters), numbers(filters[0])
    out = cpu.conv2d(x, weight, bias, *options)
    grad = numbers(*out.shape)
    there = [moved(a, gaps) for a in (x, weight, bias, grad)]
    found_x = k.conv2d_dx(there[3], there[1], images[2:], *options)
    pairs = [
        (k.conv2d(*there[:3], *options), out),
        (found_x, cpu.conv2d_dx(grad, weight, images[2:], *options)),
    ]
    found_w, found_b = k.conv2d_dparameters(there[3], there[0], filters[2:], *options)
    grad_w, grad_b = cpu.conv2d_dparameters(grad, x, filters[2:], *options)
    pairs += [(found_w, grad_w), (found_b, grad_b)]
    for found, wanted in pairs:
        np.testing.assert_allclose(found.to_host(), wanted, 1e-11, 1e-11)
        assert found.flags.c_contiguous


def test_without_channels_there_are_biases() -> None:
    x, weight, bias = numbers(1, 0, 5, 4), numbers(2, 0, 3, 3), numbers(2)
    found = k.conv2d(k.from_host(x), k.from_host(weight), k.from_host(bias), (1, 1), (0, 0), (1, 1), 1)
    np.testing.assert_array_equal(found.to_host(), np.broadcast_to(bias[:, None, None], (1, 2, 3, 2)))


@pytest.mark.parametrize("filters", [(5, 2, 3, 3), (2, 2, 1, 31)])
def test_an_activation_comes_on_top(filters) -> None:
    x, weight, bias = numbers(2, 2, 5, 33), numbers(*filters), numbers(filters[0])
    options = (1, 1), (1, 2), (1, 1), 1
    there = [k.from_host(a) for a in (x, weight, bias)]
    for name in ("relu", "tanh"):
        expected = cpu.conv2d(x, weight, bias, *options, name)
        plain = cpu.conv2d(x, weight, bias, *options)
        np.testing.assert_array_equal(expected, np.maximum(plain, 0) if name == "relu" else np.tanh(plain))
        np.testing.assert_allclose(k.conv2d(*there, *options, name).to_host(), expected, 1e-11, 1e-11)
    for table, operands in ((k, there), (cpu, (x, weight, bias))):
        with pytest.raises(ValueError, match=r"conv2d: expected an activation of .*, got 'gelu'"):
            table.conv2d(*operands, *options, "gelu")


def test_sum_channels() -> None:
    x = numbers(2, 3, 4, 5)
    np.testing.assert_allclose(k.sum_channels(k.from_host(x)).to_host(), x.sum((0, 2, 3)), 1e-12)
