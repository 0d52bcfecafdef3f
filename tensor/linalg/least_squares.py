"""Pseudo-inverses, ranks and least squares, with their gradients.

That of the pseudo-inverse is by G. Golub and V. Pereyra, "The differentiation of pseudo-inverses" (1973).
"""

from tensor import dtypes, return_types
from tensor.autograd import Operation
from tensor.linalg.checks import check_batches, check_square, float_matrices, is_vector
from tensor.operands import require_tensor
from tensor.products import same_type


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


def _limit(A, atol, rtol, symmetric=False):
    """Return, as arrays, the largest singular value of each matrix that counts as 0, and all of them."""
    k, x = A._kernels, A._array
    values = k.singular_values(x, symmetric)
    absolute = 0.0 if atol is None else _number(atol)
    if rtol is not None:
        relative = _number(rtol)
    elif atol is not None and _is_positive(atol):
        relative = 0.0
    else:
        relative = dtypes.finfo(A.dtype).eps * max(x.shape[-2:])
    return k.singular_limit(values, absolute, relative), values


def _number(value):
    return value._array if hasattr(value, "_array") else float(value)


def _is_positive(value) -> bool:
    return value > 0 if isinstance(value, float | int) else bool((value > 0).any())


def _ranks(k, values, least):
    above = k.compare("gt", values, k.expand(least.reshape((*least.shape, 1)), values.shape))
    return k.sum(above, (values.ndim - 1,))


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
    least, _ = _limit(A, atol, rtol, hermitian)
    return PseudoInverse.apply(A, least=least, symmetric=hermitian)


def matrix_rank(A, tol=None, *, atol=None, rtol=None, hermitian=False):
    """Return how many singular values exceed max(atol, rtol * the largest), as int64; rtol as in `pinv`."""
    float_matrices("linalg.matrix_rank", A)
    if tol is not None:
        atol, rtol = tol, 0.0
    if not A.numel():
        return A.new_zeros(tuple(A.shape[:-2]), dtype=dtypes.int64)
    least, values = _limit(A, atol, rtol, hermitian)
    return A._wrap(_ranks(A._kernels, values, least))


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
    vector = is_vector(A, B)
    columns = B.unsqueeze(-1) if vector else B
    if columns.shape[-2] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.lstsq: A and B must have as many rows, got {tuple(A.shape)} and {tuple(B.shape)}"
        )
    check_batches("linalg.lstsq", A, columns)
    rows, width = A.shape[-2:]
    least, values = _limit(A, None, 0.0 if driver == "gels" else rcond)
    ranks = _ranks(A._kernels, values, least)
    solution = LeastSquares.apply(A, columns, least=least)
    full = rows > width and (not ranks.size or A._kernels.bounds(ranks)[0] == width)
    if full and driver not in (None, "gelsy"):
        residuals = Residuals.apply(A.matmul(solution) - columns)
    else:
        residuals = NoResiduals.apply(A, columns)
    if vector:
        solution = solution.squeeze(-1)
    rank = A.new_zeros((0,), dtype=dtypes.int64) if driver == "gels" else A._wrap(ranks)
    shown = A._wrap(values) if driver in ("gelsd", "gelss") else A.new_zeros((0,))
    return return_types.linalg_lstsq(solution, residuals, rank, shown)
