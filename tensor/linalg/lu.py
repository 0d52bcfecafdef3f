"""LU decompositions, with their gradient: F. de Hoog, R. Anderssen, M. Lukas (2011)."""

import numpy as np

from tensor import return_types
from tensor.autograd import Operation
from tensor.diagonals import Tril
from tensor.linalg.checks import float_matrices
from tensor.linalg.decompositions import keep, lower, ones_at
from tensor.linalg.equations import solve_triangular


class LuFactor(Operation):
    """l, of unit diagonal, and u in one matrix, with p @ l @ u = x for an order of rows p."""

    name = "LinalgLuFactorEx"

    def forward(self, k, x, factors, order):
        self.order, self.result = order, factors
        return factors

    def backward(self, k, grad):
        # of a square matrix: p l^-T [tril(l^T grad_l, -1) + triu(grad_u u^T)] u^-T
        rows, columns = self.shape[-2:]
        if rows != columns:
            raise NotImplementedError(
                f"linalg.lu: the gradient is implemented for square matrices, not {rows} x {columns}; "
                "linalg.qr has one for all"
            )
        below = lower(rows, 1)
        low = k.forward("add", keep(k, self.result, below), ones_at(k, np.eye(rows, dtype=bool), grad.dtype))
        high = keep(k, self.result, ~below)
        inner_low = keep(k, k.matmul(k.transpose(low), keep(k, grad, below)), below)
        inner_high = keep(k, k.matmul(keep(k, grad, ~below), k.transpose(high)), ~below)
        inner = k.forward("add", inner_low, inner_high)
        left = k.solve_triangular(k.transpose(low), inner, True, True)
        found = k.transpose(k.solve_triangular(high, k.transpose(left), True, False))
        return (k.matmul(self.permutation(k, grad.dtype), found),)

    def permutation(self, k, dtype):
        """Return p as a matrix: a column for each row of l @ u."""
        return _permutation(k, self.order, dtype)


def _permutation(k, order, dtype):
    """Return the matrices of zeros and ones that put row i of another into row order[i]."""
    rows = k.from_host(np.arange(order.shape[-1], dtype=order.dtype)[:, None])
    return k.cast(k.compare("eq", rows, order[..., None, :]), dtype)


def _factor(operation, A):
    float_matrices(operation, A)
    k = A._kernels
    factors, pivots = k.lu(A._array)
    order = k.row_order(pivots, A.shape[-2])
    return LuFactor.apply(A, factors=factors, order=order), pivots, order


def lu_factor(A, *, pivot=True):
    """Return (LU, pivots): L, of unit diagonal, and U in one matrix; pivots, from 1, the rows exchanged."""
    _must_pivot("linalg.lu_factor", pivot)
    factors, pivots, _ = _factor("linalg.lu_factor", A)
    return return_types.linalg_lu_factor(factors, A._wrap(pivots))


def _must_pivot(operation, pivot):
    if not pivot:
        raise RuntimeError(f"{operation}: LU without pivoting is not implemented on the CPU")


class Lower(Tril):
    """L, with ones on its diagonal, taken out of both factors."""

    name = "LinalgLu"

    def forward(self, k, x, kept):
        ones = ones_at(k, np.eye(*kept.shape, dtype=bool), x.dtype)
        return k.forward("add", super().forward(k, x, kept), ones)


class Upper(Tril):
    """U, taken out of both factors."""

    name = "LinalgLu"


def lu(A, *, pivot=True):
    """Return (P, L, U) with P @ L @ U = A: P an order of rows, L of unit diagonal, U upper triangular."""
    _must_pivot("linalg.lu", pivot)
    factors, _, order = _factor("linalg.lu", A)
    least = min(A.shape[-2:])
    k = A._kernels
    permutation = A._wrap(_permutation(k, order, A._array.dtype))
    rows, columns = np.ogrid[: A.shape[-2], : A.shape[-1]]
    low = Lower.apply(factors[..., :least], kept=k.from_host((columns < rows)[:, :least]))
    high = Upper.apply(factors[..., :least, :], kept=k.from_host((columns >= rows)[:least]))
    return return_types.linalg_lu(permutation, low, high)


def lu_solve(LU, pivots, B, *, left=True, adjoint=False):
    """Return X of A @ X = B (left=False: X @ A = B; adjoint: A.mT), given `lu_factor(A)`."""
    if not left:
        return lu_solve(LU, pivots, B.mT, adjoint=not adjoint).mT
    size = LU.shape[-1]
    order = LU._kernels.row_order(pivots._array, size)
    permutation = LU._wrap(_permutation(LU._kernels, order, LU._array.dtype))
    if adjoint:
        x = solve_triangular(LU.mT, B, upper=False)
        return permutation @ solve_triangular(LU.mT, x, upper=True, unitriangular=True)
    x = solve_triangular(LU, permutation.mT @ B, upper=False, unitriangular=True)
    return solve_triangular(LU, x, upper=True)
