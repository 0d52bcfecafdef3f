"""Running results along a dimension: sums, products, extrema and log-sum-exps of all elements so far.

Arrays are brought to (outer, length, inner) and walked along the middle dimension, many columns at a time.
Floats are accumulated in float64.
"""

import math

import numpy as np

from kernels.cpu.compile import kernel


@kernel("T[:,:,::1], int64, out float64[::1], out T[:,:,::1]")
def _running_sum(x, from_end, total, out):
    outer, length, inner = x.shape
    for o in range(outer):
        if inner == 1:  # in a register
            running = np.float64(0.0)
            for step in range(length):
                j = length - 1 - step if from_end else step
                running += x[o, j, 0]
                out[o, j, 0] = running
            continue
        for i in range(inner):
            total[i] = 0.0
        for step in range(length):
            j = length - 1 - step if from_end else step
            for i in range(inner):
                total[i] += x[o, j, i]
                out[o, j, i] = total[i]


@kernel("T[:,:,::1], out float64[::1], out T[:,:,::1]")
def _running_product(x, total, out):
    outer, length, inner = x.shape
    for o in range(outer):
        if inner == 1:  # in a register
            running = np.float64(1.0)
            for j in range(length):
                running *= x[o, j, 0]
                out[o, j, 0] = running
            continue
        for i in range(inner):
            total[i] = 1.0
        for j in range(length):
            for i in range(inner):
                total[i] *= x[o, j, i]
                out[o, j, i] = total[i]


@kernel("T[:,:,::1], T[:,:,::1], out float64[::1], out T[:,:,::1]")
def _running_product_dx(x, grad, total, out):
    # With P the product of all before, and S = grad + next x * next S, the gradient is P * S: no division,
    # so that zeros are right, too.
    outer, length, inner = x.shape
    for o in range(outer):
        for i in range(inner):
            total[i] = 0.0
        for j in range(length - 1, -1, -1):
            for i in range(inner):
                total[i] = total[i] * x[o, j + 1, i] + grad[o, j, i] if j + 1 < length else grad[o, j, i]
                out[o, j, i] = total[i]
        for i in range(inner):
            total[i] = 1.0
        for j in range(length):
            for i in range(inner):
                out[o, j, i] *= total[i]
                total[i] *= x[o, j, i]


@kernel("T[:,:,::1], int64, out T[:,:,::1], out int64[:,:,::1]")
def _running_extreme(x, sign, values, positions):
    """sign 1: maxima, -1: minima. The last of equals counts; nan, once met, stays."""
    outer, length, inner = x.shape
    for o in range(outer):
        if inner == 1 and length > 0:  # in a register
            best, place = x[o, 0, 0], 0
            for j in range(length):
                value = x[o, j, 0]
                wins = value >= best if sign > 0 else value <= best
                if value != value or (best == best and wins):
                    best, place = value, j
                values[o, j, 0], positions[o, j, 0] = best, place
            continue
        for j in range(length):
            for i in range(inner):
                value = x[o, j, i]
                if j > 0:
                    best = values[o, j - 1, i]
                    wins = value >= best if sign > 0 else value <= best
                    if value == value and (best != best or not wins):
                        values[o, j, i], positions[o, j, i] = best, positions[o, j - 1, i]
                        continue
                values[o, j, i], positions[o, j, i] = value, j


@kernel("T[:,:,::1], int64, out float64[::1], out T[:,:,::1]")
def _running_logsumexp(x, from_end, total, out):
    outer, length, inner = x.shape
    for o in range(outer):
        for i in range(inner):
            total[i] = -np.inf
        for step in range(length):
            j = length - 1 - step if from_end else step
            for i in range(inner):
                a, b = total[i], np.float64(x[o, j, i])
                high, low = max(a, b), min(a, b)
                if a != a or b != b:
                    total[i] = np.nan
                elif low == high and math.isinf(low):
                    total[i] = low
                else:
                    total[i] = high + math.log1p(math.exp(low - high))
                out[o, j, i] = total[i]


def _in_three(x: np.ndarray, dim: int) -> np.ndarray:
    """Return x as contiguous (outer, length, inner), `dim` in the middle."""
    outer = inner = 1
    for n in x.shape[:dim]:
        outer *= n
    for n in x.shape[dim + 1 :]:
        inner *= n
    return np.ascontiguousarray(x).reshape(outer, x.shape[dim] if x.ndim else 1, inner)


def _scan(kernel, x: np.ndarray, dim: int, *options) -> np.ndarray:
    columns = _in_three(x, dim)
    out = np.empty(columns.shape, x.dtype)
    kernel(columns, *options, np.empty(columns.shape[2]), out)
    return out.reshape(x.shape)


def cumsum(x: np.ndarray, dim: int, from_end: bool = False) -> np.ndarray:
    """Return the running sums along `dim`, from the first or from the last element. Integers give int64."""
    if x.dtype.kind == "f":
        return _scan(_running_sum, x, dim, int(from_end))
    if x.ndim == 0:
        return x.astype(np.int64)
    if from_end:
        return np.flip(np.cumsum(np.flip(x, dim), dim, np.int64), dim)
    return np.cumsum(x, dim, np.int64)


def cumprod(x: np.ndarray, dim: int) -> np.ndarray:
    """Return the running products along `dim`. Integers give int64."""
    if x.dtype.kind == "f":
        return _scan(_running_product, x, dim)
    return np.cumprod(x, dim, np.int64) if x.ndim else x.astype(np.int64)


def cumprod_dx(x: np.ndarray, grad: np.ndarray, dim: int) -> np.ndarray:
    """Return the gradient of `cumprod(x, dim)` in x."""
    columns = _in_three(x, dim)
    out = np.empty(columns.shape, x.dtype)
    _running_product_dx(columns, _in_three(grad, dim), np.empty(columns.shape[2]), out)
    return out.reshape(x.shape)


def cumextreme(x: np.ndarray, dim: int, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the running maxima (sign 1) or minima (-1) along `dim`, and their int64 positions."""
    columns = _in_three(x, dim)
    values, positions = np.empty(columns.shape, x.dtype), np.empty(columns.shape, np.int64)
    _running_extreme(columns, sign, values, positions)
    return values.reshape(x.shape), positions.reshape(x.shape)


def logcumsumexp(x: np.ndarray, dim: int, from_end: bool = False) -> np.ndarray:
    """Return log(cumsum(exp(x))) along `dim`, without overflow."""
    return _scan(_running_logsumexp, x, dim, int(from_end))
