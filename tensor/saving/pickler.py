"""Write the pickle of a `.pt` file: plain containers, numbers and tensors, and nothing else.

The opcodes are written here, not by Python's `pickle`, since they name functions of PyTorch that need not be
there. Protocol 2, which every reader reads. What is not on the list is refused before a byte is written.
"""

import argparse
import struct
from collections import Counter, OrderedDict, defaultdict
from typing import Any

import numpy as np

from tensor import dtypes
from tensor.devices import device as Device
from tensor.engine import Parameter, Size, Tensor
from tensor.nn import Module
from tensor.saving.storages import UNTYPED, Storages

_BATCH = 1000  # entries between two marks, as in Python's pickle
_FACTORIES = {dict: "dict", list: "list", set: "set", int: "int", float: "float", str: "str", bool: "bool"}


class Pickler:
    """Writes one object; the memory of its tensors goes to `storages`.

    view_metadata: write the sixth part that persistent ids have in files of the legacy format.
    """

    def __init__(self, storages: Storages, view_metadata: bool = False) -> None:
        self._storages, self._view_metadata = storages, view_metadata
        self._out = bytearray()
        self._memo: dict[Any, int] = {}
        self._kept: list[Any] = []  # what the memo knows by id must not be freed meanwhile
        self._path: list[str] = []

    def dump(self, value: Any) -> bytes:
        """Return the pickle of an object; TypeError for one that cannot be written."""
        self._out += b"\x80\x02"
        try:
            self._write(value)
        except RecursionError:
            raise ValueError("save: the object is nested too deeply to be written") from None
        return bytes(self._out + b".")

    def _write(self, value: Any) -> None:
        if value is None:
            self._out += b"N"
        elif isinstance(value, Tensor):
            self._once(value, self._tensor)
        elif isinstance(value, np.generic):
            self._numpy_number(value)
        elif isinstance(value, np.dtype):
            self._numpy_dtype(value)
        elif type(value) in _WRITERS:
            _WRITERS[type(value)](self, value)
        else:
            raise self._refused(value)

    def _refused(self, value: Any) -> TypeError:
        where = "".join(self._path) or "the object itself"
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        remedy = "save what it holds as tensors, numbers, strings and plain containers"
        if isinstance(value, Module):
            remedy = "save its state_dict() instead, and load it into a new module"
        elif hasattr(value, "state_dict"):
            remedy = "save its state_dict() instead"
        elif callable(value):
            remedy = "leave it out"
        return TypeError(f"save: cannot write {kind} ({where}): files hold data, not code; {remedy}")

    # --- what occurs several times is written once -----------------------------------------------------

    def _once(self, value: Any, write) -> None:
        """Write an object, or refer to it where it has been written."""
        if not self._refer(id(value)):
            self._kept.append(value)
            write(value)
            self._remember(id(value))

    def _refer(self, key: Any) -> bool:
        index = self._memo.get(key)
        if index is None:
            return False
        self._out += b"h" + bytes([index]) if index < 256 else b"j" + struct.pack("<I", index)
        return True

    def _remember(self, key: Any) -> None:
        if key not in self._memo:
            index = self._memo[key] = len(self._memo)
            self._out += b"q" + bytes([index]) if index < 256 else b"r" + struct.pack("<I", index)

    # --- numbers and texts --------------------------------------------------------------------------------

    def _bool(self, value: bool) -> None:
        self._out += b"\x88" if value else b"\x89"

    def _int(self, value: int) -> None:
        if 0 <= value < 256:
            self._out += b"K" + bytes([value])
        elif 0 <= value < 65536:
            self._out += b"M" + struct.pack("<H", value)
        elif -(2**31) <= value < 2**31:
            self._out += b"J" + struct.pack("<i", value)
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            if len(data) < 256:
                self._out += b"\x8a" + bytes([len(data)]) + data
            else:
                self._out += b"\x8b" + struct.pack("<I", len(data)) + data

    def _float(self, value: float) -> None:
        self._out += b"G" + struct.pack(">d", value)

    def _complex(self, value: complex) -> None:
        self._call("__builtin__ complex", (value.real, value.imag))

    def _str(self, value: str) -> None:
        if not self._refer(("str", value)):
            data = value.encode("utf-8", "surrogatepass")
            self._out += b"X" + struct.pack("<I", len(data)) + data
            self._remember(("str", value))

    def _bytes(self, value: bytes) -> None:
        if value:  # protocol 2 has no bytes: this is how Python writes them there
            self._call("_codecs encode", (value.decode("latin1"), "latin1"))
        else:
            self._call("__builtin__ bytes", ())

    def _bytearray(self, value: bytearray) -> None:
        self._once(value, lambda v: self._call("__builtin__ bytearray", (bytes(v),)))

    def _numpy_number(self, value: np.generic) -> None:
        if value.dtype.kind not in "biufc":
            raise self._refused(value)
        self._call("numpy._core.multiarray scalar", (value.dtype, value.tobytes()))

    # --- containers ------------------------------------------------------------------------------------

    def _entry(self, value: Any, step: str) -> None:
        self._path.append(step)
        self._write(value)
        self._path.pop()

    def _tuple(self, value: tuple) -> None:
        if len(value) > 3:
            self._out += b"("
        for i, entry in enumerate(value):
            self._entry(entry, f"[{i}]")
        self._out += [b")", b"\x85", b"\x86", b"\x87", b"t"][min(len(value), 4)]

    def _list(self, value: list) -> None:
        if not self._refer(id(value)):
            self._kept.append(value)
            self._out += b"]"
            self._remember(id(value))
            for start in range(0, len(value), _BATCH):
                self._out += b"("
                for i, entry in enumerate(value[start : start + _BATCH], start):
                    self._entry(entry, f"[{i}]")
                self._out += b"e"

    def _dict(self, value: dict) -> None:
        if self._refer(id(value)):
            return
        self._kept.append(value)
        if type(value) is dict:
            self._out += b"}"
        elif isinstance(value, defaultdict):
            factory = value.default_factory
            if factory is not None and factory not in _FACTORIES:
                raise self._refused(factory)
            self._global("collections defaultdict")
            if factory is None:
                self._out += b")"
            else:
                self._global(f"__builtin__ {_FACTORIES[factory]}")
                self._out += b"\x85"
            self._out += b"R"
        else:
            self._call(f"collections {type(value).__name__}", ())
        self._remember(id(value))
        items = list(value.items())
        for start in range(0, len(items), _BATCH):
            self._out += b"("
            for key, entry in items[start : start + _BATCH]:
                self._entry(key, f" key {key!r}"[:80])
                self._entry(entry, f"[{key!r}]"[:80])
            self._out += b"u"
        metadata = getattr(value, "_metadata", None)  # the versions of the modules of a state_dict
        if metadata is not None:
            self._write({"_metadata": metadata})
            self._out += b"b"

    def _namespace(self, value: argparse.Namespace) -> None:
        def write(namespace: argparse.Namespace) -> None:
            self._global("argparse Namespace")
            self._out += b")\x81"
            self._dict(vars(namespace))
            self._out += b"b"

        self._once(value, write)

    def _set(self, value: set | frozenset) -> None:
        self._once(value, lambda v: self._call(f"__builtin__ {type(v).__name__}", (list(v),)))

    # --- what is made by calling something ---------------------------------------------------------------

    def _global(self, name: str) -> None:
        if not self._refer(("global", name)):
            module, _, attribute = name.partition(" ")
            self._out += f"c{module}\n{attribute}\n".encode()
            self._remember(("global", name))

    def _call(self, name: str, arguments: tuple) -> None:
        self._global(name)
        self._tuple(arguments)
        self._out += b"R"

    def _tensor(self, value: Tensor) -> None:
        if isinstance(value, Parameter):
            self._global("torch._utils _rebuild_parameter")
            self._plain_tensor(value, False)
            self._bool(value.requires_grad)
            self._dict(OrderedDict())
            self._out += b"\x87R"
        else:
            self._plain_tensor(value, value.requires_grad)

    def _plain_tensor(self, value: Tensor, requires_grad: bool) -> None:
        place = self._storages.place(value)
        typed = bool(place.element.storage)
        self._global(f"torch._utils _rebuild_tensor_v{2 if typed else 3}")
        self._out += b"(("
        self._str("storage")
        self._global(f"torch {place.element.storage}" if typed else f"torch.storage {UNTYPED}")
        self._str(place.key)
        self._str(str(value.device))
        self._int(place.count if typed else place.count * value.itemsize)
        self._out += b"NtQ" if self._view_metadata else b"tQ"
        self._int(place.offset)
        self._tuple(tuple(value.shape))
        self._tuple(place.stride)
        self._bool(requires_grad)
        self._dict(OrderedDict())  # of backward hooks: they are functions, and stay behind
        if not typed:
            self._global(f"torch {value.dtype.name}")
        self._out += b"tR"

    def _size(self, value: Size) -> None:
        self._call("torch Size", (tuple(value),))

    def _dtype(self, value: dtypes.dtype) -> None:
        self._global(f"torch {value.name}")

    def _device(self, value: Device) -> None:
        self._call("torch device", (value.type,) if value.index is None else (value.type, value.index))

    def _numpy_dtype(self, value: np.dtype) -> None:
        if value.kind not in "biufc":
            raise self._refused(value)
        self._call("numpy dtype", (value.str[1:], False, True))
        self._tuple((3, value.str[0], None, None, None, -1, -1, 0))
        self._out += b"b"

    def _array(self, value: np.ndarray) -> None:
        def write(array: np.ndarray) -> None:
            self._global("numpy._core.multiarray _reconstruct")
            self._global("numpy ndarray")
            self._write((0,))
            self._bytes(b"b")
            self._out += b"\x87R"
            self._tuple((1, array.shape, array.dtype, False, array.tobytes()))
            self._out += b"b"

        if value.dtype.kind not in "biufc":
            raise self._refused(value)
        self._once(value, write)


_WRITERS: dict[type, Any] = {
    bool: Pickler._bool,
    int: Pickler._int,
    float: Pickler._float,
    complex: Pickler._complex,
    str: Pickler._str,
    bytes: Pickler._bytes,
    bytearray: Pickler._bytearray,
    tuple: Pickler._tuple,
    list: Pickler._list,
    dict: Pickler._dict,
    OrderedDict: Pickler._dict,
    defaultdict: Pickler._dict,
    Counter: Pickler._dict,
    set: Pickler._set,
    frozenset: Pickler._set,
    argparse.Namespace: Pickler._namespace,
    Size: Pickler._size,
    dtypes.dtype: Pickler._dtype,
    Device: Pickler._device,
    np.ndarray: Pickler._array,
}
