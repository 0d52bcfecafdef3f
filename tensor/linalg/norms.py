"""Norms of vectors and matrices, and condition numbers."""

import math

from tensor import elementwise
from tensor.linalg.checks import check_float, check_square, float_matrices
from tensor.linalg.decompositions import svdvals
from tensor.linalg.determinants import slogdet
from tensor.linalg.equations import inv
from tensor.operands import normalize_dim, require_tensor
from tensor.vector_norm import norm as norm_of_vector


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """Return (sum |x|^ord)^(1/ord) over `dim`, by default over all; ord: a number, inf or -inf."""
    require_tensor("linalg.vector_norm", "x", x)
    if isinstance(ord, str):
        raise TypeError(f"linalg.vector_norm: ord must be a number, got {ord!r}; matrix_norm takes 'fro'")
    check_float("linalg.vector_norm", x)
    return norm_of_vector(x, ord, dim, keepdim, dtype)


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """Return norms of matrices, which lie in the two dims `dim`.

    ord: "fro", of all elements; "nuc", the sum of singular values; inf or -inf, the largest or smallest sum
    of a row of sizes; 1 or -1, of a column; 2 or -2, the largest or smallest singular value.
    """
    require_tensor("linalg.matrix_norm", "A", A)
    A = A if dtype is None else A.to(dtype)
    float_matrices("linalg.matrix_norm", A)
    if not isinstance(dim, tuple | list) or len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple of ints, got {dim}")
    rows, columns = (normalize_dim(d, A.ndim, "linalg.matrix_norm") for d in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different, got {tuple(dim)}")
    if ord == "fro":
        return norm_of_vector(A, 2, (rows, columns), keepdim)
    if ord == "nuc" or (not isinstance(ord, str) and abs(ord) == 2):
        values = svdvals(A.movedim((rows, columns), (-2, -1)))
        if ord == "nuc":
            out = values.sum(-1)
        else:
            out = values.amax(-1) if ord > 0 else values.amin(-1)
        return out.unsqueeze(-1).unsqueeze(-1).movedim((-2, -1), (rows, columns)) if keepdim else out
    if isinstance(ord, str) or abs(ord) not in (1, math.inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported")
    first, second = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = norm_of_vector(A, 1, first, keepdim)
    if not keepdim and second > first:
        second -= 1
    return sums.amax(second, keepdim) if ord > 0 else sums.amin(second, keepdim)


def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """Return a norm of a vector or a matrix.

    Without `ord` the 2-norm of all elements (of `dim`). With it and without `dim`, A must be a vector or a
    matrix; with two dims it is `matrix_norm`, with one `vector_norm`.
    """
    require_tensor("linalg.norm", "A", A)
    if ord is not None and dim is None and A.ndim not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D."
        )
    if dim is not None and not isinstance(dim, int) and len(dim) not in (1, 2) and ord is not None:
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}")
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    dims = tuple(range(A.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) == 2:
        return matrix_norm(A, ord, dims, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: order {ord!r} is for matrices, got one dim")
    return vector_norm(A, ord, dims, keepdim, dtype=dtype)


def cond(A, p=None):
    """Return the condition numbers of matrices: norm(A) * norm(inv(A)); inf if singular.

    p: None or 2, of any matrices, the largest by the smallest singular value; -2 the other way round; "fro",
    "nuc", inf, -inf, 1 and -1 as in `matrix_norm`, of square matrices.
    """
    float_matrices("linalg.cond", A)
    if p is None or (not isinstance(p, str) and abs(p) == 2):
        values = svdvals(A)
        largest, smallest = values[..., :1], values[..., -1:]
        ratio = smallest / largest if p == -2 else largest / smallest
        return ratio.squeeze(-1)
    check_square("linalg.cond", A)
    if not A.numel():
        return A.new_zeros(tuple(A.shape[:-2]))
    singular = slogdet(A.detach()).sign == 0
    if singular.all():
        return A.new_full(tuple(A.shape[:-2]), math.inf)
    if singular.any():
        eye = A.new_zeros((A.shape[-1], A.shape[-1])).fill_diagonal_(1)
        regular = elementwise.where(singular.reshape((*singular.shape, 1, 1)), eye, A)
        found = matrix_norm(regular, p) * matrix_norm(inv(regular), p)
        return elementwise.where(singular, math.inf, found)
    return matrix_norm(A, p) * matrix_norm(inv(A), p)
