"""Sums, extrema and their positions over any set of dimensions, in an order no thread count changes.

Every reduction is brought to one of two shapes: the last dimension of a (rows, length) array, or the middle
one of (outer, length, inner). Sums of float32 are accumulated in float64.
"""

import numpy as np

from kernels.cpu.compile import kernel


@kernel("T[:,::1], out T[::1]", fastmath={"reassoc", "contract"})
def _sum_rows(x, out):
    for i in range(x.shape[0]):
        total = np.float64(0.0)
        for j in range(x.shape[1]):
            total += x[i, j]
        out[i] = total


@kernel("T[:,:,::1], out T[:,::1]")
def _sum_middle(x, out):
    outer, length, inner = x.shape
    total = np.empty(inner, np.float64)
    for o in range(outer):
        for i in range(inner):
            total[i] = 0.0
        for j in range(length):
            for i in range(inner):
                total[i] += x[o, j, i]
        for i in range(inner):
            out[o, i] = total[i]


@kernel("T[:,::1], out T[::1], out int64[::1], int64")
def _extreme_rows(x, values, positions, sign):
    """sign 1: the maximum, -1: the minimum. The first of equals wins; nan wins over any number."""
    for i in range(x.shape[0]):
        best, position = x[i, 0], 0
        if sign > 0:
            for j in range(1, x.shape[1]):
                value = x[i, j]
                if value > best or (value != value and best == best):
                    best, position = value, j
        else:
            for j in range(1, x.shape[1]):
                value = x[i, j]
                if value < best or (value != value and best == best):
                    best, position = value, j
        values[i], positions[i] = best, position


@kernel("T[:,::1], T[::1], out T[::1]", fastmath={"reassoc", "contract"})
def _square_deviation_rows(x, mean, out):
    for i in range(x.shape[0]):
        total, drift = np.float64(0.0), np.float64(0.0)
        for j in range(x.shape[1]):
            deviation = np.float64(x[i, j]) - mean[i]
            drift += deviation
            total += deviation * deviation
        out[i] = total - drift * drift / max(x.shape[1], 1)  # the mean was rounded to x's type


@kernel("T[:,::1], out T[::1]", fastmath={"reassoc"})
def _product_rows(x, out):
    for i in range(x.shape[0]):
        total = x[i, 0]
        for j in range(1, x.shape[1]):
            total *= x[i, j]
        out[i] = total


@kernel("T[:,:,::1], T[:,::1], out T[::1], out T[:,:,::1]")
def _product_middle_dx(x, grad, running, out):
    # As `_product_rows_dx`, of many columns side by side.
    outer, length, inner = x.shape
    for o in range(outer):
        for i in range(inner):
            running[i] = grad[o, i]
        for j in range(length):
            for i in range(inner):
                out[o, j, i] = running[i]
                running[i] *= x[o, j, i]
        for i in range(inner):
            running[i] = 1
        for j in range(length - 1, -1, -1):
            for i in range(inner):
                out[o, j, i] *= running[i]
                running[i] *= x[o, j, i]


@kernel("T[:,::1], T[::1], out T[:,::1]")
def _product_rows_dx(x, grad, out):
    # The product of all others, from the left and from the right: right also where elements are zero.
    for i in range(x.shape[0]):
        running = grad[i]
        for j in range(x.shape[1]):
            out[i, j] = running
            running *= x[i, j]
        running = 1.0
        for j in range(x.shape[1] - 1, -1, -1):
            out[i, j] *= running
            running *= x[i, j]


def _rows(x: np.ndarray, dims: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return x as contiguous (rows, length), `dims` last, and the shape of what remains."""
    kept = [d for d in range(x.ndim) if d not in dims]
    shape = tuple(x.shape[d] for d in kept)
    length = 1
    for d in dims:
        length *= x.shape[d]
    rows = 1
    for n in shape:
        rows *= n
    moved = x.transpose(*kept, *dims) if x.ndim else x
    return np.ascontiguousarray(moved).reshape(rows, length), shape


def sum(x: np.ndarray, dims: tuple[int, ...], keepdim: bool = False) -> np.ndarray:
    """Sum over `dims` (each 0 <= d < x.ndim, ascending). Integers and bools sum to int64."""
    if x.ndim == 2 and dims == (0,) and not keepdim and x.dtype.kind == "f" and x.flags.c_contiguous:
        out = np.empty(x.shape[1], x.dtype)  # the gradient of every bias takes this short way
        _sum_middle(x[None], out[None])
        return out
    out_shape = _reduced_shape(x.shape, dims, keepdim)
    if x.dtype.kind != "f":
        return np.asarray(x.sum(axis=dims, dtype=np.int64)).reshape(out_shape)
    if not dims:
        return x.copy()
    if x.flags.c_contiguous and dims[-1] != x.ndim - 1 and dims[-1] - dims[0] == len(dims) - 1:
        outer = _product(x.shape[: dims[0]])
        length = _product(x.shape[dims[0] : dims[-1] + 1])
        inner = _product(x.shape[dims[-1] + 1 :])
        out2 = np.empty((outer, inner), x.dtype)
        _sum_middle(x.reshape(outer, length, inner), out2)
        return out2.reshape(out_shape)
    rows, _ = _rows(x, dims)
    out = np.empty(rows.shape[0], x.dtype)
    _sum_rows(rows, out)
    return out.reshape(out_shape)


def sum_to(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum `grad` over the dimensions along which `shape` was broadcast; the result has that shape."""
    if grad.shape == shape:
        return grad
    lead = grad.ndim - len(shape)
    dims = (*range(lead), *(lead + d for d, n in enumerate(shape) if n == 1 and grad.shape[lead + d] != 1))
    return sum(grad, dims).reshape(shape)


def extreme(x: np.ndarray, dim: int, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """Return maxima (sign 1) or minima (sign -1) along `dim` and their int64 positions, `dim` dropped."""
    rows, shape = _rows(x, (dim,))
    values, positions = np.empty(rows.shape[0], x.dtype), np.empty(rows.shape[0], np.int64)
    _extreme_rows(rows, values, positions, sign)
    return values.reshape(shape), positions.reshape(shape)


def extreme_value(x: np.ndarray, dims: tuple[int, ...], sign: int) -> np.ndarray:
    """Return maxima (sign 1) or minima (sign -1) over `dims`, which are dropped; nan wins."""
    return np.asarray((np.maximum if sign > 0 else np.minimum).reduce(x, axis=dims))


def bounds(x: np.ndarray) -> tuple:
    """Return the smallest and the largest of one or more elements, to be read in Python; nan wins."""
    return x.min(), x.max()  # no .item(): of NumPy's scalars it keeps some memory


def within(positions: np.ndarray, least: int, end: int, kind: type[Exception], message: str) -> np.ndarray:
    """Return integers if all are within [least, end), else raise an error.

    message: with {} where a number that is not belongs.
    """
    if positions.size:
        low, high = positions.min(), positions.max()
        if low < least or high >= end:
            raise kind(message.format(high if high >= end else low))
    return positions


def check_between(x: np.ndarray, low: float, high: float, kind: type[Exception], message: str) -> None:
    """Raise an error unless all numbers are within [low, high]; nan is not."""
    if x.size and not low <= x.min() <= x.max() <= high:
        raise kind(message)


def square_deviation(x: np.ndarray, mean: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """Return the sum over `dims` of squared deviations; mean (rounded) holds one number for each result."""
    rows, shape = _rows(x, dims)
    out = np.empty(rows.shape[0], x.dtype)
    _square_deviation_rows(rows, np.ascontiguousarray(mean).reshape(-1), out)
    return out.reshape(shape)


def prod(x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """Multiply over `dims`, which are dropped. Integers and bools give int64."""
    if x.dtype.kind != "f":
        x = x.astype(np.int64)
    if dims and dims[-1] != x.ndim - 1:  # whole rows at once
        return np.asarray(np.multiply.reduce(x, axis=dims))
    rows, shape = _rows(x, dims)
    out = np.ones(rows.shape[0], x.dtype)
    if rows.shape[1]:
        _product_rows(rows, out)
    return out.reshape(shape)


def prod_dx(x: np.ndarray, grad: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """Return the gradient of `prod(x, dims)` in x; grad has the shape of the result."""
    if dims and dims[-1] != x.ndim - 1 and dims[-1] - dims[0] == len(dims) - 1:
        last = dims[-1] + 1
        outer, inner = _product(x.shape[: dims[0]]), _product(x.shape[last:])
        columns = np.ascontiguousarray(x).reshape(outer, _product(x.shape[dims[0] : last]), inner)
        grad = np.ascontiguousarray(grad).reshape(outer, inner)
        middle = np.empty(columns.shape, x.dtype)
        _product_middle_dx(columns, grad, np.empty(inner, x.dtype), middle)
        return middle.reshape(x.shape)
    rows, shape = _rows(x, dims)
    out = np.empty(rows.shape, x.dtype)
    _product_rows_dx(rows, np.ascontiguousarray(grad).reshape(-1), out)
    kept = [d for d in range(x.ndim) if d not in dims]
    order = [*kept, *dims]
    moved = out.reshape((*shape, *[x.shape[d] for d in dims]))
    return moved.transpose(np.argsort(order)) if order else moved


def any(x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """Return whether any element over `dims` is not zero."""
    return np.asarray(np.any(x, axis=dims))


def all(x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """Return whether every element over `dims` is not zero."""
    return np.asarray(np.all(x, axis=dims))


def _product(numbers) -> int:
    total = 1
    for n in numbers:
        total *= n
    return total


def _reduced_shape(shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> tuple[int, ...]:
    if keepdim:
        return tuple([1 if d in dims else n for d, n in enumerate(shape)])
    return tuple([n for d, n in enumerate(shape) if d not in dims])
