"""Reading and writing elements by position, and the scatter-add that is the gradient of reading."""

import math

import numpy as np

from kernels.cpu.compile import get_num_threads, kernel
from kernels.cpu.launch import share_of, shared_kernel, workers_for

_SERIAL_BELOW = 65536  # elements; below, threads cost more than they save
_TAKE_SERIAL_BELOW = 262144  # elements; NumPy copies row by row, too
_ALONG_FROM = 4096  # elements; below, NumPy is as fast, and there is nothing to compile
_NARROWEST = 16  # elements of a row: a cache line is no two threads'


@kernel("T[::1], int64[::1], out T[::1]")
def _scatter_add(values, positions, out):
    # In order and on one thread: positions may repeat, and a float sum must not depend on scheduling.
    for i in range(positions.size):
        out[positions[i]] += values[i]


@shared_kernel("T[:,::1], int64[::1], out T[:,::1], int64")
def _scatter_add_rows(worker, workers, values, rows, out, skipped):
    # Rows may repeat, so threads share out the columns: every sum has one order, whatever their number.
    left, right = share_of(out.shape[1], workers, worker)
    for i in range(rows.size):
        if rows[i] != skipped:
            more, to = values[i, left:right], out[rows[i], left:right]
            for j in range(to.size):
                to[j] += more[j]


@shared_kernel("T[:,::1], int64[::1], out T[:,::1]")
def _take_rows(worker, workers, x, rows, out):
    first, end = share_of(rows.size, workers, worker)
    for i in range(first, end):
        row, to = x[rows[i]], out[i]
        for j in range(row.size):
            to[j] = row[j]


@kernel("T[:,:,::1], int64[:,:,::1], out T[:,:,::1]")
def _take_along(x, positions, out):
    outer, count, inner = out.shape
    for o in range(outer):
        if inner == 1:
            for j in range(count):
                out[o, j, 0] = x[o, positions[o, j, 0], 0]
            continue
        for j in range(count):
            for i in range(inner):
                out[o, j, i] = x[o, positions[o, j, i], i]


@kernel("T[:,:,::1], int64[:,:,::1], out T[:,:,::1]")
def _add_along(values, positions, out):
    outer, count, inner = values.shape
    for o in range(outer):
        if inner == 1:
            for j in range(count):
                out[o, positions[o, j, 0], 0] += values[o, j, 0]
            continue
        for j in range(count):
            for i in range(inner):
                out[o, positions[o, j, i], i] += values[o, j, i]


@kernel("T[:,:,::1], int64[:,:,::1], out T[:,:,::1]")
def _put_along(values, positions, out):
    outer, count, inner = values.shape
    for o in range(outer):
        if inner == 1:
            for j in range(count):
                out[o, positions[o, j, 0], 0] = values[o, j, 0]
            continue
        for j in range(count):
            for i in range(inner):
                out[o, positions[o, j, i], i] = values[o, j, i]


class Along(tuple):
    """An index that NumPy takes, and that knows what it is: positions (not negative) along one dimension."""

    positions: np.ndarray
    dim: int

    def in_three(self, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, int, int]] | None:
        """Return positions as (outer, count, inner) and the shape to match; None if a loop would not pay."""
        dim, places = self.dim, self.positions
        if places.size < _ALONG_FROM or places.dtype != np.int64:
            return None
        if (*shape[:dim], *shape[dim + 1 :]) != (*places.shape[:dim], *places.shape[dim + 1 :]):
            return None
        outer, inner = math.prod(shape[:dim]), math.prod(shape[dim + 1 :])
        places = np.ascontiguousarray(places).reshape(outer, places.shape[dim], inner)
        return places, (outer, shape[dim], inner)


def positions_of(shape: tuple[int, ...], index) -> np.ndarray:
    """Return the flat int64 positions that `index` selects in a contiguous array of `shape`."""
    size = math.prod(shape)
    return np.asarray(np.arange(size, dtype=np.int64).reshape(shape)[index])


def take(x: np.ndarray, index) -> np.ndarray:
    """Return x[index], copied: integers, slices, None, Ellipsis, masks and integer arrays as in NumPy."""
    if isinstance(index, np.ndarray) and index.dtype.kind == "i" and x.ndim:
        width = x[0].size if x.shape[0] else 0
        if index.size * width >= _TAKE_SERIAL_BELOW and x.flags.c_contiguous and get_num_threads() > 1:
            out = np.empty((*index.shape, *x.shape[1:]), x.dtype)
            rows = _rows_of(index, x.shape[0])
            workers = max(1, min(get_num_threads(), rows.size))
            _take_rows(workers, x.reshape(x.shape[0], width), rows, out.reshape(rows.size, width))
            return out
        return x.take(index, 0)
    if isinstance(index, Along) and x.dtype.kind == "f" and x.flags.c_contiguous:
        found = index.in_three(x.shape)
        if found is not None:
            out = np.empty(index.positions.shape, x.dtype)
            _take_along(x.reshape(found[1]), found[0], out.reshape(found[0].shape))
            return out
    taken = x[index]
    # What integer arrays select is a copy already, unless only slices and masks of no dims stood there.
    return taken if isinstance(taken, np.ndarray) and taken.base is None else np.array(taken)


def scatter_add(values: np.ndarray, index, shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros of `shape` with `values` added at `index`; positions that repeat add up."""
    out = np.zeros(shape, values.dtype)
    if isinstance(index, np.ndarray) and index.dtype.kind == "i" and len(shape) >= 1:
        width = out[0].size if shape[0] else 0
        if values.size:
            _add_rows(values, _rows_of(index, shape[0]), out.reshape(shape[0], width))
        return out
    found = index.in_three(shape) if isinstance(index, Along) and values.dtype.kind == "f" else None
    if found is not None:
        _add_along(np.ascontiguousarray(values).reshape(found[0].shape), found[0], out.reshape(found[1]))
        return out
    positions = positions_of(shape, index)
    _scatter_add(np.ascontiguousarray(values).reshape(-1), positions.reshape(-1), out.reshape(-1))
    return out


def _rows_of(index: np.ndarray, count: int) -> np.ndarray:
    """Return positions, some of them counted from the end, as flat int64 rows."""
    if index.size and index.min() < 0:
        index = np.where(index < 0, index + count, index)
    return np.ascontiguousarray(index, np.int64).reshape(-1)


def _add_rows(values: np.ndarray, rows: np.ndarray, out: np.ndarray, skipped: int = -1) -> None:
    width = out.shape[1]
    workers = workers_for(values.size, _SERIAL_BELOW, width // _NARROWEST)
    _scatter_add_rows(workers, np.ascontiguousarray(values).reshape(rows.size, width), rows, out, skipped)


def embedding_dx(
    grad: np.ndarray, index: np.ndarray, count: int, padding: int | None, by_frequency: bool
) -> np.ndarray:
    """Return the gradient of `take(table, index)` in a table of `count` rows: (count, width).

    grad: (*, width); index: (*) int, 0 <= index < count. padding: the row whose gradient is zero.
    by_frequency: divide a row's gradient by how often it was taken.
    """
    out = np.zeros((count, grad.shape[-1]), grad.dtype)
    if grad.size:
        rows = _rows_of(index, count)
        _add_rows(grad, rows, out, -1 if padding is None else padding)
        if by_frequency:
            out /= np.maximum(np.bincount(rows, minlength=count), 1).astype(out.dtype)[:, None]
    return out


def limit_norms(table: np.ndarray, index: np.ndarray, limit: float, order: float) -> None:
    """Scale the rows of `table` at `index` whose norm of this order exceeds `limit` down to it, in place."""
    rows = np.unique(index)
    norms = np.linalg.norm(table[rows].astype(np.float64), order, axis=1)
    large = norms > limit
    rows, norms = rows[large], norms[large]
    # PyTorch's 1e-7, against dividing by zero: a row ends a little below the limit.
    table[rows] *= (limit / (norms + 1e-7)).astype(table.dtype)[:, None]


def put(x: np.ndarray, index, values: np.ndarray) -> None:
    """Write x[index] = values in place; where positions repeat, the last one stays."""
    found = None
    if isinstance(index, Along) and x.dtype.kind == "f" and x.flags.c_contiguous and values.dtype == x.dtype:
        found = index.in_three(x.shape)
    if found is None:
        x[index] = values
        return
    spread = np.ascontiguousarray(np.broadcast_to(values, index.positions.shape))
    _put_along(spread.reshape(found[0].shape), found[0], x.reshape(found[1]))


def nonzero(x: np.ndarray) -> np.ndarray:
    """Return the (count, dims) int64 positions of elements that are not zero, in order."""
    return np.argwhere(x)


def along(positions: np.ndarray, dim: int) -> Along:
    """Return the index that picks, along `dim`, element positions[...] of an array, as `np.take_along_axis`.

    positions: int64, not negative, of the array's shape except along `dim`.
    """
    mesh = list(np.ix_(*[np.arange(n) for n in positions.shape]))
    mesh[dim] = positions
    index = Along(mesh)
    index.positions, index.dim = positions, dim
    return index


def repeat(counts: np.ndarray) -> np.ndarray:
    """Return 0, 1, 2, ... as often each as `counts`, integers of no or one dim, says: (sum,) int64."""
    return np.repeat(np.arange(counts.size), counts)


def unravel(positions: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Return flat positions (negative ones count from the end) as one int64 array for each dim of `shape`."""
    size = math.prod(shape)
    flat = np.where(positions < 0, positions + size, positions)
    return tuple(np.asarray(column, np.int64) for column in np.unravel_index(flat, shape))


_REDUCTIONS = {"sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def scatter_reduce(x: np.ndarray, index, values: np.ndarray, reduce: str, include_self: bool) -> np.ndarray:
    """Return x with `values` worked in at `index`; reduce: "sum", "mean", "prod", "amax" or "amin".

    Without include_self, what x held at these positions does not count. A mean of integers is rounded down.
    """
    out = np.array(x, order="C")
    flat, positions = out.reshape(-1), positions_of(x.shape, index).reshape(-1)
    if not include_self:
        if reduce in ("amax", "amin"):
            limits = np.iinfo(x.dtype) if x.dtype.kind in "iu" else None
            low, high = (limits.min, limits.max) if limits else (-np.inf, np.inf)
            flat[positions] = low if reduce == "amax" else high
        else:
            flat[positions] = 1 if reduce == "prod" else 0
    with np.errstate(all="ignore"):
        _REDUCTIONS[reduce].at(flat, positions, np.ascontiguousarray(values, x.dtype).reshape(-1))
        if reduce == "mean":
            counts = np.bincount(positions, minlength=flat.size) + (1 if include_self else 0)
            counts = np.maximum(counts, 1)
            if x.dtype.kind == "f":
                flat /= counts.astype(x.dtype)
            else:
                flat //= counts.astype(x.dtype)
    return out
