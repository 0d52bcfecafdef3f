"""The stepper shows the engine's own numbers: to the last bit, in its order, without touching its graph."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro import Value, step
from micro.formulas import FORMULAS, Formula
from micro.nn import MLP
from micro.value import sort_topologically


def example():
    """Return x, y and x * y + relu(x ** 2)."""
    x, y = Value(2.0, "x"), Value(3.0, "y")
    return x, y, x * y + (x**2).relu()


def same(a, b):
    """Whether two floats are the same to the last bit; nan is nan, and -0.0 is not 0.0."""
    return (a != a and b != b) or (a == b and math.copysign(1.0, a) == math.copysign(1.0, b))


def check_against_the_engine(root):
    """Compare all values and gradients at the end with what a backward pass of the engine computes."""
    s = step(root)
    nodes = list(s.recorded.originals)
    # of a node with many children the engine has links of its own between them
    assert [n for n in nodes if n.op] == [
        n for n in sort_topologically(root) if s.recorded.find(n) is not None
    ]
    for node in nodes:
        node.grad = 0.0
    root.backward()
    assert len(s) == len(nodes) + 1 + sum(1 for n in nodes if n.op)
    s.run()
    for node in nodes:
        assert same(s.value(node), node.data)
        known = s.grad(node)
        assert same(known, node.grad)
    return s


UNARY = [f for f in FORMULAS.values() if len(f.variables) == 1]
BINARY = [f for f in FORMULAS.values() if len(f.variables) == 2]


@st.composite
def graphs(draw):
    """Draw a graph of shared nodes, constants, powers and every formula, over any floats."""
    special = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e300]
    numbers = st.floats(-4.0, 4.0) | st.sampled_from(special)
    labels = st.sampled_from(["x", "y", "x", None])
    nodes = [Value(draw(numbers), draw(labels)) for _ in range(draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(0, 12))):
        x, y = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))
        kind = draw(st.sampled_from(["unary", "binary", "constant", "power"]))
        if kind == "unary":
            nodes.append(x.apply(draw(st.sampled_from(UNARY))))
        elif kind == "binary":
            nodes.append(x.apply(draw(st.sampled_from(BINARY)), y))
        elif kind == "constant":
            nodes.append(draw(numbers) * x)
        else:
            nodes.append(x ** draw(numbers))
    return nodes[-1]


@given(graphs())
@settings(max_examples=200, deadline=None)
def test_the_last_gradients_are_those_of_backward(root):
    check_against_the_engine(root)


@given(graphs(), st.lists(st.sampled_from(["next", "back", "next", "goto"]), max_size=30), st.randoms())
@settings(max_examples=60, deadline=None)
def test_back_undoes_next(root, moves, draw):
    s = step(root)
    states = {0: ([None] * len(s.nodes), [None] * len(s.nodes))}

    def state():
        return [s.value(n) for n in s.nodes], [s.grad(n) for n in s.nodes]

    while s.next():
        states[s.position] = state()
    for move in moves:
        getattr(s, move)(*[draw.randint(0, len(s))] if move == "goto" else [])
        assert repr(state()) == repr(states[s.position])


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_each_step_changes_what_it_says(root):
    s = step(root)
    for place, expected in enumerate(s, 1):
        before = [s.grad(n) for n in s.nodes]
        taken = s.next()
        assert (str(taken), taken.number, s.position) == (str(expected), place, place)
        if taken.phase == "forward":
            assert taken.result is s.value(taken.node)
            continue
        if taken.phase == "loss":
            assert (taken.result, s.grad(root)) == (1.0, 1.0)
            continue
        assert same(taken.result, s.grad(taken.node))
        grads = dict(enumerate(before))
        assert [flow.parent.number for flow in taken.flows] == list(taken.node.parents)
        for flow in taken.flows:
            old = grads[flow.parent.number]
            assert repr(flow.before) == repr(old)
            assert same(flow.after, (old or 0.0) + flow.contribution)
            grads[flow.parent.number] = flow.after
        assert repr([s.grad(n) for n in s.nodes]) == repr(list(grads.values()))


# --- what the steps are ------------------------------------------------------------------------------


def test_the_steps_of_an_example():
    _, _, z = example()
    assert [str(t).splitlines()[1].strip() for t in step(z)] == [
        "x = 2.0",
        "y = 3.0",
        "v2 = x * y = 2.0 * 3.0 = 6.0",
        "v3 = x**2 = 2.0**2 = 4.0",
        "v4 = relu(v3) = relu(4.0) = 4.0",
        "v5 = v2 + v4 = 6.0 + 4.0 = 10.0",
        "d v5 / d v5 = 1.0",
        "v5 = v2 + v4, its gradient is 1.0",
        "v4 = out = relu(v3), its gradient is 1.0",
        "v3 = x**2, its gradient is 1.0",
        "v2 = x * y, its gradient is 1.0",
    ]


def test_a_step_is_printed_with_all_there_is():
    _, _, z = example()
    assert repr(step(z)[-1]) == (
        "step 11 of 11 · backward\n"
        "  v2 = x * y, its gradient is 1.0\n"
        "    to   local derivative   contribution      old + contribution = new\n"
        "    x    y = 3.0            1.0 * 3.0 = 3.0   4.0 + 3.0 = 7.0\n"
        "    y    x = 2.0            1.0 * 2.0 = 2.0   · + 2.0 = 2.0"
    )


def test_a_stepper_is_printed_with_what_is_known():
    _, _, z = example()
    s = step(z)
    s.goto(8)
    lines = repr(s).splitlines()
    assert lines[0] == "step 8 of 11 · backward"
    assert "   x              2.0    ·" in lines
    assert "   v4 = relu(v3)  4.0    1.0" in lines
    assert ">  v5 = v2 + v4   10.0   1.0" in lines
    s.reset()
    assert repr(s).splitlines()[0] == "0 of 11 steps done"
    assert " 0" not in "\n".join(repr(s).splitlines()[1:])


def test_a_node_used_twice_gets_two_contributions():
    a = Value(3.0, "a")
    first, second = step(a * a)[-1].flows
    assert (first.before, first.contribution, first.after) == (None, 3.0, 3.0)
    assert (second.before, second.contribution, second.after) == (3.0, 3.0, 6.0)


def test_fan_out():
    x = Value(2.0, "x")
    total = Value(0.0, "start")
    for _ in range(1000):
        total = total + x * 3.0
    s = check_against_the_engine(total)
    grads = [s.grad(x)] + [s.grad(x) for _ in iter(s.back, None)]
    assert len(set(grads)) == 1001  # of 1000 contributions, and none
    assert grads[-1] is None


def test_a_leaf_as_root():
    x = Value(2.0, "x")
    s = step(x)
    assert [t.phase for t in s] == ["forward", "loss"]
    s.run()
    assert (s.value(x), s.grad(x)) == (2.0, 1.0)
    assert x.grad == 0.0


def test_the_graph_stays_as_it_is():
    x, y, z = example()
    z.backward()
    before = [x.grad, y.grad, z.grad]
    s = step(z)
    s.run()
    assert [x.grad, y.grad, z.grad] == before
    assert s.grad(x) == 7.0  # of this pass alone
    x.data = 100.0
    s.reset()
    assert s.next().result == 2.0  # as it was recorded
    assert not step(Value(1.0) * 2.0).recorded.originals[0].has_grad


def test_a_million_nodes():
    x = Value(1.0, "x")
    node = x
    for _ in range(1_000_000):
        node = node.sin()
    s = step(node)
    assert len(s) == 2_000_002
    node.backward()
    assert s.run(until="x").number == 1
    assert s.run(until="loss").number == 1_000_002
    assert s.run(until=x).number == 2_000_002
    assert s.grad("x") == x.grad
    assert s.back().node.number == 2
    assert "... and 999,961 more nodes" in repr(s)


def test_a_network_of_scalars():
    random.seed(1)
    check_against_the_engine(MLP(3, [4, 4, 1])([1.0, -2.0, 0.5]))


def test_a_subclass_of_value():
    class Named(Value):
        pass

    x = Named(2.0, "x")
    s = check_against_the_engine(x * x + x)
    assert s.grad(x) == 5.0


# --- nodes of the user's own ---------------------------------------------------------------------------


def own_tanh(a):
    """Return tanh(a) as in micrograd."""
    out = Value(math.tanh(a.data), (a,), "tanh")

    def backward():
        a.grad += (1.0 - out.data**2) * out.grad

    out._backward = backward
    return out


def test_closures_of_the_user():
    x = Value(0.5, "x")
    s = check_against_the_engine(own_tanh(x * 2.0) + own_tanh(x))
    flows = [flow for t in s for flow in t.flows if flow.note]
    assert len(flows) == 2
    assert flows[0].note == "by the node's own _backward"
    assert flows[0].local is None


def test_closures_leave_the_gradients_of_the_user():
    x = Value(0.5, "x")
    out = own_tanh(x)
    x.grad, out.grad = 5.0, 7.0
    s = step(out)
    s.run()
    assert (x.grad, out.grad) == (5.0, 7.0)
    assert s.grad(x) == 1.0 - math.tanh(0.5) ** 2


def test_a_closure_that_raises_leaves_the_gradients():
    x = Value(0.5, "x")
    out = Value(1.0, (x,), "broken")
    out._backward = lambda: 1 / 0
    x.grad = 5.0
    with pytest.raises(ZeroDivisionError):
        step(out)
    assert (x.grad, out.grad) == (5.0, 0.0)


def test_a_node_of_three_children_and_one_twice():
    a, b = Value(2.0, "a"), Value(3.0, "b")
    out = Value(a.data * b.data * a.data, (a, b, a), "product")

    def backward():
        a.grad += b.data * a.data * out.grad
        b.grad += a.data * a.data * out.grad
        a.grad += a.data * b.data * out.grad

    out._backward = backward
    s = check_against_the_engine(out * 0.1 + a)
    last = s[-1]
    assert (last.formula, last.numbers) == ("product(a, b, a)", "product(2.0, 3.0, 2.0)")
    assert [f.parent.name for f in last.flows] == ["a", "b", "a"]
    assert last.flows[0].after == s.grad(a)


@pytest.mark.parametrize(
    ("op", "children", "formula"),
    [
        ("+", "ab", "a + b"), ("**", "ab", "a**b"), ("**2", "a", "a**2"), ("ReLU", "a", "ReLU(a)"),
        ("+", "aba", "+(a, b, a)"),
    ],
)  # fmt: skip
def test_operations_as_micrograd_names_them(op, children, formula):
    values = {"a": Value(-2.0, "a"), "b": Value(3.0, "b")}
    last = step(Value(1.0, tuple(values[name] for name in children), op))[-1]
    assert last.formula == formula
    assert last.numbers.startswith("(-2.0)" if "a*" in formula or "a +" in formula else op)


def test_a_wrong_derivative_is_told():
    wrong = Formula("twice", lambda x: 2.0 * x, (lambda x, out, grad: grad * 3.0,), "twice")
    assert "3.0 (measured 2.0: differs)" in str(step(Value(1.0, "x").apply(wrong), check=True)[-1])


def test_an_operation_without_children():
    s = check_against_the_engine(Value(1.0, (), "noise") * 2.0)
    assert s[0].formula == "noise()"


def test_a_formula_of_the_user():
    def cube(x):
        return x * x * x

    def cube_dx(x, out, grad):
        return grad * 3.0 * x * x

    s = step(Value(2.0, "a").apply(Formula("cube", cube, (cube_dx,), "cube")), check=True)
    assert (s[1].formula, s[1].result) == ("cube(a)", 8.0)
    assert s[-1].flows[0].local == 12.0
    assert s[-1].flows[0].check == pytest.approx(12.0)
    unnamed = Formula("cube", lambda x: x**3, (lambda x, out, grad: grad * 3.0 * x**2,), "cube")
    assert step(Value(2.0, "a").apply(unnamed))[-1].flows[0].derivative == "d cube / d a"


# --- where Python would raise ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "value", "grad"),
    [
        (lambda x: x.log(), -math.inf, math.inf),
        (lambda x: 1.0 / x, math.inf, -math.inf),
        (lambda x: x / x, math.nan, math.nan),
        (lambda x: x**-1, math.inf, -math.inf),
        (lambda x: (x + 1000.0).exp(), math.inf, math.inf),
    ],
)
def test_ieee(root, value, grad):
    x = Value(0.0, "x")
    s = check_against_the_engine(root(x))
    s.run()
    assert same(s.value(s.nodes[-1]), value)
    assert same(s.grad(x), grad)
    flow = step(root(x), check=True)[len(s.nodes) + 1].flows[0]
    assert flow.check is None
    assert "no slope can be measured" in flow.note


# --- moving ------------------------------------------------------------------------------------------


def test_moving():
    x, _, z = example()
    s = step(z)
    assert (s.position, s.current, s.back()) == (0, None, None)
    assert s.next().node.name == "x"
    assert s.goto(7).phase == "loss"
    assert s.run().number == s.position == len(s) == 11
    assert s.next() is None
    assert s.position == 11
    s.reset()
    assert s.run(until="forward").number == 6
    assert s.run(until="loss").number == 7
    assert s.run(until="backward").number == 11
    s.reset()
    assert [s.run(until=x).number for _ in range(3)] == [1, 10, 11]
    s.reset()
    assert [s.run(until="v4").number for _ in range(3)] == [5, 8, 9]
    assert s.goto(0) is None
    assert s.run(until=s.nodes[3]).number == s.run(until=2).number + 1 == 4 or s.position == 8


def test_a_stepper_is_a_sequence_of_its_steps():
    s = step(example()[2])
    assert [t.number for t in s] == [*range(1, 12)]
    assert (s[0].number, s[-1].number, [t.number for t in s[3:5]]) == (1, 11, [4, 5])
    assert s.position == 0
    with pytest.raises(IndexError, match="there are 11 steps"):
        s[11]


def test_a_node_named_like_a_phase():
    x = Value(2.0, "x")
    loss = x * x
    loss.label = "loss"
    s = step(loss)
    assert [s.run(until="loss").number for _ in range(3)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("move", "message"),
    [
        (lambda s: s.goto(12), "goto: expected a step from 0 to 11, got 12"),
        (lambda s: s.goto(-1), "from 0 to 11, got -1"),
        (lambda s: s.goto(True), "got True"),
        (lambda s: s.goto("x"), "got 'x'"),
        (lambda s: s.run(until="z"), "run: no node is named 'z'; "),
        (lambda s: s.value("width"), "value: no node is named 'width'; there are x, y"),
        (lambda s: s.grad("v9"), "grad: no node is named 'v9'"),
        (lambda s: s.grad(6), "expected a node from 0 to 5, got 6"),
        (lambda s: s.grad(Value(7.0)), "had no part in the computation of v5"),
        (lambda s: (s.run(), s.run(until="x")), "run: no step after 11 concerns x; the last one is step 11"),
        (lambda s: (s.run(), s.run(until="loss")), "run: loss ended with step 7"),
    ],
)
def test_moves_that_are_none(move, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        move(step(example()[2]))
    assert message in str(caught.value)


@pytest.mark.parametrize("root", [3.0, None, "x", [Value(1.0)]])
def test_step_refuses_what_records_no_computation(root):
    with pytest.raises(TypeError, match=f"step: expected a Value or a Tensor, got {type(root).__name__}"):
        step(root)


# --- names -------------------------------------------------------------------------------------------


def test_a_label_that_no_formula_can_hold_is_found_all_the_same():
    x = Value(2.0, "the first input")
    s = step(x * 2.0)
    assert s[2].formula == "v0 * 2"
    assert s.run(until="the first input").number == 1


def test_an_operand_named_out():
    s = step(Value(0.5, "out").tanh())
    assert s[-1].flows[0].derivative == "1 - v1**2"
    s = step(Value(2.0, "out") * Value(3.0, "y"))
    assert str(s[-1]).splitlines()[1] == "  v2 = out * y, its gradient is 1.0"
    assert s[-1].flows[1].derivative == "out"  # the operand, not the result


def test_constants_are_named_as_they_are_written():
    x = Value(3.0, "x")
    s = step(-2 * x + x * 0.1)
    assert [n.name for n in s.nodes if n.kind == "constant"] == ["-2", "0.1"]
    assert s[2].formula == "(-2) * x"
    assert s[2].numbers == "(-2.0) * 3.0"


def test_of_a_constant_only_the_case_that_holds_is_written():
    s = step(2.0 ** Value(3.0, "x"))
    assert [flow.derivative for flow in s[-1].flows] == ["x * 2**(x - 1) if x != 0 else 0", "out * log(2)"]
