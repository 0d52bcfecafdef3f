"""Reading and writing elements by position, and the scatter-add that is the gradient of reading.

An index picks rows: positions in some of the dims, once for each element of the broadcast index arrays, and
all of the other dims. What is added up goes through the rows in their sorted order (`kernels.cuda.runs`).
"""

import math
from collections.abc import Sequence

import numpy as np

from kernels.cuda.array import DeviceArray, empty, on_device
from kernels.cuda.compile import ALL, FLOATS, INTEGERS, cuda, device, element_type, kernel, threads
from kernels.cuda.gather import take_rows
from kernels.cuda.geometry import coordinates, offset, walk
from kernels.cuda.lift import lift, run
from kernels.cuda.memory import cast, contiguous, copy, full, zeros
from kernels.cuda.runs import add_runs, largest_of_runs, product_of_runs, smallest_of_runs
from kernels.cuda.scan import cumsum

_ALL = slice(None)


class Along:
    """An index of one element for each position: positions[...] along one dim, its own place along others."""

    def __init__(self, positions: DeviceArray, dim: int):
        self.positions, self.dim = positions, dim


# --- what an index picks ---------------------------------------------------------------------------


def _further(total, position, length, step):
    return total + (position + length if position < 0 else position) * step


_LONG = "int64"
_move_on = lift(
    "indexing", "move_on", _further, {"total": _LONG, "position": "S"}, INTEGERS,
    {"length": _LONG, "step": _LONG}, _LONG,
)  # fmt: skip


@kernel("int64, int64, int64, int64, out K*", ["int64"])
def _add_own_place(size, length, inner, step, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        out[i] += i // inner % length * step


def _steps_of(shape) -> list[int]:
    """Return the steps of a contiguous array, in elements."""
    return [math.prod(shape[d + 1 :]) for d in range(len(shape))]


class _Choice:
    """What an index picks in an array of `shape`.

    picked: the shape of the broadcast index arrays. dims: those they stand for, in order; kept: the others,
    of which `before` come before the picked ones in the result. repeats: may a place be picked twice?
    """

    def __init__(self, shape: tuple[int, ...], index):
        self.input_shape = shape
        self.along = index if isinstance(index, Along) else None
        self.positions: list[DeviceArray] = []
        self.dims: list[int] = []
        self.kept: list[int] = []
        self.repeats, self.before = True, 0
        if self.along is not None:
            self.positions = [on_device(self.along.positions)]
            self.picked = self.positions[0].shape
            self.dims = [*range(len(shape))]
            return
        items = index if isinstance(index, tuple) else (index,)
        shapes: list[tuple[int, ...]] = []
        places: list[int] = []  # of index arrays among the items
        dim = 0
        for n, item in enumerate(items):
            if isinstance(item, slice):
                if item != _ALL:
                    raise TypeError(f"indexing: of slices only ':' may stand beside index arrays, got {item}")
                self.kept.append(dim)
                dim += 1
                continue
            if not places:
                self.before = len(self.kept)
            places.append(n)
            array = on_device(item)
            found = nonzero(array) if array.dtype == np.bool_ else None
            columns = [array] if found is None else [found[:, d] for d in range(array.ndim)]
            shapes += [array.shape if found is None else found.shape[:1]]
            self.positions += columns
            self.dims += range(dim, dim + len(columns))
            dim += len(columns)
            self.repeats = len(places) > 1 or found is None
        if dim > len(shape):
            raise IndexError(f"too many indices for an array of {len(shape)} dims")
        self.kept += range(dim, len(shape))
        self.picked = np.broadcast_shapes(*shapes)
        if places[-1] - places[0] >= len(places):
            self.before = 0  # arrays on both sides of a slice: what they pick comes first

    @property
    def rows(self) -> int:
        """How many places are picked."""
        return math.prod(self.picked)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what is read."""
        kept = [self.input_shape[d] for d in self.kept]
        return (*kept[: self.before], *self.picked, *kept[self.before :])

    def moves(self, steps) -> DeviceArray:
        """Return how far each picked row lies from the first one, by the steps of all dims."""
        total = zeros((), np.dtype(np.int64)) if self.positions else zeros(self.picked, np.dtype(np.int64))
        for positions, dim in zip(self.positions, [self.along.dim] if self.along else self.dims, strict=True):
            total = run(_move_on, [total, positions], [self.input_shape[dim], steps[dim]], dtype=np.int64)
        return total.broadcast_to(self.picked)

    def keys(self) -> tuple[DeviceArray, int]:
        """Return a number for each picked row, flat, and how many there are: equal for equal places."""
        sizes = [self.input_shape[d] for d in self.dims]
        steps = dict(zip(self.dims, _steps_of(sizes), strict=True))
        total = contiguous(self.moves(steps))
        if self.along:
            for d, inner in enumerate(_steps_of(self.picked)):
                if d != self.along.dim and self.picked[d] > 1:
                    _add_own_place.over(total.size, total.size, self.picked[d], inner, steps[d], total)
        return total.reshape(-1), math.prod(sizes)

    def places(self, x: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
        """Return x with the picked dims in one place, and moves from there; they broadcast to `shape`."""
        steps = [s // x.itemsize for s in x.strides]
        moves = self.moves(steps)
        if self.along:
            dim = self.along.dim
            sizes = [1 if d == dim else n for d, n in enumerate(self.picked)]
            strides = [0 if d == dim else s for d, s in enumerate(x.strides)]
            return x.strided(sizes, strides, writable=True), moves
        before, after = self.kept[: self.before], self.kept[self.before :]
        sizes = [*[x.shape[d] for d in before], *[1] * len(self.picked), *[x.shape[d] for d in after]]
        strides = [*[x.strides[d] for d in before], *[0] * len(self.picked), *[x.strides[d] for d in after]]
        return x.strided(sizes, strides, writable=True), self.beside_kept(moves)

    def beside_kept(self, rows: DeviceArray) -> DeviceArray:
        """Return what there is one of for each picked row, so that it broadcasts to `shape`."""
        shape = *self.picked, *[1] * (len(self.kept) - self.before)
        return rows.reshape(shape)

    def matrix(self, values: DeviceArray) -> DeviceArray:
        """Return values in `shape` as contiguous (rows, kept elements)."""
        middle = range(self.before, self.before + len(self.picked))
        order = [*middle, *range(self.before), *range(middle.stop, values.ndim)]
        moved = values.transpose(order) if order else values
        return contiguous(moved).reshape(self.rows, math.prod(self.input_shape[d] for d in self.kept))

    def table(self, x: DeviceArray) -> DeviceArray:
        """Return x, copied, as contiguous (places, kept elements)."""
        order = [*self.dims, *self.kept]
        moved = copy(x.transpose(order) if order else x)
        return moved.reshape(math.prod(x.shape[d] for d in self.dims), -1) if x.size else moved.reshape(0, 0)

    def from_table(self, table: DeviceArray) -> DeviceArray:
        """Return what `table` made, in the shape of the array again."""
        order = [*self.dims, *self.kept]
        moved = table.reshape([self.input_shape[d] for d in order])
        return contiguous(moved.transpose(np.argsort(order))) if order else moved


def _from_there(view: DeviceArray, x: DeviceArray) -> DeviceArray:
    """Return the memory of x from the first element of a view on."""
    count = x.span - (view.address - x.address) // x.itemsize
    return view.strided((count,), (x.itemsize,), writable=True)


def _with_steps(arrays: Sequence[DeviceArray], steps: Sequence[tuple[int, ...]]) -> list:
    return [x for pair in zip(arrays, steps, strict=True) for x in pair]


# --- reading and writing ---------------------------------------------------------------------------


@kernel("int64, uint32, dims, dims, T*, dims, int64*, dims, out T*, dims", ALL)
def _take(size, count, shape, inverses, x, x_steps, moves, moves_steps, out, out_steps):
    i = cuda.grid(1)
    while i < size:
        at = coordinates(i, count, shape, inverses)
        out[offset(at, out_steps)] = x[offset(at, x_steps) + moves[offset(at, moves_steps)]]
        i += cuda.gridsize(1)


@kernel("int64, uint32, dims, dims, int64, T*, dims, int64*, dims, bool*, dims, out T*, dims", ALL)
def _put(
    size, count, shape, inverses, checks, values, values_steps, moves, moves_steps, stays, stays_steps, out,
    out_steps,
):  # fmt: skip
    i = cuda.grid(1)
    while i < size:
        at = coordinates(i, count, shape, inverses)
        if checks == 0 or stays[offset(at, stays_steps)] != 0:
            out[offset(at, out_steps) + moves[offset(at, moves_steps)]] = values[offset(at, values_steps)]
        i += cuda.gridsize(1)


@kernel("int64, K*, out int64[]", ["int64"])
def _find_last(size, keys, last):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        cuda.atomic.max(last, keys[i], i)


@kernel("int64, K*, int64*, out bool*", ["int64"])
def _is_last(size, keys, last, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        out[i] = 1 if last[keys[i]] == i else 0


def take(x: DeviceArray, index) -> DeviceArray:
    """Return x[index], copied: `:`, masks and integer arrays as in NumPy, or what `along` returns."""
    x = on_device(x)
    rows = take_rows(x, index)
    if rows is not None:
        return rows
    choice = _Choice(x.shape, index)
    view, moves = choice.places(x)
    out = empty(choice.shape, x.dtype)
    if out.size:
        for part in walk(out.shape, [view, moves, out]):
            here, there, moved = part.parts_of([view, moves, out])
            operands = _with_steps([_from_there(here, x), there, moved], part.steps)
            _take.over(part.size, part.size, part.dims, part.shape, part.inverses, *operands)
    return out


def put(x: DeviceArray, index, values: DeviceArray) -> None:
    """Write x[index] = values in place; where positions repeat, the last one stays."""
    values = on_device(values)
    choice = _Choice(x.shape, index)
    shape = choice.shape
    if values.ndim > len(shape):  # leading dims of size 1
        values = values.reshape(values.shape[values.ndim - len(shape) :])
    if values.dtype != x.dtype:
        values = cast(values, x.dtype)
    elif values.may_share_memory(x):
        values = copy(values)
    values = values.broadcast_to(shape)
    if not values.size:
        return
    view, moves = choice.places(x)
    checks = choice.repeats and choice.rows > 1 and any(values.strides)
    stays = choice.beside_kept(_last_ones(choice)) if checks else empty((1,) * len(shape), np.bool_)
    for part in walk(shape, [values, moves, stays, view]):
        *moved, here = part.parts_of([values, moves, stays, view])
        operands = _with_steps([*moved, _from_there(here, x)], part.steps)
        _put.over(part.size, part.size, part.dims, part.shape, part.inverses, int(checks), *operands)


def _last_ones(choice: _Choice) -> DeviceArray:
    """Return which of the picked rows are not picked once more after it."""
    keys, limit = choice.keys()
    last = full((limit,), -1, np.dtype(np.int64))
    _find_last.over(keys.size, keys.size, keys, last)
    out = empty(choice.picked, np.bool_)
    _is_last.over(keys.size, keys.size, keys, last, out)
    return out


def along(positions: DeviceArray, dim: int) -> Along:
    """Return the index that picks, along `dim`, element positions[...] of an array, as `np.take_along_axis`.

    positions: integers, not negative, of the array's shape except along `dim`.
    """
    return Along(positions, dim)


# --- adding up -------------------------------------------------------------------------------------


@kernel("int64, K*, out int64[]", ["int64"])
def _count(size, keys, counts):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        cuda.atomic.add(counts, keys[i], 1)  # of integers: in any order


def _counts(keys: DeviceArray, limit: int) -> DeviceArray:
    counts = zeros((limit,), np.dtype(np.int64))
    _count.over(keys.size, keys.size, keys, counts)
    return counts


def _quotient(x, times):
    return x / T(max(times, 1))  # noqa: F821


def _whole_quotient(x, times):
    return x // max(times, 1)


_divide = lift("indexing", "divide", _quotient, {"x": "T", "times": _LONG}, FLOATS)
_divide_integers = lift("indexing", "divide_integers", _whole_quotient, {"x": "T", "times": _LONG}, INTEGERS)


def scatter_add(values: DeviceArray, index, shape: tuple[int, ...]) -> DeviceArray:
    """Return zeros of `shape` with `values` added at `index`; positions that repeat add up."""
    values = on_device(values)
    if values.dtype == np.bool_:
        return cast(scatter_add(cast(values, np.dtype(np.int64)), index, shape), np.dtype(np.bool_))
    choice = _Choice(tuple(shape), index)
    if not choice.repeats:
        out = zeros(shape, values.dtype)
        put(out, index, values)
        return out
    rows = choice.matrix(values.broadcast_to(choice.shape))
    keys, limit = choice.keys()
    table = zeros((limit, rows.shape[1]), values.dtype)
    add_runs(rows, keys, limit, table)
    return choice.from_table(table)


def _key(position, rows, skipped):
    row = position + rows if position < 0 else position
    return rows if row == skipped else row  # one more than there are: no row's


_row_keys = lift(
    "indexing", "row_keys", _key, {"position": "S"}, INTEGERS, {"rows": _LONG, "skipped": _LONG}, _LONG
)


def embedding_dx(
    grad: DeviceArray, index: DeviceArray, count: int, padding: int | None, by_frequency: bool
) -> DeviceArray:
    """Return the gradient of `take(table, index)` in a table of `count` rows: (count, width).

    grad: (*, width); index: (*) int, 0 <= index < count. padding: the row whose gradient is zero.
    by_frequency: divide a row's gradient by how often it was taken.
    """
    out = zeros((count, grad.shape[-1]), grad.dtype)
    if grad.size:
        keys = _keys_of_rows(index, count, -1 if padding is None else padding)
        add_runs(contiguous(grad).reshape(keys.size, -1), keys, count, out)
        if by_frequency:
            counts = _counts(keys, count + 1)[:count]
            run(_divide, [out, counts.reshape(count, 1)], out=out)
    return out


def _keys_of_rows(index: DeviceArray, count: int, skipped: int) -> DeviceArray:
    return contiguous(run(_row_keys, [on_device(index)], [count, skipped], dtype=np.int64)).reshape(-1)


@kernel("int64, int64, K*, T, out T*", [f"int64 {t}" for t in (*FLOATS, *INTEGERS)])
def _reset(size, width, keys, start, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        row = i // width
        out[keys[row] * width + (i - row * width)] = start


_RUNS = {
    "sum": add_runs, "mean": add_runs, "prod": product_of_runs, "amax": largest_of_runs,
    "amin": smallest_of_runs,
}  # fmt: skip


def scatter_reduce(
    x: DeviceArray, index, values: DeviceArray, reduce: str, include_self: bool
) -> DeviceArray:
    """Return x with `values` worked in at `index`; reduce: "sum", "mean", "prod", "amax" or "amin".

    Without include_self, what x held at these positions does not count. A mean of integers is rounded down.
    """
    if x.dtype == np.bool_:  # sums and products of truth values are "or" and "and"
        meant = {"sum": "amax", "prod": "amin"}.get(reduce, reduce)
        kind = np.dtype(np.uint8)
        return cast(scatter_reduce(cast(x, kind), index, cast(values, kind), meant, include_self), x.dtype)
    choice = _Choice(x.shape, index)
    values = on_device(values)
    values = values if values.dtype == x.dtype else cast(values, x.dtype)
    rows = choice.matrix(values.broadcast_to(choice.shape))
    keys, limit = choice.keys()
    table = choice.table(x)
    if not include_self and rows.size:
        start = _start(reduce, x.dtype)
        _reset.over(rows.size, rows.size, rows.shape[1], keys, start, table)
    _RUNS[reduce](rows, keys, limit, table)
    if reduce == "mean" and table.size:
        counts = _counts(keys, limit)
        if include_self:
            counts = run(_move_on, [counts, full((), 1, np.dtype(np.int64))], [0, 1], dtype=np.int64)
        by = _divide if x.dtype.kind == "f" else _divide_integers
        run(by, [table, counts.reshape(-1, 1)], out=table)
    return choice.from_table(table)


def _start(reduce: str, dtype: np.dtype):
    """Return what changes nothing when it is worked in."""
    if reduce not in ("amax", "amin"):
        return int(reduce == "prod")
    sign = -1 if reduce == "amax" else 1
    if dtype.kind == "f":
        return sign * math.inf
    limits = np.iinfo(dtype)
    return int(limits.min if sign < 0 else limits.max)


# --- norms of rows ---------------------------------------------------------------------------------

_BLOCK = threads(128)
_REAL = np.dtype(np.float64)


@kernel("int64, K*, out bool*", ["int64"])
def _mark(size, keys, marks):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        marks[keys[i]] = 1


@device
def _worked_in(total, value, order):
    """Return what is summed up for a norm of this order, or the largest (smallest) so far."""
    size = abs(value)
    if order == math.inf:
        return size if size > total or size != size else total
    if order == -math.inf:
        return size if size < total or size != size else total
    return total + size


@device
def _power(value, order):
    if order == 2:
        return value * value
    if order == 0:
        return order + 1 if value != 0 else order  # nan counts, too
    if math.isinf(order) or order == 1:
        return value
    return math.pow(abs(value), order)


@kernel("int64, int64, int64, int64, float64, float64, bool*, out T*", FLOATS, {"REAL": element_type(_REAL)})
def _limit_norms(rows, width, row_step, step, limit, order, marks, table):
    """Scale marked rows, a block each; in float64, as on the CPU, which squares of large numbers need."""
    shared = cuda.shared.array(_BLOCK, REAL)  # noqa: F821
    t = cuda.threadIdx.x
    for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        if marks[row] == 0:  # the same for all threads of the block
            continue
        start = math.inf if order == -math.inf else REAL(0)  # noqa: F821
        total = REAL(start)  # noqa: F821
        for i in range(t, width, _BLOCK):
            value = REAL(table[row * row_step + i * step])  # noqa: F821
            total = _worked_in(total, _power(value, order), order)
        shared[t] = total
        cuda.syncthreads()
        half = _BLOCK // 2
        while half > 0:
            if t < half:
                shared[t] = _worked_in(shared[t], shared[t + half], order)
            cuda.syncthreads()
            half //= 2
        norm = shared[0]
        if order != 0 and order != 1 and not math.isinf(order):
            norm = math.sqrt(norm) if order == 2 else math.pow(norm, 1 / order)
        if norm > limit:
            # PyTorch's 1e-7, against dividing by zero: a row ends a little below the limit.
            factor = T(limit / (norm + 1e-7))  # noqa: F821
            for i in range(t, width, _BLOCK):
                table[row * row_step + i * step] *= factor
        cuda.syncthreads()  # the next row overwrites what is read here


def limit_norms(table: DeviceArray, index: DeviceArray, limit: float, order: float) -> None:
    """Scale the rows of `table` at `index` whose norm of this order exceeds `limit` down to it, in place."""
    count, width = table.shape
    if not width or not count:
        return
    keys = _keys_of_rows(index, count, -1)
    marks = zeros((count,), np.dtype(np.bool_))
    _mark.over(keys.size, keys.size, keys, marks)
    row_step, step = (s // table.itemsize for s in table.strides)
    _limit_norms.launch(
        min(count, 1 << 16), _BLOCK, count, width, row_step, step, float(limit), float(order), marks, table
    )


# --- positions -------------------------------------------------------------------------------------

_EACH = 16  # elements that one thread looks through


@kernel("int64, int64, T*, out int64*", ALL)
def _count_nonzero(size, parts, x, counts):
    for part in range(cuda.grid(1), parts, cuda.gridsize(1)):
        found = 0
        for i in range(part * _EACH, min((part + 1) * _EACH, size)):
            if x[i] != 0:
                found += 1
        counts[part] = found


@kernel("int64, int64, T*, int64*, int64*, out int64*", ALL)
def _find_nonzero(size, parts, x, counts, ends, out):
    for part in range(cuda.grid(1), parts, cuda.gridsize(1)):
        to = ends[part] - counts[part]
        for i in range(part * _EACH, min((part + 1) * _EACH, size)):
            if x[i] != 0:
                out[to] = i
                to += 1


def _along_dim(position, elements, inner, length):
    flat = position + elements if position < 0 else position
    return flat // inner % length


_unravel = lift(
    "indexing", "unravel", _along_dim, {"position": "S"}, INTEGERS,
    {"elements": _LONG, "inner": _LONG, "length": _LONG}, _LONG,
)  # fmt: skip


def nonzero(x: DeviceArray) -> DeviceArray:
    """Return the (count, dims) int64 positions of elements that are not zero, in order.

    Waits for the GPU: how many there are decides the shape.
    """
    x = contiguous(x)
    if not x.size:
        return empty((0, x.ndim), np.int64)
    parts = -(-x.size // _EACH)
    counts = empty((parts,), np.int64)
    _count_nonzero.over(parts, x.size, parts, x, counts)
    ends = cumsum(counts, 0)
    flat = empty((ends[-1].item(),), np.int64)
    if flat.size:
        _find_nonzero.over(parts, x.size, parts, x, counts, ends, flat)
    if x.ndim == 1:
        return flat.reshape(-1, 1)
    out = empty((flat.size, x.ndim), np.int64)
    if out.size:
        for d, inner in enumerate(_steps_of(x.shape)):
            run(_unravel, [flat], [x.size, inner, x.shape[d]], out=out[:, d])
    return out


def unravel(positions: DeviceArray, shape: tuple[int, ...]) -> tuple[DeviceArray, ...]:
    """Return flat positions (negative ones count from the end) as one int64 array for each dim of `shape`."""
    size = math.prod(shape)
    positions = on_device(positions)
    if not size:
        return tuple(zeros(positions.shape, np.dtype(np.int64)) for _ in shape)
    return tuple(
        run(_unravel, [positions], [size, inner, n], dtype=np.int64)
        for inner, n in zip(_steps_of(shape), shape, strict=True)
    )


@kernel("int64, int64, K*, out int64*", ["int64"])
def _repeat(size, count, ends, out):
    """out[i] = the first j with i < ends[j]."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        low, high = 0, count - 1
        while low < high:
            middle = (low + high) // 2
            if ends[middle] > i:
                high = middle
            else:
                low = middle + 1
        out[i] = low


def repeat(counts: DeviceArray) -> DeviceArray:
    """Return 0, 1, 2, ... as often each as `counts`, integers of no or one dim, says: (sum,) int64."""
    counts = on_device(counts).reshape(-1)
    if not counts.size:
        return empty((0,), np.int64)
    ends = cumsum(counts, 0)
    out = empty((ends[-1].item(),), np.int64)
    _repeat.over(out.size, out.size, ends.size, ends, out)
    return out
