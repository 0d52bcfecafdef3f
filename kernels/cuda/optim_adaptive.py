"""Updates on the GPU of the adaptive optimisers beside Adam: Adadelta, Adamax, NAdam, RAdam.

The names and the arithmetic are those of `kernels.cpu.optim_adaptive`; see `kernels.cuda.optim`.
"""

import math
from typing import Any

from kernels.cpu.optim_adaptive import rectified_rates
from kernels.cuda.array import DeviceArray
from kernels.cuda.rules import corrected_numbers, plain_numbers
from kernels.cuda.updates import Arrays, update


@update("T, T, T, T, T, T", "grad", "square", "change", by_table=True)
def _adadelta(lr, keep, fresh, eps, decay, sign, grad, square, change, p):
    g = sign * grad
    if decay != 0:
        g = g + decay * p
    s = keep * square + fresh * g * g
    step = math.sqrt(change + eps) / math.sqrt(s + eps) * g
    return s, keep * change + fresh * step * step, p - lr * step


def adadelta(arrays: Arrays, grads, counts, lr, rho, eps, weight_decay, maximize) -> None:
    """Adadelta (Zeiler 2012): steps as large, in the root mean square, as those before.

    arrays: parameters, running averages of squared gradients, and of squared steps. grads: contiguous, one
    for each parameter. counts: on the rule they have no effect; a list of arrays where steps are counted on
    the GPU.
    """
    first = 0.0 if isinstance(lr, DeviceArray) else lr
    numbers = [(first, rho, 1 - rho, eps, weight_decay, -1.0 if maximize else 1.0)] * len(grads)
    on_gpu = isinstance(counts, list)
    table = plain_numbers(grads[0].dtype, lr, numbers, counts) if on_gpu else numbers
    arrays.update(_adadelta, grads, arrays.state, table)


@update("T, T, T, T, T, T", "grad", "mean", "largest", by_table=True)
def _adamax(rate, fresh1, keep2, eps, decay, sign, grad, mean, largest, p):
    g = sign * grad
    if decay != 0:
        g = g + decay * p
    m = mean + fresh1 * (g - mean)
    before = keep2 * largest
    now = abs(g) + eps
    top = before if before > now or before != before else now  # a nan stays
    return m, top, p - m / top * rate


def adamax(arrays: Arrays, grads, counts, lr, beta1, beta2, eps, weight_decay, maximize) -> None:
    """Adamax (Kingma and Ba 2015, section 7).

    arrays: parameters, running averages of the gradients, and the largest of late. counts: (parameters,)
    float64, the number of each one's step, from 1.
    """
    rule = 1 - beta1, beta2, eps, weight_decay, -1.0 if maximize else 1.0
    if isinstance(counts, list):
        others = [(0.0, *rule)] * len(grads)
        numbers: Any = corrected_numbers(grads[0].dtype, lr, beta1, others, counts)
    else:
        numbers = [(lr / (1 - beta1**count), *rule) for count in counts.tolist()]
    arrays.update(_adamax, grads, arrays.state, numbers)


@update("T, T, T, T, T, T, T, T, T, T", "grad", "mean", "square")
def _nadam(
    by_grad, by_mean, correction, fresh1, keep2, fresh2, eps, decay, shrink, sign, grad, mean, square, p
):
    w = p * shrink
    g = sign * grad
    if decay != 0:
        g = g + decay * w
    m = mean + fresh1 * (g - mean)
    v = keep2 * square + fresh2 * g * g
    return m, v, w - (by_grad * g + by_mean * m) / (math.sqrt(v / correction) + eps)


def nadam(arrays: Arrays, grads, factors, lr, beta1, beta2, eps, weight_decay, decoupled, maximize) -> None:
    """NAdam (Dozat 2016).

    arrays: parameters, running averages of the gradients and of their squares. factors: (parameters, 3): what
    multiplies the gradient and its average, and what divides the average of squares.
    """
    decay, shrink = (0.0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1.0)
    rule = 1 - beta1, beta2, 1 - beta2, eps, decay, shrink, -1.0 if maximize else 1.0
    arrays.update(_nadam, grads, arrays.state, [(*row, *rule) for row in factors])


@update("T, int64, T, T, T, T, T, T, T", "grad", "mean", "square")
def _radam(rate, rectified, fresh1, keep2, fresh2, eps, decay, shrink, sign, grad, mean, square, p):
    w = p * shrink
    g = sign * grad
    if decay != 0:
        g = g + decay * w
    m = mean + fresh1 * (g - mean)
    v = keep2 * square + fresh2 * g * g
    return m, v, w - (rate * m / (math.sqrt(v) + eps) if rectified else rate * m)


def radam(arrays: Arrays, grads, counts, lr, beta1, beta2, eps, weight_decay, decoupled, maximize) -> None:
    """RAdam (Liu et al. 2020): no division by the root mean square until enough squares have come.

    arrays: parameters, running averages of the gradients and of their squares. counts: (parameters,) float64,
    the number of each one's step, from 1.
    """
    decay, shrink = (0.0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1.0)
    rates = rectified_rates(counts, lr, beta1, beta2).tolist()
    rule = 1 - beta1, beta2, 1 - beta2, eps, decay, shrink, -1.0 if maximize else 1.0
    arrays.update(_radam, grads, arrays.state, [(rate, int(rectified), *rule) for rate, rectified in rates])
