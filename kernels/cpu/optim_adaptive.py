"""Updates of the adaptive optimisers beside Adam: Adadelta, Adamax, NAdam, RAdam.

Each keeps two arrays for a parameter, and differs from the others in a few lines of arithmetic; what a step
takes from a parameter's own count is computed before, in double precision, and handed over in `factors`, a
row of numbers for each parameter. How the arrays are found is said in `optim`.
"""

import math

import numpy as np

from kernels.cpu.compile import jit
from kernels.cpu.launch import shared_kernel, workers_for
from kernels.cpu.optim import GRAD, PARALLEL_FROM, PARAMETER, SIZE, STATE, Arrays, elements_of, part

_ADADELTA, _ADAMAX, _NADAM, _RADAM = range(4)


@jit
def _adadelta_elements(p, grad, square, change, lr, keep, fresh, eps, decay, sign):
    for i in range(p.size):
        g = sign * grad[i]
        if decay != 0:
            g = g + decay * p[i]
        s = keep * square[i] + fresh * g * g
        square[i] = s
        step = math.sqrt(change[i] + eps) / math.sqrt(s + eps) * g
        change[i] = keep * change[i] + fresh * step * step
        p[i] -= lr * step


@jit
def _adamax_elements(p, grad, mean, largest, size, fresh1, keep2, eps, decay, sign):
    for i in range(p.size):
        g = sign * grad[i]
        if decay != 0:
            g = g + decay * p[i]
        m = mean[i] + fresh1 * (g - mean[i])
        before, now = keep2 * largest[i], abs(g) + eps
        top = before if before > now or before != before else now
        mean[i], largest[i] = m, top
        p[i] -= m / top * size


@jit
def _nadam_elements(
    p, grad, mean, square, by_grad, by_mean, correction, fresh1, keep2, fresh2, eps, decay, shrink, sign
):
    for i in range(p.size):
        w = p[i] * shrink
        g = sign * grad[i]
        if decay != 0:
            g = g + decay * w
        m = mean[i] + fresh1 * (g - mean[i])
        v = keep2 * square[i] + fresh2 * g * g
        mean[i], square[i] = m, v
        p[i] = w - (by_grad * g + by_mean * m) / (math.sqrt(v / correction) + eps)


@jit
def _radam_elements(p, grad, mean, square, size, rectified, fresh1, keep2, fresh2, eps, decay, shrink, sign):
    for i in range(p.size):
        w = p[i] * shrink
        g = sign * grad[i]
        if decay != 0:
            g = g + decay * w
        m = mean[i] + fresh1 * (g - mean[i])
        v = keep2 * square[i] + fresh2 * g * g
        mean[i], square[i] = m, v
        p[i] = w - (size * m / (math.sqrt(v) + eps) if rectified else size * m)


@jit
def _rows(like, table, factors, settings, kind, begin, end):
    """Update elements begin to end, counted over all arrays in a row."""
    keep1, keep2, eps, decay, shrink, sign = settings
    n = like.dtype.type
    for row in range(table.shape[0]):
        start, stop = max(begin, 0), min(end, table[row, SIZE])
        begin, end = begin - table[row, SIZE], end - table[row, SIZE]
        if start < stop:
            p = part(like, table, row, PARAMETER, start, stop - start)
            grad = part(like, table, row, GRAD, start, stop - start)
            a = part(like, table, row, STATE, start, stop - start)
            b = part(like, table, row, STATE + 1, start, stop - start)
            f = factors[row]
            if kind == _ADADELTA:
                _adadelta_elements(p, grad, a, b, n(f[0]), n(keep1), n(1 - keep1), n(eps), n(decay), n(sign))
            elif kind == _ADAMAX:
                _adamax_elements(p, grad, a, b, n(f[0]), n(1 - keep1), n(keep2), n(eps), n(decay), n(sign))
            elif kind == _NADAM:
                _nadam_elements(
                    p, grad, a, b, n(f[0]), n(f[1]), n(f[2]), n(1 - keep1), n(keep2), n(1 - keep2),
                    n(eps), n(decay), n(shrink), n(sign),
                )  # fmt: skip
            else:
                _radam_elements(
                    p, grad, a, b, n(f[0]), f[1] > 0, n(1 - keep1), n(keep2), n(1 - keep2),
                    n(eps), n(decay), n(shrink), n(sign),
                )  # fmt: skip


@shared_kernel(
    "T[::1], int64, int64[:,::1], float64[:,::1], float64, float64, float64, float64, float64, float64, int64"
)
def _adaptive(worker, workers, like, total, table, factors, keep1, keep2, eps, decay, shrink, sign, kind):
    settings = keep1, keep2, eps, decay, shrink, sign
    begin, end = elements_of(total, workers, worker)
    _rows(like, table, factors, settings, kind, begin, end)


def _update(kind, arrays, grads, factors, keeps, eps, decay, maximize, shrink=1.0):
    factors = np.ascontiguousarray(factors, np.float64)
    _adaptive(
        workers_for(arrays.total, PARALLEL_FROM, arrays.total), arrays.like, arrays.total, arrays.aim(grads),
        factors, *keeps, eps, decay, shrink, -1.0 if maximize else 1.0, kind,
    )  # fmt: skip


def adadelta(arrays: Arrays, grads, counts, lr, rho, eps, weight_decay, maximize) -> None:
    """Adadelta (Zeiler 2012): steps as large, in the root mean square, as those before.

    arrays: parameters, running averages of squared gradients, and of squared steps. grads: contiguous, one
    for each parameter. counts: of steps; they have no effect on this rule.
    """
    factors = np.full((len(grads), 1), lr)
    _update(_ADADELTA, arrays, grads, factors, (rho, rho), eps, weight_decay, maximize)


def adamax(arrays: Arrays, grads, counts, lr, beta1, beta2, eps, weight_decay, maximize) -> None:
    """Adamax (Kingma and Ba 2015, section 7).

    arrays: parameters, running averages of the gradients, and the largest of late. counts: (parameters,)
    float64, the number of each one's step, from 1.
    """
    factors = (lr / (1 - beta1**counts))[:, None]
    _update(_ADAMAX, arrays, grads, factors, (beta1, beta2), eps, weight_decay, maximize)


def nadam(arrays: Arrays, grads, factors, lr, beta1, beta2, eps, weight_decay, decoupled, maximize) -> None:
    """NAdam (Dozat 2016).

    arrays: parameters, running averages of the gradients and of their squares. factors: (parameters, 3): what
    multiplies the gradient and its average, and what divides the average of squares.
    """
    decay, shrink = (0.0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1.0)
    _update(_NADAM, arrays, grads, factors, (beta1, beta2), eps, decay, maximize, shrink)


def rectified_rates(counts, lr: float, beta1: float, beta2: float) -> np.ndarray:
    """Return (parameters, 2): RAdam's step size, and 1 where the root mean square is divided by, else 0."""
    # The length of the average: how many squares it stands for, in the end and now.
    end = 2 / (1 - beta2) - 1
    factors = np.zeros((len(counts), 2))
    for row, count in zip(factors, counts, strict=True):
        correction = 1 - beta2**count
        length = end - 2 * count * beta2**count / correction
        row[0] = lr / (1 - beta1**count)
        if length > 5.0:
            rest = (length - 4) * (length - 2) * end / ((end - 4) * (end - 2) * length)
            row[0] *= math.sqrt(correction * rest)
            row[1] = 1.0
    return factors


def radam(arrays: Arrays, grads, counts, lr, beta1, beta2, eps, weight_decay, decoupled, maximize) -> None:
    """RAdam (Liu et al. 2020): no division by the root mean square until enough squares have come.

    arrays: parameters, running averages of the gradients and of their squares. counts: (parameters,) float64,
    the number of each one's step, from 1.
    """
    factors = rectified_rates(counts, lr, beta1, beta2)
    decay, shrink = (0.0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1.0)
    _update(_RADAM, arrays, grads, factors, (beta1, beta2), eps, decay, maximize, shrink)
