"""`torch.testing`: assert_close, for tests of programs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tensor.engine import Tensor

# rtol and atol by element type; all that is not here must be equal
_TOLERANCE = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless |actual - expected| <= atol + rtol * |expected| everywhere.

    Takes tensors, arrays, numbers, None, and sequences and mappings of them. rtol, atol: both or neither; by
    default those of the element type (float32: 1.3e-6 and 1e-5; float64: 1e-7 and 1e-7; integers: 0 and 0),
    the larger where two types are compared. equal_nan: nan equals nan. check_device, check_dtype,
    check_stride: these must agree too; there is one layout. msg: instead of what is said, or a function of
    it. Raises ValueError for rtol without atol and TypeError for what cannot be compared.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            "assert_close: both 'rtol' and 'atol' must be either specified or omitted, but got no "
            + ("rtol" if rtol is None else "atol")
        )
    options = (rtol, atol, equal_nan, check_device, check_dtype, check_stride, allow_subclasses)
    found = _difference(actual, expected, options, "")
    if found is None:
        return
    if callable(msg):
        found = msg(found)
    elif msg is not None:
        found = msg
    raise AssertionError(found)


def _difference(actual: Any, expected: Any, options: tuple, where: str) -> str | None:
    """Return what is wrong; None if nothing is."""
    item = f"\n\nThe failure occurred for item {where}" if where else ""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        missing_keys = sorted(expected.keys() - actual.keys(), key=str)
        additional = sorted(actual.keys() - expected.keys(), key=str)
        if missing_keys or additional:
            return (
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {missing_keys}\n"
                f"Additional keys in the actual mapping: {additional}{item}"
            )
        return _first(((actual[key], expected[key], f"{where}[{key!r}]") for key in expected), options)
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            return f"The length of the sequences mismatch: {len(actual)} != {len(expected)}{item}"
        pairs = enumerate(zip(actual, expected, strict=True))
        return _first(((a, b, f"{where}[{n}]") for n, (a, b) in pairs), options)
    found = _pair_difference(actual, expected, options)
    return None if found is None else found + item


def _first(entries: Any, options: tuple) -> str | None:
    for actual, expected, where in entries:
        found = _difference(actual, expected, options, where)
        if found is not None:
            return found
    return None


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str)


def _pair_difference(actual: Any, expected: Any, options: tuple) -> str | None:
    _, _, _, check_device, check_dtype, check_stride, allow_subclasses = options
    if actual is None or expected is None:
        return None if actual is expected else f"None mismatch: {actual} is not {expected}"
    if isinstance(actual, bool | np.bool_) and isinstance(expected, bool | np.bool_):
        return None if actual == expected else f"Booleans mismatch: {actual} is not {expected}"
    numbers = (int, float, np.number)
    if isinstance(actual, numbers) and isinstance(expected, numbers):
        if check_dtype and type(actual) is not type(expected):
            return f"The (d)types do not match: {type(actual)} != {type(expected)}."
        return _value_difference(np.asarray(actual), np.asarray(expected), options)
    tensors = isinstance(actual, Tensor) and isinstance(expected, Tensor)
    arrays = isinstance(actual, np.ndarray) and isinstance(expected, np.ndarray)
    alike = allow_subclasses or type(actual) is type(expected)
    if not (tensors or arrays) or not alike:
        raise TypeError(
            f"assert_close: cannot compare {type(actual)} with {type(expected)}; convert one: "
            "torch.as_tensor(...)"
        )
    if tuple(actual.shape) != tuple(expected.shape):
        return f"The values for attribute 'shape' do not match: {actual.shape} != {expected.shape}."
    if check_device and tensors and actual.device != expected.device:
        return f"The values for attribute 'device' do not match: {actual.device} != {expected.device}."
    if check_dtype and actual.dtype != expected.dtype:
        return f"The values for attribute 'dtype' do not match: {actual.dtype} != {expected.dtype}."
    if check_stride and tensors and actual.stride() != expected.stride():
        return f"The values for attribute 'stride()' do not match: {actual.stride()} != {expected.stride()}."
    a, b = (x.detach().cpu().numpy() if tensors else x for x in (actual, expected))
    return _value_difference(a, b, options)


def _value_difference(actual: np.ndarray, expected: np.ndarray, options: tuple) -> str | None:
    rtol, atol, equal_nan, *_ = options
    if rtol is None:
        known = [_TOLERANCE.get(array.dtype.name, (0.0, 0.0)) for array in (actual, expected)]
        rtol, atol = max(known[0][0], known[1][0]), max(known[0][1], known[1][1])
    exact = rtol == atol == 0
    floats = actual.dtype.kind == "f" and expected.dtype.kind == "f"
    kind: Any = np.result_type(actual, expected) if floats else np.float64
    if exact and actual.dtype.kind in "iu":
        kind = object  # whole numbers stay whole
    a, b = actual.astype(kind), expected.astype(kind)
    with np.errstate(all="ignore"):
        apart = np.abs(a - b)
        close = np.asarray((apart <= atol + rtol * np.abs(b)) | (a == b), bool)
        if equal_nan:
            close |= np.asarray((a != a) & (b != b))
        if close.all():
            return None
        absolute = np.where(close, 0.0, apart.astype(np.float64))
        relative = np.where(close, 0.0, (apart / np.abs(b)).astype(np.float64))
    equal = "equal" if exact else "close"
    allowed = ["", ""] if exact else [f" (up to {atol} allowed)", f" (up to {rtol} allowed)"]
    whole = exact and actual.dtype.kind in "iub"

    def number(x: float) -> str:
        return str(int(x) if whole and np.isfinite(x) else float(x))

    if actual.size == 1:
        return (
            f"Scalars are not {equal}!\n\nExpected {expected.item()} but got {actual.item()}.\n"
            f"Absolute difference: {number(absolute.item())}{allowed[0]}\n"
            f"Relative difference: {float(relative.item())}{allowed[1]}"
        )
    wrong = close.size - int(close.sum())
    worst = [np.unravel_index(np.argmax(values), values.shape) for values in (absolute, relative)]
    places = [tuple(int(n) for n in place) for place in worst]
    shown = [str(place[0]) if len(place) == 1 else str(place) for place in places]
    return (
        f"Tensor-likes are not {equal}!\n\n"
        f"Mismatched elements: {wrong} / {close.size} ({wrong / close.size:.1%})\n"
        f"Greatest absolute difference: {number(absolute[places[0]])} at index {shown[0]}{allowed[0]}\n"
        f"Greatest relative difference: {float(relative[places[1]])} at index {shown[1]}{allowed[1]}"
    )
