"""Making, copying, casting and joining arrays."""

import ctypes
import os
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from kernels.cpu.compile import kernel

_MANY = 1000  # elements from which on a compiled loop pays
_TRIM_THRESHOLD, _MAP_THRESHOLD = -1, -3  # as <malloc.h> numbers them


def _keep_freed_memory() -> None:
    """Let the C library keep what is freed, up to 256 MB, instead of handing it back to the system.

    A step makes and frees the same large arrays over and over; memory new from the system costs a page fault
    for every 4 KB: 2.5 ms for a million numbers that take 0.1 ms to compute. Only glibc has this setting, for
    the whole process; a user's own setting is left alone.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")) for name in os.environ):
        return
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MAP_THRESHOLD, 32 << 20)  # the most that is allowed: larger arrays are mapped one by one
        mallopt(_TRIM_THRESHOLD, 256 << 20)


_keep_freed_memory()


def zeros(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return zeros."""
    return np.zeros(shape, dtype)


def zeros_like(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return zeros in the shape of `x`, whose dims lie in memory in the order of its own."""
    return np.zeros_like(x, dtype)


def from_host(x: np.ndarray, wait: bool = True) -> np.ndarray:
    """Return a NumPy array as this table's kernels take it, for constants made in Python: here itself.

    wait: whether the elements must be there when this returns. Here they are.
    """
    return x


def to_host(x: np.ndarray) -> np.ndarray:
    """Return the elements as a NumPy array, to be read in Python: here the array itself."""
    return x


def full(shape: tuple[int, ...], value, dtype: np.dtype) -> np.ndarray:
    """Return an array filled with `value`."""
    out = np.empty(shape, dtype)  # a third of the time of np.full
    out.fill(value)
    return out


def copy(x: np.ndarray) -> np.ndarray:
    """Return a contiguous copy."""
    return np.array(x, order="C")


def copy_in_order(x: np.ndarray, strides: tuple[int, ...]) -> np.ndarray:
    """Return a copy without gaps whose dims lie in memory in the order of an array with these strides."""
    order = sorted(range(x.ndim), key=lambda d: -strides[d])
    return np.array(x.transpose(order), order="C").transpose(np.argsort(order)) if order else x.copy()


def cast(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return a copy of another dtype; floats are truncated towards zero."""
    if x.dtype.kind != "f":  # nothing to warn of; to ask for silence takes 1 us
        return x.astype(dtype)
    with np.errstate(all="ignore"):  # nan and inf have no integer: what comes out is up to the machine
        return x.astype(dtype)


def write(x: np.ndarray, values) -> None:
    """Overwrite `x` in place with broadcasting values."""
    if type(values) is np.ndarray and values.dtype == x.dtype and values.ndim <= x.ndim:
        x[...] = values  # nothing to warn of
        return
    with np.errstate(all="ignore"):
        np.copyto(x, values, casting="unsafe")


def cat(arrays: list[np.ndarray], dim: int) -> np.ndarray:
    """Join along an existing dimension."""
    return np.concatenate(arrays, axis=dim)


@kernel("T[::1], T[::1], bool_[::1], out T[::1]")
def _choose(x, y, condition, out):
    # A condition that nobody can predict costs NumPy 8 ns an element. Here both are read in any case, which
    # lets LLVM do without a branch.
    if x.size == 1:
        a = x[0]
        for i in range(out.size):
            b = y[i]
            out[i] = a if condition[i] else b
    elif y.size == 1:
        b = y[0]
        for i in range(out.size):
            a = x[i]
            out[i] = a if condition[i] else b
    else:
        for i in range(out.size):
            a, b = x[i], y[i]
            out[i] = a if condition[i] else b


def where(condition: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return x where condition holds, else y; all three broadcast."""
    shape = condition.shape
    if (
        condition.size >= _MANY
        and x.dtype == y.dtype
        and x.dtype.kind == "f"
        and (x.shape == shape or x.ndim == 0)
        and (y.shape == shape or y.ndim == 0)
        and condition.flags.c_contiguous
        and x.flags.c_contiguous
        and y.flags.c_contiguous
        and not x.ndim == y.ndim == 0
    ):
        out = np.empty(shape, x.dtype)
        _choose(x.reshape(-1), y.reshape(-1), condition.reshape(-1), out.reshape(-1))
        return out
    return np.asarray(np.where(condition, x, y))


def transpose(x: np.ndarray, dim0: int = -2, dim1: int = -1) -> np.ndarray:
    """Return a view with two dimensions exchanged."""
    return x.swapaxes(dim0, dim1)


def permute(x: np.ndarray, dims: Sequence[int]) -> np.ndarray:
    """Return a view with the dimensions in another order."""
    return x.transpose(dims)


def flip(x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """Return a copy with the elements along `dims` in reverse order."""
    return np.array(np.flip(x, dims), order="C")


def roll(x: np.ndarray, shifts: tuple[int, ...], dims: tuple[int, ...] | None) -> np.ndarray:
    """Return a copy with the elements moved on along `dims` (None: as if flat), round the end."""
    return np.roll(x, shifts if dims is not None else shifts[0], dims)


def expand(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a view broadcast to `shape`; it must not be written to."""
    return np.broadcast_to(x, shape)
