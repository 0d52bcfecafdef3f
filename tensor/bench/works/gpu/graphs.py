"""A piece of work captured as a CUDA graph, by the lines that PyTorch's documentation gives."""

from collections.abc import Callable
from typing import Any

from .engines import Engine

WARM_UPS = 3
"""Calls before the capture, on a stream of their own: what is made once is made then."""


def captured(engine: Engine, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
    """Return what replays `work`, and what it returned while it was captured, which each replay writes."""
    torch = engine.module
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = work()
    return graph.replay, out
