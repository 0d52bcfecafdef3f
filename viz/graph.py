"""Draw a recorded computation: a box for each value, an oval for each operation between them."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from micro.text import shorten
from viz.dot import EDGE, FORM, GRAPH, NODE, attributes, class_of, escape, escape_field, quote
from viz.flow import Look, color_flows, label_derivatives
from viz.folding import LEFT_OUT, fold_runs, keep_nearest
from viz.layout import Drawing
from viz.legend import write_legend
from viz.nodes import Drawable, Node, describe, read, read_recorded

__all__ = ["Drawable", "draw"]

LONGEST_TIP = 1000
"""Labels of more characters end in an ellipsis even under the pointer."""

SPLINES = ("spline", "polyline", "line", "curved", "ortho")


def draw(
    root: Any,
    *,
    format: str = "svg",
    rankdir: str = "LR",
    legend: bool = False,
    derivatives: bool = False,
    flow: bool = False,
    collapse: bool = False,
    most: int | None = None,
    splines: str | None = None,
) -> Drawing:
    """Return the graph of everything `root` was computed from, as Graphviz source that can be rendered.

    A value is a box with its label, data and gradient, an operation an oval between its operands and its
    result. Outline and colour say which is an input, a parameter, a constant, a result and the output. A
    gradient that is not computed yet is a dot. `a + a` has two edges. The same graph gives the same text in
    every process: nodes are numbered in the order of computation.

    Args:
        root: a Value, a Tensor, or anything that answers `Drawable`; or a Stepper, drawn with what is known
            at its position.
        format: what `.render()` writes: "svg", "png", "pdf", ...
        rankdir: the direction of the computation: "LR", "RL", "TB" or "BT".
        legend: add a box that says what the forms mean.
        derivatives: write on each edge the derivative of the result with respect to the operand.
        flow: colour each edge by the sign of the gradient that flows back on it (blue is positive, dashed
            vermilion negative, grey an array, which has none), and widen it by its size.
        collapse: draw equal operations in a row as one, with their number: "+ ×12".
        most: of more values than these, collapse, then draw those nearest `root`; the picture says so.
        splines: how edges run: "spline" (Graphviz's own choice), "polyline", "line", "curved" or "ortho".
            Straight ones take far less time in a large graph.

    With `derivatives` or `flow` all gradients shown are those of one backward pass that is recorded for it,
    like `step(root)`'s; the gradients of `root`'s graph stay as they are.

    Raises:
        TypeError: `root` records no computation; or only that, where `derivatives` or `flow` are asked for.
        ValueError: `format`, `rankdir`, `most` or `splines` is not one that there is.
    """
    check_options("draw", rankdir, splines)
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise ValueError(f"draw: most is a number of values, at least 1, or None, got {most!r}")
    nodes, recorded, position = _read(root, derivatives or flow)

    count, note = len(nodes), ""
    if collapse or (most is not None and count > most):
        nodes = fold_runs(nodes)
        if len(nodes) < count:
            note = f"{count:,} values; equal operations in a row are drawn as one"
    if most is not None and len(nodes) > most:
        folded = len(nodes) < count
        nodes = keep_nearest(nodes, most)
        note = f"The {most:,} of {count:,} values that are nearest the result" + (
            "; equal operations in a row are drawn as one" if folded else ""
        )
    graph_style = {"rankdir": rankdir, **GRAPH}
    if splines is not None:
        graph_style["splines"] = splines
    graph = Drawing(
        "computation",  # the tooltip of the picture
        format=format,
        graph_attr=graph_style,
        node_attr=NODE,
        edge_attr=EDGE,
    )
    if note:
        graph.body.append(f'\tlabel={quote(escape(note))} labelloc="t" fontname={quote(NODE["fontname"])}\n')
    vertical = rankdir in ("TB", "BT")
    labels = label_derivatives(recorded, position, vertical) if derivatives else {}
    looks, result_looks = color_flows(recorded, position) if flow else ({}, {})
    graph.body.extend(_write(nodes, vertical, labels, looks, result_looks))
    if legend:
        kinds = [node.kind for node in nodes[:-1]] + (["output"] if nodes[-1].parents else [nodes[-1].kind])
        kinds += ["rest"] * any(LEFT_OUT in node.parents for node in nodes)
        words = {word for word, _ in (*looks.values(), *result_looks.values())}
        graph.body.extend(write_legend(set(kinds), any(node.op for node in nodes), words))
    return graph


def check_options(name: str, rankdir: str, splines: str | None) -> None:
    """Raise ValueError for a direction or a form of edges that Graphviz does not know."""
    if rankdir not in ("LR", "RL", "TB", "BT"):
        raise ValueError(f"{name}: rankdir is 'LR', 'RL', 'TB' or 'BT', got {rankdir!r}")
    if splines is not None and splines not in SPLINES:
        raise ValueError(f"{name}: splines is {', '.join(map(repr, SPLINES))} or None, got {splines!r}")


def read_nodes(root: Any) -> list[Node]:
    """Return what a drawing of `root`, or of a Stepper, shows: each value once, operands first."""
    return _read(root, False)[0]


def _read(root: Any, record: bool) -> tuple[list[Node], Any, int | None]:
    """Return the nodes of a drawing; and the pass with the position in it, where one is or was recorded."""
    recorded = getattr(root, "recorded", None)
    if recorded is not None and hasattr(recorded, "flows"):  # a Stepper
        return read_recorded(recorded, root.position), recorded, root.position
    if not {"parents", "op", "label", "data", "grad"} <= set(dir(root)):  # hasattr would ask for the gradient
        raise TypeError(f"draw: expected a Value, a Tensor or a Stepper, got {type(root).__name__}")
    if not record:
        return read(root), None, None
    if not hasattr(root, "record_pass"):
        raise TypeError(
            f"draw: derivatives and flow need a backward pass to be recorded, which {type(root).__name__} "
            "cannot; draw a Value, a Tensor or a Stepper"
        )
    recorded = root.record_pass()
    return read_recorded(recorded), recorded, None


# --- the text --------------------------------------------------------------------------------------


def _write(
    nodes: list[Node],
    vertical: bool,
    labels: dict[tuple[int, int], str],
    looks: dict[tuple[int, int], Look],
    result_looks: dict[int, Look],
) -> Iterator[str]:
    """Yield the lines of DOT: every value, its operation and the edges into it.

    In the SVG, node 3 has the id `node3`, its operation `op3`, the edge from there `result3`, the edge from
    node 2 as its first operand `edge2-3-0`; each has its kind among its classes.
    """
    form = {kind: f" {attributes(style)}" if style else "" for kind, style in FORM.items()}
    root = nodes[-1]
    plain: Look = ("", "")
    for node in nodes:
        n = node.number
        classes, look = node.kind, form[node.kind]
        if node is root and node.parents:
            classes, look = f"{node.kind} output", form["output"]
        yield f'\t{n} [label={_record(node, vertical)} id="node{n}" class="{classes}"{look}{_tip(node)}]\n'
        target = str(n)
        if node.op:
            target = f"op{n}"
            label, word = _name_operation(node.op, node.count)
            yield f'\t{target} [label={label} id="{target}" class="op {word}"{form["op"]}]\n'
            word, look = result_looks.get(n, plain)
            yield f'\t{target} -> {n} [id="result{n}" class="{f"result {word}".rstrip()}"{look}]\n'
        if node.count > 1 or LEFT_OUT in node.parents:
            yield from _write_merged(node, target, form["rest"])
            continue
        for place, source in enumerate(node.parents):
            word, look = looks.get((n, place), plain) if looks else plain
            classes = f"operand {word}" if word else "operand"
            label = labels.get((n, place), "") if labels else ""
            yield f'\t{source} -> {target} [id="edge{source}-{n}-{place}" class="{classes}"{look}{label}]\n'


def _write_merged(node: Node, target: str, form: str) -> Iterator[str]:
    """Yield one edge from each operand of what was folded, with the number of its uses.

    What is left out is an ellipsis of its own at each operation: edges from one place for all would hide the
    rest.
    """
    for source, uses in Counter(node.parents).items():
        n, name, times = node.number, str(source), f"×{uses:,}" if uses > 1 else ""
        if source == LEFT_OUT:
            name = f"rest{n}"
            yield f'\t{name} [label="{f"… {times}".rstrip()}" id="{name}" class="rest"{form}]\n'
            times = ""
        label = f' label="{times}"' if times else ""
        place = node.parents.index(source)
        yield f'\t{name} -> {target} [id="edge{name}-{n}-{place}" class="operand"{label}]\n'


@lru_cache(maxsize=1024)
def _name_operation(op: str, count: int) -> tuple[str, str]:
    """Return the label of an operation's oval, and its class."""
    name = shorten(op) if count == 1 else f"{shorten(op)} ×{count:,}"
    return quote(escape(name)), class_of(op)


def _record(node: Node, vertical: bool) -> str:
    """Return the label of a box: its lines under each other, whichever the direction of the graph."""
    lines = describe(node)
    if node.label and node.label.strip():
        lines.insert(0, shorten(node.label))
    text = " | ".join([escape_field(line) for line in lines])
    return quote("{ " + text + " }" if vertical else text)


def _tip(node: Node) -> str:
    """Return the tooltip of a box: the whole label, and the numbers with all their digits."""
    lines = []
    if node.label and node.label.strip():
        lines.append(escape(shorten(node.label, LONGEST_TIP)))
    if isinstance(node.data, float):
        lines.append(f"data {node.data!r}")
    if isinstance(node.grad, float):
        lines.append(f"grad {node.grad!r}")
    return " tooltip=" + quote("\\n".join(lines)) if lines else ""
