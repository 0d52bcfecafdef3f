import copy
import gc
import math
import pickle
import random
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro import Value
from micro.formulas import FORMULAS, Formula
from micro.value import sort_topologically

nan, inf = math.nan, math.inf


@contextmanager
def no_cyclic_collector():
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# --- micrograd's interface -----------------------------------------------------------------------------


def assert_equal_to_torch(program, *numbers):
    """Run the same program on Values and on tensors: the result and the gradients of its inputs agree."""
    torch = pytest.importorskip("torch", reason="the comparison needs PyTorch")
    ours = [Value(number) for number in numbers]
    theirs = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers]
    result, expected = program(*ours), program(*theirs)
    result.backward()
    expected.backward()
    assert result.data == pytest.approx(expected.item(), rel=1e-12)
    for v, t in zip(ours, theirs, strict=True):
        assert v.grad == pytest.approx(t.grad.item(), rel=1e-12)


def test_sanity_check():
    """micrograd's own first test."""

    def program(x):
        z = 2 * x + 2 + x
        q = z.relu() + z * x
        h = (z * z).relu()
        return h + q + q * x

    assert_equal_to_torch(program, -4.0)


def test_more_ops():
    """micrograd's own second test."""

    def program(a, b):
        c = a + b
        d = a * b + b**3
        c += c + 1
        c += 1 + c + (-a)
        d += d * 2 + (b + a).relu()
        d += 3 * d + (b - a).relu()
        e = c - d
        f = e**2
        g = f / 2.0
        g += 10.0 / f
        return g

    assert_equal_to_torch(program, -4.0, 2.0)


def test_every_operator_in_both_orders():
    def program(x, y):
        left = (x + 2) * (x - 2) / (x * 3.0) - x / 2 + x**2.5
        right = (2 + y) * (2 - y) / (3.0 * y) - 2 / y + 2**y
        return left * right + abs(-x) ** y

    assert_equal_to_torch(program, 1.3, 2.2)


def trace(root):
    """The walk of micrograd's `trace_graph` notebook, as it stands there."""
    nodes, edges = set(), set()

    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(root)
    return nodes, edges


def test_trace_graph_of_micrograd():
    a, b = Value(2.0), Value(-3.0)
    c = a * b
    out = ((c + a) ** 2).relu()
    nodes, edges = trace(out)
    assert nodes == {a, b, c, out._prev[0]._prev[0], out._prev[0], out}
    assert (a, c) in edges
    assert (c, a) not in edges
    assert sorted(n._op for n in nodes) == ["", "", "*", "**2", "+", "ReLU"]
    assert all("%.4f" % n.data for n in nodes)  # noqa: UP031, the notebook's way


def test_backward_by_hand_through_closures():
    a, b = Value(2.0), Value(-3.0)
    c = a * b
    c.grad = 1.0
    c._backward()
    a._backward()  # a leaf passes nothing on
    assert (a.grad, b.grad) == (-3.0, 2.0)


# --- the number ----------------------------------------------------------------------------------------


def test_repr():
    assert repr(Value(3)) == "Value(data=3.0, grad=0.0)"
    assert repr(Value(3.0, "x")) == "Value(data=3.0, grad=0.0, label='x')"
    assert repr(Value(3.0, label="x") + 1) == "Value(data=4.0, grad=0.0)"


def test_as_a_number():
    x = Value(2.75)
    assert float(x) == 2.75
    assert int(x) == 2
    assert f"{x:.1f}" == "2.8"
    assert f"{x}" == repr(x)


def test_comparisons_are_by_number_and_equality_by_identity():
    a, b = Value(2.0), Value(2.0)
    assert a <= b
    assert a >= 2
    assert a < 3
    assert a > 1
    assert a > Value(1.0)
    assert not a < b
    assert a != b
    assert len({a, b, a}) == 2
    assert Value(0.0), "a Value is true, as any object: code asks `if self.b` for its presence"


@pytest.mark.parametrize(
    "number",
    [2, True, 2.0, np.float32(2), np.float64(2), np.int64(2), np.uint8(2), np.bool_(True), np.array(2.0)],
)
def test_accepts_numbers(number):
    assert type(Value(number).data) is float
    for result in (
        Value(3.0) * number,
        number * Value(3.0),
        Value(3.0).maximum(number),
        Value(3.0) ** number,
    ):
        assert type(result) is Value
        assert type(result.data) is float


@pytest.mark.parametrize(
    ("wrong", "got", "repair"),
    [
        ("3", "got str '3'", "float("),
        ([1.0], "got list [1.0]", "elements"),
        (np.ones(2), "got ndarray", "elements"),
        (None, "got NoneType None", "return"),
        (1j, "got complex 1j", "float"),
        (np.str_("3"), "got str_", "float("),
    ],
)
def test_refuses_what_is_no_number(wrong, got, repair):
    for attempt, operation in [
        (lambda: Value(wrong), "Value: expected a number"),
        (lambda: Value(1.0) * wrong, "mul: expected a Value or a number"),
        (lambda: Value(1.0) ** wrong, "pow: expected a Value or a number"),
        (lambda: Value(1.0).maximum(wrong), "maximum: expected"),
        (lambda: Value(1.0).leaky_relu(wrong), "leaky_relu: expected"),
        (lambda: Value(1.0) < wrong, "<: expected"),
    ]:
        with pytest.raises(TypeError) as error:
            attempt()
        message = str(error.value)
        assert message.startswith(operation)
        assert got in message
        assert repair in message.split(";")[1]
    for attempt in (lambda: "3" * Value(1.0), lambda: None - Value(1.0), lambda: [1.0] * Value(1.0)):
        with pytest.raises(TypeError, match="expected a Value or a number"):
            attempt()


def test_refuses_a_value_inside_a_value():
    with pytest.raises(TypeError, match=r"Value: expected a number, got Value .*; use it as it is"):
        Value(Value(1.0))


def test_refuses_a_label_that_is_no_text():
    with pytest.raises(TypeError, match="expected a label that is a str"):
        Value(1.0, 2.0)
    with pytest.raises(TypeError, match="expected a label that is a str"):
        Value(1.0, label=2)


def test_numpy_arrays_of_values():
    total = (np.array([1.0, 2.0]) * Value(3.0)).sum()
    assert total.data == 9.0


def test_follows_ieee():
    assert Value(0.0).log().data == -inf
    assert Value(1000.0).exp().data == inf
    assert (1 / Value(0.0)).data == inf
    assert (1 / Value(-0.0)).data == -inf
    assert (Value(0.0) ** -1).data == inf
    assert math.isnan((Value(0.0) / 0).data)
    assert math.isnan((Value(-2.0) ** Value(0.5)).data)
    assert math.isnan((Value(-2.0) ** 0.5).data)
    assert math.isnan(Value(-1.0).sqrt().data)


def test_gradients_follow_ieee():
    x, y = Value(0.0), Value(0.0)
    (x.sqrt() + y.log()).backward()
    assert (x.grad, y.grad) == (inf, inf)
    x, y = Value(1.0), Value(0.0)
    (x / y).backward()
    assert (x.grad, y.grad) == (inf, -inf)
    x = Value(0.0)
    (x**-1).backward()
    assert x.grad == -inf


def test_a_derivative_that_raises_adds_once():
    x, y = Value(-2.0), Value(2.0)
    (x**y).backward()  # d x succeeds, then d y takes the logarithm of a negative number
    assert x.grad == -4.0
    assert math.isnan(y.grad)


# --- every formula ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_is_a_method(name):
    formula, method = FORMULAS[name], getattr(Value, name)
    assert method.__name__ == name
    assert method.__doc__
    numbers = [1.7 if name == "acosh" else 0.7, 1.2][: len(formula.variables)]
    operands = [Value(number) for number in numbers]
    out = method(*operands)
    assert out.data == formula.forward(*numbers)
    out.backward()
    for operand, derivative in zip(operands, formula.derivatives, strict=True):
        assert operand.grad == derivative(*numbers, out.data, 1.0)


def test_options():
    x = Value(-2.0)
    y = x.leaky_relu(slope=0.5) + x.leaky_relu(0.25) + x.leaky_relu()
    y.backward()
    assert y.data == -1.52
    assert x.grad == 0.76
    assert Value(5.0).clamp(high=2.0).data == 2.0
    assert Value(5.0).clamp(-1, 2).op == "clamp(-1, 2)"
    with pytest.raises(TypeError, match="slop"):
        x.leaky_relu(slop=0.5)
    with pytest.raises(TypeError):
        x.tanh(0.5)


def test_power():
    x, y = Value(3.0), Value(2.0)
    constant, variable = x**2, x**y
    assert (constant.op, constant.parents) == ("**2", (x,))
    assert (variable.op, variable.parents) == ("**", (x, y))
    assert (x**-0.5).op == "**-0.5"
    assert constant.data == variable.data == x.pow(2).data == 9.0
    assert [p.data for p in (2**x).parents] == [2.0, 3.0]


CUBE = Formula("cube", lambda x: x * x * x, (lambda x, out, grad: grad * 3.0 * x * x,), "cube")


def test_a_formula_of_ones_own():
    x = Value(2.0)
    y = x.apply(CUBE)
    y.backward()
    assert (y.data, y.op, x.grad) == (8.0, "cube", 12.0)


def test_a_formula_of_three_variables_is_refused():
    d = lambda x, y, z, out, grad: grad  # noqa: E731
    with pytest.raises(TypeError, match=r"fma: expected a formula of one variable.*got 3"):
        Value(1.0).apply(Formula("fma", lambda x, y, z: x * y + z, (d, d, d), "fma"), 2.0, 3.0)


# --- the graph -----------------------------------------------------------------------------------------


def test_a_leaf():
    a = Value(2.0, "a")
    assert (a.data, a.grad, a.label, a.op, a.parents) == (2.0, 0.0, "a", "", ())
    assert (a._op, a._prev) == ("", ())


def test_the_same_operand_twice_keeps_two_edges():
    a = Value(3.0)
    b = a + a
    assert b.parents == b._prev == (a, a)
    b.backward()
    assert a.grad == 2.0
    c = a * a
    a.zero_grad()
    c.backward()
    assert a.grad == 6.0


def test_labels_inside_a_graph():
    loss = Value(2.0) * 3
    loss.label = "loss"
    assert "loss" in repr(loss)


def test_sort_has_operands_first_and_every_node_once():
    a, b = Value(2.0), Value(3.0)
    c = a * b
    d = c + a
    e = (c * d).tanh()
    assert sort_topologically(e) == [c, d, e.parents[0], e]
    assert sort_topologically(a) == []


def test_a_million_operations():
    """Forward, backward, reset and release of a chain of any length: nothing may recurse."""
    x = Value(1.0)
    y = x
    for _ in range(500_000):
        y = (y + x).abs()
    y.backward()
    assert (y.data, x.grad) == (500_001.0, 500_001.0)
    y.zero_grad()
    assert x.grad == 0.0
    del y


def test_dropping_the_result_frees_every_node():
    with no_cyclic_collector():
        x = Value(0.5)
        before = sum(type(o) is Value for o in gc.get_objects())
        loss = x
        for _ in range(1000):
            loss = (loss * x + 1.0).tanh() ** 2
        loss.backward()
        inner = [weakref.ref(node) for node in sort_topologically(loss)]
        assert len(inner) == 4000
        del loss
        assert not any(ref() for ref in inner)
        assert sum(type(o) is Value for o in gc.get_objects()) == before, "constants are gone, too"


def test_second_backward_accumulates_in_leaves_only():
    x = Value(3.0)
    h = x * x
    y = h * 2
    y.backward()
    assert (x.grad, h.grad, y.grad) == (12.0, 2.0, 1.0)
    y.backward()
    assert (x.grad, h.grad, y.grad) == (24.0, 2.0, 1.0)


def test_two_results_over_one_trunk():
    x = Value(3.0)
    trunk = x * x
    (trunk * 2).backward()
    (trunk * 5).backward()
    assert x.grad == 12.0 + 30.0


@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_repeated_backward_on_random_graphs(seed):
    """One call gives the chain rule's gradients, and two calls twice as much."""
    draw = random.Random(seed)
    leaves = [Value(draw.uniform(-1, 1)) for _ in range(3)]
    nodes = list(leaves)
    for _ in range(30):
        a, b = draw.choice(nodes), draw.choice(nodes)
        nodes.append(draw.choice([(a + b).tanh(), a * b, (a - b).sin(), b.sigmoid(), a.maximum(b)]))
    root = sum(nodes[3:], Value(0.0))
    root.backward()
    once = [leaf.grad for leaf in leaves]
    assert once == pytest.approx(naive_gradients(root, leaves), rel=1e-9, abs=1e-12)
    root.backward()
    assert [leaf.grad for leaf in leaves] == pytest.approx([2.0 * grad for grad in once], rel=1e-9, abs=1e-12)


def naive_gradients(root, leaves):
    """Compute d root / d leaf in forward mode: recursive, with no order and no marks."""

    def tangent(node, leaf, known):
        if node is leaf:
            return 1.0
        if not node.parents:
            return 0.0
        if node not in known:
            operands = [p.data for p in node.parents]
            known[node] = sum(
                tangent(p, leaf, known) * d(*operands, node.data, 1.0)
                for p, d in zip(node.parents, node._rule.formula.derivatives, strict=True)
            )
        return known[node]

    return [tangent(root, leaf, {}) for leaf in leaves]


def test_a_leaf_as_root_accumulates():
    x = Value(3.0)
    x.backward()
    x.backward()
    assert x.grad == 2.0


def test_zero_grad_reaches_the_whole_graph():
    x, y = Value(2.0), Value(3.0)
    h = x * y
    z = h.exp() + y
    z.backward()
    z.zero_grad()
    assert [node.grad for node in (x, y, h, z)] == [0.0] * 4


def test_detach_stops_the_gradient():
    x = Value(3.0, "x")
    still = x.detach()
    (x * still).backward()
    assert (x.grad, still.parents, still.label) == (3.0, (), "x")
    assert still is not x


def test_copies_and_pickles():
    parameter = Value(1.5, "w")
    for twin in (copy.deepcopy(parameter), pickle.loads(pickle.dumps(parameter))):
        assert (twin.data, twin.label) == (1.5, "w")
    graph = pickle.loads(pickle.dumps((parameter * 2).tanh()))
    graph.backward()
    assert graph.parents[0].parents[0].grad != 0.0


def test_a_subclass_is_an_operand():
    class Named(Value):
        pass

    x = Named(2.0)
    y = x * 3 + 3 * x
    y.backward()
    assert (y.data, x.grad) == (12.0, 6.0)


def by_hand(data, children, op, closure):
    """Return a node made as the lecture on micrograd does."""
    out = Value(data, children, op)
    out._backward = lambda: closure(out.grad)
    return out


def test_an_operation_by_hand():
    a, b = Value(2.0), Value(-3.0)

    def mul_backward(grad):
        a.grad += b.data * grad
        b.grad += a.data * grad

    product = by_hand(a.data * b.data, (a, b), "*", mul_backward)
    assert (product._op, product._prev) == ("*", (a, b))
    t = Value(math.tanh(product.data), _children=(product,), _op="tanh", label="t")

    def tanh_backward():
        product.grad += (1 - t.data**2) * t.grad

    t._backward = tanh_backward
    for _ in range(2):
        a.grad = b.grad = 0.0
        (t * t + product).backward()
        x, y = Value(2.0), Value(-3.0)
        ((x * y).tanh() ** 2 + x * y).backward()
        assert (a.grad, b.grad) == pytest.approx((x.grad, y.grad))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_an_operation_by_hand_of_many_children(count):
    leaves = [Value(float(i)) for i in range(count)]
    children = tuple(leaf * 2.0 for leaf in leaves)

    def add(grad):
        for i, child in enumerate(children):
            child.grad += (i + 1) * grad

    out = by_hand(1.0, children, "mix", add)
    assert out.parents == children
    (out * 3.0 + children[-1]).backward()
    expected = [6.0 * (i + 1) for i in range(count)]
    expected[-1] += 2.0
    assert [leaf.grad for leaf in leaves] == expected
    out.zero_grad()
    assert all(child.grad == 0.0 for child in children)


def test_what_a_closure_raises_is_raised():
    out = by_hand(1.0, (Value(1.0),), "bad", lambda grad: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        out.backward()
    with pytest.raises(TypeError, match="tuple of Values"):
        Value(1.0, (2.0,), "+")


def test_an_integer_beyond_all_floats():
    assert (Value(1.0) * 10**400).data == inf
    assert (Value(1.0) * -(10**400)).data == -inf


def test_a_stranger_may_know_what_to_do():
    class Other:
        def __radd__(self, value):
            return ("added", value.data)

    assert Value(1.0) + Other() == ("added", 1.0)
    with pytest.raises(TypeError, match="expected a Value or a number"):
        Value(1.0) * Other()


def test_graphs_with_options_are_copied_and_pickled():
    x = Value(3.0)
    root = x**2 + x.leaky_relu(0.1) + x.clamp(-1.0, 9.0)
    for again in (copy.deepcopy(root), pickle.loads(pickle.dumps(root))):
        again.backward()
        leaf = again.parents[0].parents[0].parents[0]
        assert leaf.grad == 8.0
