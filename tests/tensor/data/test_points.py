"""tensor/data/points.py: plain floats with the geometry their names promise."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensor.data.points import moons, separable


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_moons_lie_on_their_half_circles(count: int) -> None:
    points, labels = moons(count, noise=0.0)
    assert len(points) == len(labels) == count
    assert labels.count(-1) == count // 2
    for (x, y), label in zip(points, labels, strict=True):
        assert type(x) is type(y) is float
        if label == -1:
            assert math.hypot(x, y) == pytest.approx(1.0)
            assert y >= 0.0
        else:
            assert math.hypot(x - 1.0, y - 0.5) == pytest.approx(1.0)
            assert y <= 0.5


def test_moons_end_where_scikit_learn_ends_them() -> None:
    points, labels = moons(100, noise=0.0)
    upper = sorted(point for point, label in zip(points, labels, strict=True) if label == -1)
    lower = sorted(point for point, label in zip(points, labels, strict=True) if label == 1)
    assert upper[0] == pytest.approx((-1.0, 0.0))
    assert upper[-1] == pytest.approx((1.0, 0.0))
    assert lower[0] == pytest.approx((0.0, 0.5))
    assert lower[-1] == pytest.approx((2.0, 0.5))


def test_moons_are_shuffled_by_the_seed() -> None:
    assert moons(60, seed=4) == moons(60, seed=4)
    assert moons(60, seed=4) != moons(60, seed=5)
    _, labels = moons(100)
    assert labels != sorted(labels)


def test_moons_noise_has_the_deviation_asked_for() -> None:
    clean, _ = moons(2000, noise=0.0)
    noisy, _ = moons(2000, noise=0.2)
    squares = [(a - c) ** 2 for p, q in zip(clean, noisy, strict=True) for a, c in zip(p, q, strict=True)]
    assert math.sqrt(sum(squares) / len(squares)) == pytest.approx(0.2, rel=0.1)


@given(
    count=st.integers(0, 60), seed=st.integers(0, 2**32), margin=st.floats(0.0, 0.5, allow_subnormal=False)
)
def test_a_line_separates_the_separable(count: int, seed: int, margin: float) -> None:
    points, labels = separable(count, seed, margin)
    assert len(points) == count
    assert labels == [1 if i % 2 == 0 else -1 for i in range(count)]
    assert all(-1.0 <= x <= 1.0 and -1.0 <= y <= 1.0 for x, y in points)
    assert (points, labels) == separable(count, seed, margin)
    # a line separates them by the margin if, in some direction, the sides are twice the margin apart
    if count >= 2:
        gaps = []
        for step in range(720):
            across, up = math.cos(step * math.pi / 360), math.sin(step * math.pi / 360)
            projected = [across * x + up * y for x, y in points]
            plus = min(p for p, label in zip(projected, labels, strict=True) if label == 1)
            minus = max(p for p, label in zip(projected, labels, strict=True) if label == -1)
            gaps.append(plus - minus)
        assert max(gaps) >= 2.0 * margin - 0.02


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (moons, {"count": -1}),
        (moons, {"noise": -0.1}),
        (separable, {"count": -1}),
        (separable, {"margin": -0.1}),
        (separable, {"margin": 0.6}),
        (separable, {"margin": math.nan}),
    ],
)
def test_arguments_out_of_range_are_refused(make, arguments: dict) -> None:
    with pytest.raises(ValueError, match="must"):
        make(**arguments)
