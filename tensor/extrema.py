"""The largest and the smallest: their values over any dims, and their positions along one."""

from tensor import dtypes, elementwise, return_types
from tensor.autograd import Operation
from tensor.operands import along_dims, normalize_dim
from tensor.reduction import check_dims, kept_shape


class Extreme(Operation):
    """Largest or smallest along a dim, at known positions; the gradient goes to that element."""

    gradients_in_words = ("grad at the position found, else 0",)

    def forward(self, k, x, positions, values, dim, keepdim, name, overload=0):
        self.saved, self.input_shape, self.dim, self.keepdim = (positions,), x.shape, dim, keepdim
        self.name, self.overload = name, overload
        return values

    def backward(self, k, grad):
        positions = self.saved[0]
        if not self.keepdim:
            kept = kept_shape(self.input_shape, (self.dim,))
            positions, grad = positions.reshape(kept), grad.reshape(kept)
        return k.scatter_add(grad, k.along(positions, self.dim), self.input_shape), None


class ExtremeValue(Operation):
    """Largest (sign 1) or smallest (-1) over dims; equals share the gradient."""

    gradients_in_words = ("grad, shared by the elements that equal the result",)

    def forward(self, k, x, dims, keepdim, sign, name, overload=0):
        self.name, self.overload = name, overload
        moved = k.extreme_value(x, dims, sign) if dims else x
        self.kept, self.dims, self.saved = kept_shape(x.shape, dims), dims, (x,)
        self.result = out = moved.reshape(self.kept) if keepdim else moved if dims else k.copy(x)
        return out

    def backward(self, k, grad):
        x, out = self.saved[0], self.result.reshape(self.kept)
        both_nan = k.compare("logical_and", k.compare("isnan", x), k.compare("isnan", out))
        hit = k.cast(k.compare("logical_or", k.compare("eq", x, out), both_nan), grad.dtype)
        count = k.sum(hit, self.dims, True)
        return (k.forward("mul", hit, k.forward("div", grad.reshape(self.kept), count)),)


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
    check_dims(name, x, dim, keepdim)
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
        kept = kept_shape(x.shape, (dim,))
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
    dims = check_dims("amax", input, dim, keepdim)
    _not_empty(input, dims, "amax")
    return ExtremeValue.apply(input, dims=dims, keepdim=keepdim, sign=1, name="Amax")


@along_dims
def amin(input, dim=(), keepdim=False):
    """Return the smallest over `dim` (all by default); equals share the gradient."""
    dims = check_dims("amin", input, dim, keepdim)
    _not_empty(input, dims, "amin")
    return ExtremeValue.apply(input, dims=dims, keepdim=keepdim, sign=-1, name="Amin")


@along_dims
def aminmax(input, *, dim=None, keepdim=False):
    """Return (min, max) of all elements, or along `dim`; equals share the gradient."""
    dims = check_dims("aminmax", input, dim, keepdim)
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
        positions = positions.reshape(kept_shape(x.shape, range(x.ndim) if dim is None else (d,)))
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


__all__ = [
    "Extreme", "ExtremeValue", "amax", "amin", "aminmax", "argmax", "argmin", "max", "min", "pick_along",
]  # fmt: skip
