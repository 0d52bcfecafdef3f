"""Outlines of where a surface is low: their area, their holes, the edge of the grid; and lines of a level."""

import numpy as np
import pytest

from viz.demos.contours import level_lines, outline

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


# --- lines of a level -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [0.0, 0.05])
def test_the_line_of_a_circle_is_closed(tolerance):
    (line,) = level_lines(X**2 + Y**2, 2.0, tolerance)
    assert (line[0] == line[-1]).all()
    assert np.abs(np.hypot(*(line / 20 - 2).T) - 2**0.5).max() < 1e-3 + tolerance / 20
    assert (len(line) < 90) == (tolerance > 0)
    assert abs(area(line)) == pytest.approx(2 * np.pi, rel=0.02)


def test_a_straight_line_keeps_its_two_ends_alone():
    for heights in (0.7 * X - Y + 0.31, Y - 0.7 * X - 0.31):
        (line,) = level_lines(heights, 0.0, 1e-9)
        assert sorted(map(tuple, (line / 20 - 2).round(9))) == [(-2.0, -1.09), (2.0, 1.71)]
    (line,) = level_lines(np.array([[-1.0, 3.0], [-1.0, 3.0]]), 0.0)
    assert sorted(line.tolist()) == [[0.25, 0.0], [0.25, 1.0]]  # one cell is enough


def test_a_line_through_the_edge_falls_into_parts():
    lines = level_lines(np.hypot(X, Y), 2.3, 0.02)
    assert len(lines) == 4  # the corners
    for line in lines:
        assert np.abs(np.hypot(*(line / 20 - 2).T) - 2.3).max() < 0.003
        assert all(((end == 0) | (end == 80)).any() for end in (line[0], line[-1]))


def test_lines_cross_each_side_of_a_cell_that_changes_its_sign():
    draw = np.random.default_rng(1)
    for _ in range(20):
        heights = draw.normal(size=(9, 7))
        changes = np.sum(np.diff(heights > 0, axis=0)) + np.sum(np.diff(heights > 0, axis=1))
        lines = level_lines(heights, 0.0)
        closed = [bool((line[0] == line[-1]).all()) for line in lines]
        for line, whole in zip(lines, closed, strict=True):
            ends = [((end == 0) | (end == (6, 8))).any() for end in (line[0], line[-1])]
            assert whole or all(ends)
        assert sum(map(len, lines)) - sum(closed) == changes


def test_no_line_where_nothing_is_above_or_all_is():
    assert level_lines(np.zeros((4, 5)), 0.0) == level_lines(np.ones((4, 5)), 0.0) == []
    peak = np.zeros((5, 5))
    peak[2, 2] = 1.0
    (line,) = level_lines(peak, 0.0)
    assert set(map(tuple, line.tolist())) == {(1.0, 2.0), (3.0, 2.0), (2.0, 1.0), (2.0, 3.0)}
