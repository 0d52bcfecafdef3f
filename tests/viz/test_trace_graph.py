"""The examples of micrograd's notebook `trace_graph`, with all that it shows and neither of its faults.

It shows data and gradient of every node and an oval for each operation. Its faults: `a + a` loses an edge,
since it keeps parents and edges in sets, whose order differs from run to run; and names are addresses.
"""

import random
import re

import pytest

import viz
from micro import Value, nn


def read(root):
    """Return the numbers of each box, the words in the ovals, and the edges, with repeats."""
    source = viz.draw(root).source
    boxes = re.findall(r'^\t(\d+) \[label="(?:.*? \| )?data (\S+) \| grad (\S+)"', source, re.M)
    ovals = re.findall(r'^\top(\d+) \[label="(.*?)"', source, re.M)
    return boxes, ovals, re.findall(r"^\t(\w+) -> (\w+)", source, re.M)


def relu():
    x = Value(1.0)
    return (x * 2 + 1).relu()


def neuron():
    random.seed(1337)
    n = nn.Neuron(2)
    return n([Value(1.0), Value(-2.0)])


def test_the_first_example():
    y = relu()
    y.backward()
    boxes, ovals, edges = read(y)
    assert [(data, grad) for _, data, grad in boxes] == [
        ("1.0", "2.0"),
        ("2.0", "1.0"),
        ("2.0", "1.0"),
        ("1.0", "1.0"),
        ("3.0", "1.0"),
        ("3.0", "1.0"),
    ]
    assert [word for _, word in ovals] == ["*", "+", "ReLU"]
    assert edges == [
        ("op2", "2"),
        ("0", "op2"),
        ("1", "op2"),
        ("op4", "4"),
        ("2", "op4"),
        ("3", "op4"),
        ("op5", "5"),
        ("4", "op5"),
    ]


@pytest.mark.parametrize("make", [relu, neuron])
def test_every_node_and_edge_is_drawn_with_its_numbers(make):
    root = make()
    root.backward()
    nodes, seen = [root], {id(root)}
    for node in nodes:
        for parent in node.parents:
            if id(parent) not in seen:
                seen.add(id(parent))
                nodes.append(parent)
    boxes, ovals, edges = read(root)
    shown = sorted((f"{n.data:.4f}".rstrip("0"), f"{n.grad:.4f}".rstrip("0")) for n in nodes)
    drawn = sorted((f"{float(d):.4f}".rstrip("0"), f"{float(g):.4f}".rstrip("0")) for _, d, g in boxes)
    assert drawn == shown
    assert sorted(word for _, word in ovals) == sorted(n.op for n in nodes if n.op)
    assert len(edges) == sum(len(n.parents) + bool(n.op) for n in nodes)


def test_it_is_what_the_notebook_draws():
    engine = pytest.importorskip("micrograd.engine", reason="micrograd is not installed")
    x = engine.Value(1.0)
    theirs = (x * 2 + 1).relu()
    theirs.backward()
    nodes, edges = set(), set()  # as its `trace` gathers them

    def gather(node):
        if node not in nodes:
            nodes.add(node)
            for child in node._prev:
                edges.add((child, node))
                gather(child)

    gather(theirs)
    ours = relu()
    ours.backward()
    boxes, ovals, drawn = read(ours)
    assert sorted((float(d), float(g)) for _, d, g in boxes) == sorted((n.data, n.grad) for n in nodes)
    assert sorted(word for _, word in ovals) == sorted(n._op for n in nodes if n._op)
    assert len(drawn) == len(edges) + len(ovals)


def test_an_operand_used_twice_has_two_edges():
    a = Value(3.0, label="a")
    b = a + a
    b.backward()
    boxes, _, edges = read(b)
    assert boxes == [("0", "3.0", "2.0"), ("1", "6.0", "1.0")]
    assert edges.count(("0", "op1")) == 2


@pytest.mark.parametrize("make", [relu, neuron])
def test_no_name_is_an_address_and_no_order_a_sets(make):
    first, second = make(), make()
    junk = [Value(float(n)) for n in range(1000)]
    assert viz.draw(first).source == viz.draw(second).source == viz.draw(make()).source
    assert str(id(first)) not in viz.draw(first).source
    assert len(junk) == 1000


def test_labels_and_the_direction_of_the_notebook():
    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    z = x * y
    z.label = "z"
    assert re.findall(r'"(\w) \| data', viz.draw(z).source) == ["x", "y", "z"]
    for direction in ("LR", "TB"):
        assert f"rankdir={direction}" in viz.draw(z, rankdir=direction).source
    assert viz.draw(z, format="png").format == "png"
