"""tests/cuda/outcome.py: what is written about a run on a GPU."""

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FACTS = {"GPU": "NVIDIA H100, compute capability 9.0, 80 GiB", "driver": "580.1"}
XML = """<?xml version="1.0"?><testsuites><testsuite name="pytest" tests="4">
<testcase classname="tests.tensor.test_conv" name="test_good"/>
<testcase classname="tests.tensor.test_conv" name="test_bad[1]"><failure message="no"/></testcase>
<testcase classname="tests.tensor.test_conv" name="test_broken"><error message="no"/></testcase>
<testcase classname="tests.tensor.test_conv" name="test_out"><skipped message="no MNIST"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture(scope="module")
def outcome():
    spec = spec_from_file_location("liftgrad_outcome", HERE / "outcome.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_run_is_told_and_takes_the_place_of_the_last_one(outcome, tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(XML)
    text = outcome.section(FACTS, report, 120.0, "abc123")
    assert "at abc123: **1 passed, 2 failed, 1 skipped**, in 2 minutes." in text
    assert "- `tests/tensor/test_conv::test_bad[1]`" in text
    assert "- 1: no MNIST" in text
    assert "- driver: 580.1" in text
    page = outcome.PAGE.read_text(encoding="utf-8")
    once = outcome.written(page, text)
    assert outcome.written(once, text) == once
    other = text.replace("H100", "A100")
    both = outcome.written(once, other)
    assert both.count("### NVIDIA H100\n") == both.count("### NVIDIA A100\n") == 1
    assert outcome.written(both, text).count("### ") == both.count("### ")
    assert both.partition(outcome.BEGIN)[0] == page.partition(outcome.BEGIN)[0]
    assert both.partition(outcome.END)[2] == page.partition(outcome.END)[2]
    with pytest.raises(SystemExit, match="lost its marks"):
        outcome.written("nothing", text)


def test_timings_stand_in_a_section_of_their_own(outcome):
    table = "NVIDIA H100, compute capability 9.0, 80 GiB\n\nwork  answer  ours\ncopy  right   210 us\n"
    text = outcome.timings(FACTS, table, "abc123")
    page = outcome.PAGE.read_text(encoding="utf-8")
    once = outcome.written(page, text, outcome.TIMINGS)
    assert "copy  right   210 us\n```\n\n<!-- end of timings -->" in once
    assert "at abc123." in once
    assert (
        "no card could be had" not in once.partition(outcome.TIMINGS[0])[2].partition(outcome.TIMINGS[1])[0]
    )
    assert outcome.written(once, text, outcome.TIMINGS) == once
    runs = slice(page.index(outcome.BEGIN), page.index(outcome.END))
    assert once[once.index(outcome.BEGIN) : once.index(outcome.END)] == page[runs]


@pytest.mark.parametrize(("code", "is_written"), [(0, True), (1, True), (2, False)])
def test_what_the_bench_prints_is_written(outcome, monkeypatch, code, is_written):
    kept: list = []

    def ran(command, **_):
        assert command[-4:] == ["--device", "cuda", "--only", "copy"]
        return subprocess.CompletedProcess(command, code, stdout="a table\n")

    monkeypatch.setattr(outcome.subprocess, "run", ran)
    monkeypatch.setattr(outcome, "write", lambda text, marks: kept.append((text, marks)))
    assert outcome.run_bench(FACTS, "abc123", ["--only", "copy"]) == code
    assert bool(kept) == is_written
    assert all("a table" in text and marks == outcome.TIMINGS for text, marks in kept)


def test_without_a_gpu_it_says_so():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    ran = subprocess.run(
        [sys.executable, HERE / "outcome.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "outcome: this is the simulator; unset NUMBA_ENABLE_CUDASIM\n"
