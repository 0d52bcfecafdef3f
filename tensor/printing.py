"""Tensors as text, in PyTorch's form: textbooks print, and their readers compare."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tensor import dtypes


@dataclasses.dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_options = _Options()

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors are printed; what is None stays as it is.

    precision: digits after the point (4 at first). threshold: more elements than this (1000) are shown in
    part: `edgeitems` (3) at the beginning and the end of each dimension. linewidth: characters a line (80).
    profile: "default", "short" or "full", set before the others. sci_mode: True or False to demand or forbid
    the scientific form; None, unlike elsewhere, means that the numbers decide again. Raises ValueError for an
    unknown profile.
    """
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"set_printoptions: profile must be one of {', '.join(_PROFILES)}, got {profile!r}")
    chosen = dict(_PROFILES[profile]) if profile is not None else {}
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    chosen.update({name: value for name, value in given.items() if value is not None})
    for name, value in chosen.items():
        setattr(_options, name, value)
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """Return the options as keyword arguments of `set_printoptions`."""
    return dataclasses.asdict(_options)


def format_tensor(
    array: np.ndarray,
    *,
    device: Any = None,
    dtype_suffix: bool = False,
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
) -> str:
    """Return the text of a tensor: `tensor([1., 2.], grad_fn=<AddBackward0>)`.

    device: named if it is given.
    dtype_suffix: name the element type (that of an empty tensor is named whenever it is not the default).
    grad_fn_name: as it is to appear, "<AddBackward0>"; it stands instead of `requires_grad=True`.
    """
    prefix = "tensor("
    suffixes = []
    if array.size == 0:
        text = "[]"
        dtype_suffix = array.dtype != dtypes.get_default_dtype()._array
        show_size = array.ndim != 1
    else:
        summarize = array.size > _options.threshold
        write = _number_format(_shown_elements(array) if summarize else array)
        text = _render(array, len(prefix), summarize, write)
        show_size = not _options.edgeitems
    if device is not None:
        suffixes.append(f"device='{device}'")
    if show_size:
        suffixes.append(f"size={array.shape}")
    if dtype_suffix:
        suffixes.append(f"dtype=torch.{array.dtype.name}")
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn={grad_fn_name}")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return _append(prefix + text, suffixes, len(prefix))


def _append(text: str, suffixes: list[str], indent: int) -> str:
    """Return `text` with its suffixes and the closing parenthesis, on new lines where one gets too long."""
    used = len(text) - text.rfind("\n") + 1  # as PyTorch counts: two more than there are
    for suffix in suffixes:
        if used + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            used = indent + len(suffix)
        else:
            text += ", " + suffix
            used += len(suffix) + 2
    return text + ")"


# --- numbers ---------------------------------------------------------------------------------------


class _Format:
    """Writes numbers, all of one width."""

    def __init__(self, write: Callable[[Any], str], measured: list):
        self._write = write
        self.width = max((len(write(value)) for value in measured), default=1)

    def __call__(self, value) -> str:
        return self._write(value).rjust(self.width)


def _number_format(array: np.ndarray) -> _Format:
    """Choose the form that suits all of the numbers."""
    if array.dtype.kind != "f":
        return _Format(str, array.reshape(-1).tolist())
    # Zeros, nan and infinities have no say, neither in the form nor in the width.
    telling = array[np.isfinite(array) & (array != 0)].astype(np.float64)
    if telling.size == 0:
        return _Format(_write_whole, [])
    sizes = np.abs(telling)
    smallest, largest = float(sizes.min()), float(sizes.max())
    scientific = _options.sci_mode
    if scientific is None:
        scientific = largest / smallest > 1000.0 or largest > 1e8 or smallest < 1e-4
    if scientific:
        write = _float_writer("e")
    elif np.array_equal(telling, np.ceil(telling)):
        write = _write_whole
    else:
        write = _float_writer("f")
    return _Format(write, telling.tolist())


def _write_whole(value: float) -> str:
    text = f"{value:.0f}"
    return text + "." if math.isfinite(value) else text


def _float_writer(form: str) -> Callable[[float], str]:
    spec = f".{_options.precision}{form}"
    return lambda value: format(value, spec)


# --- brackets --------------------------------------------------------------------------------------


def _edges(length: int) -> tuple[range, range] | None:
    """Return the positions shown before and after the dots; None if all are shown."""
    edge = _options.edgeitems
    return (range(edge), range(length - edge, length)) if length > 2 * edge else None


def _shown_elements(array: np.ndarray) -> np.ndarray:
    if _options.edgeitems == 0:
        return array.reshape(-1)[: array.ndim == 0]
    for axis, length in enumerate(array.shape):
        edges = _edges(length)
        if edges is not None:
            array = array.take([*edges[0], *edges[1]], axis)
    return array


def _render(array: np.ndarray, indent: int, summarize: bool, write: _Format) -> str:
    """Return the elements in brackets; `indent` is the column of the opening one."""
    if array.ndim == 0:
        return write(array.item())
    edges = _edges(len(array)) if summarize else None
    if array.ndim == 1:
        if edges is None:
            words = [write(value) for value in array.tolist()]
        elif _options.edgeitems == 0:
            words = ["..."]
        else:
            before, after = (array[list(positions)].tolist() for positions in edges)
            # PyTorch writes the dots with a space of their own
            words = [*map(write, before), " ...", *map(write, after)]
        per_line = max(1, (_options.linewidth - indent) // (write.width + 2))
        lines = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    if edges is None:
        parts = [_render(row, indent + 1, summarize, write) for row in array]
    else:
        before, after = ([_render(array[i], indent + 1, summarize, write) for i in part] for part in edges)
        parts = [*before, "...", *after]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"
