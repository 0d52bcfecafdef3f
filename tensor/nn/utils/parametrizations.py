"""Weights kept orthogonal, of spectral norm 1, or apart as lengths and directions, by `parametrize`."""

from typing import Any

from tensor.autograd import no_grad
from tensor.creation import eye, zeros_like
from tensor.dtypes import finfo
from tensor.join import cat
from tensor.linalg import matrix_exp, qr, solve
from tensor.nn import conv
from tensor.nn.functional import normalize
from tensor.nn.module import Module
from tensor.nn.utils.parametrize import register_parametrization
from tensor.nn.utils.spectral_norm import as_rows
from tensor.nn.utils.weight_norm import lengths
from tensor.sampling import randn

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


class _SpectralNorm(Module):
    """weight / its largest singular value, estimated by power iteration (Miyato et al. 2018)."""

    def __init__(self, weight, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12):
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim, self.eps, self.n_power_iterations = dim % ndim, eps, n_power_iterations
        if ndim > 1:
            with no_grad():
                rows, columns = as_rows(weight, self.dim).shape
                u, v = weight.new_empty(rows).normal_(0, 1), weight.new_empty(columns).normal_(0, 1)
                self.register_buffer("_u", normalize(u, dim=0, eps=eps))
                self.register_buffer("_v", normalize(v, dim=0, eps=eps))
            self._iterate(as_rows(weight, self.dim), 15)

    def _iterate(self, matrix, times: int) -> None:
        with no_grad():
            for _ in range(times):
                self._u.copy_(normalize(matrix @ self._v, dim=0, eps=self.eps))
                self._v.copy_(normalize(matrix.T @ self._u, dim=0, eps=self.eps))

    def forward(self, weight):
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_rows(weight, self.dim)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # a second call before backward changes the buffers
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value):
        return value


def spectral_norm(
    module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
):
    """Divide a parameter by an estimate of its largest singular value wherever it is used.

    One step of power iteration is made at each use while the module trains. dim: which counts the rows of
    the matrix; by default 0, for transposed convolutions 1. Returns the module; ValueError without such a
    parameter.
    """
    weight = _find(module, name)
    if dim is None:
        dim = 1 if isinstance(module, conv.ConvTranspose1d | conv.ConvTranspose2d) else 0
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


class _WeightNorm(Module):
    """g * v / norm(v) (Salimans and Kingma 2016)."""

    def __init__(self, dim: int | None = 0):
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g, weight_v):
        return weight_v * (weight_g / lengths(weight_v, None if self.dim == -1 else self.dim))

    def right_inverse(self, weight):
        return lengths(weight, None if self.dim == -1 else self.dim), weight


def weight_norm(module, name: str = "weight", dim: int | None = 0):
    """Train a parameter as its length, `original0`, and its direction, `original1`; returns the module.

    dim: along which each slice has a length of its own; None: one length of all.
    """
    _find(module, name)
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _Orthogonal(Module):
    """A matrix with orthonormal columns (rows, if there are more columns) from one without conditions."""

    base: Any

    def __init__(self, weight, orthogonal_map: str, use_trivialization: bool = True):
        super().__init__()
        self.shape, self.orthogonal_map = weight.shape, orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X):
        wide = X.shape[-2] < X.shape[-1]
        if wide:
            X = X.mT
        n, k = X.shape[-2:]
        if self.orthogonal_map == "householder":
            Q = _reflect(X.tril(-1)) * X.detach().diagonal(0, -2, -1).int().unsqueeze(-2)
        else:
            X = X.tril()
            if n != k:
                X = cat([X, X.new_zeros((*X.shape[:-1], n - k))], dim=-1)
            A = X - X.mT  # skew-symmetric: both maps of it are orthogonal
            if self.orthogonal_map == "matrix_exp":
                Q = matrix_exp(A)
            else:
                one = eye(n, dtype=A.dtype, device=A.device)
                Q = solve(one - A / 2, one + A / 2)
            Q = Q[..., :k]
        if hasattr(self, "base"):
            Q = self.base @ Q
        return Q.mT if wide else Q

    def right_inverse(self, Q):
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of "
                f"shape {Q.shape}."
            )
        with no_grad():
            wide = Q.shape[-2] < Q.shape[-1]
            tall = Q.mT if wide else Q
            n, k = tall.shape[-2:]
            if not hasattr(self, "base"):
                if self.orthogonal_map != "householder":
                    raise NotImplementedError(
                        "It is not possible to assign to the matrix exponential or the Cayley "
                        "parametrizations when use_trivialization=False."
                    )
                A = _reflectors(tall)
                return A.mT if wide else A
            if n != k:
                tall = cat([tall, randn(*tall.shape[:-2], n, n - k, dtype=Q.dtype)], dim=-1)
                tall = _orthonormal(tall)
            else:
                error = (tall.mT @ tall - eye(k, dtype=Q.dtype)).abs().max()
                tall = tall.clone() if error <= 10 * n * finfo(Q.dtype).eps else _orthonormal(tall)
            self.base = tall
            made = zeros_like(Q)
            made.diagonal(0, -2, -1).fill_(-1.0)  # the point where all three maps give the identity
            return made


def _reflect(A):
    """Return the first columns of the product of reflections I - tau v v^T, v a column of A with a 1."""
    n, k = A.shape[-2:]
    one = eye(n, k, dtype=A.dtype, device=A.device)
    tau = 2.0 / (1.0 + (A * A).sum(-2))
    V, Q = A + one, one.expand(*A.shape[:-2], n, k)
    for j in reversed(range(k)):
        v = V[..., :, j : j + 1]
        Q = Q - tau[..., j, None, None] * v @ (v.mT @ Q)
    return Q


def _reflectors(A):
    """Return the reflectors of A's QR decomposition below a diagonal of the signs of R's diagonal."""
    A = A.clone()
    for j in range(A.shape[-1]):
        column = A[..., j:, j : j + 1]
        alpha = column[..., :1, :].clone()
        rest = column[..., 1:, :].square().sum(-2, keepdim=True)
        length = (alpha.square() + rest).sqrt()
        beta = -length * (alpha.sign() + (alpha == 0))
        active = rest > 0
        scale = (alpha - beta).masked_fill(~active, 1.0)
        tau = ((beta - alpha) / beta.masked_fill(~active, 1.0)).masked_fill(~active, 0.0)
        v = column / scale
        v[..., :1, :] = 1.0
        A[..., j:, j:] -= tau * v @ (v.mT @ A[..., j:, j:])
        A[..., j + 1 :, j : j + 1] = v[..., 1:, :]
        sign = A[..., j, j].sign()
        A[..., j, j] = sign * (1 - 2 * (tau[..., 0, 0] == 0))
    return A


def _orthonormal(A):
    """Return Q of the QR decomposition whose R has a positive diagonal."""
    Q, R = qr(A)
    return Q * R.diagonal(0, -2, -1).sign().unsqueeze(-2)


def orthogonal(
    module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
):
    """Keep a matrix orthogonal: orthonormal columns, or rows if there are more columns; returns the module.

    orthogonal_map: "matrix_exp" (by default for square matrices), "cayley" or "householder" (for others).
    use_trivialization: multiply with a base, so that training starts at the weight made orthogonal
    (Lezcano-Casado 2019).
    """
    weight = _find(module, name)
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    return register_parametrization(
        module, name, _Orthogonal(weight, orthogonal_map, use_trivialization), unsafe=True
    )


def _find(module, name: str):
    weight = getattr(module, name, None)
    if not hasattr(weight, "_array"):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight
