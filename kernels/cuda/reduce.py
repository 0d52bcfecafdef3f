"""Sums, products, extrema and their places over any set of dims: in one fixed order, on every GPU.

How threads go through the elements is said in `kernels.cuda.walking`. A block takes one result or several:
each thread some of the elements, then the threads' results are combined pair by pair. What is long is cut
into parts, whose results are reduced in turn; into how many depends on shape and strides alone. So the same
elements give the same bits, and a thread adds up few numbers one by one: the error of a float32 sum grows
with the logarithm of its length.
"""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty, on_device
from kernels.cuda.blocks import together
from kernels.cuda.compile import ALL, FLOATS, INTEGERS, Kernel, cuda, device, element_type, register
from kernels.cuda.geometry import place
from kernels.cuda.lift import lift, run
from kernels.cuda.memory import cat, contiguous, full
from kernels.cuda.scan import cumprod, cumprod_from_end
from kernels.cuda.vectors import load, store
from kernels.cuda.walking import (
    BLOCK,
    FOUR,
    LAYOUT,
    SINGLE,
    VECTOR,
    Plan,
    in_two_dims,
    nearest,
    plan_for,
    seat,
    seat_number,
    walker,
)

_FOUR_EACH = 4 * BLOCK


def _reduce(
    results, lines, each, per, apart, step, beside, kind, kept, kept_shape, kept_steps, rest, x, out
):  # fmt: skip
    """Reduce one part of what makes a result: out[result, part]; if beside, out[part, result]."""
    shared = cuda.shared.array(BLOCK, A)  # noqa: F821
    p0, across, line, high, place_of, at_once, lane, wide, between = seat(beside)
    t, part, parts = seat_number(), cuda.blockIdx.y, cuda.gridDim.y
    line += part * each
    end = min((part + 1) * each, lines)
    for block in range(cuda.blockIdx.x * at_once, results, cuda.gridDim.x * at_once):
        result = block + place_of
        total = START  # noqa: F821
        if result < results:
            base = place(result, kept, kept_shape, kept_steps)
            for p in range(p0, per, across):
                at = base + p * step + line * apart
                if kind == VECTOR:  # noqa: SIM114 (a loop for each: there kind is a constant)
                    total = walked(x, at, line, end, high, high * apart, kind, total, START)  # noqa: F821
                elif kind == FOUR:  # noqa: SIM114 (a loop for each: there kind is a constant)
                    total = walked(x, at, line, end, high, high * apart, kind, total, START)  # noqa: F821
                elif kind == SINGLE:
                    total = walked(x, at, line, end, high, high * apart, kind, total, START)  # noqa: F821
            if part == parts - 1:
                for i in range(lane, rest, wide):
                    total = combine(total, taken(x[base + lines * apart + i]))  # noqa: F821
        total = combined(shared, t, lane, wide, between, total)  # noqa: F821
        if lane == 0 and result < results:
            out[part * results + result if beside else result * parts + part] = total


def _reduce_columns(
    results, lines, each, per, apart, step, beside, kind, kept, kept_shape, kept_steps, x, out
):
    """out[part, result] as in `_reduce`: four neighbouring results for each thread."""
    shared = cuda.shared.array(_FOUR_EACH, A, alignment=16)  # noqa: F821
    _, _, line, high, column, wide, _, _, _ = seat(1)
    t, part = line * wide + column, cuda.blockIdx.y
    line += part * each
    end = min((part + 1) * each, lines)
    nothing = START, START, START, START  # noqa: F821
    row, width = t // (4 * wide), 4 * wide
    for tile in range(cuda.blockIdx.x * width, results, cuda.gridDim.x * width):
        totals, result = nothing, tile + 4 * column
        if result < results:
            base = place(result, kept, kept_shape, kept_steps)
            for p in range(per):
                at = base + p * step + line * apart
                if kind == VECTOR:  # noqa: SIM114 (a loop for each: there kind is a constant)
                    totals = walked(x, at, line, end, high, high * apart, kind, totals, nothing)  # noqa: F821
                elif kind == FOUR:
                    totals = walked(x, at, line, end, high, high * apart, kind, totals, nothing)  # noqa: F821
        cuda.syncthreads()  # what is there may still be read
        store(shared, 4 * t, totals)
        cuda.syncthreads()
        # Each thread goes on with one column, of a fourth of the rows.
        total = combine(  # noqa: F821
            combine(shared[t], shared[t + 2 * BLOCK]),  # noqa: F821
            combine(shared[t + BLOCK], shared[t + 3 * BLOCK]),  # noqa: F821
        )
        total = combined(shared, t, row, high // 4, width, total)  # noqa: F821
        if row == 0 and tile + t < results:
            out[part * results + tile + t] = total


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
def _holds(x):
    return 1 if x != 0 else 0


def _row_item(combine, taken):
    def item(x, at, line, kind):
        if kind == SINGLE:
            return taken(x[at])
        if kind == VECTOR:
            a, b, c, d = load(x, at, 4)
        else:
            a, b, c, d = x[at], x[at + 1], x[at + 2], x[at + 3]
        return combine(combine(taken(a), taken(c)), combine(taken(b), taken(d)))

    return device(item)


def _column_item(taken):
    def item(x, at, line, kind):
        if kind == VECTOR:
            a, b, c, d = load(x, at, 4)
        else:
            a, b, c, d = x[at], x[at + 1], x[at + 2], x[at + 3]
        return taken(a), taken(b), taken(c), taken(d)

    return device(item)


def _by_four(combine):
    def of_four(x, y):
        return combine(x[0], y[0]), combine(x[1], y[1]), combine(x[2], y[2]), combine(x[3], y[3])

    return device(of_four)


class _Reduction:
    """The kernels of a reduction: of rows, and of columns.

    kinds: element types, and that of what is accumulated. start: what nothing gives, or a function of that
    type that returns it.
    """

    def __init__(self, name: str, combine, taken, start, kinds):
        def scope(kind):
            kept = kind["A"]
            cast = element_type(kept)  # as wide as what is accumulated
            joined = combine if kept.kind == "f" else device(lambda x, y: cast(combine(x, y)))
            of_x = device(lambda x: cast(taken(x))) if taken else cast
            number = start(kept) if callable(start) else start
            return {
                "combine": joined, "taken": of_x, "combined": together(joined),
                "START": (np.dtype(np.uint8) if kept == np.bool_ else kept).type(number),
            }  # fmt: skip

        def of_rows(kind):
            names = scope(kind)
            return {**names, "walked": walker(_row_item(names["combine"], names["taken"]), names["combine"])}

        def of_columns(kind):
            names = scope(kind)
            return {**names, "walked": walker(_column_item(names["taken"]), _by_four(names["combine"]))}

        self.rows = register(Kernel(_reduce, f"{LAYOUT}, int64, S*, out A*", kinds, of_rows, name))
        self.columns = register(
            Kernel(_reduce_columns, f"{LAYOUT}, S*, out A*", kinds, of_columns, f"{name}_of_columns")
        )


_sum = _Reduction("sum", _plus, None, 0, [*[f"{t} {t}" for t in FLOATS], *[f"{t} int64" for t in INTEGERS]])


def _limit(dtype: np.dtype, sign: int):
    """Return the largest number of a type (sign 1), or the smallest."""
    if dtype.kind == "f":
        return sign * math.inf
    if dtype == np.bool_:
        return int(sign > 0)
    return int(np.iinfo(dtype).max if sign > 0 else np.iinfo(dtype).min)


_count = _Reduction("count", _plus, _holds, 0, ["bool int64"])
_prod = _Reduction(
    "prod", _times, None, 1, [*[f"{t} {t}" for t in FLOATS], *[f"{t} int64" for t in (*INTEGERS, "bool")]]
)
_SAME = [f"{t} {t}" for t in ALL]
_maximum = _Reduction("maximum", _larger, None, lambda dtype: _limit(dtype, -1), _SAME)
_minimum = _Reduction("minimum", _smaller, None, lambda dtype: _limit(dtype, 1), _SAME)
_any = _Reduction("any", _or, _holds, 0, [f"{t} bool" for t in ALL])
_all = _Reduction("all", _and, _holds, 1, [f"{t} bool" for t in ALL])


def _over(made: _Reduction, again: _Reduction, x: DeviceArray, dims: tuple[int, ...], dtype) -> DeviceArray:
    """Reduce over `dims`, which are dropped; `again` reduces what was reduced in part."""
    plan = plan_for(x, dims)
    if plan is None:
        return _by_turns(made, again, x, dims, dtype)
    out = _in_parts(made, plan, x, dtype)
    if plan.parts == 1:
        return out
    return _over(again, again, out, (0,) if plan.beside else (len(plan.shape),), dtype)


def _in_parts(made: _Reduction, plan: Plan, x: DeviceArray, dtype) -> DeviceArray:
    """Return what a reduction gives; of several parts those in the first dim, or in the last."""
    shape = plan.shape
    if plan.parts > 1:
        shape = (plan.parts, *shape) if plan.beside else (*shape, plan.parts)
    out = empty(shape, dtype)
    if not plan.results:
        return out
    if plan.beside and plan.fours:
        made.columns.launch(plan.blocks, plan.block, *plan.layout(x), x, out)
    else:
        made.rows.launch(plan.blocks, plan.block, *plan.layout(x), plan.rest, x, out)
    return out


def _by_turns(made: _Reduction, again: _Reduction, x: DeviceArray, dims, dtype) -> DeviceArray:
    """Reduce over the nearest elements first, and then over other dims."""
    near = nearest(x, dims)
    plan = plan_for(x, near)
    if plan is None or not near:  # there are too many dims that are kept
        shape = [n for d, n in enumerate(x.shape) if d not in dims]
        return _over(made, again, in_two_dims(x, dims), (1,), dtype).reshape(shape)
    out = _in_parts(made, plan, x, dtype)
    kept = [d for d in range(x.ndim) if d not in near]
    shift = 1 if plan.parts > 1 and plan.beside else 0
    left = [shift + n for n, d in enumerate(kept) if d in dims]
    if plan.parts > 1:
        left.append(0 if plan.beside else len(kept))
    return _over(again, again, out, tuple(sorted(left)), dtype)


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
