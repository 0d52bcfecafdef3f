"""tensor/data/patterns.py: lines where they should be, in noise."""

import numpy as np
import pytest

from tensor.data.patterns import CLASSES, load, patterns


@pytest.mark.parametrize("count", [0, 1, 50])
def test_shapes_and_dtypes(count: int) -> None:
    images, labels = patterns(count)
    assert images.shape == (count, 1, 8, 8)
    assert images.dtype == np.float32
    assert labels.shape == (count,)
    assert labels.dtype == np.int64


def test_the_seed_decides() -> None:
    one, other, third = patterns(40, seed=5), patterns(40, seed=5), patterns(40, seed=6)
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    assert not np.array_equal(one[0], third[0])


def test_each_line_has_its_direction() -> None:
    images, labels = patterns(600, seed=1, noise=0.0)
    seen = set()
    for image, label in zip(images[:, 0], labels, strict=True):
        rows, columns = np.nonzero(image)
        assert 5 <= len(rows) <= 8
        values = image[rows, columns]
        assert (values == values[0]).all()
        assert 0.7 <= values[0] <= 1.3
        steps = set(zip(np.diff(rows).tolist(), np.diff(columns).tolist(), strict=True))
        assert len(steps) == 1
        step = steps.pop()
        seen.add((CLASSES[label], step))
    assert seen == {
        ("horizontal", (0, 1)),
        ("vertical", (1, 0)),
        ("diagonal", (1, 1)),
        ("diagonal", (1, -1)),
    }


def test_lines_are_everywhere_and_labels_even() -> None:
    images, labels = patterns(6000, seed=2, noise=0.0)
    assert np.bincount(labels).min() > 1800
    for label in range(3):
        assert (images[labels == label] > 0).any(axis=0).all()


def test_noise_has_the_deviation_asked_for() -> None:
    clean, _ = patterns(500, seed=3, noise=0.0)
    noisy, _ = patterns(500, seed=3, noise=0.4)
    assert np.std(noisy - clean) == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("arguments", [{"count": -1}, {"count": 1, "noise": -0.1}])
def test_negative_arguments_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match="negative"):
        patterns(**arguments)


def test_load_draws_others_to_test_on() -> None:
    split = load()
    assert split.train_images.shape == (2000, 8, 8)
    assert split.test_images.shape == (1000, 8, 8)
    assert (split.name, split.classes) == ("patterns", 3)
    assert not any((split.train_images == image).all(axis=(1, 2)).any() for image in split.test_images[:20])
    assert split.fingerprint() == load().fingerprint()
