"""A training loop asks for no more memory from some step on, keeps nothing, and does not wait.

At the networks' own sizes on a stand-in for a GPU, which counts; tiny on the simulator, and on a GPU.
"""

import gc
import sys
from collections.abc import Callable
from functools import _lru_cache_wrapper
from importlib.util import find_spec
from itertools import cycle
from typing import Any, NamedTuple

import pytest

import tensor
from tensor import nn
from tensor.bench.works.gpu.sizes import FULL, SIZES
from tensor.bench.works.training import Network, batches, stepping

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

MOST_LAUNCHES = {"mlp": 12, "cnn": 24}
"""Launches of a training step with Adam at most: to be lowered where steps learn to do with fewer."""

NETWORKS = ("mlp", "cnn")


class Kept(NamedTuple):
    """What there is after a step, that must not become more."""

    reserved: int
    allocated: int
    blocks: int
    tables: int
    kernels: int


def kept() -> Kept:
    """Count the memory that is held, the blocks that wait, what tables keep, and the variants of kernels."""
    from kernels.cuda import compile as compiler
    from kernels.cuda import driver

    gc.collect()
    allocator = driver.allocator
    waiting = sum(map(len, allocator._free.values())) + len(allocator._in_use)
    tables = [
        found
        for name, module in list(sys.modules.items())
        if name.split(".")[0] in ("kernels", "tensor")
        for found in vars(module).values()
        if isinstance(found, _lru_cache_wrapper)
    ]
    tables += [
        c.__self__ for c in allocator.caches if isinstance(getattr(c, "__self__", None), _lru_cache_wrapper)
    ]
    return Kept(
        allocator.reserved, allocator.allocated, waiting,
        sum(table.cache_info().currsize for table in {id(table): table for table in tables}.values()),
        sum(len(kernel._launchers) for kernel in compiler.KERNELS.values()),
    )  # fmt: skip


def assert_steady(step: Callable[[], Any], warm_ups: int = 12, steps: int = 6) -> None:
    """Run so many steps, after some; nothing may have become more.

    Gradients lie in a few places by turns, and the optimiser keeps a table for each: hence the warm-up.
    """
    for _ in range(warm_ups):
        step()
    before = kept()
    for _ in range(steps):
        step()
    assert kept() == before


def training(network: Network) -> Callable[[], Any]:
    """Return a step as users write it; every one has another batch, which is on the GPU."""
    _, step = stepping(tensor, network, "cuda")
    data = cycle([(tensor.from_numpy(x).cuda(), tensor.from_numpy(y).cuda()) for x, y in batches(network, 3)])
    return lambda: step(*next(data))


# --- on a stand-in, at real sizes --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_loop_is_steady(gpu_stand_in: Any, name: str) -> None:
    with gpu_stand_in.stand_in(is_recorded=False) as gpu:
        step = training(getattr(FULL, name))
        assert_steady(step)
        gpu.forget()
        step()
        assert (gpu.allocations, gpu.waits) == (0, 0)
        assert 0 < gpu.count <= MOST_LAUNCHES[name], sorted(gpu.launched.items())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_step_launches_the_same(gpu_stand_in: Any, name: str) -> None:
    with gpu_stand_in.stand_in() as gpu:
        step = training(getattr(FULL, name))
        runs = []
        for _ in range(5):
            gpu.forget()
            step()
            runs.append([(launch.name, launch.grid, launch.block) for launch in gpu.launches])
        assert runs[2] == runs[3] == runs[4]


def keep_arrays(made: list) -> None:
    made.append(tensor.empty(3, 5, device="cuda"))


def keep_a_table(made: list) -> None:
    from kernels.cuda import driver

    if not made:
        made.append(driver.keep_tables(100)(lambda n: n))
        made.append(0)
    made[1] += 1
    made[0](made[1])


@pytest.mark.parametrize("keep", [keep_arrays, keep_a_table])
def test_a_loop_that_keeps_something_is_found(gpu_stand_in: Any, keep: Callable[[list], None]) -> None:
    with gpu_stand_in.stand_in(is_recorded=False):
        step, made = training(SIZES.mlp if SIZES is not FULL else FULL.mlp), []  # type: ignore[var-annotated]

        def keeping() -> None:
            step()
            keep(made)

        with pytest.raises(AssertionError):
            assert_steady(keeping)


def test_memory_of_ever_other_sizes_is_found(gpu_stand_in: Any) -> None:
    with gpu_stand_in.stand_in(is_recorded=False):
        sizes = iter(range(1, 100))
        with pytest.raises(AssertionError):
            assert_steady(lambda: tensor.empty(next(sizes), 1000, device="cuda"))


def test_arrays_come_to_lie_where_they_were(gpu_stand_in: Any) -> None:
    """Of many parameters of one size: the optimiser's table of addresses must not be made at every step."""
    from kernels.cuda import driver

    with gpu_stand_in.stand_in(is_recorded=False):
        layers = [layer for _ in range(12) for layer in (nn.Linear(64, 64), nn.ReLU())]
        model, x = nn.Sequential(*layers).cuda(), tensor.zeros(32, 64, device="cuda")
        optimizer = tensor.optim.Adam(model.parameters())

        def step() -> None:
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()

        assert_steady(step)
        assert driver.allocator.reserved < 3 << 20


# --- on the simulator, or a GPU ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_loop_is_steady_where_kernels_run(device: str, name: str) -> None:
    if device == "cpu":
        pytest.skip("runs on a GPU or the simulator: LIFTGRAD_TEST_DEVICE=cuda")
    assert_steady(training(getattr(SIZES, name)), steps=3)
