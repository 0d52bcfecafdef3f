"""Softmax, its logarithm and the cross-entropy built on it, each stable: the row's maximum is subtracted.

All work on (rows, classes) arrays; the gradient rules need only the results of the forward pass.
"""

import math

import numpy as np

from kernels.cpu.compile import jit, kernel
from kernels.cpu.fast_math import exp_of
from kernels.cpu.launch import share_of, shared_kernel, workers_for
from kernels.cpu.scratch import NOTHING

LANES = 64  # running maxima of a row, side by side: vectors of them
_SHORT_SUM = 512  # exponentials added in their own type, before they go into a float64 sum
_SERIAL_BELOW = 16384  # elements


@jit
def largest(row, tops):
    """Return the largest of some numbers, or any of them where nan is among them. tops: room for LANES."""
    top = row[0]
    whole = row.size // LANES * LANES
    if whole:
        for s in range(LANES):
            tops[s] = row[s]
        for start in range(LANES, whole, LANES):
            part = row[start : start + LANES]
            for s in range(LANES):
                tops[s] = part[s] if part[s] > tops[s] else tops[s]
        for s in range(LANES):
            top = tops[s] if tops[s] > top else top
    for i in range(whole, row.size):
        top = row[i] if row[i] > top else top
    return top


@jit(fastmath={"reassoc", "contract"})
def _short_sum(part):
    total = part.dtype.type(0)
    for i in range(part.size):
        total += part[i]
    return total


@jit
def exponentials(row, top, out):
    """Fill out, which may be row, with exp(row - top); return their sum."""
    for i in range(row.size):
        out[i] = exp_of(row[i] - top)
    total = np.float64(0)
    for start in range(0, row.size, _SHORT_SUM):
        total += _short_sum(out[start : start + _SHORT_SUM])
    return total


@jit(fastmath={"contract"})
def scale_row(row, scale):
    """Multiply some numbers in place."""
    for i in range(row.size):
        row[i] = row[i] * scale


@jit(fastmath={"reassoc", "contract"})
def inner(x, y):
    """Return the sum of x * y, added in their type."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@jit
def _log_softmax_row(x, out, tops):
    top = largest(x, tops)
    log_total = x.dtype.type(math.log(exponentials(x, top, out)))
    for j in range(x.size):
        out[j] = (x[j] - top) - log_total


@shared_kernel("T[:,::1], out T[:,::1]")
def _log_softmax(worker, workers, x, out):
    first, end = share_of(x.shape[0], workers, worker)
    tops = np.empty(LANES, x.dtype)
    for i in range(first, end):
        _log_softmax_row(x[i], out[i], tops)


@shared_kernel("T[:,::1], T[:,::1], out T[:,::1]")
def _log_softmax_dx(worker, workers, out, grad, result):
    first, end = share_of(out.shape[0], workers, worker)
    for i in range(first, end):
        row, g, to = out[i], grad[i], result[i]
        total = np.float64(0)
        for start in range(0, g.size, _SHORT_SUM):
            total += _short_sum(g[start : start + _SHORT_SUM])
        factor = row.dtype.type(total)
        for j in range(row.size):
            to[j] = g[j] - exp_of(row[j]) * factor


@shared_kernel("T[:,::1], out T[:,::1]")
def _softmax(worker, workers, x, out):
    first, end = share_of(x.shape[0], workers, worker)
    tops = np.empty(LANES, x.dtype)
    for i in range(first, end):
        total = exponentials(x[i], largest(x[i], tops), out[i])
        scale_row(out[i], out.dtype.type(1 / total))


@shared_kernel("T[:,::1], T[:,::1], out T[:,::1]")
def _softmax_dx(worker, workers, out, grad, result):
    first, end = share_of(out.shape[0], workers, worker)
    for i in range(first, end):
        row, g, to = out[i], grad[i], result[i]
        total = np.float64(0)
        for start in range(0, row.size, _SHORT_SUM):
            stop = min(start + _SHORT_SUM, row.size)
            total += inner(row[start:stop], g[start:stop])
        shift = row.dtype.type(total)
        for j in range(row.size):
            to[j] = row[j] * (g[j] - shift)


# The losses. class_weight: (classes,), or (0,) for a weight of 1 each. mean: divide by the sum of the weights
# of the rows that count. out: (1,) for the mean or the sum; else (rows,), which a wrapper tells by `each`.


@jit
def _weight_of(target, class_weight):
    return class_weight[target] if class_weight.size else class_weight.dtype.type(1)


@jit
def _nll_rows(log_probs, target, ignore_index, class_weight, mean, each, out):
    """Return the first row whose target is no class, or -1; sums are taken in float64."""
    rows, classes = log_probs.shape
    losses, weights = np.float64(0.0), np.float64(0.0)
    for i in range(rows):
        loss = log_probs.dtype.type(0)
        if target[i] != ignore_index:
            if target[i] < 0 or target[i] >= classes:
                return i
            weight = _weight_of(target[i], class_weight)
            loss = -log_probs[i, target[i]] * weight
            weights += weight
        losses += loss
        if each:
            out[i] = loss
    if not each:
        out[0] = losses / weights if mean else losses
    return -1


@kernel("T[:,::1], int64[::1], int64, T[::1], boolean, boolean, out T[::1]")
def _nll(log_probs, target, ignore_index, class_weight, mean, each, out):
    return _nll_rows(log_probs, target, ignore_index, class_weight, mean, each, out)


@kernel("T[:,::1], int64[::1], int64, T[::1], boolean, boolean, out T[:,::1], out T[::1]")
def _cross_entropy(x, target, ignore_index, class_weight, mean, each, log_probs, out):
    if x.shape[1]:
        tops = np.empty(LANES, x.dtype)
        for i in range(x.shape[0]):
            _log_softmax_row(x[i], log_probs[i], tops)
    return _nll_rows(log_probs, target, ignore_index, class_weight, mean, each, out)


@jit
def _row_scale(target, ignore_index, class_weight, mean):
    """Return what the mean multiplies each loss by: 1 over the sum of the weights; 1 without a mean."""
    if not mean:
        return np.float64(1.0)
    weights = np.float64(0.0)
    for i in range(target.size):
        if target[i] != ignore_index:
            weights += _weight_of(target[i], class_weight)
    return 1.0 / weights


@kernel("T[:,::1], int64[::1], int64, T[::1], boolean, boolean, T[::1], out T[:,::1]")
def _cross_entropy_dx(log_probs, target, ignore_index, class_weight, mean, each, grad, result):
    rows, classes = log_probs.shape
    scale = _row_scale(target, ignore_index, class_weight, mean)
    for i in range(rows):
        if target[i] == ignore_index:
            for j in range(classes):
                result[i, j] = 0.0
        else:
            s = grad.dtype.type(grad[i if each else 0] * (_weight_of(target[i], class_weight) * scale))
            for j in range(classes):
                result[i, j] = exp_of(log_probs[i, j]) * s
            result[i, target[i]] -= s


@kernel("T[:,::1], int64[::1], int64, T[::1], boolean, boolean, T[::1], out T[:,::1]")
def _nll_dx(log_probs, target, ignore_index, class_weight, mean, each, grad, result):
    scale = _row_scale(target, ignore_index, class_weight, mean)
    for i in range(target.size):
        for j in range(log_probs.shape[1]):
            result[i, j] = 0.0
        if target[i] != ignore_index:
            result[i, target[i]] = -grad[i if each else 0] * (_weight_of(target[i], class_weight) * scale)


def _along_last(run, *arrays: np.ndarray, dim: int) -> np.ndarray:
    """Run a (rows, classes) kernel along `dim` of equal-shaped arrays."""
    first = arrays[0]
    if first.ndim == 0:
        return _along_last(run, *[a.reshape(1) for a in arrays], dim=0).reshape(())
    moved = [np.ascontiguousarray(np.moveaxis(a, dim, -1)) for a in arrays]
    out = np.empty(moved[0].shape, first.dtype)
    if out.size:
        classes = out.shape[-1]
        workers = workers_for(out.size, _SERIAL_BELOW, out.size // classes)
        run(workers, *[m.reshape(-1, classes) for m in moved], out.reshape(-1, classes))
    return np.ascontiguousarray(np.moveaxis(out, -1, dim))


def log_softmax(x: np.ndarray, dim: int) -> np.ndarray:
    """Return log(softmax(x)) along `dim`."""
    return _along_last(_log_softmax, x, dim=dim)


def log_softmax_dx(out: np.ndarray, grad: np.ndarray, dim: int) -> np.ndarray:
    """Return grad - softmax * sum(grad) along `dim`; out is the forward result."""
    return _along_last(_log_softmax_dx, out, grad, dim=dim)


def softmax(x: np.ndarray, dim: int) -> np.ndarray:
    """Return exp(x) / sum(exp(x)) along `dim`."""
    return _along_last(_softmax, x, dim=dim)


def softmax_dx(out: np.ndarray, grad: np.ndarray, dim: int) -> np.ndarray:
    """Return softmax * (grad - sum(grad * softmax)) along `dim`; out is the forward result."""
    return _along_last(_softmax_dx, out, grad, dim=dim)


def nll(log_probs, target, ignore_index: int, class_weight, reduction: str) -> np.ndarray:
    """Return the negative log-likelihood -log_probs[i, target[i]] * class_weight[target[i]], reduced.

    log_probs: (rows, classes); target: (rows,) int64; rows whose target is `ignore_index` count as 0.
    class_weight: (classes,) or None. reduction: "mean" (over the weights), "sum" or "none": (rows,).
    IndexError, with the target as its only argument, if one is no class.
    """
    out = np.empty(target.shape if reduction == "none" else (), log_probs.dtype)
    bad = _nll(*_loss_arguments(log_probs, target, ignore_index, class_weight, reduction), out.reshape(-1))
    if bad >= 0:
        raise IndexError(int(target[bad]))
    return out


def nll_dx(log_probs, target, ignore_index: int, class_weight, reduction: str, grad) -> np.ndarray:
    """Return the gradient of `nll` in log_probs; grad: () or, for reduction "none", (rows,)."""
    result = np.empty(log_probs.shape, log_probs.dtype)
    arguments = _loss_arguments(log_probs, target, ignore_index, class_weight, reduction)
    _nll_dx(*arguments, np.ascontiguousarray(grad).reshape(-1), result)
    return result


def cross_entropy(x, target, ignore_index: int, class_weight, reduction: str):
    """Return `nll(log_softmax(x, 1), ...)`, and the log-probabilities, which the gradient needs."""
    log_probs = np.empty(x.shape, x.dtype)
    out = np.empty(target.shape if reduction == "none" else (), x.dtype)
    arguments = _loss_arguments(x, target, ignore_index, class_weight, reduction)
    bad = _cross_entropy(*arguments, log_probs, out.reshape(-1))
    if bad >= 0:
        raise IndexError(int(target[bad]))
    return out, log_probs


def cross_entropy_dx(log_probs, target, ignore_index: int, class_weight, reduction: str, grad) -> np.ndarray:
    """Return the gradient of `cross_entropy` in x: softmax - one_hot, scaled; grad as for `nll_dx`."""
    result = np.empty(log_probs.shape, log_probs.dtype)
    arguments = _loss_arguments(log_probs, target, ignore_index, class_weight, reduction)
    _cross_entropy_dx(*arguments, np.ascontiguousarray(grad).reshape(-1), result)
    return result


def _loss_arguments(rows, target, ignore_index, class_weight, reduction) -> tuple:
    """Return what every loss kernel takes first."""
    weight = NOTHING[rows.dtype] if class_weight is None else np.ascontiguousarray(class_weight)
    rows, target = np.ascontiguousarray(rows), np.ascontiguousarray(target)
    return rows, target, ignore_index, weight, reduction == "mean", reduction == "none"
