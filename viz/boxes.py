"""Draw a recording as SVG: a box for each node, for each operand an arrow and the way back of its gradient.

Colours and fonts are the page's. The script of the page writes the numbers into the boxes.
"""

import unicodedata
from collections.abc import Callable
from typing import Any

from micro.text import NOT_THERE, shorten
from viz.document import escape_html
from viz.placement import Curve, Edge, bend, place, trim

__all__ = ["draw_boxes"]

_CHARACTER, _LINE = 7.25, 15.0  # of the monospaced 12 px that the page uses in boxes
_SMALL_CHARACTER = 6.05  # of the 10 px on edges
_FIELD = 46.0  # the words "value" and "grad" before the numbers
_HEADER = 24.0
_LONGEST_NAME, _LONGEST_OP, _LONGEST_LINE, _LONGEST_ON_EDGE = 18, 14, 38, 24
_LONGEST_WITHOUT_ROOM = 11
_HEAD = 9.0  # an arrow's head
_ASIDE = 7.0  # between a value's arrow and its gradient's

MOST_WITH_ROOM = 60
"""Room for what stands on arrows is kept for so many: it makes Graphviz several times slower."""

MOST_WITH_TEXT = 400
"""Of more arrows only those of the step in hand show their derivative."""


def draw_boxes(recording: dict[str, Any], render: Callable[[str], str] | None) -> tuple[str, bool]:
    """Return the drawing as an SVG element, and whether Graphviz placed it (else it stands in layers).

    render: makes SVG of DOT text, and raises where it cannot; None where there is no Graphviz.
    """
    nodes = recording["nodes"]
    lines = _count_lines(recording)
    sizes = [_size(node, *lines[n]) for n, node in enumerate(nodes)]
    room = sum(len(node["parents"]) for node in nodes) <= MOST_WITH_ROOM
    texts = _edge_texts(recording, _LONGEST_ON_EDGE if room else _LONGEST_WITHOUT_ROOM)
    edges = [
        Edge(s, t, p, max(_cells(text) * _SMALL_CHARACTER + 6, 42.0) if room else 0.0)
        for (s, t, p), text in texts.items()
    ]
    placed = place(sizes, edges, render)
    width, height = f"{placed.width:.0f}", f"{placed.height:.0f}"
    crowded = ' class="crowded"' if len(texts) > MOST_WITH_TEXT else ""
    parts = [
        f'<svg id="drawing"{crowded} xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="group" '
        'aria-label="The computation, from its inputs to its result">'
    ]
    parts.append('<g id="edges">')
    for edge, curve, middle in zip(edges, placed.curves, placed.texts, strict=True):
        text = texts[edge.source, edge.target, edge.position]
        parts.append(_draw_edge(edge, curve, middle, text))
    parts.append("</g>")
    for n, node in enumerate(nodes):
        parts.append(_draw_node(n, node, sizes[n], placed.boxes[n], lines[n][1]))
    return "\n".join([*parts, "</svg>"]), placed.by_graphviz


def _count_lines(recording: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Return for each node the longest line, and how many lines its value and its gradient ever have."""
    found = [[1, 1, 1] for _ in recording["nodes"]]
    for step in recording["steps"]:
        for n, which, quantity in step["changes"]:
            lines = recording["quantities"][quantity][0].split("\n")
            found[n][0] = max(found[n][0], *map(_cells, lines))
            found[n][1 + which] = max(found[n][1 + which], len(lines))
    return [(a, b, c) for a, b, c in found]


def _size(node: dict[str, Any], longest: int, value_lines: int, grad_lines: int) -> tuple[float, float]:
    op, name = shorten(node["op"], _LONGEST_OP), shorten(_full_name(node), _LONGEST_NAME)
    header = _cells(name) * _CHARACTER + (_cells(op) * _CHARACTER + 24 if op else 0.0)
    numbers = _FIELD + min(longest, _LONGEST_LINE) * _CHARACTER
    return max(header, numbers, 84.0) + 18.0, _HEADER + _LINE * (value_lines + grad_lines) + 11.0


def _full_name(node: dict[str, Any]) -> str:
    return f"{node['name']}: {node['label']}" if "label" in node else node["name"]


def _edge_texts(recording: dict[str, Any], most: int) -> dict[tuple[int, int, int], str]:
    """Return for each operand of each node what stands on its arrow: the local derivative."""
    texts = {
        (source, target, position): ""
        for target, node in enumerate(recording["nodes"])
        for position, source in enumerate(node["parents"])
    }
    for step in recording["steps"]:
        for flow in step["flows"]:
            key = flow["parent"], step["node"], flow["position"]
            texts[key] = _describe_derivative(flow["derivative"], flow["local"], most)
    return texts


def _describe_derivative(derivative: str, local: str | None, most: int) -> str:
    if local is None:
        return shorten(derivative, most)
    both = f"{derivative} = {local}"
    return local if not derivative or _is_number(derivative) or len(both) > most else both


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _draw_edge(edge: Edge, curve: Curve, middle: tuple[float, float], text: str) -> str:
    line, tip = trim(curve, _HEAD)
    back, back_tip = trim(bend(curve, _ASIDE)[::-1], _HEAD)
    parts = [
        f'<g id="edge{edge.source}-{edge.target}-{edge.position}" class="edge">',
        f'<path class="arrow" d="{_path(line)}"/><path class="head" d="{_head(line, tip)}"/>',
        f'<path class="back" d="{_path(back)}"/><path class="back-head" d="{_head(back, back_tip)}"/>',
    ]
    if text:
        parts.append(
            f'<text class="local" x="{middle[0]:.1f}" y="{middle[1]:.1f}">{escape_html(text)}</text>'
        )
    return "".join([*parts, "</g>"])


def _draw_node(
    n: int, node: dict[str, Any], size: tuple[float, float], centre: tuple[float, float], value_lines: int
) -> str:
    width, height = size
    op, name = shorten(node["op"], _LONGEST_OP), shorten(_full_name(node), _LONGEST_NAME)
    x = 9.0
    header = ""
    if op:
        chip = _cells(op) * _CHARACTER + 14
        header = (
            f'<rect class="chip" x="5" y="5" width="{chip:.1f}" height="18" rx="9"/>'
            f'<text class="op" x="{5 + chip / 2:.1f}" y="18">{escape_html(op)}</text>'
        )
        x = chip + 11
    value, grad = _HEADER + _LINE - 1, _HEADER + _LINE * (1 + value_lines) + 3
    corner = {"operation": 6.0, "constant": 2.0}.get(node["kind"], 14.0)
    return (
        f'<g id="node{n}" class="node {escape_html(node["kind"])}" '
        f'transform="translate({centre[0] - width / 2:.1f} {centre[1] - height / 2:.1f})">'
        f"<title>{escape_html(_full_name(node))}</title>"
        f'<rect class="box" width="{width:.1f}" height="{height:.1f}" rx="{corner:g}"/>{header}'
        f'<text class="name" x="{x:.1f}" y="18">{escape_html(name)}</text>'
        f'<text class="field" x="9" y="{value:.0f}">value</text>'
        f'<text class="value missing" x="{_FIELD:.0f}" y="{value:.0f}">{NOT_THERE}</text>'
        f'<text class="field" x="9" y="{grad:.0f}">grad</text>'
        f'<text class="grad missing" x="{_FIELD:.0f}" y="{grad:.0f}">{NOT_THERE}</text></g>'
    )


def _path(curve: Curve) -> str:
    start, *rest = [f"{x:.1f} {y:.1f}" for x, y in curve]
    return f"M{start}C{' '.join(rest)}"


def _head(line: Curve, tip: tuple[float, float]) -> str:
    """Return a triangle from the end of `line` to `tip`."""
    (x, y), (dx, dy) = line[-1], (tip[0] - line[-1][0], tip[1] - line[-1][1])
    dx, dy = dx * 0.6, dy * 0.6
    corners = [(x - dy, y + dx), tip, (x + dy, y - dx)]
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in corners) + "Z"


def _cells(text: str) -> int:
    """Return how many cells of a terminal `text` fills: East Asian characters are two wide."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
