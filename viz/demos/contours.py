"""Where a surface lies below a level, and where it passes it: marching squares over its heights on a grid."""

import numpy as np

__all__ = ["level_lines", "outline"]

# The edges of a cell are its bottom 0, right 1, top 2 and left 3. For each set of corners below the level
# (bit 0: bottom left, 1: bottom right, 2: top right, 3: top left) from which edge to which the outline goes,
# the part below on its left. Of the two sets with two outlines, the corners below are taken for apart.
_CROSSINGS: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((0, 3),), 2: ((1, 0),), 3: ((1, 3),), 4: ((2, 1),), 5: ((0, 3), (2, 1)), 6: ((2, 0),), 7: ((2, 3),),
    8: ((3, 2),), 9: ((0, 2),), 10: ((1, 0), (3, 2)), 11: ((1, 2),), 12: ((3, 1),), 13: ((0, 1),),
    14: ((3, 0),),
}  # fmt: skip


def outline(heights: np.ndarray, level: float) -> list[np.ndarray]:
    """Return the closed outlines of where a surface lies below `level`.

    Filled by the even-odd rule they are that region. Where it reaches the edge of the grid, its outline runs
    along it. Between the points of the grid the surface is taken for straight.

    Args:
        heights: (rows, columns), finite.

    Returns:
        for each outline (points, 2): column and row, from 0 to columns - 1 and rows - 1; the last point is
        joined to the first.
    """
    # Beyond the edge it is high: so high that the outline meets the edge itself.
    high = np.pad(heights.astype(np.float64), 1, constant_values=np.inf)
    below = high < level
    corners = below[:-1, :-1] * 1 + below[:-1, 1:] * 2 + below[1:, 1:] * 4 + below[1:, :-1] * 8
    following = {}
    for row, column in zip(*np.nonzero((corners > 0) & (corners < 15)), strict=True):
        for begin, end in _CROSSINGS[int(corners[row, column])]:
            following[_name_edge(row, column, begin)] = _name_edge(row, column, end)
    outlines = []
    while following:
        edge, then = following.popitem()
        edges = [edge]
        while then != edges[0]:
            edges.append(then)
            then = following.pop(then)
        points = np.array([_cross(high, level, edge) for edge in edges]) - 1.0
        outlines.append(np.clip(points, 0, np.array(heights.shape[::-1]) - 1))
    return outlines


def level_lines(heights: np.ndarray, level: float, tolerance: float = 0.0) -> list[np.ndarray]:
    """Return the lines that part where a surface is above `level` from where it is not.

    They are its outlines without what runs along the edge of the grid.

    Args:
        heights: (rows, columns), finite.
        tolerance: points are left out that are this near, in cells, to the line without them.

    Returns:
        for each line (points, 2): column and row; a closed line ends where it began.
    """
    last = np.array(heights.shape[::-1]) - 1
    lines = []
    for closed in outline(-heights, -level):  # so that what is equal to the level is not above it
        points = np.vstack([closed, closed[:1]])
        low, high = points == 0, points == last
        along = ((low[1:] & low[:-1]) | (high[1:] & high[:-1])).any(axis=1)
        if along.any():  # it begins behind a piece of the edge, and falls into parts
            start = int(along.argmax()) + 1
            points = np.vstack([np.roll(closed, -start, axis=0), closed[start % len(closed)][None]])
            along = np.roll(along, -start)
        cuts = np.flatnonzero(along)
        for part in np.split(points, cuts + 1):
            if len(part) > 1:
                lines.append(_simplify(part, tolerance))
    return lines


def _simplify(line: np.ndarray, tolerance: float) -> np.ndarray:
    """Keep the ends, and what is farther than `tolerance` from what is kept (Douglas and Peucker 1973)."""
    kept = np.zeros(len(line), bool)
    kept[[0, -1]] = True
    spans = [(0, len(line) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        along, rest = line[last] - line[first], line[first + 1 : last] - line[first]
        length = float(np.hypot(*along))
        if length > 0.0:
            distance = np.abs(along[0] * rest[:, 1] - along[1] * rest[:, 0]) / length
        else:  # a closed line
            distance = np.hypot(rest[:, 0], rest[:, 1])
        farthest = int(distance.argmax())
        if distance[farthest] > tolerance:
            middle = first + 1 + farthest
            kept[middle] = True
            spans += [(first, middle), (middle, last)]
    return line[kept]


def _name_edge(row: int, column: int, side: int) -> tuple[int, int, bool]:
    """Return the point of the grid where an edge begins and whether it goes up; cells share their edges."""
    row, column = int(row), int(column)
    return (row + (side == 2), column + (side == 1), side in (1, 3))


def _cross(high: np.ndarray, level: float, edge: tuple[int, int, bool]) -> tuple[float, float]:
    """Return where the surface crosses the level between two neighbours."""
    row, column, up = edge
    one = high[row, column]
    other = high[row + 1, column] if up else high[row, column + 1]
    if np.isinf(one):
        part = 1.0
    elif np.isinf(other):
        part = 0.0
    else:
        part = float((level - one) / (other - one))
    return (column, row + part) if up else (column + part, row)
