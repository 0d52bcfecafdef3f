"""Softmax, its logarithm and the cross-entropy built on it, each stable: the row's maximum is subtracted.

All work on (rows, classes) arrays: a row is worked on by a power of two of a block's threads, as many as it
keeps busy, and a block has as many rows as fit. The gradient rules need only the results of the forward pass.
A loss is one launch each way, where a block can take the batch in its stride.
"""

import math

from kernels.cuda.array import DeviceArray, empty, on_device
from kernels.cuda.blocks import largest_of_group, sum_of_block, sum_of_group
from kernels.cuda.compile import FLOATS, SIMULATED, Kernel, cuda, device, kernel, threads
from kernels.cuda.faults import SITE, launched, note, site
from kernels.cuda.lift import lift, run
from kernels.cuda.memory import contiguous
from kernels.cuda.reduce import sum

_BLOCK = threads(256)
_MOST_BLOCKS = 1 << 16
_SHORT = 2 if SIMULATED else 32
"""Classes: a thread goes through so many by itself."""
_EACH = 8
"""Of longer rows, how many numbers there are for a thread before a row gets more of them."""


def _across(classes: int) -> int:
    """Return how many threads find out together about a row: a power of two."""
    across = 1
    while classes > _SHORT and across < _BLOCK and across * _EACH < classes:
        across *= 2
    return across


def _blocks(rows: int, across: int) -> int:
    return min(-(-rows * across // _BLOCK), _MOST_BLOCKS)


def _over_rows(made: Kernel, rows: int, classes: int, *arguments) -> None:
    across = _across(classes)
    made.launch(_blocks(rows, across), _BLOCK, rows, classes, across, *arguments)


# In these kernels all threads of a block go through the loop together, for they meet at barriers in it; those
# that have no row read and write nothing.


@device
def _largest_of_row(x, first, end, across):
    """Return the largest of what a thread sees of a row; nan is larger than all numbers."""
    top = x[first]
    for i in range(first + across, end, across):
        if x[i] > top or x[i] != x[i]:
            top = x[i]
    return top


@kernel("int64, int64, int64, T*, out T*", FLOATS)
def _softmax(rows, classes, across, x, out):
    shared = cuda.shared.array(_BLOCK, T)  # noqa: F821
    t, down = cuda.threadIdx.x, _BLOCK // across
    lane = t % across
    for start in range(cuda.blockIdx.x * down, rows, cuda.gridDim.x * down):
        row = start + t // across
        first = row * classes + lane
        end = (row + 1) * classes if row < rows else first
        top = _largest_of_row(x, first, end, across) if first < end else T(-math.inf)  # noqa: F821
        top = largest_of_group(shared, t, lane, across, 1, top)
        total = T(0)  # noqa: F821
        for i in range(first, end, across):
            share = math.exp(x[i] - top)
            out[i] = share
            total += share
        scale = 1.0 / sum_of_group(shared, t, lane, across, 1, total)
        for i in range(first, end, across):
            out[i] *= scale


@kernel("int64, int64, int64, T*, out T*", FLOATS)
def _log_softmax(rows, classes, across, x, out):
    shared = cuda.shared.array(_BLOCK, T)  # noqa: F821
    t, down = cuda.threadIdx.x, _BLOCK // across
    lane = t % across
    for start in range(cuda.blockIdx.x * down, rows, cuda.gridDim.x * down):
        row = start + t // across
        first = row * classes + lane
        end = (row + 1) * classes if row < rows else first
        top = _largest_of_row(x, first, end, across) if first < end else T(-math.inf)  # noqa: F821
        top = largest_of_group(shared, t, lane, across, 1, top)
        total = T(0)  # noqa: F821
        for i in range(first, end, across):
            total += math.exp(x[i] - top)
        log_total = math.log(sum_of_group(shared, t, lane, across, 1, total))
        for i in range(first, end, across):
            out[i] = (x[i] - top) - log_total


@kernel("int64, int64, int64, T*, T*, out T*", FLOATS)
def _softmax_dx(rows, classes, across, out, grad, dx):
    shared = cuda.shared.array(_BLOCK, T)  # noqa: F821
    t, down = cuda.threadIdx.x, _BLOCK // across
    lane = t % across
    for start in range(cuda.blockIdx.x * down, rows, cuda.gridDim.x * down):
        row = start + t // across
        first = row * classes + lane
        end = (row + 1) * classes if row < rows else first
        total = T(0)  # noqa: F821
        for i in range(first, end, across):
            total += out[i] * grad[i]
        total = sum_of_group(shared, t, lane, across, 1, total)
        for i in range(first, end, across):
            dx[i] = out[i] * (grad[i] - total)


@kernel("int64, int64, int64, T*, T*, out T*", FLOATS)
def _log_softmax_dx(rows, classes, across, out, grad, dx):
    shared = cuda.shared.array(_BLOCK, T)  # noqa: F821
    t, down = cuda.threadIdx.x, _BLOCK // across
    lane = t % across
    for start in range(cuda.blockIdx.x * down, rows, cuda.gridDim.x * down):
        row = start + t // across
        first = row * classes + lane
        end = (row + 1) * classes if row < rows else first
        total = T(0)  # noqa: F821
        for i in range(first, end, across):
            total += grad[i]
        total = sum_of_group(shared, t, lane, across, 1, total)
        for i in range(first, end, across):
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
        _over_rows(made, out.size // shape[dim], shape[dim], *moved, out)
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

_SMALL = 24 if SIMULATED else 8192
"""Elements of a batch of which one block finds the loss, without a second launch."""
_FEW_ROWS = 8 if SIMULATED else 2048
"""So many weights each block adds up by itself."""
_MANY_ROWS = 40 if SIMULATED else 1 << 14
"""Of so many one block adds up the losses."""
_SUM, _MEAN, _EACH_LOSS, _LOSSES_AND_WEIGHTS = range(4)  # what `_losses` keeps


@device
def _counts(label, classes, ignored):
    """Return whether a row counts: one that is no class is an error, and the row does not."""
    return label != ignored and 0 <= label < classes


@kernel("int64, int64, int64, int64, int64, int64, int64, "
        f"{SITE}, T*, int64*, T*, out T*, out T*, out T*", FLOATS)  # fmt: skip
def _losses(
    rows, classes, across, ignored, weighted, is_softmax, keep, number, claim, word,
    x, target, class_weight, log_probs, losses, weights,
):  # fmt: skip
    """Find the loss of each row, of its logarithms of probabilities, or of what their softmax gives."""
    shared = cuda.shared.array(_BLOCK, T)  # noqa: F821
    t, down = cuda.threadIdx.x, _BLOCK // across
    lane = t % across
    all_losses, all_weights = T(0), T(0)  # noqa: F821
    for start in range(cuda.blockIdx.x * down, rows, cuda.gridDim.x * down):
        row = start + t // across
        first = row * classes + lane
        end = (row + 1) * classes if row < rows else first
        top, log_total = T(0), T(0)  # noqa: F821
        if is_softmax:
            top = _largest_of_row(x, first, end, across) if first < end else T(-math.inf)  # noqa: F821
            top = largest_of_group(shared, t, lane, across, 1, top)
            total = T(0)  # noqa: F821
            for i in range(first, end, across):
                total += math.exp(x[i] - top)
            log_total = math.log(sum_of_group(shared, t, lane, across, 1, total))
            for i in range(first, end, across):
                log_probs[i] = (x[i] - top) - log_total
        if lane == 0 and row < rows:
            label = target[row]
            loss, weight = T(0), T(0)  # noqa: F821
            if _counts(label, classes, ignored):
                weight = class_weight[label] if weighted else T(1)  # noqa: F821
                loss = -((x[first + label] - top) - log_total) * weight
            elif label != ignored:
                note(number, claim, word, label)
            if keep >= _EACH_LOSS:
                losses[row] = loss
            if keep == _LOSSES_AND_WEIGHTS:
                weights[row] = weight
            all_losses += loss
            all_weights += weight
    if keep <= _MEAN:  # there is one block
        all_losses = sum_of_block(shared, t, _BLOCK, all_losses)
        all_weights = sum_of_block(shared, t, _BLOCK, all_weights)
        if t == 0:
            losses[0] = all_losses / all_weights if keep == _MEAN else all_losses


@kernel("int64, int64, T*, T*, out T*", FLOATS)
def _reduce(rows, mean, losses, weights, out):
    """Add up the losses, and divide them by the weights, in one block."""
    shared = cuda.shared.array(_BLOCK, T)  # noqa: F821
    t = cuda.threadIdx.x
    loss, weight = T(0), T(0)  # noqa: F821
    for row in range(t, rows, _BLOCK):
        loss += losses[row]
        if mean:
            weight += weights[row]
    loss = sum_of_block(shared, t, _BLOCK, loss)
    weight = sum_of_block(shared, t, _BLOCK, weight)
    if t == 0:
        out[0] = loss / weight if mean else loss


@kernel("int64, int64, int64, int64, T*, int64*, out T*", FLOATS)
def _weigh(rows, classes, ignored, weighted, class_weight, target, weights):
    for i in range(cuda.grid(1), rows, cuda.gridsize(1)):
        weight = T(0)  # noqa: F821
        if _counts(target[i], classes, ignored):
            weight = class_weight[target[i]] if weighted else T(1)  # noqa: F821
        weights[i] = weight


@kernel("int64, int64, int64, int64, int64, int64, int64, int64, int64, "
        "T*, int64*, T*, T*, T*, out T*", FLOATS)  # fmt: skip
def _loss_dx(
    rows, classes, across, ignored, weighted, mean, is_known, each, is_softmax,
    log_probs, target, class_weight, total, grad, result,
):  # fmt: skip
    """Fill in the gradient in the rows: -1 at the target, and softmax everywhere if the loss took that.

    mean: divide by the sum of the weights, which `total` holds if it is known.
    """
    shared = cuda.shared.array(_BLOCK, T)  # noqa: F821
    t, down = cuda.threadIdx.x, _BLOCK // across
    whole = T(1)  # noqa: F821
    if mean and is_known:
        whole = total[0]
    elif mean:
        weights = T(0)  # noqa: F821
        for row in range(t, rows, _BLOCK):
            if _counts(target[row], classes, ignored):
                weights += class_weight[target[row]] if weighted else T(1)  # noqa: F821
        whole = sum_of_block(shared, t, _BLOCK, weights)
    for row in range(cuda.blockIdx.x * down + t // across, rows, cuda.gridDim.x * down):
        label = target[row]
        counts = _counts(label, classes, ignored)
        scale = T(0)  # noqa: F821
        if counts:
            scale = grad[row if each else 0] / whole
            if weighted:
                scale *= class_weight[label]
        first = row * classes
        for c in range(t % across, classes, across):
            value = T(0)  # noqa: F821
            if counts and is_softmax:
                value = math.exp(log_probs[first + c]) * scale
            if counts and c == label:
                value -= scale
            result[first + c] = value


def _quotient(x, y):
    return x / y


_divide = lift("softmax", "divide", _quotient, {"x": "T", "y": "T"}, FLOATS)


def _loss(name: str, x, target, ignore_index: int, class_weight, reduction: str, log_probs) -> DeviceArray:
    """Return the loss; log_probs: to be filled, of softmax; None if `x` is that."""
    x, target = contiguous(x), contiguous(target)
    rows, classes = x.shape
    weight = x if class_weight is None else contiguous(class_weight)
    is_softmax = log_probs is not None
    is_small = rows * (classes if is_softmax else 1) <= _SMALL and classes > 0
    kept = {"sum": _SUM, "mean": _MEAN, "none": _EACH_LOSS}[reduction]
    across = _across(classes) if is_softmax else 1
    if reduction != "none" and not is_small:
        kept = _EACH_LOSS if reduction == "sum" else _LOSSES_AND_WEIGHTS
    losses = empty((rows,) if kept >= _EACH_LOSS else (), x.dtype)
    weights = empty((rows,), x.dtype) if kept == _LOSSES_AND_WEIGHTS else losses
    noted = site(IndexError, f"{name}: Target {{}} is out of bounds for {classes} classes")
    blocks = _blocks(rows, across) if kept >= _EACH_LOSS else 1
    if blocks:
        _losses.launch(
            blocks, _BLOCK, rows, classes, across, ignore_index, int(class_weight is not None),
            int(is_softmax), kept, *noted, x, target, weight, x if log_probs is None else log_probs,
            losses, weights,
        )  # fmt: skip
        launched()
    if reduction == "none" or kept <= _MEAN:
        return losses
    if rows <= _MANY_ROWS:
        out = empty((), x.dtype)
        _reduce.launch(1, _BLOCK, rows, int(reduction == "mean"), losses, weights, out)
        return out
    total = sum(losses, (0,))
    return run(_divide, [total, sum(weights, (0,))]) if reduction == "mean" else total


def _loss_gradient(
    log_probs, target, ignore_index: int, class_weight, reduction: str, grad, is_softmax: bool
):
    log_probs, target = contiguous(log_probs), contiguous(target)
    rows, classes = log_probs.shape
    result = empty(log_probs.shape, log_probs.dtype)
    if not result.size:
        return result
    weighted, weight = int(class_weight is not None), log_probs
    if class_weight is not None:
        weight = contiguous(class_weight)
    total, is_known = log_probs, reduction == "mean" and rows > _FEW_ROWS
    if is_known:
        weights = empty((rows,), log_probs.dtype)
        _weigh.over(rows, rows, classes, ignore_index, weighted, weight, target, weights)
        total = sum(weights, (0,))
    across = 1
    while across < min(classes, _BLOCK):  # whose neighbours are neighbours in memory
        across *= 2
    _loss_dx.launch(
        _blocks(rows, across), _BLOCK, rows, classes, across, ignore_index, weighted,
        int(reduction == "mean"), int(is_known), int(reduction == "none"), int(is_softmax),
        log_probs, target, weight, total, contiguous(grad), result,
    )  # fmt: skip
    return result


def nll(log_probs, target, ignore_index: int, class_weight, reduction: str) -> DeviceArray:
    """Return the negative log-likelihood -log_probs[i, target[i]] * class_weight[target[i]], reduced.

    log_probs: (rows, classes); target: (rows,) int64; rows whose target is `ignore_index` count as 0.
    class_weight: (classes,) or None. reduction: "mean" (over the weights), "sum" or "none": (rows,).
    A target that is no class raises IndexError, later: see `kernels.cuda.faults`.
    """
    return _loss("nll_loss", log_probs, target, ignore_index, class_weight, reduction, None)


def nll_dx(log_probs, target, ignore_index: int, class_weight, reduction: str, grad) -> DeviceArray:
    """Return the gradient of `nll` in log_probs; grad: () or, for reduction "none", (rows,)."""
    return _loss_gradient(log_probs, target, ignore_index, class_weight, reduction, grad, False)


def cross_entropy(x, target, ignore_index: int, class_weight, reduction: str):
    """Return `nll(log_softmax(x, 1), ...)`, and the log-probabilities, which the gradient needs."""
    log_probs = empty(x.shape, x.dtype)
    loss = _loss("cross_entropy", x, target, ignore_index, class_weight, reduction, log_probs)
    return loss, log_probs


def cross_entropy_dx(log_probs, target, ignore_index: int, class_weight, reduction: str, grad) -> DeviceArray:
    """Return the gradient of `cross_entropy` in x: softmax - one_hot, scaled; grad as for `nll_dx`."""
    return _loss_gradient(log_probs, target, ignore_index, class_weight, reduction, grad, True)
