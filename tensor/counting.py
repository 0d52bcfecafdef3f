"""Distinct elements, and counting: bins, histograms, places in a sorted row. No gradient flows."""

from tensor import dtypes, return_types
from tensor.operands import as_tensor_like, common_dtype, find_tensor, normalize_dim, require_tensor


def _asked(found, inverse, counts, return_inverse, return_counts):
    parts = (found, *([inverse] if return_inverse else []), *([counts] if return_counts else []))
    return parts if len(parts) > 1 else found


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """Return the distinct elements, or slices along `dim`, in order (also without `sorted`).

    return_inverse: also where each element (slice) of `input` stands among them; return_counts: also how
    often each is there.
    """
    require_tensor("unique", "input", input)
    k, array = input._kernels, input._array
    if dim is None and not return_inverse and not return_counts:
        return input._wrap(k.unique_only(array))
    d = None if dim is None else normalize_dim(dim, input.ndim, "unique")
    return _asked(*map(input._wrap, k.unique(array, d)), return_inverse, return_counts)


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """Return `input`, flat or along `dim`, without elements (slices) equal to the one before.

    return_inverse: also where each element (slice) stands in that; return_counts: also the lengths of runs.
    """
    require_tensor("unique_consecutive", "input", input)
    k, shape = input._kernels, input._array.shape
    if dim is None:
        found, inverse, counts = k.unique_consecutive(input._array.reshape(-1), 0)
        inverse = inverse.reshape(shape)
    else:
        d = normalize_dim(dim, input.ndim, "unique_consecutive")
        found, inverse, counts = k.unique_consecutive(input._array, d)
    return _asked(*map(input._wrap, (found, inverse, counts)), return_inverse, return_counts)


def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Return which of `elements` are among `test_elements` (one of the two may be a number).

    assume_unique says that neither repeats elements; it changes no result.
    """
    like, joint = find_tensor((elements, test_elements), "isin"), common_dtype((elements, test_elements))
    x, among = (as_tensor_like(like, v, joint, "isin") for v in (elements, test_elements))
    found = like._wrap(like._kernels.isin(x._array, among._array))
    return ~found if invert else found


def bincount(input, weights=None, minlength=0):
    """Return how often each of 0, 1, 2, ... stands in a 1-D tensor of non-negative integers, as int64.

    weights: add these up instead, one for each element: float32 stays, all others give float64. minlength:
    the least number of bins.
    """
    if input.dtype.is_floating_point or input.dtype is dtypes.bool:
        raise NotImplementedError(f"bincount: expected integers, got {input.dtype!r}; use x.long()")
    if minlength < 0:
        raise RuntimeError(f"bincount: minlength should be >= 0, got {minlength}")
    if input.ndim != 1 or (input.numel() and int(input.min()) < 0):
        raise RuntimeError(
            "bincount only supports 1-d non-negative integral inputs, got shape "
            f"{tuple(input.shape)}; use x.flatten()"
        )
    if weights is not None and weights.shape != input.shape:
        raise RuntimeError(
            f"bincount: weights should be 1-d and have the same length as input, got {tuple(weights.shape)} "
            f"for {tuple(input.shape)}"
        )
    k = input._kernels
    if weights is None or not input.numel():
        return input._wrap(k.bincount(input._array, None, minlength))
    summed = k.bincount(input._array, weights._array, minlength)
    wanted = dtypes.float32 if weights.dtype is dtypes.float32 else dtypes.float64
    return input._wrap(k.cast(summed, wanted._array))


def _range_of(name, x, low, high):
    """Return the limits of a histogram: those given, or the least and the largest element."""
    if low == high and x.numel():
        low, high = x.min().item(), x.max().item()
    if low == high:
        low, high = (low - 0.5, high + 0.5) if name == "histogram" else (low - 1, high + 1)
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min, got {low} and {high}")
    return low, high


def histc(input, bins=100, min=0, max=0):
    """Return how many elements lie in each of `bins` equal intervals of [min, max], as floats.

    Where min equals max, the range is that of the elements. Elements outside are not counted.
    """
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"histc: not implemented for {input.dtype!r}; use x.float()")
    if bins <= 0:
        raise RuntimeError(f"histc: bins must be > 0, got {bins}")
    x = input.detach()
    low, high = _range_of("histc", x, min, max)
    edges = x.new_zeros(bins + 1)
    edges[0], edges[-1] = low, high
    return x._wrap(x._kernels.histogram(x._array, edges._array, None, True))


def histogram(input, bins=100, *, range=None, weight=None, density=False):
    """Return (hist, bin_edges) of a float tensor.

    bins: a number of equal intervals, or the edges, a 1-D tensor. range: (least, largest) edge; those of the
    elements if not given. weight: what each element counts. density: the integral becomes 1.
    """
    x = input.detach()
    if not x.dtype.is_floating_point:
        raise NotImplementedError(f"histogram: not implemented for {x.dtype!r}; use x.float()")
    if hasattr(bins, "_array"):
        if range is not None:
            raise TypeError("histogram: pass range= only with a number of bins, not with their edges")
        edges = bins
    else:
        if bins <= 0:
            raise RuntimeError(f"histogram: bins must be > 0, got {bins}")
        low, high = range if range is not None else (0, 0)
        low, high = _range_of("histogram", x, low, high)
        edges = x._wrap(x._kernels.even_edges(low, high, bins, x._array.dtype))
    weights = None if weight is None else weight._array
    if weight is not None and weight.shape != input.shape:
        raise RuntimeError(
            f"histogram: weight must have the shape of input, {tuple(input.shape)}, got {tuple(weight.shape)}"
        )
    hist = x._wrap(x._kernels.histogram(x._array, edges._array, weights, False))
    if density:
        hist = hist / (hist.sum() * (edges[1:] - edges[:-1]))
    return return_types.histogram(hist, edges)


def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """Return where in `sorted_sequence` (its last dim) each of `input` belongs, to keep it in order.

    Before equals, or after them with right=True (side="right"). A 1-D sequence serves an input of any shape;
    otherwise all dims but the last agree. sorter: the indices that sort a sequence that is not in order.
    """
    require_tensor("searchsorted", "sorted_sequence", sorted_sequence)
    if side not in (None, "left", "right"):
        raise RuntimeError(f"searchsorted: side can only be 'left' or 'right', got {side!r}")
    if right and side == "left":
        raise RuntimeError("searchsorted: side='left' and right=True say the opposite; pass one of them")
    row = sorted_sequence if sorter is None else sorted_sequence.gather(-1, sorter)
    if not hasattr(input, "_array"):
        if row.ndim != 1:
            raise RuntimeError(
                "searchsorted: input value can be a scalar only when the sequence is 1-D, got "
                f"{tuple(row.shape)}"
            )
        input = as_tensor_like(row, input, row.dtype, "searchsorted")
    joint = dtypes.promote_types(row.dtype, input.dtype)
    row, input = row.to(joint), input.to(joint)
    if row.ndim != 1 and (row.ndim != input.ndim or row.shape[:-1] != input.shape[:-1]):
        raise RuntimeError(
            "searchsorted: a sequence of more than 1 dim needs an input whose dims but the last are the "
            f"same, got {tuple(row.shape)} and {tuple(input.shape)}"
        )
    k = row._kernels
    places = k.searchsorted(row._array, input._array, bool(right) or side == "right")
    return row._wrap(k.cast(places, dtypes.int32._array) if out_int32 else places)


def bucketize(input, boundaries, *, out_int32=False, right=False):
    """Return the number of the interval between sorted 1-D `boundaries` that each element is in.

    An element that equals a boundary is below it, or above with right=True.
    """
    require_tensor("bucketize", "boundaries", boundaries)
    if boundaries.ndim != 1:
        raise RuntimeError(f"bucketize: boundaries tensor must be 1 dimension, got {tuple(boundaries.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
