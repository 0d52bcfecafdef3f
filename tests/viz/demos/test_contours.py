"""Outlines of where a surface is low: their area, their holes, the edge of the grid."""

import numpy as np
import pytest

from viz.demos.contours import outline

Y, X = np.mgrid[-2:2:81j, -2:2:81j]


def area(points):
    """Return the area within an outline, negative where it runs the other way, around a hole."""
    following = np.roll(points, -1, axis=0)
    return (points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]).sum() / 2 / 20**2


def test_a_circle():
    (circle,) = outline(X**2 + Y**2, 1.0)
    assert np.abs(np.hypot(*(circle / 20 - 2).T) - 1).max() < 1e-3
    assert area(circle) == pytest.approx(np.pi, rel=1e-3)


def test_a_ring_has_a_hole():
    ring = outline((np.hypot(X, Y) - 1.2) ** 2, 0.25)
    assert sorted(np.sign([area(points) for points in ring])) == [-1, 1]
    assert sum(map(area, ring)) == pytest.approx(np.pi * (1.7**2 - 0.7**2), rel=2e-3)


def test_the_edge_of_the_grid_is_an_outline():
    (square,) = outline(X * 0 - 1, 0.0)
    assert area(square) == pytest.approx(16)
    (cut,) = outline(X + Y, 0.0)
    assert area(cut) == pytest.approx(8)
    assert cut.min() == 0
    assert cut.max() == 80


def test_two_hollows_that_touch_stay_two():
    hollows = outline(X**2 - Y**2 + 1e-9, 0.0)
    assert [area(points) for points in hollows] == pytest.approx([4, 4], rel=1e-3)


def test_nothing_lies_below():
    assert outline(X**2 + Y**2, -1.0) == []
    assert outline(X**2 + Y**2, 0.0) == []


def test_any_surface_is_divided_as_its_points_are():
    draw = np.random.default_rng(0)
    heights = draw.normal(size=(30, 40))
    for level in (-1.0, 0.0, 0.5):
        inside = np.zeros(heights.shape, bool)
        row, column = np.mgrid[0:30, 0:40]
        for points in outline(heights, level):
            for one, two in zip(points, np.roll(points, -1, axis=0), strict=True):
                # even-odd: a ray to the right crosses this side of the outline
                crossing = (one[1] > row) != (two[1] > row)
                with np.errstate(divide="ignore", invalid="ignore"):
                    where = one[0] + (row - one[1]) * (two[0] - one[0]) / (two[1] - one[1])
                inside ^= crossing & (column < where)
        interior = (slice(1, -1), slice(1, -1))
        assert (inside == (heights < level))[interior].all()
