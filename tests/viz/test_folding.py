"""Graphs that are too large: runs of equal operations, and what is nearest the result."""

import re

import pytest

import viz
from micro import Value

ARROW = r'^\t(\w+) -> (\w+) \[id="[^"]*" class="[^"]*"(?: label="([^"]*)")?'


def parts(root, **options):
    """Return the labels of boxes and ovals, and the edges between them."""
    source = viz.draw(root, **options).source
    labels = dict(re.findall(r'^\t(\w+) \[label="([^"]*)"', source, re.M))
    arrows = [
        (labels[a], labels[b], times)
        for a, b, times in re.findall(
            r'^\t(\w+) -> (\w+) \[id="[^"]*" class="[^"]*"(?: label="([^"]*)")?', source, re.M
        )
    ]
    return labels, arrows


def test_a_run_of_equal_operations_is_one():
    values = [Value(float(n), label=f"v{n}") for n in range(5)]
    total = ((((values[0] + values[1]) + values[2]) + values[3]) + values[4]).tanh()
    labels, arrows = parts(total, collapse=True)
    assert labels["op8"] == "+ ×4"
    assert "data 10.0 | grad ·" in labels.values()
    assert [a for a, b, _ in arrows if b == "+ ×4"] == [f"v{n} | data {n}.0 | grad ·" for n in range(5)]
    assert len(labels) == 5 + 2 + 2  # inputs, sum, tanh


def test_two_in_a_row_stay_two():
    x = Value(1.0)
    assert "×" not in viz.draw((x + 1) + 2, collapse=True).source
    assert "+ ×3" in viz.draw(((x + 1) + 2) + 3, collapse=True).source


def test_what_is_used_elsewhere_or_has_a_label_ends_a_run():
    x = Value(1.0)
    a = x.tanh().tanh().tanh()
    b = a.tanh().tanh().tanh()
    assert "tanh ×6" in viz.draw(b, collapse=True).source
    assert viz.draw(a * b, collapse=True).source.count("tanh ×3") == 2
    a.label = "a"
    assert viz.draw(b, collapse=True).source.count("tanh ×3") == 2


def test_numbers_that_joined_a_run_are_one_constant():
    x = Value(0.0, label="x")
    y = x
    for _ in range(100):
        y = y + 0.5
    labels, arrows = parts(y, collapse=True)
    assert sorted(labels.values()) == [
        "+ ×100",
        "data 0.5 | grad ·",
        "data 50.0 | grad ·",
        "x | data 0.0 | grad ·",
    ]
    y = x
    for n in range(100):
        y = y + n
    labels, arrows = parts(y, collapse=True)
    assert "data · | grad ·" in labels.values()  # they differ
    assert len(arrows) == 3


def test_an_operand_of_many_steps_has_one_edge_with_their_number():
    x = Value(1.0, label="x")
    y = x
    for _ in range(10):
        y = y * x
    _, arrows = parts(y, collapse=True)
    assert arrows[0][1:] == ("data 1.0 | grad ·", "")
    assert arrows[1] == ("x | data 1.0 | grad ·", "* ×10", "×11")


def test_the_nearest_values_are_kept_and_the_rest_is_counted():
    y = x = Value(0.1, label="x")
    for _ in range(50):
        y = (y.tanh() + x).sin()
    source = viz.draw(y, most=10).source
    assert "The 10 of 151 values that are nearest the result" in source
    assert source.count('id="node') == 10
    # an ellipsis where an operand is missing
    assert re.findall(r"^\t(rest\d+) -> (op\d+) ", source, re.M) == [("rest142", "op142")]
    assert '\trest142 [label="…" ' in source


def test_few_values_are_drawn_whole():
    y = Value(1.0) + 1 + 2 + 3
    assert viz.draw(y, most=7).source == viz.draw(y).source
    assert "+ ×3" in viz.draw(y, most=6).source
    assert "rest" not in viz.draw(y, most=6).source
    assert viz.draw(y, most=1).source.count('id="node') == 1


def test_a_million_operations_need_no_recursion():
    y = Value(0.0)
    for _ in range(1_000_000):
        y = y.sin()
    source = viz.draw(y, most=100).source
    assert "sin ×1,000,000" in source
    assert source.count("\n") < 20


@pytest.mark.parametrize("most", [0, -1, True, 2.5, "3"])
def test_most_is_a_number_of_values(most):
    with pytest.raises(ValueError, match="most is a number of values, at least 1, or None, got"):
        viz.draw(Value(1.0), most=most)


def test_unknown_splines_are_refused():
    with pytest.raises(ValueError, match=r"splines is 'spline', .* or None, got 'curvy'"):
        viz.draw(Value(1.0), splines="curvy")
    assert "splines=ortho" in viz.draw(Value(1.0), splines="ortho").source
