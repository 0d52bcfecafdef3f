"""Maxima and averages over windows of one or two dimensions, forward beside backward.

Where windows lie is told by the tables of `kernels.cpu.pool`. A thread computes one number: forward one
window's, backward that of one element, for which it looks through the windows that may hold it, in their
order. So no two threads write to one place, and the sums have one order.
"""

import math

import numpy as np

from kernels.cpu.pool import Windows, adaptive_windows, sliding_windows
from kernels.cuda.array import DeviceArray, empty, from_host
from kernels.cuda.compile import FLOATS, INTEGERS, cuda, device, kernel, specialised
from kernels.cuda.driver import keep_tables
from kernels.cuda.memory import cast, contiguous, zeros
from kernels.cuda.reduce import sum as sum_over

__all__ = [
    "adaptive_windows",
    "average_pool",
    "average_pool_dx",
    "max_pool",
    "max_pool_dx",
    "max_pool_indices",
    "sliding_windows",
]

_ONE_ROW = adaptive_windows(1, 1)


def _pair(windows: tuple[Windows, ...]) -> tuple[Windows, Windows]:
    return windows if len(windows) == 2 else (_ONE_ROW, *windows)  # type: ignore[return-value]


def _on_gpu(*tables: np.ndarray) -> DeviceArray:
    """Return tables of one windows' dim, one behind the other, in the GPU's memory."""
    return _uploaded(np.concatenate(tables, dtype=np.int64).tobytes(), (len(tables), tables[0].size))


@keep_tables(256)
def _uploaded(data: bytes, shape: tuple[int, ...]) -> DeviceArray:
    return from_host(np.frombuffer(data, np.int64).reshape(shape))


def _holding(window: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each element of the dim, the first window that may hold it, and where those end."""
    places = np.arange(window.size)
    # The first elements may go back and forth where dilation steps over padding: the least of all that follow
    # does not. The ends never go back.
    least = np.minimum.accumulate(window.first[::-1])[::-1]
    return np.searchsorted(window.stop, places, "right"), np.searchsorted(least, places, "right")


# --- the largest of each window --------------------------------------------------------------------

_POINTERS = "T*, int64*, int64*, "


@kernel(f"int64, int64, int64, int64, int64, int64, int64, T, int64, {_POINTERS}out T*, out int32*",
        (*FLOATS, *INTEGERS))  # fmt: skip
def _max_pool(
    size, rows, columns, down, across, down_step, across_step, lowest, keep,
    x, vertical, horizontal, out, found,
):  # fmt: skip
    """down, across: counts of windows; vertical, horizontal: their first elements, then their ends."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        line = i // across
        column = i - line * across
        plane = line // down
        row = line - plane * down
        base = plane * rows * columns
        best, at = lowest, -1
        left, right = horizontal[column], horizontal[across + column]
        for r in range(vertical[row], vertical[down + row], down_step):
            for c in range(left, right, across_step):
                value = x[base + r * columns + c]
                # The first of equals, the last of nans; a window of the lowest numbers has its first place.
                if value > best or value != value or at < 0:
                    best, at = value, r * columns + c
        out[i] = best
        if keep:
            found[i] = at


@kernel("int64, int64, int64, int64, int64, T*, int32*, int64*, int64*, out T*", (*FLOATS, *INTEGERS))
def _max_pool_dx(size, rows, columns, down, across, grad, found, vertical, horizontal, out):
    """vertical, horizontal: the first window that may hold each element, then where these end."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        line = i // columns
        column = i - line * columns
        plane = line // rows
        row = line - plane * rows
        base = plane * down * across
        place = row * columns + column
        total = T(0)  # noqa: F821
        left, right = horizontal[column], horizontal[columns + column]
        for r in range(vertical[row], vertical[rows + row]):
            for c in range(left, right):
                at = base + r * across + c
                if found[at] == place:
                    total += grad[at]
        out[i] = total


def max_pool(
    x: DeviceArray, windows: tuple[Windows, ...], keep: bool
) -> tuple[DeviceArray, DeviceArray | None]:
    """Return the largest element of each window, and where it was if `keep`, as the functions below read it.

    x: (..., length) or (..., rows, columns), any number type; windows: of the last one or two dims. nan is
    the largest; of equals the first counts, of nans the last. A window without elements has the lowest number
    for a maximum, and no place. The places are int32 into the flattened plane, -1 for none.
    """
    down, across = _pair(windows)
    if keep and down.size * across.size >= 2**31:
        raise RuntimeError(
            f"max_pool: expected a plane of fewer than 2**31 elements, whose places fit int32, got {x.shape};"
            " split it, or pool it without gradient and indices"
        )
    shape = (*x.shape[: x.ndim - len(windows)], *[w.first.size for w in windows])
    out, found = empty(shape, x.dtype), empty(shape if keep else (0,), np.int32)
    if out.size:
        lowest = -math.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype).min)
        _max_pool.over(
            out.size, out.size, down.size, across.size, down.first.size, across.first.size, down.step,
            across.step, lowest, int(keep), contiguous(x), _on_gpu(down.first, down.stop),
            _on_gpu(across.first, across.stop), out, found,
        )  # fmt: skip
    return out, found if keep else None


def max_pool_indices(found: DeviceArray, windows: tuple[Windows, ...]) -> DeviceArray:
    """Return the places that `max_pool` found as int64, into the flattened plane."""
    return cast(found, np.dtype(np.int64))


def max_pool_dx(grad: DeviceArray, found: DeviceArray, windows: tuple[Windows, ...]) -> DeviceArray:
    """Return the gradient of `max_pool` in x: each of `grad` goes where its maximum was found."""
    down, across = _pair(windows)
    dx = empty((*grad.shape[: grad.ndim - len(windows)], *[w.size for w in windows]), grad.dtype)
    if dx.size:
        _max_pool_dx.over(
            dx.size, dx.size, down.size, across.size, down.first.size, across.first.size, contiguous(grad),
            found, _on_gpu(*_holding(down)), _on_gpu(*_holding(across)), dx,
        )  # fmt: skip
    return dx


# --- the average of each window --------------------------------------------------------------------


def _of_floats(total, count):
    return total / T(count)  # noqa: F821


def _of_integers(total, count):
    """The quotient, rounded towards zero."""
    quotient = abs(total) // abs(count) if count != 0 else total - total
    return quotient if (total < 0) == (count < 0) else -quotient


def _divide_by(kind):
    function = _of_floats if kind["T"].kind == "f" else _of_integers
    return {"divided": device(specialised(function, kind))}


@kernel("int64, int64, int64, int64, int64, T*, int64*, int64*, out T*", (*FLOATS, "int64"), _divide_by)
def _average_pool(size, rows, columns, down, across, x, vertical, horizontal, out):
    """vertical, horizontal: the windows' first elements, their ends, and numbers whose product divides."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        line = i // across
        column = i - line * across
        plane = line // down
        row = line - plane * down
        base = plane * rows * columns
        left, right = horizontal[column], horizontal[across + column]
        total = T(0)  # noqa: F821
        for r in range(vertical[row], vertical[down + row]):
            of_row = T(0)  # noqa: F821
            for c in range(left, right):
                of_row += x[base + r * columns + c]
            total += of_row
        count = vertical[2 * down + row] * horizontal[2 * across + column]
        out[i] = divided(total, count)  # noqa: F821


@kernel("int64, T*, int64*, int64*, out T*", (*FLOATS, "int64"), _divide_by)
def _divide_sums(size, sums, vertical, horizontal, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        out[i] = divided(sums[i], vertical[2] * horizontal[2])  # noqa: F821


@kernel("int64, int64, int64, int64, int64, T*, int64*, int64*, int64*, int64*, out T*", FLOATS, _divide_by)
def _average_pool_dx(size, rows, columns, down, across, grad, vertical, horizontal, by_row, by_column, out):
    """by_row, by_column: the first window that may hold each element, then where these end."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        line = i // columns
        column = i - line * columns
        plane = line // rows
        row = line - plane * rows
        base = plane * down * across
        total = T(0)  # noqa: F821
        left, right = by_column[column], by_column[columns + column]
        for r in range(by_row[row], by_row[rows + row]):
            if vertical[r] <= row < vertical[down + r]:
                for c in range(left, right):
                    if horizontal[c] <= column < horizontal[across + c]:
                        count = vertical[2 * down + r] * horizontal[2 * across + c]
                        total += divided(grad[base + r * across + c], count)  # noqa: F821
        out[i] = total


def _divisors(down, across, include_pad, divisor) -> tuple[np.ndarray, np.ndarray]:
    """Return two int64 arrays whose products, one of down by one of across, divide the windows' sums."""
    if divisor is not None:
        return np.full(down.first.shape, divisor), np.ones(across.first.shape, np.int64)
    if include_pad:
        return down.padded, across.padded
    return down.stop - down.first, across.stop - across.first


_LARGE = 64  # elements of a plane's only window from which on a block sums it up


def average_pool(x, windows: tuple[Windows, ...], include_pad: bool = True, divisor: int | None = None):
    """Return the sum of each window divided by `divisor`, or by its number of elements, with or without pad.

    x: (..., length) or (..., rows, columns) of floats or int64; windows: of the last one or two dims, step 1.
    Integers are rounded towards zero.
    """
    down, across = _pair(windows)
    out = empty((*x.shape[: x.ndim - len(windows)], *[w.first.size for w in windows]), x.dtype)
    if not out.size:
        return out
    counts = _divisors(down, across, include_pad, divisor)
    tables = _on_gpu(down.first, down.stop, counts[0]), _on_gpu(across.first, across.stop, counts[1])
    if down.first.size == across.first.size == 1 and down.size * across.size >= _LARGE:
        window = tuple([slice(int(w.first[0]), int(w.stop[0])) for w in windows])
        sums = sum_over(x[(..., *window)], tuple(range(x.ndim - len(windows), x.ndim)))
        _divide_sums.over(out.size, out.size, contiguous(sums), *tables, out)
        return out
    _average_pool.over(
        out.size, out.size, down.size, across.size, down.first.size, across.first.size, contiguous(x),
        *tables, out,
    )  # fmt: skip
    return out


def average_pool_dx(grad, windows: tuple[Windows, ...], include_pad: bool = True, divisor: int | None = None):
    """Return the gradient of `average_pool` in x: each element of a window gets an equal share."""
    down, across = _pair(windows)
    shape = (*grad.shape[: grad.ndim - len(windows)], *[w.size for w in windows])
    if not grad.size:
        return zeros(shape, grad.dtype)
    dx = empty(shape, grad.dtype)
    if dx.size:
        counts = _divisors(down, across, include_pad, divisor)
        _average_pool_dx.over(
            dx.size, dx.size, down.size, across.size, down.first.size, across.first.size, contiguous(grad),
            _on_gpu(down.first, down.stop, counts[0]), _on_gpu(across.first, across.stop, counts[1]),
            _on_gpu(*_holding(down)), _on_gpu(*_holding(across)), dx,
        )  # fmt: skip
    return dx
