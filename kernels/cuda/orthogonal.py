"""QR factors by reflections, with the signs of LAPACK's: a block of threads works on a matrix."""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import FLOATS, cuda, device, kernel, threads
from kernels.cuda.memory import copy

BLOCK = threads(256)
_MOST_BLOCKS = 1 << 16
_PART = 64  # products that are summed up before they go into the whole sum


def launch_blocks(made, matrices: int, *arguments) -> None:
    """Launch a kernel of which a block works on a matrix at a time."""
    if matrices:
        made.launch(min(matrices, _MOST_BLOCKS), BLOCK, matrices, *arguments)


def raise_if(found: DeviceArray, what: str) -> None:
    """Raise LinAlgError if any number is not 0; waits for the GPU."""
    if found.to_host().any():
        raise np.linalg.LinAlgError(what)


@device
def inner(zero, x, i, j, count, step):
    """Return the sum of x[i + n * step] * x[j + n * step]; `zero`, that of its type."""
    total = zero
    for start in range(0, count, _PART):
        part = zero
        for n in range(start, min(count, start + _PART)):
            part += x[i + n * step] * x[j + n * step]
        total += part
    return total


@kernel("int64, int64, int64, out T*, out T*", FLOATS)
def _reflect(matrices, rows, columns, x, factors):
    """Leave r in the upper triangle, and below it the reflections 1 - factor * v * v.T; v[0] is 1."""
    t = cuda.threadIdx.x
    found = cuda.shared.array(2, T)  # noqa: F821
    steps = min(rows, columns)
    for n in range(cuda.blockIdx.x, matrices, cuda.gridDim.x):
        base = n * rows * columns
        for i in range(steps):
            head, below = base + i * columns + i, rows - i - 1
            if t == 0:
                top = T(0)  # noqa: F821
                for r in range(1, below + 1):
                    top = max(top, abs(x[head + r * columns]))
                alpha = x[head]
                found[0], found[1] = T(0), T(1)  # noqa: F821
                if top != 0:
                    # Scaled, or squares of large numbers would be infinite.
                    top = max(top, abs(alpha))
                    total = (alpha / top) * (alpha / top)
                    for start in range(1, below + 1, _PART):
                        part = T(0)  # noqa: F821
                        for r in range(start, min(below + 1, start + _PART)):
                            part += (x[head + r * columns] / top) * (x[head + r * columns] / top)
                        total += part
                    beta = top * math.sqrt(total)
                    if alpha >= 0:
                        beta = -beta
                    found[0], found[1] = (beta - alpha) / beta, alpha - beta
                    x[head] = beta
                factors[n * steps + i] = found[0]
            cuda.syncthreads()
            factor, scale = found[0], found[1]
            if factor != 0:
                for r in range(1 + t, below + 1, BLOCK):
                    x[head + r * columns] /= scale
                cuda.syncthreads()
                for j in range(1 + t, columns - i, BLOCK):
                    total = inner(T(0), x, head + columns, head + j + columns, below, columns)  # noqa: F821
                    total += x[head + j]
                    total *= factor
                    x[head + j] -= total
                    for r in range(1, below + 1):
                        x[head + j + r * columns] -= total * x[head + r * columns]
            cuda.syncthreads()


@kernel("int64, int64, int64, int64, int64, T*, T*, out T*", FLOATS)
def _make_q(matrices, rows, columns, steps, width, x, factors, q):
    """Apply the reflections, the last first, to the identity (rows, width): a thread for each column."""
    t = cuda.threadIdx.x
    for n in range(cuda.blockIdx.x, matrices, cuda.gridDim.x):
        base, out = n * rows * columns, n * rows * width
        for j in range(t, width, BLOCK):
            for r in range(rows):
                q[out + r * width + j] = T(1) if r == j else T(0)  # noqa: F821
            for step in range(steps):
                i = steps - 1 - step
                factor, head = factors[n * steps + i], base + i * columns + i
                if factor != 0 and i <= j:
                    total = q[out + i * width + j]
                    for start in range(i + 1, rows, _PART):
                        part = T(0)  # noqa: F821
                        for r in range(start, min(rows, start + _PART)):
                            part += x[head + (r - i) * columns] * q[out + r * width + j]
                        total += part
                    total *= factor
                    q[out + i * width + j] -= total
                    for r in range(i + 1, rows):
                        q[out + r * width + j] -= total * x[head + (r - i) * columns]


@kernel("int64, int64, int64, int64, T*, out T*", FLOATS)
def _take_upper(size, rows, columns, source_rows, x, out):
    for e in range(cuda.grid(1), size, cuda.gridsize(1)):
        row, j = e // columns, e % columns
        n, i = row // rows, row % rows
        out[e] = x[(n * source_rows + i) * columns + j] if j >= i else T(0)  # noqa: F821


def qr(x: DeviceArray, complete: bool) -> tuple[DeviceArray, DeviceArray]:
    """Return q, r with q @ r = x: q has as many columns as the smaller side, or as x has rows."""
    batch, (rows, columns) = x.shape[:-2], x.shape[-2:]
    matrices, steps = math.prod(batch), min(rows, columns)
    width = rows if complete else steps
    work, factors = copy(x), empty((*batch, steps), x.dtype)
    q, r = empty((*batch, rows, width), x.dtype), empty((*batch, width, columns), x.dtype)
    launch_blocks(_reflect, matrices, rows, columns, work, factors)
    launch_blocks(_make_q, matrices, rows, columns, steps, width, work, factors, q)
    _take_upper.over(r.size, r.size, width, columns, rows, work, r)
    return q, r
