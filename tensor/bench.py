"""Measure the tensor engine beside a peer that is installed, both in turns in one run.

Machines drift, so only ratios of one run count: blocks of steps alternate between the engines, and a busy
moment slows both. Each engine has a process of its own, and waits asleep while the other one works: in one
process they share an OpenMP library, which Numba switches to nested parallelism, and PyTorch's step was
seen to take 3.9 ms instead of 0.43 ms. Each block begins with a pause, in which the other engine's idle
threads stop spinning, and with steps that are not counted. A block's figure is the median of its steps; what
is shown is the median of the blocks.
"""

import gc
import importlib
import itertools
import math
import multiprocessing
import platform
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import cpu
from tensor import nn, optim
from tensor.autograd import no_grad
from tensor.creation import from_numpy

BLOCKS, WARM_UP, STEPS = 15, 10, 40
PAUSE = 0.02
"""Seconds: longer than OpenMP's threads spin."""


@dataclass
class Result:
    """Seconds of some work, block by block, ours and a peer's; `theirs` is empty where there is no peer."""

    work: str
    peer: str
    ours: list[float]
    theirs: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times our median fits into the peer's: above 1 we are faster; nan without a peer."""
        return median(self.theirs) / median(self.ours) if self.theirs else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, in seconds."""
        found: dict[str, Any] = {"work": self.work, "peer": self.peer, "note": self.note}
        for name, seconds in (("ours", self.ours), ("theirs", self.theirs)):
            found[name] = {"median": median(seconds), "blocks": seconds} if seconds else None
        return {**found, "ratio": self.ratio if self.theirs else None}


def bench_mlp(blocks: int = BLOCKS, steps: int = STEPS) -> list[Result]:
    """Measure a training step of the 784-128-10 network: batch 64, Adam, through the ordinary API.

    The peer is PyTorch, eager, on as many threads. Both start from the same weights and see the same batches;
    AssertionError where their losses differ.
    """
    threads = cpu.get_num_threads()
    work = "mlp training step"
    what = f"784-128-10, batch 64, Adam, {threads} thread{'s' * (threads > 1)}; "
    ours = Engine(_our_mlp(_batches(), _weights()))
    if find_spec("torch") is None:
        note = what + "PyTorch is not installed, so there is nothing to compare with: pip install torch"
        return [Result(work, "torch", alternate([ours], blocks, steps)[0], note=note)]
    with RemoteEngine(_torch_mlp, _batches(), _weights(), threads) as theirs:
        times = alternate([ours, theirs], blocks, steps)
        check_same(ours.losses, theirs.losses)
        peer = f"torch {theirs.version} eager"
    return [Result(work, peer, times[0], times[1], note=what + "the losses agree")]


SUITES: dict[str, Callable[[], list[Result]]] = {"mlp": bench_mlp}


def scalar_result(ours: list[float], theirs: list[float]) -> list[Result]:
    """Return what `micro.bench` measured, in the form of the others."""
    what = "forward and backward of micrograd's demo, 2-16-16-1, 100 points; "
    note = what + "same loss and gradients"
    if not theirs:
        note = what + "micrograd is not installed, so there is nothing to compare with: pip install micrograd"
    return [Result("scalar moons step", "micrograd", ours, theirs, note)]


class Engine:
    """A piece of work that is measured in blocks of steps; a step returns its loss."""

    def __init__(self, step: Callable[[], float]) -> None:
        self._step = step
        self.losses: list[float] = []
        """Of every step so far."""

    def run(self, steps: int) -> float:
        """Run a block; return the median seconds of a step."""
        gc.collect()
        time.sleep(PAUSE)
        self.losses += [self._step() for _ in range(WARM_UP)]
        seconds = []
        for _ in range(steps):
            start = time.perf_counter()
            loss = self._step()
            seconds.append(time.perf_counter() - start)
            self.losses.append(loss)
        return median(seconds)


class RemoteEngine:
    """The same in a process of its own, where `make(*arguments)` returns the step and a version."""

    def __init__(self, make: Callable[..., tuple[Callable[[], float], str]], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(other_end, make, arguments), daemon=True)
        self._process.start()
        other_end.close()
        self.losses: list[float] = []
        self.version: str = self._answer()

    def run(self, steps: int) -> float:
        """Run a block there; return the median seconds of a step."""
        self._connection.send(steps)
        seconds, losses = self._answer()
        self.losses += losses
        return seconds

    def _answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            raise RuntimeError("bench: the peer's process has ended; its message is above") from None
        return answer

    def __enter__(self) -> "RemoteEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()
        self._connection.close()


def _serve(
    connection: Connection, make: Callable[..., tuple[Callable[[], float], str]], arguments: Any
) -> None:
    """Answer to a `RemoteEngine`, in its process, until it is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    step, version = make(*arguments)
    engine = Engine(step)
    connection.send(version)
    while True:
        try:
            steps = connection.recv()
        except EOFError:
            return
        counted = len(engine.losses)
        seconds = engine.run(steps)
        connection.send((seconds, engine.losses[counted:]))


def alternate(engines: Sequence[Engine | RemoteEngine], blocks: int, steps: int) -> list[list[float]]:
    """Run a block of each engine in turns; return for each the median seconds of a step, block by block."""
    medians: list[list[float]] = [[] for _ in engines]
    for block in range(blocks):
        turns = list(enumerate(engines))
        for which, engine in turns if block % 2 == 0 else reversed(turns):
            medians[which].append(engine.run(steps))
    return medians


def _batches(count: int = 16, size: int = 64) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    draw = np.random.default_rng(0)
    return [
        (draw.standard_normal((size, 1, 28, 28), np.float32), draw.integers(0, 10, size))
        for _ in range(count)
    ]


def _weights() -> list[NDArray[np.float32]]:
    """Return the network's weights and biases, of the size that nn.Linear would draw."""
    draw = np.random.default_rng(1)
    sizes = [((128, 784), 784), ((128,), 784), ((10, 128), 128), ((10,), 128)]
    return [draw.uniform(-(n**-0.5), n**-0.5, shape).astype(np.float32) for shape, n in sizes]


def _our_mlp(batches: Sequence[tuple], weights: Sequence[np.ndarray]) -> Callable[[], float]:
    return _mlp_step(nn, optim, from_numpy, no_grad, batches, weights)


def _torch_mlp(
    batches: Sequence[tuple], weights: Sequence[np.ndarray], threads: int
) -> tuple[Callable[[], float], str]:
    torch = importlib.import_module(_TORCH)
    torch.set_num_threads(threads)
    step = _mlp_step(torch.nn, torch.optim, torch.from_numpy, torch.no_grad, batches, weights)
    return step, str(torch.__version__)


_TORCH = "torch"


def _mlp_step(
    nn: Any,
    optim: Any,
    from_numpy: Any,
    no_grad: Any,
    batches: Sequence[tuple],
    weights: Sequence[np.ndarray],
) -> Callable[[], float]:
    """Return a training step: the same lines for both engines."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    with no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(from_numpy(weight))
    loss_of, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-3)
    data = [(from_numpy(x), from_numpy(y)) for x, y in batches]
    turns = itertools.count()

    def step() -> float:
        x, y = data[next(turns) % len(data)]
        loss = loss_of(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def check_same(ours: Sequence[float], theirs: Sequence[float], first: int = 50) -> None:
    """Raise AssertionError unless two runs of losses agree: to 1e-4 in their first steps, later to a tenth.

    Rounding differs, and training lets it grow: the later ones are compared in the mean of all.
    """
    pairs = [*zip(ours[:first], theirs[:first], strict=True)]
    if any(not math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-4) for a, b in pairs) or not math.isclose(
        fmean(ours), fmean(theirs), rel_tol=0.1, abs_tol=1e-3
    ):
        raise AssertionError(
            f"bench: the engines disagree, their losses are {ours[:3]} ... {ours[-1]} and {theirs[:3]} ... "
            f"{theirs[-1]}"
        )


def describe_machine() -> str:
    """Say what was measured on."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        lines = []
    processor = lines[0] if lines else platform.processor() or platform.machine()
    threads = f"{cpu.get_num_threads()} of {cpu.available_threads()} threads ({cpu.threading_layer})"
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {version('numba')}"
    return f"{processor}, {threads}, {platform.system()}; {versions}"


def table(results: Sequence[Result]) -> list[str]:
    """Return the results as lines of text: medians, their ratio, spread of the middle half of the blocks."""
    rows = [("work", "ours", "peer", "", "ratio", "spread")]
    for r in results:
        theirs = _duration(r.theirs) if r.theirs else "-"
        ratio = f"{r.ratio:.2f} x" if r.theirs else "-"
        spread = f"{_spread(r.ours)} / {_spread(r.theirs)}" if r.theirs else _spread(r.ours)
        rows.append((r.work, _duration(r.ours), theirs, r.peer, ratio, spread))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    alignments = "<>><><"
    lines = [
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, alignments, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    notes = [f"{r.work}: {r.note}" for r in results if r.note]
    return [
        *lines,
        "",
        "ratio: the peer's median by ours, above 1 we are faster; spread: middle half of the blocks",
        *notes,
    ]


def _duration(seconds: list[float]) -> str:
    value = median(seconds)
    return f"{value * 1e3:.1f} ms" if value >= 0.01 else f"{value * 1e6:.0f} us"


def _spread(seconds: list[float]) -> str:
    low, high = np.quantile(seconds, [0.25, 0.75])
    return f"{(high - low) / median(seconds):.0%}"
