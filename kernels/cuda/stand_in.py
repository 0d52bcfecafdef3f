"""A GPU that computes nothing: the engine runs on it as it would on one, and what it asks for is counted.

Kernels are neither compiled nor loaded, memory is the host's (zeros), copies copy. So what the host does for
each operation, launches, allocations and waits, can be counted, and its time measured, without a GPU; results
are whatever lies in memory.
"""

import ctypes
import itertools
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import cfunc, types

from kernels.cuda import compile as compiler
from kernels.cuda import driver, faults, graphs, launching
from kernels.cuda.allocator import Allocator

_ERRORS = {
    2: b"CUDA_ERROR_OUT_OF_MEMORY", 900: b"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
    901: b"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", 904: b"CUDA_ERROR_STREAM_CAPTURE_UNJOINED",
}  # fmt: skip
_CONFIGURATION = "@7IQQI"
_LAUNCH = ctypes.PYFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 4)
_NAME = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))
MEMORY = 1 << 34


def _count(configuration, handle, parameters, extra):
    handle[0] += 1
    return 0


class StandIn:
    """What stands in for the driver, the compiler and numba-cuda's own functions.

    answer: what launches return, the driver's number of an error. allocations: how often new memory was asked
    for. waits: how often the host has waited for the GPU. launches: in order, if they are recorded, with
    name, grid, block, stream and the bytes of the parameters.
    """

    def __init__(self, is_recorded: bool):
        self.answer = self.allocations = self.waits = 0
        self.launches: list[SimpleNamespace] = []
        self._names: dict[int, str] = {}  # by the handle, which is where launches are counted
        self._counters: list[np.ndarray] = []
        if is_recorded:
            self.cuLaunchKernelEx = _LAUNCH(self._launch)
        else:  # as cheap as a driver can be: for measuring
            counted = cfunc(
                types.int32(types.voidptr, types.CPointer(types.int64), types.voidptr, types.voidptr)
            )
            self._compiled = counted(_count)
            self.cuLaunchKernelEx = _LAUNCH(self._compiled.address)
        self.cuGetErrorName = _NAME(self._name)
        self.calls: list[tuple] = []
        """Calls of the driver's other functions, in order: (name, *numbers)."""
        self.answers: dict[str, int] = {}
        """By name of such a function: what it returns, if that is an error."""
        self.version, self.is_capturing, self.mode = 12040, 0, 0
        self._handles = itertools.count(1 << 20)
        self._recorded: dict[int, list[Callable[[], Any]]] = {}  # by the stream that is captured
        self._graphs: dict[int | None, list[Callable[[], Any]]] = {}
        for name, arguments in launching._ARGUMENTS.items():
            setattr(self, name, self._function(name, arguments))
        self.driver = launching.Driver(self)
        self.allocator = Allocator(self._reserve, lambda: (MEMORY - self.allocator.reserved, MEMORY))
        self.allocator.mark, self.allocator.happened = driver.record_event, driver.has_happened
        self.allocator.may_ask = driver.allocator.may_ask
        self.allocator.caches = driver.allocator.caches
        self.pinned = Allocator(self._reserve, self.allocator._room)

    @property
    def launched(self) -> Counter[str]:
        """How often each kernel was launched, by family and name."""
        counts: Counter[str] = Counter()
        for handle, name in self._names.items():
            counts[name] += ctypes.c_int64.from_address(handle).value
        return +counts

    @property
    def count(self) -> int:
        """How often any kernel was launched."""
        return self.launched.total()

    def forget(self) -> None:
        """Count everything anew."""
        self.allocations = self.waits = 0
        self.launches.clear()
        for counter in self._counters:
            counter[0] = 0

    # --- the driver ----------------------------------------------------------------------------------

    def _launch(self, configuration, handle, parameters, extra) -> int:
        *grid, gx, gy, gz, shared, stream, attributes, count = struct.unpack(
            _CONFIGURATION, ctypes.string_at(configuration, struct.calcsize(_CONFIGURATION))
        )
        words = (ctypes.c_uint64 * 5).from_address(extra)
        assert (words[0], words[2], words[4], parameters) == (1, 2, 0, None)
        assert (shared, attributes, count) == (0, 0, 0)
        size = ctypes.c_size_t.from_address(words[3]).value
        self.launches.append(
            SimpleNamespace(
                name=self._names[handle], grid=tuple(grid), block=(gx, gy, gz), stream=stream, handle=handle,
                parameters=ctypes.string_at(words[1], size),
            )
        )  # fmt: skip
        ctypes.c_int64.from_address(handle).value += 1
        return self.answer

    def _name(self, error, name) -> int:
        name[0] = _ERRORS.get(error, b"CUDA_ERROR_INVALID_VALUE")
        return 0

    def _function(self, name: str, arguments: tuple) -> Any:
        """Return a function of the driver that notes its calls, and writes what it is asked for."""

        def answer(*given):
            numbers = [x[0] if isinstance(x, ctypes._Pointer) else x for x in given]
            self.calls.append((name, *numbers))
            found = {
                "cuDriverGetVersion": self.version, "cuStreamIsCapturing": self.is_capturing,
                "cuThreadExchangeStreamCaptureMode": self._exchange(name, numbers),
            }.get(name)  # fmt: skip
            made = next(self._handles) if found is None else found
            error = self.answers.get(name, 0) or self._follow(name, numbers, made)
            for x in given:
                if isinstance(x, ctypes._Pointer):
                    x[0] = 0 if error else made
            return error

        return ctypes.PYFUNCTYPE(ctypes.c_int, *arguments)(answer)

    def queue(self, do: Callable[[], Any], stream: int) -> None:
        """Do what is asked for on a stream, now or, where it is captured, at each replay."""
        within = launching.streams.capture
        if within is not None and within.takes(stream):
            self._recorded.setdefault(within.origin, []).append(do)
        else:
            do()

    def _follow(self, name: str, numbers: list, made: int | None) -> int:
        """Keep what is captured with the graphs that are made of it, and do it where one is launched."""
        if name == "cuStreamEndCapture":
            self._graphs[made] = self._recorded.pop(numbers[0], [])
            within = launching.streams.capture
            return 904 if within is not None and within.unjoined else 0
        if name == "cuGraphInstantiateWithFlags":
            self._graphs[made] = self._graphs[numbers[1]]
        elif name == "cuGraphLaunch":
            for do in self._graphs[numbers[0]]:
                do()
        elif name in ("cuGraphDestroy", "cuGraphExecDestroy"):
            del self._graphs[numbers[0]]
        return 0

    def _exchange(self, name: str, numbers: list) -> int:
        before = self.mode
        if name == "cuThreadExchangeStreamCaptureMode":
            self.mode = numbers[0]
        return before

    def load(self, kernel: compiler.Kernel, kind: dict) -> int:
        """Return a handle of a kernel that was not compiled."""
        counter = np.zeros(1, np.int64)
        self._counters.append(counter)
        self._names[counter.ctypes.data] = f"{kernel.family}.{kernel.name}"
        return counter.ctypes.data

    def _reserve(self, nbytes: int) -> tuple[int, Any]:
        self.allocations += 1
        memory = np.zeros(nbytes, np.uint8)
        return memory.ctypes.data, memory

    # --- numba-cuda ----------------------------------------------------------------------------------

    def wait(self, *_: Any) -> None:
        """Note that the host waits."""
        self.waits += 1

    def module(self) -> Any:
        """Return what stands in for the module `numba.cuda`, outside of kernels."""
        context = SimpleNamespace(
            get_memory_info=lambda: SimpleNamespace(free=MEMORY, total=MEMORY),
            memory_manager=SimpleNamespace(deallocations=[]),
            defer_cleanup=nullcontext,
        )
        return SimpleNamespace(
            jit=compiler.cuda.jit,
            current_context=lambda: context,
            cuda_error=lambda: None,
            gpus=[None],
            get_current_device=lambda: SimpleNamespace(
                name=b"stand-in", compute_capability=(9, 0), MULTIPROCESSOR_COUNT=132,
                MAX_THREADS_PER_MULTI_PROCESSOR=2048,
            ),
            pinned_array=np.zeros,
            external_stream=self._stream,
            default_stream=lambda: self._stream(0),
            per_thread_default_stream=lambda: self._stream(2),
            synchronize=self.wait,
            event=lambda timing: _Event(self),
            event_elapsed_time=lambda start, end: 0.0,
            from_cuda_array_interface=lambda interface, sync: _Bytes(self, interface),
        )  # fmt: skip

    def _stream(self, number: int) -> Any:
        return _Stream(SimpleNamespace(value=number), self.wait)


class _Stream:
    def __init__(self, handle: Any, wait: Any):
        self.handle, self.synchronize = handle, wait


class _Event:
    def __init__(self, stand_in: StandIn):
        self.synchronize = stand_in.wait

    def record(self, stream: Any) -> None: ...

    def wait(self, stream: Any) -> None: ...

    def query(self) -> bool:
        return True


class _Bytes:
    def __init__(self, stand_in: StandIn, interface: dict):
        self._stand_in, self._nbytes = stand_in, interface["shape"][0]
        self._address = interface["data"][0]

    def copy_to_device(self, source: "np.ndarray | _Bytes", stream: Any) -> None:
        address = source._address if isinstance(source, _Bytes) else source.ctypes.data
        self._stand_in.queue(
            lambda: ctypes.memmove(self._address, address, self._nbytes), launching.number_of(stream)
        )

    def copy_to_host(self, host: np.ndarray, stream: Any) -> None:
        self._stand_in.wait()
        ctypes.memmove(host.ctypes.data, self._address, self._nbytes)


@contextmanager
def stand_in(is_recorded: bool = True, made: StandIn | None = None) -> Iterator[StandIn]:
    """Let the kernels use a stand-in for a GPU; for tensors see `tensor.bench.stand_in`.

    is_recorded: keep every launch; False: only count, which takes next to no time of the host's. made: the
    stand-in, if it is to be one that does more.
    """
    made = made or StandIn(is_recorded)
    with ExitStack() as undone:

        def put(target: Any, name: str, value: Any) -> None:
            undone.callback(setattr, target, name, getattr(target, name))
            setattr(target, name, value)

        _forget_what_is_kept()
        module = made.module()
        put(compiler, "cuda", module)
        put(driver, "cuda", module)
        put(driver, "missing", lambda: None)
        put(faults, "_kept", None)
        put(driver, "allocator", made.allocator)
        put(driver, "pinned", made.pinned)
        put(launching, "the_driver", lambda: made.driver)
        put(launching.streams, "is_attached", False)
        put(compiler.Kernel, "_load", lambda kernel, kind: made.load(kernel, kind))
        for kernel in compiler.KERNELS.values():
            put(kernel, "_launchers", {})
            put(kernel, "plans", {})
        before = set(compiler.KERNELS)
        try:
            yield made
        finally:
            _forget_what_is_kept()
            for name in compiler.KERNELS.keys() - before:
                compiler.KERNELS[name]._launchers.clear()
                compiler.KERNELS[name].plans.clear()


def _forget_what_is_kept() -> None:
    for let_go in driver.allocator.caches:
        let_go()
    graphs._aside.cache_clear()
