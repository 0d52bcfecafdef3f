"""The GPU as seen from the host: is there one, its memory, streams, events, and copies to and from it."""

import ctypes
import math
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

import numpy as np

from kernels.cuda import capture, launching
from kernels.cuda.allocator import Allocator, Block
from kernels.cuda.capture import unhindered
from kernels.cuda.compile import SIMULATED, cuda
from kernels.cuda.launching import number_of, streams

SIMULATED_MEMORY = 1 << 30
"""Bytes that the simulated GPU has."""

_OUT_OF_MEMORY = 2  # as the driver numbers it


def missing() -> str | None:
    """Return what a GPU cannot be used for the lack of: the driver, or a device; None if nothing lacks."""
    if SIMULATED:
        return None
    error = cuda.cuda_error()
    if error is not None:
        return f"no NVIDIA driver could be loaded ({' '.join(str(error).split())})"
    try:
        count = len(cuda.gpus)
    except Exception as trouble:  # the driver is there, but does not start
        return f"the NVIDIA driver does not start ({' '.join(str(trouble).split())})"
    return None if count else "the NVIDIA driver finds no GPU"


def device_count() -> int:
    """Return how many GPUs there are."""
    return 0 if missing() else 1 if SIMULATED else len(cuda.gpus)


def name() -> str:
    """Return the name of the GPU in use."""
    if SIMULATED:
        return "numba-cuda simulator"
    found = cuda.get_current_device().name
    return found.decode() if isinstance(found, bytes) else str(found)


def capability() -> tuple[int, int]:
    """Return the compute capability of the GPU in use."""
    return (9, 0) if SIMULATED else tuple(cuda.get_current_device().compute_capability)


def multiprocessors() -> int:
    """Return how many multiprocessors the GPU in use has."""
    return 1 if SIMULATED else cuda.get_current_device().MULTIPROCESSOR_COUNT


def resident_threads() -> int:
    """Return how many threads the GPU in use runs at once: the simulator names those of an H100."""
    if SIMULATED:
        return 132 * 2048
    found = cuda.get_current_device()
    return found.MULTIPROCESSOR_COUNT * found.MAX_THREADS_PER_MULTI_PROCESSOR


def memory_info() -> tuple[int, int]:
    """Return (free, total) bytes of the GPU in use."""
    if SIMULATED:
        return SIMULATED_MEMORY - allocator.reserved, SIMULATED_MEMORY
    info = cuda.current_context().get_memory_info()
    return int(info.free), int(info.total)


def _reserve(nbytes: int) -> tuple[int, Any]:
    if SIMULATED:
        if nbytes > memory_info()[0]:
            raise MemoryError
        memory = np.empty(nbytes, np.uint8)
        return memory.ctypes.data, memory
    try:
        with unhindered():
            pointer = cuda.current_context().memalloc(nbytes)
    except MemoryError:
        raise
    except Exception as error:  # numba-cuda's own kinds of error differ between versions; the number does not
        if getattr(error, "code", None) == _OUT_OF_MEMORY or "OUT_OF_MEMORY" in str(error):
            raise MemoryError from None
        raise
    return int(pointer.device_pointer_value), pointer


allocator = Allocator(_reserve, memory_info)
allocator.may_ask = lambda: not capture.under_way


def spoil(address: int, nbytes: int) -> None:
    """Fill the simulator's memory with nan and -1, so that a kernel is noticed that reads it unwritten."""
    ctypes.memset(address, 0xFF, nbytes)


def empty_cache() -> None:
    """Give memory that no array uses back to the GPU now, for other programs: numba-cuda would put it off."""
    capture.check("gives memory back, which waits for the GPU", "call it before the capture or after it")
    synchronize()
    allocator.empty_cache()
    if not SIMULATED:
        cuda.current_context().memory_manager.deallocations.clear()


def without_freeing() -> Any:
    """Return a `with` block in which numba-cuda gives nothing back: to do so would end a capture."""
    return cuda.current_context().defer_cleanup()


def keep_tables(count: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Keep the arrays that a function returns for the last `count` arguments, until memory is wanted back.

    They are kept for each stream on its own: what one has queued to be written another must not read, and
    memory that is let go is written next by the stream that it was made on. A graph that is captured keeps
    those it reads; they are made at once, beside it. Their memory is apart from that of other arrays: a table
    of addresses that took a place among them would move what it tells of, and the next step make another.
    """

    def make(function: Callable[..., Any]) -> Callable[..., Any]:
        @lru_cache(count)
        def kept(stream: int, *arguments: Any) -> Any:
            before, streams.place = streams.place, f"tables of {stream}"
            try:
                return function(*arguments)
            finally:
                streams.place = before

        allocator.caches.append(kept.cache_clear)

        @wraps(function)
        def find(*arguments: Any) -> Any:
            if streams.capture is not None:
                return streams.capture.constant(lambda: kept(streams.handle, *arguments))
            return kept(streams.handle, *arguments)

        return find

    return make


# --- streams and events ----------------------------------------------------------------------------


class _SimulatedStream:
    """A stream of the simulator, where every kernel has ended when its launch returns."""

    def __init__(self) -> None:
        self.handle = id(self)

    def synchronize(self) -> None:
        pass


def new_stream() -> Any:
    """Return a new stream, as numba-cuda has it, that waits for no other, nor for the default one."""
    if SIMULATED:
        return _SimulatedStream()
    cuda.current_context()
    driver = launching.the_driver()
    number = driver.new_stream()
    made = cuda.external_stream(number)
    weakref.finalize(made, _destroy_stream, driver, number).atexit = False  # type: ignore[misc]
    return made


def _destroy_stream(driver: launching.Driver, number: int) -> None:
    with unhindered():
        driver.destroy_stream(number)


def foreign_stream(number: int | None) -> Any:
    """Return another library's stream by its number; None and 1 for the default stream, as in DLPack."""
    if number in (None, 0, 1):
        return None
    if SIMULATED:
        return _SimulatedStream()
    return cuda.per_thread_default_stream() if number == 2 else cuda.external_stream(number)


def current_number() -> int:
    """Return the number under which other libraries know the current stream; 1 for the default stream."""
    return streams.handle or 1


def wait_between(first: Any, then: Any) -> None:
    """Let what is queued on the stream `then` from now on begin after what is queued on `first`."""
    if number_of(first) != number_of(then):
        wait_event(record_event(first), then)


_WAITS = "waits for the GPU, which computes nothing during a capture"
_READS = "reads a tensor's numbers, which are not computed during a capture"
_WAIT_LATER = "do it after the capture, or after a replay"


def _nothing() -> None: ...


when_waited: Callable[[], None] = _nothing
"""Called when the host has waited for the GPU: see `kernels.cuda.faults`."""


def synchronize(look: bool = True) -> None:
    """Wait until all work has ended; errors of kernels are raised here. look: those they have noted, too."""
    capture.check(_WAITS, _WAIT_LATER)
    if not SIMULATED:
        cuda.synchronize()
    if look:
        when_waited()


def synchronize_stream(stream: Any, look: bool = True) -> None:
    """Wait until the work of one stream has ended; None: of the default stream. look: see `synchronize`."""
    capture.check(_WAITS, _WAIT_LATER)
    if not SIMULATED:
        (stream or cuda.default_stream()).synchronize()
    if look:
        when_waited()


class _SimulatedEvent:
    """An event of the simulator, where everything before it has ended."""

    capture: Any = None
    stream = 0


def record_event(stream: Any) -> Any:
    """Return an event, as numba-cuda has it, that happens when what is queued on a stream has ended."""
    if SIMULATED:
        event: Any = _SimulatedEvent()
    else:
        event = cuda.event(timing=True)
        event.record(stream or 0)
    if streams.capture is not None and streams.capture.takes(number_of(stream)):
        event.capture, event.stream = streams.capture, number_of(stream)
    return event


def wait_event(event: Any, stream: Any) -> None:
    """Let what is queued on a stream from now on begin after an event."""
    within = streams.capture
    if within is not None and (within.takes(number_of(stream)) or _is_captured(event)):
        within.join(event, stream)
    else:
        _check_recorded(event)
    if not SIMULATED:
        event.wait(stream or 0)


def _is_captured(event: Any) -> bool:
    return getattr(event, "capture", None) is not None


def _check_recorded(event: Any) -> None:
    """Raise RuntimeError for an event that happens nowhere but in a graph."""
    if _is_captured(event):
        raise RuntimeError(
            f"{capture.operation()}: the event was recorded in a CUDA graph's capture, and happens in its "
            "replays alone; record another after the replay"
        )


def synchronize_event(event: Any) -> None:
    """Wait until an event has happened."""
    capture.check(_WAITS, _WAIT_LATER)
    _check_recorded(event)
    if not SIMULATED:
        event.synchronize()
    when_waited()


def has_happened(event: Any) -> bool:
    """Return whether an event has happened."""
    capture.check("asks how far the GPU is", _WAIT_LATER)
    _check_recorded(event)
    if SIMULATED:
        return True
    with unhindered():
        return bool(event.query())


def milliseconds_between(start: Any, end: Any) -> float | None:
    """Return the time between two events, which the GPU measures; None in the simulator."""
    _check_recorded(start)
    _check_recorded(end)
    if SIMULATED:
        return None
    end.synchronize()
    return float(cuda.event_elapsed_time(start, end))


def keep_for(array: Any, stream: Any) -> None:
    """Do not hand an array's memory out again before what a stream has queued by then has ended."""
    if isinstance(array.block, Block):  # other memory is its owner's
        array.block.keep_for(stream)


allocator.mark, allocator.happened = record_event, has_happened


# --- copies ----------------------------------------------------------------------------------------


def _lock(nbytes: int) -> tuple[int, Any]:
    if SIMULATED:
        memory = np.empty(nbytes, np.uint8)
    else:
        with unhindered():
            memory = cuda.pinned_array(nbytes, np.uint8)
    return memory.ctypes.data, memory


pinned = Allocator(_lock, memory_info)
pinned.may_ask = allocator.may_ask
"""Memory of the host whose pages stay in place, so that the GPU fetches from it by itself."""


class _Pinned:
    """Pinned memory as NumPy takes it over."""

    def __init__(self, block: Block, shape: tuple[int, ...], dtype: np.dtype):
        self.block = block
        self.__array_interface__ = {
            "shape": shape, "typestr": dtype.str, "version": 3, "data": (block.address, False)
        }  # fmt: skip


def empty_pinned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return a host array in pinned memory that is yet to be written."""
    block = pinned.allocate(math.prod(shape) * dtype.itemsize)
    return np.asarray(_Pinned(block, shape, dtype))


def is_pinned(array: np.ndarray) -> bool:
    """Return whether a host array lies in memory of `empty_pinned`."""
    return _pinned_owner(array) is not None


def _pinned_owner(array: Any) -> Any:
    while array is not None and not isinstance(array, _Pinned):
        array = getattr(array, "base", getattr(array, "array", None))
    return array


_under_way: deque[tuple[Any, Any]] = deque()
"""(event, pinned memory) of copies that may not have ended: it must not be used anew before."""
_under_way_lock = threading.Lock()


def upload(address: int, source: np.ndarray, wait: bool = True) -> None:
    """Copy a contiguous host array to device memory.

    wait: return when `source` may be changed; False: at once, if it is pinned. In a capture it must be: each
    replay copies what `source` then holds.
    """
    if source.nbytes == 0:
        return
    if streams.capture is not None:
        _capture_upload(streams.capture, address, source)
        return
    if SIMULATED:
        ctypes.memmove(address, source.ctypes.data, source.nbytes)
        return
    stream: Any = streams.current or 0
    owner = None if wait and not stream else _pinned_owner(source)
    if owner is not None:  # then a copy on any stream but 0, which stands for no stream, returns at once
        stream = stream or cuda.default_stream()
    _bytes_at(address, source.nbytes).copy_to_device(source.reshape(-1).view(np.uint8), stream=stream)
    if owner is None:
        return
    if wait:
        stream.synchronize()
        return
    with _under_way_lock:
        while _under_way and has_happened(_under_way[0][0]):
            _under_way.popleft()
        _under_way.append((record_event(stream), owner))


def check_copy(source: np.ndarray, wait: bool) -> None:
    """Raise RuntimeError, in a capture, for a copy of a host array that a graph cannot make.

    A number is a constant of the graph; what is pinned is copied anew at each replay.
    """
    if streams.capture is not None and source.ndim and (wait or not is_pinned(source)):
        capture.refuse(*_COPIES)


_COPIES = (
    "copies an array of the CPU, as it is now",
    "copy it before the capture, or from pinned memory: x.pin_memory().to('cuda', non_blocking=True)",
)


def _capture_upload(within: "capture.Capture", address: int, source: np.ndarray) -> None:
    if not is_pinned(source):  # elements of pinned memory that were put in order
        capture.refuse(*_COPIES)
    within.kept.append(source)
    within.note("copy from the host", source.nbytes, 1)
    if SIMULATED:
        within.recorded.append(lambda: ctypes.memmove(address, source.ctypes.data, source.nbytes))
        return
    place = _bytes_at(address, source.nbytes)
    place.copy_to_device(source.reshape(-1).view(np.uint8), stream=streams.current)


def download(address: int, target: np.ndarray) -> None:
    """Copy device memory to a contiguous host array, when the work queued before has ended."""
    if target.nbytes == 0:
        return
    capture.check(_READS, "read them after a replay")
    if SIMULATED:
        ctypes.memmove(target.ctypes.data, address, target.nbytes)
        when_waited()
        return
    stream: Any = streams.current or 0
    _bytes_at(address, target.nbytes).copy_to_host(target.reshape(-1).view(np.uint8), stream=stream)
    if stream:
        stream.synchronize()
    when_waited()


def copy_within(target: int, source: int, nbytes: int) -> None:
    """Copy device memory to device memory by the driver, which uses the whole GPU for it."""
    within = streams.capture
    if within is not None:
        within.note("copy on the GPU", nbytes, 1)
    if not SIMULATED:
        stream = streams.current or cuda.default_stream()
        _bytes_at(target, nbytes).copy_to_device(_bytes_at(source, nbytes), stream=stream)
    elif within is not None and within.takes(streams.handle):
        within.recorded.append(lambda: ctypes.memmove(target, source, nbytes))
    else:
        ctypes.memmove(target, source, nbytes)


def _bytes_at(address: int, nbytes: int) -> Any:
    return cuda.from_cuda_array_interface(
        {"shape": (nbytes,), "typestr": "|u1", "data": (address, False), "strides": None, "version": 3},
        sync=False,
    )
