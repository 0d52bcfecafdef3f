"""tensor/bench/works/gpu/: every row is executed, at tiny sizes, and a wrong answer is noticed.

On the simulator; peers compute on the CPU here: so their lines are tried before a GPU meets them, all but the
captured ones.
"""

import importlib.util
import json
import os
import sys

import numpy as np
import pytest

from tensor.bench.gpu import measure
from tensor.bench.works import OURS
from tensor.bench.works.gpu import ENGINES, IMAGES, WORKS
from tensor.bench.works.gpu.case import apart, repeated
from tensor.bench.works.gpu.sizes import IS_SIMULATED

ROWS = [(work, name) for work in WORKS for name in work.makers]
IDS = [f"{work.suite}: {work.name}: {name}" for work, name in ROWS]


@pytest.fixture(autouse=True)
def _on_the_simulator(device):
    if not IS_SIMULATED:
        pytest.skip("tiny sizes are the simulator's")


@pytest.fixture(scope="module", autouse=True)
def _images(tmp_path_factory):
    split, path = measure._images(), tmp_path_factory.mktemp("images") / "images.npz"
    parts = ("train_images", "train_labels", "test_images", "test_labels")
    np.savez(path, **{part: getattr(split, part) for part in parts})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(IMAGES, str(path))
        yield


def make(work, name, monkeypatch):
    """Return the engine of that name, and its case of a work; a peer computes on the CPU."""
    module = name.partition(":")[0]
    if module == OURS:
        return ENGINES[OURS](OURS)
    if module == "cupy":  # whose functions are NumPy's
        monkeypatch.setitem(sys.modules, "cupy", np)
    elif importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    if module == "torch":  # whose switches an engine turns: they are put back after the test
        switches = importlib.import_module("torch").backends.cudnn
        for switch in ("allow_tf32", "benchmark"):
            monkeypatch.setattr(switches, switch, getattr(switches, switch))
    if module == "torch" and name == "torch" and ("captured" in work.name or "graph" in work.name):
        pytest.skip("a graph needs a GPU")
    return ENGINES[module](module, "cpu")


@pytest.mark.parametrize(("work", "name"), ROWS, ids=IDS)
def test_each_row_is_right_and_a_wrong_number_is_noticed(work, name, monkeypatch):
    engine = make(work, name, monkeypatch)
    engine.use_tf32(work.tf32)
    case, reference = work.makers[name](engine), list(work.reference())
    answer = [np.array(part) for part in case.answer()]
    assert apart(answer, reference) <= work.tolerance
    assert engine.seconds(case.call, 2, work.timed) is None, "no figure without a GPU"
    for part in answer:
        where = np.unravel_index(part.size // 2, part.shape)
        kept, part[where] = part[where], part[where] + 4 * max(work.tolerance, 1e-6) * np.abs(part).max()
        assert apart(answer, reference) > work.tolerance
        part[where] = np.nan
        assert apart(answer, reference) == np.inf
        part[where] = kept
    assert apart([part[..., None] for part in answer], reference) == np.inf


def test_a_wrong_kernel_is_noticed(monkeypatch):
    import tensor

    (work,) = [work for work in WORKS if work.name.startswith("relu ")]
    relu = tensor.relu
    monkeypatch.setattr(tensor, "relu", lambda x: relu(x) * 1.00001)
    case = work.makers[OURS](ENGINES[OURS](OURS))
    assert work.tolerance < apart(case.answer(), work.reference()) < 1e-4


def test_repeats_are_all_compared():
    block = np.arange(6.0).reshape(2, 3)
    answer = np.tile(block, (3, 1))
    assert apart([answer], [repeated(block, 3)]) == 0.0
    assert apart([answer[:4]], [repeated(block, 3)]) == np.inf
    answer[4, 1] += 0.5
    assert apart([answer], [repeated(block, 3)]) == pytest.approx(0.1)


def test_products_in_float32_are_held_to_more_than_tf32_gives():
    draw = np.random.default_rng(0)
    x, y = (draw.standard_normal((64, 64)).astype(np.float32) for _ in range(2))
    rounded = [((a.view(np.uint32) + 0x1000) & 0xFFFFE000).view(np.float32) for a in (x, y)]  # to 10 bits
    right, tf32 = x.astype(np.float64) @ y, rounded[0].astype(np.float64) @ rounded[1]
    plain, named = ([w for w in WORKS if w.name.startswith("product of 7 cubed")][i] for i in (0, 1))
    assert named.tf32
    assert plain.tolerance < apart([tf32], [right]) < named.tolerance


def test_names_and_engines():
    names = [work.name for work in WORKS]
    assert len(set(names)) == len(names)
    for work in WORKS:
        assert next(iter(work.makers)) == OURS
        assert {name.partition(":")[0] for name in work.makers} <= set(ENGINES)
        assert {goal.against for goal in work.goals} <= {*work.makers, "copy", "seconds"}
    assert os.environ[IMAGES]


@pytest.fixture
def bench(capsys, monkeypatch):
    """Return bench(*words): exit code, lines printed, errors; there are no peers."""
    for needed in ("typer", "rich"):
        pytest.importorskip(needed, reason=f"{needed} is not installed; the command line needs it")
    import liftgrad

    monkeypatch.setattr(measure, "is_installed", lambda name: False)

    def bench(*words):
        code = liftgrad.main(["bench", "--device", "cuda", *map(str, words)])
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err

    return bench


def test_the_command_runs_on_the_simulator_and_shows_no_figure(bench, tmp_path):
    code, lines, error = bench("--only", "elementwise,launch", "--json", tmp_path / "found.json")
    assert (code, error) == (0, "")
    assert lines[0].startswith("numba-cuda's simulator, tiny sizes")
    rows = [line for line in lines if "  right  " in line]
    assert [line.split(" of ")[0] for line in rows[1:4]] == ["copy", "x + y", "x + row"]
    assert all(line.split(" right ")[1].split()[:1] == ["-"] for line in rows)
    assert sum("80% of the copy: open" in line for line in rows) == 7
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["simulated"] is True
    assert all(result["ours"] is None and result["goal"] in (None, {**(result["goal"] or {}), "met": None})
               for result in found["results"])  # fmt: skip
    assert {result["right"] for result in found["results"]} == {True}


def test_a_wrong_answer_fails_the_command(bench, monkeypatch):
    copies = [work for work in WORKS if work.suite == "copy"]
    wrong = copies[1]._replace(
        reference=lambda: [repeated(array * 1.5, times) for array, times in copies[1].reference()]
    )
    monkeypatch.setattr(measure, "WORKS", (copies[0], wrong))
    code, lines, error = bench("--only", "copy")
    assert (code, error) == (1, "liftgrad: bench: not everything could be compared; see above\n")
    told = [line.split("bytes")[1].split()[0] for line in lines if "bytes  " in line]
    assert told == ["right", "WRONG"]
    assert any("copy of 120 bytes: ours: WRONG, 3.3e-01 apart from float64" in line for line in lines)
