"""CUDA graphs: launches that are captured once, and then replayed by one call of the driver's.

In the simulator a capture keeps what would be launched, and a replay does it: as on a GPU nothing is computed
while it is captured, and everything happens at the addresses of then.
"""

import ctypes
import sys
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

from kernels.cuda import driver, launching
from kernels.cuda.allocator import Pool
from kernels.cuda.capture import Capture, at_once, under_way
from kernels.cuda.compile import SIMULATED, attach
from kernels.cuda.launching import streams
from kernels.cuda.random import Draws

__all__ = ["MODES", "Draws", "Graph", "Pool", "at_once", "is_capturing"]

MODES = {"global": 0, "thread_local": 1, "relaxed": 2}
"""What other calls of the driver a capture forbids, and to which threads: CU_STREAM_CAPTURE_MODE_..."""

_INVALIDATED = (
    "; what cannot be captured was called, by this thread or another (capture_error_mode='thread_local' lets "
    "others alone)"
)

_UNJOINED = (
    "a stream takes part in the capture that the capturing one does not wait for: "
    "torch.cuda.current_stream().wait_stream(other) before the end"
)


@cache
def _aside() -> Any:
    """Return the stream for what is computed beside captures."""
    return driver.new_stream()


def is_capturing() -> bool:
    """Return whether what the current stream is asked for goes into a graph, also one of another library."""
    if streams.capture is not None and streams.capture.takes(streams.handle):
        return True
    if SIMULATED or not streams.handle:  # the default stream is never captured
        return False
    return launching.the_driver().is_capturing(streams.handle)


class Graph:
    """Launches on one stream, and on those that joined it, captured from `begin` to `end`."""

    def __init__(self) -> None:
        self.pool: Pool | None = None
        self._capture: Capture | None = None
        self._held: Any = None  # numba-cuda frees nothing during the capture
        self._graph = self._executable = 0  # the driver's
        self._recorded: list[Callable[[], Any]] | None = None  # in the simulator
        self._kept: list[Any] = []
        self._draws: list[Any] = []
        self._inputs: dict[int, weakref.ref] | None = None
        self._was_replayed = False
        self.launches: list[tuple[str, tuple, tuple]] = []
        """(kernel, grid, block) of each launch."""

    @property
    def is_captured(self) -> bool:
        """Whether there is something to replay."""
        return self._graph != 0 or self._executable != 0 or self._recorded is not None

    # --- capturing -----------------------------------------------------------------------------------

    def begin(self, pool: Pool | None, mode: str, watches: bool = False) -> None:
        """Capture what is queued on the current stream from now on.

        pool: whose memory to use, of its own if None. mode: of `MODES`. watches: see `Capture`. RuntimeError
        on the default stream, in another capture, and for a graph that is captured already.
        """
        if streams.capture is not None or self._capture is not None:
            raise RuntimeError("capture_begin: a capture is under way already; end it first: capture_end()")
        if self.is_captured:
            raise RuntimeError(
                "capture_begin: This CUDAGraph instance already owns a captured graph. To capture a new "
                "graph, create a new instance, or reset() this one."
            )
        if not streams.handle:
            raise RuntimeError(
                "capture_begin: CUDA graphs must be captured on a non-default stream. (However, after "
                "capture, it's ok to replay them on the default stream.) `with torch.cuda.graph(g):` has one"
            )
        _bury()
        aside, found = _aside(), None if SIMULATED else launching.the_driver()
        self.pool = pool or Pool()
        self._capture = Capture(self.pool, streams.handle, aside, found, watches)
        if found is not None:
            self._held = driver.without_freeing()
            self._held.__enter__()
        self.pool.users += 1
        under_way.append(self._capture)
        try:
            if found is not None:
                found.call("cuStreamBeginCapture_v2", streams.handle, MODES[mode])
        except BaseException:
            self._leave()
            self._let_go_of_pool()
            raise
        streams.capture = self._capture
        streams.current = streams.current  # whose memory is now the pool's

    def _leave(self) -> None:
        """Let this thread go on as before the capture."""
        assert self._capture is not None
        under_way.remove(self._capture)
        self._capture = None
        streams.capture = None
        streams.current = streams.current
        if self._held is not None:
            self._held.__exit__(None, None, None)
            self._held = None

    def end(self, instantiates: bool = True) -> None:
        """End the capture that `begin` began; instantiates: make it ready for replays now.

        RuntimeError where streams take part that the first one does not wait for; all is then let go of.
        """
        capture = self._check_ending()
        found = ctypes.c_void_p()
        try:
            if capture.driver is not None:
                hint = f"; {_UNJOINED}" if capture.unjoined else _INVALIDATED
                capture.driver.call("cuStreamEndCapture", capture.origin, found, hint=hint)
            elif capture.unjoined:
                raise RuntimeError(f"capture_end: {_UNJOINED}")
        except BaseException:
            self._leave()
            self._let_go_of_pool()
            raise
        self._leave()
        self._graph = found.value or 0
        self._recorded = capture.recorded if capture.driver is None else None
        self._kept, self.launches, self._inputs = capture.kept, capture.launches, capture.inputs
        self._draws = list(capture.draws.values())
        if instantiates:
            try:
                self.instantiate()
                self._destroy_graph()
            except BaseException:
                self.reset()
                raise

    def _check_ending(self) -> Capture:
        if self._capture is None:
            raise RuntimeError(
                "capture_end: no capture of this graph is under way; begin it: capture_begin()"
            )
        if streams.capture is not self._capture or streams.handle != self._capture.origin:
            raise RuntimeError(
                "capture_end: Capture must end on the same stream it began on, and in the same thread"
            )
        return self._capture

    def abandon(self) -> None:
        """End a capture that failed, if one is under way, and keep nothing of it."""
        capture = self._capture
        if capture is None:
            return
        found = ctypes.c_void_p()
        try:
            if capture.driver is not None:
                capture.driver.call("cuStreamEndCapture", capture.origin, found)
        except RuntimeError:
            pass  # it has been invalidated: what has failed is told by whoever abandons it
        finally:
            self._leave()
            self._graph = found.value or 0
            self.reset()

    # --- replaying -----------------------------------------------------------------------------------

    def instantiate(self) -> None:
        """Make what was captured ready for replays."""
        if not self.is_captured:
            raise RuntimeError("instantiate: nothing was captured; capture_begin() and capture_end() do it")
        if SIMULATED or not self._graph:
            return
        found, before = ctypes.c_void_p(), self._executable
        launching.the_driver().call("cuGraphInstantiateWithFlags", found, self._graph, 0)
        self._executable = found.value or 0
        if before:
            _destroy(before, 0)

    def replay(self) -> None:
        """Queue everything that was captured on the current stream."""
        if not self.is_captured:
            raise RuntimeError("replay: Called CUDAGraph::replay without a preceding successful capture.")
        if streams.capture is not None:
            raise RuntimeError("replay: not within a capture of another graph; call what it has captured")
        for address, reference in (self._inputs or {}).items():
            if reference() is None:
                raise RuntimeError(
                    f"replay: an input of the graph, captured at address {address:#x}, was freed since; keep "
                    "the tensors that the graph works on"
                )
        attach()  # this thread may have launched nothing yet
        if self._recorded is None and not self._executable:
            self.instantiate()
        for draws in self._draws:
            draws.begin_replay()
        self._was_replayed = True
        if self._recorded is not None:
            for do in self._recorded:
                do()
        else:
            launching.the_driver().call("cuGraphLaunch", self._executable, streams.handle)

    def reset(self) -> None:
        """Let go of what was captured, and of its memory."""
        if self._capture is not None:
            self.abandon()
        waits = self._was_replayed
        remains = self._executable, self._graph, self.pool, self._kept, waits
        self._executable = self._graph = 0
        self._recorded, self.pool, self._kept, self._draws, self.launches = None, None, [], [], []
        self._inputs, self._was_replayed = None, False
        if remains[2] is not None:
            _graves.append(remains)
            _bury()

    def _let_go_of_pool(self) -> None:
        assert self.pool is not None
        driver.allocator.abandon(self.pool)
        self.pool = None

    def _destroy_graph(self) -> None:
        if self._graph:
            graph, self._graph = self._graph, 0
            _destroy(0, graph)

    @property
    def handle(self) -> int:
        """The driver's number of the graph, which is kept where `end` does not instantiate it."""
        return self._graph

    @property
    def executable(self) -> int:
        """The driver's number of what is launched."""
        return self._executable

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.reset()


_graves: list[tuple] = []
"""What graphs have left behind that cannot be freed during a capture, which waits for nothing."""


def _bury() -> None:
    """Free what graphs have left behind, unless a thread captures."""
    while _graves and not under_way:
        attach()  # a finaliser runs in any thread
        executable, graph, pool, kept, waits = _graves.pop()
        if waits:  # a replay may still be computing, with this memory
            driver.synchronize(look=False)  # an error that kernels have noted would be lost in a finaliser
        _destroy(executable, graph)
        kept.clear()
        driver.allocator.abandon(pool)


def _destroy(executable: int, graph: int) -> None:
    if executable:
        launching.the_driver().call("cuGraphExecDestroy", executable)
    if graph:
        launching.the_driver().call("cuGraphDestroy", graph)
