"""Making, copying, casting and joining arrays."""

from collections.abc import Sequence

import numpy as np

from kernels.cuda.array import DeviceArray, empty, empty_like, from_host, on_device
from kernels.cuda.compile import ALL, FLOATS, cuda, kernel
from kernels.cuda.driver import keep_tables
from kernels.cuda.geometry import coordinates, offset, walk
from kernels.cuda.lift import launch, lift, run
from kernels.cuda.transposes import transpose_into


def _same(x):
    return x


_fill = lift("memory", "fill", _same, {}, ALL, {"x": "T"})
_copy = lift("memory", "copy", _same, {"x": "T"}, ALL)


def zeros(shape: tuple[int, ...], dtype: np.dtype) -> DeviceArray:
    """Return zeros."""
    return full(shape, 0, dtype)


@keep_tables(8)
def one(dtype: np.dtype) -> DeviceArray:
    """Return 1, of no dims, which is kept: it must not be written to."""
    return full((), 1, dtype)


def zeros_like(x: DeviceArray, dtype: np.dtype) -> DeviceArray:
    """Return zeros in the shape of `x`, in the order of its memory."""
    return run(_fill, [], [0], empty_like(x, dtype))


def full(shape: tuple[int, ...], value, dtype: np.dtype) -> DeviceArray:
    """Return an array filled with `value`, a number."""
    out = empty(shape, dtype)
    number = value.item() if hasattr(value, "item") else value
    return run(_fill, [], [_element(number, out.dtype)], out)


def _element(number, dtype: np.dtype):
    """Return a number as NumPy would write it into an array of `dtype`; bools are bytes."""
    if dtype.kind == "f" and type(number) in (int, float):
        return float(number)
    with np.errstate(all="ignore"):
        made = np.asarray(number).astype(dtype)
    return int(made) if dtype.kind != "f" else float(made)


# --- copying ---------------------------------------------------------------------------------------


def copy(x: DeviceArray) -> DeviceArray:
    """Return a contiguous copy."""
    x = on_device(x)
    out = empty(x.shape, x.dtype)
    _copy_into(x, out)
    return out


def _copy_into(x: DeviceArray, out: DeviceArray) -> None:
    """Write x, which broadcasts, over `out`; in memory they share nothing."""
    if x.strides[-1:] == out.strides[-1:]:  # rows stay rows
        run(_copy, [x], out=out)
        return
    for part in walk(out.shape, [x, out], by_groups=True):
        moved = part.parts_of([x, out])
        if not transpose_into(part, *moved):
            launch(_copy, part, moved)


def contiguous(x: DeviceArray) -> DeviceArray:
    """Return `x` itself if its elements lie in order without gaps, else a copy that does; host arrays too."""
    x = on_device(x)
    return x if x.flags.c_contiguous else copy(x)


def copy_in_order(x: DeviceArray, strides: tuple[int, ...]) -> DeviceArray:
    """Return a copy without gaps whose dims lie in memory in the order of an array with these strides."""
    order = sorted(range(x.ndim), key=lambda d: -strides[d])
    made = copy(x.transpose(order)) if order else copy(x)
    return made.transpose(np.argsort(order)) if order else made


def _to_integer(x):
    return np.int64(x)  # truncates; a small type takes the lowest bits, as on the CPU


_FROM = [(a, b) for a in ALL for b in ALL if a != b]
_cast = lift(
    "memory",
    "cast",
    _same,
    {"x": "S"},
    [f"{a} {b}" for a, b in _FROM if a not in FLOATS or b in (*FLOATS, "bool")],
)
_cast_to_integer = lift(
    "memory",
    "cast_to_integer",
    _to_integer,
    {"x": "S"},
    [f"{a} {b}" for a, b in _FROM if a in FLOATS and b not in (*FLOATS, "bool")],
)


def cast(x, dtype: np.dtype) -> DeviceArray:
    """Return a copy of another dtype; floats are truncated towards zero."""
    dtype = np.dtype(dtype)
    if isinstance(x, np.ndarray):  # a number, or positions, on their way to the GPU
        with np.errstate(all="ignore"):
            return from_host(x.astype(dtype))
    if x.dtype == dtype:
        return run(_copy, [x])
    truncates = x.dtype.kind == "f" and dtype.kind in "iu"
    return run(_cast_to_integer if truncates else _cast, [x], dtype=dtype)


def write(x: DeviceArray, values) -> None:
    """Overwrite `x` in place with broadcasting values."""
    values = on_device(values)
    if values.ndim > x.ndim:  # leading dims of size 1
        values = values.reshape(values.shape[values.ndim - x.ndim :])
    if values.dtype != x.dtype:
        values = cast(values, x.dtype)
    elif values.may_share_memory(x):
        values = copy(values)
    _copy_into(values, x)


def cat(arrays: list[DeviceArray], dim: int) -> DeviceArray:
    """Join along an existing dimension."""
    first = arrays[0]
    dim %= first.ndim
    shape = list(first.shape)
    shape[dim] = sum(a.shape[dim] for a in arrays)
    out = empty(shape, np.result_type(*[a.dtype for a in arrays]))
    start = 0
    for a in arrays:
        end = start + a.shape[dim]
        write(out[(slice(None),) * dim + (slice(start, end),)], a)
        start = end
    return out


def _choose(condition, x, y):
    return x if condition else y


_where = lift("memory", "where", _choose, {"condition": "bool", "x": "T", "y": "T"}, ALL)


def where(condition: DeviceArray, x: DeviceArray, y: DeviceArray) -> DeviceArray:
    """Return x where condition holds, else y; all three broadcast."""
    condition, x, y = on_device(condition), on_device(x), on_device(y)
    joint = np.result_type(x.dtype, y.dtype)
    x, y = (a if a.dtype == joint else cast(a, joint) for a in (x, y))
    return run(_where, [condition, x, y], dtype=joint)


# --- orders ----------------------------------------------------------------------------------------


def transpose(x: DeviceArray, dim0: int = -2, dim1: int = -1) -> DeviceArray:
    """Return a view with two dimensions exchanged."""
    return x.swapaxes(dim0, dim1)


def permute(x: DeviceArray, dims: Sequence[int]) -> DeviceArray:
    """Return a view with the dimensions in another order."""
    return x.transpose(dims)


def expand(x: DeviceArray, shape: tuple[int, ...]) -> DeviceArray:
    """Return a view broadcast to `shape`; it must not be written to."""
    return x.broadcast_to(shape)


@kernel("int64, uint32, dims, dims, int64, T*, dims, dims, out T*, dims", ALL)
def _flip(size, count, shape, inverses, last, x, kept_steps, turned_steps, out, out_steps):
    i = cuda.grid(1)
    while i < size:
        at = coordinates(i, count, shape, inverses)
        out[offset(at, out_steps)] = x[last + offset(at, kept_steps) - offset(at, turned_steps)]
        i += cuda.gridsize(1)


def flip(x: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return a copy with the elements along `dims` in reverse order."""
    x = on_device(x)
    turned = {d % x.ndim for d in dims} if x.ndim else set()
    out = empty(x.shape, x.dtype)
    if not turned or not x.size:
        _copy_into(x, out)
        return out
    steps = [(0, s) if d in turned else (s, 0) for d, s in enumerate(x.strides)]
    kept, back = (x.strided(x.shape, strides) for strides in zip(*steps, strict=True))
    for part in walk(x.shape, [kept, back, out]):
        moved = part.parts_of([kept, back, out])[2]
        last = back.span - 1 + (part.starts[0] - part.starts[1]) // x.itemsize
        _flip.over(
            part.size, part.size, part.dims, part.shape, part.inverses, last, x, *part.steps[:2], moved,
            part.steps[2],
        )  # fmt: skip
    return out


def roll(x: DeviceArray, shifts: tuple[int, ...], dims: tuple[int, ...] | None) -> DeviceArray:
    """Return a copy with the elements moved on along `dims` (None: as if flat), round the end."""
    x = on_device(x)
    if dims is None:
        return roll(x.reshape(-1), shifts, (0,)).reshape(x.shape)
    moves = [0] * x.ndim
    for shift, dim in zip(shifts, dims, strict=True):
        moves[dim] += shift
    out = empty(x.shape, x.dtype)
    if x.size:
        _roll_into(x, out, [move % size for move, size in zip(moves, x.shape, strict=True)])
    return out


def _roll_into(x: DeviceArray, out: DeviceArray, moves: list[int]) -> None:
    """Write x, moved on: along the first dim that moves, its two parts, each moved along the others."""
    dim = next((d for d, move in enumerate(moves) if move), None)
    if dim is None:
        _copy_into(x, out)
        return
    before, others = (slice(None),) * dim, [0 if d == dim else move for d, move in enumerate(moves)]
    at = x.shape[dim] - moves[dim]
    _roll_into(x[(*before, slice(at))], out[(*before, slice(moves[dim], None))], others)
    _roll_into(x[(*before, slice(at, None))], out[(*before, slice(moves[dim]))], others)
