"""tensor/autograd: random programs, on both engines, and against finite differences."""

import numpy as np
import pytest

import tensor


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
