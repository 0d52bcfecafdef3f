"""Sums of what numbers deviate by from a mean: of squares, and of products with a gradient."""

import math

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.blocks import sum_of_group
from kernels.cuda.compile import FLOATS, Kernel, cuda, device, register
from kernels.cuda.geometry import place
from kernels.cuda.lift import lift, run
from kernels.cuda.memory import contiguous, full
from kernels.cuda.reduce import sum
from kernels.cuda.vectors import load
from kernels.cuda.walking import (
    BLOCK,
    FOUR,
    LAYOUT,
    SINGLE,
    VECTOR,
    in_two_dims,
    plan_by_turns,
    plan_for,
    seat,
    seat_number,
    walker,
)


@device
def _deviation_itself(factor, at, deviation):
    return deviation


@device
def _factor_there(factor, at, deviation):
    return factor[at]


def _product_item(factor_of):
    def product(given, at, value):
        _x, factor, middle, more = given
        deviation = (value - middle) - more
        by = factor_of(factor, at, deviation)
        return by, by * deviation

    product = device(product)

    def item(given, at, line, kind):
        x = given[0]
        if kind == SINGLE:
            return product(given, at, x[at])
        if kind == VECTOR:
            a, b, c, d = load(x, at, 4)
        else:
            a, b, c, d = x[at], x[at + 1], x[at + 2], x[at + 3]
        first = add_pairs(product(given, at, a), product(given, at + 2, c))
        return add_pairs(first, add_pairs(product(given, at + 1, b), product(given, at + 3, d)))

    return device(item)


@device
def add_pairs(x, y):
    """Add two pairs of sums."""
    return x[0] + y[0], x[1] + y[1]


def _sum_products(
    results, lines, each, per, apart, step, beside, kind, kept, kept_shape, kept_steps, left, centers,
    x, factor, center, rest, total, product,
):  # fmt: skip
    """Sum f and f * d of each part; d = x - center - rest of the result, f = d or an element of `factor`.

    centers: of how many results each has a center of its own; then they are taken from the first on again.
    """
    shared = cuda.shared.array(BLOCK, T)  # noqa: F821
    p0, across, line, high, place_of, at_once, lane, wide, between = seat(beside)
    t, part, parts = seat_number(), cuda.blockIdx.y, cuda.gridDim.y
    line += part * each
    end, hop = min((part + 1) * each, lines), high * apart
    nothing = T(0), T(0)  # noqa: F821
    for block in range(cuda.blockIdx.x * at_once, results, cuda.gridDim.x * at_once):
        sums, result = nothing, block + place_of
        if result < results:
            base = place(result, kept, kept_shape, kept_steps)
            given = x, factor, center[result % centers], rest[result % centers]
            for p in range(p0, per, across):
                at = base + p * step + line * apart
                if kind == VECTOR:  # noqa: SIM114 (a loop for each: there kind is a constant)
                    sums = walked(given, at, line, end, high, hop, kind, sums, nothing)  # noqa: F821
                elif kind == FOUR:  # noqa: SIM114 (a loop for each: there kind is a constant)
                    sums = walked(given, at, line, end, high, hop, kind, sums, nothing)  # noqa: F821
                elif kind == SINGLE:
                    sums = walked(given, at, line, end, high, hop, kind, sums, nothing)  # noqa: F821
            if part == parts - 1:
                for i in range(lane, left, wide):
                    sums = add_pairs(sums, item(given, base + lines * apart + i, i, SINGLE))  # noqa: F821
        a = sum_of_group(shared, t, lane, wide, between, sums[0])
        b = sum_of_group(shared, t, lane, wide, between, sums[1])
        if lane == 0 and result < results:
            total[result * parts + part], product[result * parts + part] = a, b


def _products(name: str, item) -> Kernel:
    signature = f"{LAYOUT}, int64, int64, T*, T*, T*, T*, out T*, out T*"
    scope = {"item": item, "walked": walker(item, add_pairs)}
    return register(Kernel(_sum_products, signature, FLOATS, scope, name))


deviation_item = _product_item(_deviation_itself)
"""An item, see `walking.walker`, of (x, x, mean, its rest): sums of deviations, and of their squares."""

_deviations = _products("deviations", deviation_item)
_shares = _products("shares", _product_item(_factor_there))


def _two_sums(made: Kernel, x, factor, center, rest, dims) -> tuple[DeviceArray, DeviceArray]:
    plan, groups = plan_for(x, dims, columns_of_four=False), 1
    shape = [n for d, n in enumerate(x.shape) if d not in dims]
    if plan is None:
        found = plan_by_turns(x, dims)
        if found is None:
            x, factor = in_two_dims(x, dims), None if factor is None else in_two_dims(factor, dims)
            total, product = _two_sums(made, x, factor, center, rest, (1,))
            return total.reshape(shape), product.reshape(shape)
        plan, groups = found
    sets, parts = plan.results // groups, plan.parts
    both = empty((2, groups, sets, parts), x.dtype)
    if sets:
        factor, center, rest = x if factor is None else factor, contiguous(center), contiguous(rest)
        made.launch(
            plan.blocks, plan.block, *plan.layout(x, factor), plan.rest, sets,
            x, factor, center, rest, both[0], both[1],
        )  # fmt: skip
    if groups * parts > 1:
        both = sum(both, (1, 3))
    return both[0].reshape(shape), both[1].reshape(shape)


def deviations(x: DeviceArray, center: DeviceArray, rest: DeviceArray, dims: tuple[int, ...]):
    """Return the sums over `dims` of d = x - center - rest and of its square; a center for each result."""
    return _two_sums(_deviations, x, None, center, rest, dims)


def shares(x: DeviceArray, factor: DeviceArray, center: DeviceArray, rest: DeviceArray, dims):
    """Return the sums over `dims` of factor, and of factor * (x - center - rest); both of one shape."""
    return _two_sums(_shares, contiguous(x), contiguous(factor), center, rest, dims)


def _without_drift(square, total, length):
    return square - total * total / length  # the mean was rounded to x's type


_square_deviation = lift(
    "deviations", "square_deviation", _without_drift, {"square": "T", "total": "T"}, FLOATS, {"length": "T"}
)


def square_deviation(x: DeviceArray, mean: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return the sum over `dims` of squared deviations; mean (rounded) holds one number for each result."""
    mean = contiguous(mean)
    total, square = deviations(x, mean, full(mean.shape, 0, x.dtype), dims)
    length = max(math.prod(x.shape[d] for d in dims), 1)
    return run(_square_deviation, [square, total], [float(length)], out=empty(square.shape, x.dtype))
