"""kernels/cpu/lift.py: any layout, any size, on one thread or more, the same bits."""

import itertools

import numpy as np
import pytest

from kernels import cpu
from kernels.cpu.lift import LARGE, lift
from micro.formulas import FORMULAS

ROWS = LARGE // 64 + 3  # times 64 columns: shared among the threads, in unequal parts


def combine(x, y, z):
    return x * 2.0 + y - z


def first_of_eight(a, b, c, d, e, f, g, h):
    return a


def numbers(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def expected(x, y, z) -> np.ndarray:
    return x * x.dtype.type(2) + y - z


LAYOUTS = {
    "in order": lambda: numbers(ROWS, 64),
    "transposed": lambda: numbers(64, ROWS).T,
    "steps": lambda: numbers(2 * ROWS, 192)[::2, ::3],
    "backwards": lambda: numbers(ROWS, 64)[::-1, ::-1],
    "a row": lambda: numbers(64),
    "a column": lambda: numbers(ROWS, 1),
    "a number": lambda: numbers(),
    "expanded": lambda: np.broadcast_to(numbers(1), (ROWS, 64)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("first", "second"), list(itertools.product(LAYOUTS, LAYOUTS)))
def test_layouts_of_large_and_small_arrays(first: str, second: str, dtype: str) -> None:
    function = lift(combine, np.dtype(dtype))
    x, y = LAYOUTS[first]().astype(dtype, order="K"), LAYOUTS[second]().astype(dtype, order="K")
    z = numbers(ROWS, 64, dtype=dtype, seed=1)
    for part in (slice(None), slice(0, 5)):
        a, b, c = (v[part] if v.ndim == 2 and len(v) == ROWS else v for v in (x, y, z))
        np.testing.assert_array_equal(function(a, b, c), expected(a, b, c))
        np.testing.assert_array_equal(function(c, a, b), expected(c, a, b))


def test_sizes_around_vectors_and_blocks() -> None:
    function = lift(combine, np.dtype("float32"))
    for size in [*range(70), 511, 512, 513, 1025, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE + 17]:
        x = numbers(2 * size)
        y = x[::-2]
        np.testing.assert_array_equal(function(x[::2], y, x[:size]), expected(x[::2], y, x[:size]))


@pytest.mark.parametrize("size", [100, LARGE + 100])
def test_the_result_may_overwrite_an_operand(size: int) -> None:
    function = lift(combine, np.dtype("float32"))
    for which in range(3):
        operands = [numbers(size, seed=i) for i in range(3)]
        wanted = expected(*operands)
        assert function(*operands, out=operands[which]) is operands[which]
        np.testing.assert_array_equal(operands[which], wanted)


@pytest.mark.parametrize("size", [100, LARGE + 100])
@pytest.mark.parametrize("shift", [-3, 1, 40])
def test_the_result_may_overlap_an_operand(size: int, shift: int) -> None:
    function = lift(combine, np.dtype("float32"))
    memory = numbers(size + 80)
    x, out = memory[40 : 40 + size], memory[40 + shift : 40 + shift + size]
    y, z = numbers(size, seed=1), numbers(size, seed=2)
    wanted = expected(x, y, z)
    function(x, y, z, out=out)
    np.testing.assert_array_equal(out, wanted)


def test_the_result_keeps_the_order_of_memory() -> None:
    x = LAYOUTS["transposed"]()
    assert cpu.forward("exp", x).strides == x.strides
    assert cpu.forward("exp", x[:3]).flags.f_contiguous


def test_memory_that_is_not_aligned() -> None:
    memory = np.zeros(4 * (LARGE + 1) + 1, np.uint8)
    x = memory[1:-4].view(np.float32)[:LARGE]
    x[:] = numbers(LARGE)
    np.testing.assert_array_equal(cpu.forward("mul", x, x), x * x)


@pytest.mark.parametrize("size", [10, LARGE + 10])
def test_shapes_that_do_not_fit(size: int) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        cpu.forward("mul", numbers(size), numbers(size + 1))
    with pytest.raises(ValueError, match="output"):
        cpu.forward("mul", numbers(1, size), numbers(2, size), out=numbers(1, size))


@pytest.mark.parametrize("name", ["tanh", "gelu", "mul", "softplus"])
def test_one_thread_gives_the_bits_of_many(name: str) -> None:
    x = numbers(3 * LARGE + 5)
    args = [x] * len(FORMULAS[name].variables)
    options = tuple(FORMULAS[name].options.values())
    grad = numbers(x.size, seed=1)
    before, results = cpu.get_num_threads(), []
    try:
        for threads in (1, before):
            cpu.set_num_threads(threads)
            out = cpu.forward(name, *args, *options)
            results.append((out, cpu.derivative(name, 0, tuple(args), out, grad, options)))
    finally:
        cpu.set_num_threads(before)
    for one, many in zip(*results, strict=True):
        np.testing.assert_array_equal(one.view(np.int32), many.view(np.int32))


def test_too_many_operands() -> None:
    with pytest.raises(ValueError, match="at most 7 arrays"):
        lift(first_of_eight, np.dtype("float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_squares_are_powers(dtype: str) -> None:
    two, exponents = np.array(2.0, dtype), np.full(1000, 2.0, dtype)
    x, grad = numbers(1000, dtype=dtype), numbers(1000, dtype=dtype, seed=1)
    limit = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(cpu.forward("pow", x, two), cpu.forward("pow", x, exponents), rtol=limit)
    found, general = (cpu.derivative("pow", 0, (x, y), None, grad) for y in (two, exponents))
    np.testing.assert_allclose(found, general, rtol=limit)
    out = x.copy()
    assert cpu.forward("pow", out, two, out=out) is out
    np.testing.assert_array_equal(out, x * x)
