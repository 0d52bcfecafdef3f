"""Measure the tensor engine beside a peer that is installed, both in turns in one process.

Machines drift, so only ratios of one run count: blocks of steps alternate between the engines, and a busy
moment slows both. Each engine has a thread pool of its own (two OpenMP runtimes), and idle threads of one go
on spinning for some milliseconds after its last step: so each block begins with a pause and with steps that
are not counted. A block's figure is the median of its steps, and what is shown is the median of the blocks.
"""

import gc
import importlib
import math
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from kernels import cpu
from tensor import creation, nn, optim
from tensor.random import fork_rng, manual_seed

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
    batches = _batches(16, 64)
    work = f"MLP 784-128-10 training step, batch 64, Adam, {cpu.get_num_threads()} threads"
    ours, weights = _our_mlp(batches)
    torch = load_peer("torch")
    if torch is None:
        note = "PyTorch is not installed, so there is nothing to compare with: pip install torch"
        return [Result(work, "torch eager", alternate([ours], blocks, steps)[0], note=note)]
    threads_before = torch.get_num_threads()
    torch.set_num_threads(cpu.get_num_threads())
    try:
        theirs = _torch_mlp(torch, batches, weights)
        check_same([ours() for _ in range(WARM_UP)], [theirs() for _ in range(WARM_UP)])
        times = alternate([ours, theirs], blocks, steps)
        check_same([ours()], [theirs()], tolerance=0.05)  # rounding has had hundreds of steps to grow
    finally:
        torch.set_num_threads(threads_before)
    return [Result(work, f"torch {torch.__version__} eager", *times, note="same losses")]


SUITES: dict[str, Callable[[], list[Result]]] = {"mlp": bench_mlp}


def scalar_result(ours: list[float], theirs: list[float]) -> list[Result]:
    """Return what `micro.bench` measured, in the form of the others."""
    note = "same loss and gradients"
    if not theirs:
        note = "micrograd is not installed, so there is nothing to compare with: pip install micrograd"
    work = "moons 2-16-16-1 on scalars, 100 points, forward + backward"
    return [Result(work, "micrograd", ours, theirs, note)]


def _batches(count: int, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    draw = np.random.default_rng(0)
    return [
        (draw.standard_normal((size, 1, 28, 28), np.float32), draw.integers(0, 10, size))
        for _ in range(count)
    ]


def _layers(nn: Any) -> list[Any]:
    return [nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)]


def _our_mlp(batches: Sequence[tuple]) -> tuple[Callable[[], float], list[np.ndarray]]:
    with fork_rng():
        manual_seed(0)
        model = nn.Sequential(*_layers(nn))
    weights = [p.detach().numpy().copy() for p in model.parameters()]
    data = [(creation.from_numpy(x), creation.from_numpy(y)) for x, y in batches]
    return _step(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-3), data), weights


def _torch_mlp(torch: Any, batches: Sequence[tuple], weights: list[np.ndarray]) -> Callable[[], float]:
    model = torch.nn.Sequential(*_layers(torch.nn))
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(weight.copy()))
    data = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches]
    return _step(model, torch.nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=1e-3), data)


def _step(model: Any, loss_of: Any, optimizer: Any, data: list[tuple]) -> Callable[[], float]:
    """Return a training step, the same lines for both engines; it returns its loss."""
    turn = 0

    def step() -> float:
        nonlocal turn
        x, y = data[turn % len(data)]
        turn += 1
        loss = loss_of(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def alternate(
    works: Sequence[Callable[[], Any]], blocks: int, steps: int, pause: float = PAUSE
) -> list[list[float]]:
    """Time each work in turns; return for each the median seconds of a step, block by block."""
    medians: list[list[float]] = [[] for _ in works]
    for block in range(blocks):
        turns = list(enumerate(works))
        for which, work in turns if block % 2 == 0 else reversed(turns):
            gc.collect()
            time.sleep(pause)
            for _ in range(WARM_UP):
                work()
            seconds = []
            for _ in range(steps):
                start = time.perf_counter()
                work()
                seconds.append(time.perf_counter() - start)
            medians[which].append(median(seconds))
    return medians


def check_same(ours: Iterable[float], theirs: Iterable[float], tolerance: float = 1e-4) -> None:
    """Raise AssertionError unless the losses agree to a part of `tolerance`."""
    for mine, other in zip(ours, theirs, strict=True):
        if not math.isclose(mine, other, rel_tol=tolerance, abs_tol=tolerance):
            raise AssertionError(f"bench: the engines disagree, the losses are {mine} and {other}")


def load_peer(name: str) -> Any:
    """Import a peer, or return None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # something inside it is missing: that is not for us to hide
            raise
        return None


def describe_machine() -> str:
    """Say what was measured on."""
    import numba

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        lines = []
    processor = lines[0] if lines else platform.processor() or platform.machine()
    threads = f"{cpu.get_num_threads()} of {cpu.available_threads()} threads ({cpu.threading_layer})"
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}"
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
