"""Derivatives and gradients on the edges: every shown number is the engine's."""

import re

import numpy as np
import pytest

import viz
from micro import Value
from micro.stepper import step

EDGE = re.compile(r'^\t(\w+) -> (\w+) \[id="([^"]*)" class="([^"]*)"(.*)\]$', re.M)


def edges(root, **options):
    """Return the attributes of each edge, its class among them, by id."""
    found = {}
    for _, _, name, word, rest in EDGE.findall(viz.draw(root, **options).source):
        attributes = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', rest))
        found[name] = {"class": word, **attributes}
    return found


def label(edge):
    return edge["label"].replace("\\n", "").strip()


def product():
    x, y = Value(2.0, label="x"), Value(-3.0, label="y")
    return x * y


def test_an_edge_carries_the_derivative_with_its_formula():
    found = edges(product(), derivatives=True)
    assert label(found["edge0-2-0"]) == "y = -3.0"
    assert label(found["edge1-2-1"]) == "x = 2.0"
    assert found["edge0-2-0"]["edgetooltip"] == found["edge0-2-0"]["labeltooltip"] == "y = -3.0"
    assert "label" not in found["result2"]


def test_a_derivative_that_is_a_number_is_not_said_twice():
    x, y = Value(2.0), Value(3.0)
    found = edges(x - y, derivatives=True)
    assert [label(found[name]) for name in ("edge0-2-0", "edge1-2-1")] == ["1.0", "-1.0"]


def test_each_edge_of_a_value_used_twice_has_its_own():
    a, b = Value(3.0, label="a"), Value(2.0, label="b")
    found = edges(a * a, derivatives=True, flow=True)
    assert [label(found[name]) for name in ("edge0-1-0", "edge0-1-1")] == ["a = 3.0", "a = 3.0"]
    found = edges(a * b - a, derivatives=True, flow=True)
    assert found["edge0-2-0"]["class"] == "operand positive"
    assert found["edge0-3-1"]["class"] == "operand negative"


def test_a_long_formula_waits_under_the_pointer():
    found = edges(Value(1.0, label="a long name of a value") * Value(2.0, label="y"), derivatives=True)
    edge = found["edge1-2-1"]
    assert len(label(edge)) <= 32
    assert "1.0" in edge["edgetooltip"]


def test_a_derivative_stands_clear_of_its_edge():
    for rankdir in (
        "TB",
        "BT",
    ):  # beside a line that runs down: the packaged Graphviz measures text too short
        assert edges(product(), derivatives=True, rankdir=rankdir)["edge0-2-0"]["label"] == "   y = -3.0   "
    assert edges(product(), derivatives=True)["edge0-2-0"]["label"] == " y = -3.0\\n "


def test_results_have_the_names_that_derivatives_speak_of():
    x = Value(2.0, label="x")
    source = viz.draw((x * 3) * x, derivatives=True).source
    assert 'label="v2 | data 6.0' in source
    assert "v2 = 6.0" in source
    assert "v2" not in viz.draw((x * 3) * x).source


def test_colour_is_the_sign_and_width_the_size():
    found = edges(product(), flow=True)
    # d z / d x = -3, d z / d y = 2
    assert found["edge0-2-0"] == {
        "class": "operand negative", "color": "#d55e00", "penwidth": "5.00", "style": "dashed"
    }  # fmt: skip
    assert found["edge1-2-1"]["class"] == "operand positive"
    assert "style" not in found["edge1-2-1"]
    assert float(found["edge1-2-1"]["penwidth"]) == pytest.approx(0.5 + 4.5 * (2 / 3) ** 0.5, abs=0.005)
    assert found["result2"]["class"] == "result positive"


def test_gradients_that_are_zero_infinite_or_nan():
    zero, x = Value(0.0), Value(1.0)
    assert edges(zero * x, flow=True)["edge1-2-1"]["class"] == "operand zero"
    root = edges(Value(0.0).sqrt() * 2, flow=True)
    assert root["edge0-1-0"] == {"class": "operand positive", "color": "#0072b2", "penwidth": "5.00"}
    assert edges(zero * (zero / zero).log(), flow=True)["edge0-3-0"]["class"] == "operand nan"
    assert edges(Value(1.0) * 0 * 0, flow=True)["edge0-2-0"]["penwidth"] == "0.50"


def test_the_gradients_are_those_of_the_pass_and_the_users_stay():
    z = product()
    source = viz.draw(z, flow=True).source
    assert 'label="x | data 2.0 | grad -3.0"' in source
    assert not z.has_grad
    assert 'label="x | data 2.0 | grad ·"' in viz.draw(z).source
    z.backward()
    z.backward()
    assert 'label="x | data 2.0 | grad -6.0"' in viz.draw(z).source
    assert 'label="x | data 2.0 | grad -3.0"' in viz.draw(z, flow=True).source


def test_a_stepper_is_drawn_as_known_at_its_position():
    s = step(product())
    data = lambda: re.findall(r"data (\S+) \| grad (\S+)\"", viz.draw(s).source)  # noqa: E731
    assert data() == [("·", "·")] * 3
    s.goto(2)
    assert data() == [("2.0", "·"), ("-3.0", "·"), ("·", "·")]
    s.run(until="loss")
    assert data() == [("2.0", "·"), ("-3.0", "·"), ("-6.0", "1.0")]
    assert edges(s, flow=True, derivatives=True)["edge0-2-0"] == {"class": "operand"}
    s.run()
    assert data() == [("2.0", "-3.0"), ("-3.0", "2.0"), ("-6.0", "1.0")]
    assert edges(s, flow=True)["edge0-2-0"]["class"] == "operand negative"


def test_the_numbers_of_the_drawing_are_those_of_the_steps():
    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    z = (x * y + 2 * x).relu() * (y + y)
    assert viz.draw(step(z)).source.count('id="node') == len(step(z).nodes)
    drawn = re.findall(r"^\t(\w+) -> op(\w+) ", viz.draw(z).source, re.M)
    assert drawn == [(str(p), str(node.number)) for node in step(z).nodes for p in node.parents]


def test_arrays_count_by_their_norm_and_have_no_sign():
    import tensor

    w = tensor.tensor([3.0, -4.0], requires_grad=True)
    with tensor.keep_values():
        loss = (w * w).sum()
    found = edges(loss, flow=True, derivatives=True)
    assert found["edge0-1-0"]["class"] == "operand unsigned"
    # the gradient of each of the two operands is w, of norm 5
    assert found["edge0-1-0"]["penwidth"] == found["edge0-1-1"]["penwidth"] == "5.00"
    assert "label" in found["edge0-1-0"]
    assert np.allclose(w.detach().numpy(), [3.0, -4.0])
    assert w.grad is None


def test_the_legend_explains_what_there_is():
    source = viz.draw(product(), flow=True, legend=True).source
    for word in ("input", "output", "operation", "gradient above 0", "gradient below 0"):
        assert f'[label="{word}"' in source
    for word in ("constant", "parameter", "result", "not shown", "gradient nan", "gradient of an array"):
        assert f'[label="{word}"' not in source


def test_what_records_no_pass_is_refused():
    class Node:
        parents, op, label, data, grad = (), "", None, 1.0, None

    assert "data 1.0" in viz.draw(Node()).source
    for option in ("derivatives", "flow"):
        with pytest.raises(TypeError, match=r"derivatives and flow need a backward pass .* Node cannot"):
            viz.draw(Node(), **{option: True})
