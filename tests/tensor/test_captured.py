"""tensor/captured.py: training by replays of a CUDA graph, on a GPU or on the simulator of one."""

import numpy as np
import pytest

import tensor
from tensor import nn, optim, training
from tensor.captured import steps_on_gpu


@pytest.fixture(autouse=True)
def _needs_a_gpu(device: str) -> None:
    if device == "cpu":
        pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda")


@pytest.fixture(scope="module")
def data() -> tuple:
    numbers = np.random.default_rng(0)
    return numbers.normal(size=(22, 1, 4, 4)).astype(np.float32), numbers.integers(0, 3, 22)


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.2), nn.Linear(8, 3),
    )  # fmt: skip


class Stopped(Exception):
    """Ends a training."""


def train(data: tuple, plan: training.Plan, captured: bool, stop_after: int | None = None) -> list:
    """Return what a training came to, in bits: epochs, losses on the way, and all that is kept of it."""
    tensor.manual_seed(plan.seed)
    model = small().cuda()
    optimizer = training.make_optimizer(model, plan.optimizer, plan.lr)
    position, epochs, seen = training.Position(), [], []

    def look(position: training.Position) -> None:
        seen.append(position.loss)
        grads = [p.grad for p in model.parameters()]
        seen.append([float(g.abs().sum().item()) for g in grads if g is not None])
        if len(seen) // 2 == stop_after:
            raise Stopped

    for _ in range(2):
        try:
            training.fit(model, optimizer, *data, plan, position, look, epochs.append, captured)
        except Stopped:
            position.generator = training.default_generator.state_array()
            continue
        break
    assert optimizer.param_groups[0]["lr"] == plan.rate(plan.epochs - 1)
    assert not optimizer.param_groups[0].get("capturable")
    kept = [t.detach().cpu().numpy().tobytes() for t in model.state_dict().values()]
    for entries in optimizer.state_dict()["state"].values():
        kept += [entries[key].cpu().numpy().tobytes() for key in sorted(entries)]
    return [epochs, seen, kept]


@pytest.mark.parametrize("optimizer", list(training.OPTIMIZERS))
def test_replayed_training_is_the_same_bits(
    data: tuple, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = training.Plan(2, batch_size=5, optimizer=optimizer, lr=0.01, lr_decay=0.5)
    launched = train(data, plan, captured=False)
    graphs: list[int] = []
    monkeypatch.setattr("tensor.captured.graph", lambda g: graphs.append(1) or tensor.cuda.graph(g))
    assert train(data, plan, captured=True) == launched
    assert graphs == [1]
    if optimizer == "adam":
        assert train(data, plan, captured=True, stop_after=3) == launched
        monkeypatch.setattr("tensor.feeding._fits", lambda data: False)
        assert train(data, plan, captured=True) == launched


def test_an_optimiser_is_given_back_as_it_was() -> None:
    p = tensor.ones(2, device="cuda", requires_grad=True)
    stepping = optim.Adam([p], lr=0.25)
    with steps_on_gpu(stepping, p.device):
        assert stepping.param_groups[0]["lr"].is_cuda
        assert stepping.param_groups[0]["capturable"]
        stepping.param_groups[0]["lr"].fill_(0.125)
    assert stepping.param_groups[0]["lr"] == 0.125
    assert not stepping.param_groups[0]["capturable"]


def test_an_error_while_capturing_is_the_steps_own(data: tuple) -> None:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(16, 3)

        def forward(self, x):
            out = self.linear(x.flatten(1))
            return out * out.max().item()

    model = Looks().cuda()
    optimizer, plan = training.make_optimizer(model, "sgd", 0.01), training.Plan(1, 5, "sgd", 0.25)
    with pytest.raises(RuntimeError, match=r"^item: cannot be captured"):
        training.fit(model, optimizer, *data, plan, captured=True)
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert not tensor.cuda.is_current_stream_capturing()
