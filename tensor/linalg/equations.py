"""Inverses, systems of equations and determinants, with their gradients.

The gradients are those of M. Giles, "Collected matrix derivative results" (2008), and for the pseudo-inverse
of G. Golub and V. Pereyra, "The differentiation of pseudo-inverses" (1973).
"""

import math

import numpy as np

from tensor import dtypes, elementwise, return_types
from tensor.autograd import Operation
from tensor.linalg.checks import check_square, float_matrices, named_error
from tensor.operands import require_tensor
from tensor.products import FreshTranspose, FreshView, same_type

_SINGULAR = "the diagonal of its factor has a zero, the input matrix is singular"


class Inverse(Operation):
    """Inverses of square matrices."""

    name = "LinalgInvEx"

    def forward(self, k, x):
        self.result = k.inverse(x)
        return self.result

    def backward(self, k, grad):
        turned = k.transpose(self.result)
        return (k.forward("neg", k.matmul(k.matmul(turned, grad), turned)),)


class Solve(Operation):
    """x of a @ x = b."""

    name = "LinalgSolveEx"

    def forward(self, k, a, b):
        self.shapes = a.shape, b.shape
        self.saved = (a,)
        self.result = k.solve(a, b)
        return self.result

    def backward(self, k, grad):
        a = self.saved[0]
        grad_b = k.solve(k.transpose(a), grad)
        grad_a = None
        if self.needs[0]:
            grad_a = k.forward("neg", k.matmul(grad_b, k.transpose(self.result)))
            grad_a = k.sum_to(grad_a, self.shapes[0])
        return grad_a, k.sum_to(grad_b, self.shapes[1]) if self.needs[1] else None


class SolutionOfOne(FreshView):
    """The solution for one right-hand side, without the dim of its columns."""

    name = "LinalgSolveEx"


class SolutionFromLeft(FreshTranspose):
    """The solution of x @ a = b, transposed back."""

    name = "LinalgSolveEx"


class TriangularFromLeft(FreshTranspose):
    """The solution of x @ a = b for triangular a, transposed back."""

    name = "LinalgSolveTriangular"


class OldCoefficients(Operation):
    """The copy of its matrix that `torch.triangular_solve` returns."""

    name = "TriangularSolve"

    def forward(self, k, x):
        return k.copy(x)

    def backward(self, k, grad):
        return (grad,)


class Sign(Operation):
    """Signs of determinants: constant wherever there is a gradient."""

    name = "LinalgSlogdet"

    def forward(self, k, x, sign):
        return sign

    def backward(self, k, grad):
        return (None,)


class SolveTriangular(Operation):
    """x of a @ x = b for triangular a."""

    name = "LinalgSolveTriangular"

    def forward(self, k, a, b, upper, unit):
        self.shapes, self.upper, self.unit = (a.shape, b.shape), upper, unit
        self.saved = (a,)
        self.result = k.solve_triangular(a, b, upper, unit)
        return self.result

    def backward(self, k, grad):
        a = self.saved[0]
        grad_b = k.solve_triangular(k.transpose(a), grad, not self.upper, self.unit)
        grad_a = None
        if self.needs[0]:
            grad_a = k.forward("neg", k.matmul(grad_b, k.transpose(self.result)))
            rows, columns = np.ogrid[: a.shape[-2], : a.shape[-1]]
            read = columns >= rows + self.unit if self.upper else columns <= rows - self.unit
            grad_a = k.where(read, grad_a, k.zeros((), grad.dtype))
            grad_a = k.sum_to(grad_a, self.shapes[0])
        return grad_a, k.sum_to(grad_b, self.shapes[1]) if self.needs[1] else None


class OldSolveTriangular(SolveTriangular):
    """The same, as `torch.triangular_solve` names it."""

    name = "TriangularSolve"


class Determinant(Operation):
    """Determinants of square matrices."""

    name = "LinalgDet"

    def forward(self, k, x):
        self.saved = (x,)
        self.result = out = k.determinant(x)
        zero = k.compare("eq", out, k.zeros((), out.dtype))
        self.singular = bool(k.any(zero, tuple(range(out.ndim))))
        return out

    def backward(self, k, grad):
        x = self.saved[0]
        spread = grad.reshape((*self.shape, 1, 1))
        if self.singular:
            return (k.forward("mul", k.cofactors(x), spread),)
        scale = k.forward("mul", spread, self.result.reshape((*self.shape, 1, 1)))
        return (k.forward("mul", k.transpose(k.inverse(x)), scale),)


class LogDeterminant(Operation):
    """Logarithms of the sizes of determinants."""

    name = "LinalgSlogdet"

    def forward(self, k, x, logarithm):
        self.saved = (x,)
        return logarithm

    def backward(self, k, grad):
        x = self.saved[0]
        spread = grad.reshape((*self.shape, 1, 1))
        return (k.forward("mul", k.transpose(k.inverse(x)), spread),)


def inv(A):
    """Return the inverses of square matrices. LinAlgError if one is singular."""
    check_square("linalg.inv", A)
    with named_error("linalg.inv", _SINGULAR):
        return Inverse.apply(A)


def inv_ex(A, *, check_errors=False):
    """Return (inverse, info) with info 0: LinAlgError is raised where PyTorch would return its place."""
    return return_types.linalg_inv_ex(inv(A), _no_info(A))


def _no_info(A):
    return A._wrap(A._kernels.zeros(tuple(A.shape[:-2]), dtypes.int32._array))


def _is_vector(A, B) -> bool:
    """Return whether B is one right-hand side for each matrix, as PyTorch tells it from several."""
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))


def solve(A, B, *, left=True):
    """Return X of A @ X = B, or of X @ A = B with left=False.

    A: (..., n, n); B: (..., n, m) or, one right-hand side each, (..., n). LinAlgError if A is singular.
    """
    check_square("linalg.solve", A)
    require_tensor("linalg.solve", "B", B)
    same_type("linalg.solve", A, B)
    vector = _is_vector(A, B)
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting is not supported for left=False")
    columns = B.unsqueeze(-1) if vector else B
    if B.ndim == 0 or columns.shape[-2 if left else -1] != A.shape[-1]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({tuple(A.shape)} and {tuple(B.shape)})"
        )
    _check_batches("linalg.solve", A, columns)
    with named_error("linalg.solve", _SINGULAR):
        if not left:
            return SolutionFromLeft.apply(Solve.apply(A.mT, columns.mT))
        out = Solve.apply(A, columns)
    return SolutionOfOne.apply(out, shape=tuple(out.shape[:-1])) if vector else out


def _check_batches(operation, A, B):
    try:
        np.broadcast_shapes(tuple(A.shape[:-2]), tuple(B.shape[:-2]))
    except ValueError:
        raise RuntimeError(
            f"{operation}: batch dimensions do not broadcast, {tuple(A.shape)} and {tuple(B.shape)}"
        ) from None


def solve_ex(A, B, *, left=True, check_errors=False):
    """Return (result, info) with info 0: LinAlgError is raised where PyTorch would return its place."""
    return return_types.linalg_solve_ex(solve(A, B, left=left), _no_info(A))


def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    """Return X of A @ X = B (left=False: X @ A = B) for triangular A, of which one triangle is read.

    A: (..., n, n), B: (..., n, m). unitriangular: the diagonal counts as 1. Zeros on it give infinities.
    """
    return _solve_triangular("linalg.solve_triangular", SolveTriangular, A, B, upper, left, unitriangular)


def _solve_triangular(operation, kind, A, B, upper, left, unit):
    check_square(operation, A)
    require_tensor(operation, "B", B)
    same_type(operation, A, B)
    if B.ndim < 2:
        raise RuntimeError(f"{operation}: B must have at least 2 dimensions; use .unsqueeze(-1)")
    if B.shape[-2 if left else -1] != A.shape[-1]:
        raise RuntimeError(
            f"{operation}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({tuple(A.shape)} and {tuple(B.shape)})"
        )
    _check_batches(operation, A, B)
    if not left:
        return TriangularFromLeft.apply(kind.apply(A.mT, B.mT, upper=not upper, unit=unit))
    return kind.apply(A, B, upper=bool(upper), unit=bool(unit))


def triangular_solve(b, A, upper=True, transpose=False, unitriangular=False):
    """Return (X, A) with A @ X = b for triangular A. PyTorch calls this form deprecated."""
    coefficients, above = (A.mT, not upper) if transpose else (A, upper)
    x = _solve_triangular("triangular_solve", OldSolveTriangular, coefficients, b, above, True, unitriangular)
    return return_types.triangular_solve(x, OldCoefficients.apply(A))


def cholesky_solve(B, L, upper=False):
    """Return X of A @ X = B, given the Cholesky factor L of A (upper: its transpose)."""
    low, high = (L.mT, L) if upper else (L, L.mT)
    return solve_triangular(high, solve_triangular(low, B, upper=False), upper=True)


def cholesky_inverse(L, upper=False):
    """Return the inverse of A, given its Cholesky factor L (upper: its transpose)."""
    check_square("cholesky_inverse", L)
    eye = L._wrap(np.eye(L.shape[-1], dtype=L._array.dtype))
    return cholesky_solve(eye, L, upper)


# --- determinants ----------------------------------------------------------------------------------


def det(A):
    """Return the determinants of square matrices."""
    check_square("linalg.det", A)
    return Determinant.apply(A)


def _sign_and_logarithm(operation, A):
    check_square(operation, A)
    sign, logarithm = A._kernels.log_determinant(A._array)
    return Sign.apply(A, sign=sign), LogDeterminant.apply(A, logarithm=logarithm)


def slogdet(A):
    """Return (sign, logabsdet) of the determinants of square matrices; 0 and -inf where singular."""
    return return_types.linalg_slogdet(*_sign_and_logarithm("linalg.slogdet", A))


def old_slogdet(input):
    """Return (sign, logabsdet), as linalg.slogdet."""
    return return_types.slogdet(*_sign_and_logarithm("slogdet", input))


def logdet(input):
    """Return the logarithms of the determinants: nan where negative, -inf where 0."""
    sign, logarithm = _sign_and_logarithm("logdet", input)
    return elementwise.where(sign == -1.0, math.nan, logarithm)


# --- least squares ---------------------------------------------------------------------------------


class PseudoInverse(Operation):
    """Pseudo-inverses, singular values up to a limit taken as 0."""

    name = "LinalgPinv"

    def forward(self, k, x, least, symmetric):
        self.saved = (x,)
        self.result = k.pseudo_inverse(x, least, symmetric)
        return self.result

    def backward(self, k, grad):
        a, p = self.saved[0], self.result
        turned, grad_t = k.transpose(p), k.transpose(grad)
        out = k.forward("neg", k.matmul(k.matmul(turned, grad), turned))
        # - p^T g p^T + (1 - a p) g^T p p^T + p^T p g^T (1 - p a)
        rows = k.matmul(k.matmul(grad_t, p), turned)
        rows = k.forward("sub", rows, k.matmul(a, k.matmul(p, rows)))
        columns = k.matmul(k.matmul(turned, p), grad_t)
        columns = k.forward("sub", columns, k.matmul(k.matmul(columns, p), a))
        return (k.forward("add", k.forward("add", out, rows), columns),)


def _limits(operation, A, atol, rtol, symmetric=False):
    """Return for each matrix the largest singular value, as an array, that counts as 0."""
    k, x = A._kernels, A._array
    batch = x.shape[:-2]
    values = abs(k.eigh(x, True)[0]) if symmetric else k.singular_values(x)
    largest = values.max(-1) if values.shape[-1] else np.zeros(batch, x.dtype)
    absolute = 0.0 if atol is None else _number(atol)
    if rtol is None:
        given = atol is not None and np.any(np.asarray(absolute) > 0)
        relative = 0.0 if given else np.finfo(x.dtype).eps * max(x.shape[-2:])
    else:
        relative = _number(rtol)
    return np.maximum(absolute, np.asarray(relative) * largest), values


def _number(value):
    return value._array if hasattr(value, "_array") else float(value)


def pinv(A, rtol=None, *, atol=None, hermitian=False, rcond=None):
    """Return the Moore-Penrose inverses of matrices of any shape.

    Singular values up to max(atol, rtol * the largest) count as 0; rtol is by default eps times the larger
    side, 0 if atol is given. hermitian: the matrices are symmetric, of which the lower triangle is read.
    """
    float_matrices("linalg.pinv", A)
    if hermitian:
        check_square("linalg.pinv", A)
    rtol = rcond if rtol is None else rtol
    if not A.numel():
        return A.new_zeros((*A.shape[:-2], A.shape[-1], A.shape[-2]))
    least, _ = _limits("linalg.pinv", A, atol, rtol, hermitian)
    least = np.broadcast_to(np.asarray(least, A._array.dtype), tuple(A.shape[:-2]))
    return PseudoInverse.apply(A, least=least, symmetric=hermitian)


def matrix_rank(A, tol=None, *, atol=None, rtol=None, hermitian=False):
    """Return how many singular values exceed max(atol, rtol * the largest), as int64; rtol as in `pinv`."""
    float_matrices("linalg.matrix_rank", A)
    if tol is not None:
        atol, rtol = tol, 0.0
    if not A.numel():
        return A._wrap(np.zeros(tuple(A.shape[:-2]), np.int64))
    least, values = _limits("linalg.matrix_rank", A, atol, rtol, hermitian)
    return A._wrap(np.asarray((values > np.asarray(least)[..., None]).sum(-1)))


class LeastSquares(Operation):
    """x that makes a @ x as near to b as can be; of several the smallest."""

    name = "LinalgLstsq"
    constants = ("least",)

    def forward(self, k, a, b, least):
        self.saved, self.least, self.shapes = (a, b), least, (a.shape, b.shape)
        return k.matmul(k.pseudo_inverse(a, least, False), b)

    def backward(self, k, grad):
        a, b = self.saved
        if hasattr(a, "_array"):
            pseudo = PseudoInverse.apply(a, least=self.least, symmetric=False)
        else:
            pseudo = k.pseudo_inverse(a, self.least, False)
        grad_b = k.sum_to(k.matmul(k.transpose(pseudo), grad), self.shapes[1]) if self.needs[1] else None
        if not self.needs[0]:
            return None, grad_b
        node = PseudoInverse()
        node.saved, node.result = (a,), pseudo
        (grad_a,) = node.backward(k, k.matmul(grad, k.transpose(b)))
        return k.sum_to(grad_a, self.shapes[0]), grad_b


class Residuals(Operation):
    """Sums of squares, as part of `lstsq`."""

    name = "LinalgLstsq"

    def forward(self, k, x):
        self.saved = (x,)
        return k.sum(k.forward("mul", x, x), (x.ndim - 2,))

    def backward(self, k, grad):
        x = self.saved[0]
        spread = grad.reshape((*self.shape[:-1], 1, self.shape[-1]))
        return (k.forward("mul", k.forward("mul", x, k.full((), 2.0, grad.dtype)), spread),)


class NoResiduals(Operation):
    """Nothing, where `lstsq` does not tell how far off its solution is."""

    name = "LinalgLstsq"

    def forward(self, k, a, b):
        return k.zeros((0,), a.dtype)

    def backward(self, k, grad):
        return None, None


_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def lstsq(A, B, rcond=None, *, driver=None):
    """Return (solution, residuals, rank, singular_values): X that makes A @ X as near to B as can be.

    A: (..., m, n); B: (..., m, k), or (..., m). Of several solutions the smallest; singular values up to
    rcond (eps times the larger side) times the largest count as 0. residuals: the sums of squares, if m > n
    and the rank is n; else, and of "gelsy", empty. driver: "gelsy" (the default), "gelsd" or "gelss", which
    give singular_values, or "gels", which takes the rank for full.
    """
    float_matrices("linalg.lstsq", A)
    require_tensor("linalg.lstsq", "B", B)
    same_type("linalg.lstsq", A, B)
    if driver is not None and driver not in _DRIVERS:
        raise RuntimeError(f"linalg.lstsq: parameter `driver` should be one of {_DRIVERS}, got {driver!r}")
    if B.ndim == 0:
        raise RuntimeError("linalg.lstsq: input `other` must have at least 1 dimension, got 0")
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))
    columns = B.unsqueeze(-1) if vector else B
    if columns.shape[-2] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.lstsq: A and B must have as many rows, got {tuple(A.shape)} and {tuple(B.shape)}"
        )
    _check_batches("linalg.lstsq", A, columns)
    rows, width = A.shape[-2:]
    least, values = _limits("linalg.lstsq", A, None, 0.0 if driver == "gels" else rcond)
    least = np.broadcast_to(np.asarray(least, A._array.dtype), tuple(A.shape[:-2]))
    ranks = np.asarray((values > least[..., None]).sum(-1))
    solution = LeastSquares.apply(A, columns, least=least)
    full = rows > width and bool((ranks == width).all())
    if full and driver not in (None, "gelsy"):
        residuals = Residuals.apply(A.matmul(solution) - columns)
    else:
        residuals = NoResiduals.apply(A, columns)
    if vector:
        solution = solution.squeeze(-1)
    rank = A.new_zeros((0,), dtype=dtypes.int64) if driver == "gels" else A._wrap(ranks)
    shown = A._wrap(values) if driver in ("gelsd", "gelss") else A.new_zeros((0,))
    return return_types.linalg_lstsq(solution, residuals, rank, shown)
