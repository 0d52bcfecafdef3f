"""Softmax, its logarithm and the cross-entropy built on it, each stable: the row's maximum is subtracted.

All work on (rows, classes) arrays; the gradient rules need only the results of the forward pass.
"""

import math

import numpy as np

from kernels.cpu.compile import kernel


@kernel("T[:,::1], out T[:,::1]")
def _log_softmax(x, out):
    rows, classes = x.shape
    for i in range(rows):
        top = x[i, 0]
        for j in range(1, classes):
            top = max(top, x[i, j])
        total = np.float64(0.0)
        for j in range(classes):
            out[i, j] = x[i, j] - top
            total += math.exp(out[i, j])
        log_total = math.log(total)
        for j in range(classes):
            out[i, j] = out[i, j] - log_total


@kernel("T[:,::1], T[:,::1], out T[:,::1]")
def _log_softmax_dx(out, grad, result):
    rows, classes = out.shape
    for i in range(rows):
        total = np.float64(0.0)
        for j in range(classes):
            total += grad[i, j]
        for j in range(classes):
            result[i, j] = grad[i, j] - math.exp(out[i, j]) * total


@kernel("T[:,::1], out T[:,::1]")
def _softmax(x, out):
    rows, classes = x.shape
    for i in range(rows):
        top = x[i, 0]
        for j in range(1, classes):
            top = max(top, x[i, j])
        total = np.float64(0.0)
        for j in range(classes):
            out[i, j] = math.exp(x[i, j] - top)
            total += out[i, j]
        for j in range(classes):
            out[i, j] = out[i, j] / total


@kernel("T[:,::1], T[:,::1], out T[:,::1]")
def _softmax_dx(out, grad, result):
    rows, classes = out.shape
    for i in range(rows):
        total = np.float64(0.0)
        for j in range(classes):
            total += grad[i, j] * out[i, j]
        for j in range(classes):
            result[i, j] = out[i, j] * (grad[i, j] - total)


@kernel("T[:,::1], int64[::1], int64, out T[::1]")
def _nll(log_probs, target, ignore_index, losses):
    for i in range(target.size):
        losses[i] = 0.0 if target[i] == ignore_index else -log_probs[i, target[i]]


@kernel("T[:,::1], int64[::1], int64, T[::1], out T[:,::1]")
def _cross_entropy_dx(log_probs, target, ignore_index, scale, result):
    rows, classes = log_probs.shape
    for i in range(rows):
        if target[i] == ignore_index:
            for j in range(classes):
                result[i, j] = 0.0
        else:
            for j in range(classes):
                result[i, j] = math.exp(log_probs[i, j]) * scale[i]
            result[i, target[i]] -= scale[i]


@kernel("T[:,::1], int64[::1], int64, T[::1], out T[:,::1]")
def _nll_dx(log_probs, target, ignore_index, scale, result):
    for i in range(target.size):
        for j in range(log_probs.shape[1]):
            result[i, j] = 0.0
        if target[i] != ignore_index:
            result[i, target[i]] = -scale[i]


def _along_last(run, *arrays: np.ndarray, dim: int) -> np.ndarray:
    """Run a (rows, classes) kernel along `dim` of equal-shaped arrays."""
    first = arrays[0]
    if first.ndim == 0:
        return _along_last(run, *[a.reshape(1) for a in arrays], dim=0).reshape(())
    moved = [np.ascontiguousarray(np.moveaxis(a, dim, -1)) for a in arrays]
    out = np.empty(moved[0].shape, first.dtype)
    if out.size:
        classes = out.shape[-1]
        run(*[m.reshape(-1, classes) for m in moved], out.reshape(-1, classes))
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


def nll(log_probs: np.ndarray, target: np.ndarray, ignore_index: int) -> np.ndarray:
    """Return -log_probs[i, target[i]] for each row, 0 where the target is `ignore_index`.

    log_probs: (rows, classes); target: (rows,) int64, checked by the caller to lie in range.
    """
    losses = np.empty(target.shape, log_probs.dtype)
    _nll(np.ascontiguousarray(log_probs), np.ascontiguousarray(target), ignore_index, losses)
    return losses


def nll_dx(log_probs, target, ignore_index: int, scale: np.ndarray) -> np.ndarray:
    """Return the gradient of `sum(scale * nll)` in log_probs. scale: (rows,)."""
    result = np.empty(log_probs.shape, log_probs.dtype)
    _nll_dx(np.ascontiguousarray(log_probs), np.ascontiguousarray(target), ignore_index, scale, result)
    return result


def cross_entropy_dx(log_probs, target, ignore_index: int, scale: np.ndarray) -> np.ndarray:
    """Return the gradient of `sum(scale * nll(log_softmax(x)))` in x: scale * (softmax - one_hot)."""
    result = np.empty(log_probs.shape, log_probs.dtype)
    _cross_entropy_dx(
        np.ascontiguousarray(log_probs), np.ascontiguousarray(target), ignore_index, scale, result
    )
    return result
