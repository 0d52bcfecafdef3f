"""Operations that reduce dimensions: sums, means, variances, extrema and their positions."""

from collections import namedtuple

from tensor import dtypes, elementwise
from tensor.autograd import Operation
from tensor.operands import along_dims, normalize_dim, normalize_dims

MinMax = namedtuple("MinMax", "values indices")


def _kept_shape(shape, dims):
    return tuple(1 if d in dims else n for d, n in enumerate(shape))


class Sum(Operation):
    """Sum over dims; the gradient is the same for every summand."""

    def forward(self, k, x, dims, keepdim):
        self.input_shape, self.dims = x.shape, dims
        return k.sum(x, dims, keepdim)

    def backward(self, k, grad):
        return (k.expand(grad.reshape(_kept_shape(self.input_shape, self.dims)), self.input_shape),)


class Mean(Operation):
    """Average over dims; nan over nothing."""

    def forward(self, k, x, dims, keepdim):
        self.input_shape, self.dims = x.shape, dims
        self.count = _count(x.shape, dims)
        return k.forward("div", k.sum(x, dims, keepdim), k.full((), self.count, x.dtype))

    def backward(self, k, grad):
        grad = k.forward("div", grad, k.full((), self.count, grad.dtype))
        return (k.expand(grad.reshape(_kept_shape(self.input_shape, self.dims)), self.input_shape),)


class Var(Operation):
    """Variance over dims: sum (x - mean)^2 / (count - correction)."""

    def forward(self, k, x, dims, keepdim, correction):
        kept = _kept_shape(x.shape, dims)
        count = _count(x.shape, dims)
        self.mean = k.forward("div", k.sum(x, dims, True), k.full((), count, x.dtype))
        self.free = count - correction if count > correction else 0
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


class Prod(Operation):
    """Product over dims."""

    def forward(self, k, x, dims, keepdim):
        self.saved, self.dims = (x,), dims
        out = k.prod(x, dims)
        return out.reshape(_kept_shape(x.shape, dims)) if keepdim else out

    def backward(self, k, grad):
        return (k.prod_dx(self.saved[0], grad, self.dims),)


class Extreme(Operation):
    """Largest or smallest along a dim, at known positions; the gradient goes to that element."""

    def forward(self, k, x, positions, values, dim, keepdim):
        self.saved, self.input_shape, self.dim, self.keepdim = (positions,), x.shape, dim, keepdim
        return values

    def backward(self, k, grad):
        positions = self.saved[0]
        if not self.keepdim:
            kept = _kept_shape(self.input_shape, (self.dim,))
            positions, grad = positions.reshape(kept), grad.reshape(kept)
        return k.scatter_add(grad, k.along(positions, self.dim), self.input_shape), None


class ExtremeValue(Operation):
    """Largest (sign 1) or smallest (-1) over dims; equals share the gradient."""

    def forward(self, k, x, dims, keepdim, sign):
        moved = x
        for d in reversed(dims):
            moved = k.extreme(moved, d, sign)[0]
        self.kept, self.dims, self.saved = _kept_shape(x.shape, dims), dims, (x,)
        self.result = out = moved.reshape(self.kept) if keepdim else moved if dims else k.copy(x)
        return out

    def backward(self, k, grad):
        x, out = self.saved[0], self.result.reshape(self.kept)
        both_nan = k.compare("logical_and", k.compare("isnan", x), k.compare("isnan", out))
        hit = k.cast(k.compare("logical_or", k.compare("eq", x, out), both_nan), grad.dtype)
        count = k.sum(hit, self.dims, True)
        return (k.forward("mul", hit, k.forward("div", grad.reshape(self.kept), count)),)


class CumSum(Operation):
    """Running sums along a dim."""

    def forward(self, k, x, dim):
        self.dim = dim
        return k.cumsum(x, dim)

    def backward(self, k, grad):
        return (k.cumsum(grad, self.dim, from_end=True),)


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


@along_dims
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """Sum over `dim` (an int, several, or None for all). Integers and bools give int64."""
    input = input if dtype is None else input.to(dtype)
    return Sum.apply(input, dims=normalize_dims(dim, input.ndim, "sum"), keepdim=keepdim)


@along_dims
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """Average over `dim` (an int, several, or None for all) of a float tensor; nan over nothing."""
    input = input if dtype is None else input.to(dtype)
    return Mean.apply(_float(input, "mean"), dims=normalize_dims(dim, input.ndim, "mean"), keepdim=keepdim)


def _correction(unbiased, correction):
    if unbiased is not None and correction is not None:
        raise TypeError("var: pass correction= or unbiased=, not both")
    if correction is not None:
        return correction
    return 0 if unbiased is False else 1


def _split_unbiased(dim, unbiased):
    return (None, dim) if isinstance(dim, bool) else (dim, unbiased)  # x.var(False): the old signature


@along_dims
def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """Variance over `dim`, divided by count - correction (1 by default: Bessel's)."""
    dim, unbiased = _split_unbiased(dim, unbiased)
    dims = normalize_dims(dim, input.ndim, "var")
    return Var.apply(
        _float(input, "var"), dims=dims, keepdim=keepdim, correction=_correction(unbiased, correction)
    )


@along_dims
def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """Standard deviation over `dim`, divided by count - correction (1 by default)."""
    dim, unbiased = _split_unbiased(dim, unbiased)
    dims = normalize_dims(dim, input.ndim, "std")
    return Std.apply(
        _float(input, "std"), dims=dims, keepdim=keepdim, correction=_correction(unbiased, correction)
    )


@along_dims
def prod(input, dim=None, keepdim=False, *, dtype=None):
    """Multiply over one `dim`, or over all for None. Integers and bools give int64."""
    input = input if dtype is None else input.to(dtype)
    if isinstance(dim, tuple | list):
        raise TypeError(
            f"prod: dim must be one int or None, got {dim!r}; multiply over one dim after the other"
        )
    return Prod.apply(input, dims=normalize_dims(dim, input.ndim, "prod"), keepdim=keepdim)


def _not_empty(x, dims, operation, whole=True):
    for d in dims:
        if x.shape[d] == 0:
            if whole and len(dims) == x.ndim:
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
    if x.ndim == 0:
        return MinMax(x.clone(), x._wrap(x._kernels.zeros((), dtypes.int64._array)))
    _not_empty(x, (dim,), name, whole=False)
    found = x._kernels.extreme(x._array, dim, sign)
    if keepdim:
        kept = _kept_shape(x.shape, (dim,))
        found = [a.reshape(kept) for a in found]
    indices = x._wrap(found[1])
    return MinMax(Extreme.apply(x, indices, values=found[0], dim=dim, keepdim=keepdim), indices)


@along_dims
def max(input, dim=None, keepdim=False, *, other=None):
    """Return the largest element; with `dim`, (values, indices); with a tensor, `maximum`."""
    return _extreme("max", 1, input, dim, keepdim, other)


@along_dims
def min(input, dim=None, keepdim=False, *, other=None):
    """Return the smallest element; with `dim`, (values, indices); with a tensor, `minimum`."""
    return _extreme("min", -1, input, dim, keepdim, other)


@along_dims
def amax(input, dim=(), keepdim=False):
    """Return the largest over `dim` (all by default); equals share the gradient."""
    dims = normalize_dims(dim, input.ndim, "amax")
    _not_empty(input, dims, "amax")
    return ExtremeValue.apply(input, dims=dims, keepdim=keepdim, sign=1)


@along_dims
def amin(input, dim=(), keepdim=False):
    """Return the smallest over `dim` (all by default); equals share the gradient."""
    dims = normalize_dims(dim, input.ndim, "amin")
    _not_empty(input, dims, "amin")
    return ExtremeValue.apply(input, dims=dims, keepdim=keepdim, sign=-1)


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


@along_dims
def argmax(input, dim=None, keepdim=False):
    """Return where the largest is, as int64, along `dim` or in the flattened tensor; the first of equals."""
    return _arg("argmax", 1, input, dim, keepdim)


@along_dims
def argmin(input, dim=None, keepdim=False):
    """Return where the smallest is, as int64, along `dim` or in the flattened tensor; the first of equals."""
    return _arg("argmin", -1, input, dim, keepdim)


def _whether(name, x, dim, keepdim):
    dims = normalize_dims(dim, x.ndim, name)
    out = getattr(x._kernels, name)(x._array, dims)
    if x.dtype is dtypes.uint8:  # as PyTorch, where uint8 was the mask before bool existed
        out = x._kernels.cast(out, x._array.dtype)
    return x._wrap(out.reshape(_kept_shape(x.shape, dims)) if keepdim else out)


@along_dims
def any(input, dim=None, keepdim=False):
    """Return whether any element (along `dim`) is not zero."""
    return _whether("any", input, dim, keepdim)


@along_dims
def all(input, dim=None, keepdim=False):
    """Return whether every element (along `dim`) is not zero."""
    return _whether("all", input, dim, keepdim)


@along_dims
def count_nonzero(input, dim=None):
    """Return how many elements (along `dim`) are not zero, as int64."""
    return (input != 0).sum(dim)


@along_dims
def cumsum(input, dim, *, dtype=None):
    """Return the running sums along `dim`. Integers and bools give int64."""
    input = input if dtype is None else input.to(dtype)
    return CumSum.apply(input, dim=normalize_dim(dim, input.ndim, "cumsum"))


@along_dims
def logsumexp(input, dim, keepdim=False):
    """Return log(sum(exp(input))) over `dim`, stable: the largest is subtracted first."""
    dims = normalize_dims(dim, input.ndim, "logsumexp")
    top = amax(input, dims, True).detach()
    top = top.masked_fill(top.isinf(), 0.0)
    out = (input - top).exp().sum(dims, True).log() + top
    return out if keepdim else out.squeeze(dims)


@along_dims
def norm(input, p=2, dim=None, keepdim=False):
    """Return (sum |input|^p)^(1/p) over `dim`; p: a number, inf, -inf or "fro" (2)."""
    p = 2 if p in ("fro", None) else float(p)
    if p == float("inf"):
        return amax(input.abs(), () if dim is None else dim, keepdim)
    if p == -float("inf"):
        return amin(input.abs(), () if dim is None else dim, keepdim)
    if p == 0:
        return (input != 0).to(input.dtype).sum(dim, keepdim)
    if p == 1:
        return input.abs().sum(dim, keepdim)
    if p == 2:
        return Norm.apply(
            _float(input, "norm"), dims=normalize_dims(dim, input.ndim, "norm"), keepdim=keepdim
        )
    return (input.abs() ** p).sum(dim, keepdim) ** (1 / p)


class Norm(Operation):
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
    "MinMax", "all", "amax", "amin", "any", "argmax", "argmin", "count_nonzero", "cumsum", "logsumexp", "max",
    "mean", "min", "norm", "prod", "std", "sum", "var",
]  # fmt: skip
