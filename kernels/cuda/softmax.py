"""Softmax, its logarithm and the cross-entropy built on it, each stable: the row's maximum is subtracted.

All work on (rows, classes) arrays, a block of threads to a row, of as many threads as the row keeps busy. The
gradient rules need only the results of the forward pass.
"""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty, on_device
from kernels.cuda.blocks import MOST, largest_of_block, over_rows, sum_of_block
from kernels.cuda.compile import FLOATS, cuda, kernel
from kernels.cuda.lift import lift, run
from kernels.cuda.memory import contiguous, full
from kernels.cuda.reduce import sum


@kernel("int64, int64, T*, out T*", FLOATS)
def _softmax(rows, classes, x, out):
    shared = cuda.shared.array(MOST, T)  # noqa: F821
    t, width = cuda.threadIdx.x, cuda.blockDim.x
    for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        first, end = row * classes + t, (row + 1) * classes
        top = T(-math.inf)  # noqa: F821
        for i in range(first, end, width):
            if x[i] > top or x[i] != x[i]:
                top = x[i]
        top = largest_of_block(shared, t, width, top)
        total = T(0)  # noqa: F821
        for i in range(first, end, width):
            share = math.exp(x[i] - top)
            out[i] = share
            total += share
        scale = 1.0 / sum_of_block(shared, t, width, total)
        for i in range(first, end, width):
            out[i] *= scale


@kernel("int64, int64, T*, out T*", FLOATS)
def _log_softmax(rows, classes, x, out):
    shared = cuda.shared.array(MOST, T)  # noqa: F821
    t, width = cuda.threadIdx.x, cuda.blockDim.x
    for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        first, end = row * classes + t, (row + 1) * classes
        top = T(-math.inf)  # noqa: F821
        for i in range(first, end, width):
            if x[i] > top or x[i] != x[i]:
                top = x[i]
        top = largest_of_block(shared, t, width, top)
        total = T(0)  # noqa: F821
        for i in range(first, end, width):
            total += math.exp(x[i] - top)
        log_total = math.log(sum_of_block(shared, t, width, total))
        for i in range(first, end, width):
            out[i] = (x[i] - top) - log_total


@kernel("int64, int64, T*, T*, out T*", FLOATS)
def _softmax_dx(rows, classes, out, grad, dx):
    shared = cuda.shared.array(MOST, T)  # noqa: F821
    t, width = cuda.threadIdx.x, cuda.blockDim.x
    for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        first, end = row * classes + t, (row + 1) * classes
        total = T(0)  # noqa: F821
        for i in range(first, end, width):
            total += out[i] * grad[i]
        total = sum_of_block(shared, t, width, total)
        for i in range(first, end, width):
            dx[i] = out[i] * (grad[i] - total)


@kernel("int64, int64, T*, T*, out T*", FLOATS)
def _log_softmax_dx(rows, classes, out, grad, dx):
    shared = cuda.shared.array(MOST, T)  # noqa: F821
    t, width = cuda.threadIdx.x, cuda.blockDim.x
    for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        first, end = row * classes + t, (row + 1) * classes
        total = T(0)  # noqa: F821
        for i in range(first, end, width):
            total += grad[i]
        total = sum_of_block(shared, t, width, total)
        for i in range(first, end, width):
            dx[i] = grad[i] - math.exp(out[i]) * total


def _along(made, *arrays, dim: int) -> DeviceArray:
    """Run a (rows, classes) kernel along `dim` of equal-shaped arrays."""
    given = [on_device(a) for a in arrays]
    shape, ndim = given[0].shape, given[0].ndim
    if not ndim:
        return _along(made, *[a.reshape(1) for a in given], dim=0).reshape(())
    moved = [contiguous(a.swapaxes(dim, -1)) for a in given]
    out = empty(moved[0].shape, moved[0].dtype)
    if out.size:
        over_rows(made, out.size // shape[dim], shape[dim], *moved, out)
    return contiguous(out.swapaxes(dim, -1))


def log_softmax(x: DeviceArray, dim: int) -> DeviceArray:
    """Return log(softmax(x)) along `dim`."""
    return _along(_log_softmax, x, dim=dim)


def log_softmax_dx(out: DeviceArray, grad: DeviceArray, dim: int) -> DeviceArray:
    """Return grad - softmax * sum(grad) along `dim`; out is the forward result."""
    return _along(_log_softmax_dx, out, grad, dim=dim)


def softmax(x: DeviceArray, dim: int) -> DeviceArray:
    """Return exp(x) / sum(exp(x)) along `dim`."""
    return _along(_softmax, x, dim=dim)


def softmax_dx(out: DeviceArray, grad: DeviceArray, dim: int) -> DeviceArray:
    """Return softmax * (grad - sum(grad * softmax)) along `dim`; out is the forward result."""
    return _along(_softmax_dx, out, grad, dim=dim)


# --- losses ----------------------------------------------------------------------------------------
# weighted: class_weight holds a weight for each class; else it is not read, and all count 1.


@kernel("int64, int64, int64, int64, T*, int64*, T*, out T*, out T*, out int64[]", FLOATS)
def _nll(rows, classes, ignored, weighted, log_probs, target, class_weight, losses, weights, wrong):
    """Fill in the loss and the weight of each row; wrong[0]: the first row whose target is no class."""
    for i in range(cuda.grid(1), rows, cuda.gridsize(1)):
        label = target[i]
        loss, weight = T(0), T(0)  # noqa: F821
        if label != ignored:
            if label < 0 or label >= classes:
                cuda.atomic.min(wrong, 0, i)
            else:
                weight = class_weight[label] if weighted else T(1)  # noqa: F821
                loss = -log_probs[i * classes + label] * weight
        losses[i] = loss
        weights[i] = weight


@kernel("int64, int64, int64, T*, int64*, out T*", FLOATS)
def _weigh(rows, ignored, weighted, class_weight, target, weights):
    for i in range(cuda.grid(1), rows, cuda.gridsize(1)):
        label = target[i]
        weight = T(0)  # noqa: F821
        if label != ignored:
            weight = class_weight[label] if weighted else T(1)  # noqa: F821
        weights[i] = weight


@kernel("int64, int64, int64, int64, int64, int64, T*, int64*, T*, T*, T*, out T*", FLOATS)
def _loss_dx(
    size, classes, ignored, mean, each, is_softmax, log_probs, target, weights, total, grad, result
):  # fmt: skip
    """Fill in the gradient in the rows: -1 at the target, and softmax everywhere if the loss took that."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        row = i // classes
        label = target[row]
        value = T(0)  # noqa: F821
        if label != ignored:
            scale = weights[row]
            if mean:
                scale = scale * (1.0 / total[0])
            scale = grad[row if each else 0] * scale
            if is_softmax:
                value = math.exp(log_probs[i]) * scale
            if i - row * classes == label:
                value -= scale
        result[i] = value


def _quotient(x, y):
    return x / y


_divide = lift("softmax", "divide", _quotient, {"x": "T", "y": "T"}, FLOATS)


def _loss(log_probs, target, ignore_index: int, class_weight, reduction: str) -> DeviceArray:
    rows, classes = log_probs.shape
    target, weight = contiguous(target), log_probs if class_weight is None else contiguous(class_weight)
    losses, weights = empty((rows,), log_probs.dtype), empty((rows,), log_probs.dtype)
    wrong = full((1,), rows, np.dtype(np.int64))
    _nll.over(
        rows, rows, classes, ignore_index, int(class_weight is not None),
        log_probs, target, weight, losses, weights, wrong,
    )  # fmt: skip
    first = int(wrong.item())  # waits for the GPU: a target that is no class must not pass for a loss
    if first < rows:
        raise IndexError(int(target[first].item()))
    if reduction == "none":
        return losses
    total = sum(losses, (0,))
    return run(_divide, [total, sum(weights, (0,))]) if reduction == "mean" else total


def _loss_gradient(
    log_probs, target, ignore_index: int, class_weight, reduction: str, grad, is_softmax: bool
):
    log_probs, target = contiguous(log_probs), contiguous(target)
    rows, classes = log_probs.shape
    weights, result = empty((rows,), log_probs.dtype), empty(log_probs.shape, log_probs.dtype)
    weight = log_probs if class_weight is None else contiguous(class_weight)
    _weigh.over(rows, rows, ignore_index, int(class_weight is not None), weight, target, weights)
    total = sum(weights, (0,)) if reduction == "mean" else weights
    _loss_dx.over(
        result.size, result.size, classes, ignore_index, int(reduction == "mean"), int(reduction == "none"),
        int(is_softmax), log_probs, target, weights, total, contiguous(grad), result,
    )  # fmt: skip
    return result


def nll(log_probs, target, ignore_index: int, class_weight, reduction: str) -> DeviceArray:
    """Return the negative log-likelihood -log_probs[i, target[i]] * class_weight[target[i]], reduced.

    log_probs: (rows, classes); target: (rows,) int64; rows whose target is `ignore_index` count as 0.
    class_weight: (classes,) or None. reduction: "mean" (over the weights), "sum" or "none": (rows,).
    IndexError, with the target as its only argument, if one is no class.
    """
    return _loss(contiguous(log_probs), target, ignore_index, class_weight, reduction)


def nll_dx(log_probs, target, ignore_index: int, class_weight, reduction: str, grad) -> DeviceArray:
    """Return the gradient of `nll` in log_probs; grad: () or, for reduction "none", (rows,)."""
    return _loss_gradient(log_probs, target, ignore_index, class_weight, reduction, grad, False)


def cross_entropy(x, target, ignore_index: int, class_weight, reduction: str):
    """Return `nll(log_softmax(x, 1), ...)`, and the log-probabilities, which the gradient needs."""
    log_probs = log_softmax(x, 1)
    return _loss(log_probs, target, ignore_index, class_weight, reduction), log_probs


def cross_entropy_dx(log_probs, target, ignore_index: int, class_weight, reduction: str, grad) -> DeviceArray:
    """Return the gradient of `cross_entropy` in x: softmax - one_hot, scaled; grad as for `nll_dx`."""
    return _loss_gradient(log_probs, target, ignore_index, class_weight, reduction, grad, True)
