"""What is left out where a graph is too large: equal operations in a row, and what is far from the result."""

from collections import Counter, deque

from viz.nodes import Node

SHORTEST_RUN = 3
"""Fewer equal operations in a row are drawn one by one."""

LEFT_OUT = -1
"""The number of an operand that is not drawn."""


def fold_runs(nodes: list[Node]) -> list[Node]:
    """Return `nodes` with each run of equal operations as one node that says how many it stands for.

    A run is a chain in which every result is used by the next operation alone, as in a + b + c + d. The node
    that stands for it has the number and the result of its last operation, and all operands from outside of
    it. Plain numbers that only one run uses, once each, become one constant. The root is never within a run.
    """
    uses = Counter(parent for node in nodes for parent in node.parents)
    at = {node.number: node for node in nodes}
    before: dict[int, int] = {}  # the operation that a run has in front of another, by number
    for node in nodes:
        for parent in node.parents if node.op else ():
            if at[parent].op == node.op and uses[parent] == 1 and not at[parent].label:
                before[node.number] = parent
                break
    inner = set(before.values())
    gone: set[int] = set()
    changed: dict[int, Node] = {}
    for node in nodes:
        if node.number not in before or node.number in inner:
            continue
        run = [node.number]
        while run[-1] in before:
            run.append(before[run[-1]])
        if len(run) >= SHORTEST_RUN:
            gone.update(run[1:])
            changed[node.number] = _fold(run[::-1], at, uses, gone)
    return [changed.get(node.number, node) for node in nodes if node.number not in gone]


def _fold(run: list[int], at: dict[int, Node], uses: Counter[int], gone: set[int]) -> Node:
    """Return one node for the operations of a run, the first of them first."""
    within = set(run)
    operands = [parent for number in run for parent in at[number].parents if parent not in within]
    constants: list[int] = []
    kept: list[int] = []
    for operand in operands:
        node = at[operand]
        lone = node.kind == "constant" and not node.label and uses[operand] == 1
        (constants if lone else kept).append(operand)
    if constants:
        first = at[constants[0]]
        gone.update(constants[1:])
        first.count = len(constants)
        if any(at[number].data != first.data for number in constants):
            first.data = None
        if any(at[number].grad != first.grad for number in constants):
            first.grad = None
        kept.append(first.number)
    last = at[run[-1]]
    last.parents, last.count = sorted(kept), len(run)
    return last


def keep_nearest(nodes: list[Node], most: int) -> list[Node]:
    """Return the `most` nodes nearest the root, by operations in between; other operands are `LEFT_OUT`."""
    if len(nodes) <= most:
        return nodes
    at = {node.number: node for node in nodes}
    root = nodes[-1].number
    near = {root}
    queue = deque([root])
    while queue and len(near) < most:
        for parent in at[queue.popleft()].parents:
            if parent not in near and len(near) < most:
                near.add(parent)
                queue.append(parent)
    kept = [node for node in nodes if node.number in near]
    for node in kept:
        node.parents = [parent if parent in near else LEFT_OUT for parent in node.parents]
    return kept
