"""The DOT text is compared, not the picture: two versions of Graphviz lay the same text out differently."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import graphviz
import numpy as np
import pytest

import viz
from micro.trace import sort_by_parents
from viz.nodes import norm

ROOT = Path(__file__).parents[2]


class Node:
    """Answers `viz.Drawable`, and nothing else."""

    __slots__ = ("data", "grad", "label", "op", "parents")

    def __init__(self, data=None, parents=(), op="", label=None, grad=None):
        self.data, self.parents, self.op, self.label, self.grad = data, parents, op, label, grad


class Recorded(Node):
    """A tensor operation whose result was not kept: only its kind is known."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape, dtype, parents=(), op=""):
        super().__init__(None, parents, op)
        self.shape, self.dtype = shape, dtype


def example():
    """Return the graph of out = x * y + relu(x ** 2) after its backward pass."""
    x, y = Node(2.0, label="x", grad=7.0), Node(3.0, label="y", grad=2.0)
    product = Node(6.0, (x, y), "*", grad=1.0)
    square = Node(4.0, (x,), "**2", grad=1.0)
    return Node(10.0, (product, Node(4.0, (square,), "relu", grad=1.0)), "+", "out", 1.0)


def body(root):
    """Return the lines of DOT after the style."""
    return "".join(viz.draw(root).body)


def edges(root):
    """Return the ids of the edges from operands."""
    return re.findall(r'id="(edge[^"]*)"', body(root))


def test_draw_sets_the_format_the_direction_and_a_background():
    graph = viz.draw(Node(1.0), format="png", rankdir="TB")
    assert isinstance(graph, graphviz.Digraph)
    assert graph.format == "png"
    assert "rankdir=TB" in graph.source
    assert "bgcolor=white" in graph.source  # or dark ink would stand on a dark page


def test_a_value_used_twice_by_one_operation_has_two_edges():
    a = Node(3.0, label="a")
    assert edges(Node(6.0, (a, a), "+")) == ["edge0-1-0", "edge0-1-1"]


def test_a_value_used_by_two_operations_is_drawn_once():
    assert body(example()).count("x | data") == 1


def test_parents_without_an_operation_are_joined_directly():
    assert "\t0 -> 1 [" in body(Node(1.0, (Node(1.0),)))


def test_a_deep_chain_needs_no_recursion():
    node = Node(1.0)
    for _ in range(50_000):
        node = Node(1.0, (node,), "+")
    assert len(sort_by_parents([node])) == 50_001
    assert body(node).count("->") == 100_000


def test_sort_puts_every_node_after_its_parents_once():
    root = example()
    order = sort_by_parents([root])
    position = {id(node): i for i, node in enumerate(order)}
    assert len(position) == len(order) == 6
    assert all(position[id(parent)] < position[id(node)] for node in order for parent in node.parents)
    assert order[-1] is root


@pytest.mark.parametrize(
    ("array", "size"),
    [
        (-3.0, 3.0),
        (np.array([3.0, -4.0]), 5.0),
        (np.full(4, 1e300), 2e300),
        (np.full(4, 1e-300), 2e-300),
        (np.array([1, -1, 1, 1]), 2.0),
        (np.zeros((0, 3)), 0.0),
        (np.array([1.0, np.inf]), np.inf),
        (np.array(["a"]), None),
    ],
)
def test_norm(array, size):
    assert norm(array) == (size if size is None else pytest.approx(size))


def test_norm_of_nan_is_nan():
    assert np.isnan(norm(np.array([1.0, np.nan])))


# --- labels ----------------------------------------------------------------------------------------

LABELS = {
    "<script>alert(1)</script>": r"\<script\>alert(1)\</script\>",
    "<b>": r"\<b\>",
    "{a|b}": r"\{a\|b\}",
    'say "hi"': r"say \"hi\"",
    "back\\slash \\n \\": r"back\\slash \\n \\",
    "two\nlines": r"two\nlines",
    "&lt; & &#65;": r"&amp;lt; &amp; &amp;#65;",
    "größe 重み 🙂": "größe 重み 🙂",
    "a:b -> c;": r"a:b -\> c;",
    "\\N %s \\G": r"\\N %s \\G",
    "nul\0 \ud800": "nul\ufffd \ufffd",
    "x" * 100: "x" * 59 + "…",
}


@pytest.mark.parametrize(("label", "expected"), LABELS.items(), ids=range(len(LABELS)))
def test_labels_are_escaped(label, expected):
    assert f'label="{expected} | data 1.0 |' in body(Node(1.0, label=label))


@pytest.mark.parametrize("label", [None, "", "  ", "\n"])
def test_an_empty_label_has_no_field(label):
    assert '"data 1.0 | grad ·"' in body(Node(1.0, label=label))


def test_an_operation_that_looks_like_html_is_text():
    assert '[label="<b>x</b> \\"|\\" \\\\" ' in body(Node(1.0, (Node(1.0),), '<b>x</b> "|" \\'))


# --- quantities ------------------------------------------------------------------------------------


def test_what_was_not_recorded_is_shown_by_its_kind():
    assert 'label="float32 (64, 10) | grad ·"' in body(Recorded((64, 10), np.dtype("float32"), op="matmul"))


def test_what_was_not_computed_is_not_a_zero():
    assert '"data · | grad ·"' in body(Node())


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [3.0, None, "x"])
def test_draw_refuses_what_records_no_computation(root):
    with pytest.raises(
        TypeError, match=f"draw: expected a Value, a Tensor or a Stepper, got {type(root).__name__}"
    ):
        viz.draw(root)


def test_draw_refuses_an_unknown_direction_and_format():
    with pytest.raises(ValueError, match="rankdir is 'LR', 'RL', 'TB' or 'BT', got 'up'"):
        viz.draw(Node(1.0), rankdir="up")
    with pytest.raises(ValueError, match="gif87"):
        viz.draw(Node(1.0), format="gif87")


def test_the_picture_shows_every_label_as_it_is(tmp_path):
    labels = [label for label in LABELS if "\n" not in label]
    leaves = tuple(Node(1.0, label=label) for label in labels)
    svg = ElementTree.parse(viz.save(Node(1.0, leaves, "<b>"), tmp_path / "graph.svg"))
    texts = {element.text.replace("\xa0", " ") for element in svg.iter("{http://www.w3.org/2000/svg}text")}
    expected = {re.sub("[\0\ud800]", "\ufffd", label) for label in labels if len(label) < 60}
    assert expected | {"<b>"} <= texts
    assert not list(svg.iter("{http://www.w3.org/2000/svg}script"))


# --- the engines -----------------------------------------------------------------------------------


def test_a_value_graph():
    from micro import Value

    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    z = (x**2).relu() + x * y
    z.backward()
    lines = body(z)
    for text in (
        '"x | data 2.0 | grad 7.0"',
        '"y | data 3.0 | grad 2.0"',
        '"data 10.0 | grad 1.0"',
        '"**2"',
    ):
        assert text in lines
    assert edges(x + x) == ["edge0-1-0", "edge0-1-1"]


def test_a_gradient_is_a_dot_until_a_backward_pass_has_reached_the_node():
    from micro import Value

    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    z = x * y
    assert body(z).count("grad ·") == 3
    z.backward()
    assert body(z * y).count("grad ·") == 1  # what was added since
    x.grad = 0.0
    assert '"x | data 2.0 | grad 0.0"' in body(z)  # somebody set it
    a = Value(0.0, label="a")
    (a * a).backward()
    assert '"a | data 0.0 | grad 0.0"' in body(a)  # a gradient that is zero


def test_a_number_that_joined_is_a_constant():
    from micro import Value

    x = Value(2.0, label="x")
    for z in (2 * x, x * 2, 1 - x, x / 3, 2**x, x.maximum(0)):
        assert body(z).count('class="constant" style="filled,dashed"') == 1
    assert 'class="constant"' not in body(x**2)


def test_the_parameters_of_a_network_have_a_form_of_their_own():
    from micro import Value, nn

    x = [Value(1.0, label="x0"), Value(2.0, label="x1")]
    lines = body(nn.Neuron(2)(x))
    assert lines.count('class="parameter" shape="Mrecord"') == 3
    assert lines.count('class="input"') == 2
    assert [p.kind for p in nn.MLP(2, [2, 1]).parameters()] == ["parameter"] * 9
    assert nn.Neuron(1).b.detach().kind == "input"


def test_a_tensor_graph():
    import tensor

    w = tensor.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    w.label = "w"
    loss = (w * tensor.ones(2, 2)).sum()
    data = "w | float32 (2, 2) | data\\n[[1.0, 2.0],\\n[3.0, 4.0]]"
    assert f'"{data} | grad ·"' in body(loss)
    loss.backward()
    loss.label = "loss"
    lines = body(loss)
    assert f'"{data} | grad\\n[[1.0, 1.0],\\n[1.0, 1.0]]"' in lines
    assert '"float32 (2, 2) | grad ·"' in lines  # the product, which nobody kept
    assert '"loss | float32 () | data 10.0 | grad ·"' in lines
    assert edges(w + w) == ["edge0-1-0", "edge0-1-1"]
    big = tensor.ones(64, 784, requires_grad=True)
    assert '"float32 (64, 784) | data norm 224.0 | grad ·"' in body(big)
