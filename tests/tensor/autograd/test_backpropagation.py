"""tensor/autograd: recording, the backward pass, in-place history, hooks, modes, memory."""

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import tensor

# --- random programs, run on both engines --------------------------------------------------------------


class Program:
    """A random sequence of views, in-place changes and computations, as a list of lines for either engine."""

    def __init__(self, seed: int, length: int, smooth: bool = False):
        self.seed, self.length = seed, length
        self.smooth = smooth  # nothing that hides a dependence from autograd: finite differences apply

    def run(self, T, nudge: float = 0.0):
        """Run on module `T`; return the lines, what was raised, the values, the gradients of the leaves."""
        rng = np.random.default_rng(self.seed)
        leaves = [
            T.tensor(
                rng.uniform(0.5, 1.5, shape) + nudge, requires_grad=bool(rng.integers(0, 4)) or self.smooth
            )
            for shape in [(2, 3), (3,), (), (3, 2)]
        ]
        self.total = None
        buffer = T.tensor(rng.uniform(0.5, 1.5, (2, 3)))
        tensors = [*leaves, leaves[0] * 1.5, buffer]
        lines = []
        error = None
        try:
            for _ in range(self.length):
                line, made = self.step(T, rng, tensors)
                lines.append(line)
                if made is not None:
                    tensors.append(made)
            total = sum(
                (t * t * (0.1 + i)).sum() for i, t in enumerate(tensors) if (t.numel() and i % 2) or i > 6
            )
            self.total = total.item()
            if total.requires_grad:
                total.backward()
        except (RuntimeError, IndexError) as raised:
            error = raised
        return lines, error, [t.detach() for t in tensors], [t.grad if t.is_leaf else None for t in leaves]

    def step(self, T, rng, tensors):
        i = int(rng.integers(len(tensors)))
        x = tensors[i]
        x.grad_fn  # noqa: B018  PyTorch forgets to make a view anew that is written to before anyone looks
        kind = rng.choice(
            ["view", "view", "write", "write", "write", "compute", "compute", "no_grad", "detach"],
            p=[0.2, 0.15, 0.15, 0.15, 0.1, 0.1, 0.08, 0.04, 0.03],
        )
        if kind == "view":
            name, made = self.view(T, rng, x)
            return f"v{len(tensors)} = v{i}.{name}", made
        if self.smooth and kind in ("no_grad", "detach"):
            kind = "compute"
        if kind == "detach":
            return f"v{len(tensors)} = v{i}.detach()", x.detach()
        if kind == "write" and ((x.is_leaf and x.requires_grad) or _is_expanded(x)) and rng.integers(0, 10):
            x = x * 1.25
            tensors.append(x)
        others = [j for j, t in enumerate(tensors) if _fits(tuple(t.shape), tuple(x.shape))]
        j = int(rng.choice(others))
        y = tensors[j]
        if kind == "compute":
            name, made = self.compute(T, rng, x, y)
            return f"v{len(tensors)} = {name} of v{i}, v{j}", made
        if kind == "no_grad":
            with T.no_grad():
                x.mul_(0.9)
            return f"no_grad: v{i}.mul_(0.9)", None
        return f"v{i}.{self.write(T, rng, x, y)} of v{j}", None

    def view(self, T, rng, x):
        choices = ["view(-1)", "unsqueeze(0)", "detour", "T"]
        if x.ndim and x.shape[0]:
            choices += ["[0]", "[-1:]", "[::2]", "transpose(0, -1)", "narrow"]
        if x.ndim == 1 or x.ndim == 0:
            choices += ["expand"]
        name = str(rng.choice(choices))
        if name == "view(-1)":
            return name, x.reshape(-1)
        if name == "unsqueeze(0)":
            return name, x.unsqueeze(0) if x.ndim < 4 else x.squeeze()
        if name == "detour":
            return "transpose.unsqueeze.squeeze", x.unsqueeze(-1).squeeze(-1)
        if name == "T":
            return name, x.permute(*range(x.ndim - 1, -1, -1)) if x.ndim else x.reshape(1)
        if name == "[0]":
            return name, x[0]
        if name == "[-1:]":
            return name, x[-1:]
        if name == "[::2]":
            return name, x[::2]
        if name == "narrow":
            return name, x.narrow(0, 0, 1)
        if name == "expand":
            return name, x.expand(2, *x.shape)
        return name, x.transpose(0, -1)

    def compute(self, T, rng, x, y):
        name = str(rng.choice(["mul", "add", "exp", "sum", "tanh", "where", "clone", "matmul", "index"]))
        if name == "mul":
            return name, x * y
        if name == "add":
            return name, x + y
        if name == "exp":
            return name, (x * 0.1).exp()
        if name == "sum":
            return name, x.sum(0) if x.ndim else x.sum()
        if name == "tanh":
            return name, x.tanh()
        if name == "where":
            return name, T.where(x > 1, x, y * 0.5)
        if name == "matmul" and x.ndim == 2:
            return name, x @ x.T
        if name == "index" and x.ndim:
            return name, x[T.tensor([0, 0])]
        return "clone", x.clone()

    def write(self, T, rng, x, y):
        name = str(
            rng.choice(
                [
                    "mul_",
                    "add_",
                    "copy_",
                    "fill_",
                    "mul_2",
                    "x[0]=",
                    "x[idx]=",
                    "exp_",
                    "tanh_",
                    "masked_fill_",
                    "x[0].add_(y)",
                ]
            )
        )
        if name in ("mul_", "add_", "copy_"):
            getattr(x, name)(y)
        elif name == "fill_":
            x.fill_(0.5)
        elif name == "mul_2":
            x.mul_(1.25)
        elif name == "exp_":
            x.mul_(0.1).exp_()
        elif name == "tanh_":
            x.tanh_()
        elif name == "masked_fill_":
            x.masked_fill_(x.detach() > 1.2, 0.3)
        elif name == "x[0].add_(y)" and x.ndim:
            x[0].add_(y.sum() * 0.1)
        elif name == "x[idx]=" and x.ndim and not _is_expanded(x):
            x[T.tensor([0])] = y.sum() * 0.2
        elif x.ndim:
            x[0] = y.sum() * 0.3
        else:
            x.add_(1.0)
        return name


def _is_expanded(x) -> bool:
    return any(step == 0 and n > 1 for step, n in zip(x.stride(), x.shape, strict=True))


def _fits(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    padded = (1,) * (len(large) - len(small)) + small
    return len(small) <= len(large) and all(n in (1, m) for n, m in zip(padded, large, strict=True))


@pytest.mark.parametrize("block", range(20))
def test_random_programs(check, torch, block: int) -> None:
    finished = 0
    for seed in range(block * 60, block * 60 + 60):
        program = Program(seed, length=4 + seed % 12)
        _, error, values, grads = program.run(tensor)
        their_lines, their_error, their_values, their_grads = program.run(torch)
        text = f"seed {seed}:\n  " + "\n  ".join(their_lines)
        if their_error is not None and "freed" not in str(their_error):
            assert type(error) is type(their_error), (
                f"{text}\n{error!r}, where PyTorch raises {their_error!r}"
            )
            continue
        assert error is None, f"{text}\n{error!r}, where PyTorch raises nothing"
        check.same(values, their_values, text)
        check.same(grads, their_grads, text + "\ngradients")
        finished += 1
    assert finished > 25


@pytest.mark.parametrize("block", range(5))
def test_random_programs_against_finite_differences(block: int) -> None:
    finished = 0
    for seed in range(10_000 + block * 40, 10_040 + block * 40):
        program = Program(seed, length=3 + seed % 9, smooth=True)
        lines, error, _, grads = program.run(tensor)
        if error is not None or not 1e-3 < abs(program.total) < 1e6:
            continue
        slope = sum(float(g.sum()) for g in grads if g is not None)
        totals = []
        for nudge in (1e-6, -1e-6):
            program.run(tensor, nudge)
            totals.append(program.total)
        expected = (totals[0] - totals[1]) / 2e-6
        text = f"seed {seed}:\n  " + "\n  ".join(lines)
        assert slope == pytest.approx(expected, rel=1e-4, abs=1e-3), text
        finished += 1
    assert finished > 10


# --- in-place history ----------------------------------------------------------------------------------

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
    states = T.zeros(5, *x.shape, dtype=x.dtype)
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
    out = T.zeros(4, dtype=x.dtype)
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


# --- the backward pass ---------------------------------------------------------------------------------


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


# --- modes ---------------------------------------------------------------------------------------------


def test_modes_as_contexts_and_decorators(engines) -> None:
    for T in engines:
        seen = []

        def note(T=T, seen=seen):
            seen.append(T.is_grad_enabled())
            return T.is_grad_enabled()

        note()
        with T.no_grad():
            note()
            with T.enable_grad():
                note()
                with T.set_grad_enabled(False):
                    note()
                note()
            note()
            with T.inference_mode(False):
                note()
            T.enable_grad()(note)()
        T.no_grad()(note)()
        T.no_grad(note)()
        T.inference_mode()(note)()
        T.inference_mode(note)()
        T.set_grad_enabled(False)(note)()
        note()
        T.set_grad_enabled(False)
        note()
        T.set_grad_enabled(True)
        note()
        with T.no_grad(), pytest.raises(ValueError, match="through"):
            raise ValueError("through")
        note()
        assert seen == [
            True, False, True, False, True, False, True, True, False, False, False, False, False, True, False,
            True, True,
        ]  # fmt: skip


def test_modes_decorate_methods_and_keep_names() -> None:
    class Model:
        @tensor.no_grad()
        def one(self, x):
            """Do it."""
            return tensor.is_grad_enabled(), x

        @tensor.no_grad
        def two(self, x):
            return tensor.is_grad_enabled(), x

    assert Model().one(1) == (False, 1)
    assert Model().two(2) == (False, 2)
    assert Model.one.__name__ == "one"
    assert Model.one.__doc__ == "Do it."


def test_modes_of_generators(engines) -> None:
    for T in engines:
        seen = []

        @T.no_grad()
        def numbers(T=T, seen=seen):
            try:
                for i in range(3):
                    seen.append(T.is_grad_enabled())
                    got = yield i
                    seen.append(got)
                return "done"
            finally:
                seen.append(T.is_grad_enabled())

        generator = numbers()
        assert next(generator) == 0
        assert T.is_grad_enabled()
        assert generator.send("a") == 1
        assert T.is_grad_enabled()
        generator.close()
        assert T.is_grad_enabled()
        assert seen == [False, "a", False, False]
        assert list(numbers()) == [0, 1, 2]
        inner = numbers()
        next(inner)
        with pytest.raises(KeyError):
            inner.throw(KeyError("x"))


def test_one_context_object_nests() -> None:
    mode = tensor.no_grad()
    with mode:
        with mode:
            assert not tensor.is_grad_enabled()
        assert not tensor.is_grad_enabled()
    assert tensor.is_grad_enabled()


def test_modes_are_per_thread() -> None:
    seen = []
    inside, done = threading.Event(), threading.Event()

    def other() -> None:
        inside.wait()
        seen.append(tensor.is_grad_enabled())
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with tensor.no_grad():
        inside.set()
        done.wait()
    thread.join()
    assert seen == [True]


def test_nothing_is_recorded_under_no_grad() -> None:
    x = tensor.ones(3, requires_grad=True)
    with tensor.no_grad():
        y = x * 2
        x.add_(1)
        x[0] = 5.0
        x.data.mul_(2)
    assert y.requires_grad is False
    assert y.grad_fn is None
    assert x.tolist() == [10.0, 4.0, 4.0]
    assert x.is_leaf


# --- memory --------------------------------------------------------------------------------------------


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
