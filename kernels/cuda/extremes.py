"""The largest and the smallest element along a dim, and where it is: the first of equal ones, nan before all.

Threads go through the elements as in `kernels.cuda.reduce`; what they combine are pairs of an element and its
position.
"""

import numpy as np

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import ALL, Kernel, cuda, device, register
from kernels.cuda.geometry import place
from kernels.cuda.vectors import load
from kernels.cuda.walking import (
    BLOCK,
    FOUR,
    LAYOUT,
    SINGLE,
    VECTOR,
    in_two_dims,
    plan_for,
    seat,
    seat_number,
    walker,
)


def _comes_first(sign: int):
    """Return the device function that chooses of two pairs (value, position); sign 1: the larger value."""

    def chosen(x, y):
        (best, at), (value, position) = x, y
        if value != value:  # nan comes first, of equal values the one in front
            other = best == best or position < at
        elif best != best:
            other = False
        elif value == best:
            other = position < at
        else:
            other = value > best if sign > 0 else value < best
        return y if other else x

    return device(chosen)


@device
def _position(known, at, i):
    """Return the position of element `i`: of results of parts it is known, at the element's place."""
    places, are_known = known
    return places[at] if are_known else i


def _pair_item(chosen):
    def item(given, at, line, kind):
        x, known = given
        if kind == SINGLE:
            return x[at], _position(known, at, line)
        if kind == VECTOR:
            a, b, c, d = load(x, at, 4)
        else:
            a, b, c, d = x[at], x[at + 1], x[at + 2], x[at + 3]
        i = 4 * line
        first = chosen((a, _position(known, at, i)), (b, _position(known, at + 1, i + 1)))
        second = (c, _position(known, at + 2, i + 2)), (d, _position(known, at + 3, i + 3))
        return chosen(first, chosen(*second))

    return device(item)


def _find_extreme(
    results, lines, each, per, apart, step, beside, kind, kept, kept_shape, kept_steps, rest,
    are_known, x, known, values, positions,
):  # fmt: skip
    """Find the extreme of each part and its place, of parts whose places are `known` or in order."""
    shared = cuda.shared.array(BLOCK, T)  # noqa: F821
    places = cuda.shared.array(BLOCK, np.int64)
    _, _, line, high, place_of, at_once, lane, wide, between = seat(beside)
    t, part, parts = seat_number(), cuda.blockIdx.y, cuda.gridDim.y
    line += part * each
    end, hop = min((part + 1) * each, lines), high * apart
    given = x, (known, are_known)
    for block in range(cuda.blockIdx.x * at_once, results, cuda.gridDim.x * at_once):
        result = block + place_of
        if result < results:
            base = place(result, kept, kept_shape, kept_steps)
            best = x[base], _position(given[1], base, np.int64(0))  # which each part may count as its own
            at = base + line * apart
            if kind == VECTOR:  # noqa: SIM114 (a loop for each: there kind is a constant)
                best = walked(given, at, line, end, high, hop, kind, best, best)  # noqa: F821
            elif kind == FOUR:  # noqa: SIM114 (a loop for each: there kind is a constant)
                best = walked(given, at, line, end, high, hop, kind, best, best)  # noqa: F821
            elif kind == SINGLE:
                best = walked(given, at, line, end, high, hop, kind, best, best)  # noqa: F821
            if part == parts - 1:
                for i in range(lane, rest, wide):
                    at = base + lines * apart + i
                    best = chosen(best, (x[at], _position(given[1], at, 4 * lines + i)))  # noqa: F821
            shared[t], places[t] = best
        cuda.syncthreads()
        width = wide // 2
        while width > 0:
            if lane < width and result < results:
                other = t + width * between
                pair = chosen((shared[t], places[t]), (shared[other], places[other]))  # noqa: F821
                shared[t], places[t] = pair
            cuda.syncthreads()
            width //= 2
        if lane == 0 and result < results:
            values[result * parts + part] = shared[t]
            positions[result * parts + part] = places[t]
        cuda.syncthreads()  # the next result overwrites what is read here


def _extremes(name: str, sign: int) -> Kernel:
    chosen = _comes_first(sign)
    scope = {"chosen": chosen, "walked": walker(_pair_item(chosen), chosen)}
    signature = f"{LAYOUT}, int64, int64, T*, int64*, out T*, out int64*"
    return register(Kernel(_find_extreme, signature, ALL, scope, name))


_largest, _smallest = _extremes("largest", 1), _extremes("smallest", -1)


def extreme(x: DeviceArray, dim: int, sign: int) -> tuple[DeviceArray, DeviceArray]:
    """Return maxima (sign 1) or minima (sign -1) along `dim` and their int64 positions, `dim` dropped."""
    return _extreme_of(x, None, (dim % x.ndim,) if x.ndim else (), sign)


def _extreme_of(x: DeviceArray, known: DeviceArray | None, dims: tuple[int, ...], sign: int):
    plan = plan_for(x, dims, columns_of_four=False)
    if plan is None:
        kept = [n for d, n in enumerate(x.shape) if d not in dims]
        values, positions = _extreme_of(in_two_dims(x, dims), None, (1,), sign)
        return values.reshape(kept), positions.reshape(kept)
    shape = (*plan.shape, plan.parts) if plan.parts > 1 else plan.shape
    values, positions = empty(shape, x.dtype), empty(shape, np.int64)
    if plan.results and x.size:
        made = _largest if sign > 0 else _smallest
        made.launch(
            plan.blocks, plan.block, *plan.layout(x), plan.rest, int(known is not None),
            x, positions if known is None else known, values, positions,
        )  # fmt: skip
    if plan.parts > 1:
        return _extreme_of(values, positions, (len(plan.shape),), sign)
    return values, positions
