"""`keep_values`: results, inputs and gradients of every operation, beside an engine that works as before."""

import gc
import threading
import tracemalloc
import weakref

import pytest

import tensor
import viz
from tensor import nn
from tensor.autograd import Function, Operation
from tensor.utils.checkpoint import checkpoint


def nodes_of(root):
    """Return the nodes behind a tensor by name: of each name the last one that is found."""
    found, stack = {}, [root.grad_fn or root._made_by]
    while stack:
        node = stack.pop()
        found[node.op or node.label or node.kind] = node
        stack.extend(node.parents)
    return found


def test_every_node_has_its_value_inputs_and_gradient():
    with tensor.keep_values():
        x, c = tensor.tensor([1.0, 2.0], requires_grad=True), tensor.tensor([5.0, 6.0])
        x.label, c.label = "x", "c"
        loss = (x * 3.0 + c).sum()
    found = nodes_of(loss)
    assert {name: node.data.tolist() for name, node in found.items()} == {
        "Sum": 20.0, "Add": [8.0, 12.0], "Mul": [3.0, 6.0], "x": [1.0, 2.0], "constant": 3.0, "c": [5.0, 6.0],
    }  # fmt: skip
    assert {name: node.kind for name, node in found.items() if not node.op} == {
        "x": "input", "constant": "constant", "c": "input",
    }  # fmt: skip
    assert [node.grad for node in found.values()] == [None] * 6
    loss.backward()
    assert found["Mul"].grad.tolist() == [1.0, 1.0]
    assert found["x"].grad is x.grad
    assert found["c"].grad is None
    assert loss.grad.item() == 1.0  # without a warning: it is kept


def test_a_node_used_twice_and_the_order_of_inputs():
    with tensor.keep_values():
        x = tensor.tensor(2.0)
        y = tensor.tensor(3.0, requires_grad=True)
        z = (x - y) + x
    sub, last = z.parents
    assert sub.parents[0] is last
    assert [p.data.item() for p in sub.parents] == [2.0, 3.0]
    square = nodes_of(z)["Add"]
    with tensor.keep_values():
        twice = y * y
    assert twice.parents[0] is twice.parents[1]
    assert square.op == "Add"


def test_outside_of_it_nothing_is_kept():
    x = tensor.ones(2, requires_grad=True)
    with tensor.keep_values():
        inside = x * 2.0
    y = inside * 3.0
    assert (y.grad_fn.data, y.grad_fn.grad) == (None, None)
    assert [p.op for p in y.parents] == ["Mul"]
    y.sum().backward()
    assert y.grad_fn.grad is None
    assert inside.grad_fn.grad.tolist() == [3.0, 3.0]


def test_what_autograd_does_not_record_is_there_to_be_looked_at():
    with tensor.keep_values(), tensor.no_grad():
        y = tensor.ones(2).exp().sum()
    assert [y.op, y.parents[0].op, y.parents[0].parents[0].op] == ["Sum", "Exp", ""]
    assert y.grad_fn is None
    assert not y.requires_grad
    assert y.is_leaf


def test_in_place_changes_do_not_reach_what_was_kept():
    with tensor.keep_values():
        x = tensor.tensor([1.0, 2.0], requires_grad=True)
        c = tensor.tensor([3.0, 4.0])
        h = x + c
        old = h.grad_fn
        h.mul_(2.0)
        first = (h * c).sum()
        c.data.fill_(9.0)  # counts no version
        second = (h * c).sum()
    with tensor.no_grad():
        x.zero_()
    assert old.data.tolist() == [4.0, 6.0]
    assert h.grad_fn.data.tolist() == [8.0, 12.0]
    assert h.grad_fn.parents[0] is old
    assert old.parents[0].data.tolist() == [1.0, 2.0]
    assert first.parents[0].parents[1].data.tolist() == [3.0, 4.0]
    assert second.parents[0].parents[1].data.tolist() == [9.0, 9.0]


def test_views_that_are_written_to():
    with tensor.keep_values():
        x = tensor.ones(2, 3, requires_grad=True)
        h = x * 1.0
        h[0].mul_(5.0)
        loss = h.sum()
    assert loss.parents[0].op == "CopySlices"
    assert loss.parents[0].data.tolist() == [[5.0] * 3, [1.0] * 3]
    loss.backward()
    assert x.grad.tolist() == [[5.0] * 3, [1.0] * 3]


def test_results_without_history_take_none_on_by_changes_in_place():
    with tensor.keep_values():
        count, computed = tensor.zeros(2), tensor.ones(2) * 2.0
        for _ in range(3):
            count += 1.0
        computed += 1.0
    assert (count.op, count.parents) == ("", ())
    assert [computed.op, computed.parents[0].op] == ["Add", "Mul"]


class Halves(Function):
    @staticmethod
    def forward(ctx, x, n):
        return x[:n] * 2.0, x[n:] * 3.0

    @staticmethod
    def backward(ctx, a, b):
        return tensor.cat([a * 2.0, b * 3.0]), None


def test_functions_of_ones_own():
    with tensor.keep_values():
        x = tensor.ones(4, requires_grad=True)
        a, b = Halves.apply(x, 1)
        loss = a.sum() + b.sum()
    loss.backward()
    assert x.grad.tolist() == [2.0, 3.0, 3.0, 3.0]
    assert (a.grad_fn.data.tolist(), b.grad_fn.data.tolist()) == ([2.0], [3.0] * 3)
    (source,) = a.grad_fn.parents
    assert b.grad_fn.parents == (source,)
    assert [p.kind for p in source.parents] == ["input"]


def test_pieces_come_from_what_was_cut():
    with tensor.keep_values():
        x = tensor.ones(4, requires_grad=True)
        a, b = x.chunk(2)
        loss = (a * b).sum()
    assert a.parents[0] is b.parents[0]
    assert [p.kind for p in a.parents[0].parents] == ["input"]
    loss.backward()
    assert x.grad.tolist() == [1.0] * 4


def test_gradients_after_each_pass_and_of_gradients():
    with tensor.keep_values():
        x = tensor.tensor(3.0, requires_grad=True)
        y = x * x
        z = y * x
        (dx,) = tensor.autograd.grad(z, x, create_graph=True)
        assert y.grad_fn.grad.item() == 3.0
        dx.backward()
    assert x.grad.item() == 18.0
    y = x * x  # not kept
    with tensor.keep_values():
        z = y * 2.0
    z.backward(retain_graph=True)
    z.backward()
    assert z.grad_fn.grad.item() == 1.0  # of the last pass, not added up
    assert x.grad.item() == 18.0 + 24.0


def test_hooks_and_kept_gradients_of_results():
    seen = []
    with tensor.keep_values():
        x = tensor.tensor([1.0], requires_grad=True)
        y = x * 2.0
        y.retain_grad()
        y.register_hook(lambda g: seen.append(g.item()) or g * 10.0)
        y.sum().backward()
    assert seen == [1.0]
    assert y.grad.item() == y.grad_fn.grad.item() == 10.0
    assert x.grad.item() == 20.0


def test_a_kept_gradient_is_nobody_elses_memory():
    with tensor.keep_values():
        x = tensor.ones(2, requires_grad=True)
        y = x + 0.0
        seed = tensor.ones(2)
    y.backward(seed)
    kept = y.grad_fn.grad
    seed.fill_(7.0)
    x.grad.fill_(8.0)
    assert kept.tolist() == [1.0, 1.0]


def test_checkpoints_keep_too():
    with tensor.keep_values():
        x = tensor.tensor([1.0, 2.0], requires_grad=True)
        loss = checkpoint(lambda t: (t * t).exp(), x, use_reentrant=False).sum()
        found = nodes_of(loss)
        loss.backward()
    assert found["Mul"].data.tolist() == [1.0, 4.0]
    assert found["Exp"].grad.tolist() == [1.0, 1.0]
    plain = tensor.tensor([1.0, 2.0], requires_grad=True)
    (plain * plain).exp().sum().backward()
    assert tensor.equal(x.grad, plain.grad)


def test_labels_of_results_and_parameters():
    model = nn.Linear(2, 1)
    with tensor.keep_values():
        y = model(tensor.ones(1, 2))
        y.label = "y"
        loss = y.sum()
    assert loss.parents[0].label == "y"
    assert [p.kind for p in loss.parents[0].parents] == ["input", "parameter", "parameter"]


def test_nothing_refers_back_and_all_is_freed():
    gc.collect()
    gc.disable()
    try:
        with tensor.keep_values():
            x = tensor.ones(3)
            w = tensor.ones(3, requires_grad=True)
            y = x + w
            x.copy_(y.exp())  # x is now a result of what was computed from it
            loss = (x + y).sum()
            loss.backward()
        references = [weakref.ref(made) for made in (x, y, loss, *nodes_of(loss).values())]
        del x, y, loss
        assert [r() for r in references] == [None] * len(references)
    finally:
        gc.enable()


def test_memory_stays_flat():
    x, w = tensor.ones(8, 4), tensor.ones(4, 3, requires_grad=True)
    buffer = tensor.zeros(3)

    def run(steps):
        for _ in range(steps):
            (x @ w).log_softmax(1).mean().backward()
            with tensor.no_grad():
                w.sub_(w.grad, alpha=0.1)
                buffer.mul_(0.9).add_(w.mean(0))
            w.grad = None

    with tensor.keep_values():
        run(300)
        gc.collect()
        tracemalloc.start()
        run(300)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        run(1_000)
        cycles = gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    assert cycles == 0
    assert grown < 10_000


def test_switching():
    apply = Operation.__dict__["apply"].__func__
    assert not tensor.is_keeping_values()
    with tensor.keep_values():
        with tensor.keep_values(False):
            assert not tensor.is_keeping_values()
        assert tensor.is_keeping_values()
        threads = []
        thread = threading.Thread(target=lambda: threads.append(tensor.is_keeping_values()))
        thread.start()
        thread.join()
        assert threads == [False]
    with pytest.raises(ZeroDivisionError), tensor.keep_values():
        raise ZeroDivisionError
    tensor.set_keep_values(True)
    assert tensor.is_keeping_values()
    tensor.set_keep_values(False)
    assert not tensor.is_keeping_values()
    with tensor.set_keep_values(True):
        assert tensor.is_keeping_values()
    assert not tensor.is_keeping_values()

    @tensor.keep_values()
    def compute():
        return tensor.ones(1) * 2.0

    @tensor.keep_values
    def compute_bare(factor):
        return tensor.ones(1) / factor

    assert (compute().op, compute_bare(2.0).op) == ("Mul", "Div")
    assert not tensor.is_keeping_values()
    assert Operation.__dict__["apply"].__func__ is apply


def test_another_thread_computes_as_always():
    found = []
    with tensor.keep_values():
        thread = threading.Thread(target=lambda: found.append((tensor.ones(1) * 2.0).op))
        thread.start()
        thread.join()
    assert found == [""]


def test_a_long_chain_is_kept_and_freed_without_recursion():
    with tensor.keep_values():
        y = tensor.ones(1)
        for _ in range(50_000):
            y = y + 1.0
    assert y.item() == 50_001.0
    del y


def test_a_drawing_shows_data_and_gradient_of_every_node():
    with tensor.keep_values():
        x, c = tensor.tensor([1.0, 2.0], requires_grad=True), tensor.tensor([5.0, 6.0])
        loss = (x * c).sum() * 0.5
    loss.backward()
    source = viz.draw(loss).source
    data = ["[5.0, 12.0]", "17.0", "8.5", "[5.0, 6.0]", "[1.0, 2.0]", "0.5"]  # the last is a constant
    for shown in [f"data {d}" for d in data] + ["grad [0.5, 0.5]", "grad 0.5", "grad 1.0", "grad [2.5, 3.0]"]:
        assert shown in source, shown
