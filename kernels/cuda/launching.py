"""The launch of a compiled kernel: its parameters are packed as the driver takes them, and it is called once.

numba-cuda's own launch makes an object of every argument. Here a launch writes numbers into a buffer that is
there already, by a form that the kernel's signature gives.
"""

import ctypes
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

CODES = {
    "uint8": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint64": "Q", "float32": "f",
    "float64": "d",
}  # fmt: skip
"""How `struct` writes a number of an element type; native alignment is that of a kernel's parameters."""

POINTER = "Q"
ARRAY = "QQqqQqq"
"""A 1-D array, as numba-cuda's kernels take it: two pointers of the host's, elements, bytes of one, address,
size, step."""

_CONFIGURATION = struct.Struct("@7IQQI4x")  # CUlaunchConfig: grid, block, shared bytes, stream, attributes
_NOT_INITIALIZED = 3  # as the driver numbers it
_FORKED = (
    "; a process forked from one that has used the GPU cannot use it: start processes by the method 'spawn'"
)
_BUFFER_POINTER, _BUFFER_SIZE, _END = 1, 2, 0  # CU_LAUNCH_PARAM_...


class Streams(threading.local):
    """The stream that this Python thread queues its work on, as numba-cuda has it; None: the default."""

    _current: Any = None
    handle = 0
    """The driver's number of it."""
    is_attached = False
    """Whether this thread works with the GPU's context, without which the driver launches nothing."""

    @property
    def current(self) -> Any:
        return self._current

    @current.setter
    def current(self, stream: Any) -> None:
        self._current, self.handle = stream, number_of(stream)


streams = Streams()


def number_of(stream: Any) -> int:
    """Return the driver's number of a stream, or of another handle; 0 for None, the default stream."""
    if stream is None:
        return 0
    handle = getattr(stream, "handle", stream)
    return int(getattr(handle, "value", handle) or 0)


class Driver:
    """The two functions of the CUDA driver that a launch needs; another library of such functions in tests.

    library: loaded so that calls keep Python's lock, which takes as long to hand over as a launch takes.
    """

    def __init__(self, library: Any):
        self._name_error = library.cuGetErrorName
        self.launch = library.cuLaunchKernelEx
        self.launch.argtypes = [ctypes.c_void_p] * 4
        self.launch.restype = ctypes.c_int

    def name_of(self, error: int) -> str:
        """Return the driver's name of an error."""
        name = ctypes.c_char_p()
        self._name_error(error, ctypes.byref(name))
        return (name.value or b"unknown error").decode()


@cache
def the_driver() -> Driver:
    """Return the CUDA driver of this machine, which numba-cuda has loaded before."""
    return Driver(ctypes.PyDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"))


class _Room:
    """Where a launch writes what the driver reads: the parameters, and the grid.

    extra, configuration: addresses of what points to the parameters, and of the grid.
    """

    __slots__ = ("_extra", "_size", "configuration", "extra", "grid", "parameters")

    def __init__(self, nbytes: int):
        self.parameters = ctypes.create_string_buffer(max(nbytes, 1))
        self._size = ctypes.c_size_t(nbytes)
        self._extra = (ctypes.c_void_p * 5)(
            _BUFFER_POINTER, ctypes.addressof(self.parameters),
            _BUFFER_SIZE, ctypes.addressof(self._size), _END,
        )  # fmt: skip
        self.grid = ctypes.create_string_buffer(_CONFIGURATION.size)
        self.extra, self.configuration = ctypes.addressof(self._extra), ctypes.addressof(self.grid)


class Launcher:
    """A variant of a kernel, compiled and loaded, with rooms for its parameters, which launches use in turn.

    name: for errors. handle: the driver's, of the loaded kernel. codes: for each argument, its parameters in
    the form that `struct` writes: one of `CODES`, POINTER, ARRAY, or several for a tuple. flatten: returns
    the parameters, in one tuple, of the arguments of a launch. attach: makes the GPU's context that of the
    calling thread.
    """

    def __init__(
        self,
        name: str,
        handle: int,
        codes: Sequence[str],
        flatten: Callable[..., tuple],
        driver: Driver,
        attach: Callable[[], Any],
    ):
        self._name, self._handle, self._flatten = name, handle, flatten
        self._driver, self._attach = driver, attach
        self._form = struct.Struct("@" + "".join(codes))
        self._rooms: list[_Room] = []  # that no launch uses now
        self._launch = driver.launch

    def __call__(self, blocks: int | tuple, block: int | tuple, *arguments) -> None:
        """Queue the kernel on the current stream: `blocks` blocks of `block` threads."""
        if not streams.is_attached:
            self._attach()
            streams.is_attached = True
        grid = blocks if type(blocks) is tuple else (blocks,)
        threads = block if type(block) is tuple else (block,)
        grid, threads = (*grid, 1, 1)[:3], (*threads, 1, 1)[:3]
        parameters = self._flatten(*arguments)
        # Another thread may launch this kernel between any two lines here, as may a finaliser or a signal's
        # handler in this one: taking a room off the list, and giving it back, cannot be interrupted.
        try:
            room = self._rooms.pop()
        except IndexError:
            room = _Room(self._form.size)
        try:
            try:
                self._form.pack_into(room.parameters, 0, *parameters)
            except (struct.error, OverflowError):
                self._form.pack_into(room.parameters, 0, *self._as_stored(parameters))
            _CONFIGURATION.pack_into(room.grid, 0, *grid, *threads, 0, streams.handle, 0, 0)
            error = self._launch(room.configuration, self._handle, None, room.extra)
        finally:
            self._rooms.append(room)
        if error:
            raise RuntimeError(
                f"{self._name}: the GPU refused to launch {grid} blocks of {threads} threads: "
                f"{self._driver.name_of(error)}{_FORKED if error == _NOT_INITIALIZED else ''}"
            )

    def _as_stored(self, parameters: tuple) -> list:
        """Return numbers as C would store them: the lowest bits of an integer, infinity for a large float."""
        codes = self._form.format.removeprefix("@")
        if len(codes) != len(parameters):
            raise TypeError(f"{self._name}: expected {len(codes)} parameters, got {len(parameters)}")
        return [_STORED[code](number).value for code, number in zip(codes, parameters, strict=True)]


_STORED: dict[str, Any] = {
    **{code: getattr(ctypes, f"c_{name.replace('float32', 'float').replace('float64', 'double')}")
       for name, code in CODES.items()},
    POINTER: ctypes.c_uint64,
}  # fmt: skip
