"""Inverses and systems of equations, with their gradients.

The gradients are those of M. Giles, "Collected matrix derivative results" (2008).
"""

import numpy as np

from tensor import dtypes, return_types
from tensor.autograd import Operation
from tensor.linalg.checks import check_batches, check_square, is_vector, named_error
from tensor.operands import require_tensor
from tensor.products import FreshTranspose, FreshView, same_type

_SINGULAR = "the diagonal of its factor has a zero, the input matrix is singular"


class Inverse(Operation):
    """Inverses of square matrices."""

    name = "LinalgInvEx"
    gradients_in_words = ("-out.T @ grad @ out.T",)

    def forward(self, k, x):
        self.result = k.inverse(x)
        return self.result

    def backward(self, k, grad):
        turned = k.transpose(self.result)
        return (k.forward("neg", k.matmul(k.matmul(turned, grad), turned)),)


class Solve(Operation):
    """x of a @ x = b."""

    name = "LinalgSolveEx"
    gradients_in_words = ("-solve({0}.T, grad) @ out.T", "solve({0}.T, grad)")

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
            grad_a = k.where(k.from_host(read), grad_a, k.zeros((), grad.dtype))
            grad_a = k.sum_to(grad_a, self.shapes[0])
        return grad_a, k.sum_to(grad_b, self.shapes[1]) if self.needs[1] else None


class OldSolveTriangular(SolveTriangular):
    """The same, as `torch.triangular_solve` names it."""

    name = "TriangularSolve"


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


def solve(A, B, *, left=True):
    """Return X of A @ X = B, or of X @ A = B with left=False.

    A: (..., n, n); B: (..., n, m) or, one right-hand side each, (..., n). LinAlgError if A is singular.
    """
    check_square("linalg.solve", A)
    require_tensor("linalg.solve", "B", B)
    same_type("linalg.solve", A, B)
    vector = is_vector(A, B)
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting is not supported for left=False")
    columns = B.unsqueeze(-1) if vector else B
    if B.ndim == 0 or columns.shape[-2 if left else -1] != A.shape[-1]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({tuple(A.shape)} and {tuple(B.shape)})"
        )
    check_batches("linalg.solve", A, columns)
    with named_error("linalg.solve", _SINGULAR):
        if not left:
            return SolutionFromLeft.apply(Solve.apply(A.mT, columns.mT))
        out = Solve.apply(A, columns)
    return SolutionOfOne.apply(out, shape=tuple(out.shape[:-1])) if vector else out


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
    check_batches(operation, A, B)
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
    eye = L.new_zeros((L.shape[-1], L.shape[-1])).fill_diagonal_(1)
    return cholesky_solve(eye, L, upper)
