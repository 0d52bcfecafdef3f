"""Distances between the rows of two matrices."""

import numpy as np

from tensor.autograd import Operation
from tensor.operands import require_tensor
from tensor.products import same_type

_PRODUCT_FROM = 25  # rows: from more on, PyTorch computes Euclidean distances by a matrix product


class Cdist(Operation):
    """Norms of the differences of all pairs of rows; where one is 0, so is its gradient."""

    gradients_in_words = ("grad * the slopes of the norms", "the same, negated")

    def forward(self, k, a, b, p):
        self.saved, self.p, self.shapes = (a, b), p, (a.shape, b.shape)
        self.result = self.distances(k, a, b)
        return self.result

    def distances(self, k, a, b):
        return k.distances(a, b, self.p)

    def backward(self, k, grad):
        a, b = self.saved
        out, p, zero = self.result, self.p, k.zeros((), grad.dtype)
        if p == 0:
            return k.zeros(self.shapes[0], grad.dtype), k.zeros(self.shapes[1], grad.dtype)
        apart_none = k.compare("eq", out, zero)
        safe = k.where(apart_none, k.full((), 1.0, grad.dtype), out)
        if p == 2:
            ratio = k.where(apart_none, zero, k.forward("div", grad, safe))
            return self._pull(k, ratio, a, b)
        # one difference for each pair of rows: (..., n, m, width)
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        rows, columns, width = a.shape[-2], b.shape[-2], a.shape[-1]
        left = k.expand(a, (*batch, rows, width)).reshape((*batch, rows, 1, width))
        right = k.expand(b, (*batch, columns, width)).reshape((*batch, 1, columns, width))
        difference = k.forward("sub", left, right)
        size, sign = k.forward("abs", difference), k.round(difference, "sign")
        spread, length = (x.reshape((*batch, rows, columns, 1)) for x in (grad, safe))
        if p == 1:
            flow = k.forward("mul", sign, spread)
        elif p == float("inf"):
            hit = k.cast(k.compare("eq", size, length), grad.dtype)
            flow = k.forward("mul", k.forward("mul", sign, hit), spread)
        else:
            less = k.full((), p - 1, grad.dtype)
            still = k.compare("eq", size, zero)
            base = k.where(still, k.full((), 1.0, grad.dtype), k.forward("div", size, length))
            slope = k.where(still, zero, k.forward("pow", base, less))
            flow = k.forward("mul", k.forward("mul", sign, slope), spread)
        flow = k.where(apart_none.reshape((*batch, rows, columns, 1)), zero, flow)
        last = len(batch)
        grad_a = k.sum_to(k.sum(flow, (last + 1,)), self.shapes[0]) if self.needs[0] else None
        if not self.needs[1]:
            return grad_a, None
        return grad_a, k.sum_to(k.forward("neg", k.sum(flow, (last,))), self.shapes[1])

    def _pull(self, k, ratio, a, b):
        """Return sums over pairs of ratio * (a - b), in a, and of its opposite in b."""
        last = ratio.ndim - 1
        grad_a = grad_b = None
        if self.needs[0]:
            grad_a = k.forward("sub", k.forward("mul", a, k.sum(ratio, (last,), True)), k.matmul(ratio, b))
            grad_a = k.sum_to(grad_a, self.shapes[0])
        if self.needs[1]:
            turned = k.transpose(ratio)
            grad_b = k.forward("sub", k.forward("mul", b, k.sum(turned, (last,), True)), k.matmul(turned, a))
            grad_b = k.sum_to(grad_b, self.shapes[1])
        return grad_a, grad_b


class CdistByProduct(Cdist):
    """sqrt(|a|^2 - 2 a b + |b|^2): fast, but inexact where rows are near."""

    name = "View"

    def distances(self, k, a, b):
        return _by_product(k, a, b)


def _by_product(k, a, b):
    last = a.ndim - 1
    squares = k.sum(k.forward("mul", a, a), (last,), True)
    others = k.transpose(k.sum(k.forward("mul", b, b), (b.ndim - 1,), True))
    products = k.forward("mul", k.matmul(a, k.transpose(b)), k.full((), -2.0, a.dtype))
    total = k.forward("add", k.forward("add", products, squares), others)
    return k.forward(
        "sqrt", k.where(k.compare("lt", total, k.zeros((), a.dtype)), k.zeros((), a.dtype), total)
    )


_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """Return the p-norms of the differences of each row of x1 with each of x2.

    x1: (..., n, width), x2: (..., m, width); result: (..., n, m). compute_mode says whether those of p = 2
    come from a matrix product, faster and less exact: by default where there are more than 25 rows.
    """
    require_tensor("cdist", "x1", x1)
    require_tensor("cdist", "x2", x2)
    if not x1.dtype.is_floating_point or not x2.dtype.is_floating_point:
        raise RuntimeError(f"cdist only supports floating-point dtypes, got {x1.dtype!r} and {x2.dtype!r}")
    same_type("cdist", x1, x2)
    if x1.ndim < 2 or x2.ndim < 2:
        raise RuntimeError(f"cdist: expected at least two dims, got {tuple(x1.shape)} and {tuple(x2.shape)}")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, got {p}")
    if compute_mode not in _MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode; expected one of {_MODES}")
    try:
        np.broadcast_shapes(tuple(x1.shape[:-2]), tuple(x2.shape[:-2]))
    except ValueError:
        raise RuntimeError(
            f"cdist: batch dims do not broadcast, {tuple(x1.shape)} and {tuple(x2.shape)}"
        ) from None
    many = max(x1.shape[-2], x2.shape[-2]) > _PRODUCT_FROM
    by_product = p == 2 and compute_mode != _MODES[2] and (many or compute_mode == _MODES[1])
    kind = CdistByProduct if by_product and x1.shape[-1] > 0 else Cdist
    return kind.apply(x1, x2, p=float(p))
