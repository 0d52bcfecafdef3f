"""Record the forward and the backward pass of a Tensor, for `micro.step`.

The backward pass is the engine's own, with something that looks on: what flows is what `backward()` adds to
`.grad`, to the last bit, while the graph is kept and no `.grad` is touched. Hooks run, since they change what
flows. Forward values are those that `keep_values` kept, or that autograd has saved; the others are not there.
"""

import functools
from typing import Any

from micro.steps import Flow, Made, Node, Pass, name_nodes
from micro.symbolic import show_constant
from micro.text import NOT_THERE, show_kind, show_quantity
from tensor.autograd.backpropagation import _first_gradients, _propagate
from tensor.autograd.grad_mode import _mode, set_grad_enabled
from tensor.autograd.keeping import Leaf
from tensor.autograd.operation import Operation
from tensor.devices import to_host
from tensor.differences import measure_flow
from tensor.wording import options_of, write, write_flow

LONGEST_ROW = 3
"""In a formula with numbers, rows of more elements stand as their shapes."""

HOW_TO_KEEP = (
    "what autograd did not save is a dot, and leaves are shown as they are now: compute within "
    "`with tensor.keep_values():`, or pass step a function, to see every value"
)


def record_pass(root, check: bool) -> Pass:
    """Return what one forward and one backward pass from `root`, a tensor, compute.

    check: beside each operation's backward, the same by finite differences along one direction, in float64.
    """
    return _Recording(root, check).finish()


class TensorPass(Pass):
    """A Pass that knows tensors by what made them."""

    def find(self, original: Any) -> int | None:
        """Return the number of a tensor or of a node; None if it had no part in the computation."""
        if hasattr(original, "_array"):
            made_by = original.grad_fn or original._made_by
            original = original if made_by is None else made_by
        elif isinstance(original, Leaf):
            original = _identity(original)
        if not self._numbers:
            self._numbers = {id(_identity(node)): number for number, node in enumerate(self.originals)}
        return self._numbers.get(id(original))


def _identity(node):
    """Return what a leaf stands for, if it still is there, else the node."""
    tensor = node.tensor if isinstance(node, Leaf) else None
    return node if tensor is None else tensor


class _Recording:
    """What one pass computes: by node, and by edge for what flows along it."""

    def __init__(self, root, check: bool) -> None:
        self._root, self._check = root, check
        self._sort(root.grad_fn or root._made_by or root)
        self._find_data()
        self._names = name_nodes(node.label for node in self._order)
        self._ran: list[int] = []
        self._flows: dict[int, list[list]] = {}  # by operation, for each parent: before, added, after, note
        self._incoming: dict[int, Any] = {}  # by operation: the gradient that it passed on
        self._sums: dict[int, Any] = {}  # by id of an edge: its gradient so far
        self._last: dict[int, list] = {}  # by id of an edge: the flow that added to it last
        self._start: Any = None
        if root.requires_grad:
            self._back_propagate()

    def finish(self) -> Pass:
        count = len(self._order)
        return TensorPass(
            nodes=Made(count, self._make_node),
            data=self._data,
            texts=Made(count, self._write),
            order=self._ran,
            flows=Made(count, self._make_flows),
            originals=self._order,
            start=self._wrap(self._start),
            note=self._say(),
            parents=self._parents,
        )

    def _say(self) -> str:
        if not self._root.requires_grad:
            return "nothing here requires gradients: there is no backward pass"
        return HOW_TO_KEEP if any(d is None for d in self._data) else ""

    def _wrap(self, array):
        return None if array is None else self._root._wrap(array)

    # --- forward -----------------------------------------------------------------------------------

    def _sort(self, root) -> None:
        """Number the nodes in order of computation: operations as they were recorded, leaves when used."""
        found, stack = {id(root): root}, [root]
        stand_ins = {}
        while stack:
            for parent in stack.pop().parents:
                if id(parent) not in found:
                    found[id(parent)] = parent
                    stack.append(parent)
                    if isinstance(parent, Leaf):
                        stand_ins[id(_identity(parent))] = parent
        operations = [node for node in found.values() if isinstance(node, Operation)]
        operations.sort(key=lambda node: node.sequence)
        self._order: list[Any] = []
        self._parents: list[tuple[int, ...]] = []
        self._number: dict[int, int] = {}

        def number(node, parents: tuple[int, ...]) -> int:
            # A leaf that is a tensor here, and one that was kept there, are one.
            node = stand_ins.get(id(node), node)
            if id(node) not in self._number:
                self._number[id(node)] = len(self._order)
                self._order.append(node)
                self._parents.append(parents)
            return self._number[id(node)]

        for node in operations:
            number(node, tuple([number(parent, ()) for parent in node.parents]))
        number(root, ())
        for id_, leaf in stand_ins.items():
            self._number.setdefault(id_, self._number[id(leaf)])

    def _find_data(self) -> None:
        """Take what was kept, then what was saved and not changed since."""
        self._data: list[Any] = [None] * len(self._order)
        for n, node in enumerate(self._order):
            if isinstance(node, Operation | Leaf):
                self._data[n] = node.data
            else:
                self._data[n] = self._wrap(self._root._kernels.copy(node._array))
        for n, node in enumerate(self._order):
            if not isinstance(node, Operation):
                continue
            for array, version, seen, i in node.versions:
                place = n if i is None else self._number.get(id(node.edges[i]))
                if place is not None and self._data[place] is None and version.count == seen:
                    self._data[place] = self._wrap(self._root._kernels.copy(array))
            if self._data[n] is None and node.is_view:
                self._data[n] = self._view_again(node, self._parents[n])
        if self._data[-1] is None:
            self._data[-1] = self._wrap(self._root._kernels.copy(self._root._array))

    def _view_again(self, node, parents: tuple[int, ...]):
        """Return a view of what is known of its operand, as a copy; None where that is not known."""
        base, options = self._data[parents[0]] if parents else None, options_of(node)
        if base is None or not options:
            return None
        view = node.show(base._array, options)
        return self._wrap(self._root._kernels.copy(view)) if view.shape == tuple(node.shape) else None

    # --- backward ----------------------------------------------------------------------------------

    def _back_propagate(self) -> None:
        root = self._root
        operations = [node for node in self._order if isinstance(node, Operation)]
        leaves = {id(e): e for node in operations for e in node.edges if not isinstance(e, Operation | None)}
        before = [(node.notes, node.notes.grad) for node in operations if node.notes is not None]
        only_inputs, _mode.only_inputs = _mode.only_inputs, True
        try:
            with set_grad_enabled(False):
                if root._array.size != 1:
                    raise RuntimeError(
                        f"step: gradients start from one number, such as a loss; got shape "
                        f"{tuple(root.shape)}: reduce it, by .sum() or .mean()"
                    )
                (start,) = _first_gradients("step", [root], None, False)
                self._start = start._array
                found = {}
                if root.grad_fn is not None:
                    inputs = list(leaves.values())
                    found = _propagate([root], [self._start], True, inputs, None, self._run)
        except RuntimeError as error:
            if any(node.saved is None for node in operations):
                raise RuntimeError(
                    "step: backward() has freed what this graph had saved; step before it, call "
                    "backward(retain_graph=True), or pass step a function that computes the loss"
                ) from error
            raise
        finally:
            _mode.only_inputs = only_inputs
            for notes, grad in before:
                notes.grad = grad
        for key, leaf in leaves.items():
            if key in found and leaf._hooks:
                self._note_hook(key, found[key])

    def _run(self, node, k, grad):
        """Run one operation backward, and note what it adds to which gradient."""
        number = self._number[id(node)]
        if node.hooks:
            self._note_hook(id(node), grad)
        incoming = node.backward(k, grad)
        self._incoming[number] = grad
        self._ran.append(number)
        flows = self._flows[number] = [[None, None, None, ""] for _ in self._parents[number]]
        for place, i in enumerate(_inputs_shown(node)):
            edge = node.edges[i]
            if edge is None or incoming[i] is None:
                continue
            added, flow = grad if node.hands_over else incoming[i], flows[place]
            before = None if node.hands_over else self._sums.get(id(edge))
            after = added if before is None else k.forward("add", before, added)
            flow[:3] = before, added, after
            self._sums[id(edge)], self._last[id(edge)] = after, flow
        return incoming

    def _note_hook(self, key: int, grad) -> None:
        """Note that a hook has made `grad` of the sum that had arrived."""
        if key not in self._last:  # the root
            self._start = grad
        elif grad is not self._sums[key]:
            flow = self._last[key]
            if to_host(flow[2]).tobytes() != to_host(grad).tobytes():
                flow[2], flow[3] = grad, "then changed by a hook"

    # --- what is made when it is looked at -----------------------------------------------------------

    def _make_node(self, number: int) -> Node:
        node = self._order[number]
        return Node(
            number, self._name(number), node.label, node.op, self._kind(number), self._parents[number],
            tuple(node.shape), node.dtype,
        )  # fmt: skip

    def _kind(self, number: int) -> str:
        return self._order[number].kind

    def _name(self, number: int) -> str:
        if number in self._names:
            return self._names[number]
        data = self._data[number]
        if self._kind(number) == "constant" and data is not None and data.ndim == 0:
            return show_constant(data.item())
        return f"v{number}"

    def _write(self, number: int) -> tuple[str, str]:
        node = self._order[number]
        if not isinstance(node, Operation):
            return "", ""
        places = dict(zip(_inputs_shown(node), self._parents[number], strict=False))
        count = max(len(node.edges), len(places)) if node.notes is None else len(self._parents[number])
        if node.notes is None:
            parents = [places.get(i) for i in range(count)]
        else:
            parents = list(self._parents[number])
        names = [NOT_THERE if p is None else self._name(p) for p in parents]
        numbers = [NOT_THERE if p is None else self._show(p) for p in parents]
        return write(node, names), write(node, numbers)

    def _show(self, number: int) -> str:
        """Return a small value in full, of another only its shape."""
        data, shape = self._data[number], tuple(self._order[number].shape)
        size = functools.reduce(lambda a, b: a * b, shape, 1)
        if data is None or len(shape) > 1 or size > LONGEST_ROW:
            return show_kind(shape, None)
        return show_quantity(data)

    def _make_flows(self, number: int) -> tuple[Flow, ...]:
        node = self._order[number]
        inputs = _inputs_shown(node)
        flows = []
        names = [NOT_THERE] * (max(inputs, default=-1) + 1)
        for i, parent in zip(inputs, self._parents[number], strict=True):
            names[i] = self._name(parent)
        for place, (i, parent) in enumerate(zip(inputs, self._parents[number], strict=True)):
            before, added, after, hook = self._flows[number][place]
            notes, measured = [], None
            if added is None:
                notes.append("" if node.edges[i] is not None else "needs no gradient")
            else:
                notes.append(_summed(node, tuple(self._incoming[number].shape), tuple(added.shape)))
                if self._check and not node.hands_over:
                    measured, note = measure_flow(node, place, self._incoming[number], added)
                    notes.append(note)
            derivative = "" if node.edges[i] is None else write_flow(node, i, names, self._name(number))
            gradients = (self._wrap(before), self._wrap(added), self._wrap(after))
            note = "; ".join(note for note in [*notes, hook] if note)
            flows.append(Flow(self._make_node(parent), derivative, None, *gradients, measured, note))
        return tuple(flows)


def _inputs_shown(node) -> list[int]:
    """Return, for each of a node's parents, the number of its edge."""
    if node.notes is None:
        return [i for i, edge in enumerate(node.edges) if edge is not None]
    return list(node.notes.places or range(len(node.notes.parents)))


def _summed(node, shape: tuple[int, ...], target: tuple[int, ...]) -> str:
    """Say over which dims a gradient of `shape` was summed to that of an operand that was broadcast."""
    if not node.broadcasts or shape == target or len(shape) < len(target):
        return ""
    lead = len(shape) - len(target)
    dims = [d for d, n in enumerate(shape) if d < lead or (target[d - lead] == 1 and n != 1)]
    if not dims:
        return ""
    *rest, last = map(str, dims)
    listed = f"dims {', '.join(rest)} and {last}" if rest else f"dim {last}"
    return f"summed over {listed}: {shape} -> {target}"
