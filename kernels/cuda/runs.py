"""Working rows into a table by their keys: sums, products, largest and smallest, in one fixed order.

The rows are sorted by key, and a thread goes through some that follow each other. What belongs to one key
within them goes into the table; what goes on before or after them becomes a row of a shorter list, with
which the same is done. So no two threads write to one place, the order follows from the keys alone, and the
error of a float32 sum grows with the logarithm of how many are added.
"""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import FLOATS, INTEGERS, Kernel, cuda, device, register
from kernels.cuda.radix import sort_keys

_EACH = 32  # rows that one thread goes through


def _work_in(
    size, parts, rows, width, limit, through_order, keys, order, values, out, more_keys, more_values
):
    """Each thread: a column of `_EACH` rows; what is not complete goes to more_values, two rows a thread."""
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        part = i // width
        column = i - part * width
        first = part * _EACH
        end = min(first + _EACH, rows)
        head_key = tail_key = -1
        head = tail = T(START)  # noqa: F821
        begin = first
        while begin < end:
            key = keys[begin]
            stop = begin
            total = T(START)  # noqa: F821
            while stop < end and keys[stop] == key:
                row = order[stop] if through_order else stop
                total = T(combine(total, values[row * width + column]))  # noqa: F821
                stop += 1
            from_before = begin == first and first > 0 and keys[first - 1] == key
            goes_on = stop == end and end < rows and keys[end] == key
            if begin == first and (from_before or goes_on):
                head_key, head = key, total
                if goes_on:
                    tail_key = key  # with nothing: -1 would look like the end of the key's rows
            elif goes_on:
                tail_key, tail = key, total
            elif key >= 0 and key < limit:
                to = key * width + column
                out[to] = combine(out[to], total)  # noqa: F821
            begin = stop
        if parts > 1:
            if column == 0:
                more_keys[2 * part] = head_key
                more_keys[2 * part + 1] = tail_key
            more_values[2 * part * width + column] = head
            more_values[(2 * part + 1) * width + column] = tail


@device
def _plus(x, y):
    return x + y


@device
def _times(x, y):
    return x * y


@device
def _larger(x, y):
    return x if x > y or x != x else y  # nan wins


@device
def _smaller(x, y):
    return x if x < y or x != x else y


def _limit(dtype: np.dtype, sign: int):
    """Return the largest number of a type (sign 1), or the smallest."""
    if dtype.kind == "f":
        return sign * math.inf
    return int(np.iinfo(dtype).max if sign > 0 else np.iinfo(dtype).min)


def _worker(name: str, combine, start) -> Kernel:
    def scope(kind):
        return {"combine": combine, "START": start(kind["T"])}

    signature = "int64, int64, int64, int64, int64, int64, int64*, int64*, T*, out T*, out int64*, out T*"
    return register(Kernel(_work_in, signature, (*FLOATS, *INTEGERS), scope, name))


_add = _worker("add", _plus, lambda dtype: 0)
_multiply = _worker("multiply", _times, lambda dtype: 1)
_maximum = _worker("maximum", _larger, lambda dtype: _limit(dtype, -1))
_minimum = _worker("minimum", _smaller, lambda dtype: _limit(dtype, 1))


def _over(made: Kernel, rows: DeviceArray, keys: DeviceArray, limit: int, table: DeviceArray) -> None:
    width = rows.shape[1]
    if not rows.size:
        return
    keys, order = sort_keys(keys, limit + 1)
    through_order = 1
    while True:
        count = len(rows)
        parts = -(-count // _EACH)
        left = 2 * parts if parts > 1 else 0
        more_keys, more = empty((left,), np.int64), empty((left, width), rows.dtype)
        made.over(
            parts * width, parts * width, parts, count, width, limit, through_order, keys, order,
            rows, table, more_keys, more,
        )  # fmt: skip
        if parts == 1:
            return
        keys, rows, through_order = more_keys, more, 0


def add_runs(rows: DeviceArray, keys: DeviceArray, limit: int, table: DeviceArray) -> None:
    """Add each row to the row of a table that its key names, in place.

    rows: (n, width), table: (limit, width), both contiguous; keys: (n,) int64, 0 <= key <= limit. Rows of the
    key `limit` go nowhere.
    """
    _over(_add, rows, keys, limit, table)


def product_of_runs(rows: DeviceArray, keys: DeviceArray, limit: int, table: DeviceArray) -> None:
    """Multiply the rows of a table by those whose keys name them, in place; see `add_runs`."""
    _over(_multiply, rows, keys, limit, table)


def largest_of_runs(rows: DeviceArray, keys: DeviceArray, limit: int, table: DeviceArray) -> None:
    """Take larger elements over into a table, in place; nan is the largest; see `add_runs`."""
    _over(_maximum, rows, keys, limit, table)


def smallest_of_runs(rows: DeviceArray, keys: DeviceArray, limit: int, table: DeviceArray) -> None:
    """Take smaller elements over into a table, in place; nan is the smallest; see `add_runs`."""
    _over(_minimum, rows, keys, limit, table)
