"""tensor/nn/fusion.py: a layer and its activation computed as one, which nobody can tell."""

import numpy as np
import pytest

import tensor
from tensor import nn
from tensor.autograd import detect_anomaly, keep_values
from tensor.nn import calling, fusion

LAYERS = {
    "linear": (lambda: nn.Linear(5, 4), (3, 5)),
    "linear of a line": (lambda: nn.Linear(5, 4), (5,)),
    "linear of 3 dims": (lambda: nn.Linear(5, 4, bias=False), (2, 3, 5)),
    "conv": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 2, 5, 4)),
    "conv of one image": (lambda: nn.Conv2d(2, 3, 3, padding="same", bias=False), (2, 5, 4)),
    "conv round the edge": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 2, 5, 4)),
}
ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.Sigmoid]


def one_by_one(model, x):
    for module in model:
        x = module(x)
    return x


def names_of(node):
    """Return the graph behind a node, as nested names."""
    if node is None:
        return None
    return node.name(), [names_of(parent) for parent, _ in node.next_functions]


def bits(*tensors):
    return [t.detach().cpu().numpy().tobytes() for t in tensors]


@pytest.fixture
def fused(monkeypatch):
    """Return the list of formulas that layers have applied themselves."""
    found = []
    for kind in (nn.Linear, nn.Conv2d):

        def noted(self, activation, input, own=kind.forward_and):
            found.append(activation)
            return own(self, activation, input)

        monkeypatch.setattr(kind, "forward_and", noted)
    return found


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_same_numbers_gradients_and_graph(device, fused, layer, activation):
    make, shape = LAYERS[layer]
    tensor.manual_seed(0)
    model = nn.Sequential(make(), activation(), nn.Flatten(0), nn.Tanh()).to(device)
    found = []
    for call in (model, lambda x: one_by_one(model, x)):
        x = tensor.linspace(-2, 3, int(np.prod(shape)), device=device).reshape(shape).requires_grad_()
        out = call(x)
        graph = names_of(out.grad_fn)
        grads = tensor.autograd.grad(out.sum(), [x, *model.parameters()], create_graph=True)
        again = tensor.autograd.grad(sum((g * g).sum() for g in grads), list(model.parameters()))
        found.append((bits(out, *grads, *again), graph, out.requires_grad))
        with tensor.no_grad():
            assert bits(call(x)) == bits(out)
            assert call(x).grad_fn is None
    assert found[0] == found[1]
    assert len(fused) == (0 if device == "cpu" else 3)  # once recorded, twice not


def test_not_where_it_would_be_seen(device, fused):
    x = tensor.ones(2, 5, device=device)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).to(device)
    seen = []
    for register in (
        model[0].register_forward_hook, model[1].register_forward_pre_hook,
        model[0].register_full_backward_hook, calling.register_module_forward_hook,
        calling.register_module_forward_pre_hook,
    ):  # fmt: skip
        hook = register(lambda *given: seen.append(len(given)) or None)
        model(x)
        hook.remove()
    assert len(seen) == 1 + 1 + 0 + 4 + 4  # of all modules: the model and its three
    with keep_values():
        model(x)
    with pytest.warns(UserWarning, match="Anomaly"), detect_anomaly():
        model(x)
    assert fused == []
    model(x)
    assert fused == ([] if device == "cpu" else ["relu"])


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model[1], "inplace", True),
        lambda model: setattr(model[0], "forward", lambda x: nn.functional.linear(x, model[0].weight)),
        lambda model: model.__setitem__(0, type("Mine", (nn.Linear,), {})(5, 4)),
        lambda model: model.__setitem__(1, type("Mine", (nn.ReLU,), {})()),
        lambda model: model.__setitem__(1, nn.LeakyReLU()),
        lambda model: model.__setitem__(1, nn.Identity()),
        lambda model: nn.utils.parametrizations.weight_norm(model[0]),
    ],
)  # fmt: skip
def test_only_layers_as_they_are(device, fused, change):
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    change(model)
    model.to(device)
    x = tensor.ones(2, 5, device=device)
    assert tensor.equal(model(x), one_by_one(model, x))
    assert fused == []


def test_a_method_that_was_replaced_is_called(device, fused, monkeypatch):
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, input: input * 0 + 7)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU()).to(device)
    assert model(tensor.ones(2, 5, device=device)).tolist() == [[7.0] * 4] * 2
    assert fused == []


def test_errors_are_those_of_the_layer(device):
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU()).to(device)
    for x in (tensor.ones(2, 4, device=device), tensor.ones(2, 5, device=device).long(), "text"):
        told = []
        for call in (model, lambda x: one_by_one(model, x)):
            with pytest.raises((RuntimeError, TypeError)) as error:
                call(x)
            told.append((type(error.value), str(error.value)))
        assert told[0] == told[1]


def test_chains(device, fused):
    layers = [nn.Linear(3, 3), nn.Linear(3, 3), nn.Tanh(), nn.ReLU(), nn.Linear(3, 3), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(3, 3)).to(device)
    x = tensor.ones(2, 3, device=device)
    assert bits(model(x)) == bits(one_by_one(model, x))
    assert fused == ([] if device == "cpu" else ["tanh", "sigmoid"])
    assert nn.Sequential()(x) is x
    assert not fusion.may_begin(nn.ReLU(), x)
