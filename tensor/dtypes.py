"""Element types, and which type the result of mixed operands has (PyTorch's promotion rules)."""

import builtins

import numpy as np


class dtype:
    """An element type. Compare by identity: `x.dtype is float32`, or `==`."""

    __slots__ = ("_array", "_category", "itemsize", "name")
    _category: builtins.int  # bool < integer < float
    _by_array: dict[np.dtype, "dtype"] = {}  # noqa: RUF012

    def __init__(self, name: str, array: str, category: builtins.int):
        self.name, self._array, self._category = name, np.dtype(array), category
        self.itemsize = self._array.itemsize
        dtype._by_array[self._array] = self

    @property
    def is_floating_point(self) -> builtins.bool:
        """Whether gradients can flow through tensors of this type."""
        return self._category == 2

    @property
    def is_signed(self) -> builtins.bool:
        """Whether this type holds negative numbers."""
        return self._category == 2 or (self._category == 1 and self.name != "uint8")

    @property
    def limits(self) -> tuple:
        """The least and the largest integer that this integer or bool type holds."""
        if self._category == 0:
            return 0, 1
        info = np.iinfo(self._array)
        return builtins.int(info.min), builtins.int(info.max)

    @property
    def is_complex(self) -> builtins.bool:
        """False: complex numbers are not supported."""
        return False

    def __repr__(self) -> str:
        return f"torch.{self.name}"  # as PyTorch prints it: programs written for PyTorch print dtypes

    def __reduce__(self):
        return _by_name, (self.name,)


_BOOL, _INTEGER, _FLOAT = 0, 1, 2
bool = dtype("bool", "bool", _BOOL)
uint8 = dtype("uint8", "uint8", _INTEGER)
int8 = dtype("int8", "int8", _INTEGER)
int16 = dtype("int16", "int16", _INTEGER)
int32 = dtype("int32", "int32", _INTEGER)
int64 = dtype("int64", "int64", _INTEGER)
float32 = dtype("float32", "float32", _FLOAT)
float64 = dtype("float64", "float64", _FLOAT)
short, int, long, float, double = int16, int32, int64, float32, float64


class _HalfPrecision(dtype):
    """A type of 16 bits, to be named and compared; tensors do not have it."""

    __slots__ = ()

    def __init__(self, name: str):
        self.name, self._category, self.itemsize = name, _FLOAT, 2

    @property
    def _array(self):
        raise TypeError(f"{self!r}: tensors of 16-bit floats are not supported on the CPU; use torch.float32")


float16, bfloat16 = _HalfPrecision("float16"), _HalfPrecision("bfloat16")
half = float16

# What PyTorch calls the type of a tensor of this dtype.
LEGACY_NAMES = {
    "bool": "BoolTensor",
    "uint8": "ByteTensor",
    "int8": "CharTensor",
    "int16": "ShortTensor",
    "int32": "IntTensor",
    "int64": "LongTensor",
    "float16": "HalfTensor",
    "bfloat16": "BFloat16Tensor",
    "float32": "FloatTensor",
    "float64": "DoubleTensor",
}

_default = float32


def _by_name(name: str) -> dtype:
    return globals()[name]


def get_default_dtype() -> dtype:
    """Return the type of tensors made from Python floats; float32 unless changed."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Make `d` (float32 or float64) the type of tensors made from Python floats."""
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(f"set_default_dtype: expected torch.float32 or torch.float64, got {d!r}")
    _default = d


def of_array(array_dtype: np.dtype) -> dtype:
    """Return the tensor type of a NumPy dtype; TypeError for one that tensors do not have."""
    found = dtype._by_array.get(array_dtype)
    if found is None:
        names = ", ".join(d.name for d in dtype._by_array.values())
        raise TypeError(f"tensor: no element type for NumPy's {array_dtype}; supported: {names}")
    return found


def array_dtype(d) -> np.dtype:
    """Return the NumPy dtype of a tensor type (also of NumPy's, or Python's float, int, bool: the widest)."""
    return d._array if isinstance(d, dtype) else of_array(np.dtype(d))._array


def of_type(t) -> dtype:
    """Return the dtype that `t` stands for: a dtype, FloatTensor and the like, or "torch.FloatTensor"."""
    if isinstance(t, dtype):
        return t
    if t in (builtins.bool, builtins.int, builtins.float):
        return of_array(np.dtype(t))
    name = t.rpartition(".")[2] if isinstance(t, str) else getattr(t, "__name__", "")
    for of, legacy in LEGACY_NAMES.items():
        if legacy == name and of in globals():
            return _by_name(of)
    raise ValueError(f"type: invalid type: {t!r}; use a dtype such as torch.float32")


def promote_types(a: dtype, b: dtype) -> dtype:
    """Return the smallest type to which both convert without changing category downwards.

    uint8 with int32 is int32; an integer with a float is that float (float32 even for int64).
    """
    if a is b:
        return a
    if a._category != b._category:
        return a if a._category > b._category else b
    if a.itemsize == b.itemsize and a.is_signed is not b.is_signed:
        return int16  # of uint8 and int8: what holds both
    if a.itemsize == b.itemsize:
        return a
    return a if a.itemsize > b.itemsize else b


def can_cast(from_: dtype, to: dtype) -> builtins.bool:
    """Return whether PyTorch writes results of one type into a tensor of the other in place."""
    return from_._category <= to._category


def result_type(*operands: tuple[dtype, str]) -> dtype:
    """Return the type of an operation on operands given as (dtype, "dims" | "zero" | "number").

    A zero-dim tensor or a Python number changes the type only if its category (bool < integer < float) is
    higher than that of every operand that comes before it in rank: dims > zero > number.
    """
    result: dtype | None = None
    for rank in ("dims", "zero", "number"):
        types = [d for d, r in operands if r == rank]
        if not types:
            continue
        joint = types[0]
        for d in types[1:]:
            joint = promote_types(joint, d)
        if result is None or joint._category > result._category:
            result = joint
    assert result is not None, "an operation has operands"
    return result


class finfo:
    """What a float type can hold: `max`, `min`, `eps`, `tiny`, `smallest_normal`, `resolution`, `bits`."""

    def __init__(self, type: dtype | None = None):
        chosen = _default if type is None else type
        if not isinstance(chosen, dtype) or not chosen.is_floating_point:
            raise TypeError(
                f"torch.finfo() requires a floating point input type, got {chosen!r}; use torch.iinfo"
            )
        info = np.finfo(chosen._array)
        self.dtype, self.bits = chosen.name, info.bits
        for name in ("max", "min", "eps", "tiny", "smallest_normal", "resolution"):
            setattr(self, name, builtins.float(getattr(info, name)))

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        values = ", ".join(f"{name}={getattr(self, name):g}" for name in names)
        return f"finfo({values}, dtype={self.dtype})"


class iinfo:
    """What an integer type can hold: `max`, `min` and `bits`."""

    def __init__(self, type: dtype):
        if not isinstance(type, dtype) or type.is_floating_point:
            raise TypeError(f"torch.iinfo() requires an integer input type, got {type!r}; use torch.finfo")
        self.min, self.max = type.limits
        self.dtype, self.bits = type.name, 8 * type.itemsize

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
