"""tensor/clock.py: seconds and images a second, without the pauses."""

import pytest

from tensor import clock


def test_the_rate_is_that_of_late(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    running = clock.Clock()
    for second in range(1, 101):
        now[0] = float(second)
        running.images += 10 if second <= 50 else 1000
        rate = running.recent_rate
    assert rate == pytest.approx(1000.0)
    assert running.rate == pytest.approx(505.0)


def test_pauses_are_left_out(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    running = clock.Clock()
    now[0] = 3.0
    with running.paused():
        now[0] = 10.0
    now[0] = 12.0
    assert running.seconds == 5.0
    assert running.lap() == 12.0  # an epoch's time is that of the wall
    now[0] = 14.0
    assert running.lap() == 2.0
