"""Every optimiser over 100 steps against PyTorch, with all its settings; its state; what it refuses."""

import io
from importlib import import_module

import numpy as np
import pytest

import tensor
from tensor import nn, optim

# name -> settings; each is tried with and without weight decay, and climbing
OPTIONS = {
    "RMSprop": [{}, {"alpha": 0.9, "eps": 1e-4}, {"centered": True}, {"momentum": 0.9},
                {"momentum": 0.5, "centered": True}],
    "Adagrad": [{}, {"lr_decay": 0.1}, {"initial_accumulator_value": 0.5, "eps": 1e-3}],
    "Adadelta": [{}, {"rho": 0.5, "eps": 1e-3, "lr": 0.5}],
    "Adamax": [{}, {"betas": (0.5, 0.9), "eps": 1e-3}],
    "NAdam": [{}, {"betas": (0.5, 0.9), "momentum_decay": 0.1}, {"decoupled_weight_decay": True}],
    "RAdam": [{}, {"betas": (0.5, 0.9), "eps": 1e-3}, {"decoupled_weight_decay": True}],
    "Rprop": [{}, {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.1)}],
    "Adafactor": [{}, {"beta2_decay": -0.5, "eps": (1e-4, 0.1), "d": 2.0}],
    "ASGD": [{}, {"lambd": 0.1, "alpha": 0.5, "t0": 30}],
}  # fmt: skip
MORE = [{}, {"weight_decay": 0.1}, {"maximize": True}, {"weight_decay": 0.05, "maximize": True}]
CASES = [
    (name, {"lr": 0.02} | options | more)
    for name, settings in OPTIONS.items()
    for options in settings
    for more in MORE
    if not (name == "Rprop" and "weight_decay" in more)
]


@pytest.fixture(params=["tensor", "torch"])
def T(request):
    """Return one engine after the other: what is asserted must be true of both."""
    return tensor if request.param == "tensor" else request.getfixturevalue("torch")


def start(check, dtype):
    return [check.numbers(7, seed=1).astype(dtype), check.numbers(2, 3, seed=2).astype(dtype)]


def train(T, name, values, steps=100, **options):
    parameters = [T.tensor(v, requires_grad=True) for v in values]
    optimizer = getattr(T.optim, name)(parameters, **options)
    for i in range(steps):
        optimizer.zero_grad()
        sum(((p - 1) ** 2).sum() for p in parameters).mul(float(np.cos(i) / (1 + i / 10))).backward()
        optimizer.step()
    return parameters, optimizer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_100_steps_are_pytorchs(check, torch, name, options, dtype):
    ours = train(tensor, name, start(check, dtype), **options)
    theirs = train(torch, name, start(check, dtype), **options)
    for p, q in zip(ours[0], theirs[0], strict=True):
        np.testing.assert_allclose(
            p.detach(),
            q.detach(),
            rtol=1e-4 if dtype == "float32" else 1e-9,
            atol=1e-5 * (dtype == "float32"),
        )
    a, b = ours[1].state_dict(), theirs[1].state_dict()
    assert a["param_groups"] == b["param_groups"]
    assert list(a["param_groups"][0]) == list(b["param_groups"][0])
    for key in b["state"]:
        assert list(a["state"][key]) == list(b["state"][key])
        for entry, value in b["state"][key].items():
            assert str(a["state"][key][entry].dtype) == str(value.dtype)
            assert tuple(a["state"][key][entry].shape) == tuple(value.shape)
    assert repr(ours[1]) == repr(theirs[1])


RECORDED = {  # PyTorch's parameter after 3 steps of 0.1 from 1.0 with the gradients 1, -0.5 and 2
    "RMSprop": -0.4257263,
    "Adagrad": 0.8574342,
    "Adadelta": 0.9994616,
    "Adamax": 0.8353838,
    "NAdam": 0.8356556,
    "RAdam": 0.7918624,
    "Rprop": 0.85,
    "ASGD": 0.7499741,
}


def three_steps(T, name):
    p = T.nn.Parameter(T.ones(1))
    optimizer = getattr(T.optim, name)([p], lr=0.1)
    for grad in (1.0, -0.5, 2.0):
        p.grad = T.full((1,), grad)
        optimizer.step()
    return p.item()


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_steps(name):
    assert three_steps(tensor, name) == pytest.approx(RECORDED[name], rel=1e-5)


@pytest.mark.parametrize("name", [*OPTIONS, "SGD", "Adam", "AdamW"])
def test_a_rate_that_is_a_tensor(name):
    values = [np.ones(2, np.float32)]
    ours, _ = train(tensor, name, values, 5, lr=tensor.tensor(0.125))
    same, _ = train(tensor, name, values, 5, lr=0.125)
    np.testing.assert_array_equal(ours[0].detach(), same[0].detach())
    with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
        getattr(optim, name)([tensor.ones(1)], lr=tensor.ones(2))


@pytest.mark.parametrize("name", OPTIONS)
def test_saving_and_going_on(name):
    values = [np.linspace(-1, 2, 5, dtype=np.float32)]
    options = {"momentum": 0.9, "centered": True} if name == "RMSprop" else {}
    first, optimizer = train(tensor, name, values, 4, **options)
    file = io.BytesIO()
    tensor.save(optimizer.state_dict(), file)
    file.seek(0)
    second = [p.detach().clone().requires_grad_() for p in first]
    other = getattr(optim, name)(second, lr=1.0)
    other.load_state_dict(tensor.load(file))
    for _ in range(5):
        for parameters, one in ((first, optimizer), (second, other)):
            for p in parameters:
                p.grad = p.detach() - 0.5
            one.step()
    np.testing.assert_array_equal(first[0].detach(), second[0].detach())


def test_adagrad_has_its_state_before_the_first_step():
    p = nn.Parameter(tensor.ones(2))
    optimizer = optim.Adagrad([p], initial_accumulator_value=0.5)
    assert optimizer.state[p]["sum"].tolist() == [0.5, 0.5]
    assert optimizer.state[p]["step"].item() == 0.0


ERRORS = {
    "RMSprop": [{"lr": -1}, {"eps": -1}, {"momentum": -1}, {"weight_decay": -1}, {"alpha": -1}],
    "Adagrad": [{"lr": -1}, {"lr_decay": -1}, {"initial_accumulator_value": -1}, {"eps": -1}],
    "Adadelta": [{"lr": -1}, {"rho": 1.5}, {"eps": -1}, {"weight_decay": -1}],
    "Adamax": [{"lr": -1}, {"betas": (1.0, 0.9)}, {"eps": -1}, {"weight_decay": -1}],
    "NAdam": [{"lr": -1}, {"betas": (0.9, 1.0)}, {"momentum_decay": -1}],
    "RAdam": [{"lr": -1}, {"betas": (0.9, -1.0)}, {"eps": -1}],
    "Rprop": [{"lr": -1}, {"etas": (1.0, 2.0)}, {"etas": (0.5, 0.9)}],
    "ASGD": [{"lr": -1}, {"weight_decay": -1}],
    "LBFGS": [{"lr": -1}],
}


@pytest.mark.parametrize(("name", "options"), [(n, o) for n, os in ERRORS.items() for o in os], ids=str)
def test_errors_are_pytorchs(check, engines, name, options):
    check.raises_alike(lambda T: getattr(T.optim, name)([T.ones(1)], **options))
    for T in engines:
        with pytest.raises(ValueError, match="Invalid"):
            getattr(T.optim, name)([T.ones(1)], **options)


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"Adafactor"}))
def test_what_is_not_supported_says_so(name):
    with pytest.raises(NotImplementedError, match=f"{name}: differentiable=True"):
        getattr(optim, name)([tensor.zeros(1)], differentiable=True)


# --- hooks ---------------------------------------------------------------------------------------------


def test_hooks_of_steps_and_states(T):
    p = T.nn.Parameter(T.ones(1))
    p.grad = T.ones(1)
    optimizer = T.optim.SGD([p], lr=0.5)
    every = import_module(f"{T.__name__}.optim.optimizer")
    seen = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, a, k: seen.append(("pre", o is a[0], k))),
        optimizer.register_step_post_hook(lambda o, a, k: seen.append(("post", o.state_dict() and 1))),
        every.register_optimizer_step_pre_hook(lambda o, a, k: seen.append("all pre")),
        every.register_optimizer_step_post_hook(lambda o, a, k: seen.append("all post")),
        optimizer.register_state_dict_pre_hook(lambda o: seen.append("saving")),
        optimizer.register_state_dict_post_hook(lambda o, state: state | {"more": 1}),
        optimizer.register_load_state_dict_pre_hook(lambda o, state: seen.append(state.get("more"))),
        optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded")),
    ]
    optimizer.step(closure=None)
    optimizer.load_state_dict(optimizer.state_dict())
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert seen == [
        "all pre", ("pre", True, {"closure": None}), "saving", ("post", 1), "all post",
        "saving", 1, "loaded",
    ]  # fmt: skip


def test_a_hook_may_change_the_arguments(T):
    p = T.nn.Parameter(T.ones(1))
    optimizer = T.optim.SGD([p], lr=0.5)
    optimizer.register_step_pre_hook(lambda o, a, k: ((a[0], lambda: T.tensor(7.0)), {}))
    assert optimizer.step().item() == 7.0
    optimizer.register_step_pre_hook(lambda o, a, k: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        optimizer.step()


def test_an_optimizer_of_ones_own(T):
    class Signs(T.optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, {"lr": lr})

        def __setstate__(self, state):
            super().__setstate__(state)
            for group in self.param_groups:
                group.setdefault("added", 1)

        @T.no_grad()
        def step(self, closure=None):
            loss = None if closure is None else T.enable_grad()(closure)()
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self.state[p]["count"] = self.state[p].get("count", 0) + 1
                        p.add_(p.grad.sign(), alpha=-group["lr"])
            return loss

    class Doubled(T.optim.SGD):
        def step(self, closure=None):
            super().step()
            return super().step(closure)

    p = T.nn.Parameter(T.ones(1))
    optimizer = Signs([p])
    scheduler = T.optim.lr_scheduler.StepLR(optimizer, 1)
    calls = []
    optimizer.register_step_post_hook(lambda o, a, k: calls.append(1))
    loss = optimizer.step(lambda: [(p * p).sum(), (p * p).sum().backward()][0])
    assert loss.item() == 1.0
    scheduler.step()
    assert calls == [1]
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups[0]["added"] == 1
    assert optimizer.state_dict()["state"] == {0: {"count": 1}}
    assert p.item() == pytest.approx(0.9)
    twice = Doubled([p], lr=0.1)
    p.grad = T.ones(1)
    twice.step()
    assert p.item() == pytest.approx(0.7)


def test_state_of_any_shape_is_loaded():
    p = nn.Parameter(tensor.ones(2))

    class Odd(optim.Optimizer):
        def step(self, closure=None):
            self.state[p] = {"matrix": tensor.ones(2, 2), "list": [tensor.ones(3), None], "deep": {"a": 1.5}}

    first, second = Odd([p], {}), Odd([p], {})
    first.step()
    second.load_state_dict(first.state_dict())
    found = second.state[p]
    assert found["matrix"].shape == (2, 2)
    assert found["list"][0].shape == (3,)
    assert found["matrix"] is not first.state[p]["matrix"]
    assert found["deep"] == {"a": 1.5}


# --- LBFGS ---------------------------------------------------------------------------------------------


def valley(T, x):
    return 100 * ((x[1:] - x[:-1] ** 2) ** 2).sum() + ((1 - x[:-1]) ** 2).sum()


def descend(T, steps, dtype="float64", **options):
    x = T.tensor(np.linspace(-1.2, 1.0, 4).astype(dtype), requires_grad=True)
    y = T.tensor(np.array([[3.0]]).astype(dtype), requires_grad=True)
    unused = T.tensor(np.ones(2).astype(dtype), requires_grad=True)
    optimizer = T.optim.LBFGS([x, unused, y], **options)
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = valley(T, x) + (y**4).sum()
        loss.backward()
        return loss

    for _ in range(steps):
        losses.append(optimizer.step(closure).item())
    state = optimizer.state[x]
    return losses, [*x.tolist(), y.item()], (state["func_evals"], state["n_iter"]), optimizer


LBFGS = [
    {"lr": 0.1, "max_iter": 5},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "lr": 0.3, "max_eval": 7},
]


@pytest.mark.parametrize("options", LBFGS, ids=str)
def test_lbfgs_is_pytorchs(torch, options):
    steps = 6
    ours, theirs = descend(tensor, steps, **options), descend(torch, steps, **options)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-6, abs=1e-12)
    assert ours[1] == pytest.approx(theirs[1], rel=1e-6, abs=1e-9)
    assert ours[2] == theirs[2]
    assert set(ours[3].state_dict()["state"][0]) - {"al"} == set(theirs[3].state_dict()["state"][0]) - {"al"}


def test_lbfgs_finds_the_bottom_of_the_valley():
    losses, x, _, optimizer = descend(tensor, 10, line_search_fn="strong_wolfe")
    assert losses[-1] < 1e-6
    assert x[:4] == pytest.approx([1.0] * 4, abs=1e-3)
    file = io.BytesIO()
    tensor.save(optimizer.state_dict(), file)
    file.seek(0)
    optimizer.load_state_dict(tensor.load(file))
    with pytest.raises(RuntimeError, match="strong_wolfe"):
        descend(tensor, 1, line_search_fn="armijo")
    with pytest.raises(ValueError, match="per-parameter options"):
        optim.LBFGS([{"params": [tensor.ones(1)]}, {"params": [tensor.ones(1)]}])


def test_lbfgs_stops_where_it_is_flat(T):
    p = T.tensor([0.0], requires_grad=True)
    optimizer = T.optim.LBFGS([p])
    assert optimizer.step(lambda: [(p * p).sum(), (p * p).sum().backward()][0]).item() == 0.0
    assert optimizer.state_dict()["state"] == {0: {"func_evals": 1, "n_iter": 0}}


# --- averages of weights -------------------------------------------------------------------------------


def averaged(T, steps=5, **options):
    model = T.nn.Sequential(T.nn.Linear(2, 3), T.nn.BatchNorm1d(3))
    with T.no_grad():
        for p in model.parameters():
            p.fill_(1.0)
    kinds = {name: getattr(T.optim.swa_utils, f"get_{value}") for name, value in options.items()}
    average = T.optim.swa_utils.AveragedModel(model, **{n: make(0.9) for n, make in kinds.items()})
    for i in range(steps):
        with T.no_grad():
            for p in model.parameters():
                p.add_(i)
        average.update_parameters(model)
    x = T.arange(8.0).reshape(4, 2)
    T.optim.swa_utils.update_bn([x, [x + 1, 0]], average)
    state = average.state_dict()
    return {name: value.tolist() for name, value in state.items()}, average.eval()(x).tolist()


@pytest.mark.parametrize(
    "options", [{}, {"avg_fn": "ema_avg_fn"}, {"multi_avg_fn": "ema_multi_avg_fn"}], ids=str
)
def test_averaged_models(engines, options):
    found = [averaged(T, **options) for T in engines]
    assert found[0][0]["n_averaged"] == 5
    assert found[0][0]["module.0.weight"][0][0] == pytest.approx(
        5.0 if not options else found[-1][0]["module.0.weight"][0][0]
    )
    for name, value in found[-1][0].items():
        np.testing.assert_allclose(found[0][0][name], value, rtol=1e-5)
    np.testing.assert_allclose(found[0][1], found[-1][1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"anneal_strategy": "linear"}, {"anneal_epochs": 0}], ids=str)
def test_swalr(engines, options):
    found = []
    for T in engines:
        optimizer = T.optim.SGD([T.nn.Parameter(T.ones(1))], lr=0.5)
        scheduler = T.optim.swa_utils.SWALR(optimizer, swa_lr=0.05, **options)
        rates = []
        for _ in range(15):
            optimizer.step()
            scheduler.step()
            rates.append(scheduler.get_last_lr()[0])
        found.append(rates)
    assert all(one == pytest.approx(found[0], rel=1e-12) for one in found)
    assert found[0][-1] == pytest.approx(0.05)
