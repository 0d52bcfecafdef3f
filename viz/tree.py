"""A graph as text for a terminal: the result at the top, what it was computed from below it."""

import sys
from typing import Any

from micro.text import shorten
from viz.graph import read_nodes
from viz.nodes import Node, describe, show_array

__all__ = ["show_tree"]

MOST_LINES = 40
DEEPEST = 15
"""Levels; each is three characters further to the right."""

_TYPED = {"├": "|", "└": "`", "─": "-", "│": "|", "·": ".", "…": "...", "×": "x"}


def show_tree(root: Any) -> str:
    """Return the graph of `root` as a tree of lines: operation, label, data, gradient.

    A value that is used again further down stands there with `(above)`, without what is below it. Of a large
    graph the first 40 lines are shown, and how much is missing.
    """
    nodes = read_nodes(root)
    at = {node.number: node for node in nodes}
    # in the order they are drawn: (number of the value, what stands before its name, before those below it)
    waiting: list[tuple[int, str, str]] = [(nodes[-1].number, "", "")]
    rows: list[tuple[str, list[str]]] = []
    seen: set[int] = set()
    left = False
    while waiting:
        number, branch, below = waiting.pop()
        if len(rows) == MOST_LINES:
            left = True
            break
        node = at[number]
        again = number in seen and node.parents
        seen.add(number)
        rows.append((branch + _name(node, bool(again)), _numbers(node)))
        if again or not node.parents:
            continue
        if len(below) >= 3 * DEEPEST:
            left = True
            continue
        for place, parent in reversed(list(enumerate(node.parents))):
            last = place == len(node.parents) - 1
            waiting.append((parent, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  ")))
    text = _align(rows)
    if left and (missing := len(nodes) - len(seen)) > 0:
        text += f"\n… {missing:,} more values"
    return _as_printable(text)


def _name(node: Node, again: bool) -> str:
    label = shorten(" ".join(node.label.split())) if node.label else ""
    if again:
        return f"{label or node.op} (above)"
    return " ".join(filter(None, [label, f"= {node.op}" if label and node.op else node.op])) or node.kind


def _numbers(node: Node) -> list[str]:
    lines = [line.replace(",\n", ", ").replace("\n", " ") for line in describe(node)]
    if node.shape is not None and node.data is None:
        lines.insert(1, show_array("data", None))  # a box leaves it out
    return lines


def _align(rows: list[tuple[str, list[str]]]) -> str:
    """Return the rows with their columns under each other."""
    widths: list[int] = []
    for name, numbers in rows:
        for place, cell in enumerate([name, *numbers]):
            if place == len(widths):
                widths.append(0)
            widths[place] = max(widths[place], len(cell))
    lines = []
    for name, numbers in rows:
        cells = [cell.ljust(width) for cell, width in zip([name, *numbers], widths, strict=False)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _as_printable(text: str) -> str:
    """Return the text with lines and dots that the terminal's encoding has."""
    try:
        "├─└│·…".encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return text.translate({ord(drawn): typed for drawn, typed in _TYPED.items()})
    return text
