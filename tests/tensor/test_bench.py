"""tensor/bench.py: it measures, compares, and says what is missing. No test looks at a duration."""

import json
import math

import pytest

from tensor import bench


def test_the_mlp_beside_pytorch(torch):
    (result,) = bench.bench_mlp(blocks=2, steps=5)
    assert len(result.ours) == len(result.theirs) == 2
    assert torch.__version__ in result.peer
    assert "losses agree" in result.note
    assert result.ratio > 0.0


def test_a_missing_peer_is_named(monkeypatch):
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    (result,) = bench.bench_mlp(blocks=1, steps=2)
    assert not result.theirs
    assert math.isnan(result.ratio)
    assert "PyTorch is not installed" in result.note
    assert result.as_dict()["ratio"] is None
    assert "micrograd is not installed" in bench.scalar_result([1.0], [])[0].note


def test_another_loss_is_noticed():
    losses = [2.3 - 0.001 * i for i in range(100)]
    bench.check_same(losses, [x * (1 + 1e-6) for x in losses])
    with pytest.raises(AssertionError, match="the engines disagree"):
        bench.check_same(losses, [losses[0], losses[1] + 0.01, *losses[2:]])
    with pytest.raises(AssertionError, match="the engines disagree"):
        bench.check_same(losses, [*losses[:50], *[9.0] * 50])


def test_the_ratio_says_how_much_faster_we_are():
    result = bench.Result("work", "peer", [1.0, 2.0, 3.0], [4.0, 4.0, 5.0])
    assert result.ratio == 2.0
    found = json.loads(json.dumps(result.as_dict()))
    assert found["ours"] == {"median": 2.0, "blocks": [1.0, 2.0, 3.0]}


def test_table():
    rows = [
        bench.Result("a long name of work", "torch", [1e-3] * 4, [2e-3] * 4, "checked"),
        bench.Result("b", "torch", [2e-2]),
    ]
    lines = bench.table(rows)
    assert " ".join(lines[1].split()) == "a long name of work 1000 us 2000 us torch 2.00 x 0% / 0%"
    assert lines[2].split() == ["b", "20.0", "ms", "-", "torch", "-", "0%"]
    assert lines[-1] == "a long name of work: checked"


def test_blocks_alternate_and_swap_places():
    order = []

    class Stub:
        def __init__(self, name):
            self.name = name

        def run(self, steps):
            order.append(self.name)
            return float(steps)

    assert bench.alternate([Stub("a"), Stub("b")], 3, 7) == [[7.0] * 3, [7.0] * 3]
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_the_machine():
    assert "threads" in bench.describe_machine()
    assert "\n" not in bench.describe_machine()
