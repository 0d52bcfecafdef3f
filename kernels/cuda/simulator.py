"""How numba-cuda's simulator runs the threads of a block here: by turns, in one Python thread.

Its own way is a Python thread for each of the GPU's, a loop that asks them without end whether they wait at a
barrier, and a search of a function's globals for `cuda` at each call of a device function. Here a thread is a
greenlet, which runs until it meets a barrier; what `cuda.grid`, shared arrays and atomic operations do stays
the simulator's. Three mistakes are noticed that it lets pass:

- threads of a block that wait at different barriers, or end while others wait: on a GPU they may hang;
- a missing barrier: from block to block the first thread goes first or last, so that what is read too early,
  or overwritten too early, comes out wrong in one of them;
- shared and local memory that is read before it is written: for each block it is full of nan, and of -1.

Without the package `greenlet` the simulator's own threads run, for what is small and for comparing.
"""

import itertools
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

try:
    from greenlet import getcurrent, greenlet
except ImportError:
    greenlet = object  # type: ignore[assignment, misc]

BY_TURNS = greenlet is not object
"""Whether threads are greenlets."""

_turns = itertools.count()
_lock = threading.Lock()


class CudaModule:
    """What kernels know as `cuda`: the simulator's module of the running launch, else numba-cuda's own.

    So no function's globals need be searched for it, and changed, when a kernel or device function is called.
    """

    def __init__(self, cuda: ModuleType, kernel: ModuleType):
        self._cuda, self._kernel = cuda, kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel._get_kernel_context() or self._cuda, name)


class _Thread(greenlet):  # type: ignore[misc]
    """A thread of the GPU, as the simulator's functions know it."""

    def __init__(self, manager: Any, block: tuple, place: tuple, arguments: tuple):
        super().__init__(self._begin)
        kernelapi = sys.modules["numba.cuda.simulator.kernelapi"]
        self._manager, self._arguments = manager, arguments
        self.barrier: Any = None  # the code and the line where it waits, and the calls that led there
        self.blockIdx, self.threadIdx = kernelapi.Dim3(*block), kernelapi.Dim3(*place)
        width, height, _ = (*manager._block_dim, 1, 1)[:3]
        self.thread_id = self.threadIdx.x + width * (self.threadIdx.y + height * self.threadIdx.z)

    def _begin(self) -> None:
        if self._manager._debug:  # @cuda.jit(debug=True): there the simulator notices divisions by zero
            with np.errstate(divide="raise"):
                self._manager._f(*self._arguments)
        else:
            self._manager._f(*self._arguments)

    def syncthreads(self) -> None:
        frame: Any = sys._getframe(1)
        while frame.f_globals["__name__"].startswith("numba.cuda.simulator"):
            frame = frame.f_back
        code, line, calls = frame.f_code, frame.f_lineno, []
        while frame is not None:
            calls.append((frame.f_code, frame.f_lasti))
            frame = frame.f_back
        self.barrier = code, line, tuple(calls)
        self.parent.switch()

    def __str__(self) -> str:
        return f"tid={list(self.threadIdx)} ctaid={list(self.blockIdx)}"


def _run_by_turns(manager: Any, block: tuple, *arguments: Any) -> None:
    """Run the threads of a block, each until it meets a barrier or ends, until all have ended."""
    context = sys.modules["numba.cuda.simulator.kernel"]._get_kernel_context()
    context.shared._allocations.clear()  # what the block before has left is no block's to read
    threads = [_Thread(manager, block, place, arguments) for place in np.ndindex(*manager._block_dim)]
    if next(_turns) % 2:
        threads.reverse()
    try:
        while threads:
            for thread in threads:
                _go_on(thread)
            threads = _waiting(threads)
    finally:
        for thread in threads:
            thread.throw()  # of a block that failed


def _go_on(thread: _Thread) -> None:
    try:
        thread.switch()
    except Exception as error:
        message = f"{thread}: {error}" if str(error) else str(thread)
        raise type(error)(message).with_traceback(error.__traceback__) from None


def _waiting(threads: list[_Thread]) -> list[_Thread]:
    """Return the threads that wait at a barrier, all or none; RuntimeError for some, or for two barriers."""
    waiting = [thread for thread in threads if not thread.dead]
    places = {thread.barrier for thread in waiting}
    if waiting and (len(waiting) < len(threads) or len(places) > 1):
        ended = f", and {len(threads) - len(waiting)} have ended" if len(waiting) < len(threads) else ""
        lines = ", ".join(sorted({f"{code.co_filename}:{line}" for code, line, _ in places}))
        if len(places) > 1 and ", " not in lines:
            lines += ", to which they came by different calls"
        raise RuntimeError(
            f"{waiting[0]._manager._f.__name__}: the threads of a block wait at {lines}{ended}; "
            "on a GPU each must come to the same barrier"
        )
    return waiting


def _spoilt(array: np.ndarray) -> np.ndarray:
    array.reshape(-1).view(np.uint8)[...] = 0xFF
    return array


def _aligned(shape: Any, kind: np.dtype, alignment: int) -> np.ndarray:
    count = int(np.prod(shape))
    room = np.empty(count * kind.itemsize + alignment, np.uint8)
    first = -room.ctypes.data % alignment
    return room[first : first + count * kind.itemsize].view(kind).reshape(shape)


def _make_shared_array(own: Any, kernelapi: ModuleType) -> Any:
    """Return the simulator's `cuda.shared.array`: one array for all threads, for each place in the code.

    own: the simulator's, which gives two threads that ask at once an array each, now and then, and the same
    one to two requests in a line, and knows no alignment. It stays for dynamic shared memory.
    """

    def array(self: Any, shape: Any, dtype: Any, alignment: int | None = None) -> np.ndarray:
        if shape == 0:
            return own(self, shape, dtype, alignment)
        frame = sys._getframe(1)
        place = frame.f_code, frame.f_lasti
        with _lock:
            found = self._allocations.get(place)
            if found is None:
                kind = dtype
                if isinstance(dtype, kernelapi.types.Type):  # type: ignore[attr-defined]
                    kind = kernelapi.numpy_support.as_dtype(dtype)  # type: ignore[attr-defined]
                found = self._allocations[place] = _spoilt(_aligned(shape, np.dtype(kind), alignment or 1))
        return found

    return array


def _make_local_array(own: Any) -> Any:
    """Return the simulator's `cuda.local.array`, of memory that is noticed when it is read unwritten."""
    return lambda *arguments, **options: _spoilt(own(*arguments, **options))


def install(cuda: ModuleType) -> Any:
    """Let the simulator run as above; return what kernels are to know as `cuda`."""
    kernel, kernelapi = (sys.modules[f"numba.cuda.simulator.{name}"] for name in ("kernel", "kernelapi"))
    shared, local = kernelapi.FakeCUDAShared, kernelapi.FakeCUDALocal  # type: ignore[attr-defined]
    shared.array, local.array = _make_shared_array(shared.array, kernelapi), _make_local_array(local.array)
    if not BY_TURNS:
        return cuda
    kernel.BlockManager.run = _run_by_turns  # type: ignore[attr-defined]
    for name in ("syncthreads_count", "syncthreads_and", "syncthreads_or"):
        setattr(_Thread, name, vars(kernel.BlockThread)[name])
    kernelapi.threading = SimpleNamespace(current_thread=getcurrent)  # type: ignore[attr-defined]
    return CudaModule(cuda, kernel)
