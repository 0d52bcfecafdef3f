"""tensor/nn/norm.py: the layers beside PyTorch's over several steps, their state, options and errors."""

import inspect

import numpy as np
import pytest

import tensor
from tensor import nn

LAYERS = {
    "batch 1d": (lambda nn, **o: nn.BatchNorm1d(4, **o), (6, 4)),
    "batch 1d, length": (lambda nn, **o: nn.BatchNorm1d(4, **o), (6, 4, 5)),
    "batch 2d": (lambda nn, **o: nn.BatchNorm2d(4, **o), (3, 4, 5, 2)),
    "batch 3d": (lambda nn, **o: nn.BatchNorm3d(4, **o), (3, 4, 2, 2, 2)),
    "instance 1d": (lambda nn, **o: nn.InstanceNorm1d(4, **o), (3, 4, 5)),
    "instance 1d, alone": (lambda nn, **o: nn.InstanceNorm1d(4, **o), (4, 5)),
    "instance 2d": (lambda nn, **o: nn.InstanceNorm2d(4, **o), (3, 4, 2, 5)),
    "instance 3d": (lambda nn, **o: nn.InstanceNorm3d(4, **o), (2, 4, 2, 2, 2)),
}
RUNNING = [
    {},
    {"momentum": None},
    {"momentum": 0.3, "eps": 1e-2},
    {"affine": True, "bias": False},
    {"affine": False},
    {"track_running_stats": False},
    {"track_running_stats": True},
]
OTHERS = {
    "layer": (lambda nn: nn.LayerNorm(5), (3, 5)),
    "layer, two dims": (lambda nn: nn.LayerNorm((4, 5), eps=1e-2), (3, 4, 5)),
    "layer, list": (lambda nn: nn.LayerNorm([5], bias=False), (2, 3, 5)),
    "layer, plain": (lambda nn: nn.LayerNorm(5, elementwise_affine=False), (3, 5)),
    "rms": (lambda nn: nn.RMSNorm(5), (3, 5)),
    "rms, eps": (lambda nn: nn.RMSNorm((4, 5), eps=1e-2), (3, 4, 5)),
    "rms, plain": (lambda nn: nn.RMSNorm(5, elementwise_affine=False), (3, 5)),
    "group": (lambda nn: nn.GroupNorm(2, 6), (3, 6, 4)),
    "group, eps": (lambda nn: nn.GroupNorm(3, 6, 1e-2), (3, 6, 2, 2)),
    "group, no bias": (lambda nn: nn.GroupNorm(3, 6, bias=False), (3, 6, 2, 2)),
    "group, plain": (lambda nn: nn.GroupNorm(1, 6, affine=False), (3, 6)),
}


def assert_same_state(check, ours, theirs) -> None:
    mine, expected = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(expected)
    for name, value in expected.items():
        assert str(mine[name].dtype) == str(value.dtype)
        check.same(mine[name], value, name, 1e-5, 1e-6)


def run_beside(check, torch, make, shape) -> None:
    """Train both layers for three steps, then evaluate: outputs, gradients and state stay together."""
    ours, theirs = make(nn), make(torch.nn)
    assert repr(ours) == repr(theirs)
    assert_same_state(check, ours, theirs)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    optimizers = [
        T.optim.SGD(layer.parameters(), lr=0.1)
        for T, layer in ((tensor, ours), (torch, theirs))
        if list(layer.parameters())
    ]
    for step in range(3):
        x = check.numbers(*shape, seed=step).astype(np.float32)
        flow = check.numbers(*shape, seed=10 + step).astype(np.float32)
        found = []
        for T, layer in ((tensor, ours), (torch, theirs)):
            t = T.tensor(x, requires_grad=True)
            out = layer(t)
            out.backward(T.tensor(flow))
            found.append([out, t.grad, *[p.grad for p in layer.parameters()]])
        check.same(found[0], found[1], f"step {step}", 1e-4, 1e-5)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        assert_same_state(check, ours, theirs)
    ours.eval()
    theirs.eval()
    x = check.numbers(*shape, seed=9).astype(np.float32)
    check.same(ours(tensor.tensor(x)), theirs(torch.tensor(x)), "evaluation", 1e-4, 1e-5)
    assert_same_state(check, ours, theirs)


@pytest.mark.parametrize("options", RUNNING, ids=str)
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_with_running_statistics(check, torch, kind: str, options: dict) -> None:
    make, shape = LAYERS[kind]
    run_beside(check, torch, lambda nn: make(nn, **options), shape)


@pytest.mark.parametrize("kind", OTHERS)
def test_layers_of_one_example(check, torch, kind: str) -> None:
    run_beside(check, torch, *OTHERS[kind])


@pytest.mark.parametrize(
    "name",
    ["BatchNorm1d", "BatchNorm2d", "InstanceNorm1d", "InstanceNorm2d", "LayerNorm", "RMSNorm", "GroupNorm"],
)
def test_arguments_are_pytorchs(torch, name: str) -> None:
    mine, theirs = (inspect.signature(getattr(m, name)).parameters for m in (nn, torch.nn))
    assert [(p.name, p.default, p.kind) for p in mine.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]


def test_the_running_statistics_by_hand() -> None:
    x = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32) * 2 + 1
    layer = nn.BatchNorm1d(3)
    assert layer.running_mean.tolist() == [0.0] * 3
    assert layer.running_var.tolist() == [1.0] * 3
    assert layer.num_batches_tracked.dtype is tensor.int64
    layer(tensor.from_numpy(x))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.mean(0), 1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * x.var(0, ddof=1), 1e-5)
    assert int(layer.num_batches_tracked) == 1
    layer.reset_running_stats()
    assert layer.running_var.tolist() == [1.0] * 3
    assert int(layer.num_batches_tracked) == 0


def test_dtypes_and_saving(tmp_path) -> None:
    layer = nn.BatchNorm2d(3, dtype=tensor.float64)
    assert layer.running_var.dtype is tensor.float64
    assert layer.num_batches_tracked.dtype is tensor.int64
    layer = nn.Sequential(nn.BatchNorm1d(3)).double()
    assert layer[0].running_mean.dtype is tensor.float64
    assert layer[0].num_batches_tracked.dtype is tensor.int64
    layer(tensor.randn(5, 3, dtype=tensor.float64))
    other = nn.Sequential(nn.BatchNorm1d(3)).double()
    assert str(other.load_state_dict(layer.state_dict())) == "<All keys matched successfully>"
    assert other[0].running_var.equal(layer[0].running_var)
    assert int(other[0].num_batches_tracked) == 1


WRONG = {
    "dims 1d": lambda T: T.nn.BatchNorm1d(3)(T.ones(2, 3, 4, 5)),
    "dims 2d": lambda T: T.nn.BatchNorm2d(3)(T.ones(2, 3, 4)),
    "dims instance": lambda T: T.nn.InstanceNorm2d(3)(T.ones(2, 3)),
    "one value": lambda T: T.nn.BatchNorm1d(3)(T.ones(1, 3)),
    "channels": lambda T: T.nn.BatchNorm1d(3)(T.ones(2, 4)),
    "instance channels": lambda T: T.nn.InstanceNorm1d(3, affine=True)(T.ones(2, 4, 5)),
    "groups": lambda T: T.nn.GroupNorm(3, 4),
    "layer": lambda T: T.nn.LayerNorm(4)(T.ones(2, 3)),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors(check, case: str) -> None:
    check.raises_alike(WRONG[case])


def test_other_channels_warn_without_affine(engines) -> None:
    for T in engines:
        with pytest.warns(UserWarning, match="does not match num_features"):
            T.nn.InstanceNorm1d(3)(T.randn(2, 4, 5))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batches_are_counted_on_the_device_of_the_module(device: str, momentum: float | None) -> None:
    norm = nn.BatchNorm1d(3, momentum=momentum).to(device)
    x = tensor.tensor([[1.0, -2.0, 3.0], [2.0, 0.0, 5.0]], device=device)
    for _ in range(2):
        norm(x)
    assert norm.num_batches_tracked.device == x.device
    assert norm.num_batches_tracked.item() == 2
    kept = 0.0 if momentum is None else 0.9**2
    for found, expected in zip(norm.running_mean.tolist(), [1.5, -1.0, 4.0], strict=True):
        assert found == pytest.approx((1 - kept) * expected, rel=1e-6)
