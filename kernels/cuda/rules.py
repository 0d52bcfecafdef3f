"""The numbers of an optimiser's rule, computed on the GPU: what changes from step to step in a CUDA graph.

One thread for each parameter counts the step and computes in float64, as the host does for launches outside
of graphs (`optim.py`); then all parameters are updated by the table that is written here.
"""

import math
from collections.abc import Sequence

import numpy as np

from kernels.cuda.array import DeviceArray, empty, from_host
from kernels.cuda.compile import FLOATS, cuda, kernel, pointer
from kernels.cuda.driver import keep_tables

_PLAIN, _ADAM, _CORRECTED = 0, 1, 2


@kernel("int64, int64, int64, int64, float64, float64, float64, float64, float64*, float64*, int64*, "
        "float32*, out T*", FLOATS)  # fmt: skip
def _numbers(rows, width, form, counted, beta1, beta2, eps, decay, lr, others, places, like, out):
    """Write `others`, a row for each parameter, and over it what the rate and the step decide."""
    for row in range(cuda.grid(1), rows, cuda.gridsize(1)):
        at, rate, step = row * width, lr[0], 0.0
        for n in range(width):
            out[at + n] = others[at + n]
        if counted:
            count = pointer(places[row], 1, like)
            count[0] += 1
            step = np.float64(count[0])
        if form == 1:  # what Adam's step depends on: see `optim.adam`
            root = math.sqrt(1 - math.pow(beta2, step))
            out[at] = rate / (1 - math.pow(beta1, step)) * root
            out[at + 4] = eps * root
            out[at + 6] = 1 - rate * decay
        else:
            out[at] = rate / (1 - math.pow(beta1, step)) if form == 2 else rate


@keep_tables(64)
def _kept(values: tuple, dtype: str) -> DeviceArray:
    return from_host(np.array(values, dtype))


def _write(dtype, lr, others: Sequence[tuple], counts: Sequence[DeviceArray], form: int, *numbers: float):
    """Return a table (parameters, numbers); lr: a number, or an array of one float64.

    counts: float32, of one element for each parameter, to which one is added; none if there is nothing to
    count.
    """
    rates = lr if isinstance(lr, DeviceArray) else _kept((float(lr),), "float64")
    rows, width = len(others), len(others[0])
    table, rest = empty((rows, width), dtype), _kept(tuple([x for row in others for x in row]), "float64")
    places = _kept(tuple([c.address for c in counts]), "int64") if counts else _kept((0,), "int64")
    like = counts[0] if counts else _kept((0.0,), "float32")
    _numbers.over(
        rows, rows, width, form, int(bool(counts)), *numbers, rates, rest, places, like, table
    )  # fmt: skip
    return table


def plain_numbers(dtype, lr, others: Sequence[tuple], counts: Sequence[DeviceArray] = ()) -> DeviceArray:
    """Return the numbers of a rule of which the first, the learning rate, is the one that changes.

    others: a row for each parameter, its first number left open.
    """
    return _write(dtype, lr, others, counts, _PLAIN, 0.0, 0.0, 0.0, 0.0)


def corrected_numbers(
    dtype, lr, beta1, others: Sequence[tuple], counts: Sequence[DeviceArray]
) -> DeviceArray:
    """Return the numbers of a rule of which the first is lr / (1 - beta1**step); others: as above."""
    return _write(dtype, lr, others, counts, _CORRECTED, beta1, 0.0, 0.0, 0.0)


def adam_numbers(dtype, lr, beta1, beta2, eps, decay, others: tuple, counts: Sequence[DeviceArray]):
    """Return Adam's numbers; decay: by what the learning rate shrinks the parameters, 0 unless decoupled."""
    return _write(dtype, lr, [others] * len(counts), counts, _ADAM, beta1, beta2, eps, decay)
