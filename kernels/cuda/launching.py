"""The launch of a compiled kernel: its parameters are packed as the driver takes them, and it is called once.

numba-cuda's own launch makes an object of every argument. Here a launch writes numbers into a buffer that is
there already, by a form that the kernel's signature gives.
"""

import ctypes
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

CODES = {
    "uint8": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint32": "I", "uint64": "Q",
    "float32": "f", "float64": "d",
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

    def __init__(self) -> None:  # for each thread: what is its own is found faster than what is the class's
        self._current: Any = None
        self.handle = 0
        """The driver's number of it."""
        self.place: Any = 0
        """Where arrays get their memory from: the allocator's lists of blocks have this as their name."""
        self.capture: Any = None
        """The `kernels.cuda.capture.Capture` that this thread is in; None: what is launched is computed."""
        self.is_attached = False
        """Whether this thread works with the GPU's context, without which the driver launches nothing."""

    @property
    def current(self) -> Any:
        return self._current

    @current.setter
    def current(self, stream: Any) -> None:
        self._current, self.handle = stream, number_of(stream)
        self.place = self.handle if self.capture is None else self.capture.place(self.handle)


streams = Streams()


def number_of(stream: Any) -> int:
    """Return the driver's number of a stream, or of another handle; 0 for None, the default stream."""
    if stream is None:
        return 0
    handle = getattr(stream, "handle", stream)
    return int(getattr(handle, "value", handle) or 0)


_NUMBER, _PLACE = ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_void_p)
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "cuDriverGetVersion": (_NUMBER,),
    "cuStreamCreate": (_PLACE, ctypes.c_uint),
    "cuStreamDestroy_v2": (ctypes.c_void_p,),
    "cuStreamBeginCapture_v2": (ctypes.c_void_p, ctypes.c_int),
    "cuStreamEndCapture": (ctypes.c_void_p, _PLACE),
    "cuStreamIsCapturing": (ctypes.c_void_p, _NUMBER),
    "cuThreadExchangeStreamCaptureMode": (_NUMBER,),
    "cuGraphInstantiateWithFlags": (_PLACE, ctypes.c_void_p, ctypes.c_ulonglong),
    "cuGraphLaunch": (ctypes.c_void_p, ctypes.c_void_p),
    "cuGraphExecDestroy": (ctypes.c_void_p,),
    "cuGraphDestroy": (ctypes.c_void_p,),
}
"""Functions of the driver that are called by `Driver.call`, and their arguments."""
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: as PyTorch's streams, it does not wait for the default stream


class Driver:
    """The functions of the CUDA driver that launches and graphs need; another library of such in tests.

    library: loaded so that calls keep Python's lock, which takes as long to hand over as a launch takes.
    """

    def __init__(self, library: Any):
        self._library = library
        self._name_error = library.cuGetErrorName
        self.launch = library.cuLaunchKernelEx
        self.launch.argtypes = [ctypes.c_void_p] * 4
        self.launch.restype = ctypes.c_int

    def name_of(self, error: int) -> str:
        """Return the driver's name of an error."""
        name = ctypes.c_char_p()
        self._name_error(error, ctypes.byref(name))
        return (name.value or b"unknown error").decode()

    def call(self, function: str, *arguments: Any, hint: str = "") -> None:
        """Call a function of `_ARGUMENTS`; RuntimeError, with the driver's name of the error, if it fails."""
        found = getattr(self._library, function)
        found.argtypes, found.restype = _ARGUMENTS[function], ctypes.c_int
        error = found(*arguments)
        if error:
            raise RuntimeError(f"{function}: the GPU's driver answers {self.name_of(error)}{hint}")

    @property
    def version(self) -> int:
        """The version of CUDA that the driver knows: 12030 for 12.3."""
        found = ctypes.c_int()
        self.call("cuDriverGetVersion", found)
        return found.value

    def new_stream(self) -> int:
        """Return the number of a new stream, which waits for no other; `destroy_stream` ends it."""
        found = ctypes.c_void_p()
        self.call("cuStreamCreate", found, _NON_BLOCKING)
        return found.value or 0

    def destroy_stream(self, number: int) -> None:
        """Destroy a stream of `new_stream`, when its work has ended."""
        self.call("cuStreamDestroy_v2", number)

    def is_capturing(self, stream: int) -> bool:
        """Return whether what is queued on a stream, other than the default one, goes into a graph."""
        found = ctypes.c_int()
        self.call("cuStreamIsCapturing", stream, found)
        return found.value != 0

    def exchange_capture_mode(self, mode: int) -> int:
        """Choose what the calling thread may ask for beside captures; return what was chosen before."""
        found = ctypes.c_int(mode)
        self.call("cuThreadExchangeStreamCaptureMode", found)
        return found.value


@cache
def the_driver() -> Driver:
    """Return the CUDA driver of this machine, which numba-cuda has loaded before."""
    return Driver(ctypes.PyDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"))


class _Room:
    """Where a launch writes what the driver reads: the parameters, and the grid."""

    __slots__ = ("_extra", "_grid", "_handle", "_size", "aim", "launch", "parameters")

    def __init__(self, nbytes: int, handle: int, driver: Driver):
        self.parameters = ctypes.create_string_buffer(max(nbytes, 1))
        self._size = ctypes.c_size_t(nbytes)
        self._extra = (ctypes.c_void_p * 5)(
            _BUFFER_POINTER, ctypes.addressof(self.parameters),
            _BUFFER_SIZE, ctypes.addressof(self._size), _END,
        )  # fmt: skip
        self._grid = ctypes.create_string_buffer(_CONFIGURATION.size)
        self.launch = partial(
            driver.launch, ctypes.addressof(self._grid), handle, None, ctypes.addressof(self._extra)
        )
        self.aim: tuple | None = None
        """The blocks, the threads of a block and the stream that are written here."""

    def take_aim(self, aim: tuple) -> None:
        """Write down where the next launches go."""
        blocks, block, stream = aim
        _CONFIGURATION.pack_into(self._grid, 0, *three(blocks), *three(block), 0, stream, 0, 0)
        self.aim = aim


def three(sizes: int | tuple) -> tuple[int, ...]:
    """Return the sizes of a grid, or of a block, in three dims."""
    return (*(sizes if isinstance(sizes, tuple) else (sizes,)), 1, 1)[:3]


class Launcher:
    """A variant of a kernel, compiled and loaded, with rooms for its parameters, which launches use in turn.

    name: for errors. handle: the driver's, of the loaded kernel. codes: for each argument, its parameters in
    the form that `struct` writes: one of `CODES`, POINTER, ARRAY, or several for a tuple. flatten: returns
    the parameters, in one tuple, of the arguments of a launch. attach: makes the GPU's context that of the
    calling thread, and notes it in `streams`. last: parameters of the last arguments, which are written
    once, and not given to a launch.
    """

    def __init__(
        self,
        name: str,
        handle: int,
        codes: Sequence[str],
        flatten: Callable[..., tuple],
        driver: Driver,
        attach: Callable[[], Any],
        last: tuple = (),
    ):
        self._name, self._handle, self._codes, self._flatten = name, handle, codes, flatten
        self._driver, self._attach, self._last = driver, attach, last
        form = "".join(codes)
        self._all = struct.Struct("@" + form)
        self._given = form[: len(form) - len(last)]
        self._pack = struct.Struct("@" + self._given).pack_into
        self._rooms: list[_Room] = []  # that no launch uses now

    def with_last(self, count: int, flatten: Callable[..., tuple], last: tuple) -> "Launcher":
        """Return a launcher that is not given the last `count` arguments; last: their parameters.

        flatten: returns the parameters of the arguments that it is given. TypeError for too many, or few.
        """
        known = "".join(self._codes[len(self._codes) - count :])
        self._as_stored(known, last)
        return Launcher(
            self._name, self._handle, self._codes, flatten, self._driver, self._attach, last
        )  # fmt: skip

    def __call__(self, blocks: int | tuple, block: int | tuple, *arguments) -> None:
        """Queue the kernel on the current stream: `blocks` blocks of `block` threads."""
        here = streams
        if not here.is_attached:
            self._attach()
        parameters = self._flatten(*arguments)
        # Another thread may launch this kernel between any two lines here, as may a finaliser or a signal's
        # handler in this one: taking a room off the list, and giving it back, cannot be interrupted.
        try:
            room = self._rooms.pop()
        except IndexError:
            room = self._new_room()
        try:
            try:
                self._pack(room.parameters, 0, *parameters)
            except (struct.error, OverflowError):
                self._pack(room.parameters, 0, *self._as_stored(self._given, parameters))
            aim = blocks, block, here.handle
            if room.aim != aim:
                room.take_aim(aim)
            error = room.launch()
        finally:
            self._rooms.append(room)
        if error:
            raise RuntimeError(
                f"{self._name}: the GPU refused to launch {three(blocks)} blocks of {three(block)} threads: "
                f"{self._driver.name_of(error)}{_FORKED if error == _NOT_INITIALIZED else ''}"
            )
        if here.capture is not None:
            here.capture.note(self._name, blocks, block, arguments)

    def _new_room(self) -> _Room:
        room = _Room(self._all.size, self._handle, self._driver)
        if self._last:
            whole = [*[0] * len(self._given), *self._last]
            self._all.pack_into(room.parameters, 0, *self._as_stored(self._all.format[1:], whole))
        return room

    def _as_stored(self, codes: str, parameters: Sequence) -> list:
        """Return numbers as C would store them: the lowest bits of an integer, infinity for a large float."""
        if len(codes) != len(parameters):
            raise TypeError(f"{self._name}: expected {len(codes)} parameters, got {len(parameters)}")
        return [_STORED[code](number).value for code, number in zip(codes, parameters, strict=True)]


_STORED: dict[str, Any] = {
    **{code: getattr(ctypes, f"c_{name.replace('float32', 'float').replace('float64', 'double')}")
       for name, code in CODES.items()},
    POINTER: ctypes.c_uint64,
}  # fmt: skip
