"""What the host does for a GPU, measured with a stand-in for the driver, which does nothing.

No card is needed. The figures are the CPU's time of this thread, which other programs do not add to, though
they slow it.
"""

import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, NamedTuple

import tensor
from tensor.bench.measure import Timing
from tensor.bench.stand_in import stand_in
from tensor.bench.works import OURS
from tensor.bench.works.gpu import ENGINES
from tensor.bench.works.gpu.case import SECONDS, Goal
from tensor.bench.works.gpu.training import captured_step
from tensor.bench.works.training import CNN, MLP, Network, batches, stepping
from tensor.creation import from_numpy

WARM_UPS = 12
"""Steps before one is counted: by then there is the memory that each takes, and Adam's state and tables."""


class HostCost(NamedTuple):
    """A row: seconds of a call, round by round, what more is known of it, and its goal."""

    name: str
    figures: list[float]
    said: str = ""
    goal: Goal | None = None


def measure(timing: Timing) -> Iterator[HostCost]:
    """Yield what a launch, an operation, an allocation and training steps cost the host."""
    with stand_in(is_recorded=False) as gpu:
        from kernels.cuda.array import empty
        from kernels.cuda.compile import Kernel

        arrays = [empty((64, 128), "float32") for _ in range(4)]
        kernel = Kernel(lambda *_: None, "int64, T*, T*, T*, out T*", ["float32"], family="bench")
        yield HostCost(
            "host: launch of a kernel, four 2-D arrays",
            _rounds(lambda: kernel.launch(32, 256, 8192, *arrays), timing),
            goal=Goal("under 5 us", SECONDS, 5e-6),
        )
        yield HostCost(
            "host: an array of 64 x 128, made and dropped",
            _rounds(lambda: empty((64, 128), "float32"), timing),
        )
        x, y = (tensor.zeros(64, 128, device="cuda") for _ in range(2))
        yield HostCost("host: x + y of 64 x 128", _rounds(lambda: x + y, timing))
        for name, network in (("MLP", MLP), ("CNN", CNN)):
            yield _step_cost(gpu, name, network, timing)
            yield _captured_cost(name, network, timing)


def _step_cost(gpu: Any, name: str, network: Network, timing: Timing) -> HostCost:
    step = step_of(network)
    count = counted(gpu, step)
    return HostCost(
        f"host: step of the {name}, batch {network.batch}, Adam", _rounds(step, timing),
        f"{count.launches} launches, {count.allocations} allocations",
    )  # fmt: skip


def _captured_cost(name: str, network: Network, timing: Timing) -> HostCost:
    """Measure a captured step: a batch is copied to where the graph reads it, and the graph replayed."""
    case = captured_step(network)(ENGINES[OURS](OURS))
    return HostCost(
        f"host: step of the {name}, captured", _rounds(case.call, timing), "2 copies and a replay"
    )


class Count(NamedTuple):
    """What one step asked of the GPU: launches of kernels, new memory, and waits of the host."""

    launches: int
    allocations: int
    waits: int


def step_of(network: Network, device: str = "cuda") -> Callable[[], Any]:
    """Return a training step as users write it, on batches that are on the GPU already, warmed up."""
    _, step = stepping(tensor, network, device)
    data = cycle([(from_numpy(x).to(device), from_numpy(y).to(device)) for x, y in batches(network)])

    def call() -> None:
        step(*next(data))

    for _ in range(WARM_UPS):
        call()
    return call


def counted(gpu: Any, step: Callable[[], Any]) -> Count:
    """Return what a step asks of the stand-in `gpu`."""
    gpu.forget()
    step()
    return Count(gpu.count, gpu.allocations, gpu.waits)


def _rounds(call: Callable[[], Any], timing: Timing) -> list[float]:
    """Return the CPU's seconds of a call, in the mean of each round."""
    calls, seconds = 1, _cpu_seconds(call, 1)
    while seconds < timing.block / 4:
        calls *= 2
        seconds = _cpu_seconds(call, calls)
    return [_cpu_seconds(call, calls) / calls for _ in range(timing.blocks)]


def _cpu_seconds(call: Callable[[], Any], calls: int) -> float:
    start = time.thread_time()
    for _ in range(calls):
        call()
    return time.thread_time() - start
