"""What the host does for the GPU, counted on a stand-in for one: launches, allocations, waits."""

import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

import tensor
from kernels.cuda.array import empty
from kernels.cuda.elementwise import forward
from tensor import nn, optim, training


def test_a_stand_in_is_a_gpu_for_as_long_as_it_is_wanted(gpu_stand_in: ModuleType) -> None:
    assert not tensor.cuda.is_available() or tensor.cuda.get_device_name() != "stand-in"
    with gpu_stand_in.stand_in() as gpu:
        assert tensor.cuda.get_device_name() == "stand-in"
        x = tensor.from_numpy(np.arange(6, dtype=np.float32)).to("cuda")
        assert x.cpu().tolist() == [0, 1, 2, 3, 4, 5]
        assert (gpu.count, gpu.waits, gpu.allocations) == (0, 1, 1)
        (x + x) * x
        assert gpu.launched == {"elementwise.add": 1, "elementwise.mul": 1}
        assert [launch.name for launch in gpu.launches] == ["elementwise.add", "elementwise.mul"]
    assert not tensor.cuda.is_available() or tensor.cuda.get_device_name() != "stand-in"


def test_a_steady_training_step_allocates_nothing_and_does_not_wait(gpu_stand_in: ModuleType) -> None:
    with gpu_stand_in.stand_in(is_recorded=False) as gpu:
        model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)).cuda()
        stepping = optim.Adam(model.parameters())
        loss_of = nn.CrossEntropyLoss()
        x, y = tensor.zeros(64, 784, device="cuda"), tensor.zeros(64, device="cuda", dtype=tensor.int64)
        for _ in range(4):
            gpu.forget()
            stepping.zero_grad()
            loss_of(model(x), y).backward()
            stepping.step()
        assert (gpu.allocations, gpu.waits) == (0, 0)
        assert gpu.launched["optim.adam"] == 1
        of_the_loss = [name for name in gpu.launched if name.startswith("softmax.")]
        assert sorted(of_the_loss) == ["softmax.loss_dx", "softmax.losses"]
        assert gpu.count <= 12, gpu.launched


@pytest.mark.parametrize(
    ("shape", "reduction", "launches"),
    [((64, 10), "mean", 1), ((64, 1000), "mean", 2), ((64, 1000), "none", 1), ((4096, 10), "sum", 2)],
)
def test_launches_of_a_cross_entropy(
    gpu_stand_in: ModuleType, shape: tuple[int, int], reduction: str, launches: int
) -> None:
    with gpu_stand_in.stand_in(is_recorded=False) as gpu:
        x = tensor.zeros(shape, device="cuda", requires_grad=True)
        y = tensor.zeros(shape[0], device="cuda", dtype=tensor.int64)
        for way in ("forward", "backward"):
            gpu.forget()
            if way == "forward":
                loss = nn.functional.cross_entropy(x, y, reduction=reduction)
            else:
                loss.backward(tensor.ones_like(loss))
                gpu.launched.pop("memory.fill", None)
            found = {name: count for name, count in gpu.launched.items() if name.startswith("softmax.")}
            assert sum(found.values()) == (launches if way == "forward" else 1), found
            assert gpu.waits == 0


CHECKED: dict[str, Callable[[Any, Any], Any]] = {
    "getitem": lambda x, i: x[i],
    "setitem": lambda x, i: x.__setitem__(i, 1.0),
    "gather": lambda x, i: x.gather(0, i.reshape(-1, 1)),
    "scatter_add": lambda x, i: x.scatter_add(0, i.reshape(-1, 1), x),
    "index_select": lambda x, i: x.index_select(1, i),
    "embedding": lambda x, i: nn.functional.embedding(i, x),
    "nll_loss": nn.functional.nll_loss,
    "binary_cross_entropy": lambda x, i: nn.functional.binary_cross_entropy(x, x),
    "bernoulli": lambda x, i: tensor.bernoulli(x),
}


@pytest.mark.parametrize("name", CHECKED)
def test_checks_do_not_wait(gpu_stand_in: ModuleType, name: str) -> None:
    with gpu_stand_in.stand_in(is_recorded=False) as gpu:
        x = tensor.zeros(3, 3, device="cuda")
        i = tensor.zeros(3, device="cuda", dtype=tensor.int64)
        CHECKED[name](x, i)
        assert gpu.waits == 0


def test_an_epoch_waits_for_the_gpu_at_its_end(gpu_stand_in: ModuleType) -> None:
    images, labels = np.zeros((70, 1, 4, 4), np.float32), np.zeros(70, np.int64)
    with gpu_stand_in.stand_in(is_recorded=False) as gpu:
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).cuda()
        stepping = training.make_optimizer(model, "adam", 1e-3)
        at_batches: list[int] = []
        training.fit(
            model, stepping, images, labels, training.Plan(2, batch_size=8),
            on_batch=lambda position: at_batches.append(gpu.waits),
        )  # fmt: skip
        assert at_batches == [0] * 9 + [1] * 9
        assert gpu.launched["gather.take_rows"] == 2 * 18
        assert gpu.launched["batches.tally"] == 18


def calls_of(once: Callable[[], Any]) -> list[str]:
    """Return the names of Python's functions that are called, once caches are filled."""
    for _ in range(3):
        once()
    calls: list[str] = []

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            calls.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        once()
    finally:
        sys.setprofile(None)
    return calls[1:]  # without `once` itself


def test_an_operation_costs_the_host_few_calls(gpu_stand_in: ModuleType) -> None:
    """Five microseconds are about as many calls as these: a fifth of one each, and what they do."""
    with gpu_stand_in.stand_in(is_recorded=False):
        x, y, out = (empty((64, 128), np.float32) for _ in range(3))
        for z in (y, empty((128, 64), np.float32).T, empty((1, 128), np.float32)):
            found = calls_of(partial(forward, "add", x, z, out=out))
            assert len(found) <= 8, found
        made = calls_of(partial(empty, (64, 128), np.float32))
        assert len(made) <= 7, made  # with those of the array that it takes the place of
        for view in (lambda: x.T, lambda: x.reshape(128, 64), lambda: x.broadcast_to((2, 64, 128))):
            assert len(calls_of(view)) <= 4
