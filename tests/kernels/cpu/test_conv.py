"""kernels/cpu/conv.py: convolutions and both their gradients, of every small shape, option and layout."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import cpu

CHANNELS = [1, 3, 5, 8, 17]
KERNELS = list(itertools.product(range(1, 6), range(1, 6)))

# x, weight, stride, padding, dilation, groups: enough work for several threads and whole vectors.
LARGE = [
    ((8, 32, 14, 14), (32, 32, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((16, 1, 28, 28), (32, 1, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 64, 30, 30), (64, 64, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    # By transformed windows: whole, odd and few rows, many channels, one image for two threads, large images.
    ((9, 24, 8, 11), (29, 24, 3, 3), (1, 1), (0, 1), (1, 1), 1),
    ((1, 25, 30, 27), (24, 25, 3, 3), (1, 1), (2, 0), (1, 1), 1),
    ((3, 150, 13, 12), (26, 150, 3, 3), (1, 1), (1, 2), (1, 1), 1),
    ((1, 24, 90, 120), (24, 24, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((64, 24, 3, 3), (24, 24, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((3, 17, 33, 35), (19, 17, 3, 3), (1, 1), (0, 0), (1, 1), 1),
    ((4, 33, 31, 29), (40, 33, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((4, 16, 40, 37), (24, 16, 5, 5), (2, 2), (2, 2), (1, 1), 1),
    ((4, 24, 25, 23), (24, 12, 3, 3), (1, 1), (2, 2), (2, 2), 2),
    ((4, 32, 27, 50), (32, 1, 3, 3), (1, 1), (1, 1), (1, 1), 32),
    ((2, 3, 64, 64), (16, 3, 7, 7), (2, 2), (3, 3), (1, 1), 1),
    ((1, 8, 1, 3000), (16, 8, 1, 9), (1, 1), (0, 4), (1, 1), 1),
    # Three images for two threads, which share each; results are wider than a padded row.
    ((3, 8, 12, 14), (17, 8, 4, 2), (1, 1), (3, 3), (1, 1), 1),
    ((3, 17, 7, 9), (17, 17, 2, 3), (1, 1), (2, 3), (1, 1), 1),
]


def numbers(*shape: int, seed: int = 0, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def guard(array: np.ndarray, layout: str) -> np.ndarray:
    """Return the same values in a layout of memory, with nan wherever nothing should be read."""
    if layout == "in order":
        around = np.full(array.size + 128, np.nan, array.dtype)
        window = around[64 : 64 + array.size].reshape(array.shape)
    elif layout == "gaps":
        around = np.full(tuple(n + 3 for n in array.shape), np.nan, array.dtype)
        window = around[tuple(slice(1, 1 + n) for n in array.shape)]
    elif layout == "steps":
        around = np.full(tuple(2 * n + 1 for n in array.shape), np.nan, array.dtype)
        window = around[tuple(slice(1, None, 2) for _ in array.shape)]
    elif layout == "channels last":
        return np.array(array.transpose(0, 2, 3, 1), order="C").transpose(0, 3, 1, 2)
    else:
        assert layout == "reversed"
        return np.array(array[:, :, ::-1, ::-1], order="C")[:, :, ::-1, ::-1]
    window[...] = array
    return window


LAYOUTS = ["in order", "gaps", "steps", "channels last", "reversed"]


def close(ours: np.ndarray, exact: np.ndarray, magnitude: np.ndarray, terms: int, what) -> None:
    """Compare with a bound for any order of the sum: eps * terms * sum of |a| |b|."""
    assert ours.shape == exact.shape, what
    assert ours.flags.c_contiguous, what
    bound = np.finfo(ours.dtype).eps * (terms + 2) * magnitude
    excess = np.max(np.abs(ours - exact) - bound, initial=-1.0)  # nan, where there is one
    assert excess <= 0, f"{what}: {excess:.3g} beyond the bound"


def check(reference, x_shape, w_shape, stride, padding, dilation, groups, dtype, layouts, seed=0) -> None:
    """Compare the three kernels with the reference, on operands in `layouts` (of x, weight and grad)."""
    options = stride, padding, dilation, groups
    what = x_shape, w_shape, *options, dtype, layouts
    x, weight = numbers(*x_shape, seed=seed, dtype=dtype), numbers(*w_shape, seed=seed + 1, dtype=dtype)
    bias = numbers(w_shape[0], seed=seed + 2, dtype=dtype) if seed % 2 == 0 else None
    exact = reference.conv2d(x, weight, bias, *options)
    grad = numbers(*exact.shape, seed=seed + 3, dtype=dtype)
    a, b, g = (guard(v, layout) for v, layout in zip((x, weight, grad), layouts, strict=True))

    given_bias = bias if bias is None or layouts[1] == "in order" else np.repeat(bias, 2)[::2]
    out = cpu.conv2d(a, b, given_bias, *options)
    grad_x = cpu.conv2d_dx(g, b, x_shape[2:], *options)
    grad_w, grad_b = cpu.conv2d_dparameters(g, a, w_shape[2:], *options)
    np.testing.assert_array_equal(cpu.conv2d_dweight(g, a, w_shape[2:], *options), grad_w)
    for found in (out, grad_x, grad_w):
        assert found.dtype == dtype, what

    bound = np.finfo(dtype).eps * (grad.size // max(w_shape[0], 1) + 2) * np.abs(grad).sum((0, 2, 3))
    assert (np.abs(grad_b - grad.astype(np.float64).sum((0, 2, 3))) <= bound).all(), what
    depth, taps = w_shape[1], w_shape[2] * w_shape[3]
    x_, w_, g_ = np.abs(x), np.abs(weight), np.abs(grad)
    b_ = None if bias is None else np.abs(bias)
    close(out, exact, reference.conv2d(x_, w_, b_, *options), depth * taps + 1, ("forward", what))
    close(
        grad_x,
        reference.conv2d_dx(grad, weight, x_shape[2:], *options),
        reference.conv2d_dx(g_, w_, x_shape[2:], *options),
        w_shape[0] // groups * taps,
        ("input gradient", what),
    )
    close(
        grad_w,
        reference.conv2d_dweight(grad, x, w_shape[2:], *options),
        reference.conv2d_dweight(g_, x_, w_shape[2:], *options),
        grad.size // max(w_shape[0], 1),
        ("weight gradient", what),
    )


def draw(rng: np.random.Generator, kernel: tuple[int, int]):
    """Return shapes and options, at random, in which this kernel fits."""
    stride, dilation = (tuple(map(int, rng.integers(1, 4, 2))) for _ in range(2))
    if rng.random() < 0.4:
        stride = dilation = (1, 1)
    padding = tuple(map(int, rng.integers(0, 4, 2)))
    least = [max(1, d * (n - 1) + 1 - 2 * p) for n, d, p in zip(kernel, dilation, padding, strict=True)]
    height, width = (int(rng.integers(n, max(n, 20) + 1)) for n in least)
    channels, filters = (int(n) for n in rng.choice(CHANNELS, 2))
    groups = int(rng.choice([1, 1, 2, 3, channels]))
    if groups == channels:  # depthwise, one or several filters each
        channels, filters = 1, int(rng.integers(1, 3))
    batch = int(rng.choice([1, 1, 3]))
    shapes = (batch, groups * channels, height, width), (groups * filters, channels, *kernel)
    return *shapes, stride, padding, dilation, groups


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_every_kernel_size(reference_conv, kernel, dtype) -> None:
    rng = np.random.default_rng(KERNELS.index(kernel))
    for i in range(12 if dtype == "float32" else 4):
        layouts = [LAYOUTS[0]] * 3 if i % 2 else rng.choice(LAYOUTS, 3).tolist()
        check(reference_conv, *draw(rng, kernel), dtype, layouts, seed=i)


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("kernel", [1, 2, 3], ids=str)
def test_every_small_plane(reference_conv, kernel, padding) -> None:
    """Planes narrower than a vector, of one, and just wider than several."""
    sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 34]
    for i, (width, channels) in enumerate(itertools.product(sizes, CHANNELS)):
        if width + 2 * padding < kernel:
            continue
        height = max(sizes[(i * 7) % 9], kernel - 2 * padding)
        shapes = (1, channels, height, width), (CHANNELS[i % 4], channels, kernel, kernel)
        options = (1, 1), (padding, padding), (1, 1), 1
        check(reference_conv, *shapes, *options, "float32", ["in order"] * 3, seed=i)


@pytest.mark.parametrize("stride", [2, 3])
def test_strides_that_leave_a_rest(reference_conv, stride) -> None:
    for height, width, kernel, padding in itertools.product(range(3, 9), (5, 20), (1, 2, 3), (0, 1)):
        shapes = (2, 3, height, width), (5, 3, kernel, kernel)
        options = (stride, stride), (padding, padding), (1, 1), 1
        check(reference_conv, *shapes, *options, "float32", ["in order"] * 3)


@pytest.mark.parametrize("case", LARGE, ids=str)
def test_large(reference_conv, case) -> None:
    check(reference_conv, *case, "float32", ["in order"] * 3)
    check(reference_conv, *case, "float32", ["channels last", "steps", "gaps"], seed=1)


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_any(reference_conv, data) -> None:
    ints = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    kernel, stride, dilation = ((ints(1, 5), ints(1, 5)), (ints(1, 4), ints(1, 4)), (ints(1, 4), ints(1, 4)))
    padding, groups = (ints(0, 6), ints(0, 6)), ints(1, 4)
    least = [max(1, d * (n - 1) + 1 - 2 * p) for n, d, p in zip(kernel, dilation, padding, strict=True)]
    shapes = (ints(0, 3), groups * ints(1, 9), least[0] + ints(0, 12), least[1] + ints(0, 24))
    weight = (groups * ints(1, 9), shapes[1] // groups, *kernel)
    layouts = [data.draw(st.sampled_from(LAYOUTS)) for _ in range(3)]
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    check(reference_conv, shapes, weight, stride, padding, dilation, groups, dtype, layouts, ints(0, 9))


def test_no_batch_and_no_channels(reference_conv) -> None:
    options = (1, 1), (1, 1), (1, 1), 1
    check(reference_conv, (0, 3, 5, 6), (4, 3, 3, 3), *options, "float32", ["in order"] * 3)
    out = cpu.conv2d(numbers(2, 0, 5, 5), numbers(4, 0, 3, 3), numbers(4), *options)
    np.testing.assert_array_equal(out, np.broadcast_to(numbers(4)[:, None, None], (2, 4, 5, 5)))


def test_an_activation_comes_on_top() -> None:
    x, weight, bias = (
        np.random.default_rng(0).standard_normal(s) for s in ((2, 3, 6, 7), (4, 3, 3, 3), (4,))
    )
    options = (1, 1), (1, 1), (1, 1), 1
    plain = cpu.conv2d(x, weight, bias, *options)
    np.testing.assert_array_equal(cpu.conv2d(x, weight, bias, *options, "relu"), np.maximum(plain, 0))
    with pytest.raises(ValueError, match=r"conv2d: expected an activation of .*, got 'gelu'"):
        cpu.conv2d(x, weight, bias, *options, "gelu")


def test_repeated_and_read_only_operands(reference_conv) -> None:
    """The gradient of a sum is one number, seen as many."""
    options = (1, 1), (1, 1), (1, 1), 1
    x, weight = numbers(2, 3, 6, 9), numbers(5, 3, 3, 3, seed=1)
    for array in (x, weight):
        array.flags.writeable = False
    grad = np.broadcast_to(numbers(1, 1, 1, 1), (2, 5, 6, 9))
    for ours, exact in [
        (cpu.conv2d(x, weight, None, *options), reference_conv.conv2d(x, weight, None, *options)),
        (
            cpu.conv2d_dx(grad, weight, (6, 9), *options),
            reference_conv.conv2d_dx(grad, weight, (6, 9), *options),
        ),
        (
            cpu.conv2d_dweight(grad, x, (3, 3), *options),
            reference_conv.conv2d_dweight(grad, x, (3, 3), *options),
        ),
    ]:
        np.testing.assert_allclose(ours, exact, 1e-12, 1e-12)


def test_results_share_no_memory() -> None:
    x, weight, options = numbers(1, 1, 4, 4), np.ones((1, 1, 1, 1)), ((1, 1), (0, 0), (1, 1), 1)
    first, second = cpu.conv2d(x, weight, None, *options), cpu.conv2d(2 * x, weight, None, *options)
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(first, x)
    for result in (first, cpu.conv2d_dx(x, weight, (4, 4), *options)):
        assert result.base is None, "or a gradient is copied when a leaf keeps it"
        np.testing.assert_array_equal(result, x)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_special_values_spread_as_they_should(reference_conv, stride, groups, value) -> None:
    """What a nan touches is nan, and nothing else."""
    options = (stride, stride), (1, 1), (1, 1), groups
    x, weight = np.abs(numbers(2, 4, 9, 20)) + 0.1, np.abs(numbers(6, 4 // groups, 3, 3, seed=1)) + 0.1
    grad = np.ones_like(reference_conv.conv2d(x, weight, None, *options))
    x[1, 2, 4, 17] = value
    touched = np.zeros_like(x)
    touched[1, 2, 4, 17] = 1
    expected = reference_conv.conv2d(touched, weight, None, *options) > 0
    for dtype in ("float32", "float64"):
        a, w, g = x.astype(dtype), weight.astype(dtype), grad.astype(dtype)
        np.testing.assert_array_equal(~np.isfinite(cpu.conv2d(a, w, None, *options)), expected)
        found = ~np.isfinite(cpu.conv2d_dweight(g, a, (3, 3), *options))
        np.testing.assert_array_equal(
            found, reference_conv.conv2d_dweight(grad, touched, (3, 3), *options) > 0
        )
        g[0, 1, 2, 3] = value
        arriving = np.zeros_like(grad)
        arriving[0, 1, 2, 3] = 1
        found = ~np.isfinite(cpu.conv2d_dx(g, w, (9, 20), *options))
        np.testing.assert_array_equal(
            found, reference_conv.conv2d_dx(arriving, weight, (9, 20), *options) > 0
        )


def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    before = cpu.get_num_threads()
    try:
        for x_shape, w_shape, *options in LARGE:
            x, weight = numbers(*x_shape, dtype="float32"), numbers(*w_shape, seed=1, dtype="float32")
            bias = numbers(w_shape[0], seed=2, dtype="float32")
            results = []
            for threads in (1, 2):
                cpu.set_num_threads(threads)
                out = cpu.conv2d(x, weight, bias, *options)
                grad_x = cpu.conv2d_dx(out, weight, x_shape[2:], *options)
                results.append((out, grad_x, cpu.conv2d_dweight(out, x, w_shape[2:], *options)))
            for one, two in zip(*results, strict=True):
                np.testing.assert_array_equal(one, two)
    finally:
        cpu.set_num_threads(before)


def _theirs(torch, x, weight, bias, grad, stride, padding, dilation, groups):
    """Return PyTorch's result and both gradients."""
    x, weight = (torch.tensor(a, requires_grad=True) for a in (x, weight))
    bias = None if bias is None else torch.tensor(bias)
    out = torch.nn.functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
    out.backward(torch.tensor(grad))
    return out.detach().numpy(), x.grad.numpy(), weight.grad.numpy()


def test_the_reference_is_pytorchs(reference_conv, torch) -> None:
    rng = np.random.default_rng(0)
    for i in range(60):
        x_shape, w_shape, *options = draw(rng, KERNELS[i % len(KERNELS)])
        x, weight, bias = numbers(*x_shape), numbers(*w_shape, seed=1), numbers(w_shape[0], seed=2)
        out = reference_conv.conv2d(x, weight, bias, *options)
        grad = numbers(*out.shape, seed=3)
        ours = (
            out,
            reference_conv.conv2d_dx(grad, weight, x_shape[2:], *options),
            reference_conv.conv2d_dweight(grad, x, w_shape[2:], *options),
        )
        for a, b in zip(ours, _theirs(torch, x, weight, bias, grad, *options), strict=True):
            np.testing.assert_allclose(a, b, 1e-10, 1e-10)


@pytest.mark.parametrize("case", LARGE, ids=str)
def test_as_accurate_as_pytorch(reference_conv, torch, case) -> None:
    """The errors' root mean square is at most twice that of PyTorch's own float32 result."""
    x_shape, w_shape, *options = case
    x, weight = numbers(*x_shape, dtype="float32"), numbers(*w_shape, seed=1, dtype="float32")
    exact = reference_conv.conv2d(x, weight, None, *options)
    grad = numbers(*exact.shape, seed=2, dtype="float32")
    expected = (
        exact,
        reference_conv.conv2d_dx(grad, weight, x_shape[2:], *options),
        reference_conv.conv2d_dweight(grad, x, w_shape[2:], *options),
    )
    ours = (
        cpu.conv2d(x, weight, None, *options),
        cpu.conv2d_dx(grad, weight, x_shape[2:], *options),
        cpu.conv2d_dweight(grad, x, w_shape[2:], *options),
    )
    theirs = _theirs(torch, x, weight, None, grad, *options)
    names = ("forward", "input gradient", "weight gradient")
    for name, a, b, right in zip(names, ours, theirs, expected, strict=True):
        error, allowed = (np.sqrt(np.mean((found - right) ** 2)) for found in (a, b))
        assert error <= 2 * allowed, f"{name}: {error / allowed:.2f} times PyTorch's error"


_GUARDED = """
import ctypes, mmap
import numpy as np
from kernels import cpu

protect, kept = ctypes.CDLL(None).mprotect, []

def before_a_wall(*shape):
    # Zeros whose last one is followed by a page that must not be read.
    size = 4 * int(np.prod(shape))
    pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, pages + mmap.PAGESIZE)
    kept.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert protect(ctypes.c_void_p(start + pages), mmap.PAGESIZE, 0) == 0
    return np.frombuffer(memory, np.float32, size // 4, pages - size).reshape(shape)

for channels, filters, side, kernel, groups in CASES:
    x = before_a_wall(2, channels, side, side)
    weight = before_a_wall(filters, channels // groups, kernel, kernel)
    options = (1, 1), (0, 0), (1, 1), groups
    grad = before_a_wall(*cpu.conv2d(x, weight, None, *options).shape)
    cpu.conv2d_dx(grad, weight, (side, side), *options)
    cpu.conv2d_dweight(grad, x, (kernel, kernel), *options)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
def test_nothing_is_read_behind_the_arrays() -> None:
    cases = [(8, 8, 12, 3, 1), (64, 16, 9, 1, 1), (64, 64, 9, 1, 1), (128, 128, 14, 1, 1), (6, 6, 20, 3, 3)]
    script = _GUARDED.replace("CASES", repr(cases))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
