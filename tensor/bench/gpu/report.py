"""What a run of the bench on a GPU says: the card, a table, and the same for programs."""

import datetime
import json
import math
import os
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

from tensor import config
from tensor.bench.gpu.measure import HOST, GpuResult, GpuRun
from tensor.bench.measure import MISSING
from tensor.bench.report import LEGEND, align, amount, spread
from tensor.bench.works import OURS
from tensor.bench.works.gpu import COPY, shown
from tensor.bench.works.gpu.sizes import IS_SIMULATED
from tensor.files import atomic_write

HEADER = ("work", "answer", "ours", "rate", "peer", "", "ratio", "spread", "goal")
SIMULATOR = "numba-cuda's simulator, tiny sizes: answers are right or wrong there, and nothing has a time"
LEGENDS = {
    "copy": "copy: bytes read and written a second; others are measured by the fastest of our two copies",
    "matmul": "products: TF32 is off for all, but in the row that names it",
    "conv": "forward: nothing is kept for a backward; dx, dw: the backward alone, after a forward",
    "mlp": "captured: as a CUDA graph; PyTorch's Adam is the fused one; JAX: compiled, and timed "
    "by the host's clock, since it has no events",
    HOST: "host: the CPU's time of a thread, with a stand-in for the driver, which does nothing",
}
SAME = {"cnn": "mlp", "epoch": "mlp"}
"""Suites with the legend of another."""

QUERY = ("driver_version", "clocks.max.sm", "clocks.max.mem", "power.limit", "temperature.gpu")


def describe_run(run: GpuRun) -> list[str]:
    """Say on what card and with what versions was measured."""
    lines = [SIMULATOR] if IS_SIMULATED else [] if run.has_gpu else ["no GPU: the host's part alone"]
    if run.has_gpu and not IS_SIMULATED:
        lines += [*([", ".join(run.card.values())] if run.card else []), *_management()]
    peers = [f"{shown(name)} {version}" for name, version in run.versions.items() if name != OURS and version]
    return [
        *lines,
        config.describe_processor(),
        config.describe_versions(),
        *([f"beside {', '.join(peers)}"] if peers else []),
        *([f"the epoch is one of {run.data}"] if run.data else []),
    ]


def _management() -> list[str]:
    """Return what nvidia-smi says of the card; nothing where it is not there."""
    command = ["nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    cells = [cell.strip() for cell in said.splitlines()[0].split(",")] if said.strip() else []
    if len(cells) != len(QUERY):
        return []
    driver, core, memory, power, warmth = cells
    return [f"driver {driver}, clocks up to {core}, of memory {memory}, power up to {power}, {warmth} C"]


def as_dict(run: GpuRun, results: Iterable[GpuResult]) -> dict[str, Any]:
    """Return a run for JSON; durations in seconds, sizes in bytes."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_run(run),
        "card": run.card,
        "simulated": IS_SIMULATED,
        "copy": None if math.isnan(run.copy) else run.copy,
        "peers": {name: version for name, version in run.versions.items() if name != OURS and version},
        "results": [result.as_dict() for result in results],
    }


def write_json(path: str | os.PathLike[str], run: GpuRun, results: Iterable[GpuResult]) -> None:
    """Write a run to a file, atomically; OSError where that cannot be."""
    with atomic_write(path, "w") as file:
        json.dump(as_dict(run, results), file)


def table(results: Sequence[GpuResult]) -> list[str]:
    """Return the results as lines of text; below them what went wrong and who was left out."""
    rows: list[tuple[str, ...]] = [HEADER]
    for work in dict.fromkeys(r.work for r in results):
        of = [r for r in results if r.work == work]
        told = [r for r in of if r.theirs or r.same is False or r.goal is not None]
        rows += [_cells(r) for r in told or of[:1]]
    lines = align(rows, "<<>>><>><")
    notes = list(dict.fromkeys(f"{r.work}: {r.note}" for r in results if r.failed))
    for peer in sorted({r.peer for r in results if r.note == MISSING}):
        notes.append(f"{shown(peer)} is not installed, so nothing is compared with it")
    for peer, why in sorted({(r.peer, r.left_out) for r in results if r.left_out}):
        notes.append(f"{shown(peer)} is left out: {why}")
    suites = dict.fromkeys(SAME.get(r.suite, r.suite) for r in results)
    legends = [LEGEND, *(LEGENDS[suite] for suite in suites if suite in LEGENDS)]
    return [*lines, "", *legends, *notes]


def _cells(r: GpuResult) -> tuple[str, ...]:
    right = {True: "right", False: "WRONG", None: "-" if r.unit == "B" or not r.note else "failed"}[r.checked]
    return (
        r.work, right if r.suite != HOST or r.peer else "",
        amount(r.ours, r.unit) if r.ours else "-", _rate(r),
        amount(r.theirs, r.unit) if r.theirs else "-", shown(r.peer) if r.theirs else "",
        "-" if math.isnan(r.ratio) else f"{r.ratio:.2f} x",
        " / ".join(spread(figures) for figures in (r.ours, r.theirs) if len(figures) > 1), _goal(r),
    )  # fmt: skip


def _rate(r: GpuResult) -> str:
    if math.isnan(r.rate):
        return r.said
    if r.operations:
        return f"{r.rate / 1e12:,.1f} TFLOP/s"
    share = "" if math.isnan(r.copy) or r.suite == COPY else f", {r.rate / r.copy:.0%} of the copy"
    return f"{r.rate / 1e9:,.0f} GB/s{share}"


_MET = {True: "met", False: "missed", None: "open"}


def _goal(r: GpuResult) -> str:
    return "" if r.goal is None else f"{r.goal.text}: {_MET[r.met]}"
