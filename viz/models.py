"""Draw a model: its modules as boxes within each other, what repeats once with a number."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from itertools import pairwise
from math import prod
from typing import Any

from micro.text import shorten, show_kind, show_number
from viz.dot import EDGE, FORM, GRAPH, LINE, NODE, attributes, class_of, escape, escape_field, quote
from viz.graph import check_options
from viz.layout import Drawing
from viz.plan import Entry, Plan

__all__ = ["draw_model"]

MOST_PARAMETERS, MOST_OUTPUTS = 8, 3
"""Of more parameters or outputs in one box, the rest is a number."""

MOST_ACROSS = 12
"""More boxes and ovals are drawn from top to bottom."""

MOST_INPUTS = 8
"""More inputs, as scalar models have them, are one box."""


def draw_model(
    model: Any,
    *inputs: Any,
    depth: int | None = None,
    expand: Collection[str] = (),
    collapse: Collection[str] = (),
    fold: bool = True,
    parameters: bool = False,
    format: str = "svg",
    rankdir: str | None = None,
    splines: str | None = None,
) -> Drawing:
    """Run `model` once and return the graph of its modules.

    A module that calls others is a frame around them, with what it computes itself as ovals; one that calls
    none is a box with its name, class, number of parameters and output shape. A module that is called twice
    has two boxes. Equal blocks in a row, of the same classes, shapes and wiring, are drawn once: "×12". A
    call that computes nothing, like dropout in eval mode, has no box. Running means and the random numbers to
    come stay as they were.

    Args:
        model: a module of `micro.nn` or `tensor.nn`.
        inputs: what it is called with.
        depth: modules so deep within the model are boxes: 0 draws the model as one, 1 its own modules.
        expand: modules, by path ("layers.0") or class ("Linear"), that are opened whatever the depth, down to
            their operations.
        collapse: modules, by path or class, that are boxes whatever they call.
        fold: draw equal blocks in a row once.
        parameters: list name and shape of each parameter in the boxes; those that a module's own operations
            use are drawn in any case.
        format: what `.render()` writes: "svg", "png", "pdf", ...
        rankdir: the direction of the computation: "LR", "RL", "TB" or "BT"; None chooses "LR" for what
            fits the width of a page, else "TB".
        splines: how edges run, as for `draw`.

    Raises:
        TypeError: `model` is no module.
        ValueError: an option is not one that there is; or the model returned nothing that it computed.
    """
    check_options("draw_model", rankdir or "LR", splines)
    if isinstance(model, type):
        raise TypeError(
            f"draw_model: expected a module, got the class {model.__name__}: make one of it first"
        )
    if not callable(getattr(model, "trace", None)) or not hasattr(model, "parameters"):
        raise TypeError(
            f"draw_model: expected a module of micro.nn or tensor.nn, got {type(model).__name__}; "
            "viz.draw() draws a Value or a Tensor"
        )
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise ValueError(f"draw_model: depth is a number of levels, at least 0, or None, got {depth!r}")
    trace = model.trace(*inputs)
    if not trace.roots:
        raise ValueError(f"draw_model: {trace.kind} returned nothing that it computed, so there is no graph")
    names = {*trace.modules, *(module.kind for module in trace.modules.values())}
    chosen = _names("expand", expand, names), _names("collapse", collapse, names)
    plan = Plan(trace, depth, *chosen, fold)
    if rankdir is None:
        rankdir = "LR" if len({unit for edge in plan.edges for unit in edge}) <= MOST_ACROSS else "TB"
    whole = trace.modules[""]
    title = ", ".join(filter(None, [whole.kind, _count_parameters(whole.parameters)]))
    if whole.trainable not in (0, whole.parameters):
        title += f", {whole.trainable:,} of them trainable"
    graph = Drawing(
        "model",  # the tooltip of the picture
        format=format,
        graph_attr={"rankdir": rankdir, **GRAPH, **({"splines": splines} if splines else {})},
        node_attr=NODE,
        edge_attr=EDGE,
    )
    graph.body.append(f'\tlabel={quote(escape(title))} labelloc="t" {_FONT}\n')
    graph.body.extend(_Writer(plan, parameters, rankdir in ("TB", "BT")).write())
    return graph


_FONT = f"fontname={quote(NODE['fontname'])} fontcolor={quote(NODE['fontcolor'])}"


def _names(option: str, chosen: Collection[str], known: set[str]) -> frozenset[str]:
    """Return the chosen modules; one name alone is one, and not its letters."""
    names = frozenset([chosen] if isinstance(chosen, str) else chosen)
    for name in sorted(names - known):
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else "name them by path (layers.0) or class (Linear)"
        raise ValueError(f"draw_model: {option}: no module or class is named {name!r}; {hint}")
    return names


def _count_parameters(count: int) -> str:
    return f"{count:,} parameter{'s' * (count != 1)}" if count else ""


class _Writer:
    """Writes the lines of DOT of a plan."""

    def __init__(self, plan: Plan, parameters: bool, vertical: bool) -> None:
        self.plan, self.parameters, self.vertical = plan, parameters, vertical
        self.form = {kind: f" {attributes(style)}" if style else "" for kind, style in FORM.items()}
        self.groups = 0
        self.frames: tuple[str, ...] = ()  # those around what is being written, outermost first
        self.frames_of: dict[int | str, tuple[str, ...]] = {}

    def write(self) -> Iterator[str]:
        """Yield inputs, frames with what is in them, outputs, edges."""
        plan = self.plan
        used = {source for source, _ in plan.edges} | set(plan.outputs)
        given = [n for n in plan.inputs if n in used]
        # Of a scalar model every number is an input of its own.
        merged: dict[int | str, int | str] = {}
        if len(given) > MOST_INPUTS:
            merged.update(dict.fromkeys(given, "inputs"))
        if merged:
            yield self._box("inputs", "inputs", "input", ["input", f"{len(given):,} values"])
        for n in given if not merged else ():
            node = plan.nodes[n]
            yield self._box(n, f"node{n}", "input", [plan.names[n] or "input", _show(node)])
        yield from self._write_all(plan.top, "", 1)
        kinds = plan.trace.calls[0].outputs
        yield self._box("output", "output", "output", ["output", *_show_outputs(kinds)])
        edges = dict.fromkeys((merged.get(a, a), b) for a, b in plan.edges)
        for source, target in edges:
            yield f'\t{source} -> {target} [id="edge-{source}-{target}" class="operand"]\n'
        for source in dict.fromkeys(merged.get(a, a) for a in plan.outputs):
            yield f'\t{source} -> output [id="edge-{source}-output" class="result"]\n'
        if self.vertical:
            yield from self._hold_titles(edges)

    def _hold_titles(self, edges: Collection[tuple[int | str, int | str]]) -> Iterator[str]:
        """Yield invisible edges that keep each title at the top of its frame, below what the frame is fed."""
        held: dict[tuple[int | str, int | str], str] = {}
        for source, target in edges:
            outside = self.frames_of.get(source, ())
            entered = [f"title_{name}" for name in self.frames_of.get(target, ()) if name not in outside]
            if entered:
                held.update(dict.fromkeys(pairwise([source, *entered, target]), ""))
        fed = {target for _, target in edges}
        for unit, frames in self.frames_of.items():
            if frames and unit not in fed:  # it stands beside what it feeds, however far down that is
                held |= dict.fromkeys(pairwise([*map("title_{}".format, frames), unit]), ' weight="0"') | held
        for (above, below), weight in held.items():
            yield f'\t{above} -> {below} [style="invis"{weight}]\n'

    def _write_all(self, entries: list[Entry], path: str, level: int) -> Iterator[str]:
        for entry in entries:
            if entry.node is not None:
                self.frames_of[entry.node] = self.frames
                yield "\t" * level + self._write_node(entry, path).lstrip("\t")
            elif entry.call is None:
                self.groups += 1
                name = f"group{self.groups}"
                yield from self._frame(
                    name, "group", _times(entry).strip(), entry, path, level, "dashed,rounded"
                )
            elif self.plan.is_box[entry.call]:
                self.frames_of[f"call{entry.call}"] = self.frames
                yield "\t" * level + self._write_box(entry, path).lstrip("\t")
            else:
                call = self.plan.trace.calls[entry.call]
                title = "\n".join(
                    [self._title(entry, path), " · ".join(self._facts(entry)).replace("\n", ", ")]
                ).strip()
                name = f"call{entry.call}"
                yield from self._frame(name, "module", title, entry, call.path, level, "rounded")

    def _frame(
        self, name: str, word: str, title: str, entry: Entry, path: str, level: int, style: str
    ) -> Iterator[str]:
        tabs = "\t" * level
        look = f'style="{style}" color={quote(LINE)} fontsize="12" labeljust="l" labelloc="t"'
        yield f"{tabs}subgraph cluster_{name} {{\n"
        # each line ends in a break that says: from the left
        label = quote("".join(f"{escape(line)}\\l" for line in title.split("\n")))
        # Edges run downwards through a frame's own label, but around a node.
        shown = '""' if self.vertical else label
        yield f'{tabs}\tlabel={shown} id="{name}" class="{word}" {look} {_FONT}\n'
        if self.vertical:
            look = 'shape="plaintext" style="" margin="0" height="0.2"'
            yield f'{tabs}\ttitle_{name} [label={label} id="title-{name}" class="title" {look}]\n'
        outside, self.frames = self.frames, (*self.frames, name)
        yield from self._write_all(entry.inside, path, level + 1)
        self.frames = outside
        yield f"{tabs}}}\n"

    def _write_node(self, entry: Entry, path: str) -> str:
        plan, n = self.plan, entry.node
        assert n is not None
        node = plan.nodes[n]
        if not plan.is_operation[n]:
            kind = plan.kinds[n]
            name = _relative(plan.names[n], path)
            lines = [name] if name else []
            if not name or kind != "parameter" or getattr(node, "shape", None) is not None:
                lines.append(_show(node))
            return self._box(n, f"node{n}", kind, lines)
        shown = shorten(node.op) + _times(entry)
        text = "\n".join([shown, *([_show(node)] if getattr(node, "shape", None) is not None else [])])
        look = f'id="node{n}" class="operation op {class_of(node.op)}"{self.form["op"]}'
        return f"\t{n} [label={quote(escape(text))} {look}]\n"

    def _write_box(self, entry: Entry, path: str) -> str:
        assert entry.call is not None
        name = f"call{entry.call}"
        lines = [self._title(entry, path), *self._facts(entry)]
        if self.parameters:
            lines += self._list_parameters(entry.call)
        return self._box(name, name, "module", lines)

    def _box(self, name: Any, ident: str, kind: str, lines: list[str]) -> str:
        text = " | ".join([escape_field(line) for line in lines])
        label = quote("{ " + text + " }" if self.vertical else text)
        return f'\t{name} [label={label} id="{ident}" class="{kind}"{self.form[kind]}]\n'

    def _title(self, entry: Entry, path: str) -> str:
        """Return name and class of a call, its name as seen from the frame that it is in."""
        trace = self.plan.trace
        call = trace.calls[entry.call]
        names = [_relative(call.path, path)]
        if entry.last is not None and trace.calls[entry.last].path != call.path:
            names.append(_relative(trace.calls[entry.last].path, path))
        elif entry.last is None and call.number:
            names[0] += f" (call {call.number + 1})"
        name = " … ".join(shorten(name) for name in names if name)
        kind = shorten(trace.modules[call.path].kind)
        return f"{name}: {kind}{_times(entry)}" if name else f"{kind}{_times(entry)}"

    def _facts(self, entry: Entry) -> list[str]:
        """Return number of parameters and shape of the output."""
        trace = self.plan.trace
        call = trace.calls[entry.call]
        count = _count_parameters(trace.modules[call.path].parameters)
        if count and entry.last is not None:
            count += " each" if trace.calls[entry.last].path != call.path else " shared by all"
        elif count and call.number:
            count += ", shared"
        return [*([count] if count else []), *_show_outputs(call.outputs)]

    def _list_parameters(self, call: int) -> list[str]:
        """Return name and shape of the parameters of a module and of those below it."""
        plan = self.plan
        path = plan.trace.calls[call].path
        found = []
        for n, name in enumerate(plan.names):
            inside = not path or name == path or name.startswith(path + ".")
            if plan.kinds[n] == "parameter" and not plan.is_operation[n] and inside:
                shape = getattr(plan.nodes[n], "shape", None)
                found.append(
                    f"{_relative(name, path)} {tuple(shape)}" if shape is not None else _relative(name, path)
                )
        if len(found) > MOST_PARAMETERS:
            rest = len(found) - MOST_PARAMETERS + 1
            found[MOST_PARAMETERS - 1 :] = [f"… and {rest:,} more"]
        return ["\n".join(found)] if found else []


def _relative(path: str, within: str) -> str:
    return path[len(within) + 1 :] if within and path.startswith(within + ".") else path


def _times(entry: Entry) -> str:
    if entry.count == 1:
        return ""
    return f" ×{entry.count:,}" + ("" if entry.chained else " in parallel")


def _show(node: Any) -> str:
    """Return dtype and shape of an array; a number itself."""
    shape = getattr(node, "shape", None)
    return show_number(node.data) if shape is None else show_kind(shape, getattr(node, "dtype", None))


def _show_outputs(kinds: Any) -> list[str]:
    """Return dtype and shape of what a call returned; of numbers, how many."""
    if not kinds:
        return []
    if all(kind.dtype is None for kind in kinds):
        count = sum(prod(kind.shape) for kind in kinds)
        return ["a value" if count == 1 else f"{count:,} values"]
    shown = [show_kind(kind.shape, kind.dtype) for kind in kinds[:MOST_OUTPUTS]]
    more = len(kinds) - MOST_OUTPUTS
    return ["\n".join([*shown, *([f"… and {more:,} more"] if more > 0 else [])])]
