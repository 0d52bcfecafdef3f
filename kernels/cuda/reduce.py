"""Sums, products, extrema and their places over any set of dims: in one fixed order, on every GPU.

A block of threads reduces the elements of one result: each thread those a block's width apart, then the
threads' results pair by pair. What is long is cut into parts, whose results are reduced in turn; into how
many depends on the shape alone. So the same elements give the same bits, and the error of a float32 sum grows
with the logarithm of its length.
"""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty, on_device
from kernels.cuda.compile import (
    ALL,
    FLOATS,
    INTEGERS,
    MOST_DIMS,
    Kernel,
    cuda,
    device,
    register,
    threads,
)
from kernels.cuda.geometry import merge, packed, place
from kernels.cuda.lift import lift, run
from kernels.cuda.memory import cat, contiguous, full
from kernels.cuda.scan import cumprod, cumprod_from_end

BLOCK = threads(256)
_PART = 4096  # elements of a part
_MOST_PARTS = 1024
_MOST_BLOCKS = 1 << 16
_MANY_RESULTS = 512  # so many results keep the GPU busy by themselves


def _reduce(results, parts, length, kept, kept_shape, kept_steps, count, shape, steps, x, out):
    """out[result, part] = the elements of one part of what makes a result."""
    shared = cuda.shared.array(BLOCK, A)  # noqa: F821
    t = cuda.threadIdx.x
    for block in range(cuda.blockIdx.x, results * parts, cuda.gridDim.x):
        result, part = block // parts, block % parts
        first, end = length * part // parts, length * (part + 1) // parts
        base = place(result, kept, kept_shape, kept_steps)
        total = A(START)  # noqa: F821
        for i in range(first + t, end, BLOCK):
            total = combine(total, taken(x[base + place(i, count, shape, steps)]))  # noqa: F821
        shared[t] = total
        cuda.syncthreads()
        width = BLOCK // 2
        while width > 0:
            if t < width:
                shared[t] = combine(shared[t], shared[t + width])  # noqa: F821
            cuda.syncthreads()
            width //= 2
        if t == 0:
            out[block] = shared[0]
        cuda.syncthreads()  # the next result overwrites what is read here


@device
def _plus(x, y):
    return x + y


@device
def _or(x, y):
    return x | y


@device
def _and(x, y):
    return x & y


@device
def _times(x, y):
    return x * y


@device
def _larger(x, y):
    return x if x > y or x != x else y  # nan wins


@device
def _smaller(x, y):
    return x if x < y or x != x else y


@device
def _itself(x):
    return x


@device
def _holds(x):
    return 1 if x != 0 else 0


_LAYOUT = "int64, int64, int64, int64, dims, dims, int64, dims, dims"  # from `results` to `steps`


def _reduction(name: str, combine, taken, start, kinds) -> Kernel:
    """Return the kernel of a reduction. kinds: element types, and that of what is accumulated.

    start: what nothing gives, or a function of the element type that returns it.
    """

    def scope(kind):
        first = start(kind["A"]) if callable(start) else start
        return {"combine": combine, "taken": taken, "START": first}

    return register(Kernel(_reduce, f"{_LAYOUT}, S*, out A*", kinds, scope, name))


_sum = _reduction(
    "sum", _plus, _itself, 0, [*[f"{t} {t}" for t in FLOATS], *[f"{t} int64" for t in INTEGERS]]
)


def _limit(dtype: np.dtype, sign: int):
    """Return the largest number of a type (sign 1), or the smallest."""
    if dtype.kind == "f":
        return sign * math.inf
    if dtype == np.bool_:
        return int(sign > 0)
    return int(np.iinfo(dtype).max if sign > 0 else np.iinfo(dtype).min)


_count = _reduction("count", _plus, _holds, 0, ["bool int64"])
_prod = _reduction(
    "prod", _times, _itself, 1, [*[f"{t} {t}" for t in FLOATS], *[f"{t} int64" for t in (*INTEGERS, "bool")]]
)
_SAME = [f"{t} {t}" for t in ALL]
_maximum = _reduction("maximum", _larger, _itself, lambda dtype: _limit(dtype, -1), _SAME)
_minimum = _reduction("minimum", _smaller, _itself, lambda dtype: _limit(dtype, 1), _SAME)
_any = _reduction("any", _or, _holds, 0, [f"{t} bool" for t in ALL])
_all = _reduction("all", _and, _holds, 1, [f"{t} bool" for t in ALL])


def parts_of(results: int, length: int) -> int:
    """Return into how many parts each of `results` results of `length` elements is cut."""
    if results >= _MANY_RESULTS or length <= _PART:
        return 1
    return min(-(-length // _PART), _MOST_PARTS)


def _layout(x: DeviceArray, dims: tuple[int, ...]) -> tuple[DeviceArray, tuple[int, ...], tuple]:
    """Return (x, the shape of the result, the numbers before it in `_LAYOUT`) of a reduction over `dims`.

    x becomes a copy where a kernel could not go through its dims.
    """
    kept = [d for d in range(x.ndim) if d not in dims]
    shape = tuple(x.shape[d] for d in kept)
    results, length = math.prod(shape), math.prod(x.shape[d] for d in dims)
    parts = parts_of(results, length)
    steps = [s // x.itemsize for s in x.strides]
    outer_sizes, (outer_steps,) = merge(shape, [[steps[d] for d in kept]])
    sizes, (inner,) = merge([x.shape[d] for d in dims], [[steps[d] for d in dims]])
    if max(len(outer_sizes), len(sizes)) > MOST_DIMS:
        rows = x.transpose([*kept, *dims]).copy().reshape(results, length)
        return rows, shape, _layout(rows, (1,))[2]
    numbers = (
        results, parts, length,
        len(outer_sizes), packed(outer_sizes, 1), packed(outer_steps, 0),
        len(sizes), packed(sizes, 1), packed(inner, 0),
    )  # fmt: skip
    return x, shape, numbers


def _over(made: Kernel, again: Kernel, x: DeviceArray, dims: tuple[int, ...], dtype) -> DeviceArray:
    """Reduce over `dims`, which are dropped; `again` reduces the results of parts."""
    x, shape, numbers = _layout(x, dims)
    results, parts = numbers[:2]
    out = empty((*shape, parts) if parts > 1 else shape, dtype)
    if results:
        made.launch(min(results * parts, _MOST_BLOCKS), BLOCK, *numbers, x, out)
    return _over(again, again, out, (len(shape),), dtype) if parts > 1 else out


def sum(x: DeviceArray, dims: tuple[int, ...], keepdim: bool = False) -> DeviceArray:
    """Sum over `dims` (each 0 <= d < x.ndim, ascending). Integers and bools sum to int64."""
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.int64)
    out = _over(_count if x.dtype == np.bool_ else _sum, _sum, x, dims, dtype)
    return out.reshape([1 if d in dims else n for d, n in enumerate(x.shape)]) if keepdim else out


def sum_to(grad: DeviceArray, shape: tuple[int, ...]) -> DeviceArray:
    """Sum `grad` over the dimensions along which `shape` was broadcast; the result has that shape."""
    if grad.shape == shape:
        return grad
    lead = grad.ndim - len(shape)
    dims = (*range(lead), *(lead + d for d, n in enumerate(shape) if n == 1 and grad.shape[lead + d] != 1))
    return sum(grad, dims).reshape(shape)


def any(x: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return whether any element over `dims` is not zero."""
    return _over(_any, _any, x, dims, np.bool_)


def all(x: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return whether every element over `dims` is not zero."""
    return _over(_all, _all, x, dims, np.bool_)


def prod(x: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Multiply over `dims`, which are dropped. Integers and bools give int64."""
    return _over(_prod, _prod, x, dims, x.dtype if x.dtype.kind == "f" else np.dtype(np.int64))


def _product_dx(grad, before, after):
    return grad * before * after


_prod_dx = lift("reduce", "prod_dx", _product_dx, {"grad": "T", "before": "T", "after": "T"}, FLOATS)


def prod_dx(x: DeviceArray, grad: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return the gradient of `prod(x, dims)` in x; grad has the shape of the result."""
    # The product of all others, from the left and from the right: right also where elements are zero.
    if not x.size:
        return empty(x.shape, x.dtype)
    kept = [d for d in range(x.ndim) if d not in dims]
    order = [*kept, *dims]
    moved = x.transpose(order) if order else x
    rows = contiguous(moved).reshape(math.prod(x.shape[d] for d in kept), -1)
    ones = full((len(rows), 1), 1, x.dtype)
    if rows.shape[1] > 1:
        before = cat([ones, cumprod(rows[:, :-1], 1)], 1)
        after = cat([cumprod_from_end(rows[:, 1:], 1), ones], 1)
    else:
        before = after = ones
    out = run(_prod_dx, [on_device(grad).reshape(-1, 1), before, after], out=empty(rows.shape, x.dtype))
    out = out.reshape(moved.shape)
    return out.transpose(np.argsort(order)) if order else out


# --- extrema ---------------------------------------------------------------------------------------


def extreme_value(x: DeviceArray, dims: tuple[int, ...], sign: int) -> DeviceArray:
    """Return maxima (sign 1) or minima (sign -1) over `dims`, which are dropped; nan wins."""
    made = _maximum if sign > 0 else _minimum
    return _over(made, made, x, dims, x.dtype)


def bounds(x: DeviceArray) -> tuple:
    """Return the smallest and the largest of one or more elements, to be read in Python; nan wins."""
    dims = tuple(range(x.ndim))
    return tuple(extreme_value(x, dims, sign).to_host()[()] for sign in (-1, 1))


@device
def _precedes(value, position, best, at, sign):
    """Return whether a value counts before another: nan first, then by sign, then by position."""
    if value != value:
        return best == best or position < at
    if best != best:
        return False
    if value == best:
        return position < at
    return value > best if sign > 0 else value < best


def _find_extreme(
    results, parts, length, kept, kept_shape, kept_steps, count, shape, steps,
    sign, x, known, values, positions,
):  # fmt: skip
    """Find the extreme of each part and its place, of parts whose places are `known` or in order."""
    shared = cuda.shared.array(BLOCK, T)  # noqa: F821
    places = cuda.shared.array(BLOCK, np.int64)
    t = cuda.threadIdx.x
    for block in range(cuda.blockIdx.x, results * parts, cuda.gridDim.x):
        result, part = block // parts, block % parts
        first, end = length * part // parts, length * (part + 1) // parts
        base = place(result, kept, kept_shape, kept_steps)
        first += min(t, end - first - 1)  # threads that have none of their own take the last
        offset = base + place(first, count, shape, steps)
        best, at = x[offset], place_of(known, offset, first)  # noqa: F821
        for i in range(first + BLOCK, end, BLOCK):
            offset = base + place(i, count, shape, steps)
            value, position = x[offset], place_of(known, offset, i)  # noqa: F821
            if _precedes(value, position, best, at, sign):
                best, at = value, position
        shared[t] = best
        places[t] = at
        cuda.syncthreads()
        width = BLOCK // 2
        while width > 0:
            if t < width:
                best, at = shared[t + width], places[t + width]
                if _precedes(best, at, shared[t], places[t], sign):
                    shared[t] = best
                    places[t] = at
            cuda.syncthreads()
            width //= 2
        if t == 0:
            values[block] = shared[0]
            positions[block] = places[0]
        cuda.syncthreads()  # the next result overwrites what is read here


@device
def _in_order(known, offset, i):
    return i


@device
def _as_known(known, offset, i):
    return known[offset]


def _extremes(name: str, place_of) -> Kernel:
    signature = f"{_LAYOUT}, int64, T*, int64*, out T*, out int64*"
    return register(Kernel(_find_extreme, signature, ALL, {"place_of": place_of}, name))


_extreme = _extremes("extreme", _in_order)
_extreme_of_parts = _extremes("extreme_of_parts", _as_known)


def extreme(x: DeviceArray, dim: int, sign: int) -> tuple[DeviceArray, DeviceArray]:
    """Return maxima (sign 1) or minima (sign -1) along `dim` and their int64 positions, `dim` dropped."""
    x, shape, numbers = _layout(x, (dim % x.ndim,) if x.ndim else ())
    results, parts, length = numbers[:3]
    full_shape = (*shape, parts) if parts > 1 else shape
    values, positions = empty(full_shape, x.dtype), empty(full_shape, np.int64)
    if results and length:
        blocks = min(results * parts, _MOST_BLOCKS)
        _extreme.launch(blocks, BLOCK, *numbers, sign, x, positions, values, positions)
    if parts == 1:
        return values, positions
    out, places = empty(shape, x.dtype), empty(shape, np.int64)
    _, _, (_, _, *rest) = _layout(values, (len(shape),))
    blocks = min(results, _MOST_BLOCKS)
    _extreme_of_parts.launch(blocks, BLOCK, results, 1, *rest, sign, values, positions, out, places)
    return out, places


# --- deviations ------------------------------------------------------------------------------------


@device
def _deviation_itself(factor, at, deviation):
    return deviation


@device
def _factor_there(factor, at, deviation):
    return factor[at]


def _sum_products(
    results, parts, length, kept, kept_shape, kept_steps, count, shape, steps,
    x, factor, center, rest, total, product,
):  # fmt: skip
    """Sum f and f * d of each part; d = x - center - rest of the result, f = d or an element of `factor`."""
    shared = cuda.shared.array(BLOCK, T)  # noqa: F821
    products = cuda.shared.array(BLOCK, T)  # noqa: F821
    t = cuda.threadIdx.x
    for block in range(cuda.blockIdx.x, results * parts, cuda.gridDim.x):
        result, part = block // parts, block % parts
        first, end = length * part // parts, length * (part + 1) // parts
        base = place(result, kept, kept_shape, kept_steps)
        middle, more = center[result], rest[result]
        a, b = T(0), T(0)  # noqa: F821
        for i in range(first + t, end, BLOCK):
            at = base + place(i, count, shape, steps)
            deviation = (x[at] - middle) - more
            f = factor_of(factor, at, deviation)  # noqa: F821
            a += f
            b += f * deviation
        shared[t] = a
        products[t] = b
        cuda.syncthreads()
        width = BLOCK // 2
        while width > 0:
            if t < width:
                shared[t] += shared[t + width]
                products[t] += products[t + width]
            cuda.syncthreads()
            width //= 2
        if t == 0:
            total[block] = shared[0]
            product[block] = products[0]
        cuda.syncthreads()  # the next result overwrites what is read here


def _products(name: str, factor_of) -> Kernel:
    signature = f"{_LAYOUT}, T*, T*, T*, T*, out T*, out T*"
    return register(Kernel(_sum_products, signature, FLOATS, {"factor_of": factor_of}, name))


_deviations = _products("deviations", _deviation_itself)
_shares = _products("shares", _factor_there)


def _two_sums(made: Kernel, x, factor, center, rest, dims) -> tuple[DeviceArray, DeviceArray]:
    x, shape, numbers = _layout(x, dims)
    results, parts = numbers[:2]
    total = empty((results, parts), x.dtype)
    product = empty((results, parts), x.dtype)
    if results:
        center, rest = contiguous(center), contiguous(rest)
        made.launch(
            min(results * parts, _MOST_BLOCKS), BLOCK,
            *numbers, x, x if factor is None else factor, center, rest, total, product,
        )  # fmt: skip
    if parts > 1:
        total, product = sum(total, (1,)), sum(product, (1,))
    return total.reshape(shape), product.reshape(shape)


def deviations(x: DeviceArray, center: DeviceArray, rest: DeviceArray, dims: tuple[int, ...]):
    """Return the sums over `dims` of d = x - center - rest and of its square; a center for each result."""
    return _two_sums(_deviations, x, None, center, rest, dims)


def shares(x: DeviceArray, factor: DeviceArray, center: DeviceArray, rest: DeviceArray, dims):
    """Return the sums over `dims` of factor, and of factor * (x - center - rest); both of one shape."""
    return _two_sums(_shares, contiguous(x), contiguous(factor), center, rest, dims)


def _without_drift(square, total, length):
    return square - total * total / length  # the mean was rounded to x's type


_square_deviation = lift(
    "reduce", "square_deviation", _without_drift, {"square": "T", "total": "T"}, FLOATS, {"length": "T"}
)


def square_deviation(x: DeviceArray, mean: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return the sum over `dims` of squared deviations; mean (rounded) holds one number for each result."""
    mean = contiguous(mean)
    total, square = deviations(x, mean, full(mean.shape, 0, x.dtype), dims)
    length = max(math.prod(x.shape[d] for d in dims), 1)
    return run(_square_deviation, [square, total], [float(length)], out=empty(square.shape, x.dtype))
