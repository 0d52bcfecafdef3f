"""Record the forward and the backward pass of a Value, for the stepper.

The gradients are computed as `Value.backward` computes them, in the same order and by the same formulas,
so they are the same to the last bit; but beside the graph, whose own gradients stay as they are.
"""

from typing import Any

from micro.differences import measure_slope
from micro.ieee import calculate
from micro.steps import Flow, Made, Node, Pass, name_nodes
from micro.symbolic import fill, show_constant, write_derivative, write_forward
from micro.text import show_number


def record_pass(root: Any, check: bool) -> Pass:
    """Return what one forward and one backward pass from `root` compute, `check` with finite differences."""
    return _Recording(root, check).finish()


BY_HAND = "by the node's own _backward"


class _Recording:
    """The numbers of one pass: by node, and by edge for what flows along it."""

    def __init__(self, root: Any, check: bool) -> None:
        self._check = check
        self._order, self._parents = _sort(root)
        self._data = [node.data for node in self._order]
        self._names = name_nodes(node.label for node in self._order)
        newest_first = range(len(self._order) - 1, -1, -1)
        self._operations = [n for n in newest_first if self._order[n]._rule is not None]
        # For each parent of an operation, in order: before, contribution, after. All in one list, since a
        # million small ones take the cyclic collector seconds; `_first` says where an operation's begin.
        self._flows: list[Any] = []
        self._first = [0] * len(self._order)
        self._grads: list[Any] = [None] * len(self._order)
        self._grads[-1] = 1.0
        self._back_propagate()

    def finish(self) -> Pass:
        count = len(self._order)
        return Pass(
            nodes=Made(count, self._make_node),
            data=self._data,
            texts=Made(count, self._write),
            order=self._operations,
            flows=Made(count, self._make_flows),
            originals=self._order,
            parents=self._parents,
            names=self._names,
        )

    def _back_propagate(self) -> None:
        grads = self._grads
        for number in self._operations:
            node, parents = self._order[number], self._parents[number]
            rule = node._rule
            self._first[number] = len(self._flows)
            if _is_by_hand(rule):
                self._run_closure(number)
                continue
            arguments = [*[self._data[p] for p in parents], self._data[number], grads[number], *rule.options]
            # all before any is added, as the engine does
            contributions = [calculate(derivative, *arguments) for derivative in rule.formula.derivatives]
            for parent, contribution in zip(parents, contributions, strict=True):
                before = grads[parent]
                grads[parent] = (0.0 if before is None else before) + contribution
                self._flows += before, contribution, grads[parent]

    def _run_closure(self, number: int) -> None:
        """Let a node of the user's own pass its gradient on, on gradients lent to it."""
        node, parents, grads = self._order[number], self._parents[number], self._grads
        involved = {number, *parents}
        kept = {n: self._order[n].grad for n in involved}
        try:
            for n in involved:
                self._order[n].grad = 0.0 if grads[n] is None else grads[n]
            node._rule.propagate(node)
            after = {n: self._order[n].grad for n in parents}
        finally:
            for n, grad in kept.items():
                self._order[n].grad = grad
        for place, parent in enumerate(parents):
            before = grads[parent]
            if parent in parents[:place]:  # of `a, a` it is not known what was added for which
                self._flows += after[parent], None, after[parent]
            else:
                added = after[parent] - (0.0 if before is None else before)
                self._flows += before, added, after[parent]
        for parent in parents:
            grads[parent] = after[parent]

    # --- what is made when it is looked at -----------------------------------------------------------

    def _make_node(self, number: int) -> Node:
        node = self._order[number]
        return Node(
            number, self._name(number), node.label, node.op, self._kind(number), self._parents[number]
        )

    def _kind(self, number: int) -> str:
        node = self._order[number]
        return "operation" if node._rule is not None else getattr(node, "kind", "input")

    def _name(self, number: int) -> str:
        if number in self._names:
            return self._names[number]
        return show_constant(self._data[number]) if self._kind(number) == "constant" else f"v{number}"

    def _write(self, number: int) -> tuple[str, str]:
        node, parents = self._order[number], self._parents[number]
        if self._kind(number) != "operation":
            return "", show_number(node.data)
        names = [self._name(p) for p in parents]
        numbers = [show_number(self._data[p]) for p in parents]
        if _is_by_hand(node._rule):
            return _write_by_hand(node.op, names), _write_by_hand(node.op, numbers)
        rule = node._rule
        template, variables = write_forward(rule.formula, rule.options), _variables(rule)
        return (
            fill(template, dict(zip(variables, names, strict=True))),
            fill(template, dict(zip(variables, numbers, strict=True))),
        )

    def _make_flows(self, number: int) -> tuple[Flow, ...]:
        rule, parents = self._order[number]._rule, self._parents[number]
        first = self._first[number]
        last = first + 3 * len(parents)
        triples = [(self._flows[n], self._flows[n + 1], self._flows[n + 2]) for n in range(first, last, 3)]
        if _is_by_hand(rule):
            return tuple(
                Flow(self._make_node(parent), "", None, *triple, note=BY_HAND)
                for parent, triple in zip(parents, triples, strict=True)
            )
        names = dict(zip(_variables(rule), [self._name(p) for p in parents], strict=True))
        names["out"] = self._name(number) if "out" in names.values() else "out"
        constants = {
            variable: self._data[parent]
            for variable, parent in zip(_variables(rule), parents, strict=True)
            if self._kind(parent) == "constant" and parent not in self._names
        }
        operands = [self._data[p] for p in parents]
        arguments = [*operands, self._data[number], 1.0, *rule.options]
        flows = []
        for place, (parent, numbers) in enumerate(zip(parents, triples, strict=True)):
            template = write_derivative(rule.formula, rule.options, place, constants)
            local = calculate(rule.formula.derivatives[place], *arguments)
            slope, note = None, ""
            if self._check:

                def function(x: float, place: int = place) -> float:
                    moved = [*operands[:place], x, *operands[place + 1 :]]
                    return calculate(rule.formula.forward, *moved, *rule.options)

                slope, note = measure_slope(function, operands[place])
            flows.append(Flow(self._make_node(parent), fill(template, names), local, *numbers, slope, note))
        return tuple(flows)


def _is_by_hand(rule: Any) -> bool:
    """Whether the user gave the node its closure: there is no formula then."""
    return not hasattr(rule, "formula")


def _write_by_hand(op: str, operands: list[str]) -> str:
    """Return `a + b`, `a**2` or `tanh(a)`, as micrograd names its operations."""
    if op in ("+", "-", "*", "/", "**", "@") and len(operands) == 2:
        return fill((f"x {op} y".replace(" ** ", "**"), True), {"x": operands[0], "y": operands[1]})
    if op.startswith("**") and len(operands) == 1:
        return fill((f"x{op}", True), {"x": operands[0]})
    return f"{op}({', '.join(operands)})"


def _variables(rule: Any) -> tuple[str, ...]:
    variables = rule.formula.variables
    return variables[: len(rule.formula.derivatives)]


def _sort(root: Any) -> tuple[list[Any], list[tuple[int, ...]]]:
    """Return the nodes in the order of `Value.backward`, each after its parents; and the parents' numbers."""
    order: list[Any] = []
    parents_of: list[tuple[int, ...]] = []
    numbers = {id(root): 0}  # of what has been met; its place in the order once it has one
    path = [root]
    operands = [root.parents]
    rest = [iter(operands[0])]  # for each node of the path those of its parents that were not visited yet
    while path:
        for parent in rest[-1]:
            if id(parent) in numbers:
                continue
            if parent._rule is None:
                numbers[id(parent)] = len(order)
                order.append(parent)
                parents_of.append(())
                continue
            numbers[id(parent)] = 0
            path.append(parent)
            operands.append(parent.parents)
            rest.append(iter(operands[-1]))
            break
        else:
            node = path.pop()
            rest.pop()
            numbers[id(node)] = len(order)
            order.append(node)
            parents_of.append(tuple([numbers[id(parent)] for parent in operands.pop()]))
    return order, parents_of
