"""Every example runs as a reader would run it, and prints what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(name, folder, *arguments):
    """Run an example with `folder` as the current one; return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_has_a_test(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 105
    assert f'run("{path.name}"' in Path(__file__).read_text(encoding="utf-8")


def test_scalar_backprop(tmp_path):
    printed = run("scalar_backprop.py", tmp_path)
    pairs = re.findall(r"= +(\S+) +by finite differences +(\S+)", printed)
    assert len(pairs) == 2
    assert all(ours == differences for ours, differences in pairs)
    before, after = (float(number) for number in re.findall(r"(?:\) = |downhill: )(\S+)", printed))
    assert after < before


@pytest.mark.parametrize("name", ["neuron.svg", "neuron.png"])
def test_draw_neuron_without_dot(tmp_path, monkeypatch, name):
    monkeypatch.setenv("PATH", str(tmp_path))
    printed = run("draw_neuron.py", tmp_path, name)
    (written,) = tmp_path.iterdir()
    assert written.name == "neuron.svg"
    assert "wrote neuron.svg" in printed
    assert ("needs Graphviz's program" in printed) == name.endswith("png")
    assert written.stat().st_size > 1000


def test_trace_graph(tmp_path):
    printed = run("trace_graph.py", tmp_path)
    assert "d (a + a) / d a = 2.0" in printed
    for name in ("expression.svg", "neuron.svg", "twice.svg", "flow.svg"):
        assert f"wrote {name}" in printed
        assert (tmp_path / name).read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_lift(tmp_path):
    rows = re.findall(r"(-?\d\.\d{6})  slope (\d\.\d{6})", run("lift.py", tmp_path))
    assert rows[0] == rows[1] == rows[2] == ("0.462117", "0.786448")
    assert len(rows) == 5


def test_learn_filter(tmp_path):
    printed = run("learn_filter.py", tmp_path)
    losses = [float(loss) for loss in re.findall(r"loss (\S+)", printed)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-4 < losses[0]
    rows = [[float(w) for w in line.split()] for line in printed.splitlines() if "step" not in line]
    assert [len(row) for row in rows] == [6, 6, 6]
    assert all(abs(a - b) < 0.02 for row in rows for a, b in zip(row[:3], row[3:], strict=True))


def test_by_hand(tmp_path):
    printed = run("by_hand.py", tmp_path)
    assert "gradient by formula: equal" in printed
    pairs = re.findall(r"by hand (\S+)  with nn (\S+)", printed)
    assert len(pairs) == 4
    assert all(abs(float(a) - float(b)) < 1e-4 for a, b in pairs)


def test_shapes_cnn(tmp_path):
    losses = [float(loss) for loss in re.findall(r"loss (\S+)", run("shapes_cnn.py", tmp_path, "160", "2"))]
    assert len(losses) == 2
    assert losses[1] < 1.15


@pytest.mark.parametrize("kind", ["bigram", "mlp", "gru", "transformer"])
def test_names(tmp_path, kind):
    printed = run("names.py", tmp_path, kind, "20")
    losses = [float(loss) for loss in re.findall(r"loss (\S+)", printed)]
    assert losses[-1] < losses[0]
    assert printed.splitlines()[-1].startswith("made up: ")
