"""Place boxes of known size and route the edges between them: by Graphviz, or in plain layers.

A page draws its own boxes, since what they show changes from step to step; of Graphviz it wants the places.
"""

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import dist, hypot

__all__ = ["Edge", "Placement", "bend", "place", "place_in_layers", "trim"]

Point = tuple[float, float]
Curve = list[Point]
"""A start, then three points for each cubic Bezier piece, as in the `d` of a path."""

_GAP_IN_LAYER, _GAP_OF_LAYERS, _GAP_IN_BUNDLE = 22.0, 64.0, 28.0


@dataclass(frozen=True)
class Edge:
    """An arrow from one box to another, and how wide a text it carries. The target's `position`-th."""

    source: int
    target: int
    position: int
    text_width: float = 0.0


@dataclass(frozen=True)
class Placement:
    """Where everything stands; y grows downwards, and nothing has a negative coordinate."""

    width: float
    height: float
    boxes: list[Point]  # their centres
    curves: list[Curve]
    texts: list[Point]  # the middle of each edge's text
    by_graphviz: bool


def place(sizes: Sequence[Point], edges: Sequence[Edge], render: Callable[[str], str] | None) -> Placement:
    """Place boxes of `sizes`, every one after its sources, from left to right.

    render: makes SVG of DOT text, and raises where it cannot; then, and for None, boxes stand in layers.
    """
    if render is not None:
        try:
            return _read(render(_describe(sizes, edges)), sizes, edges)
        except (RuntimeError, OSError, ValueError, ElementTree.ParseError):
            pass  # no Graphviz here, or not in time
    return place_in_layers(sizes, edges)


# --- by Graphviz -----------------------------------------------------------------------------------


def _describe(sizes: Sequence[Point], edges: Sequence[Edge]) -> str:
    room = any(edge.text_width for edge in edges)
    lines = [
        "digraph {",
        # nslimit: a chain with a long edge to each of its nodes took minutes without it
        f"graph [rankdir=LR, ordering=in, nodesep=0.22, ranksep={0.45 if room else 1.1}, nslimit=4, pad=0.1]",
        'node [shape=box, fixedsize=true, label=""]',
        # Courier is known to every Graphviz, also to one without fonts: 0.6 of its size a character
        'edge [arrowhead=none, fontname="Courier", fontsize=10]',
    ]
    for n, (width, height) in enumerate(sizes):
        lines.append(f'{n} [id="node{n}", width={width / 72:.4f}, height={height / 72:.4f}]')
    for edge in edges:
        label = f', label="{"x" * round(edge.text_width / 6)}"' if edge.text_width else ""
        name = f"edge{edge.source}-{edge.target}-{edge.position}"
        lines.append(f'{edge.source} -> {edge.target} [id="{name}"{label}]')
    return "\n".join([*lines, "}\n"])


def _read(svg: str, sizes: Sequence[Point], edges: Sequence[Edge]) -> Placement:
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    groups = {group.get("id", ""): group for group in root.iter(f"{space}g")}
    whole = groups["graph0"].get("transform", "") if "graph0" in groups else ""
    shift = re.search(r"translate\(([-\d.]+)[ ,]+([-\d.]+)\)", whole)
    view = [float(number) for number in root.get("viewBox", "").split()]
    if shift is None or len(view) != 4:
        raise ValueError("place: expected the SVG that Graphviz writes")
    dx, dy = float(shift[1]), float(shift[2])

    def points(text: str) -> Curve:
        numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]
        return [(x + dx, y + dy) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]

    boxes: list[Point] = []
    curves: list[Curve] = []
    texts: list[Point] = []
    try:
        for n in range(len(sizes)):
            corners = points(_find(groups[f"node{n}"], f"{space}polygon").get("points", ""))
            xs, ys = [x for x, _ in corners], [y for _, y in corners]
            boxes.append(((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2))
        for edge in edges:
            group = groups[f"edge{edge.source}-{edge.target}-{edge.position}"]
            curve = points(_find(group, f"{space}path").get("d", ""))
            text = group.find(f".//{space}text")
            curves.append(curve)
            if text is None:
                texts.append(_above(curve))
            else:
                texts.append((float(text.get("x", "0")) + dx, float(text.get("y", "0")) + dy - 6.0))
    except KeyError as missing:
        raise ValueError(f"place: the SVG has no {missing}") from None
    _spread(edges, curves, texts, boxes, sizes)
    return Placement(view[2], view[3], boxes, curves, texts, True)


def _spread(
    edges: Sequence[Edge],
    curves: list[Curve],
    texts: list[Point],
    boxes: Sequence[Point],
    sizes: Sequence[Point],
) -> None:
    """Give edges between the same two boxes room for their gradients and texts, in the order of operands."""
    bundles: dict[Point, list[int]] = {}
    for n, edge in enumerate(edges):
        bundles.setdefault((edge.source, edge.target), []).append(n)
    for bundle in bundles.values():
        if len(bundle) > 1:
            first = curves[bundle[0]]
            for place, n in enumerate(bundle):
                curve = bend(first, _GAP_IN_BUNDLE * (place - (len(bundle) - 1) / 2))
                source, target = edges[n].source, edges[n].target
                curve[:2] = _attach(curve[0], curve[1], boxes[source], sizes[source], 0.5)
                curve[:-3:-1] = _attach(curve[-1], curve[-2], boxes[target], sizes[target], -0.5)
                curves[n] = curve
                texts[n] = _above(curves[n])


def _attach(end: Point, control: Point, box: Point, size: Point, side: float) -> Curve:
    """Return an end of a curve and its control, moved to the right (0.5) or left (-0.5) side of a box."""
    room = max(size[1] / 2 - 8.0, 0.0)
    x, y = box[0] + side * size[0], min(max(end[1], box[1] - room), box[1] + room)
    return [(x, y), (control[0] + x - end[0], control[1] + y - end[1])]


def _find(group: ElementTree.Element, name: str) -> ElementTree.Element:
    found = group.find(f".//{name}")
    if found is None:
        raise ValueError(f"place: {group.get('id')} has no {name}")
    return found


# --- in layers -------------------------------------------------------------------------------------


def place_in_layers(sizes: Sequence[Point], edges: Sequence[Edge]) -> Placement:
    """Place every box one layer after its last source, and sources that have none close to their targets.

    Sources have lower numbers than their targets. Simple, and quick for thousands: edges may cross boxes.
    """
    count = len(sizes)
    sources: list[list[int]] = [[] for _ in range(count)]
    targets: list[list[int]] = [[] for _ in range(count)]
    for edge in edges:
        sources[edge.target].append(edge.source)
        targets[edge.source].append(edge.target)
    layer = [0] * count
    for n in range(count):
        layer[n] = max((layer[s] + 1 for s in sources[n]), default=0)
    for n in range(count):
        if not sources[n] and targets[n]:
            layer[n] = min(layer[t] for t in targets[n]) - 1
    layers: list[list[int]] = [[] for _ in range(max(layer, default=0) + 1)]
    for n in range(count):
        layers[layer[n]].append(n)
    _order(layers, sources, targets)

    heights = [sum(sizes[n][1] + _GAP_IN_LAYER for n in row) for row in layers]
    height = max(heights, default=0.0)
    boxes: list[Point] = [(0.0, 0.0)] * count
    text_widths = [0.0] * (len(layers) + 1)
    for edge in edges:
        text_widths[layer[edge.target]] = max(text_widths[layer[edge.target]], edge.text_width)
    x = _GAP_IN_LAYER / 2
    for place, row in enumerate(layers):
        width = max((sizes[n][0] for n in row), default=0.0)
        x += (_GAP_OF_LAYERS + text_widths[place]) if place else 0.0
        y = (height - heights[place]) / 2
        for n in row:
            y += _GAP_IN_LAYER / 2
            boxes[n] = (x + width / 2, y + sizes[n][1] / 2)
            y += sizes[n][1] + _GAP_IN_LAYER / 2
        x += width
    curves = [_route(edge, sizes, boxes, len(sources[edge.target])) for edge in edges]
    texts = [_above(curve) for curve in curves]
    _spread(edges, curves, texts, boxes, sizes)
    return Placement(x + _GAP_IN_LAYER / 2, height, boxes, curves, texts, False)


def _order(layers: list[list[int]], sources: list[list[int]], targets: list[list[int]]) -> None:
    """Put boxes beside what they are joined to: a few sweeps by the mean place of their neighbours."""
    place = {n: float(i) for row in layers for i, n in enumerate(row)}
    for sweep in range(6):
        neighbours, rows = (sources, layers) if sweep % 2 == 0 else (targets, layers[::-1])
        for row in rows:
            wanted = {
                n: sum(place[m] for m in neighbours[n]) / len(neighbours[n]) if neighbours[n] else place[n]
                for n in row
            }
            row.sort(key=wanted.__getitem__)
            for i, n in enumerate(row):
                place[n] = float(i)


def _route(edge: Edge, sizes: Sequence[Point], boxes: Sequence[Point], count: int) -> Curve:
    (x0, y0), (x1, y1) = boxes[edge.source], boxes[edge.target]
    x0 += sizes[edge.source][0] / 2
    x1 -= sizes[edge.target][0] / 2
    y1 += sizes[edge.target][1] * ((edge.position + 0.5) / count - 0.5) * 0.7
    reach = (x1 - x0) / 2
    return [(x0, y0), (x0 + reach, y0), (x1 - reach, y1), (x1, y1)]


# --- curves ----------------------------------------------------------------------------------------


def trim(curve: Curve, amount: float) -> tuple[Curve, Point]:
    """Return the curve without its last `amount`, to make room for an arrow's head, and where it ended."""
    head, piece, end = curve[:-4], curve[-4:], curve[-1]
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        x, y = _split(piece, middle)[-1]
        low, high = (middle, high) if hypot(end[0] - x, end[1] - y) > amount else (low, middle)
    return [*head, *_split(piece, low)], end


def bend(curve: Curve, amount: float) -> Curve:
    """Return the curve moved sideways by `amount`, to the right of its direction."""
    moved = []
    for n, (x, y) in enumerate(curve):
        # the nearest other points: Graphviz draws a straight piece as four points of which three are one
        (xa, ya) = next((point for point in reversed(curve[:n]) if point != (x, y)), (x, y))
        (xb, yb) = next((point for point in curve[n + 1 :] if point != (x, y)), (x, y))
        length = hypot(xb - xa, yb - ya) or 1.0
        moved.append((x - amount * (yb - ya) / length, y + amount * (xb - xa) / length))
    return moved


def _split(piece: Curve, t: float) -> Curve:
    """Return the control points of the part of a cubic piece before `t` (de Casteljau)."""
    rows = [piece]
    while len(rows[-1]) > 1:
        row = rows[-1]
        rows.append(
            [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for (x0, y0), (x1, y1) in itertools.pairwise(row)]
        )
    return [row[0] for row in rows]


def _above(curve: Curve) -> Point:
    """Return a place for a text over the middle of a curve, by its length."""
    pieces = range(0, len(curve) - 1, 3)
    points = [_split(curve[start : start + 4], k / 16)[-1] for start in pieces for k in range(17)]
    left = sum(dist(a, b) for a, b in itertools.pairwise(points)) / 2
    x, y = points[0]
    for (xa, ya), (xb, yb) in itertools.pairwise(points):
        length = hypot(xb - xa, yb - ya)
        if length >= left > 0:
            x, y = xa + (xb - xa) * left / length, ya + (yb - ya) * left / length
            break
        left -= length
    return x, y - 9.0
