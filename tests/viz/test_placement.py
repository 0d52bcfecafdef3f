"""Places of boxes and routes of arrows, with Graphviz and without."""

import shutil
import subprocess
from math import dist

import pytest

from viz.placement import Edge, bend, place, place_in_layers, trim

SIZES = [(100.0, 60.0), (80.0, 60.0), (120.0, 90.0), (90.0, 60.0)]
EDGES = [Edge(0, 2, 0, 60.0), Edge(1, 2, 1, 60.0), Edge(2, 3, 0), Edge(2, 3, 1), Edge(0, 3, 2)]


def dot(source):
    return subprocess.run(["dot", "-Tsvg"], input=source, text=True, capture_output=True, check=True).stdout


@pytest.fixture(params=["layers", "dot"])
def render(request):
    if request.param == "layers":
        return None
    if shutil.which("dot") is None:
        pytest.skip("Graphviz's program `dot` is not installed")
    return dot


def test_boxes_lie_apart_within_the_drawing_and_arrows_join_them(render):
    placed = place(SIZES, EDGES, render)
    assert placed.by_graphviz == (render is not None)
    corners = [
        (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        for (x, y), (w, h) in zip(placed.boxes, SIZES, strict=True)
    ]
    for n, (left, top, right, bottom) in enumerate(corners):
        assert left >= 0
        assert top >= 0
        assert right <= placed.width
        assert bottom <= placed.height
        for other in corners[:n]:
            apart = right <= other[0] or other[2] <= left
            assert apart or bottom <= other[1] or other[3] <= top
    for edge, curve in zip(EDGES, placed.curves, strict=True):
        assert (len(curve) - 1) % 3 == 0
        for end, box in ((curve[0], edge.source), (curve[-1], edge.target)):
            left, top, right, bottom = corners[box]
            assert left - 2 <= end[0] <= right + 2
            assert top - 2 <= end[1] <= bottom + 2
    assert placed.boxes[0][0] < placed.boxes[2][0] < placed.boxes[3][0]


def test_two_edges_between_the_same_boxes_lie_apart(render):
    placed = place(SIZES[:2], [Edge(0, 1, 0, 40.0), Edge(0, 1, 1, 40.0)], render)
    one, other = placed.texts
    assert dist(one, other) > 15


@pytest.mark.parametrize(
    "svg", ["", "<svg/>", "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'/>", "?"]
)
def test_what_cannot_be_read_gives_layers(svg):
    assert place(SIZES, EDGES, lambda source: svg).by_graphviz is False


def test_one_box_alone():
    placed = place_in_layers([(80.0, 40.0)], [])
    assert placed.width > 80
    assert placed.curves == []


def test_trim_leaves_room_for_the_head():
    curve = [(0.0, 0.0), (10.0, 0.0), (20.0, 0.0), (30.0, 0.0), (40.0, 10.0), (50.0, 30.0), (60.0, 30.0)]
    line, tip = trim(curve, 9.0)
    assert tip == (60.0, 30.0)
    assert line[:4] == curve[:4]
    assert dist(line[-1], tip) == pytest.approx(9.0, abs=0.01)


def test_bend_moves_to_the_right_of_the_direction():
    assert bend([(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0)], 5.0) == [
        (0.0, 5.0), (1.0, 5.0), (2.0, 5.0), (3.0, 5.0)
    ]  # fmt: skip
    assert bend([(1.0, 1.0)] * 4, 5.0) == [(1.0, 1.0)] * 4  # no direction, no division by zero


def test_bend_moves_straight_pieces_whose_points_coincide():
    straight = [(0.0, 0.0), (0.0, 0.0), (9.0, 0.0), (9.0, 0.0), (9.0, 0.0), (20.0, 0.0), (30.0, 0.0)]
    assert bend(straight, 5.0) == [(x, 5.0) for x, _ in straight]


def test_a_text_stands_in_the_middle_of_an_arrow_of_unequal_pieces():
    sizes, edges = [(10.0, 40.0)] * 2, [Edge(0, 1, 0), Edge(0, 1, 1)]
    box = '<g id="node{}"><polygon points="{},0 {},40"/></g>'
    arrow = '<g id="edge0-1-{}"><path d="M10,20C11,20 12,20 14,20 50,20 80,20 110,20"/></g>'
    parts = [box.format(0, 0, 10), box.format(1, 110, 120), arrow.format(0), arrow.format(1)]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40">'
        f'<g id="graph0" transform="translate(0 0)">{"".join(parts)}</g></svg>'
    )
    placed = place(sizes, edges, lambda source: svg)
    assert placed.by_graphviz
    assert [x for x, _ in placed.texts] == pytest.approx([60.0, 60.0], abs=4.0)


def test_layers_of_a_long_chain():
    edges = [Edge(n, n + 1, 0) for n in range(2000)]
    placed = place_in_layers([(80.0, 40.0)] * 2001, edges)
    xs = [x for x, _ in placed.boxes]
    assert xs == sorted(xs)
    assert placed.width > xs[-1]


def test_edges_moved_apart_still_end_at_the_sides_of_their_boxes():
    sizes, edges = [(10.0, 40.0)] * 2, [Edge(0, 1, 0), Edge(0, 1, 1)]
    box, arrow = '<g id="node{}"><polygon points="{},{} {},{}"/></g>', '<g id="edge0-1-{}"><path d="{}"/></g>'
    parts = [box.format(0, 0, 100, 10, 140), box.format(1, 110, 0, 120, 40)]
    parts += [arrow.format(n, "M9,100C40,60 80,20 110,20") for n in (0, 1)]  # from the corner
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 140">'
        f'<g id="graph0" transform="translate(0 0)">{"".join(parts)}</g></svg>'
    )
    placed = place(sizes, edges, lambda source: svg)
    assert placed.by_graphviz
    for curve in placed.curves:
        assert curve[0][0] == 10.0
        assert 100 <= curve[0][1] <= 140
        assert curve[-1][0] == 110.0
        assert 0 <= curve[-1][1] <= 40
    assert dist(placed.curves[0][-1], placed.curves[1][-1]) > 15
