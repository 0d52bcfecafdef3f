"""Decompositions of matrices, with their gradients.

The gradients are those of M. Giles, "Collected matrix derivative results" (2008), of I. Murray,
"Differentiation of the Cholesky decomposition" (2016), and of S. Walter and L. Lehmann, "Algorithmic
differentiation of linear algebra functions" (2010), in reverse mode.

A decomposition of several parts is one operation, whose result holds all of them side by side; each part is
then taken out of it. So what flows into the parts meets in one place.
"""

import math

import numpy as np

from tensor import dtypes, return_types
from tensor.autograd import Operation
from tensor.linalg.checks import check_square, float_matrices, named_error
from tensor.operands import require_tensor
from tensor.products import FreshTranspose


class Part(Operation):
    """One part of a decomposition, taken out of what holds all of them."""

    def forward(self, k, x, start, shape):
        self.input_shape, self.start = x.shape, start
        self.size = math.prod(shape)
        return k.copy(x[..., start : start + self.size]).reshape((*x.shape[:-1], *shape))

    def backward(self, k, grad):
        batch, width = self.input_shape[:-1], self.input_shape[-1]
        before = k.zeros((*batch, self.start), grad.dtype)
        after = k.zeros((*batch, width - self.start - self.size), grad.dtype)
        flat = grad.reshape((*batch, self.size))
        return (k.cat([before, flat, after], len(batch)),)


def _kind_of_part(printed: str) -> type[Part]:
    return type(printed, (Part,), {"name": printed, "__doc__": f"One part of {printed}."})


def _packed(k, x, *parts):
    """Return the parts, of one matrix or vector each, flat and side by side."""
    batch = x.shape[:-2]
    flat = [part.reshape((*batch, math.prod(part.shape[len(batch) :]))) for part in parts]
    return k.cat(flat, len(batch))


def _unpack(packed, batch, *shapes):
    """Return the arrays, of these shapes, that lie side by side in the last dim of `packed`."""
    start, parts = 0, []
    for shape in shapes:
        end = start + math.prod(shape)
        parts.append(packed[..., start:end].reshape((*batch, *shape)))
        start = end
    return parts


def _take_out(kind: type[Part], packed, *shapes):
    start, parts = 0, []
    for shape in shapes:
        parts.append(kind.apply(packed, start=start, shape=shape))
        start += math.prod(shape)
    return parts


def _scaled(k, x, factor: float):
    return k.forward("mul", x, k.full((), factor, x.dtype))


def lower(size: int, below: int = 0) -> np.ndarray:
    """Return where column <= row - below."""
    rows, columns = np.ogrid[:size, :size]
    return columns <= rows - below


def ones_at(k, where: np.ndarray, dtype):
    """Return ones where this holds, zeros elsewhere."""
    return k.where(k.from_host(where), k.full((), 1.0, dtype), k.zeros((), dtype))


def keep(k, x, kept: np.ndarray):
    """Return `x` where this holds, zeros elsewhere."""
    return k.where(k.from_host(kept), x, k.zeros((), x.dtype))


# --- Cholesky --------------------------------------------------------------------------------------


class Cholesky(Operation):
    """Lower triangles l with l @ l.T = x."""

    name = "LinalgCholeskyEx"

    def forward(self, k, x):
        self.result = k.cholesky(x)
        return self.result

    def backward(self, k, grad):
        # Murray (2016), eq. 8: l^-T phi(l^T grad) l^-1, phi halves the diagonal and drops what lies above
        low, size = self.result, self.shape[-1]
        inner = k.matmul(k.transpose(low), grad)
        inner = keep(k, inner, lower(size))
        inner = k.forward("sub", inner, _scaled(k, keep(k, inner, np.eye(size, dtype=bool)), 0.5))
        right = k.transpose(k.solve_triangular(k.transpose(low), k.transpose(inner), True, False))
        found = k.solve_triangular(k.transpose(low), right, True, False)
        return (_scaled(k, k.forward("add", found, k.transpose(found)), 0.5),)


class UpperCholesky(FreshTranspose):
    """The factor of the other side."""

    name = "LinalgCholeskyEx"


class OldCholesky(Cholesky):
    """The same, as `torch.cholesky` names it."""

    name = "Cholesky"


def cholesky(input, *, upper=False):
    """Return lower triangles l with l @ l.T = input (upper: u with u.T @ u), for positive definite matrices.

    input: (..., n, n) float, of which one triangle is read. LinAlgError if it is not positive definite.
    """
    check_square("linalg.cholesky", input)
    with named_error("linalg.cholesky", "the input is not positive-definite"):
        out = Cholesky.apply(input.mT if upper else input)
    return UpperCholesky.apply(out) if upper else out


def cholesky_ex(input, *, upper=False, check_errors=False):
    """Return `cholesky(input)`; and info, 0: LinAlgError is raised where PyTorch would count the rows."""
    factor = cholesky(input, upper=upper)
    info = input._wrap(input._kernels.zeros(tuple(input.shape[:-2]), dtypes.int32._array))
    return return_types.linalg_cholesky_ex(factor, info)


# --- QR --------------------------------------------------------------------------------------------


class Qr(Operation):
    """q and r with q @ r = x, q orthogonal and r upper triangular, side by side."""

    name = "LinalgQr"

    def forward(self, k, x, complete):
        self.input_shape, self.complete = x.shape, complete
        q, r = k.qr(x, complete)
        self.shapes = q.shape[-2:], r.shape[-2:]
        self.result = _packed(k, x, q, r)
        return self.result

    def backward(self, k, grad):
        rows, columns = self.input_shape[-2:]
        batch, least = self.input_shape[:-2], min(rows, columns)
        if self.complete and rows > columns:
            raise RuntimeError(
                "linalg.qr: the decomposition with mode 'complete' has no gradient for more rows than "
                "columns; use mode='reduced'"
            )
        q, r = _unpack(self.result, batch, *self.shapes)
        grad_q, grad_r = _unpack(grad, batch, *self.shapes)
        if rows >= columns:
            return (self._square(k, q, r, grad_q, grad_r),)
        # x = [a, b], q r = [q u, q v]: a's decomposition is q, u; and v = q^T b
        u, v = r[..., :least], r[..., least:]
        grad_u, grad_v = grad_r[..., :least], grad_r[..., least:]
        b = k.matmul(q, v)
        grad_q = k.forward("add", grad_q, k.matmul(b, k.transpose(grad_v)))
        grad_a = self._square(k, q, u, grad_q, grad_u)
        return (k.cat([grad_a, k.matmul(q, grad_v)], len(batch) + 1),)

    @staticmethod
    def _square(k, q, r, grad_q, grad_r):
        # Walter and Lehmann: (grad_q + q sym(m)) r^-T, m = r grad_r^T - grad_q^T q, of m the lower triangle
        size = r.shape[-1]
        m = k.forward("sub", k.matmul(r, k.transpose(grad_r)), k.matmul(k.transpose(grad_q), q))
        low = keep(k, m, lower(size))
        symmetric = k.forward("add", low, k.transpose(keep(k, m, lower(size, 1))))
        total = k.forward("add", grad_q, k.matmul(q, symmetric))
        return k.transpose(k.solve_triangular(r, k.transpose(total), True, False))


_QrPart = _kind_of_part("LinalgQr")


def qr(A, mode="reduced"):
    """Return (Q, R) with Q @ R = A, Q orthogonal, R upper triangular.

    mode: "reduced"; "complete", a square Q; "r", an empty Q, without gradients.
    """
    float_matrices("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"linalg.qr: expected mode to be one of 'reduced', 'r' or 'complete', got {mode!r}"
        )
    return return_types.linalg_qr(*_qr(A, mode))


def _qr(A, mode):
    rows, columns = A.shape[-2:]
    packed = Qr.apply(A, complete=mode == "complete")
    width = rows if mode == "complete" else min(rows, columns)
    q, r = _take_out(_QrPart, packed, (rows, width), (width, columns))
    return (A.new_zeros((0,)), r) if mode == "r" else (q, r)


def old_qr(input, some=True):
    """Return (Q, R), as linalg.qr; some=False gives a square Q. PyTorch calls this form deprecated."""
    float_matrices("qr", input)
    return return_types.qr(*_qr(input, "reduced" if some else "complete"))


# --- eigenvalues of symmetric matrices -------------------------------------------------------------


class Eigh(Operation):
    """Eigenvalues and eigenvectors of symmetric matrices, side by side."""

    name = "LinalgEigh"

    def forward(self, k, x, lower):
        self.input_shape = x.shape
        self.result = _packed(k, x, *k.eigh(x, lower))
        return self.result

    def backward(self, k, grad):
        # Giles (2008), 3.1: V (diag(grad_w) + (V^T grad_V) / E) V^T, with E_ij = w_j - w_i
        batch, size = self.input_shape[:-2], self.input_shape[-1]
        w, vectors = _unpack(self.result, batch, (size,), (size, size))
        grad_w, grad_v = _unpack(grad, batch, (size,), (size, size))
        turned = k.matmul(k.transpose(vectors), grad_v)
        gaps = k.forward("sub", w.reshape((*batch, 1, size)), w.reshape((*batch, size, 1)))
        inner = _divide_by_gaps(k, turned, gaps)
        scaled = k.forward("mul", vectors, grad_w.reshape((*batch, 1, size)))
        left = k.forward("add", k.matmul(vectors, inner), scaled)
        found = k.matmul(left, k.transpose(vectors))
        return (_scaled(k, k.forward("add", found, k.transpose(found)), 0.5),)


def _divide_by_gaps(k, x, gaps):
    """Return x / gaps; 0 on the diagonal, and where x is 0: no gradient came, though values may be equal."""
    zero, one = k.zeros((), x.dtype), k.full((), 1.0, x.dtype)
    size = x.shape[-1]
    apart = k.from_host(~np.eye(size, dtype=bool))
    used = k.compare("logical_and", k.compare("ne", x, zero), apart)
    safe = k.where(used, gaps, one)
    return k.where(used, k.forward("div", x, safe), zero)


_EighPart = _kind_of_part("LinalgEigh")


def _uplo(operation: str, UPLO: str) -> bool:
    if str(UPLO).upper() not in ("L", "U"):
        raise RuntimeError(f"{operation}: Expected UPLO argument to be 'L' or 'U', but got {UPLO!r}")
    return UPLO.upper() == "L"


def eigh(A, UPLO="L"):
    """Return (eigenvalues, eigenvectors) of symmetric matrices, ascending; vectors are columns.

    UPLO: which triangle is read. The gradient of the vectors is for a loss that does not depend on their
    signs, and is infinite where eigenvalues are equal.
    """
    check_square("linalg.eigh", A)
    size = A.shape[-1]
    with named_error("linalg.eigh", "the algorithm failed to converge"):
        packed = Eigh.apply(A, lower=_uplo("linalg.eigh", UPLO))
    return return_types.linalg_eigh(*_take_out(_EighPart, packed, (size,), (size, size)))


def eigvalsh(A, UPLO="L"):
    """Return the eigenvalues of symmetric matrices, ascending."""
    check_square("linalg.eigvalsh", A)
    with named_error("linalg.eigvalsh", "the algorithm failed to converge"):
        packed = Eigh.apply(A, lower=_uplo("linalg.eigvalsh", UPLO))
    return _EighPart.apply(packed, start=0, shape=(A.shape[-1],))


# --- singular values -------------------------------------------------------------------------------


class Svd(Operation):
    """u, s and vt with u * s @ vt = x, side by side."""

    name = "LinalgSvd"

    def forward(self, k, x, full):
        self.input_shape, self.full = x.shape, full
        parts = k.svd(x, full)
        self.shapes = tuple(part.shape[len(x.shape) - 2 :] for part in parts)
        self.result = _packed(k, x, *parts)
        return self.result

    def backward(self, k, grad):
        # The thin parts suffice: what full_matrices adds is any basis of the rest, and has no gradient.
        batch, (rows, columns) = self.input_shape[:-2], self.input_shape[-2:]
        least = min(rows, columns)
        u, s, vt = _unpack(self.result, batch, *self.shapes)
        grad_u, grad_s, grad_vt = _unpack(grad, batch, *self.shapes)
        u, vt = u[..., :least], vt[..., :least, :]
        grad_u, grad_vt = grad_u[..., :least], grad_vt[..., :least, :]
        # skew(m) = m - m^T; with E_ij = s_j^2 - s_i^2:
        # u [(skew(u^T grad_u) / E) S + S (skew(v^T grad_v) / E) + diag(grad_s)] vt, and the rest below
        square = k.forward("mul", s, s)
        gaps = k.forward("sub", square.reshape((*batch, 1, least)), square.reshape((*batch, least, 1)))
        row, column = s.reshape((*batch, 1, least)), s.reshape((*batch, least, 1))
        turned_u = _skew(k, k.matmul(k.transpose(u), grad_u))
        turned_v = _skew(k, k.matmul(vt, k.transpose(grad_vt)))
        inner = k.forward("mul", _divide_by_gaps(k, turned_u, gaps), row)
        inner = k.forward("add", inner, k.forward("mul", column, _divide_by_gaps(k, turned_v, gaps)))
        scaled = k.forward("mul", u, grad_s.reshape((*batch, 1, least)))
        found = k.matmul(k.forward("add", k.matmul(u, inner), scaled), vt)
        if rows > least:
            outside = k.forward("sub", grad_u, k.matmul(u, k.matmul(k.transpose(u), grad_u)))
            found = k.forward("add", found, k.matmul(_divide(k, outside, row), vt))
        if columns > least:
            inside = k.matmul(k.matmul(grad_vt, k.transpose(vt)), vt)
            outside = _divide(k, k.forward("sub", grad_vt, inside), column)
            found = k.forward("add", found, k.matmul(u, outside))
        return (found,)


def _skew(k, m):
    return k.forward("sub", m, k.transpose(m))


def _divide(k, x, y):
    """Return x / y; 0 where x is 0."""
    zero, one = k.zeros((), x.dtype), k.full((), 1.0, x.dtype)
    used = k.compare("ne", x, zero)
    return k.where(used, k.forward("div", x, k.where(used, y, one)), zero)


_SvdPart = _kind_of_part("LinalgSvd")


def _svd(operation, x, full):
    rows, columns = x.shape[-2:]
    least = min(rows, columns)
    with named_error(operation, "the algorithm failed to converge"):
        packed = Svd.apply(x, full=full)
    left = (rows, rows if full else least)
    return _take_out(_SvdPart, packed, left, (least,), (columns if full else least, columns))


def svd(A, full_matrices=True, *, driver=None):
    """Return (U, S, Vh) with U @ diag(S) @ Vh = A, the singular values S descending.

    full_matrices: square U and Vh; else only the columns and rows that take part. Gradients are for a loss
    that does not depend on the signs of the vectors, and infinite where singular values are equal.
    """
    float_matrices("linalg.svd", A)
    _no_driver("linalg.svd", driver)
    return return_types.linalg_svd(*_svd("linalg.svd", A, bool(full_matrices)))


def _no_driver(operation, driver):
    if driver is not None:
        raise RuntimeError(f"{operation}: keyword argument `driver=` is only supported on CUDA inputs")


class SingularValues(Operation):
    """The singular values alone: their gradient needs no gaps between them."""

    name = "LinalgSvd"

    def forward(self, k, x):
        self.saved = (x,)
        return k.singular_values(x)

    def backward(self, k, grad):
        x = self.saved[0]
        batch = tuple(x.shape[:-2])
        u, s, vt = self.decompose(k, x)
        return (k.matmul(k.forward("mul", u, grad.reshape((*batch, 1, s.shape[-1]))), vt),)

    @staticmethod
    def decompose(k, x):
        if hasattr(x, "_array"):  # to be differentiated again
            return _svd("linalg.svdvals", x, False)
        return k.svd(x, False)


def svdvals(A, *, driver=None):
    """Return the singular values, descending."""
    float_matrices("linalg.svdvals", A)
    _no_driver("linalg.svdvals", driver)
    with named_error("linalg.svdvals", "the algorithm failed to converge"):
        return SingularValues.apply(A)


def old_svd(input, some=True, compute_uv=True):
    """Return (U, S, V) with U @ diag(S) @ V.mT = input. PyTorch calls this form deprecated: linalg.svd."""
    float_matrices("svd", input)
    if not compute_uv:
        rows, columns = input.shape[-2:]
        shapes = [(*input.shape[:-2], n, n) for n in (rows, columns)]
        return return_types.svd(input.new_zeros(shapes[0]), svdvals(input), input.new_zeros(shapes[1]))
    u, s, vt = _svd("svd", input, not some)
    return return_types.svd(u, s, vt.mT)


def old_cholesky(input, upper=False):
    """Return the Cholesky factor, as linalg.cholesky. PyTorch calls this form deprecated."""
    require_tensor("cholesky", "input", input)
    check_square("cholesky", input)
    with named_error("cholesky", "the input is not positive-definite"):
        out = OldCholesky.apply(input.mT if upper else input)
    return out.mT if upper else out
