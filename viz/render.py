"""Draw a graph into a file or into SVG text, whatever its size.

A layout that takes longer than it may is tried again in simpler forms: with straight edges, then only what
is nearest the result; at last the graph is left as DOT text. One line, a warning, says what was done.
"""

import os
import secrets
import warnings
from contextlib import suppress
from pathlib import Path
from threading import TIMEOUT_MAX
from typing import Any

import graphviz

from micro.stepper import step
from micro.trace import sort_by_parents
from viz.graph import draw
from viz.layout import LIMIT, GraphvizMissing, LayoutError, LayoutTimeout, lay_out, tidy
from viz.nodes import Drawable

__all__ = ["save", "svg"]

FORMATS = ("svg", "png", "pdf", "dot")

_NEAREST = "drawn with equal operations in a row as one, and no more than the {} values nearest its result"

# What is tried in turn, each with its part of the time, and what is said of it. 400 values of a network take
# a second, 250 of a tangle more than twenty.
_STEPS: tuple[tuple[float, dict[str, Any], str], ...] = (
    (0.5, {}, ""),
    (0.15, {"splines": "line"}, "drawn with straight edges"),
    (0.2, {"splines": "line", "collapse": True, "most": 400}, _NEAREST.format(400)),
    (0.15, {"splines": "line", "collapse": True, "most": 100}, _NEAREST.format(100)),
)

LARGEST_TRIED = 20_000
"""Values; of more, no Graphviz has been seen to lay out a graph within the time."""


def svg(root: Drawable | graphviz.Digraph, *, timeout: float = LIMIT, **options: Any) -> str:
    """Return the picture of all that `root` was computed from as text: one `<svg>` element.

    It needs no file and no network; its words are text.

    Args:
        root: what `draw` takes, or a graph that `draw` or `draw_model` returned.
        timeout: seconds the layout may take. Then a simpler drawing takes its place, and a warning says so.
        options: as for `draw`, except `format`; for a graph there are none.

    Raises:
        RuntimeError: it could not be drawn within the time, or there is no Graphviz.
    """
    _check("svg", root, timeout, options)
    nodes = _nodes_of(root)
    try:
        content, note = _climb_down(root, len(nodes), "svg", timeout, options)
    except LayoutError as error:
        raise type(error)(f"svg: {error}") from None
    if note:
        warnings.warn(f"svg: {note}", stacklevel=2)
    return tidy(content, *caption(root, nodes))


def save(
    root: Drawable | graphviz.Digraph, path: str | os.PathLike[str], *, timeout: float = LIMIT, **options: Any
) -> Path:
    """Write the graph of `root` to `path` and return the path; its ending says which format.

    `.svg` and `.dot` (the graph as text) need nothing but this package's dependencies; `.png` and `.pdf` need
    Graphviz's program `dot`. An existing file is replaced as a whole or left as it was. A graph that cannot
    be laid out within the time is written as `.dot` beside `path`; the path of that is returned, and a
    warning names it.

    Args:
        root: what `draw` takes, or a graph that `draw` or `draw_model` returned.
        timeout: seconds the layout may take. Then a simpler drawing takes its place, and a warning says so.
        options: as for `draw`, except `format`; for a graph there are none.

    Raises:
        ValueError: another ending.
        RuntimeError: no Graphviz here writes this format.
        OSError: `path` cannot be written.
    """
    path = Path(path)
    format = path.suffix.removeprefix(".").lower()
    if format not in FORMATS:
        raise ValueError(f"save: the name must end in .svg, .png, .pdf or .dot, got {path.name!r}")
    _check("save", root, timeout, options)
    if format == "dot":
        write_whole(path, _graph_of(root, options).source.encode())
        return path
    nodes = _nodes_of(root)
    try:
        content, note = _climb_down(root, len(nodes), format, timeout, options)
    except GraphvizMissing as error:
        other = path.with_suffix(".dot" if format == "svg" else ".svg").name
        raise GraphvizMissing(f"save: {path.name} {error}, or save {other}, which needs nothing") from None
    except LayoutError as error:
        text = path.with_suffix(".dot")
        write_whole(text, _graph_of(root, options).source.encode())
        warnings.warn(
            f"save: wrote {text.name}, the graph as text, and no {path.name}: {error}", stacklevel=2
        )
        return text
    if format == "svg":
        picture = tidy(content, *caption(root, nodes))
        content = f'<?xml version="1.0" encoding="UTF-8"?>\n{picture}'.encode()
    write_whole(path, content)
    if note:
        warnings.warn(f"save: {path.name} was {note}", stacklevel=2)
    return path


def _check(name: str, root: Any, timeout: float, options: dict[str, Any]) -> None:
    """Raise for a time that is none, and for options that would have no effect."""
    if not 0 < timeout < TIMEOUT_MAX:
        raise ValueError(f"{name}: timeout is the seconds a layout may take, above 0, got {timeout!r}")
    if options and isinstance(root, graphviz.Digraph):
        raise TypeError(f"{name}: {', '.join(options)}: this graph is drawn already; give options to draw")
    if "format" in options:
        given = "it returns SVG" if name == "svg" else "the ending of the name says it"
        raise TypeError(f"{name}: there is no option format: {given}")


def _climb_down(
    root: Any, values: int, format: str, timeout: float, options: dict[str, Any]
) -> tuple[bytes, str]:
    """Return the picture in the first form that can be laid out in time, and what is to be said of it.

    values: how many `root`'s graph has.
    """
    reason = ""
    if (options.get("derivatives") or options.get("flow")) and hasattr(root, "record_pass"):
        root = step(root)  # recorded once, for all that is tried
        root.goto(len(root))
    for part, simpler, note in _STEPS:
        if isinstance(root, graphviz.Digraph):
            if "most" in simpler:  # it is DOT text, of which nothing can be left out any more
                break
            graph = root.copy()
            graph.graph_attr.update(simpler)
        else:
            if values > LARGEST_TRIED and "most" not in simpler:
                reason = f"{values:,} values are too many to be laid out"
                continue
            graph = draw(root, **_simplify(options, simpler))
        try:
            return lay_out(graph.source, format, timeout * part), f"{note}, since {reason}" if note else ""
        except GraphvizMissing:
            raise
        except LayoutError as error:
            reason = reason or str(error)
    raise LayoutTimeout(f"{reason}, and simpler forms did not help")


def _simplify(options: dict[str, Any], simpler: dict[str, Any]) -> dict[str, Any]:
    chosen = options.get("most")
    simpler = {**options, **simpler}
    if isinstance(chosen, int) and "most" in simpler:
        simpler["most"] = min(chosen, simpler["most"])
    return simpler


def _graph_of(root: Any, options: dict[str, Any]) -> graphviz.Digraph:
    return root if isinstance(root, graphviz.Digraph) else draw(root, **options)


def _nodes_of(root: Any) -> list[Any]:
    """Return the nodes of a graph, operands first; none of what is text already, or no graph."""
    if isinstance(root, graphviz.Digraph):
        return []
    recorded = getattr(root, "recorded", None)  # a Stepper's
    if recorded is not None and hasattr(recorded, "flows"):
        return recorded.nodes
    return sort_by_parents([root]) if hasattr(root, "parents") else []


def caption(root: Any, nodes: list[Any] | None = None) -> tuple[str, str]:
    """Return what a screen reader says of the picture: a title and a sentence.

    nodes: those of `root`'s graph, where they are known already.
    """
    if isinstance(root, graphviz.Digraph):
        return root.name or "Graph", ""
    nodes = nodes or _nodes_of(root)
    inputs = [node for node in nodes if not node.parents and not node.op]
    names = [str(node.label) for node in inputs if node.label]
    result = str(nodes[-1].label or "a result")
    if len(nodes) == 1:
        return result, ""
    of = ", ".join(names) if 0 < len(names) == len(inputs) <= 10 else _count(len(inputs), "input")
    return (
        f"How {result} was computed",
        f"{result} from {of}, in {_count(len(nodes) - len(inputs), 'operation')}",
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file as a whole, or leave the one that is there as it was."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise type(error)(
                error.errno, error.strerror, str(path)
            ) from None  # nobody knows the temporary one
        raise
