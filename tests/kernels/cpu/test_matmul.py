"""kernels/cpu/matmul.py: products of every small shape, of every layout, of any number of threads."""

import itertools

import numpy as np
import pytest

from kernels import cpu

# Around the sizes of tiles, vectors and blocks.
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33]
LARGE = [
    (64, 784, 128),
    (64, 128, 10),
    (128, 64, 784),
    (10, 64, 128),
    (65, 129, 257),
    (1, 1000, 1),
    (300, 1, 300),
    (17, 33, 513),
]


def numbers(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def surrounded(array: np.ndarray, order: str) -> np.ndarray:
    """Return the same matrix within a larger one of nan: what is read beside it shows."""
    rows, columns = array.shape[-2:]
    lead = array.shape[:-2]
    if order == "C":
        around = np.full((*lead, rows + 5, columns + 7), np.nan, array.dtype)
        window = around[..., 2 : 2 + rows, 3 : 3 + columns]
    elif order == "F":
        around = np.full((*lead, columns + 7, rows + 5), np.nan, array.dtype)
        window = np.swapaxes(around, -1, -2)[..., 2 : 2 + rows, 3 : 3 + columns]
    else:
        around = np.full((*lead, 2 * rows + 3, 3 * columns + 4), np.nan, array.dtype)
        window = around[..., 1 : 1 + 2 * rows : 2, 2 : 2 + 3 * columns : 3]
    window[...] = array
    return window


def close(ours: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    exact = a.astype(np.float64) @ b.astype(np.float64)
    # A bound for any order of the sum: eps * inner * sum |a| |b|.
    bound = (
        np.finfo(ours.dtype).eps
        * (a.shape[-1] + 2)
        * (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64))
    )
    assert ours.shape == exact.shape
    assert ours.dtype == a.dtype
    assert (np.abs(ours - exact) <= bound).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", SIZES)
def test_every_small_shape(rows: int, dtype: str) -> None:
    orders = itertools.cycle(
        [("C", "C"), ("F", "C"), ("C", "F"), ("F", "F"), ("steps", "steps"), ("C", "steps")]
    )
    for inner, columns in itertools.product(SIZES, SIZES):
        a, b = numbers(rows, inner, dtype=dtype), numbers(inner, columns, dtype=dtype, seed=1)
        first, second = next(orders)
        close(cpu.matmul(surrounded(a, first), surrounded(b, second)), a, b)
        close(cpu.matmul(a, np.asfortranarray(b)), a, b)
        close(cpu.matmul(a, b), a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_large_shapes(shape, dtype: str) -> None:
    rows, inner, columns = shape
    a, b = numbers(rows, inner, dtype=dtype), numbers(inner, columns, dtype=dtype, seed=1)
    for first, second in itertools.product("CF", "CF"):
        close(cpu.matmul(np.array(a, order=first), np.array(b, order=second)), a, b)
    close(cpu.matmul(surrounded(a, "steps"), surrounded(b, "C")), a, b)


@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 2, 4), (3, 4, 5)),
        ((3, 2, 4), (4, 5)),
        ((2, 4), (3, 4, 5)),
        ((1, 2, 4), (3, 4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((0, 2, 3), (3, 4)),
        ((2, 0), (0, 3)),
        ((0, 2), (2, 3)),
        ((2, 3), (3, 0)),
        ((6, 70, 33), (6, 33, 65)),
    ],
    ids=str,
)
def test_batches(shapes) -> None:
    for dtype in ("float32", "float64"):
        a, b = numbers(*shapes[0], dtype=dtype), numbers(*shapes[1], dtype=dtype, seed=1)
        close(cpu.matmul(a, b), a, b)
        if a.size and b.size:
            close(cpu.matmul(surrounded(a, "C"), surrounded(b, "F")), a, b)


def test_broadcast_and_read_only_operands() -> None:
    a = np.broadcast_to(numbers(1, 4), (3, 4))
    b = np.broadcast_to(numbers(4, 1, seed=1), (4, 6))
    close(cpu.matmul(a, b), a, b)


def test_integers() -> None:
    a, b = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(cpu.matmul(a, b), a @ b)


def test_special_values_spread_as_they_should() -> None:
    a, b = numbers(9, 9), numbers(9, 9, seed=1)
    a[2, 3], b[4, 5] = np.nan, np.inf
    out = cpu.matmul(a, b)
    assert np.isnan(out[2]).all()
    assert not np.isfinite(out[:, 5]).any()
    assert np.isfinite(np.delete(np.delete(out, 2, 0), 5, 1)).all()


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias: bool) -> None:
    for batch in [(), (3,), (2, 3), (0,), (64,)]:
        x, weight = numbers(*batch, 12), numbers(5, 12, seed=1)
        add = numbers(5, seed=2) if bias else None
        expected = x @ weight.T + (0 if add is None else add)
        np.testing.assert_allclose(cpu.linear(x, weight, add), expected, 1e-12, 1e-12)


def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    before = cpu.get_num_threads()
    try:
        for rows, inner, columns in [*LARGE, (5, 5, 5)]:
            a, b = numbers(rows, inner, dtype="float32"), numbers(inner, columns, dtype="float32", seed=1)
            results = []
            for threads in (1, 2):
                cpu.set_num_threads(threads)
                results.append(
                    [
                        cpu.matmul(a, b),
                        cpu.matmul(a, np.asfortranarray(b)),
                        cpu.matmul(np.asfortranarray(a), b),
                    ]
                )
            for one, two in zip(*results, strict=True):
                np.testing.assert_array_equal(one, two)
    finally:
        cpu.set_num_threads(before)


@pytest.mark.parametrize("activation", ["relu", "tanh", None])
@pytest.mark.parametrize("inner", [5, 0])
def test_linear_with_an_activation(activation, inner) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=(2, 4, inner)), rng.normal(size=(3, inner)), rng.normal(size=3)
    formula = {"relu": lambda v: np.maximum(v, 0), "tanh": np.tanh, None: lambda v: v}[activation]
    found = cpu.linear(x, weight, bias, activation)
    np.testing.assert_allclose(found, formula(x @ weight.T + bias), 1e-12, 1e-12)


def test_an_activation_that_needs_what_goes_into_it_is_refused() -> None:
    with pytest.raises(ValueError, match=r"linear: expected an activation of .*, got 'gelu'"):
        cpu.linear(np.ones((2, 2)), np.ones((2, 2)), None, "gelu")
