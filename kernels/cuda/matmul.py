"""Matrix products, and the linear layer; in TF32 where `kernels.precision` allows it."""

import math

import numpy as np

from kernels.activations import check_activation
from kernels.cuda.array import DeviceArray, empty, on_device
from kernels.cuda.tiles import contract
from kernels.precision import allows_tf32


def matmul(a: DeviceArray, b: DeviceArray) -> DeviceArray:
    """Return a @ b. a: (..., rows, inner), b: (..., inner, columns), one dtype; batch dims broadcast.

    ValueError if the batch dims do not broadcast.
    """
    a, b = on_device(a), on_device(b)
    rows, inner = a.shape[-2:]
    columns = b.shape[-1]
    if a.ndim > 2 and b.ndim == 2:  # one tall product instead of many
        return matmul(a.reshape(math.prod(a.shape[:-1]), inner), b).reshape(*a.shape[:-1], columns)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    c = empty((*batch, rows, columns), a.dtype)
    contract(
        a.broadcast_to((*batch, rows, inner)), b.broadcast_to((*batch, inner, columns)), c, len(batch), 1,
        tf32=allows_tf32(),
    )  # fmt: skip
    return c


def linear(
    x: DeviceArray, weight: DeviceArray, bias: DeviceArray | None, activation: str | None = None
) -> DeviceArray:
    """Return x @ weight.T + bias. x: (..., inputs), weight: (outputs, inputs), bias: (outputs,).

    activation: a formula applied to it, one of `kernels.activations.ACTIVATIONS`; ValueError for others.
    """
    check_activation(activation)
    outputs, inputs = weight.shape
    flat = x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), inputs)  # not -1: inputs may be 0
    out = empty((len(flat), outputs), x.dtype)
    contract(flat, weight.T, out, 0, 1, bias, activation or "", allows_tf32())
    return out if x.ndim == 2 else out.reshape(*x.shape[:-1], outputs)
