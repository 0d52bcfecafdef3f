"""kernels/cuda/faults.py: errors that the GPU finds, raised when the host waits for it, or at once."""

import os
import threading
from importlib.util import find_spec

import pytest

if find_spec("numba_cuda") is None or os.environ.get("LIFTGRAD_TEST_DEVICE") != "cuda":
    pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda", allow_module_level=True)

import tensor
from kernels.cuda import driver, faults
from tensor import nn

WRONG = 7
ASKS = {
    "getitem": (lambda x, i: x[i], IndexError, "index 7 is out of bounds for dimension 0 with size 4"),
    "rows": (lambda x, i: x[:, i], IndexError, "index 7 is out of bounds for dimension 1 with size 3"),
    "take": (tensor.take, IndexError, "take: index 7 is out of range for a tensor of 6 elements"),
    "index_select": (
        lambda x, i: x.index_select(0, i), IndexError,
        "index_select: index 7 is out of bounds for dimension 0 with size 4",
    ),
    "embedding": (
        lambda x, i: nn.functional.embedding(i, x), IndexError,
        "embedding: index out of range in self: 7, with 4 embeddings",
    ),
    "gather": (
        lambda x, i: x.gather(0, i.reshape(-1, 1)), RuntimeError,
        "gather: index 7 is out of bounds for dimension 0 with size 4",
    ),
    "setitem": (
        lambda x, i: x.__setitem__(i, 1.0), IndexError,
        "index 7 is out of bounds for dimension 0 with size 4",
    ),
    "index_add": (
        lambda x, i: x.index_add(0, i, tensor.ones(2, 3, device=x.device)), RuntimeError,
        "index_add: index 7 is out of bounds for dimension 0 with size 4",
    ),
    "cross_entropy": (
        lambda x, i: nn.functional.cross_entropy(x[:2], i), IndexError,
        "cross_entropy: Target 7 is out of bounds for 3 classes",
    ),
    "nll_loss": (
        lambda x, i: nn.functional.nll_loss(x[:2], i, reduction="none"), IndexError,
        "nll_loss: Target 7 is out of bounds for 3 classes",
    ),
}  # fmt: skip


@pytest.fixture
def late(device, monkeypatch):
    """Raise errors as a program without CUDA_LAUNCH_BLOCKING has them."""
    monkeypatch.setattr(faults, "AT_ONCE", False)
    yield
    try:
        driver.synchronize()
    except Exception as left:
        pytest.fail(f"an error was left: {left}")


def operands(name, device):
    x = tensor.arange(12.0, device=device).reshape(4, 3)
    return x[:2] if name == "take" else x, tensor.tensor([1, WRONG], device=device)


@pytest.mark.parametrize("name", ASKS)
def test_raised_at_once_where_that_is_asked_for(device, monkeypatch, name):
    monkeypatch.setattr(faults, "AT_ONCE", True)
    ask, kind, message = ASKS[name]
    with pytest.raises(kind) as told:
        ask(*operands(name, device))
    assert str(told.value) == message
    assert type(told.value) is kind
    driver.synchronize()  # nothing is left


@pytest.mark.parametrize("name", ASKS)
def test_raised_when_the_host_waits(device, late, name):
    ask, kind, message = ASKS[name]
    ask(*operands(name, device))
    other = tensor.ones(3, device=device) + 1
    with pytest.raises(kind) as told:
        other.sum().item()
    assert str(told.value).startswith(message + " (the GPU found it in an operation that had returned before")
    assert "CUDA_LAUNCH_BLOCKING=1" in str(told.value)
    assert other.tolist() == [2, 2, 2]  # told once, and the program can go on


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: tensor.cuda.synchronize(), lambda x: tensor.cuda.current_stream().synchronize(),
        lambda x: tensor.cuda.current_stream().record_event().synchronize(), lambda x: x.cpu(), str,
        bool, lambda x: nn.functional.embedding(tensor.tensor([0], device=x.device), x.reshape(1, 1)),
    ],
    ids=["synchronize", "stream", "event", "cpu", "str", "bool", "embedding"],
)  # fmt: skip
def test_where_the_host_looks(device, late, wait):
    x = tensor.ones((), device=device)
    nn.functional.embedding(tensor.tensor([2, -3], device=device), tensor.ones(2, 2, device=device))
    with pytest.raises(IndexError, match=r"index out of range in self: (2|-3), with 2 embeddings"):
        wait(x)
    wait(x)


def test_the_first_error_is_told(device, late):
    x, i = operands("embedding", device)
    nn.functional.embedding(i, x)
    with pytest.raises(IndexError, match="embedding"):
        x[i]
    x[i]
    with pytest.raises(IndexError, match="for dimension 0 with size 4"):
        driver.synchronize()


@pytest.mark.parametrize("value", [1 << 40, -(1 << 40), (1 << 63) - 1, -(1 << 63), -1, 4])
def test_any_value(device, late, value):
    x = tensor.ones(4, device=device)
    nn.functional.embedding(tensor.tensor([value], device=device), x.reshape(4, 1))
    with pytest.raises(IndexError) as told:
        driver.synchronize()
    kept = max(-(1 << 43) + 1, min(value, (1 << 43) - 1))  # what fits beside the number of the error
    assert f"in self: {kept}, with" in str(told.value)


def test_nothing_is_read_or_written_beyond(device, late):
    """The simulator, and the emulator, notice what is; here: the elements beside are as they were."""
    memory = tensor.zeros(12, device=device)
    part = memory[4:8]
    for index in (tensor.tensor([1, -7], device=device), tensor.tensor([1 << 50], device=device)):
        part[index] = 9.0
        with pytest.raises(IndexError):
            driver.synchronize()
        part.index_add_(0, index.abs(), tensor.ones(index.numel(), device=device))
        with pytest.raises(RuntimeError):
            driver.synchronize()
    assert memory[:4].tolist() == memory[8:].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", ["input", "target"])
def test_probabilities(device, late, kind):
    for bad in (1.5, -0.25, float("nan")):
        x, y = tensor.tensor([0.5, 0.5], device=device), tensor.tensor([0.0, 1.0], device=device)
        (x if kind == "input" else y)[1] = bad
        with pytest.raises(RuntimeError, match=f"all elements of {kind} should be between 0 and 1"):
            nn.functional.binary_cross_entropy(x, y).item()
    tensor.bernoulli(tensor.tensor([0.5, 1.5], device=device))
    with pytest.raises(RuntimeError, match="p_in >= 0 && p_in <= 1"):
        driver.synchronize()


def test_threads_each_are_told_of_an_error_at_most_once(device, late):
    x, i = operands("embedding", device)
    nn.functional.embedding(i, x)
    told = []

    def wait():
        try:
            driver.synchronize()
        except IndexError as error:
            told.append(error)

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1


def test_found_again_by_each_replay_of_a_graph(device, late):
    if tensor.cuda.get_device_name() == "stand-in":
        pytest.skip("the emulator replays no graphs")
    x = tensor.arange(8.0, device=device).reshape(4, 2)
    index = tensor.tensor([1, 2], device=device)
    nn.functional.embedding(index, x)
    graph = tensor.cuda.CUDAGraph()
    with tensor.cuda.graph(graph):
        out = nn.functional.embedding(index, x)
    graph.replay()
    assert out.tolist() == [[2, 3], [4, 5]]
    for bad in (5, 9):
        index.copy_(tensor.tensor([3, bad]))
        graph.replay()
        with pytest.raises(IndexError, match=f"in self: {bad}, with 4"):
            tensor.cuda.synchronize()
    index.copy_(tensor.tensor([0, 3]))
    graph.replay()
    assert out.tolist() == [[0, 1], [6, 7]]
