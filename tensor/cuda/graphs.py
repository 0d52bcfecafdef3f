"""CUDA graphs: work that is captured once, and replayed on whatever its tensors then hold.

What a graph works on lies at the same addresses in every replay: new inputs are copied into the tensors it
was captured with, and its results appear in those that came out of the capture.
"""

import warnings
from typing import Any

from tensor.cuda import streams
from tensor.cuda.devices import driver, is_available
from tensor.devices import cuda_kernels


def is_current_stream_capturing() -> bool:
    """Return whether what the current stream is asked for is captured, not computed; no GPU: False."""
    return is_available() and cuda_kernels().graphs.is_capturing()


def graph_pool_handle() -> Any:
    """Return a pool of memory for several graphs, as an opaque token: `torch.cuda.graph(g, pool=token)`.

    Graphs of one pool use the same memory: they must be replayed in the order they were captured in, and what
    one has computed may be overwritten by the next one's replay.
    """
    driver("graph_pool_handle")
    return cuda_kernels().graphs.Pool()


class CUDAGraph:
    """Work of the GPU, captured by `torch.cuda.graph` and replayed.

    keep_graph: keep the driver's graph for `raw_cuda_graph`; it is then instantiated by `instantiate`, or by
    the first `replay`.
    """

    def __init__(self, keep_graph: bool = False):
        driver("CUDAGraph")
        self._keeps, self._graph = keep_graph, cuda_kernels().graphs.Graph()

    def capture_begin(
        self, pool: Any = None, capture_error_mode: str = "global", check_input_liveness: bool = False
    ) -> None:
        """Capture the current stream's work from now on; `torch.cuda.graph` calls this.

        pool: of `graph_pool_handle()` or `other.pool()`, whose memory to share. capture_error_mode: for which
        threads the driver forbids calls that do not go together with a capture: "global", "thread_local" or
        "relaxed". check_input_liveness: let `replay` raise RuntimeError where a tensor that the kernels were
        given has been freed.
        """
        graphs = cuda_kernels().graphs
        if capture_error_mode not in graphs.MODES:
            raise RuntimeError(
                'capture_begin: Unknown capture error mode. Expected "global", "thread_local", or "relaxed", '
                f"got {capture_error_mode!r}."
            )
        if pool is not None and not isinstance(pool, graphs.Pool):
            raise TypeError(
                f"capture_begin: expected a pool of graph_pool_handle() or of other.pool(), got {pool!r}"
            )
        self._graph.begin(pool, capture_error_mode, check_input_liveness)

    def capture_end(self) -> None:
        """End the capture; `replay` may be called from now on."""
        self._end(stacklevel=3)

    def _end(self, stacklevel: int) -> None:
        self._graph.end(instantiates=not self._keeps)
        if not self._graph.launches:
            warnings.warn(
                "The CUDA Graph is empty. This usually means that the graph was attempted to be captured on "
                "wrong device or stream.",
                stacklevel=stacklevel,
            )

    def instantiate(self) -> None:
        """Make what was captured ready for replays, which `capture_end` does unless keep_graph=True."""
        self._graph.instantiate()

    def replay(self) -> None:
        """Queue the captured work on the current stream; returns at once."""
        self._graph.replay()

    def reset(self) -> None:
        """Let go of what was captured; tensors that came out of it keep their memory."""
        self._graph.reset()

    def pool(self) -> Any:
        """Return the graph's pool of memory, for other graphs to share."""
        if self._graph.pool is None:
            raise RuntimeError("pool: Called CUDAGraph::pool() without a preceding successful capture.")
        return self._graph.pool

    def register_generator_state(self, state: Any) -> None:
        """Do nothing: a generator of the GPU that is drawn from in a capture is known from then on."""

    def enable_debug_mode(self) -> None:
        """Do nothing: `debug_dump` needs no mode here."""

    def debug_dump(self, debug_path: str) -> None:
        """Write the captured launches to a file in Graphviz's language: kernels in order, and their grids."""
        if not self._graph.is_captured:
            raise RuntimeError("debug_dump: nothing was captured; capture_begin() and capture_end() do it")
        with open(debug_path, "w", encoding="utf-8") as file:
            file.write(_as_dot(self._graph.launches))

    def raw_cuda_graph(self) -> int:
        """Return the driver's number of the graph; keep_graph must be True, and there be a GPU."""
        if not self._keeps:
            raise RuntimeError(
                "raw_cuda_graph: You cannot access the raw cudaGraph_t instance unless CUDAGraph was "
                "initialized with keep_graph=True"
            )
        return self._raw("raw_cuda_graph", self._graph.handle)

    def raw_cuda_graph_exec(self) -> int:
        """Return the driver's number of what `replay` launches."""
        return self._raw("raw_cuda_graph_exec", self._graph.executable)

    def _raw(self, name: str, number: int) -> int:
        if not number:
            raise RuntimeError(
                f"{name}: there is none: nothing was captured or instantiated yet, or the GPU is simulated"
            )
        return number


def _as_dot(launches: list[tuple[str, tuple, tuple]]) -> str:
    lines = ["digraph launches {", "  node [shape=box, fontname=monospace];"]
    for n, (name, grid, block) in enumerate(launches):
        sizes = ["x".join(map(str, _without_ones(part))) for part in (grid, block)]
        lines.append(f'  n{n} [label="{name}\\n{sizes[0]} blocks of {sizes[1]}"];')
    lines += [f"  n{n} -> n{n + 1};" for n in range(len(launches) - 1)]
    return "\n".join([*lines, "}", ""])


def _without_ones(sizes: tuple) -> tuple:
    while len(sizes) > 1 and sizes[-1] == 1:
        sizes = sizes[:-1]
    return sizes


class graph:
    """A `with` block whose work is captured in `cuda_graph`, and not computed.

    It waits for the GPU first. pool, capture_error_mode, check_input_liveness: see
    `CUDAGraph.capture_begin`. stream: to capture on; by default one of its own. An error within the block
    ends the capture, and leaves the graph empty.
    """

    default_capture_stream: streams.Stream | None = None

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: Any = None,
        stream: streams.Stream | None = None,
        capture_error_mode: str = "global",
        enable_annotations: bool = False,
        check_input_liveness: bool = False,
    ):
        if enable_annotations:
            raise NotImplementedError("graph: enable_annotations=True is not supported: leave it out")
        if stream is None:
            if graph.default_capture_stream is None:
                graph.default_capture_stream = streams.Stream()
            stream = graph.default_capture_stream
        self.cuda_graph, self.capture_stream = cuda_graph, stream
        self._begin = pool, capture_error_mode, check_input_liveness
        self._stream = streams.stream(stream)

    def __enter__(self) -> None:
        gpu = driver("graph")
        if gpu.streams.capture is not None:
            raise RuntimeError("graph: a capture is under way already; end it before another one begins")
        gpu.synchronize()
        self._stream.__enter__()
        try:
            self.cuda_graph.capture_begin(*self._begin)
        except BaseException:
            self._stream.__exit__()
            raise

    def __exit__(self, kind: Any = None, error: Any = None, trace: Any = None) -> None:
        try:
            if kind is None:
                self.cuda_graph._end(stacklevel=3)
        finally:
            self.cuda_graph._graph.abandon()  # what did not end rightly
            self._stream.__exit__()
