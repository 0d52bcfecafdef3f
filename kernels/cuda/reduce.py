"""Sums, products, extrema and their places over any set of dims: in one fixed order, on every GPU.

A block of threads reduces the elements of one result: each thread those a block's width apart, then the
threads' results pair by pair. Where neighbours in memory belong to neighbouring results, as in sums of
columns, a block takes several results side by side. What is long is cut into parts, whose results are reduced
in turn; into how many depends on shape and strides alone. So the same elements give the same bits, and a
thread adds up few numbers one by one: the error of a float32 sum grows with the logarithm of its length.
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
_LONG_PART = 16 * _PART  # where there are many results
_COLUMN_PART = 1024  # of a column
_MOST_PARTS = 1024
COLUMNS, ROWS = threads(32), threads(16) // 2
"""The threads of a block that takes several results side by side."""
_CELLS = COLUMNS * ROWS
MOST_BLOCKS = 1 << 16
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


def _reduce_columns(results, parts, length, kept, kept_shape, kept_steps, count, shape, steps, x, out):
    """out[part, result], as `_reduce`, a block for `COLUMNS` results at a time."""
    shared = cuda.shared.array(_CELLS, A)  # noqa: F821
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    t = row * COLUMNS + column
    tiles = (results + COLUMNS - 1) // COLUMNS
    for block in range(cuda.blockIdx.x, tiles * parts, cuda.gridDim.x):
        part, tile = block // tiles, block % tiles
        first, end = length * part // parts, length * (part + 1) // parts
        result = tile * COLUMNS + column
        total = A(START)  # noqa: F821
        if result < results:
            base = place(result, kept, kept_shape, kept_steps)
            for i in range(first + row, end, ROWS):
                total = combine(total, taken(x[base + place(i, count, shape, steps)]))  # noqa: F821
        shared[t] = total
        cuda.syncthreads()
        height = ROWS // 2
        while height > 0:
            if row < height:
                shared[t] = combine(shared[t], shared[t + height * COLUMNS])  # noqa: F821
            cuda.syncthreads()
            height //= 2
        if row == 0 and result < results:
            out[part * results + result] = shared[column]
        cuda.syncthreads()  # the next results overwrite what is read here


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


LAYOUT = "int64, int64, int64, int64, dims, dims, int64, dims, dims"  # from `results` to `steps`


class _Reduction:
    """The kernels of a reduction: of rows, and of columns.

    kinds: element types, and that of what is accumulated. start: what nothing gives, or a function of that
    type that returns it.
    """

    def __init__(self, name: str, combine, taken, start, kinds):
        def scope(kind):
            first = start(kind["A"]) if callable(start) else start
            return {"combine": combine, "taken": taken, "START": first}

        signature = f"{LAYOUT}, S*, out A*"
        self.rows = register(Kernel(_reduce, signature, kinds, scope, name))
        self.columns = register(Kernel(_reduce_columns, signature, kinds, scope, f"{name}_of_columns"))


_sum = _Reduction(
    "sum", _plus, _itself, 0, [*[f"{t} {t}" for t in FLOATS], *[f"{t} int64" for t in INTEGERS]]
)


def _limit(dtype: np.dtype, sign: int):
    """Return the largest number of a type (sign 1), or the smallest."""
    if dtype.kind == "f":
        return sign * math.inf
    if dtype == np.bool_:
        return int(sign > 0)
    return int(np.iinfo(dtype).max if sign > 0 else np.iinfo(dtype).min)


_count = _Reduction("count", _plus, _holds, 0, ["bool int64"])
_prod = _Reduction(
    "prod", _times, _itself, 1, [*[f"{t} {t}" for t in FLOATS], *[f"{t} int64" for t in (*INTEGERS, "bool")]]
)
_SAME = [f"{t} {t}" for t in ALL]
_maximum = _Reduction("maximum", _larger, _itself, lambda dtype: _limit(dtype, -1), _SAME)
_minimum = _Reduction("minimum", _smaller, _itself, lambda dtype: _limit(dtype, 1), _SAME)
_any = _Reduction("any", _or, _holds, 0, [f"{t} bool" for t in ALL])
_all = _Reduction("all", _and, _holds, 1, [f"{t} bool" for t in ALL])


def parts_of(results: int, length: int) -> int:
    """Return into how many parts each of `results` results of `length` elements is cut."""
    part = _LONG_PART if results >= _MANY_RESULTS else _PART
    return min(max(-(-length // part), 1), _MOST_PARTS)


def layout(x: DeviceArray, dims: tuple[int, ...]) -> tuple[DeviceArray, tuple[int, ...], tuple]:
    """Return (x, the shape of the result, the numbers before it in `LAYOUT`) of a reduction over `dims`.

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
        return rows, shape, layout(rows, (1,))[2]
    numbers = (
        results, parts, length,
        len(outer_sizes), packed(outer_sizes, 1), packed(outer_steps, 0),
        len(sizes), packed(sizes, 1), packed(inner, 0),
    )  # fmt: skip
    return x, shape, numbers


def _over(made: _Reduction, again: _Reduction, x: DeviceArray, dims: tuple[int, ...], dtype) -> DeviceArray:
    """Reduce over `dims`, which are dropped; `again` reduces the results of parts."""
    x, shape, numbers = layout(x, dims)
    results, parts, length, _, (beside, *_), (step, *_), _, _, (below, *_) = numbers
    if results and step == 1 and below > 1 and beside >= COLUMNS // 2 and length > 1:
        parts = min(-(-length // _COLUMN_PART), _MOST_PARTS)
        out = empty((parts, *shape) if parts > 1 else shape, dtype)
        blocks = min(-(-results // COLUMNS) * parts, MOST_BLOCKS)
        made.columns.launch(blocks, (COLUMNS, ROWS), results, parts, *numbers[2:], x, out)
        return _over(again, again, out, (0,), dtype) if parts > 1 else out
    out = empty((*shape, parts) if parts > 1 else shape, dtype)
    if results:
        made.rows.launch(min(results * parts, MOST_BLOCKS), BLOCK, *numbers, x, out)
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
    signature = f"{LAYOUT}, int64, T*, int64*, out T*, out int64*"
    return register(Kernel(_find_extreme, signature, ALL, {"place_of": place_of}, name))


_extreme = _extremes("extreme", _in_order)
_extreme_of_parts = _extremes("extreme_of_parts", _as_known)


def extreme(x: DeviceArray, dim: int, sign: int) -> tuple[DeviceArray, DeviceArray]:
    """Return maxima (sign 1) or minima (sign -1) along `dim` and their int64 positions, `dim` dropped."""
    x, shape, numbers = layout(x, (dim % x.ndim,) if x.ndim else ())
    results, parts, length = numbers[:3]
    full_shape = (*shape, parts) if parts > 1 else shape
    values, positions = empty(full_shape, x.dtype), empty(full_shape, np.int64)
    if results and length:
        blocks = min(results * parts, MOST_BLOCKS)
        _extreme.launch(blocks, BLOCK, *numbers, sign, x, positions, values, positions)
    if parts == 1:
        return values, positions
    out, places = empty(shape, x.dtype), empty(shape, np.int64)
    _, _, (_, _, *rest) = layout(values, (len(shape),))
    blocks = min(results, MOST_BLOCKS)
    _extreme_of_parts.launch(blocks, BLOCK, results, 1, *rest, sign, values, positions, out, places)
    return out, places
