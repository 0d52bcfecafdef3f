"""Operations that reduce dimensions: sums, means, variances, extrema and their positions."""

import warnings

from tensor import compare, dtypes, elementwise, return_types
from tensor.autograd import Operation
from tensor.operands import along_dims, normalize_dim, normalize_dims


def _kept_shape(shape, dims):
    return tuple(1 if d in dims else n for d, n in enumerate(shape))


class Sum(Operation):
    """Sum over dims; the gradient is the same for every summand."""

    def forward(self, k, x, dims, keepdim, overload):
        self.input_shape, self.dims, self.overload = x.shape, dims, overload
        return k.sum(x, dims, keepdim)

    def backward(self, k, grad):
        return (k.expand(grad.reshape(_kept_shape(self.input_shape, self.dims)), self.input_shape),)


class Mean(Operation):
    """Average over dims; nan over nothing."""

    def forward(self, k, x, dims, keepdim, overload=0):
        self.input_shape, self.dims, self.overload = x.shape, dims, overload
        self.count = _count(x.shape, dims)
        return k.forward("div", k.sum(x, dims, keepdim), k.full((), self.count, x.dtype))

    def backward(self, k, grad):
        grad = k.forward("div", grad, k.full((), self.count, grad.dtype))
        return (k.expand(grad.reshape(_kept_shape(self.input_shape, self.dims)), self.input_shape),)


class NanSum(Operation):
    """Sum over dims of what is not nan; the others get no gradient."""

    name = "Nansum"

    def forward(self, k, x, dims, keepdim):
        self.saved, self.kept = (x,), _kept_shape(x.shape, dims)
        return k.sum(k.where(k.compare("isnan", x), k.zeros((), x.dtype), x), dims, keepdim)

    def backward(self, k, grad):
        return (k.where(k.compare("isnan", self.saved[0]), k.zeros((), grad.dtype), grad.reshape(self.kept)),)


class Var(Operation):
    """Variance over dims: sum (x - mean)^2 / (count - correction)."""

    def forward(self, k, x, dims, keepdim, correction):
        kept = _kept_shape(x.shape, dims)
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

    def forward(self, k, x, dims, keepdim, overload):
        self.saved, self.dims, self.overload = (x,), dims, overload
        out = k.prod(x, dims)
        return out.reshape(_kept_shape(x.shape, dims)) if keepdim else out

    def backward(self, k, grad):
        return (k.prod_dx(self.saved[0], grad, self.dims),)


class Extreme(Operation):
    """Largest or smallest along a dim, at known positions; the gradient goes to that element."""

    def forward(self, k, x, positions, values, dim, keepdim, name, overload=0):
        self.saved, self.input_shape, self.dim, self.keepdim = (positions,), x.shape, dim, keepdim
        self.name, self.overload = name, overload
        return values

    def backward(self, k, grad):
        positions = self.saved[0]
        if not self.keepdim:
            kept = _kept_shape(self.input_shape, (self.dim,))
            positions, grad = positions.reshape(kept), grad.reshape(kept)
        return k.scatter_add(grad, k.along(positions, self.dim), self.input_shape), None


class ExtremeValue(Operation):
    """Largest (sign 1) or smallest (-1) over dims; equals share the gradient."""

    def forward(self, k, x, dims, keepdim, sign, name, overload=0):
        self.name, self.overload = name, overload
        moved = k.extreme_value(x, dims, sign) if dims else x
        self.kept, self.dims, self.saved = _kept_shape(x.shape, dims), dims, (x,)
        self.result = out = moved.reshape(self.kept) if keepdim else moved if dims else k.copy(x)
        return out

    def backward(self, k, grad):
        x, out = self.saved[0], self.result.reshape(self.kept)
        both_nan = k.compare("logical_and", k.compare("isnan", x), k.compare("isnan", out))
        hit = k.cast(k.compare("logical_or", k.compare("eq", x, out), both_nan), grad.dtype)
        count = k.sum(hit, self.dims, True)
        return (k.forward("mul", hit, k.forward("div", grad.reshape(self.kept), count)),)


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


def _dims(name, x, dim, keepdim):
    """Return the dims to reduce; TypeError unless keepdim is a bool."""
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
    dims = _dims("sum", input, dim, keepdim)
    x = input if dtype is None else _converted("sum", input, dtype)
    out = Sum.apply(x, dims=dims, keepdim=keepdim, overload=0 if dim is None else 1)
    return out if dtype is None else out.to(dtype)


@along_dims
def nansum(input, dim=None, keepdim=False, *, dtype=None):
    """Sum over `dim` (an int, several, or None for all) what is not nan."""
    if not input.dtype.is_floating_point:
        return sum(input, dim, keepdim, dtype=dtype)
    dims = _dims("nansum", input, dim, keepdim)
    return NanSum.apply(_converted("nansum", input, dtype), dims=dims, keepdim=keepdim)


@along_dims
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """Average over `dim` (an int, several, or None for all) of a float tensor; nan over nothing."""
    dims = _dims("mean", input, dim, keepdim)
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
    dims = _dims(name, x, dim, keepdim)
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
    dims = _dims("prod", input, dim, keepdim)
    x = input if dtype is None else _converted("prod", input, dtype)
    out = Prod.apply(x, dims=dims, keepdim=keepdim, overload=0 if dim is None else 1)
    return out if dtype is None else out.to(dtype)


def _not_empty(x, dims, operation, whole=True):
    for d in dims:
        if x.shape[d] == 0:
            if whole and len(dims) == x.ndim:
                raise RuntimeError(
                    f"{operation}(): Expected reduction dim to be specified for input.numel() == 0. "
                    "Specify the reduction dim with the 'dim' argument."
                )
            raise IndexError(f"{operation}(): Expected reduction dim {d} to have non-zero size.")


def _extreme(kind, sign, x, dim, keepdim, other):
    name = kind.__name__
    if hasattr(dim, "_array") or other is not None:
        pairwise = elementwise.maximum if sign > 0 else elementwise.minimum
        return pairwise(x, dim if other is None else other)
    if dim is None:
        _not_empty(x, range(x.ndim), name)
        return ExtremeValue.apply(
            x, dims=tuple(range(x.ndim)), keepdim=False, sign=sign, name=name.title(), overload=1
        )
    dim = normalize_dim(dim, x.ndim, name)
    if x.ndim:
        _not_empty(x, (dim,), name, whole=False)
    return kind(*pick_along(x, dim, keepdim, name.title(), lambda k, rows, d: k.extreme(rows, d, sign)))


def pick_along(x, dim, keepdim, name, find, overload=0):
    """Return the elements of `x` that `find` picks, one for each row along `dim`, and their positions.

    find(k, array, dim) returns two arrays without `dim`: values and int64 positions. Gradients go to what was
    picked. A 0-dim tensor counts as one of a single element.
    """
    array = x._array if x.ndim else x._array.reshape(1)
    values, positions = find(x._kernels, array, dim)
    if keepdim and x.ndim:
        kept = _kept_shape(x.shape, (dim,))
        values, positions = values.reshape(kept), positions.reshape(kept)
    indices = x._wrap(positions)
    keepdim = keepdim and x.ndim > 0
    if not x.ndim:
        x = x.reshape(1)
    out = Extreme.apply(x, indices, values=values, dim=dim, keepdim=keepdim, name=name, overload=overload)
    return out, indices


@along_dims
def max(input, dim=None, keepdim=False, *, other=None):
    """Return the largest element; with `dim`, (values, indices); with a tensor, `maximum`."""
    return _extreme(return_types.max, 1, input, dim, keepdim, other)


@along_dims
def min(input, dim=None, keepdim=False, *, other=None):
    """Return the smallest element; with `dim`, (values, indices); with a tensor, `minimum`."""
    return _extreme(return_types.min, -1, input, dim, keepdim, other)


@along_dims
def amax(input, dim=(), keepdim=False):
    """Return the largest over `dim` (all by default); equals share the gradient."""
    dims = _dims("amax", input, dim, keepdim)
    _not_empty(input, dims, "amax")
    return ExtremeValue.apply(input, dims=dims, keepdim=keepdim, sign=1, name="Amax")


@along_dims
def amin(input, dim=(), keepdim=False):
    """Return the smallest over `dim` (all by default); equals share the gradient."""
    dims = _dims("amin", input, dim, keepdim)
    _not_empty(input, dims, "amin")
    return ExtremeValue.apply(input, dims=dims, keepdim=keepdim, sign=-1, name="Amin")


@along_dims
def aminmax(input, *, dim=None, keepdim=False):
    """Return (min, max) of all elements, or along `dim`; equals share the gradient."""
    dims = _dims("aminmax", input, dim, keepdim)
    if dim is None and not input.numel():
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    _not_empty(input, dims, "aminmax", whole=False)
    return return_types.aminmax(
        *(ExtremeValue.apply(input, dims=dims, keepdim=keepdim, sign=s, name="Aminmax") for s in (-1, 1))
    )


def _arg(name, sign, x, dim, keepdim):
    if x.dtype is dtypes.bool:
        raise RuntimeError(f"{name}(): does not support bool input; use x.int()")
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
    dims = _dims(name, x, dim, keepdim)
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


class LogSumExp(Operation):
    """log(sum(exp(x))) over dims; the largest is subtracted first."""

    name = "Logsumexp"

    def forward(self, k, x, dims, keepdim):
        self.saved, self.kept = (x,), _kept_shape(x.shape, dims)
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
    dims = _dims("logsumexp", input, dim, keepdim)
    if not input.dtype.is_floating_point:
        input = input.to(dtypes.get_default_dtype())
    return LogSumExp.apply(input, dims=dims, keepdim=keepdim)


__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "count_nonzero", "logsumexp", "max", "mean",
    "min", "nanmean", "nansum", "pick_along", "prod", "std", "std_mean", "sum", "var", "var_mean",
]  # fmt: skip
