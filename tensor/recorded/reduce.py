"""Sums and products over dims, recorded."""

import math

from tensor import creation, reduction, scan
from tensor.autograd import Operation
from tensor.recorded.basis import MissingKernelError, array_of, linear, tensor_of


def sum(x, dims, keepdim=False):
    """Sum over dims."""
    return reduction.Sum.apply(x, dims=dims, keepdim=keepdim, overload=1)


def sum_to(grad, shape):
    """Sum over the dims along which `shape` was broadcast."""
    if tuple(grad.shape) == tuple(shape):
        return grad
    return linear(grad, ("sum_to", (tuple(shape),)), ("expand", (tuple(grad.shape),)))


def sum_channels(x):
    """Sum over all dims but that of the channels."""
    return sum(x, (0, *range(2, x.ndim)))


def cumsum(x, dim, from_end=False):
    """Return the running sums, from either end."""
    return linear(x, ("cumsum", (dim, from_end)), ("cumsum", (dim, not from_end)))


def prod_dx(x, grad, dims):
    """Return the gradient of the product over `dims`: for each element, the product of all others."""
    kept = [d for d in range(x.ndim) if d not in dims]
    sizes = [x.shape[d] for d in dims]
    rows = x.permute(*kept, *dims) if x.ndim else x
    rows = rows.reshape(math.prod(x.shape[d] for d in kept), math.prod(sizes))
    count = rows.shape[1]
    if rows.detach().all():
        others = rows.prod(1, keepdim=True) / rows
    else:  # a division would be by zero: every product is made without its element
        own = creation.eye(count).bool()
        others = rows.unsqueeze(1).expand(rows.shape[0], count, count).masked_fill(own, 1.0).prod(2)
    found = (others * grad.reshape(-1, 1)).reshape(*[x.shape[d] for d in kept], *sizes)
    order = [*kept, *dims]
    return found.permute(*[order.index(d) for d in range(x.ndim)]) if x.ndim else found


def cumprod_dx(x, grad, dim):
    """Return the gradient of the running products: for each element, those of all others it is part of."""
    if not x.ndim:
        return grad
    if x.detach().all():
        return cumsum(grad * scan.cumprod(x, dim), dim, from_end=True) / x
    # A division would be by zero: element i's part in product j is product j with 1 in the place of i.
    moved, gradients = x.movedim(dim, -1), grad.movedim(dim, -1)
    count = moved.shape[-1]
    own = creation.eye(count).bool()
    others = scan.cumprod(moved.unsqueeze(-2).expand(*moved.shape, count).masked_fill(own, 1.0), -1)
    return (others.triu() * gradients.unsqueeze(-2)).sum(-1).movedim(-1, dim)


def logcumsumexp(x, dim, from_end=False):
    """Return the running log-sum-exps, from either end."""
    return scan.logcumsumexp(x.flip(dim), dim).flip(dim) if from_end else scan.logcumsumexp(x, dim)


def scatter_reduce(x, index, values, reduce, include_self):
    """Work the values into x at an index; only products are needed by a derivative."""
    if reduce != "prod":
        raise MissingKernelError(f"scatter_reduce of {reduce}")
    return ScatterProduct.apply(x, tensor_of(values), index=array_of(index), include_self=include_self)


class ScatterProduct(Operation):
    """Products of x and what is worked into it: each one's derivative is the product of the others."""

    def forward(self, k, x, values, index, include_self):
        self.saved, self.index, self.include_self = (x, values), index, include_self
        self.result = out = k.scatter_reduce(x, index, values, "prod", include_self)
        return out

    def backward(self, k, grad):
        x, values = self.saved
        zero, one = k.zeros((), grad.dtype), k.full((), 1.0, grad.dtype)
        ones, inner = k.full(x.shape, 1.0, grad.dtype), self.include_self
        by_x = k.scatter_reduce(ones, self.index, values, "prod", True)
        if not inner:
            by_x = k.where(self._touched(k, x, grad), zero, by_x)
        empty = k.compare("eq", values, zero)
        zeros = k.take(k.scatter_add(k.cast(empty, grad.dtype), self.index, x.shape), self.index)
        lone = k.compare("logical_and", empty, k.compare("eq", zeros, one))
        without = k.scatter_reduce(x, self.index, k.where(lone, one, values), "prod", inner)
        by_lone = k.take(k.forward("mul", grad, without), self.index)
        whole = k.take(k.forward("mul", grad, self.result), self.index)
        by_others = k.forward("div", whole, k.where(empty, one, values))
        return k.forward("mul", grad, by_x), k.where(lone, by_lone, by_others)

    def _touched(self, k, x, grad):
        zero = k.zeros((), grad.dtype)
        ones = k.full(self.saved[1].shape, 1.0, grad.dtype)
        return k.compare("gt", k.scatter_add(ones, self.index, x.shape), zero)
