"""Order along a dim: sorting, the largest, the k-th, medians, modes and quantiles."""

from tensor import compare, dtypes, elementwise, return_types
from tensor.extrema import ExtremeValue, pick_along
from tensor.operands import along_dims, normalize_dim
from tensor.scattering import Picked, gather


class Sort(Picked):
    """Elements in order."""


class Topk(Picked):
    """The largest or smallest elements."""


def _arranged(operation, kind, x, dim, find, overload=0):
    """Return (values, indices) that `find(k, array)` makes of a tensor; a 0-dim one counts as one element."""
    array = x._array if x.ndim else x._array.reshape(1)
    values, positions = find(x._kernels, array)
    if not x.ndim:
        values, positions = values.reshape(x.shape), positions.reshape(x.shape)
    indices = x._wrap(positions)
    out = operation.apply(x, indices, dim=dim, values=values, overload=overload)
    return kind(out, indices)


@along_dims
def sort(input, dim=-1, descending=False, *, stable=None):
    """Return (values, indices) sorted along `dim`; nan counts as the largest. Equals stay in order.

    `stable` asks for that order of equals; PyTorch may exchange them without it.
    """
    d = normalize_dim(dim, input.ndim, "sort")

    def find(k, array):
        return k.sort(array, d, bool(descending))

    return _arranged(Sort, return_types.sort, input, d, find, 0 if stable is None else 1)


@along_dims
def argsort(input, dim=-1, descending=False, *, stable=False):
    """Return the indices that sort along `dim`; see `sort`."""
    return sort(input.detach(), dim, descending, stable=stable).indices


def msort(input):
    """Return `input` sorted along dim 0."""
    return sort(input, 0).values


@along_dims
def topk(input, k, dim=-1, largest=True, sorted=True):
    """Return (values, indices) of the `k` largest (or smallest) along `dim`, best first.

    They are in order also without `sorted`. Of equals at the limit the first are chosen; PyTorch's choice is
    not defined.
    """
    d = normalize_dim(dim, input.ndim, "topk")
    if input.dtype is dtypes.bool:
        raise RuntimeError("topk does not support bool dtypes; use x.int()")
    if not 0 <= k <= (input.shape[d] if input.ndim else 1):
        raise RuntimeError(
            f"topk: selected index k out of range, {k} of {input.shape[d] if input.ndim else 1} elements"
        )
    if not input.ndim and k == 0:
        return return_types.topk(input.new_zeros(0), input.new_zeros(0, dtype=dtypes.int64))
    return _arranged(Topk, return_types.topk, input, d, lambda k_, a: k_.topk(a, k, d, bool(largest)))


@along_dims
def kthvalue(input, k, dim=-1, keepdim=False):
    """Return (values, indices) of the `k`-th smallest along `dim`, counted from 1."""
    d = normalize_dim(dim, input.ndim, "kthvalue")
    if not 1 <= k <= (input.shape[d] if input.ndim else 1):
        raise RuntimeError(
            f"kthvalue: selected number k out of range for dimension {d}: {k} of "
            f"{input.shape[d] if input.ndim else 1} elements"
        )
    return return_types.kthvalue(
        *pick_along(input, d, keepdim, "Kthvalue", lambda k_, array, at: k_.kth(array, k - 1, at))
    )


class Median(ExtremeValue):
    """The median of all elements; equals share the gradient."""

    def forward(self, k, x, ignore_nan, name):
        self.name, self.kept, self.dims, self.saved = name, (1,) * x.ndim, tuple(range(x.ndim)), (x,)
        flat = x.reshape(-1)
        self.result = out = k.median(flat, 0, ignore_nan)[0] if flat.shape[0] else k.full((), _NAN, x.dtype)
        return out


_NAN = float("nan")


def _median(name, kind, input, dim, keepdim, ignore_nan):
    if input.dtype is dtypes.bool:
        raise NotImplementedError(f"{name}: not implemented for bool tensors; use x.int()")
    if dim is None:
        if not input.numel() and not input.dtype.is_floating_point:
            return input.new_full((), input.dtype.limits[0])
        return Median.apply(input, ignore_nan=ignore_nan, name=name.title())
    d = normalize_dim(dim, input.ndim, name)
    if input.ndim and input.shape[d] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    return kind(
        *pick_along(
            input, d, keepdim, name.title(), lambda k, array, at: k.median(array, at, ignore_nan), overload=1
        )
    )


@along_dims
def median(input, dim=None, keepdim=False):
    """Return the median of all, or (values, indices) along `dim`: of two in the middle the lower one.

    nan, if there is a nan.
    """
    return _median("median", return_types.median, input, dim, keepdim, False)


@along_dims
def nanmedian(input, dim=None, keepdim=False):
    """Return the median, as `median`, of what is not nan."""
    return _median("nanmedian", return_types.nanmedian, input, dim, keepdim, True)


@along_dims
def mode(input, dim=-1, keepdim=False):
    """Return (values, indices) of the most frequent along `dim`; of several the smallest."""
    d = normalize_dim(dim, input.ndim, "mode")
    if input.ndim and input.shape[d] == 0:
        raise IndexError(f"mode(): Expected reduction dim {d} to have non-zero size.")
    return return_types.mode(*pick_along(input, d, keepdim, "Mode", lambda k, array, at: k.mode(array, at)))


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name, input, q, dim, keepdim, interpolation, ignore_nan):
    if not input.dtype.is_floating_point:
        raise RuntimeError(f"{name}(): input tensor must be float or double, got {input.dtype!r}")
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            f"{name}(): interpolation must be one of {', '.join(_INTERPOLATIONS)}, got {interpolation!r}"
        )
    if not hasattr(q, "_array"):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}(): q must be in the range [0, 1] but got {q}")
        q = input.new_tensor(float(q))
    if q.ndim > 1:
        raise RuntimeError(f"{name}(): q must be a scalar or 1D tensor, got shape {tuple(q.shape)}")
    if q.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}(): q tensor must be of the input's dtype {input.dtype!r}, got {q.dtype!r}"
        )
    if not bool(((q >= 0) & (q <= 1)).all()):
        raise RuntimeError(f"{name}(): q values must be in the range [0, 1]")
    if not input.numel():
        raise RuntimeError(f"{name}(): input tensor must be non-empty")
    if dim is None:
        kept, lines = (1,) * input.ndim, input.reshape(-1)
    else:
        d = normalize_dim(dim, input.ndim, name)
        kept = tuple(1 if e == d else n for e, n in enumerate(input.shape))
        lines = input.movedim(d, -1) if input.ndim else input.reshape(1)
    found = _at_ranks(lines, q.reshape(-1), interpolation, ignore_nan)
    # found: the lines' shape, with a last dim for q; that comes first, and the reduced dim may be kept.
    found = found.movedim(-1, 0)
    shape = kept if keepdim else tuple(found.shape[1:])
    return found.reshape(*q.shape, *shape)


def _at_ranks(lines, q, interpolation, ignore_nan):
    """Return the values at ranks q * (count - 1) of each line, sorted: a last dim of as many as q."""
    ordered, nan = sort(lines, -1).values, compare.isnan(lines.detach())
    last = lines.shape[-1] - 1
    if ignore_nan:
        counts = compare.logical_not(nan).sum(-1, keepdim=True).to(lines.dtype)
        ranks = (q.detach() * (counts - 1)).clamp(min=0)
    else:
        ranks = elementwise.where(nan.any(-1, keepdim=True), float(last), q.detach() * last)
    if interpolation in ("lower", "higher", "nearest"):
        rounded = {"lower": ranks.floor, "higher": ranks.ceil, "nearest": ranks.round}[interpolation]()
        return gather(ordered, -1, rounded.to(dtypes.int64))
    below, above = ranks.floor(), ranks.ceil()
    weight = ranks - below if interpolation == "linear" else ranks.new_full((), 0.5)
    low = gather(ordered, -1, below.to(dtypes.int64))
    high = gather(ordered, -1, above.to(dtypes.int64))
    apart = high - low
    # As `lerp`, from the nearer end: exact at both.
    return elementwise.where(weight < 0.5, low + weight * apart, high - apart * (1 - weight))


@along_dims
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """Return the quantiles `q` (a number in [0, 1], or a 1-D tensor of them) of all, or along `dim`.

    A dim for a 1-D `q` comes first. interpolation between two elements: "linear", "lower", "higher",
    "midpoint" or "nearest". nan, if there is a nan.
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@along_dims
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """Return the quantiles, as `quantile`, of what is not nan."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)
