"""Which functions of the driver a capture and a replay call, seen on a stand-in for the driver."""

import gc
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tensor as torch
from tensor import nn, optim, training

RELAXED = 2


@pytest.fixture
def gpu(gpu_stand_in: ModuleType) -> Iterator[Any]:
    """Run the test on a stand-in for a GPU, which computes nothing and notes what it is asked for."""
    with gpu_stand_in.stand_in() as found:
        yield found


def names(gpu: Any) -> list[str]:
    return [name for name, *_ in gpu.calls if not name.startswith("cuThread")]


def captured(x: Any, **options: Any) -> Any:
    g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g, **options):
        g.out = x + x  # type: ignore[attr-defined]
    return g


def test_a_capture_and_its_replays_call_the_driver_in_order(gpu: Any) -> None:
    x = torch.zeros(4, device="cuda")
    side = torch.cuda.Stream()
    gpu.calls.clear()
    gpu.launches.clear()
    g = captured(x, stream=side, capture_error_mode="thread_local")
    beside = ("cuStreamCreate", "cuThread", "cuDriverGetVersion")  # for constants, memory and new kernels
    begin, end, instantiate, destroy = [call for call in gpu.calls if not call[0].startswith(beside)]
    assert begin == ("cuStreamBeginCapture_v2", side.cuda_stream, 1)
    assert end[:2] == ("cuStreamEndCapture", side.cuda_stream)
    assert (instantiate[0], instantiate[3]) == ("cuGraphInstantiateWithFlags", 0)
    assert destroy == ("cuGraphDestroy", instantiate[2])
    assert [launch.stream for launch in gpu.launches] == [side.cuda_stream]
    gpu.calls.clear()
    gpu.launches.clear()
    g.replay()
    with torch.cuda.stream(side):
        g.replay()
    executable = gpu.calls[0][1]
    assert executable
    assert gpu.calls == [("cuGraphLaunch", executable, n) for n in (None, side.cuda_stream)]
    assert gpu.launches == []
    gpu.calls.clear()
    waits = gpu.waits
    g.reset()
    assert gpu.calls == [("cuGraphExecDestroy", executable)]
    assert gpu.waits == waits + 1, "a replay may still be computing"


def test_a_thread_that_has_launched_nothing_replays(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from kernels.cuda import compile as compiler

    attached: list[int] = []
    g, there = captured(torch.zeros(4, device="cuda")), compiler.cuda.current_context

    def attach() -> Any:
        attached.append(threading.get_ident())
        return there()

    monkeypatch.setattr(compiler.cuda, "current_context", attach)
    other = threading.Thread(target=g.replay)
    other.start()
    other.join()
    assert attached == [other.ident], "the driver refuses a stream of no context"
    assert names(gpu)[-1] == "cuGraphLaunch"


def test_a_graph_that_is_kept_is_instantiated_when_it_is_wanted(gpu: Any) -> None:
    g = torch.cuda.CUDAGraph(keep_graph=True)
    x = torch.zeros(4, device="cuda")
    with torch.cuda.graph(g):
        x + x
    assert "cuGraphInstantiateWithFlags" not in names(gpu)
    assert g.raw_cuda_graph() > 0
    with pytest.raises(RuntimeError, match="raw_cuda_graph_exec: there is none"):
        g.raw_cuda_graph_exec()
    g.replay()
    assert g.raw_cuda_graph_exec() > 0
    gpu.calls.clear()
    g.reset()
    assert names(gpu) == ["cuGraphExecDestroy", "cuGraphDestroy"]
    with pytest.raises(RuntimeError, match="keep_graph=True"):
        torch.cuda.CUDAGraph().raw_cuda_graph()


def test_streams_wait_for_no_other(gpu: Any) -> None:
    s = torch.cuda.Stream()
    assert gpu.calls == [("cuStreamCreate", None, 1)], "CU_STREAM_NON_BLOCKING"
    number = s.cuda_stream
    del s
    gc.collect()
    assert gpu.calls[1:] == [("cuStreamDestroy_v2", number)]


def test_new_memory_and_constants_are_taken_beside_the_capture(gpu: Any) -> None:
    x = torch.zeros(4, device="cuda")
    g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g):
        gpu.calls.clear()
        allocations = gpu.allocations
        y = nn.functional.adaptive_max_pool1d(x.reshape(1, 1, 4), 2)  # by a table of the host's
        z = torch.zeros(1 << 22, device="cuda")
        assert gpu.allocations > allocations
        assert gpu.mode == 0, "as it was before"
    modes = [call[1] for call in gpu.calls if call[0].startswith("cuThread")]
    assert modes[::2] == [RELAXED] * (len(modes) // 2)
    assert modes
    assert (y.shape, z.shape) == ((1, 1, 2), (1 << 22,))


def test_is_current_stream_capturing_asks_the_driver(gpu: Any) -> None:
    assert not torch.cuda.is_current_stream_capturing(), "the default stream is not"
    assert gpu.calls == []
    with torch.cuda.stream(torch.cuda.ExternalStream(4711)):
        assert not torch.cuda.is_current_stream_capturing()
        gpu.is_capturing = 1  # by another library
        assert torch.cuda.is_current_stream_capturing()


@pytest.mark.parametrize(
    ("function", "error", "told"),
    [
        ("cuStreamBeginCapture_v2", 900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"),
        (
            "cuStreamEndCapture",
            901,
            "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED; what cannot be",
        ),
        ("cuStreamEndCapture", 904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED; what cannot be"),
        ("cuGraphInstantiateWithFlags", 2, "CUDA_ERROR_OUT_OF_MEMORY"),
    ],
)
def test_an_error_of_the_driver_leaves_all_as_it_was(gpu: Any, function: str, error: int, told: str) -> None:
    x = torch.zeros(4, device="cuda")
    gpu.answers[function] = error
    with pytest.raises(RuntimeError, match=f"{function}: the GPU's driver answers {told}"):
        captured(x)
    gpu.answers.clear()
    assert not torch.cuda.is_current_stream_capturing()
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    gc.collect()
    reserved = torch.cuda.memory_reserved()
    captured(x).replay()
    gc.collect()
    assert torch.cuda.memory_reserved() == reserved


def test_a_stream_that_is_not_waited_for_is_told(gpu: Any) -> None:
    x, side = torch.zeros(4, device="cuda"), torch.cuda.Stream()
    told = r"cuStreamEndCapture: .*_UNJOINED; a stream takes part .*wait_stream\(other\) before the end"
    g = torch.cuda.CUDAGraph()

    def leave_behind() -> None:
        with torch.cuda.graph(g):
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                x + x

    with pytest.raises(RuntimeError, match=told):
        leave_behind()


def test_an_error_within_ends_the_capture_and_is_told_itself(gpu: Any) -> None:
    gpu.answers["cuStreamEndCapture"] = 901  # it has been invalidated already
    with pytest.raises(KeyError), torch.cuda.graph(torch.cuda.CUDAGraph()):
        raise KeyError
    assert names(gpu)[-1] == "cuStreamEndCapture"
    assert not torch.cuda.is_current_stream_capturing()


def test_a_replay_that_fails_is_told(gpu: Any) -> None:
    g = captured(torch.zeros(4, device="cuda"))
    gpu.answers["cuGraphLaunch"] = 1
    with pytest.raises(RuntimeError, match="cuGraphLaunch: the GPU's driver answers CUDA_ERROR_INVALID"):
        g.replay()


def test_a_graph_that_dies_during_a_capture_is_destroyed_after_it(gpu: Any) -> None:
    x = torch.zeros(4, device="cuda")
    old, new = captured(x), torch.cuda.CUDAGraph()
    old.replay()
    with torch.cuda.graph(new):
        x + x
        gpu.calls.clear()
        del old
        gc.collect()
        assert "cuGraphExecDestroy" not in names(gpu)
    del new
    gc.collect()
    assert names(gpu).count("cuGraphExecDestroy") == 2


def test_events_are_not_asked_for_during_a_capture(gpu: Any) -> None:
    """The driver would end the capture of another thread."""
    side, x = torch.cuda.Stream(), torch.zeros(1000, device="cuda")
    x.record_stream(side)
    asked: list[int] = []
    gpu.allocator.happened = lambda event: asked.append(1) or True  # type: ignore[func-returns-value]
    within, freed = threading.Event(), threading.Event()

    def capture() -> None:
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            torch.zeros(3, device="cuda")
            within.set()
            freed.wait(60)

    thread = threading.Thread(target=capture)
    thread.start()
    within.wait(60)
    address = x.data_ptr()
    del x
    other = torch.zeros(1000, device="cuda")
    assert asked == []
    assert other.data_ptr() != address
    freed.set()
    thread.join()
    torch.zeros(1, device="cuda")
    assert asked == [1]
    assert torch.zeros(1000, device="cuda").data_ptr() == address


def test_a_kernel_is_loaded_during_a_capture_where_the_driver_can(gpu: Any) -> None:
    x = torch.zeros(4, device="cuda")
    gpu.version = 12020
    with pytest.raises(RuntimeError, match=r"^elementwise.add: a driver older .* run the step once"):
        captured(x)
    x + x
    captured(x)


def test_a_captured_step_is_one_call(gpu: Any) -> None:
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)).cuda()
    stepping = optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.zeros(64, 784, device="cuda"), torch.zeros(64, 10, device="cuda")
    g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g):
        stepping.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        stepping.step()
    captured_launches = len(gpu.launches)
    gpu.forget()
    gpu.calls.clear()
    for _ in range(3):
        g.replay()
    assert names(gpu) == ["cuGraphLaunch"] * 3
    assert (gpu.count, gpu.allocations, gpu.waits) == (0, 0, 0)
    assert captured_launches > 10


def test_a_captured_batch_is_gathered_and_replayed(gpu: Any) -> None:
    """Nothing is allocated between batches, and nobody waits."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)).cuda()
    optimizer = training.make_optimizer(model, "adam", 1e-3)
    images, labels = np.zeros((6 * 64, 1, 28, 28), np.float32), np.zeros(6 * 64, np.int64)
    counts: list[tuple] = []

    def look(position: training.Position) -> None:
        counts.append((names(gpu).count("cuGraphLaunch"), gpu.count, gpu.allocations, gpu.waits))
        gpu.forget()
        gpu.calls.clear()

    training.fit(model, optimizer, images, labels, training.Plan(1), None, look, captured=True)
    assert counts[0][0] == 0
    assert counts[1][0] == 1
    assert counts[2:] == [(1, 2, 0, 0)] * 4, "images and labels are gathered, then all else is one call"
