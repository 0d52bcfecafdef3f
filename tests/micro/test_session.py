import re

import pytest

from micro.session import train_on_points


class Recorder:
    """Answers as a screen and as a log do, and remembers."""

    def __init__(self):
        self.told, self.events = [], []

    def note(self, label, text):
        self.told.append(f"{label} {text}")

    def line(self, text):
        self.told.append(text)

    def last(self, accuracy):
        self.told.append(accuracy)

    def add(self, event, **entries):
        self.events.append((event, entries))


@pytest.mark.parametrize(("name", "count"), [("perceptron", "3"), ("moons", "1,185")])
def test_train_on_points(name, count):
    draw = [(0.01 * i - 0.75, (-1) ** i * 0.5) for i in range(150)]
    labels = [1 if y > 0 else -1 for _, y in draw]
    seen = Recorder()
    settings = {"epochs": 2, "lr": None, "seed": 3}
    train_on_points(name, draw, labels, settings, seen, seen, "0.1")
    assert seen.told[0] == f"data {name}: 50 points to train on, 100 to test on"
    assert f"model {name}: {count} parameters" in seen.told
    assert re.match(r"epoch 1   loss \d\.\d{4}  accuracy [\d.]+%", seen.told[2])
    assert "|" in seen.told[-2]
    assert 0.5 < seen.told[-1] <= 1.0
    assert seen.events[0] == ("start", {"liftgrad": "0.1", "model": name, "epochs": 2, "seed": 3})
    assert [event for event, _ in seen.events[1:]] == ["epoch"] * (len(seen.events) - 1)
