"""tensor/autograd: the backward pass, its hooks, and what a graph says of itself."""

import numpy as np
import pytest

import tensor


def test_leaves_accumulate_and_inner_gradients_do_not(check, torch) -> None:
    grads = []
    for T in (tensor, torch):
        x = T.tensor([1.0, 2.0], requires_grad=True)
        y = x * x
        z = (y * y).sum()
        z.backward(retain_graph=True)
        z.backward()
        (x * 3).sum().backward()
        grads.append(x.grad)
        assert y.is_leaf is False
    check.same(*grads)


def test_gradients_never_share_memory() -> None:
    def leaves():
        return tensor.ones(2, 3, requires_grad=True), tensor.ones(2, 3, requires_grad=True)

    for function in (
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: (a + b).reshape(3, 2),
        lambda a, b: a.clone() + b,
        lambda a, b: (a + b).T,
        lambda a, b: tensor.cat([a, b]),
        lambda a, b: tensor.stack([a, b]),
        lambda a, b: (a + b).expand(4, 2, 3),
        lambda a, b: a.reshape(6) + b.reshape(6),
        lambda a, b: a[:] + b[:],
        lambda a, b: tensor.where(a > 0, a, b) + b,
    ):
        a, b = leaves()
        given = tensor.ones(*function(a, b).shape)
        function(a, b).backward(given)
        function(a, b).backward(given)
        assert not np.shares_memory(a.grad.numpy(), b.grad.numpy())
        for leaf, other in ((a, b), (b, a)):
            assert not np.shares_memory(leaf.grad.numpy(), given.numpy())
            before = other.grad.tolist()
            leaf.grad.zero_()
            assert other.grad.tolist() == before
        assert given.tolist() == np.ones(tuple(given.shape)).tolist()


def test_the_gradient_of_a_leaf_itself() -> None:
    x = tensor.ones(3, requires_grad=True)
    given = tensor.tensor([1.0, 2.0, 3.0])
    x.backward(given)
    x.backward(given)
    assert x.grad.tolist() == [2.0, 4.0, 6.0]
    x.grad.zero_()
    assert given.tolist() == [1.0, 2.0, 3.0]


def test_several_roots_and_grad(check, torch) -> None:
    results = []
    for T in (tensor, torch):
        x, y = T.tensor([1.0, 2.0], requires_grad=True), T.tensor(3.0, requires_grad=True)
        a, b = (x * y).sum(), x * x
        T.autograd.backward([a, b], [None, T.ones(2)], retain_graph=True)
        found = T.autograd.grad([a, b], [x, y], [T.tensor(2.0), T.ones(2)], retain_graph=True)
        inner = T.autograd.grad((b * b).sum(), b, retain_graph=True)
        unused = T.autograd.grad(a, [x, T.ones(2, requires_grad=True)], allow_unused=True)
        results.append((x.grad, y.grad, found, inner, unused))
    check.same(*results)


def test_inputs_limit_a_backward_pass(check, torch) -> None:
    results = []
    for T in (tensor, torch):
        x, y = T.tensor(2.0, requires_grad=True), T.tensor(3.0, requires_grad=True)
        called = []
        y.register_hook(lambda g, called=called: called.append(1))
        inner = y.exp()
        (x * inner).backward(inputs=[x], retain_graph=False)
        inner.backward()  # was not run, so not freed
        results.append((x.grad, y.grad, np.array(len(called))))
    check.same(*results)


def test_a_hook_replaces_sees_and_goes(check, torch) -> None:
    results = []
    for T in (tensor, torch):
        seen = []
        x = T.tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        first = y.register_hook(lambda g, seen=seen: seen.append(g.detach().clone()))
        y.register_hook(lambda g: g * 10)
        third = y.register_hook(lambda g, seen=seen: seen.append(g.detach().clone()))
        x.register_hook(lambda g: g + 1)
        (y * y).sum().backward(retain_graph=True)
        first.remove()
        first.remove()
        third.remove()
        (y * y).sum().backward()
        results.append((x.grad, seen))
    check.same(*results)


def test_hooks_do_not_record(engines) -> None:
    for T in engines:
        modes = []
        x = T.ones(2, requires_grad=True)
        x.register_hook(lambda g, T=T, modes=modes: modes.append(T.is_grad_enabled()))
        (x * 2).sum().backward()
        assert modes == [False]


def test_retain_grad(check, torch) -> None:
    results = []
    for T in (tensor, torch):
        x = T.tensor([1.0, 2.0], requires_grad=True)
        y = x * 3
        y.retain_grad()
        z = y * y
        z.sum().backward()
        assert y.retains_grad is True
        assert z.retains_grad is False
        x.retain_grad()  # does nothing to a leaf
        results.append((y.grad, x.grad))
    check.same(*results)


def test_backward_of_integers_and_constants_stops(check) -> None:
    x = tensor.ones(3, requires_grad=True)
    assert (x > 0).requires_grad is False
    assert x.argmax().requires_grad is False
    assert x.long().requires_grad is False
    assert x.detach().requires_grad is False
    assert (tensor.ones(3) * 2).requires_grad is False


def test_grad_fn_names_and_edges() -> None:
    x = tensor.ones(2, requires_grad=True)
    y = (x * 2).tanh()
    assert repr(y.grad_fn).startswith("<TanhBackward0 object at 0x")
    assert y.grad_fn.next_functions[0][0].name() == "MulBackward0"
    leaf = y.grad_fn.next_functions[0][0].next_functions[0][0]
    assert leaf.variable is x
    assert y.grad_fn.next_functions[0][0].next_functions[0][0].variable is x
    assert x.grad_fn is None


def test_retained_gradients_follow_in_place_changes(check) -> None:
    for module in filter(None, (tensor, check.torch)):
        x = module.ones(2, requires_grad=True)
        y = x * 2
        y.retain_grad()
        y.mul_(3)
        y[0] = 5.0
        y.sum().backward()
        assert y.grad.tolist() == [1.0, 1.0]
        assert x.grad.tolist() == [0.0, 6.0]


@pytest.mark.parametrize("hook", [lambda g: 1.0, lambda g: g.double()])
def test_hooks_return_a_gradient_of_the_same_type(check, hook) -> None:
    def run(T):
        x = T.ones(2, requires_grad=True)
        x.register_hook(hook)
        x.sum().backward()

    check.raises_alike(run)
    with pytest.raises((TypeError, RuntimeError), match="register_hook"):
        run(tensor)
