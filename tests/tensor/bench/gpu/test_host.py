"""tensor/bench/gpu/host.py: what the host does for a GPU is measured and counted where there is none."""

import json
import re
from importlib.util import find_spec

import pytest

from tensor import session
from tensor.bench.gpu import host, measure
from tensor.bench.measure import Timing

TINY = Timing(blocks=2, fewest=1, block=1e-4, limit=0.05, pause=0.0)

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)


@pytest.fixture(autouse=True)
def _few_calls(gpu_stand_in, monkeypatch):
    monkeypatch.setattr(measure, "TIMING", TINY)


def test_each_cost_has_figures():
    found = {cost.name: cost for cost in host.measure(TINY)}
    assert list(found) == [
        "host: launch of a kernel, four 2-D arrays", "host: an array of 64 x 128, made and dropped",
        "host: x + y of 64 x 128", "host: step of the MLP, batch 64, Adam", "host: step of the MLP, captured",
        "host: step of the CNN, batch 64, Adam", "host: step of the CNN, captured",
    ]  # fmt: skip
    assert all(len(cost.figures) == TINY.blocks and min(cost.figures) > 0.0 for cost in found.values())
    for name in ("MLP", "CNN"):
        assert re.fullmatch(
            r"\d+ launches, 0 allocations", found[f"host: step of the {name}, batch 64, Adam"].said
        )


def test_the_command_needs_no_gpu_for_them(monkeypatch, capsys, tmp_path):
    for needed in ("typer", "rich"):
        pytest.importorskip(needed, reason=f"{needed} is not installed; the command line needs it")
    import liftgrad

    monkeypatch.setattr(session, "missing_for_cuda", lambda: "the NVIDIA driver finds no GPU")
    path = tmp_path / "found.json"
    assert liftgrad.main(["bench", "--device", "cuda", "--only", "launch", "--json", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "no GPU: the host's part alone"
    (row,) = [line for line in lines if line.startswith("host: launch of a kernel")]
    assert re.search(r" [\d.]+ us .*under 5 us: (met|missed)$", row)
    assert lines[-1] == "host: the CPU's time of a thread, with a stand-in for the driver, which does nothing"
    found = json.loads(path.read_text())
    assert (found["card"], found["peers"], found["copy"]) == ({}, {}, None)
    assert found["results"][0]["goal"]["bound"] == 5e-6
