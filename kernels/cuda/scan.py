"""Running results along a dimension: sums, products, extrema and log-sum-exps of all elements so far.

Arrays are brought to (outer, length, inner). A line of few elements is walked by one thread. A longer one
is walked by a block, as many elements at once as it has threads: in log2 steps each thread's result takes
in those of 1, 2, 4, ... threads before it. What is longer still is cut into parts, as sums are; the parts'
totals are scanned in turn, and go into the elements that follow. The order depends on the shape alone.
"""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import ALL, FLOATS, INTEGERS, Kernel, cuda, device, formula_for, register, threads
from kernels.cuda.memory import contiguous

BLOCK = threads(256)
_WALKED = threads(64)  # elements of a line that one thread goes through
_PART = 4096  # elements of a part
_MOST_PARTS = 1024
_MANY_LINES = 512  # so many keep the GPU busy by themselves
_MOST_BLOCKS = 1 << 16


# --- one number an element -------------------------------------------------------------------------


def _walk(lines, length, inner, from_end, x, out):
    for line in range(cuda.grid(1), lines, cuda.gridsize(1)):
        at = line // inner * length * inner + line % inner
        step = inner
        if from_end:
            at, step = at + (length - 1) * inner, -inner
        total = A(x[at])  # noqa: F821
        out[at] = total
        for _ in range(1, length):
            at += step
            total = combine(total, A(x[at]))  # noqa: F821
            out[at] = total


def _scan(lines, parts, length, inner, from_end, x, out, totals):
    """Scan each part of each line by itself; totals[line, part]: its last result."""
    shared = cuda.shared.array(BLOCK, A)  # noqa: F821
    t = cuda.threadIdx.x
    for block in range(cuda.blockIdx.x, lines * parts, cuda.gridDim.x):
        line, part = block // parts, block % parts
        first, end = length * part // parts, length * (part + 1) // parts
        base = line // inner * length * inner + line % inner
        before = A(0)  # noqa: F821
        for start in range(first, end, BLOCK):
            place = start + t
            at = base + (length - 1 - place if from_end else place) * inner
            total = A(0)  # noqa: F821
            if place < end:
                total = A(x[at])  # noqa: F821
            shared[t] = total
            cuda.syncthreads()
            reach = 1
            while reach < BLOCK:
                if t >= reach:
                    total = combine(shared[t - reach], total)  # noqa: F821
                cuda.syncthreads()
                shared[t] = total
                cuda.syncthreads()
                reach *= 2
            if start > first:
                total = combine(before, total)  # noqa: F821
                shared[t] = total
                cuda.syncthreads()
            before = shared[min(end - start, BLOCK) - 1]
            if place < end:
                out[at] = total
            cuda.syncthreads()  # the next elements overwrite what is read here
        if t == 0:
            totals[block] = before


def _add_totals(size, parts, length, inner, from_end, totals, out):
    """Take the totals of all parts before into the elements of each but the first."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        row = i // inner
        outer = row // length
        place = row - outer * length
        if from_end:
            place = length - 1 - place
        part = ((place + 1) * parts - 1) // length
        if part > 0:
            line = outer * inner + (i - row * inner)
            out[i] = combine(totals[line * parts + part - 1], out[i])  # noqa: F821


class _Scan:
    """The three kernels of an operation on one number an element."""

    def __init__(self, name: str, combine, kinds):
        def scope(kind):
            return {"combine": formula_for(combine, kind["A"])}

        def made(function, signature, variants, title):
            return register(Kernel(function, signature, variants, scope, title, "scan"))

        self.walk = made(_walk, "int64, int64, int64, int64, S*, out A*", kinds, f"{name}_of_short_lines")
        self.scan = made(_scan, "int64, int64, int64, int64, int64, S*, out A*, out A*", kinds, name)
        single = list(dict.fromkeys(k.split()[1] for k in kinds))
        self.add = made(
            _add_totals, "int64, int64, int64, int64, int64, A*, out A*", single, f"{name}_of_parts"
        )

    def over(self, x: DeviceArray, outer: int, length: int, inner: int, from_end: bool, dtype) -> DeviceArray:
        out = empty(x.shape, dtype)
        lines = outer * inner
        if not out.size:
            return out
        if length <= _WALKED:
            self.walk.over(lines, lines, length, inner, int(from_end), x, out)
            return out
        parts = 1 if lines >= _MANY_LINES or length <= _PART else min(-(-length // _PART), _MOST_PARTS)
        totals = empty((lines, parts), dtype)
        blocks = min(lines * parts, _MOST_BLOCKS)
        self.scan.launch(blocks, BLOCK, lines, parts, length, inner, int(from_end), x, out, totals)
        if parts > 1:
            totals = self.over(totals, lines, parts, 1, False, dtype)
            self.add.over(out.size, out.size, parts, length, inner, int(from_end), totals, out)
        return out


def _plus(x, y):
    return x + y


def _times(x, y):
    return x * y


def _log_add_exp(x, y):
    if x != x or y != y:
        return x + y
    high, low = (x, y) if x > y else (y, x)
    if high == low and math.isinf(high):
        return high
    return high + math.log1p(math.exp(low - high))


_OF_INTEGERS = [f"{t} int64" for t in (*INTEGERS, "bool")]
_OF_FLOATS = [f"{t} {t}" for t in FLOATS]
_sum = _Scan("cumsum", _plus, [*_OF_FLOATS, *_OF_INTEGERS])
_product = _Scan("cumprod", _times, [*_OF_FLOATS, *_OF_INTEGERS])
_logsumexp = _Scan("logcumsumexp", _log_add_exp, _OF_FLOATS)


def _in_three(x: DeviceArray, dim: int) -> tuple[int, int, int]:
    """Return outer, length and inner: how many elements lie before, along and after `dim`."""
    if not x.ndim:
        return 1, 1, 1
    dim %= x.ndim
    return math.prod(x.shape[:dim]), x.shape[dim], math.prod(x.shape[dim + 1 :])


def _along(made: _Scan, x: DeviceArray, dim: int, from_end: bool = False) -> DeviceArray:
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.int64)
    return made.over(contiguous(x), *_in_three(x, dim), from_end, dtype)


def cumsum(x: DeviceArray, dim: int, from_end: bool = False) -> DeviceArray:
    """Return the running sums along `dim`, from the first or from the last element. Integers give int64."""
    return _along(_sum, x, dim, from_end)


def cumprod(x: DeviceArray, dim: int) -> DeviceArray:
    """Return the running products along `dim`. Integers give int64."""
    return _along(_product, x, dim)


def cumprod_from_end(x: DeviceArray, dim: int) -> DeviceArray:
    """Return the products of each element and all that follow it along `dim`. Integers give int64."""
    return _along(_product, x, dim, True)


def logcumsumexp(x: DeviceArray, dim: int, from_end: bool = False) -> DeviceArray:
    """Return log(cumsum(exp(x))) along `dim`, without overflow."""
    return _along(_logsumexp, x, dim, from_end)


# --- two numbers an element ------------------------------------------------------------------------


def _scan_pairs(lines, parts, length, inner, from_end, x, y, out, more, totals, more_totals):
    """As `_scan`: what is combined are pairs, made of x and y."""
    shared = cuda.shared.array(BLOCK, T)  # noqa: F821
    shared_more = cuda.shared.array(BLOCK, P)  # noqa: F821
    t = cuda.threadIdx.x
    for block in range(cuda.blockIdx.x, lines * parts, cuda.gridDim.x):
        line, part = block // parts, block % parts
        first, end = length * part // parts, length * (part + 1) // parts
        base = line // inner * length * inner + line % inner
        before, more_before = T(0), P(0)  # noqa: F821
        for start in range(first, end, BLOCK):
            place = start + t
            at = base + (length - 1 - place if from_end else place) * inner
            a, b = T(0), P(0)  # noqa: F821
            if place < end:
                a, b = first_of(x, at, place, inner), second_of(y, at, place)  # noqa: F821
            shared[t] = a
            shared_more[t] = b
            cuda.syncthreads()
            reach = 1
            while reach < BLOCK:
                if t >= reach:
                    a, b = combine(shared[t - reach], shared_more[t - reach], a, b)  # noqa: F821
                cuda.syncthreads()
                shared[t] = a
                shared_more[t] = b
                cuda.syncthreads()
                reach *= 2
            if start > first:
                a, b = combine(before, more_before, a, b)  # noqa: F821
                shared[t] = a
                shared_more[t] = b
                cuda.syncthreads()
            last = min(end - start, BLOCK) - 1
            before, more_before = shared[last], shared_more[last]
            if place < end:
                out[at] = a
                more[at] = b
            cuda.syncthreads()  # the next elements overwrite what is read here
        if t == 0:
            totals[block] = before
            more_totals[block] = more_before


def _add_total_pairs(size, parts, length, inner, from_end, totals, more_totals, out, more):
    """As `_add_totals`, of pairs."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        row = i // inner
        outer = row // length
        place = row - outer * length
        if from_end:
            place = length - 1 - place
        part = ((place + 1) * parts - 1) // length
        if part > 0:
            k = (outer * inner + (i - row * inner)) * parts + part - 1
            a, b = combine(totals[k], more_totals[k], out[i], more[i])  # noqa: F821
            out[i] = a
            more[i] = b


@device
def _first_itself(x, at, place, inner):
    return x[at]


@device
def _second_itself(y, at, place):
    return y[at]


@device
def _second_is_place(y, at, place):
    return place


@device
def _first_is_next(x, at, place, inner):
    # From the end: what comes before in the scan lies behind in memory, and nothing behind the last.
    return x[at + inner] if place > 0 else x[at] - x[at]


class _PairScan:
    """The kernels of an operation on pairs."""

    def __init__(self, name: str, combine, first_of, second_of, kinds):
        signature = "int64, int64, int64, int64, int64, T*, P*, out T*, out P*, out T*, out P*"

        def made(title, first, second):
            scope = {"combine": combine, "first_of": first, "second_of": second}
            return register(Kernel(_scan_pairs, signature, kinds, scope, title, "scan"))

        self.scan = made(name, first_of, second_of)
        self.again = made(f"{name}_of_totals", _first_itself, _second_itself)
        added = "int64, int64, int64, int64, int64, T*, P*, out T*, out P*"
        self.add = register(
            Kernel(_add_total_pairs, added, kinds, {"combine": combine}, f"{name}_of_parts", "scan")
        )

    def over(self, x, y, outer: int, length: int, inner: int, from_end: bool, second=None, again=False):
        """Return both running results; y: read if its elements go into the pairs; second: else their type."""
        out, more = empty(x.shape, x.dtype), empty(x.shape, y.dtype if second is None else second)
        lines = outer * inner
        if not out.size:
            return out, more
        y = more if y is None else y
        parts = 1 if lines >= _MANY_LINES or length <= _PART else min(-(-length // _PART), _MOST_PARTS)
        totals, more_totals = empty((lines, parts), out.dtype), empty((lines, parts), more.dtype)
        (self.again if again else self.scan).launch(
            min(lines * parts, _MOST_BLOCKS), BLOCK,
            lines, parts, length, inner, int(from_end), x, y, out, more, totals, more_totals,
        )  # fmt: skip
        if parts > 1:
            totals, more_totals = self.over(totals, more_totals, lines, parts, 1, False, again=True)
            self.add.over(
                out.size, out.size, parts, length, inner, int(from_end), totals, more_totals, out, more
            )
        return out, more


@device
def _larger(best, at, value, place):
    # The last of equals counts; nan, once met, stays.
    if value != value or (best == best and value >= best):
        return value, place
    return best, at


@device
def _smaller(best, at, value, place):
    if value != value or (best == best and value <= best):
        return value, place
    return best, at


@device
def _follow(a, b, c, d):
    # s -> a * s + b, then s -> c * s + d.
    return c * a, c * b + d


_WITH_PLACE = [f"{t} int64" for t in ALL]
_maximum = _PairScan("cummax", _larger, _first_itself, _second_is_place, _WITH_PLACE)
_minimum = _PairScan("cummin", _smaller, _first_itself, _second_is_place, _WITH_PLACE)
_tails = _PairScan("cumprod_tails", _follow, _first_is_next, _second_itself, _OF_FLOATS)


def cumextreme(x: DeviceArray, dim: int, sign: int) -> tuple[DeviceArray, DeviceArray]:
    """Return the running maxima (sign 1) or minima (-1) along `dim`, and their int64 positions."""
    made = _maximum if sign > 0 else _minimum
    return made.over(contiguous(x), None, *_in_three(x, dim), False, np.int64)


def _times_before(size, length, inner, products, tails, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        is_first = i // inner % length == 0
        out[i] = tails[i] if is_first else products[i - inner] * tails[i]


_product_dx = register(
    Kernel(_times_before, "int64, int64, int64, T*, T*, out T*", FLOATS, None, "cumprod_dx", "scan")
)


def cumprod_dx(x: DeviceArray, grad: DeviceArray, dim: int) -> DeviceArray:
    """Return the gradient of `cumprod(x, dim)` in x."""
    # With P the product of all before, and S = grad + next x * next S, the gradient is P * S: no division,
    # so that zeros are right, too.
    x, (outer, length, inner) = contiguous(x), _in_three(x, dim)
    tails = _tails.over(x, contiguous(grad), outer, length, inner, True)[1]
    out = empty(x.shape, x.dtype)
    _product_dx.over(out.size, out.size, length, inner, cumprod(x, dim), tails, out)
    return out
