"""Optimiser updates on the GPU: one launch for all parameters, which reads and writes everything once.

The names and the arithmetic are those of `kernels.cpu.optim`. What a whole parameter shares, as the
corrections of Adam, is computed on the host in double precision, and given to the kernel as a number; so the
counts of steps stay on the host, and nothing waits for the GPU.

For a CUDA graph, where counts or the learning rate are on the GPU, `rules.py` computes them there: then `lr`
may be an array of one float64, and `counts` a list of arrays of one float32, which are counted up.
"""

import math

from kernels.cuda.array import DeviceArray
from kernels.cuda.rules import adam_numbers, plain_numbers
from kernels.cuda.updates import Arrays, update

__all__ = ["Arrays", "adagrad", "adam", "rmsprop", "sgd"]


@update("T, T, T, T, T, int64, int64, int64", "grad", "velocity", by_table=True)
def _sgd(lr, momentum, fresh, decay, sign, nesterov, moving, first, grad, velocity, p):
    g = sign * grad
    if decay != 0:  # not g + 0 * p: an infinite parameter would become nan
        g = g + decay * p
    v = velocity
    if moving:
        v = g if first else momentum * velocity + fresh * g
        g = g + momentum * v if nesterov else v
    return v, p - lr * g


def sgd(arrays: Arrays, grads, first, lr, momentum, dampening, weight_decay, nesterov, maximize) -> None:
    """SGD (PyTorch's form of momentum: v = momentum * v + (1 - dampening) * g; p -= lr * v).

    arrays: parameters and, unless momentum is 0, velocities. grads: contiguous, one for each parameter.
    first: (parameters,) bool: where true the velocity is not read, and becomes the gradient.
    """
    sign, moving = -1.0 if maximize else 1.0, bool(arrays.state)
    is_given = isinstance(lr, DeviceArray)
    rule = 0.0 if is_given else lr, momentum, 1.0 - dampening, weight_decay, sign, int(nesterov), int(moving)
    velocities = arrays.state[0] if moving else None
    numbers = [(*rule, int(is_first)) for is_first in first]
    table = plain_numbers(grads[0].dtype, lr, numbers) if is_given else numbers
    arrays.update(_sgd, grads, [velocities], table)


@update("T, T, T, T, T, T, T, T, int64, int64", "grad", "mean", "square", "top", by_table=True)
def _adam(
    rate, fresh1, beta2, fresh2, eps, decay, shrink, sign, coupled, amsgrad, grad, mean, square, top, p
):
    w = p * shrink
    g = sign * grad
    if coupled:
        g = g + decay * w
    m = mean + fresh1 * (g - mean)
    v = beta2 * square + fresh2 * g * g
    largest = top if amsgrad and top > v else v
    return m, v, largest, w - rate * m / (math.sqrt(largest) + eps)


def adam(
    arrays: Arrays, grads, counts, lr, beta1, beta2, eps, weight_decay, decoupled, maximize, amsgrad
) -> None:
    """Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019) when `decoupled`.

    arrays: parameters, running averages of the gradients and of their squares, and with `amsgrad` the largest
    squares so far. grads: contiguous, one for each parameter. counts: (parameters,) float64, the number of
    each one's step, from 1.
    """
    coupled = not decoupled and weight_decay != 0
    rest = -1.0 if maximize else 1.0, int(coupled), int(amsgrad)
    means, squares = arrays.state[:2]
    state = [means, squares, arrays.state[2] if amsgrad else None]
    if isinstance(counts, list):
        others = 0.0, 1 - beta1, beta2, 1 - beta2, 0.0, weight_decay, 1.0, *rest
        shrinking = weight_decay if decoupled else 0.0
        table = adam_numbers(grads[0].dtype, lr, beta1, beta2, eps, shrinking, others, counts)
        arrays.update(_adam, grads, state, table)
        return
    shrink = 1 - lr * weight_decay if decoupled else 1.0
    rule = weight_decay, shrink, *rest
    numbers = []
    for count in counts.tolist():
        # Both sides of the last bar times root, as on the CPU: one division for each element.
        root = math.sqrt(1 - beta2**count)
        rate = lr / (1 - beta1**count) * root
        numbers.append((rate, 1 - beta1, beta2, 1 - beta2, eps * root, *rule))
    arrays.update(_adam, grads, state, numbers)


@update("T, T, T, T, T, T, T, int64, int64", "grad", "square", "velocity", "mean", by_table=True)
def _rmsprop(lr, alpha, fresh, eps, decay, momentum, sign, moving, centered, grad, square, velocity, mean, p):
    g = sign * grad
    if decay != 0:
        g = g + decay * p
    v = alpha * square + fresh * g * g
    m, spread = mean, v
    if centered:
        m = mean + fresh * (g - mean)
        spread = v - m * m
    root = math.sqrt(spread) + eps
    if moving:
        change = momentum * velocity + g / root
        return v, change, m, p - lr * change
    return v, velocity, m, p - lr * g / root


def rmsprop(
    arrays: Arrays, grads, counts, lr, alpha, eps, weight_decay, momentum, centered, maximize
) -> None:
    """RMSprop (Tieleman and Hinton 2012), in PyTorch's form: eps is added to the root.

    arrays: parameters, running averages of the squared gradients, velocities unless momentum is 0, and with
    `centered` running averages of the gradients. grads: contiguous, one for each parameter. counts: on
    the rule they have no effect; a list of arrays where steps are counted on the GPU.
    """
    moving, sign = momentum > 0, -1.0 if maximize else 1.0
    squares, *more = arrays.state
    velocities, means = more[0] if moving else None, more[-1] if centered else None
    first = 0.0 if isinstance(lr, DeviceArray) else lr
    rule = first, alpha, 1 - alpha, eps, weight_decay, momentum, sign, int(moving), int(centered)
    numbers = [rule] * len(grads)
    on_gpu = isinstance(counts, list)
    table = plain_numbers(grads[0].dtype, lr, numbers, counts) if on_gpu else numbers
    arrays.update(_rmsprop, grads, [squares, velocities, means], table)


@update("T, T, T, T", "grad", "total")
def _adagrad(rate, eps, decay, sign, grad, total, p):
    g = sign * grad
    if decay != 0:
        g = g + decay * p
    v = total + g * g
    return v, p - rate * g / (math.sqrt(v) + eps)


def adagrad(arrays: Arrays, grads, counts, lr, lr_decay, eps, weight_decay, maximize) -> None:
    """Adagrad (Duchi, Hazan and Singer 2011): p -= lr / (1 + (n - 1) * lr_decay) * g / (sqrt(sum) + eps).

    arrays: parameters and sums of squared gradients. grads: contiguous, one for each parameter. counts:
    (parameters,) float64, the number n of each one's step, from 1.
    """
    rule = eps, weight_decay, -1.0 if maximize else 1.0
    numbers = [(lr / (1 + (count - 1) * lr_decay), *rule) for count in counts.tolist()]
    arrays.update(_adagrad, grads, [arrays.state[0]], numbers)
