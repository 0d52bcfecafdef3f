"""tensor/measuring.py: its numbers beside the same by other means."""

import numpy as np
import pytest

import tensor
from tensor import measuring, models, nn, training
from tensor.measuring import NotFinite


def make(name):
    tensor.manual_seed(1)
    return models.build(name)


def images(count, size=28):
    return np.random.default_rng(0).standard_normal((count, 1, size, size)).astype(np.float32)


def test_confusions_are_counted_one_by_one():
    model, x = make("mlp"), images(97)
    labels = np.random.default_rng(1).integers(0, 9, 97)  # of the last class there is none
    logits = measuring.compute_logits(model, x, 10)
    expected = np.zeros((10, 10), int)
    for image, label in zip(x, labels, strict=True):
        expected[label, int(model(tensor.from_numpy(image[None])).argmax())] += 1
    matrix = measuring.count_confusions(logits, labels, 10)
    assert np.array_equal(matrix, expected)
    score = training.evaluate(model, x, labels)
    assert int(np.trace(matrix)) == score.correct
    assert [(int(matrix[k, k]), int(matrix[k].sum())) for k in range(9)] == score.by_label


def test_mistakes_are_sorted_by_their_loss():
    logits = np.array([[2.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 9.0], [0.0, 1.0, 0.0]], np.float32)
    labels = np.array([0, 0, 1, 2])
    found = measuring.find_mistakes(logits, labels)
    assert [m.index for m in found] == [2, 1, 3]
    assert [(m.label, m.guess) for m in found] == [(1, 2), (0, 1), (2, 1)]
    for m in found:
        e = np.exp(logits[m.index].astype(np.float64))
        assert m.sure == pytest.approx(e[m.guess] / e.sum(), rel=1e-5)
        assert m.own == pytest.approx(e[m.label] / e.sum(), rel=1e-5)
        assert m.loss == pytest.approx(-np.log(e[m.label] / e.sum()), rel=1e-5)
    assert [m.index for m in measuring.find_mistakes(logits, labels, 2)] == [2, 1]
    assert measuring.find_mistakes(logits, logits.argmax(1)) == []


def test_filters_are_the_weights():
    model = make("mlp")
    (found,) = measuring.filters_of(model, (28, 28))
    assert found.name == "Linear 784→128"
    assert found.weights.shape == (128, 1, 28, 28)
    assert found.weights[5, 0, 3, 4] == model[1].weight[5, 3 * 28 + 4].item()
    cnn = make("cnn")
    first, second = measuring.filters_of(cnn, (28, 28))
    assert (first.name, second.name) == ("Conv2d 1→32", "Conv2d 32→32")
    assert np.array_equal(second.weights, cnn[3].weight.detach().numpy())
    assert [f.weights.shape for f in measuring.filters_of(make("tinycnn"), (8, 8))] == [(3, 1, 3, 3)]


@pytest.mark.parametrize("name", ["mlp", "cnn", "tinycnn"])
def test_activations_are_what_the_layers_give(name):
    model, x = make(name), images(23, models.MODELS[name].inputs.size[0])
    x = np.abs(x)
    first = model[1] if name == "mlp" else model[0]
    with tensor.no_grad():
        first.weight[2] = 0.0
        first.bias[2] = -1.0  # after its ReLU this unit is dead
    model.train()
    found = measuring.measure_activations(model, x, 10)
    assert model.training
    values, out = [], tensor.from_numpy(x)
    for layer in model:
        out = layer(out)
        if not isinstance(layer, nn.Flatten):
            values.append((layer, out.detach().numpy()))
    assert len(found) == len(values)
    for entry, (layer, given) in zip(found, values, strict=True):
        assert entry.name.split()[0] == type(layer).__name__
        assert entry.rectifies == isinstance(layer, nn.ReLU)
        assert entry.count == given.size
        assert entry.zeros == (given == 0.0).sum()
        places = tuple(axis for axis in range(given.ndim) if axis != 1)
        assert entry.units == given.shape[1]
        assert entry.dead == (~(given != 0.0).any(axis=places)).sum()
        assert entry.counts.sum() == given.size - entry.zeros
        assert entry.edges[0] <= given.min()
        assert entry.edges[-1] >= given.max() - 1e-6
        assert np.diff(entry.edges) == pytest.approx(np.diff(entry.edges)[0])
        assert np.abs(entry.edges).min() < 1e-12 or given.min() > 0 or given.max() < 0
        expected = np.histogram(given[given != 0.0], entry.edges)[0]
        assert np.abs(expected - entry.counts).max() <= max(2, 1e-3 * given.size)
    assert found[1].dead >= 1


def test_a_layer_that_gives_one_number():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with tensor.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(-1.0)
    linear, relu = measuring.measure_activations(model, np.ones((4, 2), np.float32))
    assert linear.counts.max() == linear.count == 12
    assert (relu.zeros, relu.dead, relu.units, relu.counts.sum()) == (12, 3, 3, 0)


def test_numbers_beyond_all_bounds():
    model = make("mlp")
    with tensor.no_grad():
        model[1].weight.fill_(3e38)
    for measure in (measuring.compute_logits, measuring.measure_activations):
        with pytest.raises(NotFinite, match="inf or nan"):
            measure(model, np.ones((2, 1, 28, 28), np.float32))
