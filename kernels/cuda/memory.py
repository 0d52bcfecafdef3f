"""Making, copying, casting and joining arrays."""

import math
from collections.abc import Sequence

import numpy as np

from kernels.cuda.array import DeviceArray, empty, empty_like, from_host, on_device
from kernels.cuda.compile import ALL, FLOATS, cuda, kernel
from kernels.cuda.lift import lift, run


@kernel("int64, T, out T*", ALL)
def _fill(size, value, out):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        out[i] = value


def zeros(shape: tuple[int, ...], dtype: np.dtype) -> DeviceArray:
    """Return zeros."""
    return full(shape, 0, dtype)


def zeros_like(x: DeviceArray, dtype: np.dtype) -> DeviceArray:
    """Return zeros in the shape of `x`, in the order of its memory."""
    out = empty_like(x, dtype)
    _fill.over(out.size, out.size, 0, out)
    return out


def full(shape: tuple[int, ...], value, dtype: np.dtype) -> DeviceArray:
    """Return an array filled with `value`, a number."""
    out = empty(shape, dtype)
    number = value.item() if hasattr(value, "item") else value
    _fill.over(out.size, out.size, _element(number, out.dtype), out)
    return out


def _element(number, dtype: np.dtype):
    """Return a number as NumPy would write it into an array of `dtype`; bools are bytes."""
    with np.errstate(all="ignore"):
        made = np.asarray(number).astype(dtype)
    return int(made) if dtype.kind != "f" else float(made)


# --- copying ---------------------------------------------------------------------------------------


def _same(x):
    return x


_copy = lift("memory", "copy", _same, {"x": "T"}, ALL)


def copy(x: DeviceArray) -> DeviceArray:
    """Return a contiguous copy."""
    x = on_device(x)
    return run(_copy, [x], out=empty(x.shape, x.dtype))


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
    run(_copy, [values], out=x)


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


@kernel("int64, int64, int64, int64, int64, T*, out T*", ALL)
def _turn(size, length, inner, shift, flipped, x, out):
    """Move along the middle dim of (outer, length, inner): back to front, or on by `shift` and round."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        row = i // inner
        place = row % length
        if flipped:
            source = length - 1 - place
        else:
            source = place - shift if place >= shift else place - shift + length
        out[i] = x[i + (source - place) * inner]


def _turned(x: DeviceArray, dim: int, shift: int, flipped: bool) -> DeviceArray:
    out = empty(x.shape, x.dtype)
    inner = math.prod(x.shape[dim + 1 :])
    _turn.over(out.size, out.size, x.shape[dim], inner, shift, int(flipped), x, out)
    return out


def flip(x: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return a copy with the elements along `dims` in reverse order."""
    out = copy(x)
    for dim in dims:
        out = _turned(out, dim % x.ndim, 0, True) if x.ndim else out
    return out


def roll(x: DeviceArray, shifts: tuple[int, ...], dims: tuple[int, ...] | None) -> DeviceArray:
    """Return a copy with the elements moved on along `dims` (None: as if flat), round the end."""
    out = copy(x)
    if not x.size:
        return out
    if dims is None:
        return _turned(out.reshape(-1), 0, shifts[0] % x.size, False).reshape(x.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        out = _turned(out, dim % x.ndim, shift % x.shape[dim], False)
    return out
