"""Device memory given to other libraries, and taken from them, without a copy: DLPack and CUDA's interface.

DLPack's C structures are laid out here as its header `dlpack.h` does (version 1.0, and what came before). A
capsule is taken once: its name then begins with "used_", and whoever has taken it calls the deleter.
"""

import ctypes
import functools
import math
import sys
from typing import Any

import numpy as np
from numba import cfunc, types

from kernels.cuda import driver
from kernels.cuda.array import DeviceArray, empty, take_over
from kernels.cuda.compile import ALL

_CUDA, _CUDA_MANAGED = 2, 13  # kinds of devices
_NAME, _NAME_VERSIONED = b"dltensor", b"dltensor_versioned"
_READ_ONLY, _IS_COPIED = 1, 2  # flags
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}  # by the kind of NumPy's dtype
_TYPES = {(_CODES[t.kind], 8 * t.itemsize, 1): t for t in map(np.dtype, ALL)}  # by code, bits and lanes


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),  # in elements; NULL: in order
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class _ManagedVersioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


def _python(name: str, result, *arguments):
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


# Capsules as objects; in a destructor, as addresses: the object has no owner any more.
_new = _python("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_pointer = _python("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
_is_named = _python("PyCapsule_IsValid", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
_rename = _python("PyCapsule_SetName", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
_USED, _USED_VERSIONED = b"used_dltensor", b"used_dltensor_versioned"  # names must outlive their capsules

_given: dict[int, tuple] = {}
"""What other libraries hold: the structures and the array, by the structure's address."""


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _delete(managed, forget=_given.pop):
    forget(managed, None)


def _machine_code(name: str, result, count: int):
    """Return a function of Python's, for compiled code to call with `count` addresses."""
    function: Any = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    return ctypes.CFUNCTYPE(result, *[ctypes.c_size_t] * count)(function)


@functools.cache
def _destructor() -> ctypes.c_void_p:
    """Return the function that frees what nobody has taken out of a capsule.

    Compiled: it may run while an exception is raised, as by NumPy, which takes no memory of a GPU. A callback
    in Python would lose the exception, and fail over it.
    """
    fetch, restore = (_machine_code(f"PyErr_{name}", None, 3) for name in ("Fetch", "Restore"))
    is_named = _machine_code("PyCapsule_IsValid", ctypes.c_int, 2)
    pointer = _machine_code("PyCapsule_GetPointer", ctypes.c_size_t, 2)
    deleter: Any = ctypes.cast(_delete, ctypes.c_void_p).value
    delete = ctypes.CFUNCTYPE(None, ctypes.c_size_t)(deleter)
    names: list[Any] = [_NAME, _NAME_VERSIONED]
    plain, versioned = (ctypes.cast(name, ctypes.c_void_p).value for name in names)

    def drop(capsule):
        raised = np.zeros(3, np.uint64)
        first = raised.ctypes.data
        fetch(first, first + 8, first + 16)
        if is_named(capsule, plain):
            delete(pointer(capsule, plain))
        elif is_named(capsule, versioned):
            delete(pointer(capsule, versioned))
        restore(raised[0], raised[1], raised[2])

    compiled = cfunc(types.void(types.uint64))(drop)
    _outlive_the_program(compiled)
    return ctypes.c_void_p(compiled.address)


def _outlive_the_program(called: Any) -> None:
    """Never free what other libraries may call at the very end of the program."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(called))


_outlive_the_program(_delete)


def to_capsule(x: DeviceArray, stream=None, max_version=None, copied: bool = False) -> Any:
    """Return a DLPack capsule on the memory of `x`.

    stream: the number of the stream that will use it, which waits for what is queued on the current one;
    None or 1 for the default stream, -1 for one that waits by itself. max_version: what the other side knows.
    copied: say that nobody else has this memory. BufferError for what must not be written to where the other
    side cannot be told so.
    """
    versioned = max_version is not None and max_version[0] >= 1
    if not versioned and not x.flags.writeable:
        raise BufferError(
            "__dlpack__: the tensor must not be written to, and DLPack before version 1.0 "
            "cannot say so; use clone()"
        )
    if stream is not None and not isinstance(stream, int):
        raise TypeError(f"__dlpack__: expected the number of a stream, got {type(stream).__name__}")
    if stream == 0 or (stream is not None and stream < -1):
        raise BufferError(f"__dlpack__: {stream} is no stream; 1 is the default stream, -1 waits for nothing")
    if stream != -1:
        driver.wait_between(driver.streams.current, driver.foreign_stream(stream))
    if versioned:
        managed: Any = _ManagedVersioned(1, 0)
        managed.flags = (0 if x.flags.writeable else _READ_ONLY) | (_IS_COPIED if copied else 0)
    else:
        managed = _Managed()
    managed.deleter = ctypes.cast(_delete, ctypes.c_void_p)
    shape = (ctypes.c_int64 * max(x.ndim, 1))(*x.shape)
    strides = (ctypes.c_int64 * max(x.ndim, 1))(*[s // x.itemsize for s in x.strides])
    tensor = managed.tensor
    tensor.data, tensor.device_type, tensor.device_id = x.address if x.size else None, _CUDA, 0
    tensor.ndim, tensor.code, tensor.bits, tensor.lanes = x.ndim, _CODES[x.dtype.kind], 8 * x.itemsize, 1
    tensor.shape = ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64))
    tensor.strides = ctypes.cast(strides, ctypes.POINTER(ctypes.c_int64))
    address = ctypes.addressof(managed)
    _given[address] = managed, shape, strides, x
    return _new(address, _NAME_VERSIONED if versioned else _NAME, _destructor())


class _Taken:
    """Memory of another library, given back with the last array on it."""

    def __init__(self, managed: int, deleter: int | None):
        self._managed = managed
        self._deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter) if deleter else None

    def __del__(self) -> None:
        if self._deleter is not None and not sys.is_finalizing():
            self._deleter(self._managed)


def is_of_device(capsule: Any) -> bool:
    """Return whether the memory in a DLPack capsule is a GPU's."""
    return _look_into(capsule)[1].tensor.device_type in (_CUDA, _CUDA_MANAGED)


def _look_into(capsule) -> tuple[bool, Any, int]:
    for name, kind in ((_NAME, _Managed), (_NAME_VERSIONED, _ManagedVersioned)):
        if _is_named(capsule, name):
            address = _pointer(capsule, name)
            return kind is _ManagedVersioned, kind.from_address(address), address
    raise BufferError("from_dlpack: the capsule is none of DLPack's, or has been taken already")


def from_capsule(capsule: Any) -> DeviceArray:
    """Return an array on a GPU's memory that a DLPack capsule holds, and take it out of the capsule.

    BufferError for another GPU, element types there are no tensors of, and negative steps.
    """
    versioned, managed, address = _look_into(capsule)
    if versioned and managed.major > 1:
        raise BufferError(f"from_dlpack: version {managed.major}.{managed.minor} of DLPack is not known here")
    tensor = managed.tensor
    if tensor.device_id != 0:
        raise BufferError(f"from_dlpack: the memory is GPU {tensor.device_id}'s; one GPU is used, number 0")
    dtype = _TYPES.get((tensor.code, tensor.bits, tensor.lanes))
    if dtype is None:
        raise BufferError(
            f"from_dlpack: no tensor has these elements: DLPack's type {tensor.code} of {tensor.bits} bits, "
            f"{tensor.lanes} at once"
        )
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = None
    if tensor.strides:
        strides = tuple(s * dtype.itemsize for s in tensor.strides[: tensor.ndim])
    _check_strides("from_dlpack", shape, strides)
    read_only = versioned and bool(managed.flags & _READ_ONLY)
    owner = _Taken(address, managed.deleter)
    _rename(capsule, _USED_VERSIONED if versioned else _USED)
    if not math.prod(shape):
        return empty(shape, dtype)
    return take_over(owner, (tensor.data or 0) + tensor.byte_offset, shape, strides, dtype, read_only)


def from_interface(x: Any) -> DeviceArray:
    """Return an array on the memory that `x` describes by `__cuda_array_interface__`, and keep `x` alive.

    The current stream waits for the stream that is named there. Raises ValueError for what no tensor can be:
    another order of bytes, steps that are negative or no multiple of an element; NotImplementedError for a
    mask.
    """
    told = x.__cuda_array_interface__
    if told.get("mask") is not None:
        raise NotImplementedError("__cuda_array_interface__: arrays with a mask have no tensor")
    dtype, shape, strides = np.dtype(told["typestr"]), tuple(told["shape"]), told.get("strides")
    if dtype.isnative and dtype.name not in ALL:
        raise TypeError(f"__cuda_array_interface__: no tensors have elements of {dtype}")
    if not dtype.isnative:
        raise ValueError(f"__cuda_array_interface__: the bytes of {dtype} are not in this machine's order")
    if strides is not None and any(s % dtype.itemsize for s in strides):
        raise ValueError(
            "__cuda_array_interface__: given array strides not a multiple of the element byte size; copy it"
        )
    _check_strides("__cuda_array_interface__", shape, strides)
    stream = told.get("stream")
    if stream is not None:
        driver.wait_between(driver.foreign_stream(stream), driver.streams.current)
    if not math.prod(shape):
        return empty(shape, dtype)
    address, read_only = told["data"]
    return take_over(x, address, shape, strides, dtype, bool(read_only))


def _check_strides(operation: str, shape: tuple, strides: tuple | None) -> None:
    if strides is not None and any(s < 0 and n > 1 for s, n in zip(strides, shape, strict=True)):
        raise ValueError(f"{operation}: tensors with negative strides are not supported; copy the array")
