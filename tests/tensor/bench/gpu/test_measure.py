"""tensor/bench/gpu/measure.py, report.py: what is made of answers, times and failures; no GPU is needed."""

import json
import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from tensor.bench.gpu import GpuResult, GpuRun, as_dict, describe_run, measure, report, table
from tensor.bench.measure import MISSING, Timing, WorkFailed
from tensor.bench.works.gpu.case import COPY, SECONDS, Goal, GpuWork

TINY = Timing(blocks=3, fewest=3, block=1e-4, limit=0.05, pause=0.0, memory_steps=2)


def work(suite, name, engines=("ours", "torch"), **more):
    return GpuWork(suite, name, dict.fromkeys(engines), lambda: [np.ones(3)], **more)


WORKS = (
    work("copy", "copy", ("ours",), moved=2e9, tolerance=0.0),
    work("elementwise", "relu", moved=1e9, goals=(Goal("80% of the copy", COPY, 0.8),)),
    work("reduction", "slow", moved=1e9, goals=(Goal("80% of the copy", COPY, 0.8),)),
    work("matmul", "product", operations=4e12, goals=(Goal("70% of PyTorch's speed", "torch", 0.7),)),
    work("matmul", "wrong here"),
    work("matmul", "wrong there"),
    work("conv", "too large here"),
    work("conv", "too large there", ("ours", "torch", "jax")),
    work("conv", "in a graph", calls_in_one=10),
    work("epoch", "epoch", ("ours", "no_such_engine"), goals=(Goal("under 0.5 s", SECONDS, 0.5),)),
)
SECONDS_OF = {
    ("ours", "copy"): 1.0, ("ours", "relu"): 0.6, ("torch", "relu"): 0.5, ("ours", "slow"): 1.0,
    ("ours", "product"): 2.0, ("torch", "product"): 1.0, ("ours", "epoch"): 0.4,
}  # fmt: skip


class Process:
    """What stands for the process of an engine."""

    started: ClassVar[list] = []

    def __init__(self, engine):
        self.engine, self.version, self.works = engine, f"{engine} 1.0", []
        self.closed = False
        self.started.append(self)

    def ask(self, what, *arguments):
        if what == "open":
            name, reference = arguments
            assert reference[0].tolist() == [1.0, 1.0, 1.0]
            self.works.append(name)
            here = self.engine == "ours"
            if name == f"too large {'here' if here else 'there'}":
                raise WorkFailed(f"{self.engine}: OutOfMemoryError: CUDA out of memory\nat length")
            wrong = name == f"wrong {'here' if here else 'there'}"
            return 0.1 if wrong else 0.0, SECONDS_OF.get((self.engine, name), 1.0)
        assert what == "forget"
        if (self.engine, self.works[-1]) == ("torch", "product"):
            raise WorkFailed("torch: an illegal memory access was encountered")
        return None

    def run(self, calls, pause):
        return SECONDS_OF.get((self.engine, self.works[-1]), 1.0)

    def stand_still(self, still): ...
    def has_ended(self):
        return self.closed

    def close(self):
        self.closed = True

    def peak(self):
        return 1000

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def run(monkeypatch):
    """Return what a run over the works above gives, by name and peer, and the run."""
    Process.started = []

    def start(self, engine):
        self._lacks[engine] = "it finds no GPU" if engine == "jax" else ""
        return Process(engine)

    monkeypatch.setattr(GpuRun, "_new_worker", start)
    monkeypatch.setattr(GpuRun, "_prepare", lambda self, work: None)
    monkeypatch.setattr(measure, "WORKS", WORKS)
    monkeypatch.setattr(measure, "MEMORY", work("memory", "none"))
    monkeypatch.setattr(measure, "is_installed", lambda name: name != "no_such_engine")
    with GpuRun(timing=TINY) as made:
        suites = ("copy", "elementwise", "reduction", "matmul", "conv", "epoch")
        found = list(made.measure(suites, lambda name: None))
        yield {(r.work, r.peer): r for r in found}, made


def test_goals_are_met_or_missed(run):
    found, made = run
    assert made.copy == 2e9
    assert found["copy", ""].met is None
    assert found["relu", "torch"].met is True  # 1.67 of 2 GB/s
    assert found["slow", "torch"].met is False
    assert found["product", "torch"].met is False  # half of PyTorch's
    assert found["epoch", "no_such_engine"].met is True
    assert found["epoch", "no_such_engine"].note == MISSING
    assert found["in a graph", "torch"].ours == [0.1] * 3


def test_a_wrong_answer_has_no_figure(run):
    found, _ = run
    here, there = found["wrong here", "torch"], found["wrong there", "torch"]
    assert here.note == "ours: WRONG, 1.0e-01 apart from float64, 1e-05 allowed"
    assert there.note == "PyTorch: WRONG, 1.0e-01 apart from float64, 1e-05 allowed"
    assert (here.ours, here.checked, here.failed) == ([], False, True)
    assert (there.theirs, there.same, there.failed) == ([], False, True)
    assert len(there.ours) == 3


def test_what_has_no_room_costs_a_row_and_a_process(run):
    found, _ = run
    assert found["too large here", "torch"].note == "ours: OutOfMemoryError: CUDA out of memory"
    assert found["too large here", "torch"].ours == []
    there = found["too large there", "torch"]
    assert there.note == "torch: OutOfMemoryError: CUDA out of memory"
    assert (len(there.ours), there.theirs) == (3, [])
    assert found["too large there", "jax"].left_out == "it finds no GPU"
    assert not found["too large there", "jax"].failed
    ended = [process for process in Process.started if process.works and process.works[-1].startswith("too")]
    assert [process.engine for process in ended] == ["ours", "torch"]
    assert all(process.closed for process in ended)
    assert len(found["in a graph", "torch"].theirs) == 3


def test_an_error_that_comes_late_costs_a_process_alone(run):
    found, _ = run
    assert len(found["product", "torch"].theirs) == 3
    (ended,) = [p for p in Process.started if p.engine == "torch" and p.works[-1:] == ["product"]]
    assert ended.closed
    assert found["wrong here", "torch"].same is True


def test_the_copy_is_measured_where_it_is_the_yardstick(run, monkeypatch):
    _, made = run
    made.copy = math.nan
    names: list = []
    list(made.measure(["elementwise"], names.append))
    assert names == ["copy", "relu"]
    names.clear()
    list(made.measure(["matmul"], names.append))
    assert "copy" not in names


def test_the_table(run):
    found, made = run
    lines = table(list(found.values()))
    row = {line.split("  ")[0]: line for line in lines}
    assert row["relu"].split("  ")[-1].strip() == "80% of the copy: met"
    assert "2 GB/s, 83% of the copy" in row["relu"]
    assert "2.0 TFLOP/s" in row["product"]
    assert row["product"].endswith("70% of PyTorch's speed: missed")
    assert row["wrong here"].split()[2:4] == ["WRONG", "-"]
    assert row["too large here"].split()[3:5] == ["failed", "-"]
    assert row["epoch"].endswith("under 0.5 s: met")
    assert "JAX is left out: it finds no GPU" in lines
    assert "no_such_engine is not installed, so nothing is compared with it" in lines
    assert "wrong here: ours: WRONG, 1.0e-01 apart from float64, 1e-05 allowed" in lines
    text = json.loads(json.dumps(as_dict(made, found.values()), allow_nan=False))
    (relu,) = [r for r in text["results"] if r["work"] == "relu"]
    assert relu["goal"] == {"text": "80% of the copy", "against": "copy", "bound": 0.8, "met": True}
    assert relu["of_copy"] == pytest.approx(1 / 1.2)
    assert relu["rate"] == pytest.approx(1e9 / 0.6)


@pytest.mark.parametrize(("theirs", "met"), [([0.8], True), ([0.6], False), ([], None)])
def test_a_goal_with_a_peer(theirs, met):
    goal = Goal("70% of PyTorch's speed", "torch", 0.7)
    result = GpuResult("matmul", "product", "torch", [1.0], theirs, goal=goal)
    assert result.met is met
    assert replace(result, same=False).met is None
    shown = {True: "met", False: "missed", None: "open"}[met]
    assert table([result])[1].endswith(f"70% of PyTorch's speed: {shown}")


def test_the_card_is_described(monkeypatch):
    made = GpuRun()
    made.card = {"GPU": "NVIDIA H100", "capability": "compute capability 9.0", "memory": "80 GiB"}
    made.versions = {"ours": "", "torch": "2.13.0 (CUDA 13.0)"}
    monkeypatch.setattr(report, "IS_SIMULATED", False)

    def told(*_, **__):
        return type("Ran", (), {"stdout": "580.1, 1980 MHz, 2619 MHz, 700.00 W, 31\n"})

    monkeypatch.setattr(report.subprocess, "run", told)
    lines = describe_run(made)
    assert lines[0] == "NVIDIA H100, compute capability 9.0, 80 GiB"
    assert lines[1] == "driver 580.1, clocks up to 1980 MHz, of memory 2619 MHz, power up to 700.00 W, 31 C"
    assert "beside PyTorch 2.13.0 (CUDA 13.0)" in lines
    monkeypatch.setattr(report, "QUERY", ("driver_version",))
    assert not any(line.startswith("driver") for line in describe_run(made))
