"""Optimisers of parameters on a GPU, or its simulator: the CPU's steps, and their state."""

import copy
import io

import numpy as np
import pytest

import tensor
from tensor import nn, optim
from tensor.nn.utils import clip_grad_norm_, clip_grad_value_
from tensor.optim.swa_utils import AveragedModel, get_ema_avg_fn

CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"weight_decay": 0.1, "amsgrad": True}),
    ("AdamW", {"betas": (0.5, 0.9), "maximize": True}),
    ("RMSprop", {"weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.5, "centered": True, "maximize": True}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adadelta", {"rho": 0.5, "weight_decay": 0.1}),
    ("Adamax", {"weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"momentum_decay": 0.1, "weight_decay": 0.1}),
    ("NAdam", {"decoupled_weight_decay": True, "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"betas": (0.5, 0.9), "weight_decay": 0.1}),
    ("RAdam", {"decoupled_weight_decay": True, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Adafactor", {}),
    ("ASGD", {"t0": 2}),
]


@pytest.fixture(autouse=True)
def _needs_a_gpu(device: str) -> None:
    if device == "cpu":
        pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda")


def start(dtype, device):
    rng = np.random.default_rng(1)
    values = [rng.standard_normal(shape).astype(dtype) for shape in ((7,), (2, 3), (), (0, 2))]
    made = [tensor.tensor(v, device=device) for v in values]
    made[1] = made[1].t()  # not in order
    return [p.requires_grad_() for p in made]


def train(parameters, optimizer, steps=7, first=0):
    """Step with gradients that do not depend on the parameters, so that rounding does not add up."""
    for i in range(first, first + steps):
        for k, p in enumerate(parameters):
            grad = np.cos(np.arange(p.numel()) + i + k).astype(p.detach().cpu().numpy().dtype)
            p.grad = tensor.tensor(grad, device=p.device).reshape(p.shape)
        optimizer.step()


def same(one, other, dtype):
    limit = 2e-6 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(one.detach().cpu(), other.detach().cpu(), rtol=limit, atol=limit)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_steps_are_the_cpus(device, name, options, dtype):
    runs = []
    for where in (device, "cpu"):
        parameters = start(dtype, where)
        optimizer = getattr(optim, name)(parameters, lr=0.02, **options)
        train(parameters, optimizer)
        runs.append((parameters, optimizer))
    (there, ours), (here, theirs) = runs
    for p, q in zip(there, here, strict=True):
        assert p.is_cuda
        same(p, q, dtype)
        for entry, value in theirs.state[q].items():
            found = ours.state[p][entry]
            assert found.is_cuda == (value.ndim > 0 or entry not in ("step", "eta", "mu", "mu_product"))
            same(found, value, dtype)


def test_an_infinite_parameter_stays_infinite(device):
    p = tensor.tensor([np.inf, 1.0], device=device, requires_grad=True)
    p.grad = tensor.ones(2, device=device)
    for name in ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax"):
        getattr(optim, name)([p]).step()
        assert p[0].item() == np.inf


def test_a_nan_stays_a_nan_in_adamax(device):
    p = tensor.ones(1, device=device, requires_grad=True)
    optimizer = optim.Adamax([p])
    for grad in (np.nan, 1.0):
        p.grad = tensor.full((1,), grad, device=device)
        optimizer.step()
    assert np.isnan(optimizer.state[p]["exp_inf"].item())


def test_parameters_of_two_devices_and_types_in_one_group(device):
    made = [
        tensor.ones(2, dtype=dtype, device=where, requires_grad=True)
        for dtype in (tensor.float32, tensor.float64)
        for where in ("cpu", device)
    ]
    for p in made:
        p.grad = tensor.ones_like(p)
    optim.SGD(made, lr=0.5).step()
    assert [p.tolist() for p in made] == [[0.5, 0.5]] * 4
    assert [p.is_cuda for p in made] == [False, True, False, True]


def test_parameters_that_share_memory_step_one_after_the_other(device):
    memory = tensor.ones(3, device=device)
    pair = [memory[:2].detach().requires_grad_(), memory[1:].detach().requires_grad_()]
    for p in pair:
        p.grad = tensor.ones(2, device=device)
    optim.SGD(pair, lr=0.5, weight_decay=1.0).step()
    assert memory.tolist() == [0.0, -0.5, 0.0]


def test_a_step_is_noticed_by_a_graph_that_needs_the_old_values(device):
    p = tensor.full((1,), 3.0, device=device, requires_grad=True)
    loss = (p * p).sum()
    p.grad = tensor.ones(1, device=device)
    optim.Adam([p]).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_model_that_moves_takes_its_gradients_along(device):
    layer = nn.Linear(2, 1)
    layer.weight.grad = tensor.ones(1, 2)
    optimizer = optim.SGD(layer.parameters(), lr=1.0)
    before = layer.weight.tolist()
    layer.to(device)
    assert layer.weight.grad.is_cuda
    optimizer.step()
    np.testing.assert_allclose(layer.weight.tolist(), np.array(before) - 1, 1e-6)
    layer.cpu()
    assert not layer.weight.grad.is_cuda


def test_state_that_stayed_behind_is_refused_and_can_be_fetched(device):
    p = nn.Parameter(tensor.ones(2))
    optimizer = optim.Adam([p], lr=0.1)
    other = copy.deepcopy(optimizer)
    twin = other.param_groups[0]["params"][0]
    for one in (p, twin):
        one.grad = tensor.ones(2)
    optimizer.step()
    other.step()
    p.data, p.grad = p.data.to(device), tensor.ones(2, device=device)
    with pytest.raises(RuntimeError, match=r"a parameter on cuda:0 has .* on cpu; move the model"):
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    other.step()
    assert optimizer.state[p]["exp_avg"].is_cuda
    assert not optimizer.state[p]["step"].is_cuda
    np.testing.assert_allclose(p.tolist(), twin.tolist(), 1e-6)


def test_a_gradient_of_another_device_is_refused(device):
    p = tensor.ones(2, device=device, requires_grad=True)
    with pytest.raises(RuntimeError, match="different device"):
        p.grad = tensor.ones(2)


@pytest.mark.parametrize("ways", [("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")], ids=str)
@pytest.mark.parametrize("name", ["Adam", "SGD", "NAdam", "ASGD"])
def test_saving_and_going_on_elsewhere(device, name, ways):
    options = {"momentum": 0.9} if name == "SGD" else {}
    first = [tensor.tensor([1.0, -2.0], device=ways[0], requires_grad=True)]
    optimizer = getattr(optim, name)(first, lr=0.1, **options)
    train(first, optimizer, 3)
    file = io.BytesIO()
    tensor.save({"p": first[0].detach(), "o": optimizer.state_dict()}, file)
    for map_location in (None, "cpu", device, lambda storage, place: storage.cuda()):
        file.seek(0)
        saved = tensor.load(file, map_location=map_location, weights_only=True)
        second = [saved["p"].to(ways[1]).clone().requires_grad_()]
        other = getattr(optim, name)(second, lr=1.0)
        other.load_state_dict(saved["o"])
        reference = [p.detach().clone().requires_grad_() for p in first]
        again = getattr(optim, name)(reference, lr=1.0)
        again.load_state_dict(optimizer.state_dict())
        train(second, other, 3, 3)
        train(reference, again, 3, 3)
        same(second[0], reference[0], "float32")


def test_the_count_of_steps_is_on_the_host_whatever_the_default(device):
    tensor.set_default_device(device)
    try:
        p = nn.Parameter(tensor.ones(2))
        p.grad = tensor.ones(2)
        for name in ("Adam", "NAdam", "Rprop", "Adagrad"):
            optimizer = getattr(optim, name)([p])
            optimizer.step()
            assert not optimizer.state[p]["step"].is_cuda
            optimizer.state[p]["step"] = optimizer.state[p]["step"].to(device)  # as a file may bring it
            optimizer.step()
            assert optimizer.state[p]["step"].item() == 2.0
    finally:
        tensor.set_default_device(None)


def test_clipping_gradients_of_two_devices(device):
    made = [tensor.zeros(2, device=where, requires_grad=True) for where in (device, "cpu")]
    for p in made:
        p.grad = tensor.tensor([3.0, -4.0], device=p.device)
    total = clip_grad_norm_(made, 1.0)
    assert total.is_cuda
    assert total.item() == pytest.approx(50**0.5)
    for p in made:
        np.testing.assert_allclose(p.grad.tolist(), np.array([3, -4]) / 50**0.5, 1e-5)
    clip_grad_value_(made, 0.5)
    np.testing.assert_allclose(made[0].grad.tolist(), [3 / 50**0.5, -0.5], 1e-5)


def test_averages_of_a_model(device):
    layer = nn.Linear(2, 1)
    average = AveragedModel(layer, device=device, avg_fn=get_ema_avg_fn(0.75))
    assert average.n_averaged.is_cuda
    average.update_parameters(layer)
    before = np.array(layer.weight.tolist())
    with tensor.no_grad():
        layer.weight.add_(1.0)
    average.update_parameters(layer.to(device))
    np.testing.assert_allclose(average.module.weight.tolist(), before + 0.25, 1e-6)
    assert average.n_averaged.item() == 2
