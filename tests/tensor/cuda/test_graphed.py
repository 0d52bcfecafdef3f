"""tensor/cuda/graphed.py: forward and backward passes as graphs, on a GPU or on the simulator of one."""

import copy
import pickle
from typing import Any, NamedTuple

import pytest

import tensor as torch
from tensor import nn, optim
from tensor.nn import functional as F


@pytest.fixture(autouse=True)
def _needs_a_gpu(device: str) -> None:
    if device == "cpu":
        pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda")


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)).cuda()


def numbers(seed: int, *shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).cuda()


def learn(model: nn.Module, head: nn.Module, steps: int = 3) -> list:
    """Return losses, then gradients, parameters and buffers; `model` may be graphed, `head` is not."""
    stepping = optim.SGD([*model.parameters(), *head.parameters()], lr=0.1, momentum=0.9)
    losses = []
    for n in range(steps):
        x = numbers(n, 3, 4).requires_grad_()
        stepping.zero_grad()
        loss = F.mse_loss(head(model(x * 2)), numbers(n + 10, 3, 2))
        loss.backward()
        stepping.step()
        losses += [loss.item(), x.grad.tolist()]
    kept = [*model.parameters(), *model.buffers(), *head.parameters()]
    return [losses, *[t.tolist() for t in kept], *[p.grad.tolist() for p in model.parameters()]]


def test_a_graphed_module_learns_the_same_bits() -> None:
    plain, model = small(), small()
    heads = [nn.Linear(2, 2).cuda() for _ in range(2)]
    heads[1].load_state_dict(heads[0].state_dict())
    graphed = torch.cuda.make_graphed_callables(
        model, (torch.zeros(3, 4, device="cuda", requires_grad=True),)
    )
    assert graphed is model
    for t, kept in zip(model.buffers(), plain.buffers(), strict=True):
        t.copy_(kept)  # which warming up has moved
    assert learn(model, heads[1]) == learn(plain, heads[0])
    x = numbers(5, 7, 4)
    assert torch.equal(model.eval()(x), plain.eval()(x)), "another mode is not replayed: any size will do"
    with pytest.raises(RuntimeError, match=r"0 was captured as \(3, 4\) .*, and is called as \(7, 4\)"):
        model.train()(x)


def test_gradients_accumulate() -> None:
    model, w = nn.Linear(4, 2).cuda(), None
    torch.cuda.make_graphed_callables(model, (torch.zeros(3, 4, device="cuda"),))
    for n in range(3):
        x = numbers(n, 3, 4)
        model(x).sum().backward()
        w = x.sum(0) if w is None else w + x.sum(0)
    assert torch.allclose(model.weight.grad, w.expand(2, 4))


class Pair(NamedTuple):
    total: Any
    rest: dict


def test_functions_of_trees_of_tensors() -> None:
    def both(x: Any, more: dict) -> Pair:
        y = x * more["scale"]
        return Pair(y.sum(), {"y": [y, (y > 0)], "n": 3})

    sample = (numbers(0, 3).requires_grad_(), {"scale": numbers(1, 3)})
    graphed = torch.cuda.make_graphed_callables(both, sample)
    x, scale = numbers(2, 3).requires_grad_(), numbers(3, 3)
    out = graphed(x, {"scale": scale})
    assert isinstance(out, Pair)
    assert out.rest["n"] == 3
    assert out.rest["y"][0].tolist() == (x * scale).tolist()
    assert out.rest["y"][1].tolist() == (x * scale > 0).tolist()
    assert not out.rest["y"][1].requires_grad
    (out.total + 2 * out.rest["y"][0].sum()).backward()
    assert x.grad.tolist() == (3 * scale).tolist()
    (first,) = torch.autograd.grad(graphed(x, {"scale": scale}).total * x[0], [x], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        (first * x).sum().backward()


def test_several_in_the_order_of_their_calls() -> None:
    first, second = nn.Linear(4, 4).cuda(), nn.Linear(4, 2).cuda()
    x = numbers(0, 3, 4)
    weights = [p.tolist() for p in (*first.parameters(), *second.parameters())]
    expected = second(first(x).tanh())
    expected.sum().backward()
    grads = [p.grad.tolist() for p in first.parameters()]
    first.zero_grad()
    one, two = torch.cuda.make_graphed_callables(
        (first, second), ((torch.zeros_like(x),), (torch.zeros(3, 4, device="cuda", requires_grad=True),))
    )
    for _ in range(2):
        first.zero_grad()
        out = two(one(x).tanh())
        out.sum().backward()
        assert out.tolist() == expected.tolist()
        assert [p.grad.tolist() for p in first.parameters()] == grads
    assert weights == [p.tolist() for p in (*first.parameters(), *second.parameters())]


def test_dropout_draws_anew() -> None:
    model = nn.Dropout(0.5)
    torch.cuda.make_graphed_callables(model, (torch.ones(50, device="cuda", requires_grad=True),))
    x = torch.ones(50, device="cuda", requires_grad=True)
    found = [model(x).tolist() for _ in range(2)]
    assert found[0] != found[1]
    out = model(x)
    out.sum().backward()
    assert x.grad.tolist() == out.tolist(), "the mask of the same replay"


def test_a_copy_of_a_graphed_module_is_a_plain_one() -> None:
    model, x = small(), numbers(1, 3, 4)
    torch.cuda.make_graphed_callables(model, (x,))
    other = copy.deepcopy(model)
    with torch.no_grad():
        for p in other.parameters():
            p.fill_(0)
    assert other(x).abs().sum().item() == 0
    assert other(numbers(2, 7, 4)).shape == (7, 2)
    assert model(x).abs().sum().item() > 0
    with pytest.raises(TypeError, match=r"a CUDA graph cannot be saved; save the module's state_dict"):
        pickle.dumps(model)


def test_what_is_refused() -> None:
    make, x = torch.cuda.make_graphed_callables, torch.ones(3, device="cuda", requires_grad=True)
    with pytest.raises(TypeError, match="only Tensors of the GPU, got 2"):
        make(lambda a, b: a * b, (x, 2))
    with pytest.raises(TypeError, match="only Tensors of the GPU, got a tensor on cpu"):
        make(lambda a: a, (torch.ones(3),))
    with pytest.raises(TypeError, match="expected sample_args, a tuple of tensors, got Tensor"):
        make(lambda a: a, x)
    with pytest.raises(ValueError, match="for each of 2 callables, got 1"):
        make((lambda a: a, lambda a: a), ((x,),))
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        make(lambda a, b: a * 2, (x, x.detach().clone().requires_grad_()))
    unused = make(lambda a, b: a * 2, (x, x.detach().clone().requires_grad_()), allow_unused_input=True)
    assert unused(x, x).tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError, match=r"^item: cannot be captured"):
        make(lambda a: a * a.sum().item(), (x,))
    module = nn.Linear(3, 3).cuda()
    module.register_forward_hook(lambda *_: None)
    with pytest.raises(RuntimeError, match="must not have hooks"):
        make(module, (x,))
    module = nn.Linear(3, 3).cuda()
    make(module, (x.detach(),))
    with pytest.raises(TypeError, match="not by name: input"):
        module(input=x.detach())
    with pytest.raises(RuntimeError, match="argument 0 was captured without requires_grad"):
        module(x)
    with pytest.raises(RuntimeError, match=r"as \(3,\) torch.float32 .* as \(3,\) torch.float64"):
        module(x.detach().double())
    with pytest.raises(TypeError, match="captured with 1 tensors, called with 2"):
        module(x.detach(), x.detach())
