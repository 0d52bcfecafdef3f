"""Optimiser updates on the GPU: one fused pass over each parameter, which reads and writes everything once.

The names, the arithmetic and `Arrays` are those of `kernels.cpu.optim`. What a whole parameter shares, as the
corrections of Adam, is computed on the host in double precision, and given to the kernel as a number; so the
counts of steps stay on the host, and nothing waits for the GPU.
"""

import math
from collections.abc import Sequence

from kernels.cuda.array import DeviceArray
from kernels.cuda.compile import FLOATS, cuda, kernel


class Arrays:
    """The arrays of a step: what `sgd` and `adam` change.

    parameters: contiguous arrays of one dtype, none in another's memory; state: further lists, of an array
    of the same size and dtype for each parameter.
    """

    def __init__(self, parameters: Sequence[DeviceArray], *state: Sequence[DeviceArray]):
        self.parameters, self.state = parameters, state
        self.total = sum([a.size for a in parameters])

    def rows(self, grads: Sequence[DeviceArray]) -> list[tuple]:
        """Return for each parameter (parameter, gradient, state, ...)."""
        return list(zip(self.parameters, grads, *self.state, strict=True))


# What a kernel does not read is given as the parameter's own memory.


@kernel("int64, T, T, T, T, T, int64, int64, int64, T*, out T*, out T*", FLOATS)
def _sgd(size, lr, momentum, fresh, decay, sign, nesterov, moving, first, grad, velocity, p):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        w = p[i]
        g = sign * grad[i]
        if decay != 0:  # not g + 0 * w: an infinite parameter would become nan
            g = g + decay * w
        if moving:
            v = g if first else momentum * velocity[i] + fresh * g
            velocity[i] = v
            g = g + momentum * v if nesterov else v
        p[i] = w - lr * g


def sgd(arrays: Arrays, grads, first, lr, momentum, dampening, weight_decay, nesterov, maximize) -> None:
    """SGD (PyTorch's form of momentum: v = momentum * v + (1 - dampening) * g; p -= lr * v).

    arrays: parameters and, unless momentum is 0, velocities. grads: contiguous, one for each parameter.
    first: (parameters,) bool: where true the velocity is not read, and becomes the gradient.
    """
    sign, moving = -1.0 if maximize else 1.0, bool(arrays.state)
    for (p, grad, *state), is_first in zip(arrays.rows(grads), first, strict=True):
        _sgd.over(
            p.size, p.size, lr, momentum, 1.0 - dampening, weight_decay, sign, int(nesterov), int(moving),
            int(is_first), grad, state[0] if moving else p, p,
        )  # fmt: skip


@kernel("int64, T, T, T, T, T, T, T, T, int64, int64, T*, out T*, out T*, out T*, out T*", FLOATS)
def _adam(
    size, rate, fresh1, beta2, fresh2, eps, decay, shrink, sign, coupled, amsgrad, grad, mean, square, top, p
):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        w = p[i] * shrink
        g = sign * grad[i]
        if coupled:
            g = g + decay * w
        m = mean[i] + fresh1 * (g - mean[i])
        v = beta2 * square[i] + fresh2 * g * g
        mean[i] = m
        square[i] = v
        if amsgrad:
            v = top[i] if top[i] > v else v
            top[i] = v
        p[i] = w - rate * m / (math.sqrt(v) + eps)


def adam(
    arrays: Arrays, grads, counts, lr, beta1, beta2, eps, weight_decay, decoupled, maximize, amsgrad
) -> None:
    """Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019) when `decoupled`.

    arrays: parameters, running averages of the gradients and of their squares, and with `amsgrad` the largest
    squares so far. grads: contiguous, one for each parameter. counts: (parameters,) float64, the number of
    each one's step, from 1.
    """
    shrink = 1 - lr * weight_decay if decoupled else 1.0
    coupled = not decoupled and weight_decay != 0
    for (p, grad, *state), count in zip(arrays.rows(grads), counts.tolist(), strict=True):
        # Both sides of the last bar times root, as on the CPU: one division for each element.
        root = math.sqrt(1 - beta2**count)
        _adam.over(
            p.size, p.size, lr / (1 - beta1**count) * root, 1 - beta1, beta2, 1 - beta2, eps * root,
            weight_decay, shrink, -1.0 if maximize else 1.0, int(coupled), int(amsgrad),
            grad, state[0], state[1], state[2] if amsgrad else p, p,
        )  # fmt: skip


@kernel("int64, T, T, T, T, T, T, T, int64, int64, T*, out T*, out T*, out T*, out T*", FLOATS)
def _rmsprop(
    size, lr, alpha, fresh, eps, decay, momentum, sign, moving, centered, grad, square, velocity, mean, p
):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        w = p[i]
        g = sign * grad[i]
        if decay != 0:
            g = g + decay * w
        v = alpha * square[i] + fresh * g * g
        square[i] = v
        if centered:
            m = mean[i] + fresh * (g - mean[i])
            mean[i] = m
            v = v - m * m
        if moving:
            change = momentum * velocity[i] + g / (math.sqrt(v) + eps)
            velocity[i] = change
            p[i] = w - lr * change
        else:
            p[i] = w - lr * g / (math.sqrt(v) + eps)


def rmsprop(arrays: Arrays, grads, lr, alpha, eps, weight_decay, momentum, centered, maximize) -> None:
    """RMSprop (Tieleman and Hinton 2012), in PyTorch's form: eps is added to the root.

    arrays: parameters, running averages of the squared gradients, velocities unless momentum is 0, and with
    `centered` running averages of the gradients. grads: contiguous, one for each parameter.
    """
    moving, sign = momentum > 0, -1.0 if maximize else 1.0
    for p, grad, square, *more in arrays.rows(grads):
        velocity, mean = more[0] if moving else p, more[-1] if centered else p
        _rmsprop.over(
            p.size, p.size, lr, alpha, 1 - alpha, eps, weight_decay, momentum, sign, int(moving),
            int(centered), grad, square, velocity, mean, p,
        )  # fmt: skip


@kernel("int64, T, T, T, T, T*, out T*, out T*", FLOATS)
def _adagrad(size, rate, eps, decay, sign, grad, total, p):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        w = p[i]
        g = sign * grad[i]
        if decay != 0:
            g = g + decay * w
        v = total[i] + g * g
        total[i] = v
        p[i] = w - rate * g / (math.sqrt(v) + eps)


def adagrad(arrays: Arrays, grads, counts, lr, lr_decay, eps, weight_decay, maximize) -> None:
    """Adagrad (Duchi, Hazan and Singer 2011): p -= lr / (1 + (n - 1) * lr_decay) * g / (sqrt(sum) + eps).

    arrays: parameters and sums of squared gradients. grads: contiguous, one for each parameter. counts:
    (parameters,) float64, the number n of each one's step, from 1.
    """
    for (p, grad, total), count in zip(arrays.rows(grads), counts.tolist(), strict=True):
        rate = lr / (1 + (count - 1) * lr_decay)
        _adagrad.over(p.size, p.size, rate, eps, weight_decay, -1.0 if maximize else 1.0, grad, total, p)
