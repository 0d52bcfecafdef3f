"""kernels/cpu/parts.py: what kernels are made of is compiled with them, for each of their types."""

import math

import numpy as np
import pytest
from numba import float64
from numba.core.compiler_lock import global_compiler_lock

from kernels.cpu.compile import jit, kernel
from kernels.cpu.parts import _PartLibrary


@jit
def _largest(x):
    best = x[0]
    for i in range(1, x.size):
        best = max(best, x[i])
    return best


@jit
def _spread(x, low):
    return _largest(x) - low, math.sqrt(x.size)


@jit(fastmath={"reassoc"})
def _total(x):
    total = np.float64(0)
    for i in range(x.size):
        total += x[i]
    return total


@kernel("T[::1], out float64[::1]")
def _describe(x, out):
    out[0], out[1] = _spread(x, x[0])
    out[2] = _largest(x[1:])
    out[3] = _total(x)


@kernel("T[::1], out float64[::1]")
def _describe_twice(x, out):
    out[0], out[1] = _spread(x, x[0])
    out[2], out[3] = _spread(x[1:], x[0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_parts_of_parts_in_two_kernels(dtype: str) -> None:
    x, out = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5], dtype), np.zeros(4)
    _describe(x, out)
    assert out.tolist() == [6, 3, 9, 36]
    _describe_twice(x, out)
    assert out.tolist() == [6, 3, 6, math.sqrt(8)]


def test_a_part_has_no_machine_code_of_its_own() -> None:
    with global_compiler_lock:
        _spread.compile((float64[::1], float64))  # a kernel out of the cache would bring no part along
        libraries = [result.library for result in _spread.overloads.values()]
        assert libraries
        for library in libraries:
            assert isinstance(library, _PartLibrary)
            assert not library.get_pointer_to_function(next(library.get_defined_functions()).name)


@jit
def _refuse(x):
    if x[0] < 0:
        raise ValueError("negative")
    return x[0]


@kernel("T[::1], out T[::1]")
def _first(x, out):
    out[0] = _refuse(x)


def test_an_error_in_a_part_reaches_the_caller() -> None:
    out = np.zeros(1)
    _first(np.ones(1), out)
    assert out[0] == 1
    with pytest.raises(ValueError, match="negative"):
        _first(-np.ones(1), out)
