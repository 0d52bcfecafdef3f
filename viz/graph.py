"""Draw a recorded computation: a box for each value, an oval for each operation between them."""

from collections.abc import Iterator
from typing import Any, Protocol

from micro.text import shorten, show_kind, show_quantity
from viz.dot import EDGE, FORM, GRAPH, NODE, attributes, class_of, escape, escape_field, quote
from viz.layout import Drawing

__all__ = ["Drawable", "draw"]


class Drawable(Protocol):
    """What a node of a computation must answer to be drawn.

    `parents` must hold the same objects on every reading: a node is known by its identity. A leaf has no
    parents and an empty `op`. `data` is None where it was not recorded, `grad` where it was not computed
    yet. Each is a number, or an array with `shape`, `dtype` and `tolist()`. A node whose `data` is None may
    itself have a `shape` and a `dtype`; they are shown in its place.

    A node may also answer `kind` ("input", "parameter", "constant" or "operation"; otherwise what has no
    parents is an input) and `has_grad`, false where its `grad` is not computed yet although it is no None.
    """

    @property
    def parents(self) -> tuple["Drawable", ...]: ...
    @property
    def op(self) -> str: ...
    @property
    def label(self) -> str | None: ...
    @property
    def data(self) -> Any: ...
    @property
    def grad(self) -> Any: ...


def draw(root: Drawable, *, format: str = "svg", rankdir: str = "LR") -> Drawing:
    """Return the graph of everything `root` was computed from, as Graphviz source that can be rendered.

    A value is a record `label | data | grad`, an operation an oval between its inputs and its result.
    `a + a` has two edges. The same graph gives the same text in every process: nodes are numbered in the
    order of computation.

    Args:
        root: a Value, a Tensor, or anything that answers `Drawable`.
        format: what `.render()` writes: "svg", "png", "pdf", ...
        rankdir: the direction of the computation: "LR", "RL", "TB" or "BT".

    Raises:
        TypeError: `root` records no computation.
        ValueError: `format` or `rankdir` is not one that Graphviz knows.
    """
    if not {"parents", "op", "label", "data", "grad"} <= set(dir(root)):  # hasattr would ask for the gradient
        raise TypeError(f"draw: expected a Value or a Tensor, got {type(root).__name__}")
    if rankdir not in ("LR", "RL", "TB", "BT"):
        raise ValueError(f"draw: rankdir is 'LR', 'RL', 'TB' or 'BT', got {rankdir!r}")

    graph = Drawing(
        "computation",  # the tooltip of the picture
        format=format,
        graph_attr={"rankdir": rankdir, **GRAPH},
        node_attr=NODE,
        edge_attr=EDGE,
    )
    graph.body.extend(_describe(root))
    return graph


# --- the text --------------------------------------------------------------------------------------


def _describe(root: Drawable) -> Iterator[str]:
    """Yield the lines of DOT: every value, its operation and the edges into it.

    In the SVG, node 3 has the id `node3`, its operation `op3`, the edge from 2 as its first operand
    `edge2-3-0`; each has its kind among its classes.
    """
    form = {kind: f" {attributes(style)}" if style else "" for kind, style in FORM.items()}
    number: dict[int, int] = {}
    for n, node in enumerate(sort_by_computation(root)):
        number[id(node)] = n
        op, parents = node.op, node.parents
        kind = getattr(node, "kind", None) or ("operation" if parents or op else "input")
        classes = f"{kind} output" if node is root else kind
        look = form["output" if node is root and parents else kind]
        yield f'\t{n} [label={_record(node)} id="node{n}" class="{classes}"{look}]\n'
        target = str(n)
        if op:
            target = f"op{n}"
            classes = f"op {class_of(op)}"
            yield (
                f'\t{target} [label={quote(escape(op))} id="{target}" class="{classes}"{form["op"]}]\n'
                f'\t{target} -> {n} [id="result{n}" class="result"]\n'
            )
        for position, parent in enumerate(parents):
            source = number[id(parent)]
            yield f'\t{source} -> {target} [id="edge{source}-{n}-{position}" class="operand"]\n'


def sort_by_computation(root: Drawable) -> list[Drawable]:
    """Return `root` and all it was computed from, each once, every node after its parents."""
    # Not recursive: a training loop records chains far deeper than Python's stack.
    order: list[Drawable] = []
    seen = {id(root)}
    stack = [(root, iter(root.parents))]
    while stack:
        node, parents = stack[-1]
        for parent in parents:
            if id(parent) not in seen:
                seen.add(id(parent))
                stack.append((parent, iter(parent.parents)))
                break
        else:
            order.append(node)
            stack.pop()
    return order


def _record(node: Drawable) -> str:
    label = "" if node.label is None else str(node.label)
    fields = [escape_field(shorten(label))] if label.strip() else []
    data = show_quantity(node.data)
    shape, dtype = getattr(node, "shape", None), getattr(node, "dtype", None)
    if node.data is None and shape is not None:
        data = show_kind(shape, dtype)
    fields += [escape_field(f"data {data}"), escape_field(f"grad {show_quantity(_grad(node))}")]
    return quote("{ " + " | ".join(fields) + " }")


def _grad(node: Drawable) -> Any:
    """Return the gradient of a node, None where it was not computed."""
    if not getattr(node, "has_grad", True):  # a Value's is 0.0 before it is computed
        return None
    # Of a computed tensor that keeps no gradient, asking for it would warn.
    return node.grad if getattr(node, "is_leaf", True) or getattr(node, "retains_grad", True) else None
