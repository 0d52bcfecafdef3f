"""Equations, inverses and exponentials of matrices, and distances, recorded: each is its own operation."""

from tensor import distances as distance_family
from tensor.join import stack
from tensor.linalg import determinants, equations, least_squares, powers
from tensor.recorded.basis import tensor_of


def inverse(x):
    """Return the inverses."""
    return equations.Inverse.apply(x)


def solve(a, b):
    """Solve a @ x = b."""
    return equations.Solve.apply(tensor_of(a), tensor_of(b))


def solve_triangular(a, b, upper, unit):
    """Solve a @ x = b for a triangular a."""
    return equations.SolveTriangular.apply(tensor_of(a), tensor_of(b), upper=upper, unit=unit)


def pseudo_inverse(x, least, symmetric):
    """Return the pseudo-inverses."""
    return least_squares.PseudoInverse.apply(x, least=least, symmetric=symmetric)


def matrix_exp(x):
    """Return the exponentials."""
    return powers.MatrixExp.apply(x)


def distances(a, b, order):
    """Return the norms of the differences of all pairs of rows."""
    return distance_family.Cdist.apply(tensor_of(a), tensor_of(b), p=order)


def cofactors(x):
    """Return the derivatives of the determinants: determinants of what is left without a row and a column."""
    size = x.shape[-1]
    if size <= 1:
        return x.new_ones(x.shape)

    def without(i, j):
        rows = [n for n in range(size) if n != i]
        columns = [n for n in range(size) if n != j]
        left = determinants.Determinant.apply(x[..., rows, :][..., columns])
        return -left if (i + j) % 2 else left

    return stack([stack([without(i, j) for j in range(size)], -1) for i in range(size)], -2)
