"""Matrix products: `c[t] = a[t] @ b[t]`.

Four rows of `c` and four steps of the inner sum go together, so that each vector of `b` that is loaded
serves sixteen multiply-adds; the compiler turns the loop over columns into vector instructions. The inner
sum runs in one fixed order, whatever the number of threads: threads share out rows only.
"""

import numpy as np

from kernels.cpu.compile import jit, kernel, prange

_ROWS = 16  # rows of c in one task of the thread pool
_SERIAL_BELOW = 1 << 17  # multiply-adds; under this the pool's wake-up costs more than it saves


@jit(fastmath={"contract"})
def _multiply_rows(a, b, c, first, last):
    """Fill c[first:last] with a[first:last] @ b. a: (rows, inner), any strides; b: (inner, columns)."""
    inner, columns = b.shape
    for i in range(first, last):
        for j in range(columns):
            c[i, j] = 0
    i = first
    while i + 4 <= last:
        k = 0
        while k + 4 <= inner:
            a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a10, a11, a12, a13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
            a20, a21, a22, a23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
            a30, a31, a32, a33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
            for j in range(columns):
                b0, b1, b2, b3 = b[k, j], b[k + 1, j], b[k + 2, j], b[k + 3, j]
                c[i, j] = c[i, j] + a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
                c[i + 1, j] = c[i + 1, j] + a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
                c[i + 2, j] = c[i + 2, j] + a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
                c[i + 3, j] = c[i + 3, j] + a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3
            k += 4
        while k < inner:
            for r in range(4):
                value = a[i + r, k]
                for j in range(columns):
                    c[i + r, j] += value * b[k, j]
            k += 1
        i += 4
    while i < last:
        for k in range(inner):
            value = a[i, k]
            for j in range(columns):
                c[i, j] += value * b[k, j]
        i += 1


@kernel("T[:,:,:], T[:,:,::1], out T[:,:,::1]")
def _matmul_serial(a, b, c):
    for t in range(a.shape[0]):
        _multiply_rows(a[t], b[t], c[t], 0, a.shape[1])


@kernel("T[:,:,:], T[:,:,::1], out T[:,:,::1]", parallel=True)
def _matmul_parallel(a, b, c):
    rows = a.shape[1]
    tasks = (rows + _ROWS - 1) // _ROWS
    for task in prange(a.shape[0] * tasks):
        t = task // tasks
        first = (task % tasks) * _ROWS
        _multiply_rows(a[t], b[t], c[t], first, min(rows, first + _ROWS))


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a @ b. a: (..., rows, inner), b: (..., inner, columns), one dtype; batch dims broadcast."""
    if a.dtype.kind != "f":
        return np.matmul(a, b)
    rows, inner = a.shape[-2:]
    columns = b.shape[-1]
    if b.ndim == 2 and a.ndim > 2:  # one tall product instead of many
        return matmul(a.reshape(-1, inner), b).reshape(*a.shape[:-1], columns)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    c = np.empty((*batch, rows, columns), a.dtype)
    if c.size == 0:
        return c
    count = c.size // (rows * columns)
    a3 = np.broadcast_to(a, (*batch, rows, inner)).reshape(count, rows, inner)
    b3 = np.ascontiguousarray(np.broadcast_to(b, (*batch, inner, columns))).reshape(count, inner, columns)
    run = _matmul_serial if c.size * inner < _SERIAL_BELOW else _matmul_parallel
    run(a3, b3, c.reshape(count, rows, columns))
    return c


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Return x @ weight.T + bias. x: (..., inputs), weight: (outputs, inputs), bias: (outputs,)."""
    out = matmul(x.reshape(-1, x.shape[-1]), weight.T)
    if bias is not None:
        np.add(out, bias, out=out)
    return out.reshape(*x.shape[:-1], weight.shape[0])
