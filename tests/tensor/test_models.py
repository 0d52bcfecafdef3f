"""tensor/models.py: sizes, names, and how pixels become inputs."""

import numpy as np
import pytest

import tensor
from tensor import models, training
from tensor.data import patterns


@pytest.mark.parametrize(
    ("name", "count", "classes"),
    [("mlp", 101_770, 10), ("mlp-deep", 109_386, 10), ("cnn", 25_258, 10), ("tinycnn", 114, 3)],
)
def test_build(name, count, classes):
    model, inputs = models.build(name), models.MODELS[name].inputs
    assert models.count_parameters(model) == count
    assert model(tensor.zeros(3, 1, *inputs.size)).shape == (3, classes)
    assert len(inputs.labels) == classes
    assert set(inputs.data) <= set(models.DATA)


@pytest.mark.parametrize("seed", range(5))
def test_tinycnn_learns_with_its_defaults(seed):
    recipe, split = models.MODELS["tinycnn"], patterns.load()
    images, test_images = (
        models.normalize(part, recipe.inputs) for part in (split.train_images, split.test_images)
    )
    tensor.manual_seed(seed)
    model = recipe.make()
    optimizer = training.make_optimizer(model, recipe.optimizer, recipe.lr)
    plan = training.Plan(recipe.epochs, recipe.batch_size, recipe.optimizer, recipe.lr, recipe.lr_decay, seed)
    training.fit(model, optimizer, images, split.train_labels, plan)
    assert training.evaluate(model, test_images, split.test_labels).accuracy >= 0.92


def test_the_same_seed_builds_the_same_model():
    weights = []
    for _ in range(2):
        tensor.manual_seed(5)
        weights.append(models.build("mlp").state_dict())
    for name, weight in weights[0].items():
        assert np.array_equal(weight.numpy(), weights[1][name].numpy())


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(
        ValueError, match=r"unknown model 'mpl'; did you mean mlp\? known are mlp, mlp-deep, cnn, tinycnn"
    ):
        models.build("mpl")
    assert "did you mean" not in models.unknown_model("zzz", ["mlp"])


def test_normalize():
    images = np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28)
    inputs = models.normalize(images)
    assert inputs.shape == (2, 1, 28, 28)
    assert inputs.dtype == np.float32
    expected = (images[:, None] / 255.0 - 0.1307) / 0.3081
    np.testing.assert_allclose(inputs, expected, rtol=1e-6, atol=1e-7)


def test_normalize_refuses_another_size():
    with pytest.raises(ValueError, match="expected images of 28x28, got 8x9"):
        models.normalize(np.zeros((3, 8, 9), np.uint8))


def test_normalize_leaves_patterns_as_they_are():
    images, _ = patterns.patterns(5)
    assert np.array_equal(models.normalize(images[:, 0], models.PATTERNS), images)
    with pytest.raises(ValueError, match="expected images of 8x8, got 28x28"):
        models.normalize(np.zeros((3, 28, 28), np.uint8), models.PATTERNS)
