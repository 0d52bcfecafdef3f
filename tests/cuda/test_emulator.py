"""Kernels as compiled, with the block sizes of a GPU, on the emulator: beside the CPU's, and what it notices.

`make emulator` runs all tests of operations there.
"""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

import tensor
from kernels.cuda import vectors
from kernels.cuda.array import empty, from_host, to_host
from kernels.cuda.compile import Kernel, cuda, types
from tensor import nn, optim
from tensor.nn import functional as F


@pytest.fixture(params=[0, 1, 2], ids=["forwards", "backwards", "at random"])
def order(request: pytest.FixtureRequest, gpu_emulator: ModuleType) -> Iterator[int]:
    """Emulate a GPU whose threads take turns in each order."""
    with gpu_emulator.emulate(request.param):
        yield request.param


@pytest.fixture
def gpu(gpu_emulator: ModuleType) -> Iterator[Any]:
    """Emulate a GPU whose threads take turns at random."""
    with gpu_emulator.emulate(2) as made:
        yield made


# --- what it notices -------------------------------------------------------------------------------


def _turned_round(size, x, out):
    kept = cuda.shared.array(64, types.float32)
    i = cuda.threadIdx.x
    kept[i] = x[i]
    cuda.syncthreads()
    out[i] = kept[size - 1 - i]


def _without_barrier(size, x, out):
    kept = cuda.shared.array(64, types.float32)
    i = cuda.threadIdx.x
    kept[i] = x[i]
    out[i] = kept[size - 1 - i]


def _written_past_the_end(size, x, out):
    out[cuda.threadIdx.x + 1] = x[cuda.threadIdx.x]


def _read_before_the_beginning(size, x, out):
    out[cuda.threadIdx.x] = x[cuda.threadIdx.x - 3]


def _shared_past_the_end(size, x, out):
    kept = cuda.shared.array(32, types.float32)
    kept[cuda.threadIdx.x] = x[cuda.threadIdx.x]
    cuda.syncthreads()
    out[cuda.threadIdx.x] = kept[cuda.threadIdx.x]


def _all_to_one_place(size, x, out):
    out[0] = x[cuda.grid(1)]


def _written_by_two_blocks(size, x, out):
    out[cuda.threadIdx.x] = x[cuda.threadIdx.x] + cuda.blockIdx.x


def _ends_early(size, x, out):
    i = cuda.threadIdx.x
    if i < 40:
        cuda.syncthreads()
        out[i] = x[i]


def _two_barriers(size, x, out):
    i = cuda.threadIdx.x
    if i < 32:
        cuda.syncthreads()
        out[i] = x[i]
    else:
        cuda.syncthreads()
        out[i] = -x[i]


def _at_odd_places(size, x, out):
    i = cuda.threadIdx.x
    if i < 8:
        vectors.store(out, i * 4, vectors.load(x, i * 4 + 1, 4))


def _waits_for_no_lane(size, x, out):
    i = cuda.threadIdx.x
    if i < 16:
        out[i] = cuda.shfl_sync(0xFFFFFFFF, x[i], 0)


def _same_number_to_one_place(size, x, out):
    if x[cuda.threadIdx.x] > 3:
        out[0] = 5


WRONG = [
    (_without_barrier, 1, r"(reads|writes) what another thread (reads|writes), with no barrier between"),
    (_written_past_the_end, 1, "writes where no array lies: 4 bytes, 0 behind the end"),
    (_read_before_the_beginning, 1, "reads what no array holds: 4 bytes, far from any array"),
    (_shared_past_the_end, 1, r"where no array lies: 4 bytes, \d+ behind the end"),
    (_all_to_one_place, 1, "writes what another thread writes, with no barrier between"),
    (_written_by_two_blocks, 2, "writes what another thread writes, with no barrier between"),
    (_ends_early, 1, "while others of the block wait at a barrier"),
    (_two_barriers, 1, "waits at another barrier than others of its block"),
    (_at_odd_places, 1, "reads at no multiple of its bytes: 16 bytes"),
    (_waits_for_no_lane, 1, "waits for threads of its warp that do not come"),
]


@pytest.mark.parametrize(("function", "blocks", "mistake"), WRONG, ids=[w[0].__name__ for w in WRONG])
def test_a_mistake_is_the_error_of_its_launch(
    function: Callable, blocks: int, mistake: str, gpu: Any
) -> None:
    made = Kernel(function, "int64, T*, out T*", ["float32"], name="wrong", family="f")
    x, out = from_host(np.arange(64, dtype=np.float32)), empty((64,), np.dtype(np.float32))
    with pytest.raises(RuntimeError, match=rf"f\.wrong: .*{mistake}"):
        made.launch(blocks, 64, 64, x, out)


def test_what_is_right_passes(order: int) -> None:
    made = Kernel(_turned_round, "int64, T*, out T*", ["float32"])
    x, out = from_host(np.arange(64, dtype=np.float32)), empty((64,), np.dtype(np.float32))
    made.launch(1, 64, 64, x, out)
    assert to_host(out).tolist() == list(range(63, -1, -1))
    made = Kernel(_same_number_to_one_place, "int64, T*, out T*", ["float32"])
    made.launch(2, 64, 64, x, out)  # which of them was last does not matter
    assert to_host(out)[0] == 5


def _of_warps(x, out):
    i = cuda.threadIdx.x
    lane = i % 32
    out[i] = cuda.shfl_down_sync(0xFFFFFFFF, x[i], 4)
    out[i + 64] = cuda.shfl_up_sync(0xFFFFFFFF, x[i], 1)
    out[i + 128] = cuda.shfl_xor_sync(0xFFFFFFFF, x[i], 16)
    out[i + 192] = cuda.shfl_sync(0xFFFFFFFF, x[i], 5)
    out[i + 256] = cuda.popc(cuda.ballot_sync(0xFFFFFFFF, lane % 3 == 0))
    out[i + 320] = cuda.any_sync(0xFFFFFFFF, i == 40) + 2 * cuda.all_sync(0xFFFFFFFF, i < 32)
    out[i + 384] = cuda.syncthreads_count(1 if i % 5 == 0 else 0)


def test_lanes_of_a_warp_exchange_what_they_hold(order: int) -> None:
    made = Kernel(_of_warps, "T*, out T*", ["float32", "float64"])
    for dtype in (np.float32, np.float64):
        x, out = from_host(np.arange(64).astype(dtype)), empty((7 * 64,), np.dtype(dtype))
        made.launch(1, 64, x, out)
        down, up, other, one, ballot, votes, count = to_host(out).reshape(7, 64)
        i, lane = np.arange(64), np.arange(64) % 32
        np.testing.assert_array_equal(down, np.where(lane < 28, i + 4, i))
        np.testing.assert_array_equal(up, np.where(lane > 0, i - 1, i))
        np.testing.assert_array_equal(other, i ^ 16)
        np.testing.assert_array_equal(one, np.where(i < 32, 5, 37))
        np.testing.assert_array_equal(ballot, 11)
        np.testing.assert_array_equal(votes, np.where(i < 32, 2, 1))
        np.testing.assert_array_equal(count, 13)


# --- operations of real sizes ----------------------------------------------------------------------


def compare(function: Callable, *arrays: np.ndarray, rtol: float = 3e-5) -> None:
    """Compare what a function of tensors gives, and its gradients, on the CPU and on the emulated GPU."""
    found = []
    for device in ("cpu", "cuda"):
        inputs = [tensor.tensor(a).to(device) for a in arrays]
        floats = [x.requires_grad_() for x in inputs if x.is_floating_point()]
        out = function(*inputs)
        grad = np.random.default_rng(1).standard_normal(tuple(out.shape)).astype(np.float32)
        if out.requires_grad:
            out.backward(tensor.tensor(grad).to(device))
        found.append([out.detach(), *[x.grad for x in floats if x.grad is not None]])
    for expected, got in zip(*found, strict=True):
        scale = float(expected.abs().max()) if expected.numel() else 1.0
        np.testing.assert_allclose(
            got.cpu().numpy(), expected.numpy(), rtol=rtol, atol=rtol * max(scale, 1e-3)
        )


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


PRODUCTS = [(1, 1, 1), (64, 784, 128), (65, 33, 70), (300, 20, 2), (3, 900, 4), (1, 1200, 1), (130, 72, 260)]


@pytest.mark.parametrize(("rows", "inner", "columns"), PRODUCTS)
def test_products(rows: int, inner: int, columns: int, gpu: Any) -> None:
    compare(F.linear, normal(rows, inner), normal(columns, inner), normal(columns))
    compare(lambda a, b: a.T @ b.T, normal(inner, rows), normal(columns, inner))


def test_products_of_views(gpu: Any) -> None:
    compare(lambda a, b: a[1:, 1:] @ b[:, 3:], normal(70, 65), normal(64, 99))
    compare(lambda a, b: a[:, ::2].flip(0) @ b.permute(2, 0, 1)[..., ::3], normal(4, 10, 6), normal(6, 7, 4))
    compare(lambda a, b: tensor.einsum("abc,cbd->ad", a, b), normal(40, 5, 16), normal(16, 5, 31))
    compare(lambda a, b: a @ b, normal(3, 4, 5, 6), normal(4, 6, 2))


CONVOLUTIONS = [
    ((4, 1, 28, 28), (32, 1, 3, 3), {"padding": 1}),
    ((3, 32, 14, 14), (32, 32, 3, 3), {"padding": 1}),
    ((2, 4, 9, 11), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    ((2, 4, 13, 12), (6, 4, 3, 2), {"stride": 2, "padding": 2, "dilation": 2}),
    ((2, 3, 8, 8), (5, 3, 2, 2), {"stride": 2}),
    ((2, 8, 5, 6), (7, 8, 1, 1), {}),
]


@pytest.mark.parametrize(("images", "filters", "options"), CONVOLUTIONS)
def test_convolutions(images: tuple, filters: tuple, options: dict, gpu: Any) -> None:
    compare(
        lambda x, w, b: F.conv2d(x, w, b, **options), normal(*images), normal(*filters), normal(filters[0])
    )


@pytest.mark.parametrize("shape", [(7,), (4097,), (64, 65), (3, 2000), (2000, 3), (5, 6, 300)])
def test_reductions(shape: tuple, gpu: Any) -> None:
    compare(lambda x: x.sum(), normal(*shape))
    compare(lambda x: x.mean(0), normal(*shape))
    compare(lambda x: x[1:].amax(-1), normal(*shape))
    compare(lambda x: x.argmin(-1), normal(*shape))


def test_elementwise(gpu: Any) -> None:
    for shape in [(), (1,), (0, 3), (5, 7), (1023,), (64, 1000)]:
        compare(lambda x, y: x * y + x, normal(*shape), normal(*shape))
    compare(lambda x: F.gelu(x[1:, 1:]), normal(65, 33))
    compare(lambda x, y: x.T * y, normal(40, 30), normal(40))
    compare(lambda x: x.expand(50, 30) - 2.5, normal(1, 30))


@pytest.mark.parametrize("shape", [(64, 10), (3, 1000), (2, 5000)])
def test_softmax_and_cross_entropy(shape: tuple, gpu: Any) -> None:
    compare(lambda x: x.softmax(-1), normal(*shape))
    target = np.arange(shape[0]) % shape[1]
    compare(lambda x, t: F.cross_entropy(x, t), normal(*shape), target)


def test_sort(gpu: Any) -> None:
    compare(lambda x: x.sort(-1)[0], normal(3, 700))
    compare(lambda x: x.argsort(0), np.arange(5000) * 7919 % 5000)


@pytest.mark.parametrize("make", [optim.Adam, lambda p: optim.SGD(p, lr=0.1, momentum=0.9)])
def test_a_model_learns_the_same(make: Callable, gpu: Any) -> None:
    losses = []
    for device in ("cpu", "cuda"):
        tensor.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(8 * 49, 10),
        ).to(device)  # fmt: skip
        stepping = make(model.parameters())
        x, target = tensor.tensor(normal(16, 1, 14, 14)).to(device), (tensor.arange(16) % 10).to(device)
        for _ in range(3):
            stepping.zero_grad()
            loss = F.cross_entropy(model(x), target)
            loss.backward()
            stepping.step()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
