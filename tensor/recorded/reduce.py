"""Sums and products over dims, recorded."""

import math

from tensor import creation, reduction
from tensor.recorded.basis import linear


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
