"""tensor/autograd: graphs are freed at once, deep ones too, and by several threads."""

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import tensor


@pytest.fixture
def without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def everything(x):
    """Compute with many operations, in-place ones, views and hooks included."""
    y = (x * 2).tanh()
    y.register_hook(lambda g: g * 1.5)
    y.retain_grad()
    z = y.clone()
    z[0].mul_(z[1].clone())
    z.view(-1)[1:3].add_(1.0)
    parts = z.split(1)
    joined = tensor.cat([parts[0], parts[1], z[tensor.tensor([0, 1])]])
    values, _ = joined.max(1)
    logits = joined @ joined.T
    loss = logits.log_softmax(1).mean() + values.sum() + joined.var() + tensor.where(z > 0, z, 0.0).sum()
    return y, z, joined, loss


@pytest.mark.parametrize("backward", [False, True])
def test_dropping_the_results_frees_every_tensor_and_node(without_collector, backward: bool) -> None:
    x = tensor.ones(2, 3, requires_grad=True)
    results = list(everything(x))
    if backward:
        results[-1].backward()
    refs, stack, seen = [], [results[-1].grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or id(node) in seen or isinstance(node, tensor.Tensor):
            continue
        seen.add(id(node))
        refs.append(weakref.ref(node))
        stack.extend(node.parents)
    refs.extend(weakref.ref(t) for t in results)
    refs.extend(weakref.ref(t._array) for t in results)
    assert len(refs) > 20
    del results, stack, node
    assert [r() for r in refs if r() is not None] == []


def test_a_chain_of_200_000_operations(without_collector) -> None:
    x = tensor.ones((), requires_grad=True)
    y = x
    for _ in range(200_000):
        y = y + 1.0
    last = weakref.ref(y.grad_fn)
    y.backward()
    assert x.grad.item() == 1.0
    del y
    assert last() is None


def test_a_long_chain_in_place_and_of_views(without_collector) -> None:
    x = tensor.ones(2, requires_grad=True)
    y = x * 1
    for _ in range(20_000):
        y[0].mul_(1.0)
        y.add_(0.0)
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    y = x * 1
    view = y
    for _ in range(3_000):
        view = view.view(2)
    y.mul_(2.0)
    view.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    del y, view


def test_memory_stays_flat_over_2_000_steps() -> None:
    rng = np.random.default_rng(0)
    x, target = (
        tensor.tensor(rng.normal(size=(8, 4)), dtype=tensor.float32),
        tensor.tensor(rng.integers(0, 3, 8)),
    )
    weight = tensor.tensor(rng.normal(size=(4, 3)), dtype=tensor.float32, requires_grad=True)
    buffer = tensor.zeros(3)

    def step() -> None:
        logits = x @ weight
        loss = (logits.log_softmax(1)[tensor.arange(8), target]).mean() * -1
        loss.backward()
        with tensor.no_grad():
            weight.sub_(weight.grad, alpha=0.1)
            buffer.mul_(0.9).add_(logits.mean(0))
        weight.grad = None

    for _ in range(100):
        step()
    gc.collect()
    tracemalloc.start()
    for _ in range(2_000):
        step()
    cycles = gc.collect()  # which also empties the interpreter's stores of free objects
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert cycles == 0
    assert grown < 5_000


def test_backward_frees_what_was_saved_and_not_needed() -> None:
    x = tensor.ones(1000, requires_grad=True)
    y = x * 2
    out = y.exp().sum()
    saved = weakref.ref(y._array)
    del y
    assert saved() is None  # exp reads its result, not its argument
    y = x * 2
    out = (y * y).sum()
    saved = weakref.ref(y._array)
    del y
    assert saved() is not None
    out.backward()
    assert saved() is None


def test_two_threads_compute_at_once() -> None:
    errors = []

    def work(seed: int) -> None:
        try:
            rng = np.random.default_rng(seed)
            for _ in range(20):
                a, b = rng.normal(size=(40, 60)), rng.normal(size=(60, 50))
                x = tensor.tensor(a, requires_grad=True)
                y = tensor.tensor(b, requires_grad=True)
                out = (x @ y).tanh()
                out.sum().backward()
                slope = 1 - np.tanh(a @ b) ** 2
                np.testing.assert_allclose(x.grad.numpy(), slope @ b.T, 1e-8, 1e-8)
                np.testing.assert_allclose(y.grad.numpy(), a.T @ slope, 1e-8, 1e-8)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
