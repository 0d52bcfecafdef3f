"""What of a model's trace is drawn: which modules are open, what stands for what, which edges that leaves.

Nodes are known by their place in the trace. A call is open, with its own operations and the calls within it
in a frame, or it is a box. Of groups that repeat, the first stands for all: a node of a later group has its
counterpart there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from viz.repeats import Part, find_repeats


@dataclass
class Entry:
    """Something within a frame: an operation or leaf (`node`), a call, or a group of entries that repeats."""

    node: int | None = None
    call: int | None = None
    inside: list["Entry"] = field(default_factory=list)
    last: int | None = None
    """Where a call stands for several: the last of them."""
    count: int = 1
    chained: bool = True


class Plan:
    """The drawing of a trace: `top` holds its entries, `edges` the pairs of what is joined, in order."""

    def __init__(
        self, trace: Any, depth: int | None, expand: frozenset[str], collapse: frozenset[str], fold: bool
    ) -> None:
        self.trace, self.fold = trace, fold
        self._read(trace)
        self._chains()
        self._choose_boxes(depth, expand, collapse)
        self._stands_for: dict[int, int] = {}
        self._signatures: dict[Any, int] = {}
        self._place: dict[int, list[Entry]] = {}  # where the entry of an operation stands
        self.top: list[Entry] = []
        if self.is_box[0]:
            self.top.append(Entry(call=0))
        else:
            self._fill(0, self.top)
        self._join()

    # --- the nodes -----------------------------------------------------------------------------------

    def _read(self, trace: Any) -> None:
        """Number the nodes that the roots come from; what was computed before the call is a leaf."""
        inputs = {id(node) for node in trace.inputs}
        reached, stack = set(), list(trace.roots)
        while stack:
            node = stack.pop()
            if id(node) not in reached:
                reached.add(id(node))
                if id(node) not in inputs and id(node) in trace.call:
                    stack.extend(node.parents)
        self.nodes = [node for node in trace.nodes if id(node) in reached]
        number = {id(node): n for n, node in enumerate(self.nodes)}
        self.call: list[int | None] = [trace.call.get(id(node)) for node in self.nodes]
        self.parents: list[list[int]] = []
        for node in self.nodes:
            inner = id(node) not in inputs and id(node) in trace.call
            self.parents.append([number[id(parent)] for parent in node.parents] if inner else [])
        self.names = [trace.names.get(id(node), "") for node in self.nodes]
        self.is_operation = [
            bool(self.parents[n] or (node.op and self.call[n] is not None and id(node) not in inputs))
            for n, node in enumerate(self.nodes)
        ]
        self.inputs = [number[id(node)] for node in trace.inputs if id(node) in number]
        self.roots = [number[id(node)] for node in trace.roots]
        self.kinds = [
            "input" if id(node) in inputs else (getattr(node, "kind", None) or "input") for node in self.nodes
        ]
        for n, (name, node) in enumerate(zip(self.names, self.nodes, strict=True)):
            if not self.is_operation[n] and id(node) not in inputs:
                self.kinds[n] = "parameter" if self._is_parameter(n, name) else "constant"

    def _is_parameter(self, n: int, name: str) -> bool:
        return bool(name) and (self.kinds[n] == "parameter" or getattr(self.nodes[n], "dtype", None) is None)

    def _chains(self) -> None:
        """Note of each call those that it happened in, outermost first, and the operations made within it."""
        calls = self.trace.calls
        self.chain: list[tuple[int, ...]] = []
        self.within: list[list[int]] = [[] for _ in calls]
        self.calls_in: list[list[int]] = [[] for _ in calls]
        for c, call in enumerate(calls):
            self.chain.append((*self.chain[call.parent], c) if call.parent is not None else (c,))
            if call.parent is not None:
                self.calls_in[call.parent].append(c)
        for n, made_in in enumerate(self.call):
            if made_in is not None and self.is_operation[n]:
                for c in self.chain[made_in]:
                    self.within[c].append(n)

    def _choose_boxes(self, depth: int | None, expand: frozenset[str], collapse: frozenset[str]) -> None:
        calls, modules = self.trace.calls, self.trace.modules
        opened: set[int] = set()
        for c, call in enumerate(calls):
            if {call.path, modules[call.path].kind} & expand:
                opened.update(self.chain[c])
        self.is_box: list[bool] = []
        for c, call in enumerate(calls):
            level = len(self.chain[c]) - 1
            if {call.path, modules[call.path].kind} & collapse:
                box = True
            elif c in opened:
                box = False
            else:
                box = (depth is not None and level >= depth) or (level > 0 and not self.calls_in[c])
            self.is_box.append(box)
        self._box_of = [next((c for c in chain if self.is_box[c]), None) for chain in self.chain]

    # --- what stands for what ------------------------------------------------------------------------

    def _fill(self, call: int, entries: list[Entry]) -> None:
        """Add what an open call holds: its own operations and the calls within it, repetitions once."""
        items = [Entry(node=n) for n in self.within[call] if self.call[n] == call]
        items += [Entry(call=c) for c in self.calls_in[call] if self.within[c]]
        # A call stands where its last operation stands: behind all that it needs.
        items.sort(key=self._last)
        at = 0
        for repeat in find_repeats(self._parts(call, items)) if self.fold else ():
            for item in items[at : repeat.start]:
                self._add(item, entries)
            end = repeat.start + repeat.count * repeat.period
            first = items[repeat.start : repeat.start + repeat.period]
            for place in range(repeat.start + repeat.period, end):
                self._replace(items[place], first[(place - repeat.start) % repeat.period])
            if repeat.period == 1:
                first[0].count, first[0].chained = repeat.count, repeat.chained
                first[0].last = items[end - 1].call
                self._add(first[0], entries)
            else:
                group = Entry(count=repeat.count, chained=repeat.chained)
                entries.append(group)
                for item in first:
                    self._add(item, group.inside)
            at = end
        for item in items[at:]:
            self._add(item, entries)

    def _last(self, item: Entry) -> int:
        """Return the last operation of an item."""
        if item.call is not None:
            return self.within[item.call][-1]
        assert item.node is not None
        return item.node

    def _add(self, item: Entry, entries: list[Entry]) -> None:
        entries.append(item)
        if item.node is not None:
            self._place[item.node] = entries
        elif item.call is not None and not self.is_box[item.call]:
            self._fill(item.call, item.inside)

    def _replace(self, item: Entry, first: Entry) -> None:
        if item.node is not None and first.node is not None:
            self._stands_for[item.node] = first.node
        elif item.call is not None and first.call is not None:
            self._stands_for.update(zip(self.within[item.call], self.within[first.call], strict=True))

    def _parts(self, call: int, items: list[Entry]) -> list[Part]:
        level = len(self.chain[call])
        place = {item.node if item.call is None else ~item.call: n for n, item in enumerate(items)}

        def source_of(parent: int) -> Any:
            if self.kinds[parent] == "parameter" and not self.is_operation[parent]:
                return ("parameter", _shape(self.nodes[parent]))
            made_in = self.call[parent]
            if not self.is_operation[parent] and made_in == call:
                return ("constant", _shape(self.nodes[parent]))
            if not self.is_operation[parent] or made_in is None or call not in self.chain[made_in]:
                return ("node", parent)
            return place[parent if made_in == call else ~self.chain[made_in][level]]

        parts = []
        for item in items:
            if item.call is None:
                n = self._last(item)
                sources = tuple(source_of(parent) for parent in self.parents[n])
                parts.append(Part((self.nodes[n].op, _shape(self.nodes[n])), sources, 3))
            else:
                outside = dict.fromkeys(self._outside(item.call))
                sources = tuple(source_of(parent) for parent in outside)
                least = 2 if self.calls_in[item.call] else 3
                parts.append(Part(self._sign(item.call), sources, least))
        return parts

    def _outside(self, call: int) -> Iterator[int]:
        """Yield what the operations of a call take from outside of it, parameters aside."""
        for n in self.within[call]:
            for parent in self.parents[n]:
                if not self._is_within(parent, call) and self.kinds[parent] != "parameter":
                    yield parent

    def _is_within(self, n: int, call: int) -> bool:
        made_in = self.call[n]
        return made_in is not None and call in self.chain[made_in]

    def _sign(self, call: int) -> int:
        """Return a number that two calls share if their classes, shapes and wiring agree."""
        place = {n: k for k, n in enumerate(self.within[call])}
        outside = {n: k for k, n in enumerate(dict.fromkeys(self._outside(call)))}
        level = len(self.chain[call])
        rows = []
        for n in self.within[call]:
            sources: list[Any] = []
            for parent in self.parents[n]:
                if parent in place:
                    sources.append(place[parent])
                elif parent in outside:
                    sources.append(("outside", outside[parent]))
                else:
                    sources.append((self.kinds[parent], _shape(self.nodes[parent])))
            made_in = self.call[n]
            assert made_in is not None
            kinds = tuple(self._module(c).kind for c in self.chain[made_in][level:])
            rows.append((self.nodes[n].op, _shape(self.nodes[n]), kinds, tuple(sources)))
        module = self._module(call)
        key = (module.kind, module.parameters, tuple(rows))
        return self._signatures.setdefault(key, len(self._signatures))

    def _module(self, call: int) -> Any:
        return self.trace.modules[self.trace.calls[call].path]

    # --- the edges -----------------------------------------------------------------------------------

    def counterpart(self, n: int) -> int:
        """Return the node that stands for this one in the drawing."""
        while n in self._stands_for:
            n = self._stands_for[n]
        return n

    def unit(self, n: int) -> int | str:
        """Return what a node is drawn as: itself, or the box of a call."""
        made_in = self.call[n]
        box = None if made_in is None or n in self._given else self._box_of[made_in]
        return n if box is None else f"call{box}"

    def _join(self) -> None:
        """Find the edges, and the leaves that are drawn, each beside the first operation that uses it."""
        self._given = set(self.inputs)
        edges: dict[tuple[int | str, int | str], None] = {}
        leaves: set[int] = set()
        for n in range(len(self.nodes)):
            if n in self._stands_for or not self.is_operation[n]:
                continue
            target = self.unit(n)
            for parent in self.parents[n]:
                if self.kinds[parent] == "parameter" and not isinstance(target, int):
                    continue
                source = self.unit(self.counterpart(parent))
                if source == target:
                    continue
                if isinstance(source, int) and not self.is_operation[source] and source not in self._given:
                    if source not in leaves:
                        self._place.get(n, self.top).append(Entry(node=source))
                    leaves.add(source)
                edges[source, target] = None
        self.edges = list(edges)
        self.outputs = list(dict.fromkeys(self.unit(self.counterpart(n)) for n in self.roots))


def _shape(node: Any) -> tuple[int, ...] | None:
    shape = getattr(node, "shape", None)
    return None if shape is None else tuple(shape)
