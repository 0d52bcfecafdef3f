"""Mean and squared deviations of many sets of numbers in one pass over memory: the statistics of batch norm.

A block goes through its part of a set twice, of which the second time finds it in the cache: it sums what the
numbers differ by from one among them, and then from their mean. The means of the parts are merged in turn (T.
Chan, G. Golub and R. LeVeque 1979). So a large mean costs no digits, and neither does an outlier.
"""

import math

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.blocks import MOST, over_rows, sum_of_block, sum_of_group
from kernels.cuda.compile import FLOATS, Kernel, cuda, kernel, register
from kernels.cuda.deviations import add_pairs, deviation_item
from kernels.cuda.geometry import place
from kernels.cuda.norm import lost_in
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


def _moments_of_parts(
    results, lines, each, per, apart, step, beside, kind, kept, kept_shape, kept_steps, left, of_line,
    x, means, rests, squares,
):  # fmt: skip
    """Fill in, for each part, the mean, what rounding took from it, and the sum of squared deviations.

    of_line: the elements of a line. A part has a line at least.
    """
    shared = cuda.shared.array(BLOCK, T)  # noqa: F821
    p0, across, line, high, place_of, at_once, lane, wide, between = seat(beside)
    t, part, parts = seat_number(), cuda.blockIdx.y, cuda.gridDim.y
    first_line = part * each
    line += first_line
    end, hop = min(first_line + each, lines), high * apart
    some = left if part == parts - 1 else 0  # elements that are in no item
    count, zero = T((end - first_line) * of_line + some), T(0)  # noqa: F821
    nothing = zero, zero
    for block in range(cuda.blockIdx.x * at_once, results, cuda.gridDim.x * at_once):
        result = min(block + place_of, results - 1)  # what is one too many does the last one's work again
        base = place(result, kept, kept_shape, kept_steps)
        near = x[base + first_line * apart]
        middle, rest, square = near if near - near == 0 else zero, zero, zero
        for turn in range(2):
            given, sums = (x, x, middle, rest), nothing
            for p in range(p0, per, across):
                at = base + p * step + line * apart
                if kind == VECTOR:  # noqa: SIM114 (a loop for each: there kind is a constant)
                    sums = walked(given, at, line, end, high, hop, kind, sums, nothing)  # noqa: F821
                elif kind == FOUR:  # noqa: SIM114 (a loop for each: there kind is a constant)
                    sums = walked(given, at, line, end, high, hop, kind, sums, nothing)  # noqa: F821
                elif kind == SINGLE:
                    sums = walked(given, at, line, end, high, hop, kind, sums, nothing)  # noqa: F821
            for i in range(lane, some, wide):
                sums = add_pairs(sums, deviation_item(given, base + lines * apart + i, i, SINGLE))
            total = sum_of_group(shared, t, lane, wide, between, sums[0])
            if turn == 0:
                drift = total / count
                middle, rest = middle + drift, lost_in(middle, drift)
            else:
                square = sum_of_group(shared, t, lane, wide, between, sums[1])
                square -= total * total / count  # the mean was rounded
        if lane == 0:
            at = result * parts + part
            means[at], rests[at], squares[at] = middle, rest, square


_moments = register(
    Kernel(
        _moments_of_parts, f"{LAYOUT}, int64, int64, T*, out T*, out T*, out T*", FLOATS,
        {"walked": walker(deviation_item, add_pairs)}, "moments",
    )
)  # fmt: skip


@kernel(
    "int64, int64, int64, int64, int64, int64, int64, int64, T, T, T*, T*, T*, out T*, out T*, out T*", FLOATS
)  # fmt: skip
def _merge_moments(
    sets, entries, parts, count, of_part, of_last, moves_mean, moves_var, eps, momentum,
    means, rests, squares, running_mean, running_var, stats,
):  # fmt: skip
    """Fill in stats out of the moments of parts, a block for each set, and move the running ones.

    The moments lie as (entries / parts, sets, parts).
    """
    shared = cuda.shared.array(MOST, T)  # noqa: F821
    t, width = cuda.threadIdx.x, cuda.blockDim.x
    size, whole, last = T(count), T(of_part), T(of_last)  # noqa: F821
    for row in range(cuda.blockIdx.x, sets, cuda.gridDim.x):
        first = row * parts
        near = means[first] if means[first] - means[first] == 0 else T(0)  # noqa: F821
        total = T(0)  # noqa: F821
        for i in range(t, entries, width):
            part = i % parts
            at = first + i // parts * sets * parts + part
            total += ((means[at] - near) + rests[at]) * (last if part == parts - 1 else whole)
        drift = sum_of_block(shared, t, width, total) / size
        mean, rest = near + drift, lost_in(near, drift)
        square = T(0)  # noqa: F821
        for i in range(t, entries, width):
            part = i % parts
            at = first + i // parts * sets * parts + part
            d = ((means[at] - mean) - rest) + rests[at]
            square += squares[at] + d * d * (last if part == parts - 1 else whole)
        square = sum_of_block(shared, t, width, square)
        if square < 0.0:
            square = T(0)  # noqa: F821
        if t == 0:
            stats[row], stats[sets + row] = mean, 1.0 / math.sqrt(square / size + eps)
            stats[2 * sets + row] = rest
            if moves_mean:
                running_mean[row] = (1.0 - momentum) * running_mean[row] + momentum * mean
            if moves_var:
                moved = momentum * (square / (size - 1.0))
                running_var[row] = (1.0 - momentum) * running_var[row] + moved


def statistics_of(
    x: DeviceArray,
    dims: tuple[int, ...],
    eps: float,
    running_mean: DeviceArray | None,
    running_var: DeviceArray | None,
    momentum: float,
) -> DeviceArray:
    """Return `stats` (3, sets) of the sets of one or more numbers over `dims`.

    running_mean, running_var: contiguous (sets,), moved in place by `momentum` if they are given.
    """
    plan, groups = plan_for(x, dims, columns_of_four=False), 1
    if plan is None:
        found = plan_by_turns(x, dims)
        if found is None:
            return statistics_of(in_two_dims(x, dims), (1,), eps, running_mean, running_var, momentum)
        plan, groups = found
    sets, parts, stats = plan.results // groups, plan.parts, empty((3, plan.results // groups), x.dtype)
    lines, each = plan.numbers[0][1:3]
    count = math.prod(x.shape[d] for d in dims)
    of_line = (count // groups - plan.rest) // lines
    of_part = min(each, lines) * of_line
    moments = empty((3, plan.results, parts), x.dtype)
    _moments.launch(plan.blocks, plan.block, *plan.layout(x), plan.rest, of_line, x, *_thirds(moments))
    over_rows(
        _merge_moments, sets, groups * parts,
        parts, count, of_part, count // groups - (parts - 1) * of_part,
        int(running_mean is not None), int(running_var is not None), eps, momentum, *_thirds(moments),
        stats if running_mean is None else running_mean, stats if running_var is None else running_var, stats,
    )  # fmt: skip
    return stats


def _thirds(x: DeviceArray) -> list[DeviceArray]:
    return [x[n] for n in range(3)]
