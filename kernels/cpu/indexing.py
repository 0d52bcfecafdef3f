"""Reading and writing elements by position, and the scatter-add that is the gradient of reading."""

import numpy as np

from kernels.cpu.compile import kernel


@kernel("T[::1], int64[::1], out T[::1]")
def _scatter_add(values, positions, out):
    # In order and on one thread: positions may repeat, and a float sum must not depend on scheduling.
    for i in range(positions.size):
        out[positions[i]] += values[i]


@kernel("T[:,::1], int64[::1], out T[:,::1]")
def _scatter_add_rows(values, rows, out):
    for i in range(rows.size):
        for j in range(values.shape[1]):
            out[rows[i], j] += values[i, j]


def positions_of(shape: tuple[int, ...], index) -> np.ndarray:
    """Return the flat int64 positions that `index` selects in a contiguous array of `shape`."""
    size = 1
    for n in shape:
        size *= n
    return np.asarray(np.arange(size, dtype=np.int64).reshape(shape)[index])


def take(x: np.ndarray, index) -> np.ndarray:
    """Return x[index], copied: integers, slices, None, Ellipsis, masks and integer arrays as in NumPy."""
    if isinstance(index, np.ndarray) and index.dtype.kind == "i" and x.ndim:
        return x.take(index, 0)
    taken = x[index]
    # What integer arrays select is a copy already, unless only slices and masks of no dims stood there.
    return taken if isinstance(taken, np.ndarray) and taken.base is None else np.array(taken)


def scatter_add(values: np.ndarray, index, shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros of `shape` with `values` added at `index`; positions that repeat add up."""
    out = np.zeros(shape, values.dtype)
    if isinstance(index, np.ndarray) and index.dtype.kind == "i" and len(shape) >= 1:
        width = out[0].size if shape[0] else 0
        if values.size:
            rows = np.ascontiguousarray(np.where(index < 0, index + shape[0], index), np.int64).reshape(-1)
            flat = np.ascontiguousarray(values).reshape(rows.size, width)
            _scatter_add_rows(flat, rows, out.reshape(shape[0], width))
        return out
    positions = positions_of(shape, index)
    _scatter_add(np.ascontiguousarray(values).reshape(-1), positions.reshape(-1), out.reshape(-1))
    return out


def put(x: np.ndarray, index, values: np.ndarray) -> None:
    """Write x[index] = values in place; where positions repeat, the last one stays."""
    x[index] = values


def nonzero(x: np.ndarray) -> np.ndarray:
    """Return the (count, dims) int64 positions of elements that are not zero, in order."""
    return np.argwhere(x)


def along(positions: np.ndarray, dim: int) -> tuple[np.ndarray, ...]:
    """Return the index that picks, along `dim`, element positions[...] of an array, as `np.take_along_axis`.

    positions: int64, of the array's shape except along `dim`.
    """
    index = list(np.ix_(*[np.arange(n) for n in positions.shape]))
    index[dim] = positions
    return tuple(index)
