"""Optimiser updates, one fused pass over a parameter each: read once, written once.

All arrays are flat, contiguous and of one dtype; the parameter and its state change in place.
"""

import math

from kernels.cpu.compile import kernel, prange


@kernel("out T[::1], T[::1], out T[::1], T, T, T, T, boolean, boolean, boolean", parallel=True)
def sgd(parameter, grad, velocity, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    """SGD (PyTorch's form of momentum: v = momentum * v + (1 - dampening) * g; p -= lr * v).

    velocity is not read when `first` (it becomes g), and not used when momentum is 0.
    """
    for i in prange(parameter.size):
        g = -grad[i] if maximize else grad[i]
        g = g + weight_decay * parameter[i]
        if momentum != 0.0:
            v = g if first else momentum * velocity[i] + (1.0 - dampening) * g
            velocity[i] = v
            g = g + momentum * v if nesterov else v
        parameter[i] -= lr * g


@kernel(
    "out T[::1], T[::1], out T[::1], out T[::1], out T[::1], T, T, T, T, T, T, T, boolean, boolean, boolean",
    parallel=True,
)
def _adam(
    p, grad, mean, square, top, step_size, root, beta1, beta2, eps, decay, shrink, maximize, amsgrad, coupled
):
    for i in prange(p.size):
        g = -grad[i] if maximize else grad[i]
        w = p[i] * shrink
        if coupled:
            g = g + decay * w
        m = mean[i] + (1.0 - beta1) * (g - mean[i])
        v = beta2 * square[i] + (1.0 - beta2) * g * g
        mean[i], square[i] = m, v
        if amsgrad:
            v = max(top[i], v)
            top[i] = v
        p[i] = w - step_size * m / (math.sqrt(v) / root + eps)


def adam(
    parameter,
    grad,
    mean,
    square,
    top,
    lr,
    beta1,
    beta2,
    eps,
    weight_decay,
    step,
    decoupled,
    maximize,
    amsgrad,
):
    """Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019) when `decoupled`.

    mean, square: running averages of the gradient and its square; top: the largest square, read only
    when `amsgrad`. step counts from 1.
    """
    step_size = lr / (1.0 - beta1**step)
    root = math.sqrt(1.0 - beta2**step)
    shrink = 1.0 - lr * weight_decay if decoupled else 1.0
    coupled = not decoupled and weight_decay != 0.0
    _adam(
        parameter, grad, mean, square, top, step_size, root, beta1, beta2, eps, weight_decay, shrink,
        maximize, amsgrad, coupled,
    )  # fmt: skip
