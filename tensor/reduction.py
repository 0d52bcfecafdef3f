"""Operations that reduce dimensions: sums, means, variances, extrema and their positions."""

from collections import namedtuple

from tensor import elementwise
from tensor.autograd import Function
from tensor.operands import normalize_dim, normalize_dims

MinMax = namedtuple("MinMax", "values indices")


def _kept_shape(shape, dims):
    return tuple(1 if d in dims else n for d, n in enumerate(shape))


class Sum(Function):
    """Sum over dims; the gradient is the same for every summand."""

    def forward(self, k, x, dims, keepdim):
        self.input_shape, self.dims = x.shape, dims
        return k.sum(x, dims, keepdim)

    def backward(self, k, grad):
        return (k.expand(grad.reshape(_kept_shape(self.input_shape, self.dims)), self.input_shape),)


class Mean(Function):
    """Average over dims; nan over nothing."""

    def forward(self, k, x, dims, keepdim):
        self.input_shape, self.dims = x.shape, dims
        self.count = _count(x.shape, dims)
        return k.forward("div", k.sum(x, dims, keepdim), k.full((), self.count, x.dtype))

    def backward(self, k, grad):
        grad = k.forward("div", grad, k.full((), self.count, grad.dtype))
        return (k.expand(grad.reshape(_kept_shape(self.input_shape, self.dims)), self.input_shape),)


class Var(Function):
    """Variance over dims: sum (x - mean)^2 / (count - correction)."""

    def forward(self, k, x, dims, keepdim, correction):
        kept = _kept_shape(x.shape, dims)
        count = _count(x.shape, dims)
        self.mean = k.forward("div", k.sum(x, dims, True), k.full((), count, x.dtype))
        self.free = max(count - correction, 0)
        out = k.square_deviation(x, self.mean, dims)
        out = k.forward("div", out, k.full((), self.free, x.dtype))
        self.saved, self.kept = (x,), kept
        return out.reshape(kept) if keepdim else out

    def backward(self, k, grad):
        x = self.saved[0]
        scale = k.forward("mul", grad.reshape(self.kept), k.full((), 2.0, grad.dtype))
        scale = k.forward("div", scale, k.full((), self.free, grad.dtype))
        return (k.forward("mul", k.forward("sub", x, self.mean), scale),)


class Std(Var):
    """Standard deviation over dims; its gradient is 0 where the deviation is 0."""

    def forward(self, k, x, dims, keepdim, correction):
        out = k.forward("sqrt", super().forward(k, x, dims, keepdim, correction))
        self.result = out
        return out

    def backward(self, k, grad):
        out = self.result
        half = k.derivative("sqrt", 0, (None,), out, grad)
        zero = k.zeros((), grad.dtype)
        return super().backward(k, k.where(k.compare("eq", out, zero), zero, half))


class Prod(Function):
    """Product over dims."""

    def forward(self, k, x, dims, keepdim):
        self.saved, self.dims = (x,), dims
        out = k.prod(x, dims)
        return out.reshape(_kept_shape(x.shape, dims)) if keepdim else out

    def backward(self, k, grad):
        return (k.prod_dx(self.saved[0], grad, self.dims),)


class Extreme(Function):
    """Largest (sign 1) or smallest (-1) along a dim, with positions; the gradient goes to that element."""

    def forward(self, k, x, dim, keepdim, sign):
        self.input_shape, self.dim = x.shape, dim
        values, self.positions = k.extreme(x, dim, sign)
        if keepdim:
            kept = _kept_shape(x.shape, (dim,))
            values, self.positions = values.reshape(kept), self.positions.reshape(kept)
        return values

    def backward(self, k, grad):
        if not self.input_shape:
            return (grad,)
        kept = _kept_shape(self.input_shape, (self.dim,))
        index = k.along(self.positions.reshape(kept), self.dim)
        return (k.scatter_add(grad.reshape(kept), index, self.input_shape),)


class ExtremeValue(Function):
    """Largest (sign 1) or smallest (-1) over dims; equals share the gradient."""

    def forward(self, k, x, dims, keepdim, sign):
        moved, kept = x, _kept_shape(x.shape, dims)
        for d in sorted(dims, reverse=True):
            moved = k.extreme(moved, d, sign)[0]
        out = moved.reshape(kept)
        self.saved, self.out, self.dims = (x,), out, dims
        return out if keepdim else moved

    def backward(self, k, grad):
        x, out = self.saved[0], self.out
        hit = k.cast(k.compare("eq", x, out), grad.dtype)
        if not self.dims:
            return (grad,)
        count = k.sum(hit, self.dims, True)
        return (k.forward("mul", hit, k.forward("div", grad.reshape(out.shape), count)),)


def _count(shape, dims) -> int:
    total = 1
    for d in dims:
        total *= shape[d]
    return total


def _float(x, operation: str):
    if not x.dtype.is_floating_point:
        raise RuntimeError(
            f"{operation}: could not infer output dtype. Input dtype must be a floating point dtype, got "
            f"{x.dtype!r}; convert first: x.float()"
        )
    return x


def sum(x, dim=None, keepdim=False, *, dtype=None):
    """Sum over `dim` (an int, several, or None for all). Integers and bools give int64."""
    x = x if dtype is None else x.to(dtype)
    return Sum.apply(x, dims=normalize_dims(dim, x.ndim, "sum"), keepdim=keepdim)


def mean(x, dim=None, keepdim=False, *, dtype=None):
    """Average over `dim` (an int, several, or None for all) of a float tensor; nan over nothing."""
    x = x if dtype is None else x.to(dtype)
    return Mean.apply(_float(x, "mean"), dims=normalize_dims(dim, x.ndim, "mean"), keepdim=keepdim)


def _correction(unbiased, correction):
    if unbiased is not None and correction is not None:
        raise TypeError("var: pass correction= or unbiased=, not both")
    if correction is not None:
        return correction
    return 0 if unbiased is False else 1


def _split_unbiased(dim, unbiased):
    return (None, dim) if isinstance(dim, bool) else (dim, unbiased)  # x.var(False): the old signature


def var(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """Variance over `dim`, divided by count - correction (1 by default: Bessel's)."""
    dim, unbiased = _split_unbiased(dim, unbiased)
    dims = normalize_dims(dim, x.ndim, "var")
    return Var.apply(
        _float(x, "var"), dims=dims, keepdim=keepdim, correction=_correction(unbiased, correction)
    )


def std(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """Standard deviation over `dim`, divided by count - correction (1 by default)."""
    dim, unbiased = _split_unbiased(dim, unbiased)
    dims = normalize_dims(dim, x.ndim, "std")
    return Std.apply(
        _float(x, "std"), dims=dims, keepdim=keepdim, correction=_correction(unbiased, correction)
    )


def prod(x, dim=None, keepdim=False):
    """Multiply over one `dim`, or over all for None. Integers and bools give int64."""
    return Prod.apply(x, dims=normalize_dims(dim, x.ndim, "prod"), keepdim=keepdim)


def _not_empty(x, dims, operation):
    for d in dims:
        if x.shape[d] == 0:
            if len(dims) == x.ndim:
                raise RuntimeError(
                    f"{operation}(): Expected reduction dim to be specified for input.numel() == 0. "
                    "Specify the reduction dim with the 'dim' argument."
                )
            raise IndexError(f"{operation}(): Expected reduction dim {d} to have non-zero size.")


def _extreme(name, sign, x, dim, keepdim, other):
    if hasattr(dim, "_array") or other is not None:
        pairwise = elementwise.maximum if sign > 0 else elementwise.minimum
        return pairwise(x, dim if other is None else other)
    if dim is None:
        _not_empty(x, range(x.ndim), name)
        return ExtremeValue.apply(x, dims=tuple(range(x.ndim)), keepdim=False, sign=sign)
    dim = normalize_dim(dim, x.ndim, name)
    if x.ndim:
        _not_empty(x.unsqueeze(0), (dim + 1,), name)
    values = Extreme.apply(x if x.ndim else x.reshape(1), dim=dim, keepdim=keepdim and x.ndim > 0, sign=sign)
    positions = x._kernels.extreme(x._array if x.ndim else x._array.reshape(1), dim, sign)[1]
    return MinMax(values, x._wrap(positions.reshape(values.shape)))


def max(x, dim=None, keepdim=False, *, other=None):
    """Return the largest element; with `dim`, (values, indices); with a tensor, `maximum`."""
    return _extreme("max", 1, x, dim, keepdim, other)


def min(x, dim=None, keepdim=False, *, other=None):
    """Return the smallest element; with `dim`, (values, indices); with a tensor, `minimum`."""
    return _extreme("min", -1, x, dim, keepdim, other)


def amax(x, dim=(), keepdim=False):
    """Return the largest over `dim` (all by default); equals share the gradient."""
    dims = normalize_dims(dim, x.ndim, "amax")
    _not_empty(x, dims, "amax")
    return ExtremeValue.apply(x, dims=dims, keepdim=keepdim, sign=1)


def amin(x, dim=(), keepdim=False):
    """Return the smallest over `dim` (all by default); equals share the gradient."""
    dims = normalize_dims(dim, x.ndim, "amin")
    _not_empty(x, dims, "amin")
    return ExtremeValue.apply(x, dims=dims, keepdim=keepdim, sign=-1)


def _arg(name, sign, x, dim, keepdim):
    flat = x._array.reshape(-1) if dim is None else x._array if x.ndim else x._array.reshape(1)
    d = 0 if dim is None else normalize_dim(dim, x.ndim, name)
    if flat.shape[d] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    positions = x._kernels.extreme(flat, d, sign)[1]
    if keepdim:
        positions = positions.reshape(_kept_shape(x.shape, range(x.ndim) if dim is None else (d,)))
    elif not x.ndim:
        positions = positions.reshape(())
    return x._wrap(positions)


def argmax(x, dim=None, keepdim=False):
    """Return the int64 position of the largest along `dim`, or in the flattened tensor; the first of equals."""
    return _arg("argmax", 1, x, dim, keepdim)


def argmin(x, dim=None, keepdim=False):
    """Return the int64 position of the smallest along `dim`, or in the flattened tensor; the first of equals."""
    return _arg("argmin", -1, x, dim, keepdim)


def any(x, dim=None, keepdim=False):
    """Return whether any element (along `dim`) is not zero."""
    dims = normalize_dims(dim, x.ndim, "any")
    out = x._kernels.any(x._array, dims)
    return x._wrap(out.reshape(_kept_shape(x.shape, dims)) if keepdim else out)


def all(x, dim=None, keepdim=False):
    """Return whether every element (along `dim`) is not zero."""
    dims = normalize_dims(dim, x.ndim, "all")
    out = x._kernels.all(x._array, dims)
    return x._wrap(out.reshape(_kept_shape(x.shape, dims)) if keepdim else out)


def logsumexp(x, dim, keepdim=False):
    """Return log(sum(exp(x))) over `dim`, stable: the largest is subtracted first."""
    dims = normalize_dims(dim, x.ndim, "logsumexp")
    top = amax(x, dims, True).detach()
    top = top.masked_fill(top.isinf(), 0.0)
    out = (x - top).exp().sum(dims, True).log() + top
    return out if keepdim else out.squeeze(dims)


def norm(x, p=2, dim=None, keepdim=False):
    """Return (sum |x|^p)^(1/p) over `dim`; p: a number, inf, -inf or "fro" (2)."""
    p = 2 if p in ("fro", None) else float(p)
    if p == float("inf"):
        return amax(x.abs(), () if dim is None else dim, keepdim)
    if p == -float("inf"):
        return amin(x.abs(), () if dim is None else dim, keepdim)
    if p == 0:
        return (x != 0).to(x.dtype).sum(dim, keepdim)
    if p == 1:
        return x.abs().sum(dim, keepdim)
    if p == 2:
        return Norm.apply(_float(x, "norm"), dims=normalize_dims(dim, x.ndim, "norm"), keepdim=keepdim)
    return (x.abs() ** p).sum(dim, keepdim) ** (1 / p)


class Norm(Function):
    """Euclidean norm over dims; its gradient is x / norm, and 0 where the norm is 0."""

    name = "LinalgVectorNorm"

    def forward(self, k, x, dims, keepdim):
        self.kept = _kept_shape(x.shape, dims)
        out = k.forward("sqrt", k.sum(k.forward("mul", x, x), dims, keepdim))
        self.saved, self.result = (x,), out
        return out

    def backward(self, k, grad):
        x, out = self.saved[0], self.result
        zero = k.zeros((), grad.dtype)
        scale = k.where(k.compare("eq", out, zero), zero, k.forward("div", grad, out))
        return (k.forward("mul", x, scale.reshape(self.kept)),)


__all__ = [
    "MinMax", "all", "amax", "amin", "any", "argmax", "argmin", "logsumexp", "max", "mean", "min",
    "norm", "prod", "std", "sum", "var",
]  # fmt: skip
