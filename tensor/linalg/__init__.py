"""torch.linalg: decompositions, equations, norms and powers of matrices.

Matrices are the last two dims, all others a batch. LAPACK, which NumPy brings, does the work; gradients flow
through all but `matrix_rank`.
"""

from tensor.linalg.checks import LinAlgError
from tensor.linalg.decompositions import (
    cholesky,
    cholesky_ex,
    eigh,
    eigvalsh,
    qr,
    svd,
    svdvals,
)
from tensor.linalg.determinants import det, slogdet
from tensor.linalg.equations import inv, inv_ex, solve, solve_ex, solve_triangular
from tensor.linalg.least_squares import lstsq, matrix_rank, pinv
from tensor.linalg.lu import lu, lu_factor, lu_solve
from tensor.linalg.norms import cond, matrix_norm, norm, vector_norm
from tensor.linalg.powers import (
    cross,
    matrix_exp,
    matrix_power,
    multi_dot,
    tensorinv,
    tensorsolve,
    vander,
    vecdot,
)
from tensor.memory import diagonal as _diagonal
from tensor.products import matmul


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """Return the diagonals of matrices; a view."""
    return _diagonal(A, offset, dim1, dim2)


__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv",
    "inv_ex", "lstsq", "lu", "lu_factor", "lu_solve", "matmul", "matrix_exp", "matrix_norm", "matrix_power",
    "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular",
    "svd", "svdvals", "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip
