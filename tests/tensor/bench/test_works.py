"""tensor/bench/works/: every row is the same work for every engine that is installed."""

import importlib.util

import pytest

from tensor.bench import works
from tensor.bench.measure import SUITES, distance

PAIRS = [(work, peer) for work in works.WORKS for peer in work.makers if peer != works.OURS]
SLOW = ("2048 cubed", "(16,64,56,56)", "10.8 million")
"""Large only: the same code as other rows, and seconds of it where PyTorch's threads are many."""


@pytest.mark.parametrize(
    ("work", "peer"), PAIRS, ids=[f"{work.suite}: {work.name}: {peer}" for work, peer in PAIRS]
)
def test_every_row_is_the_same_work(work, peer):
    if importlib.util.find_spec(peer) is None:
        pytest.skip(f"{peer} is not installed; the row is compared with it only where it is")
    if any(name in work.name for name in SLOW):
        pytest.skip("a larger size of work that other rows check")
    ours, theirs = (list(work.makers[name](name).answer()) for name in (works.OURS, peer))
    assert distance(ours, theirs) <= work.tolerance


def test_every_call_can_be_repeated():
    (work,) = [work for work in works.WORKS if work.suite == "tinycnn"]
    case = work.makers[works.OURS](works.OURS)
    assert [case.call() > 0.0 for _ in range(3)] == [True] * 3


def test_names_and_suites():
    names = [work.name for work in works.WORKS]
    assert len(set(names)) == len(names)
    assert {work.suite for work in works.WORKS} | {"startup"} == set(SUITES)
    for work in works.WORKS:
        assert next(iter(work.makers)) == works.OURS
        assert set(work.makers) - {works.OURS} <= set(works.PEERS)


@pytest.mark.parametrize("peer", [works.OURS, "torch", "jax"])
def test_pooling_returns_what_its_row_says(peer):
    if peer != works.OURS and importlib.util.find_spec(peer) is None:
        pytest.skip(f"{peer} is not installed")
    shapes = {
        work.name.split(") ")[1]: [array.shape for array in work.makers[peer](peer).answer()]
        for work in works.WORKS
        if work.suite == "pool"
    }
    out, x = (64, 32, 14, 14), (64, 32, 28, 28)
    assert shapes == {"forward": [out], "backward": [x], "forward and backward": [out, x]}
