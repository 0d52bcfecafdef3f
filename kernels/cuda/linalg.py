"""Decompositions and equations of batches of matrices: (..., rows, columns) arrays.

A block of threads works on a matrix, in the GPU's memory. What has no solution (a singular matrix, a negative
one for Cholesky) raises numpy.linalg.LinAlgError, for which the host waits.
"""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty, on_device
from kernels.cuda.compile import FLOATS, cuda, kernel
from kernels.cuda.elementwise import forward
from kernels.cuda.jacobi import eigh, svd
from kernels.cuda.lift import lift, run
from kernels.cuda.matmul import matmul
from kernels.cuda.memory import cast, contiguous, copy, full, zeros
from kernels.cuda.orthogonal import BLOCK, launch_blocks, raise_if
from kernels.cuda.reduce import extreme_value, sum

# --- LU, and what is solved by it ------------------------------------------------------------------


@kernel("int64, int64, int64, out T*, out int32*, out int32*", FLOATS)
def _eliminate(matrices, rows, columns, x, pivots, singular):
    """Replace each matrix by its factors, rows exchanged so that the largest of a column is its pivot."""
    t = cuda.threadIdx.x
    steps = min(rows, columns)
    for n in range(cuda.blockIdx.x, matrices, cuda.gridDim.x):
        base = n * rows * columns
        if t == 0:
            singular[n] = 0
        for i in range(steps):
            if t == 0:
                chosen = i
                for row in range(i + 1, rows):
                    if abs(x[base + row * columns + i]) > abs(x[base + chosen * columns + i]):
                        chosen = row
                pivots[n * steps + i] = chosen + 1
                if x[base + chosen * columns + i] == 0:
                    singular[n] = 1
            cuda.syncthreads()
            chosen = pivots[n * steps + i] - 1
            if chosen != i:
                for j in range(t, columns, BLOCK):
                    upper, lower = base + i * columns + j, base + chosen * columns + j
                    x[upper], x[lower] = x[lower], x[upper]
            cuda.syncthreads()
            pivot = x[base + i * columns + i]
            if pivot != 0:
                for row in range(i + 1 + t, rows, BLOCK):
                    x[base + row * columns + i] /= pivot
                cuda.syncthreads()
                width = columns - i - 1
                for e in range(t, (rows - i - 1) * width, BLOCK):
                    row = i + 1 + e // width
                    j = i + 1 + e % width
                    x[base + row * columns + j] -= x[base + row * columns + i] * x[base + i * columns + j]
            cuda.syncthreads()


@kernel("int64, int64, int64, bool, bool, T*, out T*", FLOATS)
def _substitute(matrices, size, columns, upper, unit, a, x):
    """Solve triangular equations in place: what is known of x is taken off the rows that are left."""
    t = cuda.threadIdx.x
    for n in range(cuda.blockIdx.x, matrices, cuda.gridDim.x):
        a_base, base = n * size * size, n * size * columns
        for step in range(size):
            i = size - 1 - step if upper else step
            if not unit:
                for j in range(t, columns, BLOCK):
                    x[base + i * columns + j] /= a[a_base + i * size + i]
            cuda.syncthreads()
            first = 0 if upper else i + 1
            for e in range(t, (size - 1 - step) * columns, BLOCK):
                row = first + e // columns
                j = e % columns
                x[base + row * columns + j] -= a[a_base + row * size + i] * x[base + i * columns + j]
            cuda.syncthreads()


@kernel("int64, int64, int64, int32*, out T*", ["int64"])
def _order_rows(matrices, rows, steps, pivots, out):
    for n in range(cuda.grid(1), matrices, cuda.gridsize(1)):
        base = n * rows
        for i in range(rows):
            out[base + i] = i
        for i in range(steps):
            other = pivots[n * steps + i] - 1
            out[base + i], out[base + other] = out[base + other], out[base + i]


@kernel("int64, int64, int64, int64*, T*, out T*", FLOATS)
def _take_rows(size, rows, columns, order, x, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        row = i // columns
        source = row // rows * rows + order[row]
        out[i] = x[source * columns + i - row * columns]


@kernel("int64, int64, T*, int32*, out T*, out T*", FLOATS)
def _read_determinants(matrices, size, factors, pivots, sign, logarithm):
    for n in range(cuda.grid(1), matrices, cuda.gridsize(1)):
        negative, total = 0, T(0)  # noqa: F821
        zero = False
        for i in range(size):
            value = factors[(n * size + i) * size + i]
            if (value < 0) != (pivots[n * size + i] != i + 1):
                negative = 1 - negative
            zero = zero or value == 0
            total += math.log(abs(value))
        sign[n] = T(0) if zero else (T(-1) if negative else T(1))  # noqa: F821
        logarithm[n] = total


def _factor(x: DeviceArray) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """Return the factors in one array, the pivots, and where a pivot is 0."""
    out = copy(x)
    rows, columns = x.shape[-2:]
    batch = x.shape[:-2]
    pivots = empty((*batch, min(rows, columns)), np.int32)
    singular = empty(batch, np.int32)
    launch_blocks(_eliminate, math.prod(batch), rows, columns, out, pivots, singular)
    return out, pivots, singular


def lu(x: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
    """Return l (below the diagonal; 1 on it) and u in one array, and with which row, from 1, each changed."""
    return _factor(on_device(x))[:2]


def row_order(pivots: DeviceArray, rows: int) -> DeviceArray:
    """Return which row of the matrix each row of `lu` is, after the exchanges of `pivots`."""
    pivots = contiguous(pivots)
    batch = pivots.shape[:-1]
    out = empty((*batch, rows), np.int64)
    count = math.prod(batch)
    _order_rows.over(count, count, rows, pivots.shape[-1], pivots, out)
    return out


def solve(a: DeviceArray, b: DeviceArray) -> DeviceArray:
    """Return x of a @ x = b; a: (..., n, n), b: (..., n, m)."""
    factors, pivots, singular = _factor(a)
    raise_if(singular, "Singular matrix")
    size, columns = b.shape[-2:]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    order = contiguous(row_order(pivots, size).broadcast_to((*batch, size)))
    wide = contiguous(b.broadcast_to((*batch, size, columns)))
    x = empty(wide.shape, b.dtype)
    _take_rows.over(x.size, x.size, size, columns, order, wide, x)
    factors = contiguous(factors.broadcast_to((*batch, size, size)))
    if x.size:
        for upper in (False, True):
            launch_blocks(_substitute, math.prod(batch), size, columns, upper, not upper, factors, x)
    return x


def _identity(size: int, dtype) -> DeviceArray:
    return on_device(np.eye(size, dtype=dtype))


def inverse(x: DeviceArray) -> DeviceArray:
    """Return the inverses of square matrices."""
    return solve(x, _identity(x.shape[-1], x.dtype))


def solve_triangular(a: DeviceArray, b: DeviceArray, upper: bool, unit: bool) -> DeviceArray:
    """Return x of a @ x = b, reading one triangle of a only; unit: its diagonal counts as 1.

    a: (..., n, n), b: (..., n, m); a zero on the diagonal gives infinities.
    """
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = copy(b.broadcast_to((*batch, *b.shape[-2:])))
    if x.size:
        wide = contiguous(a.broadcast_to((*batch, *a.shape[-2:])))
        launch_blocks(_substitute, math.prod(batch), *x.shape[-2:], upper, unit, wide, x)
    return x


def log_determinant(x: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
    """Return the signs of the determinants of square matrices, and the logarithms of their sizes."""
    factors, pivots, _ = _factor(x)
    batch, count = x.shape[:-2], math.prod(x.shape[:-2])
    sign, logarithm = empty(batch, x.dtype), empty(batch, x.dtype)
    _read_determinants.over(count, count, x.shape[-1], factors, pivots, sign, logarithm)
    return sign, logarithm


def determinant(x: DeviceArray) -> DeviceArray:
    """Return the determinants of square matrices."""
    sign, logarithm = log_determinant(x)
    return forward("mul", sign, forward("exp", logarithm))


@kernel("int64, int64, T*, out T*", FLOATS)
def _multiply_others(size, count, x, out):
    """Write for each of `count` numbers in a row the product of the others."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        first = i // count * count
        total = T(1)  # noqa: F821
        for j in range(first, first + count):
            if j != i:
                total *= x[j]
        out[i] = total


def cofactors(x: DeviceArray) -> DeviceArray:
    """Return the derivatives of the determinants in the elements, of singular matrices too."""
    u, s, vt = svd(x, True)
    others = empty(s.shape, s.dtype)
    _multiply_others.over(s.size, s.size, s.shape[-1], s, others)
    sign = forward("mul", log_determinant(u)[0], log_determinant(vt)[0])
    scaled = forward("mul", forward("mul", u, sign[..., None, None]), others[..., None, :])
    return matmul(scaled, vt)


# --- Cholesky --------------------------------------------------------------------------------------


@kernel("int64, int64, T*, out T*, out int32*", FLOATS)
def _factor_positive(matrices, size, x, out, failed):
    t = cuda.threadIdx.x
    for n in range(cuda.blockIdx.x, matrices, cuda.gridDim.x):
        base = n * size * size
        for e in range(t, size * size, BLOCK):
            out[base + e] = x[base + e] if e % size <= e // size else T(0)  # noqa: F821
        if t == 0:
            failed[n] = 0
        cuda.syncthreads()
        for i in range(size):
            if t == 0:
                pivot = out[base + i * size + i]
                if not pivot > 0:  # nor a nan
                    failed[n] = 1
                out[base + i * size + i] = math.sqrt(pivot)
            cuda.syncthreads()
            for row in range(i + 1 + t, size, BLOCK):
                out[base + row * size + i] /= out[base + i * size + i]
            cuda.syncthreads()
            width = size - i - 1
            for e in range(t, width * width, BLOCK):
                row = i + 1 + e // width
                j = i + 1 + e % width
                if j <= row:
                    out[base + row * size + j] -= out[base + row * size + i] * out[base + j * size + i]
            cuda.syncthreads()


def cholesky(x: DeviceArray) -> DeviceArray:
    """Return lower triangles l with l @ l.T = x; of x only the lower triangles are read."""
    out, failed = empty(x.shape, x.dtype), empty(x.shape[:-2], np.int32)
    launch_blocks(_factor_positive, math.prod(x.shape[:-2]), x.shape[-1], contiguous(x), out, failed)
    raise_if(failed, "Matrix is not positive definite")
    return out


# --- singular values -------------------------------------------------------------------------------


def singular_values(x: DeviceArray, symmetric: bool = False) -> DeviceArray:
    """Return the singular values, descending; of symmetric matrices, by their lower triangle, in no order."""
    return forward("abs", eigh(x, True)[0]) if symmetric else svd(x, False)[1]


def singular_limit(values: DeviceArray, absolute, relative) -> DeviceArray:
    """Return, for each matrix of these singular values, max(absolute, relative * the largest)."""
    largest = zeros(values.shape[:-1], values.dtype)
    if values.shape[-1]:
        largest = extreme_value(values, (values.ndim - 1,), True)
    least, factor = (
        cast(a, values.dtype) if isinstance(a, DeviceArray) else on_device(np.asarray(a, values.dtype))
        for a in (absolute, relative)
    )
    return forward("maximum", least, forward("mul", factor, largest)).broadcast_to(values.shape[:-1])


def _one_over(value, least):
    return 1.0 / value if abs(value) > least else 0.0


_inverted = lift("linalg", "one_over", _one_over, {"value": "T", "least": "T"}, FLOATS)


def pseudo_inverse(x: DeviceArray, least: DeviceArray, symmetric: bool) -> DeviceArray:
    """Return the pseudo-inverses; singular values up to `least`, one for each matrix, count as 0."""
    if symmetric:
        values, vectors = eigh(x, True)
        left, right = vectors, vectors.swapaxes(-2, -1)
    else:
        left, values, right = svd(x, False)
    found = run(_inverted, [values, on_device(least)[..., None]])
    return matmul(forward("mul", right.swapaxes(-2, -1), found[..., None, :]), left.swapaxes(-2, -1))


# --- functions of matrices, distances --------------------------------------------------------------

# Of the Pade approximation of exp, numerator; the denominator's signs alternate (Higham 2005).
_PADE = [math.factorial(26 - n) * math.factorial(13) // math.factorial(n) // math.factorial(13 - n)
         / math.factorial(26) for n in range(14)]  # fmt: skip
_PADE_REACH = 5.37  # of the 1-norm, up to which degree 13 is exact to float64


def matrix_exp(x: DeviceArray) -> DeviceArray:
    """Return the exponentials of square matrices, by scaling, Pade's degree 13, and squaring."""
    if not x.size:
        return copy(x)

    def number(value: float) -> DeviceArray:
        return full((), value, np.dtype(np.float64))

    wide = cast(x, np.dtype(np.float64))
    sums = sum(forward("abs", wide), (x.ndim - 2,))
    largest = float(extreme_value(sums, tuple(range(sums.ndim)), True).item())
    halvings = max(0, math.ceil(math.log2(largest / _PADE_REACH))) if 0 < largest < math.inf else 0
    wide = forward("mul", wide, number(2.0**-halvings))
    square = matmul(wide, wide)
    power = _identity(x.shape[-1], np.float64)
    even, odd = number(0.0), number(0.0)
    for n in range(0, 14, 2):
        even = forward("add", even, forward("mul", power, number(_PADE[n])))
        odd = forward("add", odd, forward("mul", power, number(_PADE[n + 1])))
        power = matmul(power, square)
    odd = matmul(wide, odd)
    out = solve(forward("sub", even, odd), forward("add", even, odd))
    for _ in range(halvings):
        out = matmul(out, out)
    return cast(out, x.dtype)


_PART = 64  # differences that are summed up before they go into the whole sum


@kernel("int64, int64, int64, int64, int64, T, T*, T*, out T*", FLOATS)
def _apart(size, rows, columns, width, kind, order, a, b, out):
    """kind: 0 counts differences, 1 is the largest, 2 Euclid's, 3 any other order."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        row = i // columns
        first, second = row * width, (row // rows * columns + i - row * columns) * width
        total = T(0)  # noqa: F821
        for start in range(0, width, _PART):
            part = T(0)  # noqa: F821
            for n in range(start, min(width, start + _PART)):
                apart = abs(a[first + n] - b[second + n])
                if kind == 0:
                    part += T(1) if apart != 0 else T(0)  # noqa: F821
                elif kind == 1:
                    part = apart if apart > part or apart != apart else part
                elif kind == 2:
                    part += apart * apart
                else:
                    part += math.pow(apart, order)
            if kind != 1:
                total += part
            elif part > total or part != part:
                total = part
        if kind == 2:
            total = math.sqrt(total)
        elif kind == 3:
            total = math.pow(total, T(1) / order)  # noqa: F821
        out[i] = total


def distances(a: DeviceArray, b: DeviceArray, order: float) -> DeviceArray:
    """Return (..., n, m) norms of differences of rows; a: (..., n, width), b: (..., m, width)."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = empty((*batch, a.shape[-2], b.shape[-2]), a.dtype)
    kind = {0: 0, math.inf: 1, 2: 2}.get(order, 3)
    power = order if kind == 3 else 1.0
    a, b = (contiguous(x.broadcast_to((*batch, *x.shape[-2:]))) for x in (a, b))
    _apart.over(out.size, out.size, a.shape[-2], b.shape[-2], a.shape[-1], kind, power, a, b, out)
    return out
