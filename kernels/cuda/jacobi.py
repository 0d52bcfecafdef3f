"""Eigenvalues and singular values by Jacobi's rotations: a block of threads works on a matrix.

Rotations of pairs of columns that have none in common are made at once; a sweep has as many turns as a
tournament in which every column meets every other (Golub and Van Loan, "Matrix Computations", 8.5).
"""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import FLOATS, SIMULATED, cuda, device, element_type, kernel
from kernels.cuda.memory import contiguous, copy, zeros
from kernels.cuda.orthogonal import BLOCK, inner, launch_blocks, qr, raise_if

_LANES = 2 if SIMULATED else 8  # threads that share a pair of columns
_PAIRS = BLOCK // _LANES  # pairs of columns at a time
_MOST_SWEEPS = 60  # ten are many


@device
def _player(count, turn, pair, second):
    """Return a column of a pair of a turn, of `count` columns, an even number: the last one stays."""
    if pair == 0:
        return turn if second else count - 1
    return (turn - pair + count - 1) % (count - 1) if second else (turn + pair) % (count - 1)


@kernel("int64, int64, bool, T*, out int64*", FLOATS)
def _rank(size, count, descending, values, order):
    """Write for each place in a row the number of the value that is to stand there; equals stay in order."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        first = i // count * count
        place = first
        for j in range(first, first + count):
            before = values[j] > values[i] if descending else values[j] < values[i]
            if before or (values[j] == values[i] and j < i):
                place += 1
        order[place] = i - first


@kernel("int64, int64, int64, int64*, T*, out T*", FLOATS)
def _take_columns(size, rows, columns, order, x, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        row = i // columns
        out[i] = x[row * columns + order[row // rows * columns + i - row * columns]]


def _in_order(values: DeviceArray, descending: bool, *matrices: DeviceArray) -> list[DeviceArray]:
    """Return values sorted, and the columns of matrices (..., rows, values) in their order."""
    order = empty(values.shape, np.int64)
    count = values.shape[-1]
    _rank.over(values.size, values.size, count, descending, values, order)
    found = []
    for x in (values[..., None, :], *matrices):
        out = empty(x.shape, x.dtype)
        _take_columns.over(x.size, x.size, x.shape[-2], count, order, contiguous(x), out)
        found.append(out)
    return [found[0].reshape(values.shape), *found[1:]]


# --- symmetric matrices ----------------------------------------------------------------------------

_NUMBERS = {"INDEX": element_type(np.dtype(np.int64))}


@kernel("int64, int64, bool, T, T*, out T*, out T*, out T*, out T*, out int32*", FLOATS, _NUMBERS)
def _diagonalise(matrices, size, lower, eps, x, a, v, rotations, values, failed):
    """Rotate symmetric matrices until they are diagonal; v holds the product of the rotations."""
    t = cuda.threadIdx.x
    rotated = cuda.shared.array(1, INDEX)  # noqa: F821
    limit = cuda.shared.array(1, T)  # noqa: F821
    even = size + size % 2
    pairs = even // 2
    for n in range(cuda.blockIdx.x, matrices, cuda.gridDim.x):
        base, turns = n * size * size, n * 2 * pairs
        for e in range(t, size * size, BLOCK):
            i, j = e // size, e % size
            read = i * size + j if (j <= i) == lower else j * size + i
            a[base + e] = x[base + read]
            v[base + e] = T(1) if i == j else T(0)  # noqa: F821
        cuda.syncthreads()
        if t == 0:
            top = T(0)  # noqa: F821
            for e in range(size * size):
                if abs(a[base + e]) > top or a[base + e] != a[base + e]:
                    top = abs(a[base + e])
            limit[0] = top * eps * T(0.05)  # noqa: F821
            failed[n] = 0 if top < T(math.inf) else 1  # noqa: F821
            rotated[0] = 0 if failed[n] else 1
        cuda.syncthreads()
        sweep = 0
        while sweep < _MOST_SWEEPS and rotated[0] != 0:
            cuda.syncthreads()  # all have read it
            if t == 0:
                rotated[0] = 0
            cuda.syncthreads()
            for turn in range(even - 1):
                for k in range(t, pairs, BLOCK):
                    p, q = _player(even, turn, k, False), _player(even, turn, k, True)
                    cosine, sine = T(1), T(0)  # noqa: F821
                    if p < size and q < size:
                        off = a[base + p * size + q]
                        if abs(off) > limit[0]:
                            rotated[0] = 1
                            ahead = (a[base + q * size + q] - a[base + p * size + p]) / (T(2) * off)  # noqa: F821
                            tangent = T(1) / (abs(ahead) + math.sqrt(ahead * ahead + T(1)))  # noqa: F821
                            if ahead < 0:
                                tangent = -tangent
                            cosine = T(1) / math.sqrt(tangent * tangent + T(1))  # noqa: F821
                            sine = tangent * cosine
                            a[base + p * size + p] -= tangent * off
                            a[base + q * size + q] += tangent * off
                            a[base + p * size + q] = T(0)  # noqa: F821
                            a[base + q * size + p] = T(0)  # noqa: F821
                    rotations[turns + 2 * k], rotations[turns + 2 * k + 1] = cosine, sine
                cuda.syncthreads()
                for e in range(t, pairs * pairs, BLOCK):
                    k, m = e // pairs, e % pairs
                    if k < m:  # the four elements where the rows of one pair meet the columns of another
                        p, q = _player(even, turn, k, False), _player(even, turn, k, True)
                        r, s = _player(even, turn, m, False), _player(even, turn, m, True)
                        c, d = rotations[turns + 2 * k], rotations[turns + 2 * k + 1]
                        f, g = rotations[turns + 2 * m], rotations[turns + 2 * m + 1]
                        pr = a[base + p * size + r] if p < size and r < size else T(0)  # noqa: F821
                        ps = a[base + p * size + s] if p < size and s < size else T(0)  # noqa: F821
                        qr = a[base + q * size + r] if q < size and r < size else T(0)  # noqa: F821
                        qs = a[base + q * size + s] if q < size and s < size else T(0)  # noqa: F821
                        upper_r, upper_s = c * pr - d * qr, c * ps - d * qs
                        lower_r, lower_s = d * pr + c * qr, d * ps + c * qs
                        pr, ps = f * upper_r - g * upper_s, g * upper_r + f * upper_s
                        qr, qs = f * lower_r - g * lower_s, g * lower_r + f * lower_s
                        if p < size and r < size:
                            a[base + p * size + r] = a[base + r * size + p] = pr
                        if p < size and s < size:
                            a[base + p * size + s] = a[base + s * size + p] = ps
                        if q < size and r < size:
                            a[base + q * size + r] = a[base + r * size + q] = qr
                        if q < size and s < size:
                            a[base + q * size + s] = a[base + s * size + q] = qs
                for e in range(t, pairs * size, BLOCK):
                    row, k = base + e // pairs * size, e % pairs
                    p, q = _player(even, turn, k, False), _player(even, turn, k, True)
                    if p < size and q < size:
                        c, d = rotations[turns + 2 * k], rotations[turns + 2 * k + 1]
                        left, right = v[row + p], v[row + q]
                        v[row + p], v[row + q] = c * left - d * right, d * left + c * right
                cuda.syncthreads()
            sweep += 1
        for i in range(t, size, BLOCK):
            values[n * size + i] = a[base + i * size + i]
        if t == 0 and rotated[0] != 0:
            failed[n] = 1
        cuda.syncthreads()


def eigh(x: DeviceArray, lower: bool) -> tuple[DeviceArray, DeviceArray]:
    """Return the eigenvalues of symmetric matrices, ascending, and the eigenvectors as columns."""
    batch, size = x.shape[:-2], x.shape[-1]
    a, vectors = empty(x.shape, x.dtype), empty(x.shape, x.dtype)
    rotations, values = empty((*batch, size + size % 2), x.dtype), empty((*batch, size), x.dtype)
    failed = zeros(batch, np.dtype(np.int32))
    if x.size:
        launch_blocks(
            _diagonalise, math.prod(batch), size, lower, float(np.finfo(x.dtype).eps), contiguous(x), a,
            vectors, rotations, values, failed,
        )  # fmt: skip
    raise_if(failed, "Eigenvalues did not converge")
    values, vectors = _in_order(values, False, vectors)
    return values, vectors


# --- singular values -------------------------------------------------------------------------------

_SUMS = {**_NUMBERS, "LANES": _LANES, "PAIRS": _PAIRS}


@kernel("int64, int64, int64, T, out T*, out T*, out T*, out int32*", FLOATS, _SUMS)
def _orthogonalise(matrices, rows, columns, eps, w, v, norms, failed):
    """Rotate the columns of w until they are at right angles; v holds the product of the rotations.

    norms: the lengths of the columns. Several threads share a pair of columns.
    """
    t = cuda.threadIdx.x
    group, lane = t // LANES, t % LANES  # noqa: F821
    rotated = cuda.shared.array(1, INDEX)  # noqa: F821
    limits = cuda.shared.array(2, T)  # noqa: F821
    of_p = cuda.shared.array(BLOCK, T)  # noqa: F821
    of_q = cuda.shared.array(BLOCK, T)  # noqa: F821
    of_both = cuda.shared.array(BLOCK, T)  # noqa: F821
    even = columns + columns % 2
    pairs = even // 2
    for n in range(cuda.blockIdx.x, matrices, cuda.gridDim.x):
        base, v_base = n * rows * columns, n * columns * columns
        for e in range(t, columns * columns, BLOCK):
            v[v_base + e] = T(1) if e // columns == e % columns else T(0)  # noqa: F821
        if t == 0:
            top = T(0)  # noqa: F821
            for e in range(rows * columns):
                if abs(w[base + e]) > top or w[base + e] != w[base + e]:
                    top = abs(w[base + e])
            failed[n] = 0 if top < T(math.inf) else 1  # noqa: F821
            rotated[0] = 0 if failed[n] else 1
            # Squares of very large or small numbers would be infinite, or 0.
            limits[0] = top if top > T(1e12) or T(0) < top < T(1e-12) else T(1)  # noqa: F821
            top /= limits[0]
            limits[1] = top * eps * top * eps  # shorter columns count as 0
        cuda.syncthreads()
        scale = limits[0]
        if scale != 1:
            for e in range(t, rows * columns, BLOCK):
                w[base + e] /= scale
        cuda.syncthreads()
        sweep = 0
        while sweep < _MOST_SWEEPS and rotated[0] != 0:
            cuda.syncthreads()  # all have read it
            if t == 0:
                rotated[0] = 0
            cuda.syncthreads()
            for turn in range(even - 1):
                for first in range(0, pairs, PAIRS):  # noqa: F821
                    p, q = columns, columns
                    if first + group < pairs:
                        p = _player(even, turn, first + group, False)
                        q = _player(even, turn, first + group, True)
                    takes_part = p < columns and q < columns
                    if takes_part:
                        count = (rows - lane + LANES - 1) // LANES  # noqa: F821
                        i, j = base + lane * columns + p, base + lane * columns + q
                        step = LANES * columns  # noqa: F821
                        of_p[t] = inner(T(0), w, i, i, count, step)  # noqa: F821
                        of_q[t] = inner(T(0), w, j, j, count, step)  # noqa: F821
                        of_both[t] = inner(T(0), w, i, j, count, step)  # noqa: F821
                    cuda.syncthreads()
                    if takes_part:
                        # Every thread of a pair adds up the same numbers in the same order.
                        alpha, beta, gamma = T(0), T(0), T(0)  # noqa: F821
                        for m in range(group * LANES, group * LANES + LANES):  # noqa: F821
                            alpha += of_p[m]
                            beta += of_q[m]
                            gamma += of_both[m]
                        angle = abs(gamma) / math.sqrt(alpha) / math.sqrt(beta)
                        if min(alpha, beta) > limits[1] and angle > eps:
                            rotated[0] = 1
                            ahead = (beta - alpha) / (T(2) * gamma)  # noqa: F821
                            tangent = T(1) / (abs(ahead) + math.sqrt(ahead * ahead + T(1)))  # noqa: F821
                            if ahead < 0:
                                tangent = -tangent
                            cosine = T(1) / math.sqrt(tangent * tangent + T(1))  # noqa: F821
                            sine = tangent * cosine
                            for r in range(lane, rows, LANES):  # noqa: F821
                                at = base + r * columns
                                left, right = w[at + p], w[at + q]
                                w[at + p] = cosine * left - sine * right
                                w[at + q] = sine * left + cosine * right
                            for r in range(lane, columns, LANES):  # noqa: F821
                                at = v_base + r * columns
                                left, right = v[at + p], v[at + q]
                                v[at + p] = cosine * left - sine * right
                                v[at + q] = sine * left + cosine * right
                    cuda.syncthreads()
            sweep += 1
        for j in range(t, columns, BLOCK):
            norms[n * columns + j] = scale * math.sqrt(
                inner(T(0), w, base + j, base + j, rows, columns)  # noqa: F821
            )
        cuda.syncthreads()
        if scale != 1:
            for e in range(t, rows * columns, BLOCK):
                w[base + e] *= scale
        if t == 0 and rotated[0] != 0:
            failed[n] = 1
        cuda.syncthreads()


@kernel("int64, int64, int64, int64, T*, out T*", FLOATS)
def _turn_round(size, rows, width, columns, r, q):
    """Change the signs of the columns of q whose number on the diagonal of r is negative."""
    for e in range(cuda.grid(1), size, cuda.gridsize(1)):
        j = e % width
        n = e // width // rows
        if j < columns and r[(n * width + j) * columns + j] < 0:
            q[e] = -q[e]


def svd(x: DeviceArray, full: bool) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """Return u, s, vt with u * s @ vt = x, s descending; full: square u and vt."""
    batch, (rows, columns) = x.shape[:-2], x.shape[-2:]
    if rows < columns:
        v, s, ut = svd(x.swapaxes(-2, -1), full)
        return ut.swapaxes(-2, -1), s, v.swapaxes(-2, -1)
    w, v = copy(x), empty((*batch, columns, columns), x.dtype)
    s, failed = empty((*batch, columns), x.dtype), zeros(batch, np.dtype(np.int32))
    if x.size:
        eps = float(np.finfo(x.dtype).eps) * 2 * math.sqrt(rows)
        launch_blocks(_orthogonalise, math.prod(batch), rows, columns, eps, w, v, s, failed)
    raise_if(failed, "SVD did not converge")
    s, w, v = _in_order(s, True, w, v)
    # The columns are at right angles: q holds their directions, and others for columns that are 0.
    u, r = qr(w, full)
    _turn_round.over(u.size, u.size, rows, u.shape[-1], columns, r, u)
    return u, s, v.swapaxes(-2, -1)
