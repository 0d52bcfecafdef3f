import math

import pytest

from micro import bench


def test_runs_without_micrograd(monkeypatch):
    load = bench._load
    monkeypatch.setattr(bench, "_load", lambda name: load(name) if name == "micro" else None)
    result = bench.bench_moons(repeats=2, samples=4)
    assert len(result.ours) == 2
    assert result.micrograd == []
    assert math.isnan(result.ratio)
    assert "micrograd is not installed" in str(result)


def test_compares_with_micrograd():
    pytest.importorskip("micrograd", reason="the comparison needs micrograd")
    result = bench.bench_moons(repeats=1, samples=4)
    assert len(result.ours) == len(result.micrograd) == 1
    assert result.ratio > 0.0
    assert "same loss, same gradients" in str(result)


def test_says_when_the_engines_disagree():
    with pytest.raises(AssertionError, match="the engines disagree"):
        bench._check_same((1.0, [2.0]), (1.0, [2.1]))


def test_repeats_must_be_positive():
    with pytest.raises(ValueError, match="at least one repeat"):
        bench.bench_moons(repeats=0)
