"""tensor/autograd: histories of what was overwritten, and the mistakes that are named."""

import numpy as np
import pytest

import tensor

HISTORIES = {
    "x[0].add_(x[1])": lambda T, x: _after(x * 1, lambda y: y[0].add_(y[1])),
    "a write through a view of a view": lambda T, x: _after(x * 1, lambda y: y[1:][0].mul_(3.0)),
    "a write through a transposed view": lambda T, x: _after(x * 1, lambda y: y.T[1].mul_(y.T[0].clone())),
    "a write through a flat view": lambda T, x: _after(x * 1, lambda y: y.view(-1)[2:4].exp_()),
    "a write to a broadcast element": lambda T, x: _after(x[0, 0] * 1, lambda y: y.expand(3)[1].mul_(3.0)),
    "a loop over rows": lambda T, x: _fold(T, x),
    "an old view reads what was written to its base": lambda T, x: _old_view(
        x, lambda y: y[0], lambda y: y.mul_(2.0)
    ),
    "an expanded view reads what was written": lambda T, x: _old_view(
        x, lambda y: y.expand(2, *y.shape), lambda y: y.mul_(3.0)
    ),
    "two views of one base": lambda T, x: _two_views(x),
    "zeros that are filled": lambda T, x: _filled(T, x),
    "a mask": lambda T, x: _after(x * 1, lambda y: y.masked_fill_(y.detach() > 0, 0.5)),
    "a row swapped": lambda T, x: _after(x * 1, lambda y: y.__setitem__(0, y[1].clone() * 2)),
    "an index put": lambda T, x: _after(x * 1, lambda y: y.__setitem__(T.tensor([1, 0]), y.clone() * 3)),
    "a column scaled": lambda T, x: _after(x * 1, lambda y: y[:, 1].mul_(4.0)),
    "a column scaled twice, then all": lambda T, x: _after(
        x * 1, lambda y: (y[:, 1].mul_(4.0), y[:, 1].sin_(), y.mul_(2.0))
    ),
    "a detached copy": lambda T, x: _after(x * 1, lambda y: y.copy_(y * 2 + x)),
    "copy_ broadcasts": lambda T, x: _after(T.zeros(3, *x.shape, dtype=x.dtype), lambda y: y.copy_(x)),
    "zero_ cuts": lambda T, x: _after(x * 1, lambda y: y[0].zero_()),
    "views in a non-contiguous base": lambda T, x: _after(
        (x.T * 1).exp() * 1, lambda y: y.T.reshape(-1)[1:3].mul_(2.0)
    ),
}


def _after(y, change):
    change(y)
    return y * y


def _fold(T, x):
    states = T.zeros(5, *x.shape, dtype=x.dtype, device=x.device)
    states[0] = x
    for t in range(1, 5):
        states[t] = states[t - 1].clone() * x + 0.1
    return states


def _old_view(x, show, change):
    y = x * 1
    view = show(y)
    change(y)
    return view * view


def _two_views(x):
    y = x * 1
    a, b = y[0], y[:, 0]
    a.mul_(2.0)
    b.add_(x[0, 1])
    a.mul_(b[1].clone())
    return y * 2 + a.sum() * b.sum()


def _filled(T, x):
    out = T.zeros(4, dtype=x.dtype, device=x.device)
    out[0] = x[0, 0]
    out[1:3] = x[0, :2] * 2
    out[-1] += x.sum()
    return out * out


@pytest.mark.parametrize("history", HISTORIES)
def test_in_place_history(check, history: str) -> None:
    check.op(history, HISTORIES[history], [check.numbers(2, 3, low=0.2)], all_layouts=False)


ERRORS = {
    "a leaf": lambda T: T.ones(2, requires_grad=True).add_(1),
    "a leaf, by +=": lambda T: T.ones(2, requires_grad=True).__iadd__(1),
    "a view of a leaf": lambda T: T.ones(2, requires_grad=True)[0].add_(1),
    "an element of a leaf": lambda T: T.ones(2, requires_grad=True).__setitem__(0, 1.0),
    "elements of a leaf": lambda T: T.ones(2, requires_grad=True).__setitem__(T.tensor([0]), 1.0),
    "a leaf zeroed": lambda T: T.ones(2, requires_grad=True).zero_(),
    "an overwritten argument": lambda T: _overwrite(T, lambda y: y * y),
    "an overwritten result": lambda T: _overwrite_result(T, lambda x: x.exp()),
    "an overwritten result of tanh": lambda T: _overwrite_result(T, lambda x: x.tanh()),
    "an overwritten result of sqrt": lambda T: _overwrite_result(T, lambda x: x.sqrt()),
    "an overwritten result of softmax": lambda T: _overwrite_result(T, lambda x: x.softmax(0)),
    "an argument overwritten through a view": lambda T: _overwrite(
        T, lambda y: y.sin(), lambda y: y[0].zero_()
    ),
    "an argument overwritten through detach": lambda T: _overwrite(
        T, lambda y: y.sin(), lambda y: y.detach().zero_()
    ),
    "an overwritten matrix": lambda T: _overwrite_weight(T),
    "x.mul_(x)": lambda T: _square_in_place(T),
    "a second backward": lambda T: _twice(T.ones(3, requires_grad=True).exp().sum()),
    "a second backward through mul": lambda T: _twice((T.ones(3, requires_grad=True) * 2).sum()),
    "a second backward through matmul": lambda T: _twice(
        (T.ones(3, 3, requires_grad=True) @ T.ones(3)).sum()
    ),
    "a second backward through where": lambda T: _twice(
        T.where(T.ones(3) > 0, T.ones(3, requires_grad=True), 0.0).sum()
    ),
    "a second backward through max": lambda T: _twice(T.ones(3, requires_grad=True).max()),
    "a second backward through an index": lambda T: _twice(
        T.ones(3, requires_grad=True)[T.tensor([0])].sum()
    ),
    "a second backward through softmax": lambda T: _twice(T.ones(3, requires_grad=True).softmax(0)[0]),
    "a second backward through var": lambda T: _twice(T.ones(3, requires_grad=True).var()),
    "no scalar": lambda T: T.ones(3, requires_grad=True).exp().backward(),
    "no gradient": lambda T: T.ones(()).backward(),
    "a gradient of another shape": lambda T: T.ones(3, requires_grad=True).exp().backward(T.ones(2)),
    "a view made under no_grad": lambda T: _no_grad_view(T),
    "overlapping elements": lambda T: T.ones(1).expand(3).add_(1),
    "overlapping operands": lambda T: _overlapping(T, lambda x: x[1:].add_(x[:-1])),
    "overlapping assignment": lambda T: _overlapping(T, lambda x: x.__setitem__(slice(1, None), x[:-1])),
    "integers that require gradients": lambda T: T.ones(2, dtype=T.int64).requires_grad_(),
    "integers that require gradients, at once": lambda T: T.tensor([1, 2], requires_grad=True),
    "requires_grad_(False) of a result": lambda T: T.ones(2, requires_grad=True).exp().requires_grad_(False),
    "retain_grad without gradient": lambda T: T.ones(2).retain_grad(),
    "a hook without gradient": lambda T: T.ones(2).register_hook(lambda g: None),
    "detach_ of a view": lambda T: T.ones(2, requires_grad=True).exp()[0].detach_(),
    "numpy() of what requires a gradient": lambda T: T.ones(2, requires_grad=True).numpy(),
    "an array of what requires a gradient": lambda T: np.asarray(T.ones(2, requires_grad=True)),
    "deepcopy of a result": lambda T: __import__("copy").deepcopy(T.ones(2, requires_grad=True).exp()),
    "grad of an unused input": lambda T: T.autograd.grad(
        T.ones((), requires_grad=True) * 2, T.ones(2, requires_grad=True)
    ),
    "grad of a constant input": lambda T: T.autograd.grad(T.ones((), requires_grad=True) * 2, T.ones(2)),
    "backward with no inputs": lambda T: T.ones((), requires_grad=True).exp().backward(inputs=[]),
}


def _overwrite(T, function, change=lambda y: y.add_(1)):
    y = T.ones(3, requires_grad=True) * 2
    out = function(y)
    change(y)
    out.sum().backward()


def _overwrite_result(T, function):
    out = function(T.ones(3, requires_grad=True))
    out.add_(1)
    out.sum().backward()


def _overwrite_weight(T):
    w, x = T.ones(3, 2), T.ones(2, 3, requires_grad=True)
    out = x @ w
    w.add_(1)
    out.sum().backward()


def _square_in_place(T):
    x = T.ones(3, requires_grad=True) * 1
    x.mul_(x)
    x.sum().backward()


def _twice(out):
    out.backward()
    out.backward()


def _no_grad_view(T):
    x = T.ones(3, requires_grad=True) * 1
    with T.no_grad():
        view = x[0]
    view.mul_(2)


def _overlapping(T, change):
    change(T.ones(4))


@pytest.mark.parametrize("mistake", ERRORS)
def test_errors(check, mistake: str) -> None:
    check.raises_alike(ERRORS[mistake])


def test_the_version_error_names_operation_and_versions() -> None:
    x = tensor.ones(2, 3, requires_grad=True)
    y = (x * 2).exp()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
        y.sum().backward()
    for words in ("torch.FloatTensor [2, 3]", "ExpBackward0", "is at version 1; expected version 0"):
        assert words in str(caught.value)


def test_what_is_not_read_may_be_overwritten(check) -> None:
    """A sum, a product with a constant and relu do not read what is changed here."""
    check.op("add", lambda T, x: _after_change(x * 1, lambda y: y + 1), [check.numbers(3)])
    check.op("sum", lambda T, x: _after_change(x * 1, lambda y: y.sum()), [check.numbers(3)])
    check.op("relu", lambda T, x: (x * 1).relu_() * 2, [check.numbers(3)])


def _after_change(y, function):
    out = function(y)
    y.mul_(3.0)
    return out + y
