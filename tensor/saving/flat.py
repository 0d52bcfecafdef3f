"""Flat dicts of tensors as safetensors files."""

import struct
from typing import Any

import numpy as np

from tensor.engine import Tensor
from tensor.saving import storages
from tensor.saving.storages import BY_NAME, MapLocation, Storage

SUFFIX = ".safetensors"
_NAMES = {
    "F32": "float32", "F64": "float64", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool", "U16": "uint16", "U32": "uint32",
    "U64": "uint64", "C64": "complex64",
}  # fmt: skip


def encode(value: Any) -> bytes:
    """Return the file's bytes; TypeError unless `value` is a dict of tensors by name."""
    if not isinstance(value, dict):
        raise TypeError(
            f"save: a {SUFFIX} file holds a flat dict of tensors, got {type(value).__name__}; other objects "
            "go into a .pt file"
        )
    from safetensors.numpy import save as write_safetensors  # not at the top: tensors do without

    arrays = {}
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise TypeError(
                f"save: a {SUFFIX} file holds a flat dict of tensors by name, got {type(tensor).__name__} "
                f"under {name!r}; other objects go into a .pt file"
            )
        arrays[name] = np.array(tensor.detach().cpu()._array, order="C")
    return write_safetensors(arrays)


def looks_like_one(head: bytes) -> bool:
    """Return whether a file that begins with these nine bytes is a safetensors file."""
    return len(head) >= 9 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < 100_000_000


def decode(data: bytes, to: MapLocation) -> tuple[dict[str, Tensor], set[str]]:
    """Return the tensors by name, and which element types were read as wider ones.

    Raises RuntimeError for a file that is damaged.
    """
    from safetensors import SafetensorError, deserialize  # not at the top: tensors do without

    try:
        entries = deserialize(data)
    except SafetensorError as error:
        raise RuntimeError(f"load: the safetensors file is damaged or cut off: {error}") from None
    found: dict[str, Tensor] = {}
    widened: set[str] = set()
    for name, facts in sorted(entries):
        element = BY_NAME.get(_NAMES.get(facts["dtype"], ""))
        if element is None:
            raise storages.UnreadableType(f"load: {name!r} is of {facts['dtype']}, which is not supported")
        target = storages.target_of(element, widened)
        raw = np.frombuffer(bytearray(facts["data"]), np.uint8)
        storage = storages.relocate(Storage(storages.convert(raw, element, target), "cpu"), to)
        shape = tuple(facts["shape"])
        strides = tuple(np.cumprod([1, *shape[:0:-1]])[::-1].tolist()) if shape else ()
        found[name] = storages.rebuild(storage, 0, shape, strides, None)
    return found, widened
