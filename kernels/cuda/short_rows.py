"""Layer norm of rows that a block holds in registers: each element is read once and written once.

A thread holds four groups of four neighbours, all of which it asks for before it needs one. Rows lie at
multiples of 16 bytes; there are as many threads for a row as that takes, and several rows to a block.
"""

import math

from kernels.cuda.array import DeviceArray
from kernels.cuda.blocks import sum_of_group
from kernels.cuda.compile import FLOATS, cuda, device, kernel, threads
from kernels.cuda.norm import lost_in
from kernels.cuda.vectors import BYTES, load, store

_BLOCK, _MOST = threads(256), threads(512)
_HELD = 16  # numbers of a thread
_MOST_BLOCKS = 1 << 16


@device
def _read(x, base, i, size):
    """Return four neighbours of a row; those it begins with where there are none."""
    return load(x, base + (i if i < size else 0), 4)


@device
def _deviations(values, mean, rest, i, size, zero):
    """Return what four numbers differ by from their mean; zeros where there are none."""
    if i >= size:
        return zero, zero, zero, zero
    a, b, c, d = values
    return (a - mean) - rest, (b - mean) - rest, (c - mean) - rest, (d - mean) - rest


@device
def _sum(values):
    a, b, c, d = values
    return (a + c) + (b + d)


@device
def _away(values, near, i, size, zero):
    """Return how far four numbers lie from another one, all together."""
    return _sum(_deviations(values, near, zero, i, size, zero))


@device
def _products(x, y):
    return (x[0] * y[0] + x[2] * y[2]) + (x[1] * y[1] + x[3] * y[3])


@device
def _scaled(values, weight, i, weighted):
    a, b, c, d = values
    if weighted:
        e, f, g, h = load(weight, i, 4)
        return a * e, b * f, c * g, d * h
    return values


@device
def _write(out, base, i, size, deviations, rstd, weight, weighted, bias, biased):
    if i < size:
        a, b, c, d = deviations
        a, b, c, d = _scaled((a * rstd, b * rstd, c * rstd, d * rstd), weight, i, weighted)
        if biased:
            e, f, g, h = load(bias, i, 4)
            a, b, c, d = a + e, b + f, c + g, d + h
        store(out, base + i, (a, b, c, d))


@kernel("int64, int64, int64, int64, int64, T, T*, T*, T*, out T*, out T*", FLOATS)
def _short_row_norm(rows, size, centered, weighted, biased, eps, x, weight, bias, stats, out):
    """Fill in each row of out, and its column of stats; weight and bias are read if there are such."""
    shared = cuda.shared.array(_MOST, T)  # noqa: F821
    lane, wide, at_once = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockDim.y
    t = cuda.threadIdx.y * wide + lane
    i, j, k, n = 4 * lane, 4 * (lane + wide), 4 * (lane + 2 * wide), 4 * (lane + 3 * wide)
    count, zero = T(size), T(0)  # noqa: F821
    for block in range(cuda.blockIdx.x * at_once, rows, cuda.gridDim.x * at_once):
        row = min(block + cuda.threadIdx.y, rows - 1)  # what is one too many does the last one's work again
        base = row * size
        a, b = _read(x, base, i, size), _read(x, base, j, size)
        c, d = _read(x, base, k, size), _read(x, base, n, size)
        mean, rest = zero, zero
        if centered:
            near = x[base] if x[base] - x[base] == 0 else zero
            total = _away(a, near, i, size, zero) + _away(c, near, k, size, zero)
            total += _away(b, near, j, size, zero) + _away(d, near, n, size, zero)
            drift = sum_of_group(shared, t, lane, wide, 1, total) / count
            mean, rest = near + drift, lost_in(near, drift)
        a, b = _deviations(a, mean, rest, i, size, zero), _deviations(b, mean, rest, j, size, zero)
        c, d = _deviations(c, mean, rest, k, size, zero), _deviations(d, mean, rest, n, size, zero)
        square = (_products(a, a) + _products(c, c)) + (_products(b, b) + _products(d, d))
        square = sum_of_group(shared, t, lane, wide, 1, square)
        if centered:
            total = (_sum(a) + _sum(c)) + (_sum(b) + _sum(d))
            total = sum_of_group(shared, t, lane, wide, 1, total)
            square -= total * total / count
            if square < 0.0:
                square = zero
        rstd = 1.0 / math.sqrt(square / count + eps)
        if lane == 0:
            stats[row], stats[rows + row], stats[2 * rows + row] = mean, rstd, rest
        _write(out, base, i, size, a, rstd, weight, weighted, bias, biased)
        _write(out, base, j, size, b, rstd, weight, weighted, bias, biased)
        _write(out, base, k, size, c, rstd, weight, weighted, bias, biased)
        _write(out, base, n, size, d, rstd, weight, weighted, bias, biased)


@device
def _weighed(grad, i, size, weight, weighted, zero):
    """Return the gradient in four normalised numbers; zeros where there are none."""
    if i >= size:
        return zero, zero, zero, zero
    return _scaled(grad, weight, i, weighted)


@device
def _write_dx(dx, base, i, size, deviations, grad, offset, by_x, rstd):
    if i < size:
        (a, b, c, d), (e, f, g, h) = deviations, grad
        e, f = (e - offset - a * by_x) * rstd, (f - offset - b * by_x) * rstd
        g, h = (g - offset - c * by_x) * rstd, (h - offset - d * by_x) * rstd
        store(dx, base + i, (e, f, g, h))


@kernel("int64, int64, int64, int64, T*, T*, T*, T*, out T*", FLOATS)
def _short_row_norm_dx(rows, size, centered, weighted, x, grad, weight, stats, dx):
    shared = cuda.shared.array(_MOST, T)  # noqa: F821
    lane, wide, at_once = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockDim.y
    t = cuda.threadIdx.y * wide + lane
    i, j, k, n = 4 * lane, 4 * (lane + wide), 4 * (lane + 2 * wide), 4 * (lane + 3 * wide)
    count, zero = T(size), T(0)  # noqa: F821
    for block in range(cuda.blockIdx.x * at_once, rows, cuda.gridDim.x * at_once):
        row = min(block + cuda.threadIdx.y, rows - 1)
        base = row * size
        mean, rstd, rest = stats[row], stats[rows + row], stats[2 * rows + row]
        a, b = _read(x, base, i, size), _read(x, base, j, size)
        c, d = _read(x, base, k, size), _read(x, base, n, size)
        e, f = _read(grad, base, i, size), _read(grad, base, j, size)
        g, h = _read(grad, base, k, size), _read(grad, base, n, size)
        e, f = _weighed(e, i, size, weight, weighted, zero), _weighed(f, j, size, weight, weighted, zero)
        g, h = _weighed(g, k, size, weight, weighted, zero), _weighed(h, n, size, weight, weighted, zero)
        a, b = _deviations(a, mean, rest, i, size, zero), _deviations(b, mean, rest, j, size, zero)
        c, d = _deviations(c, mean, rest, k, size, zero), _deviations(d, mean, rest, n, size, zero)
        product = (_products(a, e) + _products(c, g)) + (_products(b, f) + _products(d, h))
        by_x = rstd * rstd * (sum_of_group(shared, t, lane, wide, 1, product) / count)
        offset = zero
        if centered:
            total = (_sum(e) + _sum(g)) + (_sum(f) + _sum(h))
            offset = sum_of_group(shared, t, lane, wide, 1, total) / count
        _write_dx(dx, base, i, size, a, e, offset, by_x, rstd)
        _write_dx(dx, base, j, size, b, f, offset, by_x, rstd)
        _write_dx(dx, base, k, size, c, g, offset, by_x, rstd)
        _write_dx(dx, base, n, size, d, h, offset, by_x, rstd)


def fits(size: int, *arrays: DeviceArray | None) -> bool:
    """Return whether rows of this length are held in registers, and all arrays lie as vectors ask for."""
    given = [a for a in arrays if a is not None]
    if size % 4 or size * given[0].itemsize > 4 * _HELD * _MOST:  # float64: of 256 threads, of 128 registers
        return False
    return not any(a.address % BYTES or size * a.itemsize % BYTES for a in given)


def _over(made, rows: int, size: int, *arguments) -> None:
    wide = 1
    while wide < min(size / 4, 32, _BLOCK) or wide * _HELD < size:
        wide *= 2
    at_once = max(_BLOCK // wide, 1)
    made.launch(min(-(-rows // at_once), _MOST_BLOCKS), (wide, at_once), rows, size, *arguments)


def normalise_rows(rows: int, size: int, weight, bias, eps: float, centered: bool, x, stats, out) -> None:
    """Normalise the rows of x, which `fits`; fill in out, and stats (3, rows)."""
    _over(
        _short_row_norm, rows, size, int(centered), int(weight is not None), int(bias is not None), eps,
        x, x if weight is None else weight, x if bias is None else bias, stats, out,
    )  # fmt: skip


def normalise_rows_dx(rows: int, size: int, weight, centered: bool, x, grad, stats, dx) -> None:
    """Fill in the gradient in x."""
    _over(
        _short_row_norm_dx, rows, size, int(centered), int(weight is not None),
        x, grad, x if weight is None else weight, stats, dx,
    )  # fmt: skip
