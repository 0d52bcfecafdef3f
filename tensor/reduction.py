"""Operations that reduce dimensions: sums, means, variances, products, and whether any or all hold."""

import warnings

from tensor import compare, dtypes
from tensor.autograd import Operation
from tensor.operands import along_dims, normalize_dims


def kept_shape(shape, dims):
    """Return the shape with 1 for each of `dims`."""
    return tuple(1 if d in dims else n for d, n in enumerate(shape))


class Sum(Operation):
    """Sum over dims; the gradient is the same for every summand."""

    gradients_in_words = ("grad, the same for every summand",)

    def forward(self, k, x, dims, keepdim, overload):
        self.input_shape, self.dims, self.overload = x.shape, dims, overload
        return k.sum(x, dims, keepdim)

    def backward(self, k, grad):
        return (k.expand(grad.reshape(kept_shape(self.input_shape, self.dims)), self.input_shape),)


class Mean(Operation):
    """Average over dims; nan over nothing."""

    gradients_in_words = ("grad / count, the same for every element",)

    def forward(self, k, x, dims, keepdim, overload=0):
        self.input_shape, self.dims, self.overload = x.shape, dims, overload
        self.count = _count(x.shape, dims)
        return k.forward("div", k.sum(x, dims, keepdim), k.full((), self.count, x.dtype))

    def backward(self, k, grad):
        grad = k.forward("div", grad, k.full((), self.count, grad.dtype))
        return (k.expand(grad.reshape(kept_shape(self.input_shape, self.dims)), self.input_shape),)


class NanSum(Operation):
    """Sum over dims of what is not nan; the others get no gradient."""

    name = "Nansum"
    gradients_in_words = ("grad where {0} is no nan, else 0",)

    def forward(self, k, x, dims, keepdim):
        self.saved, self.kept = (x,), kept_shape(x.shape, dims)
        return k.sum(k.where(k.compare("isnan", x), k.zeros((), x.dtype), x), dims, keepdim)

    def backward(self, k, grad):
        return (k.where(k.compare("isnan", self.saved[0]), k.zeros((), grad.dtype), grad.reshape(self.kept)),)


class Var(Operation):
    """Variance over dims: sum (x - mean)^2 / (count - correction)."""

    gradients_in_words = ("grad * 2 * ({0} - mean) / (count - correction)",)

    def forward(self, k, x, dims, keepdim, correction):
        kept = kept_shape(x.shape, dims)
        count = _count(x.shape, dims)
        mean = k.forward("div", k.sum(x, dims, True), k.full((), count, x.dtype))
        self.free = count - correction if count > correction else 0
        out = k.square_deviation(x, mean, dims)
        out = k.forward("div", out, k.full((), self.free, x.dtype))
        self.saved, self.dims, self.count, self.kept = (x,), dims, count, kept
        return out.reshape(kept) if keepdim else out

    def backward(self, k, grad):
        x = self.saved[0]
        scale = k.forward("mul", grad.reshape(self.kept), k.full((), 2.0, grad.dtype))
        scale = k.forward("div", scale, k.full((), self.free, grad.dtype))
        mean = k.forward("div", k.sum(x, self.dims, True), k.full((), self.count, grad.dtype))
        return (k.forward("mul", k.forward("sub", x, mean), scale),)


class Std(Var):
    """Standard deviation over dims; its gradient is 0 where the deviation is 0."""

    gradients_in_words = ("grad * ({0} - mean) / (out * (count - correction))",)

    def forward(self, k, x, dims, keepdim, correction):
        out = k.forward("sqrt", super().forward(k, x, dims, keepdim, correction))
        self.result = out
        return out

    def backward(self, k, grad):
        out = self.result
        zero, one = k.zeros((), grad.dtype), k.full((), 1.0, grad.dtype)
        constant = k.compare("eq", out, zero)
        half = k.derivative("sqrt", 0, (None,), k.where(constant, one, out), grad)
        return super().backward(k, k.where(constant, zero, half))


class Prod(Operation):
    """Product over dims."""

    gradients_in_words = ("grad * the product of the others",)

    def forward(self, k, x, dims, keepdim, overload):
        self.saved, self.dims, self.overload = (x,), dims, overload
        out = k.prod(x, dims)
        return out.reshape(kept_shape(x.shape, dims)) if keepdim else out

    def backward(self, k, grad):
        return (k.prod_dx(self.saved[0], grad, self.dims),)


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


def check_dims(name, x, dim, keepdim):
    """Return the dims to reduce; TypeError unless `keepdim` is a bool."""
    if not isinstance(keepdim, bool):
        raise TypeError(f"{name}(): argument 'keepdim' must be bool, not {type(keepdim).__name__}")
    return normalize_dims(dim, x.ndim, name)


def _converted(name, x, dtype):
    if dtype is None or x.dtype is dtype:
        return x
    if x.requires_grad and not dtype.is_floating_point:
        raise RuntimeError(
            f"{name}: Autograd not support dtype: {dtype!r}; detach() first: integers have no gradient"
        )
    return x.to(dtype)


@along_dims
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """Sum over `dim` (an int, several, or None for all). Integers and bools give int64, or `dtype`."""
    dims = check_dims("sum", input, dim, keepdim)
    x = input if dtype is None else _converted("sum", input, dtype)
    out = Sum.apply(x, dims=dims, keepdim=keepdim, overload=0 if dim is None else 1)
    return out if dtype is None else out.to(dtype)


@along_dims
def nansum(input, dim=None, keepdim=False, *, dtype=None):
    """Sum over `dim` (an int, several, or None for all) what is not nan."""
    if not input.dtype.is_floating_point:
        return sum(input, dim, keepdim, dtype=dtype)
    dims = check_dims("nansum", input, dim, keepdim)
    return NanSum.apply(_converted("nansum", input, dtype), dims=dims, keepdim=keepdim)


@along_dims
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """Average over `dim` (an int, several, or None for all) of a float tensor; nan over nothing."""
    dims = check_dims("mean", input, dim, keepdim)
    x = _float(input if dtype is None else _converted("mean", input, dtype), "mean")
    return Mean.apply(x, dims=dims, keepdim=keepdim, overload=0 if dim is None else 1)


@along_dims
def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """Average over `dim` (an int, several, or None for all) of what is not nan; nan over nothing."""
    counts = sum(compare.logical_not(compare.isnan(_float(input, "nanmean"))), dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / counts


def _correction(unbiased, correction):
    if unbiased is not None and correction is not None:
        raise TypeError("var: pass correction= or unbiased=, not both")
    if correction is not None:
        return correction
    return 0 if unbiased is False else 1


def _spread(operation, name, x, dim, unbiased, keepdim, correction):
    dim, unbiased = _split_unbiased(dim, unbiased)
    dims = check_dims(name, x, dim, keepdim)
    correction = _correction(unbiased, correction)
    if _count(x.shape, dims) <= correction:
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction "
            f"factor (input numel divided by output numel), got {correction} for {_count(x.shape, dims)}.",
            stacklevel=4,
        )
    return operation.apply(_float(x, name), dims=dims, keepdim=keepdim, correction=correction)


def _split_unbiased(dim, unbiased):
    return (None, dim) if isinstance(dim, bool) else (dim, unbiased)  # x.var(False): the old signature


@along_dims
def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """Variance over `dim`, divided by count - correction (1 by default: Bessel's)."""
    return _spread(Var, "var", input, dim, unbiased, keepdim, correction)


@along_dims
def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """Standard deviation over `dim`, divided by count - correction (1 by default)."""
    return _spread(Std, "std", input, dim, unbiased, keepdim, correction)


class VarMean(Var):
    """The variance of the pair that `var_mean` returns."""


class StdMean(Std):
    """The standard deviation of the pair that `std_mean` returns."""


class _MeanOfPair(Mean):
    def forward(self, k, x, dims, keepdim, name):
        self.name = name
        return super().forward(k, x, dims, keepdim)


def _with_mean(operation, name, x, dim, unbiased, keepdim, correction):
    if not x.dtype.is_floating_point:
        raise RuntimeError(f"{name} only support floating point dtypes, got {x.dtype!r}; use x.float()")
    spread = _spread(operation, name, x, dim, unbiased, keepdim, correction)
    dims = normalize_dims(_split_unbiased(dim, unbiased)[0], x.ndim, name)
    return spread, _MeanOfPair.apply(x, dims=dims, keepdim=keepdim, name=operation.__name__)


@along_dims
def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """Return (variance, mean) over `dim`; the options are those of `var`."""
    return _with_mean(VarMean, "var_mean", input, dim, unbiased, keepdim, correction)


@along_dims
def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """Return (standard deviation, mean) over `dim`; the options are those of `std`."""
    return _with_mean(StdMean, "std_mean", input, dim, unbiased, keepdim, correction)


@along_dims
def prod(input, dim=None, keepdim=False, *, dtype=None):
    """Multiply over one `dim`, or over all for None. Integers and bools give int64, or `dtype`."""
    if isinstance(dim, tuple | list):
        raise TypeError(
            f"prod: dim must be one int or None, got {dim!r}; multiply over one dim after the other"
        )
    dims = check_dims("prod", input, dim, keepdim)
    x = input if dtype is None else _converted("prod", input, dtype)
    out = Prod.apply(x, dims=dims, keepdim=keepdim, overload=0 if dim is None else 1)
    return out if dtype is None else out.to(dtype)


def _whether(name, x, dim, keepdim):
    dims = check_dims(name, x, dim, keepdim)
    out = getattr(x._kernels, name)(x._array, dims)
    if x.dtype is dtypes.uint8:  # as PyTorch, where uint8 was the mask before bool existed
        out = x._kernels.cast(out, x._array.dtype)
    return x._wrap(out.reshape(kept_shape(x.shape, dims)) if keepdim else out)


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


class LogSumExp(Operation):
    """log(sum(exp(x))) over dims; the largest is subtracted first."""

    name = "Logsumexp"
    gradients_in_words = ("grad * exp({0} - out)",)

    def forward(self, k, x, dims, keepdim):
        self.saved, self.kept = (x,), kept_shape(x.shape, dims)
        if x.size:
            top = (k.extreme_value(x, dims, 1) if dims else x).reshape(self.kept)
            top = k.where(k.compare("isinf", top), k.zeros((), x.dtype), top)
        else:
            top = k.zeros((), x.dtype)
        total = k.sum(k.forward("exp", k.forward("sub", x, top)), dims, True)
        out = k.forward("add", k.forward("log", total), top)
        if not keepdim:
            out = out.reshape(tuple(n for d, n in enumerate(x.shape) if d not in dims))
        self.result = out
        return out

    def backward(self, k, grad):
        share = k.forward("exp", k.forward("sub", self.saved[0], self.result.reshape(self.kept)))
        return (k.forward("mul", grad.reshape(self.kept), share),)


@along_dims
def logsumexp(input, dim, keepdim=False):
    """Return log(sum(exp(input))) over `dim`, stable: the largest is subtracted first."""
    dims = check_dims("logsumexp", input, dim, keepdim)
    if not input.dtype.is_floating_point:
        input = input.to(dtypes.get_default_dtype())
    return LogSumExp.apply(input, dims=dims, keepdim=keepdim)


__all__ = [
    "all", "any", "check_dims", "count_nonzero", "kept_shape", "logsumexp", "mean", "nanmean", "nansum",
    "prod", "std", "std_mean", "sum", "var", "var_mean",
]  # fmt: skip
