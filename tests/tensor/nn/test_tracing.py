"""`Module.trace`: which module recorded which operation."""

import gc
import weakref

import pytest

import tensor
import tensor.nn.functional as F
from tensor import nn


class Net(nn.Module):
    """Functional calls between modules, a list of modules, nested ones, a keyword, a dict of outputs."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 8), nn.Linear(8, 8)])
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x, *, scale=1.0):
        for layer in self.layers:
            x = F.tanh(layer(x))
        return {"out": self.head(self.norm(x)) * scale, "hidden": [x]}


EXPECTED = [
    ("layers.0", "Linear"), ("", "Tanh"), ("layers.1", "Linear"), ("", "Tanh"),
    ("norm", "NativeBatchNorm"), ("head.0", "Relu"), ("head.1", "Linear"), ("", "Mul"),
]  # fmt: skip


def operations(trace):
    return [(trace.scope.get(id(node)), node.op) for node in trace.nodes if node.op]


@pytest.mark.parametrize("mode", ["train", "eval", "no_grad", "frozen", "inference"])
def test_the_innermost_module_has_what_its_call_recorded(mode):
    """In every mode, also where autograd records nothing."""
    model, x = Net().train(mode == "train"), tensor.randn(5, 4)
    if mode == "frozen":
        model.requires_grad_(False)
    if mode == "no_grad":
        with tensor.no_grad():
            trace = model.trace(x, scale=2.0)
    elif mode == "inference":
        with tensor.inference_mode():
            trace = model.trace(x, scale=2.0)
    else:
        trace = model.trace(x, scale=2.0)
    assert operations(trace) == EXPECTED
    assert [node.op for node in trace.roots] == ["Mul", "Tanh"]
    names = {name: id_ for id_, name in trace.names.items()}
    assert set(names) == {name for name, _ in model.named_parameters()} | {"x"}
    assert all(trace.scope[names[name]] == name.rpartition(".")[0] for name in names if name != "x")
    assert names["x"] not in trace.scope
    assert trace.output["out"].requires_grad == (mode in ("train", "eval"))


def test_what_it_tells_of_every_module():
    model = Net()
    model.layers[0].requires_grad_(False)
    trace = model.trace(tensor.randn(5, 4))
    found = {
        m.path: (m.kind, m.parameters, m.trainable, m.shape, len(m.calls)) for m in trace.modules.values()
    }
    assert found == {
        "": ("Net", 155, 115, (5, 3), 1),
        "layers": ("ModuleList", 112, 72, None, 0),
        "layers.0": ("Linear", 40, 0, (5, 8), 1),
        "layers.1": ("Linear", 72, 72, (5, 8), 1),
        "norm": ("BatchNorm1d", 16, 16, (5, 8), 1),
        "head": ("Sequential", 27, 27, (5, 3), 1),
        "head.0": ("ReLU", 0, 0, (5, 8), 1),
        "head.1": ("Linear", 27, 27, (5, 3), 1),
    }
    assert trace.modules["head"].dtype is tensor.float32
    assert [trace.calls[call.parent].path for call in trace.calls if call.path == "head.1"] == ["head"]


def test_a_shared_module_is_told_apart_by_its_calls():
    shared = nn.Linear(2, 2)
    trace = nn.Sequential(shared, nn.Tanh(), shared).trace(tensor.ones(1, 2))
    assert operations(trace) == [("0", "Linear"), ("1", "Tanh"), ("0", "Linear")]
    calls = [trace.call[id(node)] for node in trace.nodes if node.op == "Linear"]
    assert [(trace.calls[n].path, trace.calls[n].number) for n in calls] == [("0", 0), ("0", 1)]
    assert [node.kind for node in trace.nodes].count("parameter") == 2


class KeepsAside(nn.Module):
    """A module that leaves a result where its caller finds it."""

    def forward(self, x):
        self.aside = x.exp()
        return x.sin()


def test_what_was_not_returned_is_still_the_modules():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = KeepsAside()

        def forward(self, x):
            self.inner(x)
            return self.inner.aside * 2.0

    trace = Outer().trace(tensor.ones(2))
    assert operations(trace) == [("inner", "Exp"), ("", "Mul")]


class Triple(tensor.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return (x + x) + x, x.sum()

    @staticmethod
    def backward(ctx, grad, grad_sum):
        return grad * 3.0 + grad_sum


@pytest.mark.parametrize("requires_grad", [True, False])
def test_functions_of_ones_own_are_one_operation(requires_grad):
    class Tripled(nn.Module):
        def forward(self, x):
            return Triple.apply(x)

    trace = Tripled().trace(tensor.ones(2, requires_grad=requires_grad))
    found = operations(trace)
    assert {op for _, op in found} == {"Triple"}
    assert {scope for scope, _ in found} == {""}
    assert [kind.shape for kind in trace.calls[0].outputs] == [(2,), ()]


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", tensor.zeros(1))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        self.count += 1
        h = x * 2.0
        h[0] = 5.0
        return self.relu(h) + self.count


@pytest.mark.parametrize("requires_grad", [True, False])
def test_in_place_changes_of_what_was_computed(requires_grad):
    model = InPlace()
    trace = model.trace(tensor.ones(2, requires_grad=requires_grad))
    found = operations(trace)
    assert ("relu", "Relu") in found
    assert found[0] == ("", "Mul")
    assert found[-1] == ("", "Add")
    assert "count" in trace.names.values()
    assert model.count.is_leaf
    assert model.count.op == ""  # a buffer that counts does not grow a history


def test_modules_that_compute_nothing_or_have_no_parameters():
    trace = nn.Sequential(nn.Identity(), nn.Dropout(0.5).eval(), nn.Flatten()).trace(tensor.ones(2, 3))
    assert trace.modules[""].parameters == 0
    assert all(trace.modules[path].shape == (2, 3) for path in ("", "0", "1", "2"))
    x = tensor.ones(2)
    trace = nn.Identity().trace(x)
    assert operations(trace) == []
    assert trace.names == {id(trace.roots[0]): "input"}


def test_a_number_given_to_a_model_is_an_input_and_one_within_it_is_a_constant():
    class Scaled(nn.Module):
        def forward(self, x):
            return x * 2.0

    trace = Scaled().trace(tensor.tensor(3.0))
    assert [node.kind for node in trace.nodes] == ["input", "constant", "operation"]


def test_nested_outputs_and_inputs():
    class Nested(nn.Module):
        def forward(self, pair, more=None):
            return (pair["a"] + pair["b"], {"all": [pair["a"] * more[0]]}), None

    a, b, c = tensor.ones(1), tensor.ones(1), tensor.ones(1)
    trace = Nested().trace({"a": a, "b": b}, more=[c])
    assert [node.op for node in trace.roots] == ["Add", "Mul"]
    assert sorted(trace.names.values()) == ["more.0", "pair.a", "pair.b"]
    assert len(trace.inputs) == 3


def test_an_lstm_and_a_lazy_layer():
    trace = nn.LSTM(3, 4).trace(tensor.randn(2, 1, 3))
    assert [kind.shape for kind in trace.calls[0].outputs] == [(2, 1, 4), (1, 1, 4), (1, 1, 4)]
    trace = nn.Sequential(nn.LazyLinear(4)).trace(tensor.randn(2, 3))
    assert (trace.modules["0"].kind, trace.modules["0"].parameters) == ("Linear", 16)


def test_nothing_is_left_behind():
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x):
            self.inner(x)
            raise ZeroDivisionError("in the middle")

    call, apply = nn.Module.__call__, tensor.autograd.Operation.__dict__["apply"].__func__
    x = tensor.ones(1, 2)
    for model in (Broken(), nn.Linear(2, 2)):
        state = [dict(vars(module)) for module in model.modules()]
        if isinstance(model, Broken):
            with pytest.raises(ZeroDivisionError, match="in the middle"):
                model.trace(x)
        else:
            model.trace(x)
        assert nn.Module.__call__ is call
        assert tensor.autograd.Operation.__dict__["apply"].__func__ is apply
        assert [dict(vars(module)) for module in model.modules()] == state
        assert set(vars(x)) == {"_array", "_version"}
        assert not tensor.is_keeping_values()
    y = x * 2.0
    assert y.op == ""  # looking has ended


def test_a_trace_that_is_dropped_frees_what_it_saw():
    model = Net()
    gc.collect()
    gc.disable()
    try:
        trace = model.trace(tensor.randn(5, 4))
        nodes = [weakref.ref(node) for node in trace.nodes]
        out = weakref.ref(trace.output["out"])
        del trace
        assert out() is None
        assert [node() for node in nodes if node() is not None] == []
    finally:
        gc.enable()


def test_gradients_of_a_traced_output_are_those_of_a_usual_call():
    model, x = Net(), tensor.randn(5, 4)
    model.trace(x).output["out"].sum().backward()
    traced = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model.norm.reset_running_stats()
    model(x)["out"].sum().backward()
    assert all(tensor.equal(a, p.grad) for a, p in zip(traced, model.parameters(), strict=True))


def test_values_are_kept_only_where_they_are_asked_for():
    model, x = nn.Linear(2, 2), tensor.ones(1, 2)
    assert all(node.data is None for node in model.trace(x).nodes)
    with tensor.keep_values():
        trace = model.trace(x)
    assert all(node.data is not None for node in trace.nodes)
    assert tensor.equal(trace.roots[0].data, trace.output)


def test_a_module_called_within_a_trace_of_another():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Tanh())

        def forward(self, x):
            self.seen = self.inner.trace(x)
            return nn.ReLU()(self.seen.output)  # a module that is none of its own: its caller's

    model = Outer()
    trace = model.trace(tensor.ones(2))
    assert operations(trace) == [("", "Tanh"), ("", "Relu")]
    assert operations(model.seen) == [("0", "Tanh")]
