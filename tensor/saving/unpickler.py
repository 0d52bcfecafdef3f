"""Read the pickle of a `.pt` file: a small machine that knows plain containers, numbers and tensors.

Python's own unpickler imports and calls what a file names, which is how a file can run code. Here a name is
looked up in a table; what it stands for there takes data and gives data. Nothing is imported, no attribute is
set (the `_metadata` of a state dict and the entries of an argparse.Namespace apart), and no method of a made
object is called but those of containers.
"""

import argparse
import pickle
import pickletools
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import IO, Any

from tensor import dtypes
from tensor.engine import Parameter, Tensor
from tensor.saving import storages
from tensor.saving.names import (
    PLAIN,
    TENSOR_CLASSES,
    Made,
    NumpyPart,
    build_numpy,
    finish,
    plain_key,
    refuse_call,
)
from tensor.saving.storages import BY_NAME, BY_STORAGE, UNTYPED, Element, Storage, target_of

FindStorage = Callable[[Element | None, str, str, int], Storage]
"""Called as find(element, key, location, count); without an element, count is in bytes."""


class CorruptPickle(pickle.UnpicklingError):
    """A pickle that is cut off or makes no sense."""


class Unpickler:
    """Reads pickles one after the other from a stream; the memory of tensors comes from `find_storage`."""

    def __init__(self, stream: IO[bytes], find_storage: FindStorage, encoding: str = "utf-8") -> None:
        self._stream, self._find_storage = stream, find_storage
        self._encoding = encoding
        self.widened: set[str] = set()  # element types that were read as wider ones

    def load(self) -> Any:
        """Return the next object.

        Raises UnpicklingError for what is not data, and its subclass CorruptPickle for what makes no sense.
        """
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        try:
            for opcode, argument, _ in pickletools.genops(self._stream):
                step = _STEPS.get(opcode.name)
                if step is None:
                    raise pickle.UnpicklingError(f"load: refused the opcode {opcode.name}, which needs code")
                step(self, argument)
            (value,) = self._stack
        except (pickle.UnpicklingError, storages.UnreadableType):
            raise
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, MemoryError) as error:
            raise CorruptPickle(f"load: the file is damaged: its pickle makes no sense ({error})") from None
        return finish(value)

    # --- the machine -----------------------------------------------------------------------------------

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _mark(self, _) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        found, self._stack = self._stack, self._marks.pop()
        return found

    def _pop_mark(self) -> None:
        self._since_mark()

    def _pop(self, _) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _get(self, index) -> None:
        self._push(self._memo[int(index)])

    def _put(self, index) -> None:
        self._memo[int(index)] = self._stack[-1]

    def _memoize(self, _) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _tuple(self, count: int) -> None:
        entries = self._stack[len(self._stack) - count :]
        if len(entries) < count:
            raise IndexError("too few entries for a tuple")
        del self._stack[len(self._stack) - count :]
        self._push(tuple(entries))

    def _append_all(self, entries: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise TypeError(f"entries for a {type(target).__name__}")
        target.extend(map(finish, entries))

    def _set_items(self, entries: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) not in (dict, OrderedDict, defaultdict, Counter) or len(entries) % 2:
            raise TypeError(f"items for a {type(target).__name__}")
        for key, value in zip(entries[::2], entries[1::2], strict=True):
            target[plain_key(key)] = finish(value)

    def _add_items(self, _) -> None:
        entries = self._since_mark()
        target = self._stack[-1]
        if type(target) is not set:
            raise TypeError(f"items for a {type(target).__name__}")
        target.update(map(plain_key, entries))

    def _persistent(self, _) -> None:
        kind, named, key, location, count, *rest = self._stack.pop()
        plain = isinstance(key, str) and isinstance(location, str) and type(count) is int and count >= 0
        if kind != "storage" or not plain or not (not rest or rest == [None]):
            raise ValueError(f"an unknown persistent id ({kind!r})")
        if not isinstance(named, Made) or named.name not in _STORAGES:
            raise ValueError("a persistent id without the type of its storage")
        element = _STORAGES[named.name]
        if element is not None:
            target_of(element, self.widened)
        self._push((element, self._find_storage(element, key, location, count)))

    def _global(self, name: str) -> None:
        module, _, attribute = name.partition(" ")
        if module == "torch" and attribute in BY_NAME:
            element = BY_NAME[attribute]
            self._push(element if element.named is None else element.named)
        elif name in _METHODS:
            self._push(Made(name, getattr(self, _METHODS[name])))
        elif name in PLAIN:
            self._push(Made(name, PLAIN[name]))
        elif name in _STORAGES:
            self._push(Made(name, refuse_call))
        else:
            raise pickle.UnpicklingError(_refusal(module, attribute))

    def _stack_global(self, _) -> None:
        attribute, module = self._stack.pop(), self._stack.pop()
        if not isinstance(attribute, str) or not isinstance(module, str):
            raise TypeError("a name that is no text")
        self._global(f"{module} {attribute}")

    def _reduce(self, _) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        if not isinstance(called, Made) or type(arguments) is not tuple:
            raise TypeError(f"a call of {type(called).__name__}")
        self._push(called.make(*arguments))

    def _build(self, _) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, NumpyPart):
            made = build_numpy(target, state)
            self._stack[-1] = made
            for index, kept in self._memo.items():
                if kept is target:
                    self._memo[index] = made
        elif type(target) is argparse.Namespace and type(state) is dict:
            vars(target).update((plain_key(key), value) for key, value in state.items())
        elif type(target) is OrderedDict and type(state) is dict and set(state) <= {"_metadata"}:
            target.__dict__.update(state)
        else:
            raise pickle.UnpicklingError(
                f"load: refused to set attributes of a {type(target).__name__}; save plain containers"
            )

    def _new(self, _) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        if not isinstance(kind, Made) or kind.name != "argparse Namespace" or arguments != ():
            raise pickle.UnpicklingError("load: refused the opcode NEWOBJ, which needs code")
        self._push(argparse.Namespace())

    # --- tensors ---------------------------------------------------------------------------------------

    def _rebuild_tensor(self, storage, offset, size, stride) -> Tensor:
        element, memory = storage
        if element is None:
            raise ValueError("a tensor without an element type")
        return storages.rebuild(memory, offset, size, stride, None)

    def _rebuild_tensor_v2(
        self, storage, offset, size, stride, requires_grad, hooks, metadata=None
    ) -> Tensor:
        return _marked(self._rebuild_tensor(storage, offset, size, stride), requires_grad)

    def _rebuild_tensor_v3(
        self, storage, offset, size, stride, requires_grad, hooks, element, metadata=None
    ) -> Tensor:
        _, memory = storage
        if isinstance(element, dtypes.dtype):
            element = BY_NAME[element.name]
        if not isinstance(element, Element):
            raise ValueError("a tensor without an element type")
        target = target_of(element, self.widened)
        if target is not element.own:
            memory = Storage(storages.convert(memory.array, element, target), memory.location)
        return _marked(storages.rebuild(memory, offset, size, stride, target), requires_grad)

    def _rebuild_parameter(self, data, requires_grad, hooks) -> Parameter:
        return Parameter(data, bool(requires_grad))

    def _rebuild_parameter_with_state(self, data, requires_grad, hooks, state) -> Parameter:
        return _with_attributes(Parameter(data, bool(requires_grad)), state)

    def _rebuild_from_type_v2(self, rebuild, kind, arguments, state) -> Tensor:
        if not isinstance(rebuild, Made) or rebuild.name not in _METHODS or not isinstance(kind, Made):
            raise ValueError("a tensor of another class")
        if kind.name not in TENSOR_CLASSES:
            raise pickle.UnpicklingError(_refusal(*kind.name.split(" ")))
        return _with_attributes(rebuild.make(*arguments), state)

    def _encode(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1" or not isinstance(text, str):
            raise ValueError(f"bytes encoded as {encoding!r}")
        return text.encode("latin1")

    def _bytes_of(self, value: bytes) -> bytes | str:
        return value if self._encoding == "bytes" else value.decode(self._encoding)


def _marked(tensor: Tensor, requires_grad) -> Tensor:
    return tensor.requires_grad_() if requires_grad and tensor.is_floating_point() else tensor


def _with_attributes(tensor, state):
    """Give a tensor the attributes that a program had set on it, but never one that it has itself."""
    own, slots = state if isinstance(state, tuple) else (state, None)
    if not isinstance(tensor, Tensor) or not isinstance(own, dict | None) or slots:
        raise ValueError("the attributes of a tensor")
    for name, value in (own or {}).items():
        if isinstance(name, str) and not name.startswith("_") and not hasattr(tensor, name):
            setattr(tensor, name, value)
    return tensor


_METHODS = {
    "torch._utils _rebuild_tensor": "_rebuild_tensor",
    "torch._utils _rebuild_tensor_v2": "_rebuild_tensor_v2",
    "torch._utils _rebuild_tensor_v3": "_rebuild_tensor_v3",
    "torch._utils _rebuild_parameter": "_rebuild_parameter",
    "torch._utils _rebuild_parameter_with_state": "_rebuild_parameter_with_state",
    "torch._tensor _rebuild_from_type_v2": "_rebuild_from_type_v2",
    "_codecs encode": "_encode",
}
_STORAGES: dict[str, Element | None] = {
    **{f"torch {name}": element for name, element in BY_STORAGE.items()},
    f"torch.storage {UNTYPED}": None,
    f"torch {UNTYPED}": None,
}


def _refusal(module: str, attribute: str) -> str:
    remedy = "save plain containers, numbers and tensors instead"
    if (
        module.startswith("torch.nn.modules")
        or module.startswith("torch.nn.parallel")
        or module == "__main__"
    ):
        remedy = "it was saved as a whole object, probably a module: save model.state_dict() instead"
    return (
        f"load: refused {module}.{attribute}: a file is read as data, and nothing it names is run, also with "
        f"weights_only=False; where the file was made, {remedy}"
    )


_STEPS: dict[str, Callable[[Unpickler, Any], None]] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    "STOP": lambda m, _: None,
    "NONE": lambda m, _: m._push(None),
    "NEWTRUE": lambda m, _: m._push(True),
    "NEWFALSE": lambda m, _: m._push(False),
    "MARK": Unpickler._mark,
    "POP": Unpickler._pop,
    "POP_MARK": lambda m, _: m._pop_mark(),
    "EMPTY_TUPLE": lambda m, _: m._push(()),
    "EMPTY_LIST": lambda m, _: m._push([]),
    "EMPTY_DICT": lambda m, _: m._push({}),
    "EMPTY_SET": lambda m, _: m._push(set()),
    "TUPLE": lambda m, _: m._push(tuple(m._since_mark())),
    "TUPLE1": lambda m, _: m._tuple(1),
    "TUPLE2": lambda m, _: m._tuple(2),
    "TUPLE3": lambda m, _: m._tuple(3),
    "LIST": lambda m, _: m._push(list(map(finish, m._since_mark()))),
    "APPEND": lambda m, _: m._append_all([m._stack.pop()]),
    "APPENDS": lambda m, _: m._append_all(m._since_mark()),
    "SETITEM": lambda m, _: m._set_items([m._stack.pop(-2), m._stack.pop()]),
    "SETITEMS": lambda m, _: m._set_items(m._since_mark()),
    "ADDITEMS": Unpickler._add_items,
    "FROZENSET": lambda m, _: m._push(frozenset(map(plain_key, m._since_mark()))),
    "BINPERSID": Unpickler._persistent,
    "GLOBAL": Unpickler._global,
    "STACK_GLOBAL": Unpickler._stack_global,
    "REDUCE": Unpickler._reduce,
    "NEWOBJ": Unpickler._new,
    "BUILD": Unpickler._build,
    "MEMOIZE": Unpickler._memoize,
    "STRING": lambda m, text: m._push(text),
    **{
        name: lambda m, data: m._push(m._bytes_of(data.encode("latin1")))
        for name in ("BINSTRING", "SHORT_BINSTRING")
    },
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Unpickler._get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Unpickler._put),
    **dict.fromkeys(
        (
            "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
            "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
            "BINBYTES8", "BYTEARRAY8",
        ),
        Unpickler._push,
    ),
}  # fmt: skip
