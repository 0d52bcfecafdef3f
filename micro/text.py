"""Numbers and arrays as a person reads them: short, and never a 0 that is none.

An array is whatever answers `shape`, `dtype` and `tolist()`; this package knows no NumPy. The corner and
the summary also slice it and ask it for its functions (`__array_namespace__`), as NumPy's arrays answer.
"""

from math import prod
from typing import Any

NOT_THERE = "·"
"""Stands for a gradient that was not computed yet, and for data that was not recorded: neither is a 0."""

LARGEST_SHOWN = 9
"""Arrays of more elements are shown as dtype and shape, or by their corners."""

LONGEST_LABEL = 60
"""Labels of more characters end in an ellipsis."""

EDGE = 3
"""Of a dimension shown by its corners, so many elements stand at either end."""


def show_quantity(quantity: Any) -> str:
    """Return a number or a small array in full, a larger array as dtype and shape, None as a dot."""
    if quantity is None:
        return NOT_THERE
    shape = getattr(quantity, "shape", None)
    if shape is None:
        return show_number(quantity)
    if 0 < prod(shape) <= LARGEST_SHOWN:
        return _show_nested(quantity.tolist())
    return show_kind(shape, getattr(quantity, "dtype", None))


def show_in_line(quantity: Any) -> str:
    """Return a quantity in one line: an array in full up to three numbers in a row, else dtype and shape."""
    shape = getattr(quantity, "shape", None)
    if shape is None or (prod(shape) <= EDGE and len(shape) < 2):
        return show_quantity(quantity)
    return show_kind(shape, getattr(quantity, "dtype", None))


def show_number(number: Any) -> str:
    """Return `number` with four decimals, in scientific notation where those would hide it."""
    if isinstance(number, bool | int):
        return str(number)
    if not isinstance(number, float):
        return shorten(str(number))
    if number == 0 or 1e-3 <= abs(number) < 1e6:
        digits = f"{number:.4f}".rstrip("0")
        return digits + "0" if digits.endswith(".") else digits
    return f"{number:.4g}"  # inf and nan as well


def show_kind(shape: Any, dtype: Any) -> str:
    """Return dtype and shape, as in `float32 (64, 10)`."""
    name = "" if dtype is None else str(dtype).rpartition(".")[2] + " "
    return f"{name}{tuple(shape)}"


def show_corners(array: Any, edge: int = EDGE) -> str:
    """Return an array row by row; where it is large, the first and last `edge` of each dimension.

    What was left out is an ellipsis. Of three and more dimensions only the last two are rows and columns:
    each matrix stands alone, with its place above it, as in `[0, :, :]`.
    """
    shape = tuple(array.shape)
    if prod(shape) == 0:
        return show_kind(shape, getattr(array, "dtype", None))
    if len(shape) < 3:
        return _show_matrix(array, shape, edge)
    parts, last = [], -1
    for index in _places(shape[:-2], edge):
        flat = 0
        for size, at in zip(shape[:-2], index, strict=True):
            flat = flat * size + at
        if flat != last + 1:
            parts.append("…")
        last = flat
        place = ", ".join(map(str, index))
        parts.append(f"[{place}, :, :]\n{_show_matrix(array[index], shape[-2:], edge)}")
    return "\n".join(parts)


def summarize(array: Any) -> str:
    """Return one line: dtype, shape, norm (the root of the sum of squares), min, mean and max.

    They are computed in float64, over what is finite; how many nan and infinities there are is said.
    """
    kind = show_kind(array.shape, getattr(array, "dtype", None))
    if hasattr(array, "numpy"):  # a tensor
        array = array.numpy(force=True)
    functions = getattr(array, "__array_namespace__", lambda: None)()
    if functions is None:
        return kind
    array = functions.asarray(array)
    numbers = array.astype("float64")
    finite = numbers[functions.isfinite(numbers)]
    left_out = [
        f"{count:,} {name}"
        for name, count in (
            ("nan", int(functions.isnan(numbers).sum())),
            ("inf", int(functions.isinf(numbers).sum())),
        )
        if count
    ]
    parts = [kind]
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        # of numbers of a size that their squares and sums do not overflow
        scale = max(abs(low), abs(high)) or 1.0
        scaled = finite / scale
        norm = scale * float((scaled * scaled).sum()) ** 0.5
        mean = scale * float(scaled.mean())
        # the extremes of whole numbers, such as class indices, are whole
        least, most = (int(low), int(high)) if array.dtype.kind in "biu" else (low, high)
        for name, number in (("norm", norm), ("min", least), ("mean", mean), ("max", most)):
            parts.append(f"{name} {show_number(number)}")
    parts += [", ".join(left_out)] * bool(left_out)
    return "  ".join(parts)


def shorten(text: str, most: int = LONGEST_LABEL) -> str:
    """Return `text`, its end replaced by an ellipsis where it is longer than `most`."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _show_nested(items: Any) -> str:
    if not isinstance(items, list):
        return show_number(items)
    # The rows of a matrix stand under each other.
    separator = ",\n" if items and isinstance(items[0], list) else ", "
    return "[" + separator.join(_show_nested(item) for item in items) + "]"


def _show_matrix(array: Any, shape: tuple[int, ...], edge: int) -> str:
    """Return the rows of an array of up to two dimensions, in columns of one width."""
    if not shape:
        return show_number(array.tolist())
    rows = _ends(shape[0], edge) if len(shape) == 2 else [0]
    columns = _ends(shape[-1], edge)
    cells = []
    for row in rows:
        line = array[row] if len(shape) == 2 else array
        # one by one: the list of a whole row may be of millions
        cells.append([show_number(line[column].tolist()) for column in columns])
    width = max(len(cell) for line in cells for cell in line)
    lines = ["[" + _join([c.rjust(width) for c in line], columns, ", ") + "]" for line in cells]
    return _join(lines, rows, "\n")


def _join(texts: list[str], places: list[int], separator: str) -> str:
    """Join texts by their places, with an ellipsis where some were left out."""
    parts: list[str] = []
    for n, text in enumerate(texts):
        if n and places[n] != places[n - 1] + 1:
            parts.append("…")
        parts.append(text)
    return separator.join(parts)


def _ends(size: int, edge: int) -> list[int]:
    """Return the places shown of a dimension: all, or those at its ends if that leaves out two or more."""
    return [*range(size)] if size <= 2 * edge + 1 else [*range(edge), *range(size - edge, size)]


def _places(shape: tuple[int, ...], edge: int) -> list[tuple[int, ...]]:
    """Return the indices of the matrices shown of an array of more dimensions, in order; of each the ends."""
    places: list[tuple[int, ...]] = [()]
    for size in shape:
        places = [(*place, n) for place in places for n in _ends(size, edge)]
    return places if len(places) <= 2 * edge else [*places[:edge], *places[-edge:]]
