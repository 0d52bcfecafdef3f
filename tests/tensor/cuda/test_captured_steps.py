"""Optimisers in CUDA graphs: counts, rates and state on the GPU, or on the simulator of one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensor as torch
from tensor import optim


@pytest.fixture(autouse=True)
def _needs_a_gpu(device: str) -> None:
    if device == "cpu":
        pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda")


def capture(function: Callable[[], Any]) -> Any:
    """Return a graph of what a function does."""
    g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g):
        function()
    return g


def make(name: str, *parameters: Any, **settings: Any) -> optim.Optimizer:
    return getattr(optim, name)(parameters, **settings)


CAPTURED = [
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"momentum": 0.9, "dampening": 0.1, "maximize": True}),
    ("Adam", {"capturable": True, "weight_decay": 0.1, "amsgrad": True}),
    ("AdamW", {"capturable": True}),
    ("Adamax", {"capturable": True}),
    ("RMSprop", {"capturable": True, "momentum": 0.5, "centered": True}),
    ("Adadelta", {"capturable": True}),
    ("Rprop", {"capturable": True}),
    ("ASGD", {"capturable": True, "t0": 2}),
]


@pytest.mark.parametrize(("name", "settings"), CAPTURED)
@pytest.mark.parametrize("rate", ["number", "tensor"])
def test_captured_steps_are_those_of_the_cpu(name: str, settings: dict, rate: str) -> None:
    if rate == "tensor" and name in ("Rprop", "ASGD"):
        pytest.skip("a rate that is a number at the first step, or is read as a number")
    start = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32))
    grads = torch.from_numpy(np.random.default_rng(1).normal(size=(6, 3, 5)).astype(np.float32))
    p, q = start.clone().requires_grad_(), start.cuda().requires_grad_()
    b, c = torch.ones(2, requires_grad=True), torch.ones(2, device="cuda", requires_grad=True)
    lr = torch.tensor(0.1, dtype=torch.float64, device="cuda") if rate == "tensor" else 0.1
    on_cpu, on_gpu = (
        make(name, p, b, lr=0.1, **settings),
        make(name, q, c, lr=lr, **settings),
    )
    q.grad, c.grad, g = torch.zeros_like(q), torch.zeros_like(c), None
    for n, grad in enumerate(grads):
        p.grad, b.grad = grad.clone(), grad[0, :2].clone()
        q.grad.copy_(grad)
        c.grad.copy_(grad[0, :2])
        if rate == "tensor" and n >= 4:
            on_cpu.param_groups[0]["lr"] = 0.02
            lr.fill_(0.02)
        on_cpu.step()
        if n == 0:
            on_gpu.step()
        elif g is None:
            g = capture(on_gpu.step)
        if g is not None:
            g.replay()
        np.testing.assert_allclose(q.detach().cpu().numpy(), p.detach().numpy(), rtol=3e-7, atol=1e-7)
        np.testing.assert_allclose(c.detach().cpu().numpy(), b.detach().numpy(), rtol=3e-7, atol=1e-7)
    for entries, others in zip(on_cpu.state.values(), on_gpu.state.values(), strict=True):
        assert entries.keys() == others.keys()
        for key in entries:
            np.testing.assert_allclose(others[key].cpu().numpy(), entries[key].numpy(), rtol=2e-6, atol=1e-7)
    if "step" in others:
        assert others["step"].is_cuda
        assert others["step"].item() == 6


def test_a_first_step_may_be_captured() -> None:
    """The state is made at once, and not anew at each replay."""
    for name, settings in (
        ("Adam", {"capturable": True}),
        ("SGD", {"momentum": 0.5}),
        ("Rprop", {"capturable": True}),
    ):
        p, q = torch.ones(3, requires_grad=True), torch.ones(3, device="cuda", requires_grad=True)
        on_cpu, on_gpu = (
            make(name, p, lr=0.1, **settings),
            make(name, q, lr=0.1, **settings),
        )
        p.grad, q.grad = torch.full((3,), 0.5), torch.full((3,), 0.5, device="cuda")
        g = capture(on_gpu.step)
        for _ in range(3):
            on_cpu.step()
            g.replay()
        np.testing.assert_allclose(q.detach().cpu().numpy(), p.detach().numpy(), rtol=3e-7)
    q = torch.ones(3, device="cuda", requires_grad=True)
    q.grad = torch.ones_like(q)
    with pytest.raises(RuntimeError, match="the first step of SGD with dampening"):
        capture(optim.SGD([q], momentum=0.5, dampening=0.1).step)


def test_saved_counts_go_on_wherever_they_are() -> None:
    p = torch.ones(3, device="cuda", requires_grad=True)
    p.grad = torch.ones_like(p)
    captured, plain = optim.Adam([p], capturable=True), optim.Adam([p])
    captured.step()
    plain.load_state_dict({**captured.state_dict(), "param_groups": plain.state_dict()["param_groups"]})
    plain.step()
    assert plain.state[p]["step"].item() == 2
    assert not plain.state[p]["step"].is_cuda
    captured.load_state_dict({**plain.state_dict(), "param_groups": captured.state_dict()["param_groups"]})
    g = capture(captured.step)
    g.replay()
    assert captured.state[p]["step"].item() == 3
    assert captured.state[p]["step"].is_cuda


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        (
            "Adam",
            {},
            r"for an instance of Adam but .* capturable is False; make it so",
        ),
        ("RMSprop", {}, "instance of RMSprop but"),
        ("Rprop", {}, "instance of Rprop but"),
        (
            "NAdam",
            {"capturable": True},
            "NAdam cannot be captured in a CUDA graph: it counts",
        ),
        ("Adagrad", {}, "Adagrad cannot be captured"),
        ("LBFGS", {}, "LBFGS cannot be captured"),
    ],
)
def test_optimisers_that_count_on_the_cpu_are_refused(name: str, settings: dict, told: str) -> None:
    p = torch.ones(3, device="cuda", requires_grad=True)
    p.grad = torch.ones_like(p)
    stepping = make(name, p, **settings)
    with pytest.raises(RuntimeError, match=told):
        capture(lambda: stepping.step(lambda: p.sum()))
    assert not torch.cuda.is_current_stream_capturing()
    assert p.tolist() == [1, 1, 1]


def test_a_rate_on_the_cpu_is_refused() -> None:
    p = torch.ones(3, device="cuda", requires_grad=True)
    p.grad = torch.ones_like(p)
    with pytest.raises(RuntimeError, match=r"lr is a tensor of the CPU, .* move it: lr.cuda\(\)"):
        capture(optim.SGD([p], lr=torch.tensor(0.1)).step)


def test_an_average_of_weights_is_counted_on_the_cpu() -> None:
    model = torch.nn.Linear(2, 2).cuda()
    averaged = optim.swa_utils.AveragedModel(model)
    with pytest.raises(RuntimeError, match=r"update_parameters: cannot be captured .* after each replay"):
        capture(lambda: averaged.update_parameters(model))
