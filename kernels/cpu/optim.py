"""Optimiser updates: one call for all parameters, one fused pass over each: read once, written once.

The arrays of a step differ in number and size, so a call hands over a table of their addresses (`Arrays`),
and the kernel walks it. All are contiguous and of one dtype; parameters and state change in place. Elements
do not depend on each other, so the bits are the same on any number of threads.
"""

import math
from collections.abc import Sequence

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from kernels.cpu.compile import entry, jit
from kernels.cpu.launch import share_of, shared_kernel, workers_for

# Entering the thread pool costs 1.5 us. Measured (Adam, float32, two cores): 1,280 elements take 1.0 us on
# one thread and 2.3 on two, 16,384 take 3.5 either way, 100,352 take 20 and 12.
PARALLEL_FROM = 16384
_LINE = 64  # elements: a thread's share begins at a multiple of it, counted over all arrays in a row

SIZE, PARAMETER, GRAD, STATE = 0, 1, 2, 3  # columns of the table; state takes as many as it needs


class Arrays:
    """Where the arrays of a step lie: what `sgd` and `adam` walk over.

    parameters: contiguous arrays of one dtype, none in another's memory; state: further lists, of an array
    of the same size and dtype for each parameter. They are kept alive: an address alone would not do it.
    """

    def __init__(self, parameters: Sequence[np.ndarray], *state: Sequence[np.ndarray]):
        self.parameters, self.state = parameters, state
        self.total = sum([a.size for a in parameters])
        self.like = np.empty(0, parameters[0].dtype)  # says which element type the addresses lead to
        self.table = np.array([[a.size, _address(a.ravel()), 0] for a in parameters], np.int64)
        for arrays in state:
            self.table = np.column_stack([self.table, [_address(a.ravel()) for a in arrays]])

    def aim(self, grads: Sequence[np.ndarray]) -> np.ndarray:
        """Return the table for this step's gradients, contiguous arrays which the caller keeps alive."""
        self.table[:, GRAD] = [_address(grad.ravel()) for grad in grads]
        return self.table


@entry
def _address(array):
    return array.ctypes.data  # compiled: 0.2 us, where NumPy's own takes 1.4


@intrinsic
def _pointer(typingctx, address):
    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


@jit
def part(like, table, row, column, start, size):
    """Return elements start to start + size of the array in one cell of the table."""
    return carray(_pointer(table[row, column] + start * like.itemsize), (size,), like.dtype)


@jit
def elements_of(total, workers, worker):
    """Return the first and the end of a worker's elements, counted over all arrays in a row."""
    first, end = share_of((total + _LINE - 1) // _LINE, workers, worker)
    return first * _LINE, min(total, end * _LINE)


@jit
def _sgd_rows(like, table, first, settings, nesterov, moving, begin, end):
    """Update elements begin to end, counted over all arrays in a row."""
    lr, momentum, fresh, decay, sign = settings
    number = like.dtype.type
    for row in range(table.shape[0]):
        start, stop = max(begin, 0), min(end, table[row, SIZE])
        begin, end = begin - table[row, SIZE], end - table[row, SIZE]
        if start < stop:
            p = part(like, table, row, PARAMETER, start, stop - start)
            grad = part(like, table, row, GRAD, start, stop - start)
            velocity = part(like, table, row, STATE if moving else PARAMETER, start, stop - start)
            _sgd_elements(
                p, grad, velocity, number(lr), number(momentum), number(fresh), number(decay), number(sign),
                nesterov, moving, first[row],
            )  # fmt: skip


@jit
def _sgd_elements(p, grad, velocity, lr, momentum, fresh, decay, sign, nesterov, moving, first):
    for i in range(p.size):
        g = sign * grad[i]
        if decay != 0:  # not g + 0 * p: an infinite parameter would become nan
            g = g + decay * p[i]
        if moving:
            v = g if first else momentum * velocity[i] + fresh * g
            velocity[i] = v
            g = g + momentum * v if nesterov else v
        p[i] -= lr * g


@shared_kernel(
    "T[::1], int64, int64[:,::1], boolean[::1], float64, float64, float64, float64, float64, boolean, boolean"
)
def _sgd(worker, workers, like, total, table, first, lr, momentum, fresh, decay, sign, nesterov, moving):
    settings = lr, momentum, fresh, decay, sign
    begin, end = elements_of(total, workers, worker)
    _sgd_rows(like, table, first, settings, nesterov, moving, begin, end)


def sgd(arrays: Arrays, grads, first, lr, momentum, dampening, weight_decay, nesterov, maximize) -> None:
    """SGD (PyTorch's form of momentum: v = momentum * v + (1 - dampening) * g; p -= lr * v).

    arrays: parameters and, unless momentum is 0, velocities. grads: contiguous, one for each parameter.
    first: (parameters,) bool: where true the velocity is not read, and becomes the gradient.
    """
    sign, moving = -1.0 if maximize else 1.0, bool(arrays.state)
    _sgd(
        workers_for(arrays.total, PARALLEL_FROM, arrays.total),
        arrays.like,
        arrays.total,
        arrays.aim(grads),
        first,
        lr,
        momentum,
        1.0 - dampening,
        weight_decay,
        sign,
        nesterov,
        moving,
    )


@jit
def _adam_rows(like, table, counts, settings, decoupled, amsgrad, begin, end):
    """Update elements begin to end, counted over all arrays in a row."""
    lr, beta1, beta2, eps, decay, sign = settings
    number = like.dtype.type
    for row in range(table.shape[0]):
        start, stop = max(begin, 0), min(end, table[row, SIZE])
        begin, end = begin - table[row, SIZE], end - table[row, SIZE]
        if start < stop:
            p = part(like, table, row, PARAMETER, start, stop - start)
            grad = part(like, table, row, GRAD, start, stop - start)
            mean = part(like, table, row, STATE, start, stop - start)
            square = part(like, table, row, STATE + 1, start, stop - start)
            top = part(like, table, row, STATE + 2 if amsgrad else STATE + 1, start, stop - start)
            # p -= lr / (1 - beta1^n) * m / (sqrt(v) / root + eps), both sides of the last bar times root: one
            # division for each element where there were two. In double precision until here: in float32,
            # 1 - 0.999 is off by one part in 80,000.
            root = math.sqrt(1 - beta2 ** counts[row])
            size = number(lr / (1 - beta1 ** counts[row]) * root)
            shrink = number(1 - lr * decay if decoupled else 1.0)
            coupled = not decoupled and decay != 0
            _adam_elements(
                p, grad, mean, square, top, size, number(1 - beta1), number(beta2), number(1 - beta2),
                number(eps * root), number(decay), shrink, number(sign), coupled, amsgrad,
            )  # fmt: skip


@jit
def _adam_elements(
    p, grad, mean, square, top, size, fresh1, beta2, fresh2, eps, decay, shrink, sign, coupled, amsgrad
):
    for i in range(p.size):
        w = p[i] * shrink
        g = sign * grad[i]
        if coupled:
            g = g + decay * w
        m = mean[i] + fresh1 * (g - mean[i])
        v = beta2 * square[i] + fresh2 * g * g
        mean[i], square[i] = m, v
        if amsgrad:
            v = top[i] if top[i] > v else v
            top[i] = v
        p[i] = w - size * m / (math.sqrt(v) + eps)


@shared_kernel(
    "T[::1], int64, int64[:,::1], float64[::1], float64, float64, float64, float64, float64, float64, "
    "boolean, boolean"
)
def _adam(
    worker, workers, like, total, table, counts, lr, beta1, beta2, eps, decay, sign, decoupled, amsgrad
):
    settings = lr, beta1, beta2, eps, decay, sign
    begin, end = elements_of(total, workers, worker)
    _adam_rows(like, table, counts, settings, decoupled, amsgrad, begin, end)


def adam(
    arrays: Arrays, grads, counts, lr, beta1, beta2, eps, weight_decay, decoupled, maximize, amsgrad
) -> None:
    """Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019) when `decoupled`.

    arrays: parameters, running averages of the gradients and of their squares, and with `amsgrad` the largest
    squares so far. grads: contiguous, one for each parameter. counts: (parameters,) float64, the number of
    each one's step, from 1.
    """
    sign = -1.0 if maximize else 1.0
    _adam(
        workers_for(arrays.total, PARALLEL_FROM, arrays.total), arrays.like, arrays.total, arrays.aim(grads),
        counts, lr, beta1, beta2, eps, weight_decay, sign, decoupled, amsgrad,
    )  # fmt: skip


@jit
def _rmsprop_rows(like, table, settings, moving, centered, begin, end):
    """Update elements begin to end, counted over all arrays in a row."""
    lr, alpha, eps, decay, momentum, sign = settings
    number = like.dtype.type
    for row in range(table.shape[0]):
        start, stop = max(begin, 0), min(end, table[row, SIZE])
        begin, end = begin - table[row, SIZE], end - table[row, SIZE]
        if start < stop:
            p = part(like, table, row, PARAMETER, start, stop - start)
            grad = part(like, table, row, GRAD, start, stop - start)
            square = part(like, table, row, STATE, start, stop - start)
            # what is not there is not read: the squares stand in for it
            velocity = part(like, table, row, STATE + 1 if moving else STATE, start, stop - start)
            last = STATE + (2 if moving else 1)
            mean = part(like, table, row, last if centered else STATE, start, stop - start)
            _rmsprop_elements(
                p, grad, square, velocity, mean, number(lr), number(alpha), number(1 - alpha), number(eps),
                number(decay), number(momentum), number(sign), moving, centered,
            )  # fmt: skip


@jit
def _rmsprop_elements(
    p, grad, square, velocity, mean, lr, alpha, fresh, eps, decay, momentum, sign, moving, centered
):
    # A loop for each case, which names only the arrays it has: LLVM makes vectors of a loop only where no
    # two of them are the same memory.
    if moving and centered:
        for i in range(p.size):
            g = sign * grad[i]
            if decay != 0:
                g = g + decay * p[i]
            v = alpha * square[i] + fresh * g * g
            square[i] = v
            m = mean[i] + fresh * (g - mean[i])
            mean[i] = m
            v = v - m * m
            change = momentum * velocity[i] + g / (math.sqrt(v) + eps)
            velocity[i] = change
            p[i] -= lr * change
    elif moving:
        for i in range(p.size):
            g = sign * grad[i]
            if decay != 0:
                g = g + decay * p[i]
            v = alpha * square[i] + fresh * g * g
            square[i] = v
            change = momentum * velocity[i] + g / (math.sqrt(v) + eps)
            velocity[i] = change
            p[i] -= lr * change
    elif centered:
        for i in range(p.size):
            g = sign * grad[i]
            if decay != 0:
                g = g + decay * p[i]
            v = alpha * square[i] + fresh * g * g
            square[i] = v
            m = mean[i] + fresh * (g - mean[i])
            mean[i] = m
            v = v - m * m
            p[i] -= lr * g / (math.sqrt(v) + eps)
    else:
        for i in range(p.size):
            g = sign * grad[i]
            if decay != 0:
                g = g + decay * p[i]
            v = alpha * square[i] + fresh * g * g
            square[i] = v
            p[i] -= lr * g / (math.sqrt(v) + eps)


@shared_kernel(
    "T[::1], int64, int64[:,::1], float64, float64, float64, float64, float64, float64, boolean, boolean"
)
def _rmsprop(worker, workers, like, total, table, lr, alpha, eps, decay, momentum, sign, moving, centered):
    settings = lr, alpha, eps, decay, momentum, sign
    begin, end = elements_of(total, workers, worker)
    _rmsprop_rows(like, table, settings, moving, centered, begin, end)


def rmsprop(
    arrays: Arrays, grads, counts, lr, alpha, eps, weight_decay, momentum, centered, maximize
) -> None:
    """RMSprop (Tieleman and Hinton 2012), in PyTorch's form: eps is added to the root.

    arrays: parameters, running averages of the squared gradients, velocities unless momentum is 0, and with
    `centered` running averages of the gradients. grads: contiguous, one for each parameter. counts: of
    steps; they have no effect on this rule.
    """
    sign = -1.0 if maximize else 1.0
    _rmsprop(
        workers_for(arrays.total, PARALLEL_FROM, arrays.total), arrays.like, arrays.total, arrays.aim(grads),
        lr, alpha, eps, weight_decay, momentum, sign, momentum > 0, centered,
    )  # fmt: skip


@jit
def _adagrad_rows(like, table, counts, settings, begin, end):
    """Update elements begin to end, counted over all arrays in a row."""
    lr, lr_decay, eps, decay, sign = settings
    number = like.dtype.type
    for row in range(table.shape[0]):
        start, stop = max(begin, 0), min(end, table[row, SIZE])
        begin, end = begin - table[row, SIZE], end - table[row, SIZE]
        if start < stop:
            p = part(like, table, row, PARAMETER, start, stop - start)
            grad = part(like, table, row, GRAD, start, stop - start)
            total = part(like, table, row, STATE, start, stop - start)
            size = number(lr / (1 + (counts[row] - 1) * lr_decay))
            _adagrad_elements(p, grad, total, size, number(eps), number(decay), number(sign))


@jit
def _adagrad_elements(p, grad, total, size, eps, decay, sign):
    for i in range(p.size):
        g = sign * grad[i]
        if decay != 0:
            g = g + decay * p[i]
        v = total[i] + g * g
        total[i] = v
        p[i] -= size * g / (math.sqrt(v) + eps)


@shared_kernel("T[::1], int64, int64[:,::1], float64[::1], float64, float64, float64, float64, float64")
def _adagrad(worker, workers, like, total, table, counts, lr, lr_decay, eps, decay, sign):
    begin, end = elements_of(total, workers, worker)
    _adagrad_rows(like, table, counts, (lr, lr_decay, eps, decay, sign), begin, end)


def adagrad(arrays: Arrays, grads, counts, lr, lr_decay, eps, weight_decay, maximize) -> None:
    """Adagrad (Duchi, Hazan and Singer 2011): p -= lr / (1 + (n - 1) * lr_decay) * g / (sqrt(sum) + eps).

    arrays: parameters and sums of squared gradients. grads: contiguous, one for each parameter. counts:
    (parameters,) float64, the number n of each one's step, from 1.
    """
    sign = -1.0 if maximize else 1.0
    _adagrad(
        workers_for(arrays.total, PARALLEL_FROM, arrays.total), arrays.like, arrays.total, arrays.aim(grads),
        counts, lr, lr_decay, eps, weight_decay, sign,
    )  # fmt: skip
