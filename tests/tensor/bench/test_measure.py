"""tensor/bench/measure.py, report.py, worker.py: processes in turns, what they answer, what goes wrong."""

import importlib.util
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tensor.bench import as_dict, describe_run, measure, table, works
from tensor.bench.measure import MISSING, Result, Run, Timing, Worker, WorkFailed, distance

TINY = Timing(blocks=3, fewest=1, block=1e-4, limit=0.05, pause=0.0, starts=1, memory_steps=2)

# The peers are modules that every Python has; none is an engine.
SOURCE = '''
import importlib, os, sys
from typing import NamedTuple
import numpy as np
OURS = "ours"
class Case(NamedTuple):
    call: object
    answer: object
class Work(NamedTuple):
    suite: str
    name: str
    makers: dict
    tolerance: float = 1e-5
def make(value, error=None):
    def maker(engine):
        if error:
            raise ValueError(error)
        print("on standard output")
        return Case(lambda: sum(range(100)), lambda: [np.array([value, 2.0])])
    return maker
def ask(engine):
    names = [name + "_NUM_THREADS" for name in ("OMP", "OPENBLAS", "NUMBA")]
    found = [int(os.environ[name]) for name in names] + ["numba" in sys.modules, "tensor" in sys.modules]
    return Case(lambda: None, lambda: [np.array(found)])
def end(engine):
    os._exit(3)
WORKS = (
    Work("scalar", "agrees", {OURS: make(1.0), "json": make(1.000001), "no_such_engine": make(1.0)}),
    Work("mlp", "differs", {OURS: make(1.0), "json": make(1.1)}),
    Work("pool", "fails there", {OURS: make(1.0), "json": make(1.0, "out of order")}),
    Work("conv", "fails here", {OURS: make(1.0, "no such kernel"), "json": make(1.0)}),
    Work("cnn", "asks", {OURS: ask, "json": ask}),
    Work("elementwise", "ends", {OURS: make(1.0), "json": end}),
)
START = """
print("imported", flush=True)
print("stepped", flush=True)
print(LOSS, flush=True)
"""
STARTS = {OURS: START.replace("LOSS", "0.5"), "json": START.replace("LOSS", "0.5"),
          "csv": START.replace("LOSS", "0.7"), "html": "", "no_such_engine": ""}
'''


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    """Return a table of works that need no engine."""
    path = tmp_path_factory.mktemp("works") / "fake_works.py"
    path.write_text(SOURCE)
    specification = importlib.util.spec_from_file_location("fake_works", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results(fake):
    """Return what a run over all suites gives, by the name of the work, and the run."""
    told = []
    with Run(threads=1, timing=TINY, table=fake) as run:
        found = list(run.measure(measure.SUITES, told.append))
    assert told[:2] == ["agrees", "fails here"]
    return {(result.work, result.peer): result for result in found}, run


def test_engines_that_agree(results):
    found, run = results
    result = found["agrees", "json"]
    assert result.same is True
    assert len(result.ours) == len(result.theirs) == TINY.blocks
    assert result.ratio > 0.0
    assert not result.failed
    assert run.versions["json"] == json.__version__


def test_a_missing_peer_is_no_failure(results):
    result = results[0]["agrees", "no_such_engine"]
    assert (result.note, result.same, result.theirs) == (MISSING, None, [])
    assert not result.failed
    assert len(result.ours) == TINY.blocks
    assert math.isnan(result.ratio)


def test_what_goes_wrong_is_said(results):
    found, _ = results
    for name, note in [
        ("differs", "json disagrees with this engine: 5.0e-02 apart, 1e-05 allowed"),
        ("fails there", "json: ValueError: out of order"),
        ("fails here", "ours: ValueError: no such kernel"),
        ("ends", "json: its process has ended, with 3"),
    ]:
        result = found[name, "json"]
        assert result.note == note
        assert result.failed
    assert found["differs", "json"].same is False
    assert math.isnan(found["differs", "json"].ratio)
    assert found["differs", "json"].as_dict()["ratio"] is None
    assert found["fails here", "json"].ours == []


def test_a_peer_has_its_threads_and_nothing_of_ours(fake):
    with Worker("json", 2, fake.__file__) as worker:
        answer, _ = worker.open("asks")
        assert answer[0].tolist() == [2, 2, 2, 0, 0]
        assert worker.run(10, 0.0) >= 0.0
        assert worker.peak() > 1_000_000
        with pytest.raises(WorkFailed, match="json: ValueError: out of order"):
            worker.open("fails there")


def test_memory_and_start(results):
    found, _ = results
    memory = found["peak memory of CNN training, 2 steps", "json"]
    assert (memory.unit, len(memory.ours), len(memory.theirs)) == ("B", 1, 1)
    assert memory.ours[0] > 1_000_000
    for work in ("import", "first step of 784-128-10, from process start"):
        assert found[work, "json"].same is True
        note = "csv disagrees with this engine: 2.9e-01 apart, 1e-05 allowed"
        assert found[work, "csv"].note == note
        assert found[work, "html"].note == "html: the start-up program failed; its message is above"
        assert found[work, "no_such_engine"].note == MISSING
        assert found[work, "json"].ours[0] > 0.0


def test_a_peer_that_fails_after_its_first_start(fake):
    with Run(threads=1, timing=replace(TINY, starts=3), table=fake) as run:
        started = []

        def start(engine):
            started.append(engine)
            if engine == "json" and started.count("json") > 2:
                raise WorkFailed("json: out of order")
            return 1.0, 2.0, 0.5

        run._start = start
        found = {(r.work, r.peer): r for r in run.measure_start()}
    result = found["import", "json"]
    assert (result.note, result.theirs, len(result.ours)) == ("json: out of order", [], 3)
    assert result.failed
    assert found["import", "html"].same is True
    assert started.count("json") == 3


def test_a_loss_that_is_cut_off(fake, monkeypatch):
    program = "print('imported', flush=True); print('stepped', flush=True)"
    monkeypatch.setitem(fake.STARTS, "json", program)
    with (
        Run(threads=1, timing=TINY, table=fake) as run,
        pytest.raises(WorkFailed, match="json: the start-up program failed"),
    ):
        run._start("json")


def test_a_broken_peer_is_started_once(fake, monkeypatch):
    started = []

    class Broken:
        def __init__(self, engine, *_):
            started.append(engine)
            raise WorkFailed(f"{engine}: ImportError: broken")

    monkeypatch.setattr(measure, "Worker", Broken)
    with Run(threads=1, timing=TINY, table=fake) as run:
        for _ in range(3):
            with pytest.raises(WorkFailed, match="json: ImportError: broken"):
                run._worker("json")
    assert started == ["json"]


def test_a_process_that_cannot_begin_is_ended(fake, monkeypatch):
    closed = []
    close = Worker.close
    monkeypatch.setattr(Worker, "close", lambda worker: (close(worker), closed.append(worker.has_ended())))
    with pytest.raises(WorkFailed, match=r"no_such_engine: ModuleNotFoundError"):
        Worker("no_such_engine", 1, fake.__file__)
    assert closed == [True]


def test_notes_name_peers_as_the_table_does(fake, monkeypatch):
    monkeypatch.setitem(works.PEERS, "no_such_engine", "Some Engine")
    with pytest.raises(WorkFailed, match="Some Engine: ModuleNotFoundError"):
        Worker("no_such_engine", 1, fake.__file__)


def test_blocks_alternate_and_swap_places():
    order = []

    class Stub:
        def __init__(self, name):
            self.name = name

        def stand_still(self, still):
            self.still = still

        def run(self, calls, pause):
            assert [stub.still for stub in stubs] == [stub is not self for stub in stubs]
            order.append(self.name)
            return float(calls)

    stubs = [Stub("a"), Stub("b")]
    with Run(threads=1, timing=replace(TINY, blocks=3, limit=100.0, block=1.0)) as run:
        figures = run._alternate([(stubs[0], 0.1), (stubs[1], 2.0)])
    assert figures == [[10.0] * 3, [1.0] * 3]
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert not any(stub.still for stub in stubs)


def test_distance():
    one = [np.array([1.0, 100.0], np.float32)]
    assert distance(one, [np.array([2.0, 100.0])]) == pytest.approx(0.01)
    assert distance(one, [np.array([1.0])]) == math.inf
    assert distance(one, []) == math.inf
    assert distance([np.array([np.nan])], [np.array([np.nan])]) == math.inf
    assert distance([np.zeros(3)], [np.zeros(3)]) == 0.0


def test_the_ratio_says_how_much_faster_we_are():
    result = Result("mlp", "work", "peer", [1.0, 2.0, 3.0], [4.0, 4.0, 5.0])
    assert result.ratio == 2.0
    found = json.loads(json.dumps(result.as_dict()))
    assert found["ours"] == {"median": 2.0, "low": 1.5, "high": 2.5, "blocks": [1.0, 2.0, 3.0]}


def test_json(results):
    found, run = results
    text = json.loads(json.dumps(as_dict(run, found.values()), allow_nan=False))
    assert set(text) == {"date", "machine", "threads", "load", "peers", "results"}
    assert text["threads"] == 1
    keys = {"suite", "work", "peer", "unit", "same", "note", "ratio", "ours", "theirs"}
    assert [set(result) for result in text["results"]] == [keys] * len(found)


def test_table(results):
    found, run = results
    lines = table(list(found.values()))
    assert lines[0].split() == ["work", "ours", "peer", "ratio", "spread"]
    (line,) = [line for line in lines if line.startswith("agrees")]
    assert " x " in line
    assert sum("no_such_engine is not installed" in line for line in lines) == 1
    assert "fails here: ours: ValueError: no such kernel" in lines
    assert sum(line.startswith("startup: our kernels come cached") for line in lines) == 1
    assert describe_run(run)[1].startswith("1 thread for each engine")


@pytest.mark.parametrize(("load", "told"), [(0.1, False), (3.0, True)])
def test_a_busy_machine_is_told(load, told):
    run = Run(threads=2)
    run.load = load
    assert any(line.startswith("load 3.0 before it began") for line in describe_run(run)) == told


def test_work_without_any_peer_is_shown():
    lines = table([Result("mlp", "alone", "torch", [0.002] * 4, note=MISSING)])
    assert lines[1].split() == ["alone", "2,000", "us", "-", "-", "0%"]
    assert lines[-1] == "PyTorch is not installed, so nothing is compared with it: pip install torch"


@pytest.mark.parametrize(
    ("figures", "unit", "shown"),
    [([2.5], "s", "2.50 s"), ([0.0123], "s", "12.3 ms"), ([123e-6], "s", "123 us"), ([3e8], "B", "300 MB")],
)
def test_amounts(figures, unit, shown):
    assert shown in table([Result("mlp", "work", "torch", figures, figures, unit)])[1]
