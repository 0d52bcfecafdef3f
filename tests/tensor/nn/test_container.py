"""Sequential, ModuleList, ModuleDict and ParameterList; every use is also run by PyTorch where installed."""

from collections import OrderedDict

import pytest

import tensor
from tensor import nn


def names(container):
    return [f"{name}:{type(module).__name__}" for name, module in container.named_children()]


def use_sequential(T):
    n = T.nn
    found = []
    s = n.Sequential(n.Linear(2, 3), n.ReLU(), n.Linear(3, 1))
    found += [len(s), [type(m).__name__ for m in s], type(s[-1]).__name__, names(s[1:]), type(s[:2]).__name__]
    found += [[k for k, _ in s[1:].named_parameters()], s(T.ones(4, 2)).shape]
    s[1] = n.Tanh()
    found.append(names(s))
    del s[0]
    found.append(names(s))
    s.append(n.Sigmoid()).insert(1, n.Identity())
    found.append(names(s))
    s.extend([n.ReLU(), n.GELU()])
    del s[1:3]
    found += [names(s), type(s.pop(0)).__name__, names(s)]
    named = n.Sequential(OrderedDict([("a", n.Identity()), ("b", n.ReLU()), ("c", n.Identity())]))
    found += [names(named), names(named[1:]), named.a is named[0], named(T.ones(1)).item(), repr(named[:1])]
    named[-1] = n.Tanh()
    found.append(names(named))
    del named[0]
    found.append(names(named))
    joined = n.Sequential(n.ReLU()) + n.Sequential(n.Tanh())
    joined += n.Sequential(n.ELU())
    found.append(names(joined))
    found.append(len(joined * 2))
    joined *= 2
    found += [names(joined), len(n.Sequential()), repr(n.Sequential()), repr(joined)]
    return found


def test_sequential():
    found = use_sequential(tensor)
    assert found[:5] == [3, ["Linear", "ReLU", "Linear"], "Linear", ["1:ReLU", "2:Linear"], "Sequential"]
    assert found[5:9] == [
        ["2.weight", "2.bias"],
        (4, 1),
        ["0:Linear", "1:Tanh", "2:Linear"],
        ["0:Tanh", "1:Linear"],
    ]
    assert found[9] == ["0:Tanh", "1:Identity", "2:Linear", "3:Sigmoid"]
    assert found[-1].count("ELU(alpha=1.0)") == 2


def test_sequential_is_pytorchs(torch):
    for ours, theirs in zip(use_sequential(tensor), use_sequential(torch), strict=True):
        assert ours == theirs


def use_lists(T):
    n = T.nn
    found = []
    items = n.ModuleList([n.Linear(2, 2) for _ in range(3)])
    items.append(n.ReLU())
    items += [n.Tanh()]
    items.extend([n.Linear(2, 2), n.Linear(2, 3)])
    items.insert(1, n.Identity())
    found += [repr(items), len(items), [type(m).__name__ for m in items], type(items[-1]).__name__]
    found += [names(items[1:4]), type(items[1:]).__name__, len(list(items.parameters()))]
    del items[0]
    items[0] = n.Sequential(n.ReLU(), n.ReLU())
    found += [
        repr(items),
        type(items.pop(2)).__name__,
        names(items + n.ModuleList([n.ELU()])),
        repr(n.ModuleList()),
    ]
    return found


def test_lists():
    found = use_lists(tensor)
    assert found[0] == (
        "ModuleList(\n"
        "  (0): Linear(in_features=2, out_features=2, bias=True)\n"
        "  (1): Identity()\n"
        "  (2-3): 2 x Linear(in_features=2, out_features=2, bias=True)\n"
        "  (4): ReLU()\n"
        "  (5): Tanh()\n"
        "  (6): Linear(in_features=2, out_features=2, bias=True)\n"
        "  (7): Linear(in_features=2, out_features=3, bias=True)\n"
        ")"
    )
    assert found[4] == ["0:Identity", "1:Linear", "2:Linear"]


def test_lists_are_pytorchs(torch):
    for ours, theirs in zip(use_lists(tensor), use_lists(torch), strict=True):
        assert ours == theirs


def use_dicts(T):
    n = T.nn
    d = n.ModuleDict({"conv": n.Linear(1, 2), "act": n.ReLU()})
    found = [list(d), "act" in d, len(d), type(d["conv"]).__name__, list(d.keys()), repr(d)]
    d["conv"] = n.Identity()
    d.update([("x", n.Tanh()), ["y", n.ELU()]])
    d.update(n.ModuleDict({"z": n.GELU()}))
    found += [names(d), [k for k, _ in d.items()], [type(m).__name__ for m in d.values()]]
    found += [type(d.pop("x")).__name__, list(d)]
    del d["y"]
    d.clear()
    return [*found, len(d), repr(d)]


def test_dicts():
    found = use_dicts(tensor)
    assert found[:3] == [["conv", "act"], True, 2]
    assert found[6] == ["conv:Identity", "act:ReLU", "x:Tanh", "y:ELU", "z:GELU"]


def test_dicts_are_pytorchs(torch):
    for ours, theirs in zip(use_dicts(tensor), use_dicts(torch), strict=True):
        assert ours == theirs


def use_parameter_lists(T):
    n = T.nn
    p = n.ParameterList([T.ones(2, 3), n.Parameter(T.zeros(4))])
    p.append(T.ones(())).extend([T.ones(1)])
    p += ["text"]
    found = [len(p), [k for k, _ in p.named_parameters()], type(p[0]).__name__, p[-2].requires_grad, repr(p)]
    p[1] = T.full((2,), 7.0)
    return [*found, p[1].tolist(), len(p[1:3]), p[1:3][0] is p[1], [type(x).__name__ for x in p]]


def test_parameter_lists():
    found = use_parameter_lists(tensor)
    assert found[:4] == [5, ["0", "1", "2", "3"], "Parameter", True]
    assert "  (0): Parameter containing: [torch.float32 of size 2x3]" in found[4]


def test_parameter_lists_are_pytorchs(torch):
    for ours, theirs in zip(use_parameter_lists(tensor), use_parameter_lists(torch), strict=True):
        assert ours == theirs


ERRORS = {
    "index": lambda T: T.nn.Sequential(T.nn.ReLU())[1],
    "list index": lambda T: T.nn.ModuleList([T.nn.ReLU()])[-2],
    "index of an index": lambda T: T.nn.ModuleList([T.nn.ReLU()])["0"],
    "no module": lambda T: T.nn.Sequential(T.relu),
    "no iterable": lambda T: T.nn.ModuleList(3),
    "adding a list": lambda T: T.nn.Sequential() + 3,
    "times 0": lambda T: T.nn.Sequential() * 0,
    "times a float": lambda T: T.nn.Sequential() * 1.5,
    "insert": lambda T: T.nn.Sequential().insert(3, T.nn.ReLU()),
    "dict key": lambda T: T.nn.ModuleDict()["x"],
    "dict of a number": lambda T: T.nn.ModuleDict(3),
    "dict of triples": lambda T: T.nn.ModuleDict([("a", "b", "c")]),
    "calling a list": lambda T: T.nn.ModuleList()(1),
    "calling parameters": lambda T: T.nn.ParameterList()(1),
    "parameters of a tensor": lambda T: T.nn.ParameterList(T.ones(2)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    with pytest.raises((IndexError, TypeError, KeyError, ValueError, NotImplementedError, RuntimeError)):
        ERRORS[case](tensor)


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_pytorchs(check, torch, case):
    check.raises_alike(ERRORS[case])


def test_the_chain_trains():
    tensor.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    x = tensor.linspace(-1, 1, 20).reshape(-1, 1)
    losses = []
    for _ in range(500):
        loss = nn.functional.mse_loss(model(x), x * x)
        model.zero_grad()
        loss.backward()
        with tensor.no_grad():
            for p in model.parameters():
                p -= 0.3 * p.grad
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
