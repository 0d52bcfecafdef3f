"""tensor/cuda/graphs.py: what is captured, and what replays compute, on a GPU or on the simulator of one."""

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensor as torch
from tensor import nn, optim
from tensor.nn import functional as F


@pytest.fixture(autouse=True)
def _needs_a_gpu(device: str) -> None:
    if device == "cpu":
        pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda")


def capture(function: Callable[[], Any], **options: Any) -> tuple[Any, Any]:
    """Return a graph of what a function does, and what it returned."""
    g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g, **options):
        returned = function()
    return g, returned


def test_nothing_is_computed_before_a_replay() -> None:
    x = torch.tensor([1.0, 2.0], device="cuda")
    g, _ = capture(lambda: x.add_(1))
    assert x.tolist() == [1, 2]
    g.replay()
    g.replay()
    assert x.tolist() == [3, 4]


def test_a_replay_computes_on_what_its_tensors_hold() -> None:
    x = torch.tensor([1.0, 2.0], device="cuda")
    g, (y, sum_) = capture(lambda: (3 * x, (3 * x).sum()))
    for value in (1.0, 7.0):
        x.copy_(torch.tensor([value, 2.0]))
        g.replay()
        assert (y.tolist(), sum_.item()) == ([3 * value, 6], 3 * value + 6)


def test_where_capturing_begins_and_ends() -> None:
    assert not torch.cuda.is_current_stream_capturing()
    g, s = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    before = torch.cuda.current_stream()
    with torch.cuda.graph(g, stream=s):
        assert torch.cuda.is_current_stream_capturing()
        assert torch.cuda.current_stream() == s
        torch.zeros(1, device="cuda")
        with torch.cuda.stream(torch.cuda.Stream()):
            assert not torch.cuda.is_current_stream_capturing()
    assert torch.cuda.current_stream() == before
    assert not torch.cuda.is_current_stream_capturing()
    with torch.cuda.stream(s):
        h = torch.cuda.CUDAGraph()
        h.capture_begin(capture_error_mode="relaxed")
        y = torch.ones(2, device="cuda") + 1
        h.capture_end()
    h.replay()
    assert y.tolist() == [2, 2]


def test_what_a_graph_may_not_do() -> None:
    g = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="must be captured on a non-default stream"):
        g.capture_begin()
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        g.replay()
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        g.pool()
    with pytest.raises(RuntimeError, match="no capture of this graph is under way"):
        g.capture_end()
    with pytest.raises(RuntimeError, match="nothing was captured"):
        g.debug_dump("never written")
    with pytest.raises(RuntimeError, match=r'Expected "global", "thread_local", or "relaxed", got .strict'):
        g.capture_begin(capture_error_mode="strict")
    with pytest.raises(TypeError, match="expected a pool"):
        g.capture_begin(pool=(0, 1))
    g, _ = capture(lambda: torch.zeros(1, device="cuda"))
    with pytest.raises(RuntimeError, match="already owns a captured graph"), torch.cuda.graph(g):
        pass
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    with pytest.raises(NotImplementedError, match="enable_annotations"):
        torch.cuda.graph(g, enable_annotations=True)
    with (
        pytest.raises(RuntimeError, match="a capture is under way already"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        capture(lambda: None)
    assert not torch.cuda.is_current_stream_capturing()
    with pytest.warns(UserWarning, match="The CUDA Graph is empty") as warned:
        capture(lambda: None)
    assert warned[0].filename == __file__


def test_reset_lets_go_and_lets_capture_again() -> None:
    x = torch.ones(3, device="cuda")
    g, y = capture(lambda: x + 1)
    g.replay()
    g.reset()
    assert y.tolist() == [2, 2, 2], "what came out of it keeps its memory"
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        g.replay()
    with torch.cuda.graph(g):
        z = x + 2
    g.replay()
    assert z.tolist() == [3, 3, 3]


REFUSED: dict[str, Callable[[Any], Any]] = {
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "print": lambda x: repr(x),
    "float": lambda x: float(x[0]),
    r"bool \(if, while, and\)": lambda x: bool(x[0]),
    "nonzero": lambda x: x.nonzero(),
    "masked_select": lambda x: torch.masked_select(x, x > 1),
    "indexing by a mask": lambda x: x[x > 1],
    "unique": lambda x: torch.unique(x),
    "multinomial": lambda x: torch.multinomial(x, 1),
    "poisson": lambda x: torch.poisson(x),
    "synchronize": lambda x: torch.cuda.synchronize(),
    "empty_cache": lambda x: torch.cuda.empty_cache(),
    "query": lambda x: torch.cuda.current_stream().query(),
    "to": lambda x: torch.ones(3).to("cuda"),
    "tensor": lambda x: torch.tensor(np.ones(3), device="cuda"),
    "copy_": lambda x: x.copy_(torch.ones(3)),
    "Normal": lambda x: torch.distributions.Normal(x, x, validate_args=True),
    "wait_stream": lambda x: torch.cuda.current_stream().wait_stream(torch.cuda.default_stream()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_captured_is_named_at_once(name: str) -> None:
    x = torch.tensor([1.0, 2.0, 3.0], device="cuda")
    gc.collect()
    reserved = torch.cuda.memory_reserved()
    made: list[Any] = []

    def step() -> None:
        made.append(x + 1)
        made.append(torch.zeros(1 << 18, device="cuda"))
        REFUSED[name](x)

    with pytest.raises(RuntimeError, match=f"^{name}: cannot be captured in a CUDA graph: it .*; "):
        capture(step)
    assert not torch.cuda.is_current_stream_capturing()
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    made.clear()
    gc.collect()
    assert torch.cuda.memory_reserved() <= reserved + 4096, "constants and tables may have been kept"
    g, y = capture(lambda: x * 2)  # the stream is as good as new
    g.replay()
    assert y.tolist() == [2, 4, 6]


def test_errors_in_the_middle_of_a_step_are_the_users_own() -> None:
    with pytest.raises(RuntimeError, match=r"matmul|mat1"):
        capture(lambda: torch.ones(2, 3, device="cuda") @ torch.ones(2, 3, device="cuda"))
    assert not torch.cuda.is_current_stream_capturing()


def test_pinned_memory_is_copied_anew_at_each_replay() -> None:
    host = torch.tensor([1.0, 2.0]).pin_memory()
    g, x = capture(lambda: host.to("cuda", non_blocking=True) + 1)
    for value in (3.0, 4.0):
        host.fill_(value)
        g.replay()
        torch.cuda.synchronize()
        assert x.tolist() == [value + 1] * 2


def test_copies_by_the_driver_are_replayed() -> None:
    from kernels.cuda import driver

    x, y = torch.ones(4, device="cuda"), torch.zeros(4, device="cuda")
    g, _ = capture(lambda: driver.copy_within(y.data_ptr(), x.data_ptr(), 16))
    assert y.tolist() == [0] * 4
    x.fill_(3)
    g.replay()
    assert y.tolist() == [3] * 4


def test_numbers_and_tables_are_constants() -> None:
    """They are not in the memory that the graph's own arrays take by turns."""
    x = torch.arange(30.0, device="cuda").reshape(1, 2, 15)
    scale = torch.tensor(2.0)  # a zero-dim tensor of the CPU

    def step() -> Any:
        y = x + torch.arange(15, device="cuda") * torch.tensor([[0.5], [2.0]], device="cuda")
        for n in range(4):
            y = F.adaptive_avg_pool1d(y * scale + n, 15 - n)
            y = F.pad(y, (1, 1), mode="reflect")[:, :, [1, 2, 3, 4, 5, 6, 7]] if n == 9 else y
        return y

    expected = step().tolist()
    g, y = capture(step)
    torch.cuda.empty_cache()  # lets go of tables: the graph has its own hold on them
    junk = [torch.full((n,), float("nan"), device="cuda") for n in (4, 60, 600, 6000)]
    for _ in range(3):
        g.replay()
        assert y.tolist() == expected
    del junk


def test_tables_that_kernels_make_are_there_before_a_replay() -> None:
    """Also for another graph, and for what is launched: the first one is never replayed."""
    from kernels import cuda
    from kernels.cuda.tiles import contract

    host = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    x, w = cuda.from_host(host).transpose(1, 0, 2), cuda.from_host(np.eye(4, 5, dtype=np.float32))
    expected = (host.transpose(1, 0, 2) @ np.eye(4, 5, dtype=np.float32)).tolist()
    torch.cuda.synchronize()
    s = torch.cuda.Stream()

    def product() -> Any:  # its rows are two dims, whose places are looked up in a table
        out = cuda.zeros((3, 2, 5), x.dtype)
        contract(x, w, out, 0, 1)
        return out

    kept = [capture(product, stream=s) for _ in range(2)]
    g, out = kept[1]
    g.replay()
    assert out.tolist() == expected
    with torch.cuda.stream(s):
        assert product().tolist() == expected


# --- memory ----------------------------------------------------------------------------------------------


def test_memory_is_reused_within_a_capture_and_by_nobody_else() -> None:
    x = torch.ones(1000, device="cuda")

    def chain() -> Any:
        y = x
        for _ in range(20):
            y = y + 1
        return y

    gc.collect()
    reserved = torch.cuda.memory_reserved()
    g, y = capture(chain)
    grown = torch.cuda.memory_reserved() - reserved
    assert 4096 <= grown <= 4 * 4096, "two blocks by turns, and the number"
    others = [torch.full((1000,), -1.0, device="cuda") for _ in range(6)]
    g.replay()
    assert y.tolist() == [21] * 1000
    assert all((other == -1).all().item() for other in others)
    torch.cuda.empty_cache()  # the blocks that are free belong to the graph
    more = [torch.full((1000,), -2.0, device="cuda") for _ in range(6)]
    g.replay()
    assert y.tolist() == [21] * 1000
    assert all((other == -2).all().item() for other in more)


def test_memory_goes_back_with_the_graph_and_its_tensors() -> None:
    x = torch.ones(1 << 12, device="cuda")
    gc.collect()
    torch.cuda.empty_cache()
    reserved = torch.cuda.memory_reserved()
    g, y = capture(lambda: x + x)
    g.replay()
    assert torch.cuda.memory_reserved() - reserved == x.nbytes
    del g
    gc.collect()
    assert y[:2].tolist() == [2, 2]
    assert torch.cuda.memory_reserved() - reserved == x.nbytes
    del y
    assert torch.cuda.memory_reserved() == reserved


def test_replays_allocate_nothing() -> None:
    x = torch.ones(1000, device="cuda")
    g, _ = capture(lambda: (x * x + 1).sum())
    g.replay()
    before = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        g.replay()
    assert (torch.cuda.max_memory_allocated(), torch.cuda.memory_reserved()) == before


def test_graphs_of_one_pool_share_what_is_free() -> None:
    x = torch.ones(1 << 12, device="cuda")
    token = torch.cuda.graph_pool_handle()
    first, y = capture(lambda: (x + 1) * 2, pool=token)
    reserved = torch.cuda.memory_reserved()
    second, z = capture(lambda: y + 1, pool=first.pool())
    assert first.pool() is second.pool() is token
    assert torch.cuda.memory_reserved() == reserved, "where x + 1 was"
    first.replay()
    second.replay()
    assert (y[:1].item(), z[:1].item()) == (4, 5)
    address = z.data_ptr()
    del first, z
    gc.collect()
    assert torch.cuda.memory_reserved() == reserved, "the second one still writes there"
    other = torch.full((1 << 12,), 9.0, device="cuda")
    assert other.data_ptr() != address
    second.replay()
    assert other[:1].item() == 9


def test_a_freed_input_is_noticed_where_that_is_asked_for() -> None:
    x, others = torch.ones(100, device="cuda"), [torch.ones(100, device="cuda")]
    g, y = capture(lambda: (x * 2 + others[0]).sum(), check_input_liveness=True)
    g.replay()
    assert y.item() == 300
    others.clear()
    with pytest.raises(RuntimeError, match=r"replay: an input of the graph, .* was freed since; keep"):
        g.replay()


# --- streams ---------------------------------------------------------------------------------------------


def test_a_stream_that_waits_takes_part() -> None:
    x, side = torch.ones(100, device="cuda"), torch.cuda.Stream()

    def fork(joins: bool = True) -> Any:
        y, here = x + 1, torch.cuda.current_stream()
        side.wait_stream(here)
        with torch.cuda.stream(side):
            assert torch.cuda.is_current_stream_capturing()
            z = y * 3
        if joins:
            here.wait_stream(side)
        return z + y

    g, out = capture(fork)
    x.fill_(2)
    g.replay()
    assert out.tolist() == [12] * 100
    with pytest.raises(RuntimeError, match=r"UNJOINED|does not wait for"):
        capture(lambda: fork(joins=False))
    assert not torch.cuda.is_current_stream_capturing()


def test_a_stream_that_is_left_behind_ends_the_capture() -> None:
    before = torch.cuda.current_stream()
    with pytest.raises(RuntimeError, match="Capture must end on the same stream"):
        capture(lambda: (torch.zeros(1, device="cuda"), torch.cuda.set_stream(torch.cuda.Stream())))
    assert not torch.cuda.is_current_stream_capturing()
    assert torch.cuda.current_stream() == before
    assert (torch.ones(2, device="cuda") + 1).tolist() == [2, 2]


def test_an_event_of_a_capture_is_no_event_outside() -> None:
    event, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    capture(lambda: (torch.zeros(1, device="cuda"), event.record()))
    after.record()
    for name, use in {
        "wait_event": lambda: torch.cuda.current_stream().wait_event(event), "query": event.query,
        "synchronize": event.synchronize, "elapsed_time": lambda: event.elapsed_time(after),
    }.items():  # fmt: skip
        with pytest.raises(RuntimeError, match=f"^{name}: the event was recorded in a CUDA graph's capture"):
            use()


def test_an_error_that_a_replay_noted_outlives_the_graph() -> None:
    x, at = torch.ones(3, device="cuda"), torch.zeros(2, dtype=torch.int64, device="cuda")
    g, _ = capture(lambda: x[at])
    at.fill_(7)
    g.replay()
    del g
    gc.collect()
    with pytest.raises(IndexError, match="index 7 is out of bounds for dimension 0 with size 3"):
        torch.cuda.synchronize()


def test_another_thread_computes_as_ever() -> None:
    found: list[Any] = []
    within, done = threading.Event(), threading.Event()

    def other() -> None:
        within.wait(60)
        found.append((torch.ones(3, device="cuda") + 1).tolist())
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g, capture_error_mode="relaxed"):
        x = torch.zeros(3, device="cuda") + 1
        within.set()
        done.wait(60)
    thread.join()
    assert found == [[2, 2, 2]]
    g.replay()
    assert x.tolist() == [1, 1, 1]


def test_the_launches_are_drawn(tmp_path: Any) -> None:
    x = torch.ones(3, device="cuda")
    g, _ = capture(lambda: (x + x) * x)
    g.enable_debug_mode()
    g.debug_dump(str(tmp_path / "graph.dot"))
    text = (tmp_path / "graph.dot").read_text()
    assert text.startswith("digraph")
    assert text.count("[label=") == 2
    assert text.index("elementwise.add") < text.index("elementwise.mul")
    assert "n0 -> n1;" in text
    assert "blocks of" in text


# --- training --------------------------------------------------------------------------------------------


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8, 3),
    )  # fmt: skip


def train(model: nn.Module, make: Callable, shape: tuple[int, ...], captured: bool, steps: int = 5) -> list:
    """Return losses, then parameters and buffers, as bytes; the first two steps are never captured."""
    torch.manual_seed(3)
    for p in model.parameters():
        nn.init.normal_(p, std=0.3)
    model = model.cuda()
    stepping = make(model.parameters())
    numbers = np.random.default_rng(0)
    xs = numbers.normal(size=(steps, 4, *shape)).astype(np.float32)
    ys = numbers.normal(size=(steps, 4, 3)).astype(np.float32)
    x, y = torch.zeros(4, *shape, device="cuda"), torch.zeros(4, 3, device="cuda")

    def step() -> Any:
        stepping.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        stepping.step()
        return loss

    losses, g, loss = [], None, None
    for n, (new_x, new_y) in enumerate(zip(xs, ys, strict=True)):
        x.copy_(torch.from_numpy(new_x))
        y.copy_(torch.from_numpy(new_y))
        if captured and n >= 2:
            if g is None:
                g, loss = capture(step)
            g.replay()
        else:
            loss = step()
        losses.append(loss.item())
        junk = torch.full((50,), float("nan"), device="cuda")  # memory of others comes and goes
        del junk
    state = [*model.parameters(), *model.buffers()]
    return [losses, *[t.detach().cpu().numpy().tobytes() for t in state]]


@pytest.mark.parametrize("model", [mlp, cnn])
def test_captured_training_is_the_same_bits(model: Callable[[], nn.Module]) -> None:
    shape = (6,) if model is mlp else (1, 4, 4)

    def make(parameters: Any) -> optim.Optimizer:
        return optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01)

    plain, replayed = (train(model(), make, shape, captured) for captured in (False, True))
    assert replayed == plain
    assert len(set(plain[0])) == 5


# --- random numbers --------------------------------------------------------------------------------------

DRAWS: dict[str, Callable[[], Any]] = {
    "rand": lambda: torch.rand(70, device="cuda"),
    "randn": lambda: torch.randn(5, dtype=torch.float64, device="cuda"),
    "randint": lambda: torch.randint(0, 1000, (9,), device="cuda"),
    "randperm": lambda: torch.randperm(20, device="cuda"),
    "dropout": lambda: F.dropout(torch.ones(40, device="cuda"), 0.5),
    "attention": lambda: F.scaled_dot_product_attention(
        *[torch.ones(3, 8, 2, device="cuda")] * 3, dropout_p=0.5
    ),
}


@pytest.mark.parametrize("name", DRAWS)
def test_each_replay_draws_the_next_numbers(name: str) -> None:
    draw = DRAWS[name]
    torch.manual_seed(2**64 - 5)
    expected = [[draw().tolist(), torch.rand(3, device="cuda").tolist()] for _ in range(4)]
    torch.manual_seed(2**64 - 5)
    found = [[draw().tolist(), torch.rand(3, device="cuda").tolist()]]
    g, (x, y) = capture(lambda: (draw(), torch.rand(3, device="cuda")))
    for _ in range(2):
        g.replay()
        found.append([x.tolist(), y.tolist()])
    found.append([draw().tolist(), torch.rand(3, device="cuda").tolist()])
    assert found == expected
    torch.cuda.manual_seed(2**64 - 5)
    g.replay()
    assert [x.tolist(), y.tolist()] == expected[0], "a graph draws from where its generator stands"


def test_a_generator_of_ones_own_is_drawn_from() -> None:
    own = torch.Generator(device="cuda").manual_seed(5)
    torch.manual_seed(1)
    expected = [torch.rand(4, device="cuda", generator=own).tolist() for _ in range(2)]
    after = torch.rand(4, device="cuda").tolist()
    own.manual_seed(5)
    torch.manual_seed(1)
    g = torch.cuda.CUDAGraph()
    g.register_generator_state(own)
    with torch.cuda.graph(g):
        x = torch.rand(4, device="cuda", generator=own)
    for told in expected:
        g.replay()
        assert x.tolist() == told
    assert torch.rand(4, device="cuda").tolist() == after


def test_the_state_of_a_generator_is_not_for_captures() -> None:
    state, own = torch.cuda.get_rng_state(), torch.Generator(device="cuda")
    for name, use in {
        "manual_seed": lambda: torch.manual_seed(1),
        "get_state": torch.cuda.get_rng_state,
        "set_state": lambda: torch.cuda.set_rng_state(state),
        "get_offset": own.get_offset,
        "set_offset": lambda: own.set_offset(4),
    }.items():
        with pytest.raises(RuntimeError, match=f"^{name}: the state of the GPU's generator"):
            capture(use)
