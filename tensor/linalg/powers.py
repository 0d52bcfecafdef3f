"""Functions of square matrices, and products of several matrices or vectors."""

import math
import warnings

import numpy as np

from tensor.autograd import Operation
from tensor.join import cat
from tensor.linalg.checks import check_square
from tensor.linalg.equations import inv, solve
from tensor.operands import common_dtype, normalize_dim, require_tensor
from tensor.products import matmul, same_type


class MatrixExp(Operation):
    """exp of square matrices.

    The gradient is a block of exp([[x.T, grad], [0, x.T]]): R. Mathias, "A chain rule for matrix functions
    and applications" (1996).
    """

    name = "LinalgMatrixExp"

    def forward(self, k, x):
        self.saved = (x,)
        return k.matrix_exp(x)

    def backward(self, k, grad):
        turned = k.transpose(self.saved[0])
        size, ndim = grad.shape[-1], len(grad.shape)
        top = k.cat([turned, grad], ndim - 1)
        bottom = k.cat([k.zeros(grad.shape, grad.dtype), turned], ndim - 1)
        return (k.matrix_exp(k.cat([top, bottom], ndim - 2))[..., :size, size:],)


def matrix_exp(A):
    """Return the matrix exponentials of square matrices."""
    check_square("linalg.matrix_exp", A)
    return MatrixExp.apply(A)


def matrix_power(A, n):
    """Return square matrices multiplied `n` times; a negative `n` takes the inverse first."""
    require_tensor("linalg.matrix_power", "A", A)
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, got shape {tuple(A.shape)}"
        )
    if n == 0:
        eye = A.new_zeros(tuple(A.shape))
        eye.diagonal(0, -2, -1).fill_(1)
        # PyTorch copies it into what it makes of A, so that a gradient, of zeros, is recorded.
        return (A * 0).copy_(eye) if A.requires_grad else eye
    if n < 0:
        return inv(A) if n == -1 else matrix_power(inv(A), -n)
    if n == 1:
        return A.clone()
    if n == 3:
        return matmul(matmul(A, A), A)
    found = None
    while n:
        if n % 2:
            found = A if found is None else matmul(found, A)
        n //= 2
        if n:
            A = matmul(A, A)
    return found


def multi_dot(tensors):
    """Return the product of several matrices, multiplied in the order that takes fewest steps.

    The first and the last may be vectors: a row, a column.
    """
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError("linalg.multi_dot: expected at least 2 tensors")
    same_type("linalg.multi_dot", *tensors)
    row, column = tensors[0].ndim == 1, tensors[-1].ndim == 1
    if row:
        tensors[0] = tensors[0].unsqueeze(0)
    if column:
        tensors[-1] = tensors[-1].unsqueeze(-1)
    for n, x in enumerate(tensors):
        if x.ndim != 2:
            raise RuntimeError(f"linalg.multi_dot: tensor {n} must be 2D, but got {x.ndim}D")
    sizes = [x.shape[0] for x in tensors] + [tensors[-1].shape[1]]
    for n in range(1, len(tensors)):
        if tensors[n - 1].shape[1] != sizes[n]:
            raise RuntimeError(
                f"linalg.multi_dot: tensors {n - 1} and {n} with shapes {list(tensors[n - 1].shape)} and "
                f"{list(tensors[n].shape)} cannot be multiplied"
            )
    out = _product(tensors, _splits(sizes), 0, len(tensors) - 1)
    shape = (*([] if row else [sizes[0]]), *([] if column else [sizes[-1]]))
    return out.view(shape)


def _splits(sizes: list[int]) -> dict:
    """Return where each run of matrices is to be split (T. Cormen et al., the matrix chain)."""
    count = len(sizes) - 1
    costs = {(i, i): 0 for i in range(count)}
    splits = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            costs[i, j], splits[i, j] = min(
                (costs[i, m] + costs[m + 1, j] + sizes[i] * sizes[m + 1] * sizes[j + 1], m)
                for m in range(i, j)
            )
    return splits


def _product(tensors, splits, i, j):
    if i == j:
        return tensors[i]
    m = splits[i, j]
    return matmul(_product(tensors, splits, i, m), _product(tensors, splits, m + 1, j))


def chain_matmul(*matrices):
    """Return the product of several matrices, as linalg.multi_dot."""
    if len(matrices) == 1 and isinstance(matrices[0], tuple | list):
        matrices = tuple(matrices[0])
    if len(matrices) == 1:
        return matrices[0]
    return multi_dot(matrices)


class Cross(Operation):
    """The vector product along a dim of size 3."""

    name = "LinalgCross"

    def forward(self, k, a, b, dim):
        self.saved, self.dim = (a, b), dim
        return _cross(k, a, b, dim)

    def backward(self, k, grad):
        a, b = self.saved
        return (
            k.sum_to(_cross(k, b, grad, self.dim), a.shape) if self.needs[0] else None,
            k.sum_to(_cross(k, grad, a, self.dim), b.shape) if self.needs[1] else None,
        )


def _cross(k, a, b, dim):
    def rolled(x, shift):
        d = dim - len(x.shape) if dim < 0 else dim
        return k.roll(x, (shift,), (d,))

    plus = k.forward("mul", rolled(a, -1), rolled(b, -2))
    return k.forward("sub", plus, k.forward("mul", rolled(a, -2), rolled(b, -1)))


def cross(input, other, *, dim=-1):
    """Return the vector products along `dim`, of size 3 in both; other dims broadcast."""
    return _vector_product("linalg.cross", input, other, dim)


def old_cross(input, other, dim=None):
    """Return the vector products along `dim`; by default the first dim of size 3, as PyTorch deprecates."""
    require_tensor("cross", "input", input)
    if dim is None:
        sizes = [d for d, n in enumerate(input.shape) if n == 3]
        if not sizes:
            raise RuntimeError(f"cross: no dimension of size 3 in input, of shape {tuple(input.shape)}")
        warnings.warn(
            "Using torch.cross without specifying the dim arg is deprecated. Please either pass the dim "
            "explicitly or simply use torch.linalg.cross.",
            UserWarning,
            stacklevel=2,
        )
        dim = sizes[0]
    return _vector_product("cross", input, other, dim)


def _vector_product(operation, a, b, dim):
    for x in (a, b):
        require_tensor(operation, "input", x)
    if a.ndim != b.ndim:
        raise RuntimeError(
            f"{operation}: inputs must have the same number of dimensions, got {a.ndim} and {b.ndim}"
        )
    d = normalize_dim(dim, a.ndim, operation)
    if a.shape[d] != 3 or b.shape[d] != 3:
        raise RuntimeError(
            f"{operation}: inputs dimension {dim} must have length 3. Got {a.shape[d]} and {b.shape[d]}"
        )
    joint = common_dtype((a, b))
    try:
        np.broadcast_shapes(tuple(a.shape), tuple(b.shape))
    except ValueError:
        raise RuntimeError(
            f"{operation}: shapes do not broadcast, {tuple(a.shape)} and {tuple(b.shape)}"
        ) from None
    return Cross.apply(a.to(joint), b.to(joint), dim=d)


def vecdot(x, y, *, dim=-1):
    """Return the sums of products along `dim`; other dims broadcast."""
    require_tensor("linalg.vecdot", "x", x)
    same_type("linalg.vecdot", x, y)
    return (x * y).sum(dim)


def vander(x, N=None):
    """Return for each element of the last dim its powers 0, ..., N - 1, by default as many as elements."""
    require_tensor("linalg.vander", "x", x)
    if not x.ndim:
        raise RuntimeError("linalg.vander: x must have at least 1 dimension")
    count = x.shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError(f"linalg.vander: N must be greater than 1, got {count}")
    powers = x.unsqueeze(-1).expand((*x.shape, count - 1)).cumprod(-1)
    return cat([x.new_ones((*x.shape, 1), dtype=powers.dtype), powers], -1)


def tensorinv(A, ind=2):
    """Return the inverse of A taken as a matrix from its last dims to its first `ind`."""
    if ind <= 0:
        raise RuntimeError(f"linalg.tensorinv: Expected a strictly positive integer for 'ind', but got {ind}")
    first, rest = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(first) != math.prod(rest):
        raise RuntimeError(
            f"linalg.tensorinv: Expected self to satisfy prod(shape[{ind}:]) == prod(shape[:{ind}]), got "
            f"{tuple(A.shape)}"
        )
    return inv(A.reshape(math.prod(first), math.prod(rest))).reshape((*rest, *first))


def tensorsolve(A, B, dims=None):
    """Return X of tensordot(A, X, X.ndim) = B. dims: of A, to be moved behind the others first."""
    if dims is not None:
        dims = [normalize_dim(d, A.ndim, "linalg.tensorsolve") for d in dims]
        A = A.permute([*(d for d in range(A.ndim) if d not in dims), *dims])
    shape = tuple(A.shape[B.ndim :])
    if math.prod(shape) != B.numel() or math.prod(A.shape[: B.ndim]) != B.numel():
        raise RuntimeError(
            f"linalg.tensorsolve: Expected self to satisfy the requirement prod(A.shape[B.ndim:]) == "
            f"prod(A.shape[:B.ndim]), got {tuple(A.shape)} and {tuple(B.shape)}"
        )
    return solve(A.reshape(B.numel(), B.numel()), B.reshape(B.numel())).reshape(shape)
