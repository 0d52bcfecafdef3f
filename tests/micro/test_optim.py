import random

import pytest

from micro import Value
from micro.optim import SGD, Adam

OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.01}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_same_steps_as_torch(name, options):
    torch = pytest.importorskip("torch", reason="the comparison needs PyTorch")
    draw = random.Random(0)
    start = [draw.uniform(-1, 1) for _ in range(3)]
    ours = [Value(number) for number in start]
    theirs = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in start]
    our_optimizer = {"SGD": SGD, "Adam": Adam}[name](ours, **options)
    their_optimizer = getattr(torch.optim, name)(theirs, **options)
    for _ in range(20):
        for (a, b, c), optimizer in ((ours, our_optimizer), (theirs, their_optimizer)):
            optimizer.zero_grad()
            (a * a * b + (b - c) * (b - c) + (a * c).tanh()).backward()
            optimizer.step()
    assert [p.data for p in ours] == pytest.approx([p.item() for p in theirs], rel=1e-11)


@pytest.mark.parametrize(("optimizer", "options"), [(SGD, {"lr": 0.1, "momentum": 0.5}), (Adam, {"lr": 0.1})])
def test_finds_the_bottom_of_a_bowl(optimizer, options):
    x, y = Value(4.0), Value(-3.0)
    steps = optimizer([x, y], **options)
    for _ in range(300):
        steps.zero_grad()
        ((x - 1) ** 2 + 2 * (y + 2) ** 2).backward()
        steps.step()
    assert (x.data, y.data) == (pytest.approx(1.0, abs=1e-3), pytest.approx(-2.0, abs=1e-3))


def test_zero_grad():
    x = Value(1.0)
    optimizer = SGD([x], lr=0.1)
    (x * 3).backward()
    optimizer.zero_grad()
    assert x.grad == 0.0


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"SGD: expected parameters, got none; pass model.parameters\(\)"):
        SGD([])
    with pytest.raises(TypeError, match="Adam: expected Values, got float"):
        Adam([1.0])
    with pytest.raises(ValueError, match="SGD: expected lr >= 0, got -1"):
        SGD([Value(1.0)], lr=-1.0)
    with pytest.raises(ValueError, match=r"Adam: expected betas in \[0, 1\)"):
        Adam([Value(1.0)], betas=(0.9, 1.0))
