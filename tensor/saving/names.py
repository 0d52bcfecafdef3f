"""What the names in a `.pt` file stand for: functions that take data and give data.

None is the function of that name. Each checks what it is given, since a file may give it anything.
"""

import pickle
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from tensor.devices import device as Device
from tensor.engine import Size
from tensor.saving.storages import Element, UnreadableType

_LARGEST_KEY = 1000  # parts of a tuple that is a key: hashing nested ones can take forever


class Made:
    """Something that its name stands for: `make(*arguments)` gives the object."""

    __slots__ = ("make", "name")

    def __init__(self, name: str, make: Callable[..., Any]):
        self.name, self.make = name, make


class NumpyPart:
    """A NumPy array or dtype that a second opcode fills in."""

    def __init__(self, name: str):
        self.name = name


def finish(value: Any) -> Any:
    """Return what an entry of the stack stands for in the object itself."""
    if isinstance(value, Element):
        raise UnreadableType(f"load: the file names {value.name}, a dtype this engine has not")
    if isinstance(value, Made | NumpyPart):
        raise pickle.UnpicklingError(f"load: refused {value.name} as a value: files hold data, not functions")
    return value


def plain_key(value: Any) -> Any:
    """Return a key of a dict or an entry of a set, if it is a plain one."""
    waiting, count = [value], 0
    while waiting:
        found = waiting.pop()
        count += 1
        if count > _LARGEST_KEY:
            raise ValueError("a key of too many parts")
        if isinstance(found, tuple | frozenset):
            waiting.extend(found)
    return finish(value)


def _make_collection(kind: type, sized: bool = False) -> Callable[..., Any]:
    def make(entries=()):
        if type(entries) not in (list, tuple, str, bytes):
            raise TypeError(f"a {kind.__name__} made of a {type(entries).__name__}")
        return kind(map(plain_key, entries)) if not sized else kind(entries)

    return make


def _make_mapping(kind: type) -> Callable[..., Any]:
    def make(entries=()):
        found = kind()
        if isinstance(entries, dict):
            found.update(entries)
        else:
            for key, value in entries:
                found[plain_key(key)] = value
        return found

    return make


def _make_defaultdict(factory=None) -> defaultdict:
    if factory is None:
        return defaultdict()
    if not isinstance(factory, Made) or factory.name.partition(" ")[2] not in _FACTORIES:
        raise ValueError("a defaultdict with an unknown factory")
    return defaultdict(_FACTORIES[factory.name.partition(" ")[2]])


_FACTORIES = {"dict": dict, "list": list, "set": set, "int": int, "float": float, "str": str, "bool": bool}


def _make_size(sizes) -> Size:
    if type(sizes) is not tuple or not all(type(n) is int for n in sizes):
        raise TypeError("a size that is not made of ints")
    return Size(sizes)


def _make_device(kind: str, index: int | None = None) -> Device:
    if not isinstance(kind, str) or not (index is None or type(index) is int):
        raise TypeError("a device")
    return Device(kind, index)


def _make_complex(real: float, imaginary: float) -> complex:
    return complex(float(real), float(imaginary))


def _make_bytearray(data=b"") -> bytearray:
    if not isinstance(data, bytes):
        raise TypeError(f"a bytearray made of a {type(data).__name__}")
    return bytearray(data)


def _make_bytes() -> bytes:
    return b""


# --- NumPy: arrays and numbers without Python objects in them ----------------------------------------------


def _make_numpy_dtype(code: str, align: bool = False, copy: bool = True) -> NumpyPart:
    if not isinstance(code, str):
        raise TypeError("a dtype without its code")
    found = np.dtype(code)
    if found.kind not in "biufc":
        raise pickle.UnpicklingError(f"load: refused a NumPy dtype {found}: only numbers and bools are data")
    return NumpyType(found)


class NumpyType(NumpyPart):
    def __init__(self, found: np.dtype):
        super().__init__("numpy dtype")
        self.found = found


def _make_numpy_array(kind, shape, code) -> NumpyPart:
    if not isinstance(kind, Made) or kind.name != "numpy ndarray":
        raise ValueError("an array of another class")
    return NumpyPart("numpy ndarray")


def _make_numpy_number(dtype: np.dtype, data: bytes) -> Any:
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes) or len(data) != dtype.itemsize:
        raise ValueError("a NumPy number")
    return np.frombuffer(data, dtype)[0]


def build_numpy(target: NumpyPart, state: Any) -> Any:
    if isinstance(target, NumpyType):
        return target.found.newbyteorder(">") if state[1] == ">" else target.found
    _, shape, dtype, fortran, data = state
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes):
        raise ValueError("the state of a NumPy array")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy()


def refuse_call(*arguments: Any) -> Any:
    raise ValueError("a call of a class")


PLAIN: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _make_mapping(OrderedDict),
    "collections Counter": _make_mapping(Counter),
    "collections defaultdict": _make_defaultdict,
    "torch Size": _make_size,
    "torch device": _make_device,
    "numpy dtype": _make_numpy_dtype,
    "numpy ndarray": refuse_call,
    "argparse Namespace": refuse_call,
}
for _builtins in ("__builtin__", "builtins"):
    PLAIN[f"{_builtins} set"] = _make_collection(set)
    PLAIN[f"{_builtins} frozenset"] = _make_collection(frozenset)
    PLAIN[f"{_builtins} list"] = _make_collection(list, sized=True)
    PLAIN[f"{_builtins} dict"] = _make_mapping(dict)
    PLAIN[f"{_builtins} complex"] = _make_complex
    PLAIN[f"{_builtins} bytearray"] = _make_bytearray
    PLAIN[f"{_builtins} bytes"] = _make_bytes
    for _name in ("int", "float", "str", "bool"):
        PLAIN[f"{_builtins} {_name}"] = refuse_call
for _numpy in ("numpy.core.multiarray", "numpy._core.multiarray"):
    PLAIN[f"{_numpy} _reconstruct"] = _make_numpy_array
    PLAIN[f"{_numpy} scalar"] = _make_numpy_number

TENSOR_CLASSES = ("torch Tensor", "torch._tensor Tensor", "torch.nn.parameter Parameter")
PLAIN.update(dict.fromkeys(TENSOR_CLASSES, refuse_call))
