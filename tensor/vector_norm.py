"""Norms of vectors: lengths over any dims, distances, and rows scaled down to a largest length."""

import math

from tensor import elementwise
from tensor.autograd import Operation
from tensor.operands import along_dims, normalize_dim, normalize_dims


class VectorNorm(Operation):
    """(sum |x|^p)^(1/p) over dims. Its gradient is 0 where the norm is; at p = inf equals share it."""

    name = "LinalgVectorNorm"
    gradients_in_words: tuple[str, ...] = ("grad * sign({0}) * (|{0}| / out)**(p - 1)",)

    def forward(self, k, x, p, dims, keepdim):
        self.kept = tuple([1 if d in dims else n for d, n in enumerate(x.shape)])
        self.saved, self.p, self.dims = (x,), p, dims
        if p == 2:
            out = k.forward("sqrt", k.sum(k.forward("mul", x, x), dims, True))
        elif math.isinf(p):
            out = k.forward("abs", x)
            out = (k.extreme_value(out, dims, 1 if p > 0 else -1) if dims else out).reshape(self.kept)
        elif p == 0:
            out = k.sum(k.cast(k.compare("ne", x, k.zeros((), x.dtype)), x.dtype), dims, True)
        elif p == 1:
            out = k.sum(k.forward("abs", x), dims, True)
        else:
            powers = k.forward("pow", k.forward("abs", x), k.full((), p, x.dtype))
            out = k.forward("pow", k.sum(powers, dims, True), k.full((), 1 / p, x.dtype))
        self.result = out = (
            out if keepdim else out.reshape([n for d, n in enumerate(x.shape) if d not in dims])
        )
        return out

    def backward(self, k, grad):
        x, p, zero = self.saved[0], self.p, k.zeros((), grad.dtype)
        out, grad = self.result.reshape(self.kept), grad.reshape(self.kept)
        if p == 0:
            return (None,)
        if p == 2:
            scale = k.where(k.compare("eq", out, zero), zero, k.forward("div", grad, out))
            return (k.forward("mul", x, scale),)
        sign = k.round(x, "sign")
        if p == 1:
            return (k.forward("mul", sign, grad),)
        size = k.forward("abs", x)
        if math.isinf(p):
            hit = k.cast(k.compare("eq", size, out), grad.dtype)
            share = k.forward("div", grad, k.sum(hit, self.dims, True))
            return (k.forward("mul", k.forward("mul", sign, hit), share),)
        less = k.full((), p - 1, grad.dtype)
        scale = k.where(k.compare("eq", out, zero), zero, k.forward("div", grad, k.forward("pow", out, less)))
        slope = k.where(k.compare("eq", size, zero), zero, k.forward("pow", size, less))
        return (k.forward("mul", k.forward("mul", sign, slope), scale),)


class Dist(VectorNorm):
    """The norm of a difference."""

    name = "Dist"
    gradients_in_words: tuple[str, ...] = (
        "grad * sign({0} - {1}) * (|{0} - {1}| / out)**(p - 1)",
        "the same, negated",
    )


@along_dims
def norm(input, p="fro", dim=None, keepdim=False, dtype=None):
    """Return (sum |input|^p)^(1/p) over `dim` (an int, several, or None for all).

    p: a number, inf, -inf, or "fro" (2). dtype: a float type to convert to first.
    """
    if p == "nuc":
        from tensor.linalg.norms import matrix_norm  # which needs this file

        return matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm: expected p to be a number, 'fro' or 'nuc', got {p!r}")
    order = 2.0 if p in ("fro", None) else float(p)
    input = input if dtype is None else input.to(dtype)
    if not input.dtype.is_floating_point:
        raise RuntimeError(f"norm: expected a floating point tensor, got {input.dtype!r}; use x.float()")
    dims = normalize_dims(dim, input.ndim, "norm")
    if math.isinf(order) and any(input.shape[d] == 0 for d in dims):
        raise RuntimeError(f"norm: p = {p} over nothing has no value, for shape {tuple(input.shape)}")
    return VectorNorm.apply(input, p=order, dims=dims, keepdim=bool(keepdim))


def dist(input, other, p=2):
    """Return the p-norm of input - other."""
    apart = elementwise.sub(input, other)
    return Dist.apply(apart, p=float(p), dims=tuple(range(apart.ndim)), keepdim=False)


def renorm(input, p, dim, maxnorm):
    """Return `input` with each slice along `dim` whose p-norm exceeds `maxnorm` scaled down to it."""
    d = normalize_dim(dim, input.ndim, "renorm")
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    if p <= 0:
        raise RuntimeError(f"renorm: non-positive norm not supported, got p={p}")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0, got {maxnorm}")
    sizes = norm(input, p, tuple(e for e in range(input.ndim) if e != d), keepdim=True)
    # PyTorch's 1e-7, against dividing by zero: a slice ends a little below the limit.
    return input * elementwise.where(sizes > maxnorm, maxnorm / (sizes + 1e-7), sizes.new_ones(()))


def renorm_(input, p, dim, maxnorm):
    """Scale each slice of `input` along `dim` whose p-norm exceeds `maxnorm` down to it, in place."""
    return input.copy_(renorm(input, p, dim, maxnorm))
