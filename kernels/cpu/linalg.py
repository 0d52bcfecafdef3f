"""Decompositions and equations of batches of matrices, by NumPy's LAPACK: (..., rows, columns) arrays.

What LAPACK cannot do (a singular matrix, a negative one for Cholesky) raises numpy.linalg.LinAlgError.
"""

import math

import numpy as np

from kernels.cpu.compile import kernel


def inverse(x: np.ndarray) -> np.ndarray:
    """Return the inverses of square matrices."""
    return np.linalg.inv(x)


def solve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return x of a @ x = b; a: (..., n, n), b: (..., n, m)."""
    return np.linalg.solve(a, b)


def determinant(x: np.ndarray) -> np.ndarray:
    """Return the determinants of square matrices."""
    return np.asarray(np.linalg.det(x))


def cofactors(x: np.ndarray) -> np.ndarray:
    """Return the derivatives of the determinants in the elements, of singular matrices too."""
    u, s, vt = np.linalg.svd(x)
    size = s.shape[-1]
    others = np.where(np.eye(size, dtype=bool), np.ones((), s.dtype), s[..., None, :]).prod(-1)
    sign = np.linalg.det(u) * np.linalg.det(vt)
    return np.asarray(sign)[..., None, None] * ((u * others[..., None, :]) @ vt)


def log_determinant(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the signs of the determinants of square matrices, and the logarithms of their sizes."""
    sign, logarithm = np.linalg.slogdet(x)
    return np.asarray(sign), np.asarray(logarithm)


def cholesky(x: np.ndarray) -> np.ndarray:
    """Return lower triangles l with l @ l.T = x; of x only the lower triangles are read."""
    return np.linalg.cholesky(x)


def qr(x: np.ndarray, complete: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return q, r with q @ r = x: q has as many columns as the smaller side, or as x has rows."""
    q, r = np.linalg.qr(x, "complete" if complete else "reduced")
    return q, r


def eigh(x: np.ndarray, lower: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of symmetric matrices, ascending, and the eigenvectors as columns."""
    values, vectors = np.linalg.eigh(x, "L" if lower else "U")
    return values, vectors


def svd(x: np.ndarray, full: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return u, s, vt with u * s @ vt = x, s descending; full: square u and vt."""
    u, s, vt = np.linalg.svd(x, full)
    return u, s, vt


def singular_values(x: np.ndarray, symmetric: bool = False) -> np.ndarray:
    """Return the singular values, descending; of symmetric matrices, by their lower triangle, in no order."""
    return np.abs(np.linalg.eigvalsh(x, "L")) if symmetric else np.linalg.svd(x, compute_uv=False)


def singular_limit(
    values: np.ndarray, absolute: np.ndarray | float, relative: np.ndarray | float
) -> np.ndarray:
    """Return, for each matrix of these singular values, max(absolute, relative * the largest)."""
    largest = values.max(-1, initial=0)
    limit = np.maximum(absolute, np.asarray(relative) * largest)
    return np.broadcast_to(limit.astype(values.dtype), values.shape[:-1])


def pseudo_inverse(x: np.ndarray, least: np.ndarray, symmetric: bool) -> np.ndarray:
    """Return the pseudo-inverses; singular values up to `least`, one for each matrix, count as 0."""
    if symmetric:
        values, vectors = np.linalg.eigh(x)
        left, right = vectors, vectors.swapaxes(-2, -1)
    else:
        left, values, right = np.linalg.svd(x, False)
    used = np.abs(values) > least[..., None]
    inverted = np.where(used, 1.0 / np.where(used, values, 1.0), 0.0).astype(x.dtype)
    return (right.swapaxes(-2, -1) * inverted[..., None, :]) @ left.swapaxes(-2, -1)


@kernel("T[:,:,:], out T[:,:,::1], boolean, boolean")
def _substitute(a, x, upper, unit):
    # Column by column of a: what is known of x is taken off the rows that are left.
    size, columns = x.shape[1], x.shape[2]
    for n in range(x.shape[0]):
        for step in range(size):
            i = size - 1 - step if upper else step
            if not unit:
                for j in range(columns):
                    x[n, i, j] /= a[n, i, i]
            first, end = (0, i) if upper else (i + 1, size)
            for row in range(first, end):
                factor = a[n, row, i]
                for j in range(columns):
                    x[n, row, j] -= factor * x[n, i, j]


def solve_triangular(a: np.ndarray, b: np.ndarray, upper: bool, unit: bool) -> np.ndarray:
    """Return x of a @ x = b, reading one triangle of a only; unit: its diagonal counts as 1.

    a: (..., n, n), b: (..., n, m); a zero on the diagonal gives infinities.
    """
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])), order="C")
    if x.size:
        wide = np.broadcast_to(a, (*batch, *a.shape[-2:])).reshape(-1, *a.shape[-2:])
        _substitute(wide, x.reshape(-1, *x.shape[-2:]), upper, unit)
    return x


@kernel("out T[:,:,::1], out int32[:,::1]")
def _eliminate(x, pivots):
    rows, columns = x.shape[1], x.shape[2]
    for n in range(x.shape[0]):
        for i in range(min(rows, columns)):
            best = i
            for row in range(i + 1, rows):
                if abs(x[n, row, i]) > abs(x[n, best, i]):
                    best = row
            pivots[n, i] = best + 1
            if best != i:
                for j in range(columns):
                    x[n, i, j], x[n, best, j] = x[n, best, j], x[n, i, j]
            if x[n, i, i] != 0:
                for row in range(i + 1, rows):
                    x[n, row, i] /= x[n, i, i]
                    factor = x[n, row, i]
                    for j in range(i + 1, columns):
                        x[n, row, j] -= factor * x[n, i, j]


def lu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return l (below the diagonal; 1 on it) and u in one array, and with which row, from 1, each changed."""
    out = np.array(x, order="C")
    pivots = np.zeros((*x.shape[:-2], min(x.shape[-2:])), np.int32)
    if out.size:
        _eliminate(out.reshape(-1, *x.shape[-2:]), pivots.reshape(-1, pivots.shape[-1]))
    return out, pivots


def row_order(pivots: np.ndarray, rows: int) -> np.ndarray:
    """Return which row of the matrix each row of `lu` is, after the exchanges of `pivots`."""
    order = np.broadcast_to(np.arange(rows), (*pivots.shape[:-1], rows)).copy()
    flat, swaps = order.reshape(-1, rows), pivots.reshape(-1, pivots.shape[-1])
    for row, chosen in zip(flat, swaps, strict=True):
        for i, other in enumerate(chosen.tolist()):
            row[i], row[other - 1] = row[other - 1], row[i]
    return order


# Of the Pade approximation of exp, numerator; the denominator's signs alternate (Higham 2005).
_PADE = [math.factorial(26 - n) * math.factorial(13) // math.factorial(n) // math.factorial(13 - n)
         / math.factorial(26) for n in range(14)]  # fmt: skip
_PADE_REACH = 5.37  # of the 1-norm, up to which degree 13 is exact to float64


def matrix_exp(x: np.ndarray) -> np.ndarray:
    """Return the exponentials of square matrices, by scaling, Pade's degree 13, and squaring."""
    if not x.size:
        return x.copy()
    wide = x.astype(np.float64)
    largest = float(np.abs(wide).sum(-2).max())
    halvings = max(0, math.ceil(math.log2(largest / _PADE_REACH))) if 0 < largest < math.inf else 0
    wide = wide / 2.0**halvings
    square, power = wide @ wide, np.broadcast_to(np.eye(x.shape[-1]), x.shape)
    even, odd = np.zeros(x.shape), np.zeros(x.shape)
    for n in range(0, 14, 2):
        even = even + _PADE[n] * power
        odd = odd + _PADE[n + 1] * power
        power = power @ square
    odd = wide @ odd
    out = np.linalg.solve(even - odd, even + odd)
    for _ in range(halvings):
        out = out @ out
    return out.astype(x.dtype)


def distances(a: np.ndarray, b: np.ndarray, order: float) -> np.ndarray:
    """Return (..., n, m) norms of differences of rows; a: (..., n, width), b: (..., m, width)."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = np.empty((*batch, a.shape[-2], b.shape[-2]), a.dtype)
    if not out.size or not a.shape[-1]:
        out[...] = 0
        return out
    for n in range(a.shape[-2]):
        apart = np.abs(a[..., n, None, :].astype(np.float64) - b)
        if order == 2:
            out[..., n, :] = np.sqrt(np.einsum("...i,...i->...", apart, apart))
        elif order == math.inf:
            out[..., n, :] = apart.max(-1)
        elif order == 0:
            out[..., n, :] = (apart != 0).sum(-1)
        else:
            out[..., n, :] = (apart**order).sum(-1) ** (1.0 / order)
    return out
