"""Which module made which Value; the tests of tensors stand in tests/tensor/nn/test_tracing.py."""

import threading
from dataclasses import dataclass

import pytest

from micro import Value
from micro.nn import MLP, Layer, Module, Neuron
from micro.trace import Call, Kind


def made_by(trace):
    """Return the operations of every scope, in order of computation."""
    scopes = {}
    for node in trace.nodes:
        if node.op:
            scopes.setdefault(trace.scope.get(id(node)), []).append(node.op)
    return scopes


def test_the_innermost_module_has_what_its_call_made():
    trace = MLP(2, [3, 1]).trace([Value(1.0, "a"), 2.0])
    hidden = ["*", "+", "*", "+", "ReLU"]
    assert made_by(trace) == {
        "layers.0.neurons.0": hidden,
        "layers.0.neurons.1": hidden,
        "layers.0.neurons.2": hidden,
        "layers.1.neurons.0": ["*", "+"] * 3,
    }


def test_what_it_tells_of_every_module_and_call():
    trace = MLP(2, [3, 1]).trace([1.0, 2.0])
    assert trace.kind == "MLP"
    assert [(m.path, m.kind, m.parameters, m.shape) for m in trace.modules.values()] == [
        ("", "MLP", 13, ()),
        ("layers.0", "Layer", 9, (3,)),
        ("layers.0.neurons.0", "Neuron", 3, ()),
        ("layers.0.neurons.1", "Neuron", 3, ()),
        ("layers.0.neurons.2", "Neuron", 3, ()),
        ("layers.1", "Layer", 4, ()),
        ("layers.1.neurons.0", "Neuron", 4, ()),
    ]
    assert trace.calls[0] == Call("", 0, None, (Kind((2,)),), (Kind(()),))
    assert trace.calls[2] == Call("layers.0.neurons.0", 0, 1, (Kind((2,)),), (Kind(()),))


def test_names_of_parameters_and_inputs():
    model, x = MLP(2, [2]), [Value(1.0), Value(2.0)]
    trace = model.trace(x)
    names = {trace.names[id(node)]: node for node in trace.nodes if id(node) in trace.names}
    assert sorted(names) == [
        "layers.0.neurons.0.b", "layers.0.neurons.0.w.0", "layers.0.neurons.0.w.1",
        "layers.0.neurons.1.b", "layers.0.neurons.1.w.0", "layers.0.neurons.1.w.1", "x.0", "x.1",
    ]  # fmt: skip
    assert names["layers.0.neurons.1.w.0"] is model.layers[0].neurons[1].w[0]
    assert (names["x.0"], names["x.1"]) == tuple(x)
    assert trace.scope[id(names["layers.0.neurons.1.b"])] == "layers.0.neurons.1"
    assert id(x[0]) not in trace.scope


def test_what_was_computed_before_is_nobodys():
    a = Value(2.0)
    before = a * a
    trace = Neuron(1).trace([before])
    assert id(before) not in trace.scope
    assert id(a) not in trace.scope
    assert id(trace.roots[0]) in trace.scope


class Twice(Module):
    def __init__(self):
        self.inner = Neuron(1, nonlin=False)

    def __call__(self, x, *, scale=1.0):
        h = self.inner([x]).tanh()
        return {"out": self.inner([h]) * scale, "hidden": [h]}

    def parameters(self):
        return self.inner.parameters()


def test_a_module_called_twice_and_computations_between_the_calls():
    trace = Twice().trace(Value(0.5), scale=3.0)
    assert [(c.path, c.number, c.parent) for c in trace.calls] == [
        ("", 0, None),
        ("inner", 0, 0),
        ("inner", 1, 0),
    ]
    assert made_by(trace) == {"inner": ["*", "+"] * 2, "": ["tanh", "*"]}
    inner = [trace.call[id(node)] for node in trace.nodes if trace.scope.get(id(node)) == "inner" and node.op]
    assert inner == [1, 1, 2, 2]
    assert len(trace.roots) == 2  # the hidden result, too
    assert trace.calls[0].outputs == (Kind(()), Kind((1,)))


class Scaled(Neuron):
    def __call__(self, x):
        return super().__call__(x) * 2.0


def test_the_call_of_the_base_class_is_the_same_call():
    trace = Scaled(1).trace([1.0])
    assert [c.path for c in trace.calls] == [""]
    assert made_by(trace) == {"": ["*", "+", "ReLU", "*"]}


@dataclass
class Pair:
    left: Value
    right: Value


class Same(Module):
    def __call__(self, pair):
        return pair


def test_a_module_that_returns_its_input():
    pair = Pair(Value(1.0), Value(2.0) * 3.0)
    trace = Same().trace(pair)
    assert trace.roots == (pair.left, pair.right)
    assert made_by(trace) == {None: ["*"]}
    assert trace.modules[""].parameters == 0
    assert trace.names == {id(pair.left): "pair.left", id(pair.right): "pair.right"}


class Broken(Module):
    def __init__(self):
        self.layer = Layer(1, 1)

    def __call__(self, x):
        self.layer(x)
        raise ZeroDivisionError("in the middle")


@pytest.mark.parametrize("model", [MLP(1, [1]), Broken()])
def test_nothing_is_left_behind(model):
    kinds = (MLP, Layer, Neuron, Broken, Module)
    before = [dict(vars(kind)) for kind in kinds]
    own = dict(vars(model))
    if isinstance(model, Broken):
        with pytest.raises(ZeroDivisionError, match="in the middle"):
            model.trace([1.0])
    else:
        model.trace([1.0])
    assert [dict(vars(kind)) for kind in kinds] == before
    assert vars(model) == own


def test_another_thread_may_trace_the_same_classes_at_the_same_time():
    entered, leave = threading.Event(), threading.Event()

    class Waiting(Module):
        def __init__(self):
            self.neuron = Neuron(1)

        def __call__(self, x):
            entered.set()
            assert leave.wait(10)
            return self.neuron(x)

    original = vars(Neuron)["__call__"]
    traces = []
    thread = threading.Thread(target=lambda: traces.append(Waiting().trace([1.0])))
    thread.start()
    assert entered.wait(10)
    own = Neuron(1).trace([1.0])
    leave.set()
    thread.join()
    assert [c.path for c in own.calls] == [""]
    assert [c.path for c in traces[0].calls] == ["", "neuron"]
    assert vars(Neuron)["__call__"] is original


def test_a_module_that_cannot_be_called():
    with pytest.raises(TypeError, match="trace: Module cannot be called"):
        Module().trace(1.0)


def test_a_deep_computation_needs_no_recursion():
    class Deep(Module):
        def __call__(self, x):
            for _ in range(50_000):
                x = x + 1.0
            return x

    trace = Deep().trace(Value(0.0))
    assert len(trace.nodes) == 100_001
    assert trace.nodes[0].data == 0.0
    assert trace.roots[0].data == 50_000.0


def test_it_prints_as_a_table_of_the_modules():
    lines = [line.split() for line in repr(Twice().trace(Value(0.5))).splitlines()]
    assert lines == [
        ["module", "class", "parameters", "output", "operations", "calls"],
        ["(model)", "Twice", "2", "()", "2", "1"],
        ["inner", "Neuron", "2", "()", "4", "2"],
    ]
