import math
import random

import numpy as np
import pytest

from micro import Value
from micro.train import (
    Diverged,
    accuracy,
    hinge,
    mean_loss,
    predict,
    text_boundary,
    train_moons,
    train_perceptron,
)


def separable_points(count, gap, seed):
    draw = random.Random(seed)
    angle, shift = draw.uniform(0.0, 2.0 * math.pi), draw.uniform(-0.3, 0.3)
    points, labels = [], []
    while len(points) < count:
        x, y = draw.uniform(-1.0, 1.0), draw.uniform(-1.0, 1.0)
        distance = math.cos(angle) * x + math.sin(angle) * y + shift
        if abs(distance) > gap:
            points.append((x, y))
            labels.append(1 if distance > 0.0 else -1)
    return points, labels


def moon_points(count, noise, seed):
    draw = random.Random(seed)
    points, labels = [], []
    for i in range(count):
        angle, upper = math.pi * draw.random(), i % 2 == 0
        x, y = math.cos(angle), math.sin(angle)
        if not upper:
            x, y = 1.0 - x, 0.5 - y
        points.append((x + draw.gauss(0.0, noise), y + draw.gauss(0.0, noise)))
        labels.append(1 if upper else -1)
    return points, labels


@pytest.mark.parametrize("seed", range(5))
def test_perceptron_separates_what_a_line_separates(seed):
    points, labels = separable_points(100, 0.03, seed)
    seen = []
    model = train_perceptron(points, labels, seed=seed, on_epoch=lambda *epoch: seen.append(epoch))
    assert len(model.parameters()) == 3
    assert accuracy(model, points, labels) == 1.0
    epoch, loss, correct = seen[-1]
    assert [e for e, _, _ in seen] == list(range(1, epoch + 1))
    assert loss >= 0.0
    assert correct == 1.0


def test_perceptron_moves_a_line_off_a_point_it_runs_through():
    points, labels = [(0.0, 0.0), (1.0, 1.0)], [-1, 1]  # the bias starts at zero: the origin scores 0
    model = train_perceptron(points, labels)
    assert accuracy(model, points, labels) == 1.0


def test_moons():
    points, labels = moon_points(60, 0.1, seed=3)
    seen = []
    model = train_moons(points, labels, epochs=8, on_epoch=lambda *epoch: seen.append(epoch))
    assert len(model.parameters()) == 1185
    assert len(seen) == 8
    assert seen[-1][1] < seen[0][1]
    assert accuracy(model, points, labels) >= 0.95


def test_a_watched_training_is_the_same_whatever_the_watcher_does_with_gradients():
    points, labels = moon_points(20, 0.1, seed=0)
    seen, told = [], []

    def watch(epoch, model):
        assert [len(layer.neurons) for layer in model.layers] == [4, 3, 1]
        mean_loss(model, points, labels).backward()
        seen.append((epoch, [p.data for p in model.parameters()]))

    def tell(epoch, loss, correct):
        told.append(len(seen))

    watched = train_moons(points, labels, epochs=2, hidden=(4, 3), watch=watch, on_epoch=tell)
    alone = train_moons(points, labels, epochs=2, hidden=(4, 3))
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    assert told == [1, 2]
    assert seen[2][1] == [p.data for p in watched.parameters()] == [p.data for p in alone.parameters()]
    assert seen[0][1] != seen[1][1] != seen[2][1]


def test_hinge_and_its_mean():
    assert [hinge(Value(s), label).data for s, label in ((0.25, 1), (0.25, -1), (1.5, 1))] == [
        0.75,
        1.25,
        0.0,
    ]

    def model(point):
        return Value(point[0]) * point[1]

    assert mean_loss(model, [(0.5, 0.5), (1.0, 3.0)], [1, -1]).data == (0.75 + 4.0) / 2
    with pytest.raises(ValueError, match="mean_loss: expected points, got none"):
        mean_loss(model, [], [])


def test_the_same_seed_trains_the_same_model_and_leaves_the_generator_alone():
    points, labels = moon_points(20, 0.1, seed=0)
    random.seed(5)
    state = random.getstate()
    first, second, other = (train_moons(points, labels, epochs=1, seed=seed) for seed in (1, 1, 2))
    assert random.getstate() == state
    assert [p.data for p in first.parameters()] == [p.data for p in second.parameters()]
    assert [p.data for p in first.parameters()] != [p.data for p in other.parameters()]


def test_wrong_arguments():
    with pytest.raises(ValueError, match="expected a label for every point, got 1 and 2"):
        train_perceptron([(0.0, 0.0)], [1, -1])
    with pytest.raises(ValueError, match=r"expected labels \+1 and -1, got \[0, 1\]"):
        train_moons([(0.0, 0.0), (1.0, 1.0)], [0, 1])
    with pytest.raises(ValueError, match="expected points, got none"):
        text_boundary(lambda x, y: x, [], [])


def test_text_boundary():
    points, labels = [(-1.0, 1.0), (1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)], [-1, 1, 1, 1]
    picture = text_boundary(lambda x, y: x, points, labels, width=12, height=5)
    assert picture.splitlines() == [
        "+------------+",
        "|x     .....o|",
        "|      ......|",
        "|      ......|",
        "|      ......|",
        "|O     .....o|",
        "+------------+",
        " o +1   x -1   dotted: predicted +1   capitals: wrong (1 of 4)",
    ]
    assert picture.isascii()


def test_text_boundary_of_one_point():
    assert "o" in text_boundary(lambda x, y: 1.0, [(2.0, 3.0)], [1], width=5, height=3)


def test_predict_is_a_float():
    model = train_perceptron([(0.0, 1.0), (1.0, 0.0)], [1, -1])
    assert predict(model, 0.0, 1.0) > 0.0 > predict(model, 1.0, 0.0)


def test_text_boundary_at_the_limits_of_a_float():
    text_boundary(lambda x, y: math.nan, [(1e16, 1.0), (1e16 + 2.0, 2.0)], [1, -1])
    text_boundary(lambda x, y: 1.0, [(1e16, 1.0)], [1])
    assert "wrong (2 of 2)" in text_boundary(lambda x, y: math.nan, [(0.0, 1.0), (1.0, 2.0)], [1, -1])
    with pytest.raises(ValueError, match="finite range"):
        text_boundary(lambda x, y: 1.0, [(1e308, 1.0), (-1e308, 2.0)], [1, -1])


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": -1}, {"epochs": 0}])
def test_numbers_that_train_nothing(options):
    with pytest.raises(ValueError, match="expected epochs and batch_size from 1"):
        train_moons([(0.0, 1.0)], [1], **options)


def test_no_points():
    for nothing in ([], np.empty((0, 2))):
        for call in (train_moons, train_perceptron):
            with pytest.raises(ValueError, match="a label for every point"):
                call(nothing, [])
        with pytest.raises(ValueError, match="expected points"):
            accuracy(None, nothing, [])
    train_perceptron(np.array([[0.0, 1.0], [1.0, 0.0]]), [1, -1], epochs=1)


def test_a_loss_that_is_no_number():
    points, labels = separable_points(20, 0.03, 0)
    for call in (train_moons, train_perceptron):
        with pytest.raises(Diverged, match="try a smaller learning rate"):
            call(points, labels, lr=1e308)
