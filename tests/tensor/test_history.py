"""tensor/history.py: what is kept of a training, however it went, and that little is."""

import json
from contextlib import suppress

import numpy as np
import pytest

import tensor
from tensor import models, nn, training
from tensor.history import MOST_STEPS, History, Table, layers_of, norm_of_gradients, read_history
from tensor.serialization import ModelFileError, read_model, save_model


def make(name="mlp", seed=0):
    tensor.manual_seed(seed)
    return models.build(name)


@pytest.mark.parametrize("name", ["mlp", "mlp-deep", "cnn", "tinycnn"])
def test_norms_are_those_of_a_backward_by_hand(name):
    model = make(name)
    height, width = models.MODELS[name].inputs.size
    x = tensor.randn(7, 1, height, width)
    y = tensor.arange(7) % len(models.MODELS[name].inputs.labels)
    history = History(model, batches=3)
    nn.CrossEntropyLoss()(model(x), y).backward()
    history.add_step(5)
    layers = [m for m in model if isinstance(m, nn.Linear | nn.Conv2d)]
    expected = [
        np.linalg.norm(np.concatenate([p.grad.numpy().ravel().astype(np.float64) for p in m.parameters()]))
        for m in layers
    ]
    epochs, norms = history.norms()
    assert epochs == pytest.approx([5 / 3])
    assert norms[0] == pytest.approx(expected, rel=1e-5)
    assert list(history.layers.values()) == layers
    assert list(history.layers) == [key.split(".")[0] for key in model.state_dict() if "weight" in key]


def test_a_gradient_that_float32_cannot_square():
    layer = nn.Linear(2, 2, bias=False)
    assert norm_of_gradients(layer) == 0.0
    for size in (3e25, 3e-25):
        layer.weight.grad = tensor.full((2, 2), size)
        assert norm_of_gradients(layer) == pytest.approx(2 * size, rel=1e-6)
    layer.weight.grad = tensor.full((2, 2), float("inf"))
    history = History(nn.Sequential(layer), 1)
    history.add_step(0)
    assert history.gradients.rows == [[0, None]]
    assert np.isnan(history.norms()[1]).all()


def test_layers_are_modules_with_parameters_of_their_own():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.BatchNorm1d(2), nn.Dropout())
    assert list(layers_of(model)) == ["0.0", "1"]


def test_a_long_training_keeps_little_and_what_it_keeps_is_spread():
    table = Table(("step", "norm"), MOST_STEPS)
    for step in range(100_000):
        table.add([step, float(step)])
    steps = [row[0] for row in table.rows]
    assert MOST_STEPS / 2 <= len(steps) <= MOST_STEPS
    assert steps[0] == 0
    assert set(np.diff(steps)) == {table.every}
    assert steps[-1] > 100_000 - table.every - 1


def test_a_training_in_two_pieces_keeps_what_one_piece_does(tmp_path):
    draw = np.random.default_rng(0)
    images, labels = draw.standard_normal((60, 1, 28, 28)).astype(np.float32), draw.integers(0, 10, 60)

    def train(stop_at, path, saved=None):
        model = make()
        plan = training.Plan(40, batch_size=10)
        optimizer = training.make_optimizer(model, plan.optimizer, plan.lr)
        history, position = History(model, 6), training.Position()
        if saved is not None:
            saved.restore(model, optimizer)
            position = saved.training()[1]
            assert history.restore(saved)

        def on_batch(position):
            history.add_step(position.epoch * 6 + position.batch - 1)
            if (position.epoch, position.batch) == stop_at:
                raise KeyboardInterrupt

        def on_epoch(done):
            history.add_epoch(done.epoch, done.loss, done.accuracy, 0.0, 0.0)

        with suppress(KeyboardInterrupt):
            training.fit(model, optimizer, images, labels, plan, position, on_batch, on_epoch)
        save_model(path, model, "mlp", "digits", plan, position, optimizer, history=history.as_dict())
        return history.as_dict()

    whole = train(None, tmp_path / "whole")
    train((35, 4), tmp_path / "part")
    again = train(None, tmp_path / "part", read_model(tmp_path / "part"))
    assert whole == again
    assert whole["gradients"]["every"] == 2
    assert read_history(read_model(tmp_path / "part")).as_dict() == whole
    assert json.loads(json.dumps(whole)) == whole


BROKEN = [
    {"batches": 0}, {"batches": None}, {"epochs": None}, {"gradients": []},
    {"gradients": {"columns": ["step"]}},
    {"gradients": {"columns": ["step", "1", "3"], "every": 0, "rows": []}},
    {"gradients": {"columns": ["step", "1", "3"], "every": 1, "rows": [[0, 1.0]]}},
    {"gradients": {"columns": ["step", "1", "3"], "every": 1, "rows": [[1, 1.0, 1.0], [1, 1.0, 1.0]]}},
    {"gradients": {"columns": ["step", "1", "3"], "every": 1, "rows": [[0, "x", 1.0]]}},
    {"gradients": {"columns": ["step", "1", "2"], "every": 1, "rows": [[0, 1.0, 1.0]]}},
    {"gradients": {"columns": ["step", "1", "3"], "every": 1, "rows": [[0, 1.0, float("nan")]]}},
]  # fmt: skip


@pytest.mark.parametrize("change", BROKEN)
def test_a_history_that_makes_no_sense(tmp_path, change):
    model = make()
    plan, optimizer = training.Plan(1), training.make_optimizer(model, "adam", 0.1)
    history = {**History(model, 6).as_dict(), **change}
    save_model(tmp_path / "m", model, "mlp", "", plan, training.Position(), optimizer, history=history)
    with pytest.raises(ModelFileError, match="history of its training, got one that makes no sense"):
        read_history(read_model(tmp_path / "m"))


def test_a_file_without_a_history(tmp_path):
    save_model(tmp_path / "m", make(), "mlp")
    with pytest.raises(ModelFileError, match=r"got none, as in files .*; `liftgrad train mlp --save` keeps"):
        read_history(read_model(tmp_path / "m"))
