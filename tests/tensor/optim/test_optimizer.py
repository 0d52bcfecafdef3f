"""What optimisers share: groups, state, saving, printing, and how they change parameters."""

import copy
import pickle

import numpy as np
import pytest

import tensor
from tensor import nn, optim
from tensor.optim.optimizer import Optimizer, required


def filled(T, n=2):
    """Return n parameters with gradients."""
    made = [T.nn.Parameter(T.ones(i + 1)) for i in range(n)]
    for p in made:
        p.grad = T.ones_like(p)
    return made


def test_groups_have_settings_of_their_own():
    a, b, c = filled(tensor, 3)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": iter([c]), "lr": 0.0})
    optimizer.step()
    assert a.item() == pytest.approx(0.9)
    assert b.tolist() == [0.5, 0.5]
    assert c.tolist() == [1.0, 1.0, 1.0]
    optimizer.param_groups[0]["lr"] = 1.0  # as a scheduler does
    optimizer.step()
    assert a.item() == pytest.approx(-0.1)


def test_named_parameters():
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"][0] is model.weight


def test_a_parameter_without_a_gradient_is_skipped():
    a, b = filled(tensor)
    b.grad = None
    optim.Adam([a, b]).step()
    assert a.item() != 1.0
    assert b.tolist() == [1.0, 1.0]


def test_zero_grad():
    a, b = filled(tensor)
    kept = a.grad
    optimizer = optim.SGD([a, b])
    b.grad = None
    optimizer.zero_grad(set_to_none=False)
    assert a.grad is kept
    assert kept.item() == 0.0
    optimizer.zero_grad()
    assert a.grad is None


def test_a_closure_is_run_with_recording_on():
    p = nn.Parameter(tensor.tensor([3.0]))
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tensor.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert p.item() == pytest.approx(2.4)
    assert optimizer.step() is None


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam])
def test_a_step_is_noticed_by_a_graph_that_needs_the_old_values(make):
    p = nn.Parameter(tensor.tensor([3.0]))
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    make([p]).step()
    assert p.is_leaf
    assert p.grad_fn is None
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize(
    "make", [lambda p: optim.SGD(p, momentum=0.9), lambda p: optim.Adam(p, amsgrad=True), optim.AdamW]
)
@pytest.mark.parametrize("how", ["state_dict", "pickled", "copied"])
def test_saving_and_going_on(make, how):
    def steps(parameters, optimizer, count):
        for i in range(count):
            for j, p in enumerate(parameters):
                p.grad = tensor.full(tuple(p.shape), float(i + j - 1))
            optimizer.step()

    a = filled(tensor)
    first = make(a)
    steps(a, first, 3)
    b = copy.deepcopy(a)
    if how == "state_dict":
        second = make(b)
        second.load_state_dict(first.state_dict())
    else:
        second = copy.deepcopy(first) if how == "copied" else pickle.loads(pickle.dumps(first))
        b = second.param_groups[0]["params"]
    steps(a, first, 4)
    steps(b, second, 4)
    for p, q in zip(a, b, strict=True):
        assert p is not q
        np.testing.assert_array_equal(p.detach(), q.detach())


def test_the_state_loaded_is_a_copy_in_the_parameters_type():
    a = filled(tensor)
    first = optim.Adam(a)
    first.step()
    b = [nn.Parameter(p.detach().double()) for p in a]
    second = optim.Adam(b, lr=0.5)
    second.load_state_dict(first.state_dict())
    assert second.state[b[0]]["exp_avg"].dtype is tensor.float64
    assert second.state[b[0]]["step"].dtype is tensor.float32
    assert second.param_groups[0]["lr"] == 1e-3
    first.step()
    assert second.state[b[0]]["step"].item() == 1.0


def test_state_that_does_not_fit_is_refused_and_nothing_changes():
    optimizer = optim.SGD(filled(tensor), momentum=0.9)
    other = optim.SGD([nn.Parameter(tensor.ones(1)), nn.Parameter(tensor.ones(5))], momentum=0.9, lr=7.0)
    for p in other.param_groups[0]["params"]:
        p.grad = tensor.ones_like(p)
    other.step()
    with pytest.raises(ValueError, match=r"momentum_buffer has shape \(5,\), its parameter \(2,\)"):
        optimizer.load_state_dict(other.state_dict())
    assert optimizer.param_groups[0]["lr"] == 1e-3
    assert not optimizer.state


def saved(T):
    parameters = filled(T, 3)
    optimizer = T.optim.Adam([{"params": parameters[:1], "lr": 0.5}, {"params": parameters[1:]}])
    optimizer.step()
    state = optimizer.state_dict()
    entries = {i: {k: v.tolist() for k, v in s.items()} for i, s in state["state"].items()}
    momentum = T.optim.SGD(parameters, momentum=0.9)
    momentum.step()
    return list(state), entries, state["param_groups"], sorted(momentum.state_dict()["state"][0])


def test_the_saved_form():
    names, entries, groups, velocity = saved(tensor)
    assert names == ["state", "param_groups"]
    assert entries[0]["step"] == 1.0
    assert list(entries[2]) == ["step", "exp_avg", "exp_avg_sq"]
    assert [g["params"] for g in groups] == [[0], [1, 2]]
    assert groups[0]["lr"] == 0.5
    assert velocity == ["momentum_buffer"]


def test_the_saved_form_is_pytorchs(torch):
    ours, theirs = saved(tensor), saved(torch)
    assert ours[0] == theirs[0]
    assert ours[2:] == theirs[2:]
    assert [list(g) for g in ours[2]] == [list(g) for g in theirs[2]], "settings in another order"
    for i, entries in theirs[1].items():
        for name, value in entries.items():
            np.testing.assert_allclose(ours[1][i][name], value, rtol=1e-6)


PRINTED = """SGD (
Parameter Group 0
    dampening: 0
    differentiable: False
    foreach: None
    fused: None
    lr: 0.1
    maximize: False
    momentum: 0
    nesterov: False
    weight_decay: 0

Parameter Group 1
    dampening: 0
    differentiable: False
    foreach: None
    fused: None
    lr: 0.5
    maximize: False
    momentum: 0
    nesterov: False
    weight_decay: 0
)"""


def printed(T, name):
    a, b = filled(T)
    return repr(getattr(T.optim, name)([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1))


def test_printing():
    assert printed(tensor, "SGD") == PRINTED


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_printing_is_pytorchs(torch, name):
    assert printed(tensor, name) == printed(torch, name)


def computed(T):
    return T.ones(1, requires_grad=True) * 2


def load(T, change):
    optimizer = T.optim.SGD(filled(T))
    state = optimizer.state_dict()
    change(state["param_groups"])
    optimizer.load_state_dict(state)


ERRORS = {
    "a tensor": lambda T: T.optim.SGD(T.ones(1)),
    "nothing": lambda T: T.optim.SGD([]),
    "a number": lambda T: T.optim.SGD([1.0]),
    "a set": lambda T: T.optim.SGD([{"params": {T.ones(1)}}]),
    "no leaf": lambda T: T.optim.SGD([computed(T)]),
    "no dict": lambda T: T.optim.SGD(filled(T)).add_param_group(T.ones(1)),
    "no params": lambda T: T.optim.SGD([{"lr": 1.0}]),
    "twice": lambda T: T.optim.SGD([{"params": p} for p in filled(T, 1) * 2]),
    "one without a name": lambda T: T.optim.SGD([("a", T.ones(1)), T.ones(1)]),
    "a group without names": lambda T: T.optim.SGD([("a", T.ones(1))]).add_param_group({"params": T.ones(1)}),
    "other groups": lambda T: load(T, lambda groups: groups.append(groups[0])),
    "other sizes": lambda T: load(T, lambda groups: groups[0]["params"].append(9)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    with pytest.raises((TypeError, ValueError, KeyError)):
        ERRORS[case](tensor)


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_pytorchs(check, torch, case):
    check.raises_alike(ERRORS[case])


def test_a_parameter_twice_in_one_group_is_warned_of():
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD(filled(tensor, 1) * 2)


def test_a_setting_may_be_required():
    with pytest.raises(ValueError, match="didn't specify a value of required optimization parameter rate"):
        Optimizer(filled(tensor), {"rate": required})
    with pytest.raises(NotImplementedError, match="defines no step"):
        Optimizer(filled(tensor), {}).step()


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, momentum=0.9), optim.Adam])
def test_shapes_and_types_that_changed_are_errors_not_crashes(make):
    p = nn.Parameter(tensor.ones(3))
    optimizer = make([p])
    p._grad = tensor.ones(4)  # `p.grad = ...` refuses it
    with pytest.raises(RuntimeError, match=r"a parameter of shape \(3,\).*gradient or state of shape \(4,\)"):
        optimizer.step()
    p.grad = tensor.ones(3)
    optimizer.step()
    p.data = tensor.ones(5)
    p.grad = tensor.ones(5)
    with pytest.raises(RuntimeError, match="make a new optimizer"):
        optimizer.step()
    p.data, p.grad = tensor.ones(3).double(), tensor.ones(3).double()
    with pytest.raises(RuntimeError, match="float64 has a gradient or state of shape"):
        optimizer.step()


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, lr=0.1), optim.Adam])
def test_parameters_that_cannot_be_written_to(make):
    numbers = np.ones(3, np.float32)
    numbers.flags.writeable = False
    for p, problem in (
        (tensor.from_numpy(numbers, warn=False), "read-only"),
        (tensor.ones(1).expand(3), "single memory"),
    ):
        p = p.detach().requires_grad_()
        optimizer = make([p])
        p.grad = tensor.ones(3)
        with pytest.raises(RuntimeError, match=problem):
            optimizer.step()


MAKERS = [
    lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1),
    lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5),
    lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
]


def mixed() -> list:
    """Return parameters of many kinds: of two types, empty, not contiguous, large."""
    generator = tensor.Generator().manual_seed(0)
    shapes = [
        ((3, 4), tensor.float32),
        ((0, 2), tensor.float32),
        ((), tensor.float64),
        ((5,), tensor.float64),
    ]
    found = [tensor.randn(*shape, dtype=dtype, generator=generator) for shape, dtype in shapes]
    found += [tensor.randn(4, 3, generator=generator).T, tensor.randn(150, 150, generator=generator)]
    return [p.detach().requires_grad_() for p in found]


def give_gradients(params, seed: int) -> None:
    generator = tensor.Generator().manual_seed(seed)
    for p in params:
        p.grad = tensor.randn(*p.shape, dtype=p.dtype, generator=generator)


def assert_equal(params, others) -> None:
    for p, q in zip(params, others, strict=True):
        assert p.dtype is q.dtype
        np.testing.assert_array_equal(p.detach(), q.detach())


@pytest.mark.parametrize("make", MAKERS)
def test_all_at_once_is_one_by_one_to_the_last_bit(make):
    together, apart = mixed(), mixed()
    one, many = make(together), [make([p]) for p in apart]
    for seed in range(5):
        give_gradients(together, seed)
        give_gradients(apart, seed)
        for params in (together, apart):  # now this one is left out, now that
            params[seed].grad = None
        one.step()
        for optimizer in many:
            optimizer.step()
        assert_equal(together, apart)
    assert not together[4].is_contiguous()


@pytest.mark.parametrize("make", MAKERS)
def test_a_tensor_or_an_array_put_in_another_s_place_is_noticed(make):
    params, others = mixed(), mixed()
    a, b = make(params), make(others)
    for seed, replace in enumerate(["nothing", "data", "array of the state", "state", "all state"]):
        if replace == "data":
            for p in params:
                p.data = p.data.clone()
        for p in params:
            state = a.state.get(p, {})
            for name in list(state):
                if replace == "array of the state":
                    state[name].data = state[name].data.clone()
                elif replace == "state":
                    state[name] = state[name].clone()
        if replace == "all state":
            a.load_state_dict(copy.deepcopy(a.state_dict()))
        for optimizer, ps in ((a, params), (b, others)):
            give_gradients(ps, seed)
            optimizer.step()
        assert_equal(params, others)


@pytest.mark.parametrize("make", MAKERS)
def test_state_thrown_away_begins_anew(make):
    p, q = tensor.ones(3, requires_grad=True), tensor.ones(3, requires_grad=True)
    optimizer = make([p])
    for _ in range(2):
        give_gradients([p], 0)
        optimizer.step()
    with tensor.no_grad():
        p.copy_(q)
    optimizer.state.clear()
    give_gradients([p, q], 1)
    q.grad = p.grad
    optimizer.step()
    make([q]).step()
    assert_equal([p], [q])


@pytest.mark.parametrize("make", MAKERS)
def test_parameters_that_share_memory_are_changed_one_after_the_other(make):
    memory, plain = tensor.ones(30_000), tensor.ones(30_000)
    first, second = (memory[start : start + 20_000].detach().requires_grad_() for start in (0, 10_000))
    optimizer = make([first, second])
    p, q = (plain[start : start + 20_000].detach().requires_grad_() for start in (0, 10_000))
    others = make([p]), make([q])
    for seed in range(3):
        for params in ([first, second], [p, q]):
            give_gradients(params, seed)
        optimizer.step()
        for other in others:
            other.step()
        assert_equal([memory], [plain])


def test_a_gradient_in_another_order_of_memory():
    p, q = tensor.zeros(40, 60, requires_grad=True), tensor.zeros(40, 60, requires_grad=True)
    a, b = optim.SGD([p], lr=1.0), optim.SGD([q], lr=1.0)
    for seed in range(3):
        give_gradients([q], seed)
        p.grad = tensor.tensor(q.grad.T.tolist()).T
        assert not p.grad.is_contiguous()
        a.step()
        b.step()
        assert_equal([p], [q])
