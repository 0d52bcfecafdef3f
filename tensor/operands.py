"""Bringing operands together: numbers become tensors, mixed types one type."""

import functools
import itertools
import operator

import numpy as np

from tensor import dtypes
from tensor.devices import to_host

# Tuples, not unions: `isinstance(x, int | float)` builds the union anew each time.
_NUMBERS = (bool, int, float, np.number, np.bool_)
_INTEGERS = (int, np.integer)


def require_tensor(operation: str, argument: str, x) -> None:
    """Raise TypeError, which names the operation and its argument, unless `x` is a tensor."""
    if not hasattr(x, "_array"):
        raise TypeError(
            f"{operation}: argument {argument!r} must be Tensor, not {type(x).__name__}; wrap it: tensor(...)"
        )


def find_tensor(operands, operation: str):
    """Return the first tensor among `operands`; TypeError if there is none."""
    for x in operands:
        if hasattr(x, "_array"):
            return x
    return require_tensor(operation, "input", operands[0])


_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def accept_numpy_names(function):
    """Let `axis=` and `keepdims=` stand for `dim=` and `keepdim=`, as PyTorch does."""

    @functools.wraps(function)
    def renamed(*args, **kwargs):
        if kwargs:
            for alias, name in _NUMPY_NAMES.items():
                if alias in kwargs and name not in kwargs:
                    kwargs[name] = kwargs.pop(alias)
        return function(*args, **kwargs)

    return renamed


def along_dims(function):
    """Make of `function` an operation along dims: it takes a tensor first, and NumPy's names for the dims."""
    named = accept_numpy_names(function)

    @functools.wraps(function)
    def checked(*args, **kwargs):
        if args and not hasattr(args[0], "_array"):
            require_tensor(function.__name__, "input", args[0])
        return named(*args, **kwargs) if kwargs else function(*args)

    return checked


def type_of(x) -> dtypes.dtype:
    """Return the element type that a tensor, an array or a number brings to an operation."""
    if hasattr(x, "_array"):
        return x.dtype
    if isinstance(x, np.ndarray):
        return dtypes.of_array(x.dtype)
    if isinstance(x, bool | np.bool_):
        return dtypes.bool
    return dtypes.int64 if isinstance(x, int | np.integer) else dtypes.get_default_dtype()


def _type_and_rank(x) -> tuple[dtypes.dtype, str]:
    if hasattr(x, "_array"):
        return x.dtype, "dims" if x._array.ndim else "zero"
    return type_of(x), "number" if not isinstance(x, np.ndarray) else "dims" if x.ndim else "zero"


def common_dtype(operands) -> dtypes.dtype:
    """Return the element type of an operation on tensors and numbers."""
    return dtypes.result_type(*map(_type_and_rank, operands))


def as_tensor_like(like, x, dtype: dtypes.dtype, operation: str):
    """Return `x`, a tensor, number or array, as a tensor of `dtype` on the device of `like`."""
    if hasattr(x, "_array"):
        return x if x._array.dtype == dtype._array else x.to(dtype)
    if isinstance(x, _NUMBERS):
        return like._wrap(_cast(like, np.asarray(x), dtype))  # wraps: uint8 + 300 is uint8 + 44
    if isinstance(x, np.ndarray):
        return like._wrap(_cast(like, x, dtype))
    raise TypeError(
        f"{operation}: expected a Tensor or a number, got {type(x).__name__}; wrap it: tensor(...)"
    )


def _cast(like, array: np.ndarray, dtype: dtypes.dtype):
    k = like._kernels
    return k.cast(k.from_host(array), dtype._array)


_USUAL_TYPES = (float, int)
_USUAL_LIMIT = 1e30  # numbers up to it fit every float type but float16


def beside(x, y):
    """Return `y` as an operand beside the tensor `x` where types need no promotion; None where they do.

    These are what most operations meet: floats of one type, and a usual number beside floats.
    """
    dtype = x._array.dtype
    if dtype.kind != "f":
        return None
    array = getattr(y, "_array", None)
    if array is not None:
        return y if array.dtype == dtype else None
    if type(y) in _USUAL_TYPES and -_USUAL_LIMIT < y < _USUAL_LIMIT and dtype.itemsize > 2:
        return x._wrap(x._kernels.full((), y, dtype))
    return None


def result_type(tensor1, tensor2) -> dtypes.dtype:
    """Return the element type of an operation on two tensors, or a tensor and a number."""
    return common_dtype((tensor1, tensor2))


def check_range(value, dtype: np.dtype) -> None:
    """Raise RuntimeError if an integer type cannot hold Python numbers: one, nested lists, or their array.

    As in PyTorch an unsigned type takes negative numbers, which wrap: -1 is 255.
    """
    if dtype.kind not in "iu" or hasattr(value, "_array"):
        return
    array = np.asarray(value)
    if not array.size or array.dtype.kind not in "iuf":
        return
    least, most = dtypes.of_array(dtype).limits
    low, high = array.min().item(), array.max().item()
    if not (-most if dtype.kind == "u" else least) <= low <= high <= most:  # nan is not, either
        raise RuntimeError(
            f"value cannot be converted to type {dtype} without overflow: {low if low < least else high!r} "
            f"is not within [{least}, {most}]"
        )


def within(positions, least: int, size: int, kind: type[Exception], message: str):
    """Return an integer tensor whose elements are within [least, size); raise an error if they are not.

    message: with {} where an element that is not belongs. On a GPU the error may be raised later, where the
    program waits for it: go on with what this returns, which has 0 in the place of such an element.
    """
    array = positions._kernels.within(positions._array, least, size, kind, message)
    return positions if array is positions._array else positions._wrap(array)


def to_sizes(args) -> tuple[int, ...]:
    """Return sizes or dims given one by one, or as one tuple or list; TypeError unless all are integers."""
    given = args[0] if len(args) == 1 and isinstance(args[0], tuple | list) else args
    try:
        return tuple(map(operator.index, given))
    except TypeError:
        raise TypeError(
            f"expected integers for sizes or dims, got {tuple(given)!r:.60}; to halve a size, write n // 2"
        ) from None


def to_array(data, dtype: dtypes.dtype | None, operation: str) -> np.ndarray:
    """Return a new array of nested lists, numbers, tensors or arrays.

    dtype None keeps the type of arrays and tensors; Python floats get the default type, ints int64.
    """
    wanted = None if dtype is None else dtypes.array_dtype(dtype)
    if hasattr(data, "_array"):
        return np.array(to_host(data._array), wanted, order="C")
    if isinstance(data, np.ndarray | np.generic):
        array = np.array(data, wanted, order="C")
        dtypes.of_array(array.dtype)
        return array
    if isinstance(data, list | tuple):
        data = _without_tensors(data)
    try:
        array = np.array(data)
    except ValueError:
        raise ValueError(
            f"{operation}: expected rows of equal length, got nested lists of different lengths"
        ) from None
    if array.dtype.kind == "O":
        raise RuntimeError(f"{operation}: Could not infer dtype of {data!r:.60}; expected numbers")
    if array.dtype.kind == "U" and array.ndim and isinstance(next(_elements(data)), str):
        raise ValueError(f"{operation}: expected numbers, got text: {data!r:.60}")
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{operation}: expected numbers, nested lists of numbers or an array, got {data!r:.60}"
        )
    if wanted is None and _holds_arrays(data):
        wanted = dtypes.result_type(*[(_type_within(x), "dims") for x in _elements(data)])._array
    elif wanted is None:
        floats = not array.size or array.dtype.kind == "f"
        integers = dtypes.int64 if array.dtype.kind in "iu" else dtypes.bool
        wanted = (dtypes.get_default_dtype() if floats else integers)._array
    check_range(array, wanted)
    with np.errstate(all="ignore"):
        return np.asarray(array.astype(wanted))


def _without_tensors(data):
    if hasattr(data, "_array"):
        return to_host(data._array)
    return [_without_tensors(x) for x in data] if isinstance(data, list | tuple) else data


def _elements(data):
    """Yield what nested lists hold: numbers, arrays, NumPy's numbers."""
    for x in data:
        if isinstance(x, list | tuple):
            yield from _elements(x)
        else:
            yield x


def _type_within(x) -> dtypes.dtype:
    return dtypes.of_array(x.dtype) if isinstance(x, np.generic) else type_of(x)


def _holds_arrays(data) -> bool:
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return isinstance(data, np.ndarray | np.generic)


def normalize_dim(dim: int, ndim: int, operation: str) -> int:
    """Return `dim` counted from the front; IndexError if out of range. A zero-dim tensor has -1 and 0."""
    limit = ndim or 1
    if not isinstance(dim, _INTEGERS) or isinstance(dim, bool):
        raise TypeError(f"{operation}: dim must be an int, got {dim!r}")
    if not -limit <= dim < limit:
        raise IndexError(
            f"{operation}: Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], "
            f"but got {dim})"
        )
    return int(dim) % limit


def normalize_dims(dim, ndim: int, operation: str) -> tuple[int, ...]:
    """Return ascending, distinct dims; None or () mean all of them."""
    if dim is None:
        return tuple(range(ndim))
    dims = dim if isinstance(dim, tuple | list) else (dim,)
    if not dims:
        return tuple(range(ndim))
    found = sorted(normalize_dim(d, ndim, operation) for d in dims)
    for a, b in itertools.pairwise(found):
        if a == b:
            raise RuntimeError(f"{operation}: dim {a} appears multiple times in the list of dims")
    return tuple(found) if ndim else ()
