"""tensor/session.py: what the tests of the command line do not reach."""

from pathlib import Path

import pytest

from tensor import session


def test_the_rate_is_that_of_late(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(session.time, "perf_counter", lambda: now[0])
    clock = session.Clock()
    for second in range(1, 101):
        now[0] = float(second)
        clock.images += 10 if second <= 50 else 1000
        rate = clock.recent_rate
    assert rate == pytest.approx(1000.0)
    assert clock.rate == pytest.approx(505.0)


@pytest.mark.parametrize(
    ("name", "model", "folder", "message"),
    [
        ("patterns", "mlp", None, "--data patterns: mlp learns from digits, mnist, idx"),
        ("mnist", "tinycnn", None, "--data mnist: tinycnn learns from patterns"),
        ("patterns", "tinycnn", Path("."), "--data-dir: the patterns are built in"),
        ("cats", "mlp", None, "names the data 'cats'"),
    ],
)
def test_data_that_a_model_cannot_use(name, model, folder, message):
    with pytest.raises(session.Refused, match=message):
        session.load_data(name, folder, model, screen=None)
