"""tensor/models.py: sizes, names, and how pixels become inputs."""

import numpy as np
import pytest

import tensor
from tensor import models


@pytest.mark.parametrize(("name", "count"), [("mlp", 101_770), ("mlp-deep", 109_386)])
def test_build(name, count):
    model = models.build(name)
    assert models.count_parameters(model) == count
    assert model(tensor.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_the_same_seed_builds_the_same_model():
    weights = []
    for _ in range(2):
        tensor.manual_seed(5)
        weights.append(models.build("mlp").state_dict())
    for name, weight in weights[0].items():
        assert np.array_equal(weight.numpy(), weights[1][name].numpy())


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match=r"unknown model 'mpl'; did you mean mlp\? known are mlp, mlp-deep"):
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
