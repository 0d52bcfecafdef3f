"""Registration, walking, hooks, saving and printing of modules; each also run by PyTorch where installed."""

import copy
import pickle

import pytest

import tensor
from tensor import nn


class Net(nn.Module):
    """A module of every kind of content; at module level, so that it can be pickled."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.scale = nn.Parameter(tensor.ones(4))
        self.register_buffer("mean", tensor.zeros(4))
        self.register_buffer("scratch", tensor.ones(2), persistent=False)
        self.last = nn.Linear(4, 2, bias=False)

    def forward(self, x):
        return self.last(self.first(x).relu() * self.scale - self.mean)


def make(T):
    """Return the same module of either engine."""

    class Inner(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = T.nn.Parameter(T.ones(2, 3))
            self.register_buffer("count", T.zeros(1))

        def forward(self, x):
            return x @ self.weight.T + self.count

    class Outer(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = Inner()
            self.b = Inner()
            self.b.weight = self.a.weight  # shared
            self.bias = T.nn.Parameter(T.zeros(2))
            self.register_parameter("none", None)
            self.register_buffer("hidden", T.zeros(2), persistent=False)
            self.again = self.a
            self.plain = 3

        def forward(self, x, scale=1.0):
            return (self.a(x) + self.b(x)) * scale + self.bias

    return Outer()


# --- registration ---------------------------------------------------------------------------------------


def names_of(model):
    return {
        "parameters": [n for n, _ in model.named_parameters()],
        "twice": [n for n, _ in model.named_parameters(remove_duplicate=False)],
        "own": [n for n, _ in model.named_parameters("p", recurse=False)],
        "buffers": [n for n, _ in model.named_buffers()],
        "children": [n for n, _ in model.named_children()],
        "modules": [n for n, _ in model.named_modules()],
        "all modules": [n for n, _ in model.named_modules(remove_duplicate=False)],
        "state": list(model.state_dict()),
    }


EXPECTED = {
    "parameters": ["bias", "a.weight"],
    "twice": ["bias", "a.weight", "b.weight", "again.weight"],
    "own": ["p.bias"],
    "buffers": ["hidden", "a.count", "b.count"],
    "children": ["a", "b"],
    "modules": ["", "a", "b"],
    "all modules": ["", "a", "b", "again"],
    "state": ["bias", "a.weight", "a.count", "b.weight", "b.count", "again.weight", "again.count"],
}


def test_names():
    assert names_of(make(tensor)) == EXPECTED


def test_names_are_pytorchs(torch):
    assert names_of(make(torch)) == EXPECTED


def test_assigning_again_keeps_the_place_in_the_order():
    model = nn.Linear(2, 2)
    model.weight = nn.Parameter(tensor.ones(2, 2))
    assert [n for n, _ in model.named_parameters()] == ["weight", "bias"]
    model.bias = None
    assert [n for n, _ in model.named_parameters()] == ["weight"]
    assert "bias" in dir(model)
    assert model.bias is None


def test_a_name_stands_for_one_thing():
    model = nn.Module()
    model.x = 1
    model.x = nn.Parameter(tensor.ones(1))
    assert "x" not in vars(model)
    model.x = None
    del model.x
    model.register_buffer("x", tensor.ones(1), persistent=False)
    model.x = nn.Linear(1, 1)
    assert list(model.buffers()) == []
    model.x = None
    assert list(model.children()) == []
    del model.x
    assert not hasattr(model, "x")
    with pytest.raises(AttributeError, match="'Module' object has no attribute 'x'"):
        _ = model.x
    with pytest.raises(AttributeError):
        del model.x


def broken(T, kind):
    class Early(T.nn.Module):
        def __init__(self, value):
            self.value = value

    Early({"parameter": T.nn.Parameter(T.ones(1)), "module": T.nn.Module()}[kind])


ERRORS = {
    "parameter before init": (lambda T: broken(T, "parameter"), "before Module.__init__"),
    "module before init": (lambda T: broken(T, "module"), "before Module.__init__"),
    "tensor as parameter": (
        lambda T: setattr(T.nn.Linear(1, 1), "weight", T.ones(1, 1)),
        "as parameter 'weight'",
    ),
    "module as parameter": (
        lambda T: setattr(T.nn.Linear(1, 1), "weight", T.nn.Module()),
        "as parameter 'weight'",
    ),
    "tensor as child": (lambda T: setattr(make(T), "a", T.ones(1)), "as child module 'a'"),
    "number as buffer": (
        lambda T: setattr(make(T), "hidden", 1.0),
        "cannot assign 'float' as buffer 'hidden'",
    ),
    "buffer is a number": (lambda T: T.nn.Module().register_buffer("b", 1), "object to buffer 'b'"),
    "buffer name taken": (
        lambda T: make(T).register_buffer("bias", T.ones(1)),
        "attribute 'bias' already exists",
    ),
    "buffer with a dot": (lambda T: make(T).register_buffer("a.b", T.ones(1)), 'can\'t contain "."'),
    "buffer without a name": (lambda T: make(T).register_buffer("", T.ones(1)), "can't be empty string"),
    "buffer name of a number": (
        lambda T: make(T).register_buffer(1, T.ones(1)),
        "should be a string. Got int",
    ),
    "parameter is a tensor": (
        lambda T: T.nn.Module().register_parameter("p", T.ones(1)),
        "object to parameter 'p'",
    ),
    "parameter name taken": (
        lambda T: make(T).register_parameter("plain", T.nn.Parameter(T.ones(1))),
        "attribute 'plain' already exists",
    ),
    "child is no module": (lambda T: T.nn.Module().add_module("c", T.ones), "is not a Module subclass"),
    "child with a dot": (lambda T: T.nn.Module().add_module("c.d", T.nn.Module()), 'can\'t contain "."'),
    "missing attribute": (lambda T: make(T).nothing, "object has no attribute 'nothing'"),
    "missing submodule": (lambda T: make(T).get_submodule("a.x"), "has no attribute `x`"),
    "no parameter": (lambda T: make(T).get_parameter("a.count"), "`count` is not an nn.Parameter"),
    "no forward": (lambda T: T.nn.Module()(1), 'missing the required "forward" function'),
    "mode is no bool": (lambda T: make(T).train(1), "training mode is expected to be boolean"),
    "integer dtype": (lambda T: make(T).to(T.int64), "only accepts floating point"),
    "state is no dict": (lambda T: make(T).load_state_dict([]), "Expected state_dict to be dict-like"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    action, message = ERRORS[case]
    with pytest.raises((AttributeError, TypeError, KeyError, ValueError, NotImplementedError)) as caught:
        action(tensor)
    assert message in str(caught.value).replace('\\"', '"').replace("\\'", "'")


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_pytorchs(check, torch, case):
    check.raises_alike(ERRORS[case][0])


def test_parameters_are_found_by_dotted_name():
    model = make(tensor)
    assert model.get_parameter("a.weight") is model.a.weight
    assert model.get_buffer("b.count") is model.b.count
    assert model.get_submodule("") is model
    model.register_module("extra", nn.Identity())
    assert model.get_submodule("extra") is model.extra
    assert {"extra", "bias", "hidden", "forward"} <= set(dir(model))


# --- calling and hooks ----------------------------------------------------------------------------------


def run_hooks(T):
    log = []
    model = make(T)
    x = T.ones(1, 3)
    first = model.register_forward_hook(lambda m, args, out: log.append(("after", len(args), out.shape)))
    model.register_forward_pre_hook(lambda m, args: log.append("before"))
    model.register_forward_pre_hook(lambda m, args: args[0] * 2, prepend=True)
    model.register_forward_pre_hook(lambda m, args, kwargs: (args, {"scale": 3.0}), with_kwargs=True)
    model.register_forward_hook(lambda m, args, kwargs, out: out + kwargs["scale"], with_kwargs=True)
    model.register_forward_hook(lambda m, args, out: log.append("first"), prepend=True)
    values = [model(x).tolist()]
    first.remove()
    first.remove()
    values.append(model(x, scale=0.0).tolist())
    return values, log


def test_hooks():
    values, log = run_hooks(tensor)
    assert values == [[[39.0, 39.0]], [[39.0, 39.0]]]
    assert log == ["before", "first", ("after", 1, (1, 2)), "before", "first"]


def test_hooks_are_pytorchs(torch):
    assert run_hooks(torch) == run_hooks(tensor)


def test_a_pre_hook_with_kwargs_returns_both():
    model = make(tensor)
    model.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(RuntimeError, match="a tuple of \\(new_args, new_kwargs\\)"):
        model(tensor.ones(1, 3))


# --- changing all of it ---------------------------------------------------------------------------------


def test_train_and_eval_reach_all_modules():
    model = make(tensor)
    assert model.training
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())


def test_requires_grad_and_zero_grad():
    model = make(tensor)
    model(tensor.ones(1, 3)).sum().backward()
    grad = model.bias.grad
    model.zero_grad(set_to_none=False)
    assert model.bias.grad is grad
    assert grad.tolist() == [0.0, 0.0]
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    assert not any(p.requires_grad for p in model.requires_grad_(False).parameters())


def test_conversion_keeps_the_parameters_and_changes_their_values():
    model = make(tensor)
    model.register_buffer("position", tensor.arange(3))
    before = list(model.parameters())
    model(tensor.ones(1, 3)).sum().backward()
    assert model.double() is model
    assert all(a is b for a, b in zip(before, model.parameters(), strict=True))
    assert {p.dtype for p in model.parameters()} == {tensor.float64}
    assert model.bias.grad.dtype is tensor.float64
    assert model.a.count.dtype is tensor.float64
    assert model.position.dtype is tensor.int64
    assert model.to("cpu", tensor.float32).bias.dtype is tensor.float32
    assert model.to(tensor.ones(1, dtype=tensor.float64)).bias.dtype is tensor.float64
    assert model.float().cpu().bias.dtype is tensor.float32
    with pytest.raises(AssertionError, match=r"cuda\.is_available"):
        model.cuda()


def test_apply_visits_children_first():
    seen = []
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))
    assert model.apply(lambda m: seen.append(type(m).__name__)) is model
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_equal_and_apart(duplicate):
    model = Net().eval()
    other = duplicate(model)
    x = tensor.randn(5, 3)
    assert model(x).equal(other(x))
    assert not other.training
    assert list(other.state_dict()) == list(model.state_dict())
    with tensor.no_grad():
        other.first.weight.zero_()
    assert model.first.weight.abs().sum() > 0
    assert isinstance(other.scale, nn.Parameter)
    other(x).sum().backward()
    assert model.scale.grad is None
    assert other.scale.grad is not None


def test_a_shared_parameter_stays_shared_in_a_copy():
    other = copy.deepcopy(make(tensor))
    assert other.a.weight is other.b.weight
    assert other.again is other.a


# --- saving and loading ---------------------------------------------------------------------------------


def test_state_dict_shares_memory_and_load_copies():
    model, other = Net(), Net()
    state = model.state_dict()
    assert not any(t.requires_grad for t in state.values())
    assert all(t.requires_grad for k, t in model.state_dict(keep_vars=True).items() if k != "mean")
    result = other.load_state_dict(state)
    assert repr(result) == "<All keys matched successfully>"
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert all(a.equal(b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    state["scale"].mul_(2)
    assert model.scale.tolist() == [2.0] * 4
    assert other.scale.tolist() == [1.0] * 4


def test_loading_is_noticed_by_a_graph_that_needs_the_old_values():
    model = nn.Linear(2, 2)
    x = tensor.ones(1, 2, requires_grad=True)
    loss = model(x).sum()
    model.load_state_dict(nn.Linear(2, 2).state_dict())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_one_error_lists_everything_and_nothing_is_loaded():
    model = Net()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = dict(Net().state_dict(), extra=tensor.ones(1), scale=tensor.ones(3), mean=[0.0] * 4)
    del state["last.weight"]
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(state)
    lines = str(caught.value).split("\n\t")
    assert lines[:3] == [
        "Error(s) in loading state_dict for Net:",
        'Missing key(s) in state_dict: "last.weight". ',
        'Unexpected key(s) in state_dict: "extra". ',
    ]
    assert lines[3] == (
        "size mismatch for scale: copying a param with shape torch.Size([3]) from checkpoint, the shape in "
        "current model is torch.Size([4])."
    )
    assert 'While copying the parameter named "mean"' in lines[4]
    assert all(v.equal(before[k]) for k, v in model.state_dict().items())


def load_badly(T):
    model = make(T)
    state = dict(model.state_dict(), extra=T.ones(1), bias=T.ones(3))
    del state["a.count"]
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        return str(error).replace("OrderedDict", "dict")
    raise AssertionError("no error")


def test_the_error_is_pytorchs(torch):
    assert load_badly(tensor) == load_badly(torch)


def test_not_strict_reports_but_loads():
    model = Net()
    result = model.load_state_dict({"scale": tensor.full((4,), 3.0), "other": tensor.ones(1)}, strict=False)
    assert result.missing_keys == ["mean", "first.weight", "first.bias", "last.weight"]
    assert result.unexpected_keys == ["other"]
    assert repr(result) == (
        "_IncompatibleKeys(missing_keys=['mean', 'first.weight', 'first.bias', 'last.weight'], "
        "unexpected_keys=['other'])"
    )
    assert model.scale.tolist() == [3.0] * 4
    with pytest.raises(RuntimeError, match="size mismatch for scale"):
        model.load_state_dict({"scale": tensor.ones(5)}, strict=False)


def test_assign_takes_the_tensors_themselves():
    model = Net()
    scale = tensor.full((4,), 3.0)
    model.load_state_dict({"scale": scale}, strict=False, assign=True)
    scale.fill_(4.0)
    assert isinstance(model.scale, nn.Parameter)
    assert model.scale.tolist() == [4.0] * 4


# --- printing -------------------------------------------------------------------------------------------


class Described(nn.Module):
    def __init__(self, *lines):
        super().__init__()
        self.lines = lines

    def extra_repr(self):
        return "\n".join(self.lines)


def test_printing():
    assert repr(nn.Module()) == "Module()"
    assert repr(Described("a=1")) == "Described(a=1)"
    assert repr(Described("a=1", "b=2")) == "Described(\n  a=1\n  b=2\n)"
    outer = Described("a=1")
    outer.inner = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(inplace=True))
    outer.none = None
    outer.register_module("last", Described("", "x"))
    assert repr(outer) == (
        "Described(\n"
        "  a=1\n"
        "  (inner): Sequential(\n"
        "    (0): Linear(in_features=2, out_features=3, bias=False)\n"
        "    (1): ReLU(inplace=True)\n"
        "  )\n"
        "  (last): Described(\n\n"
        "    x\n"
        "  )\n"
        ")"
    )


def describe(T):
    class Described(T.nn.Module):
        def __init__(self, *lines):
            super().__init__()
            self.lines = lines

        def extra_repr(self):
            return "\n".join(self.lines)

    outer = Described("a=1")
    outer.inner = T.nn.Sequential(T.nn.Linear(2, 3, bias=False), T.nn.Flatten(), T.nn.ReLU(inplace=True))
    outer.register_module("none", None)
    outer.last = Described("", "x")
    return repr(outer)


def test_printing_is_pytorchs(torch):
    assert describe(tensor) == describe(torch)


def test_backward_hooks_see_the_gradients_of_a_modules_arguments_and_outputs():
    layer, seen = nn.Linear(2, 3), []
    handle = layer.register_full_backward_hook(lambda module, into, out: seen.append((into, out)))
    x = tensor.ones(4, 2, requires_grad=True)
    layer(x).sum().backward()
    (into,), (out,) = seen[0]
    assert tensor.equal(into, x.grad)
    assert tensor.equal(out, tensor.ones(4, 3))
    handle.remove()
    layer(x).sum().backward()
    assert len(seen) == 1


def test_backward_hooks_of_several_arguments_and_outputs():
    class Both(nn.Module):
        def forward(self, x, count, y):
            return x * count, x + y

    module, seen = Both(), []
    module.register_full_backward_hook(
        lambda m, into, out: seen.append((into, out)) or (into[0] * 2, None, None)
    )
    x, y = tensor.ones(2, requires_grad=True), tensor.ones(3, 1, requires_grad=True)
    a, b = module(x, 5, y)
    (a.sum() + b.sum()).backward()
    into, out = seen[0]
    assert [None if g is None else tuple(g.shape) for g in into] == [(2,), None, (3, 1)]
    assert [tuple(g.shape) for g in out] == [(2,), (3, 2)]
    assert x.grad.tolist() == [16.0, 16.0]
    assert y.grad.tolist() == [[2.0], [2.0], [2.0]]


def test_a_subclass_may_load_older_names():
    class Renamed(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *rest):
            state_dict[prefix + "weight"] = state_dict.pop(prefix + "kernel")
            super()._load_from_state_dict(state_dict, prefix, *rest)

    model = nn.Sequential(Renamed(2, 3))
    state = model.state_dict()
    state["0.kernel"] = state.pop("0.weight") + 1
    expected = state["0.kernel"].clone()
    model.load_state_dict(state, strict=False)
    assert tensor.equal(model[0].weight, expected)
