"""Measure this engine on a GPU beside its peers, each in a process of its own, in turns.

As on the CPU blocks of the same work alternate between the engines. Before anything is timed, each engine's
answer is compared with float64's: a wrong one has no figure. What raises (out of memory, say) costs a row,
and the engine a new process.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tensor.bench import works
from tensor.bench.gpu import host
from tensor.bench.measure import MISSING, Result, Run, Timing, Worker, WorkFailed, is_installed
from tensor.bench.works import OURS
from tensor.bench.works.gpu import COPY, IMAGES, MEMORY, SECONDS, WORKS, Goal, GpuWork, shown
from tensor.bench.works.gpu import SUITES as SUITES
from tensor.bench.works.gpu.sizes import IS_SIMULATED, SIZES
from tensor.data import digits, mnist
from tensor.data.idx import DataError
from tensor.data.split import Split

HOST = "launch"
"""The suite of which a part needs no GPU: the host's."""

TIMING = Timing(blocks=11, fewest=5, block=0.05, limit=1.0, memory_steps=50)


@dataclass
class GpuResult(Result):
    """One row: what a call of ours took, and of one peer; `peer` is "" where there is none to compare with.

    moved, operations: bytes and operations of floats in a call. copy: the bytes a second of our fastest copy
    in this run, nan where none was measured. checked: whether our answer was that of float64; None: there is
    none to check. left_out: why the peer takes no part; said: more about ours.
    """

    moved: float = 0.0
    operations: float = 0.0
    copy: float = field(default=float("nan"))
    goal: Goal | None = None
    checked: bool | None = None
    left_out: str = ""
    said: str = ""

    @property
    def rate(self) -> float:
        """Our bytes a second, or operations; nan where neither is known."""
        amount = self.moved or self.operations
        return amount / median(self.ours) if amount and self.ours else float("nan")

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None without one, or without what it is measured by."""
        if self.goal is None or not self.ours:
            return None
        if self.goal.against == SECONDS:
            return median(self.ours) <= self.goal.bound
        found = self.rate / self.copy if self.goal.against == COPY else self.ratio
        return None if np.isnan(found) else bool(found >= self.goal.bound)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        goal = None if self.goal is None else {**self.goal._asdict(), "met": self.met}
        rate = None if np.isnan(self.rate) else self.rate
        return {
            **super().as_dict(),
            "bytes": self.moved, "operations": self.operations, "rate": rate, "goal": goal,
            "of_copy": None if rate is None or not self.moved or np.isnan(self.copy) else rate / self.copy,
            "right": self.checked, "left_out": self.left_out, "said": self.said,
        }  # fmt: skip


class GpuRun(Run):
    """One run of the bench on a GPU. has_gpu: False to measure what needs none, of the suite `HOST` alone."""

    def __init__(self, has_gpu: bool = True, timing: Timing | None = None) -> None:
        super().__init__(timing=timing or TIMING)
        self.has_gpu, self.copy = has_gpu, float("nan")
        self.card: dict[str, str] = {}
        self.data = ""
        """What the images of the epoch are, where there is one."""
        self._lacks: dict[str, str] = {}
        self._images: Path | None = None

    def measure(self, suites: Sequence[str], on_work: Callable[[str], Any] = print) -> Iterator[GpuResult]:
        """Yield the results of some of `SUITES`; `on_work` is told the name of what comes next."""
        chosen = [work for suite in suites for work in WORKS if work.suite == suite]
        if any(goal.against == COPY for work in chosen for goal in work.goals) and "copy" not in suites:
            suites = ["copy", *suites]  # what the others are measured by
        for suite in suites:
            if suite == HOST and not IS_SIMULATED:
                on_work("what the host does for a launch")
                yield from self._measure_host()
            if not self.has_gpu:
                continue
            for work in WORKS:
                if work.suite == suite:
                    on_work(work.name)
                    yield from self.measure_work(work)
            if suite == MEMORY.suite:
                on_work("peak of memory")
                yield from self.measure_memory()

    def _measure_host(self) -> Iterator[GpuResult]:
        for name, figures, said, goal in host.measure(self.timing):
            yield GpuResult(HOST, name, "", figures, goal=goal, said=said)

    def measure_work(self, work: GpuWork) -> Iterator[GpuResult]:  # type: ignore[override]
        """Measure one row of the table beside each of its peers, when its answers have been compared."""
        results = self._rows(work)
        ready: dict[str, tuple[Worker, float]] = {}
        try:
            self._prepare(work)
            reference = list(work.reference())
            for name in work.makers:
                self._open(work, name, reference, results, ready)
            figures = self._alternate(list(ready.values())) if OURS in ready else [[] for _ in ready]
        except (WorkFailed, MemoryError) as error:
            for name in ready:
                self._drop(name)
            for result in results.values():
                result.note = result.note or _said(error)
            yield from results.values()
            return
        times = {
            name: [seconds / work.calls_in_one for seconds in blocks]
            for name, blocks in zip(ready, figures, strict=True)
        }
        for name, (worker, _) in ready.items():
            try:
                worker.ask("forget")  # or the next engine would find less memory
            except WorkFailed:  # a GPU's errors may come late, and stay; what was measured before stands
                self._drop(name)
        if work.suite == COPY and times.get(OURS):
            found = work.moved / median(times[OURS])
            self.copy = found if np.isnan(self.copy) else max(found, self.copy)
        for name, result in results.items():
            result.ours, result.theirs, result.copy = times.get(OURS, []), times.get(name, []), self.copy
            yield result

    def _rows(self, work: GpuWork) -> dict[str, GpuResult]:
        """Return a result for each peer, or one that has none; each goal is with the peer it names."""
        peers = [name for name in work.makers if name != OURS] or [""]
        goals = {goal.against if goal.against in peers else peers[0]: goal for goal in work.goals}
        return {
            name: GpuResult(
                work.suite, work.name, name, goal=goals.get(name),
                moved=work.moved, operations=work.operations,
            )
            for name in peers
        }  # fmt: skip

    def _open(
        self,
        work: GpuWork,
        name: str,
        reference: list[Any],
        results: dict[str, GpuResult],
        ready: dict[str, tuple[Worker, float]],
    ) -> None:
        """Make the work ready in an engine's process and compare its answer; note what is wrong with it."""
        mine = list(results.values()) if name == OURS else [results[name]]
        if name != OURS and not is_installed(name.partition(":")[0]):
            results[name].note = results[name].note or MISSING  # what is wrong with ours comes first
            return
        try:
            worker = self._worker(name)
            if self._lacks[name]:
                results[name].left_out = self._lacks[name]
                return
            apart, seconds = worker.ask("open", work.name, reference)
        except WorkFailed as error:
            self._drop(name)
            for result in mine:
                result.note = _said(error)
            return
        right = apart <= work.tolerance
        for result in mine:
            if name == OURS:
                result.checked = right
            else:
                result.same = right
            if not right:
                allowed = f"{work.tolerance:.0e} allowed"
                result.note = f"{shown(name)}: WRONG, {apart:.1e} apart from float64, {allowed}"
        if right and seconds is not None:
            ready[name] = worker, seconds

    def _prepare(self, work: GpuWork) -> None:
        """Write the images of an epoch where all processes find them."""
        if work.suite != "epoch" or self._images is not None:
            return
        split = _images()
        self.data = split.name
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="liftgrad-bench-"))
        self._images = Path(folder, "images.npz")
        np.savez(
            self._images, train_images=split.train_images, train_labels=split.train_labels,
            test_images=split.test_images, test_labels=split.test_labels,
        )  # fmt: skip
        for name in list(self._workers):
            self._drop(name)  # they were started without
        before = os.environ.get(IMAGES)
        os.environ[IMAGES] = str(self._images)
        self._stack.callback(
            lambda: os.environ.pop(IMAGES) if before is None else os.environ.update({IMAGES: before})
        )

    def measure_memory(self) -> Iterator[GpuResult]:
        """Measure the most memory of the GPU that arrays of a process take that trains the CNN."""
        peaks: dict[str, list[float]] = {}
        rows = {
            name: GpuResult(MEMORY.suite, f"{MEMORY.name}: peak of memory", name, unit="B")
            for name in MEMORY.makers
            if name != OURS
        }
        reference = list(MEMORY.reference())
        for name in MEMORY.makers:
            if name != OURS and (not is_installed(name) or self._lacks.get(name)):
                rows[name].note = "" if self._lacks.get(name) else MISSING
                rows[name].left_out = self._lacks.get(name, "")
                continue
            try:
                with self._start_worker(name) as worker:
                    _, seconds = worker.ask("open", MEMORY.name, reference)
                    worker.run(self.timing.memory_steps, 0.0)
                    peaks[name] = [] if seconds is None else [float(worker.peak())]
            except WorkFailed as error:
                for result in rows.values() if name == OURS else [rows[name]]:
                    result.note = _said(error)
        for name, result in rows.items():
            result.ours, result.theirs = peaks.get(OURS, []), peaks.get(name, [])
            yield result

    def _new_worker(self, engine: str) -> Worker:
        worker = Worker(engine, self.threads, str(works.__file__), "gpu", environment())
        self._lacks[engine] = worker.ask("missing") or ""
        if engine == OURS and not self.card:
            self.card = worker.ask("describe")
        return worker

    def _drop(self, engine: str) -> None:
        """End an engine's process: what went wrong there may have left the GPU in disorder."""
        worker = self._workers.pop(engine, None)
        if worker is not None:
            worker.stand_still(False)
            worker.close()


def _said(error: BaseException) -> str:
    """Return the first line of an error: libraries write pages."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def environment() -> dict[str, str]:
    """Return what a process must find so that its engine uses the GPU as the others do."""
    overruled = ("NVIDIA_TF32_OVERRIDE", "CUPY_TF32")
    kept = {name: value for name, value in os.environ.items() if name not in overruled}
    return {**kept, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # it would take three quarters of the memory


def _images() -> Split:
    """Return MNIST where its files are, else the built-in digits; a few tiny images for the simulator."""
    if IS_SIMULATED:
        network, draw = SIZES.mlp, np.random.default_rng(0)
        images = draw.integers(0, 256, (2 * network.batch + 5, *network.image[1:])).astype(np.uint8)
        labels = draw.integers(0, network.classes, len(images))
        return Split(images[:-4], labels[:-4], images[-4:], labels[-4:], "random images", network.classes)
    try:
        return mnist.load(os.environ.get("LIFTGRAD_MNIST"), mirrors=())
    except DataError:
        return digits.load()
