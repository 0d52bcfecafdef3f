"""L-BFGS."""

from collections.abc import Callable
from typing import Any

from tensor import creation, join
from tensor.autograd import enable_grad, no_grad
from tensor.engine import Tensor
from tensor.optim.line_search import Point, strong_wolfe
from tensor.optim.optimizer import Optimizer, check_settings


class LBFGS(Optimizer):
    """Newton's method with curvatures guessed from the last steps (Nocedal 1980; Liu and Nocedal 1989).

    max_iter: iterations of one `step`; max_eval: of the closure in one step, 1.25 * max_iter by default.
    tolerance_grad, tolerance_change: where to stop. history_size: how many steps are remembered, each of
    them two times the size of all parameters. line_search_fn: "strong_wolfe", or None for steps of lr.
    One group of parameters only (ValueError). `step` needs a closure, which it calls several times.
    """

    def __init__(
        self,
        params,
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        check_settings(lr=lr)
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def _gradient(self) -> Tensor:
        """Return the gradients of all parameters in a row; zeros where there is none."""
        rows = [creation.zeros_like(p) if p.grad is None else p.grad for p in self._params]
        return join.cat([row.detach().reshape(-1) for row in rows])

    def _move(self, distance: float, direction: Tensor) -> None:
        start = 0
        for p in self._params:
            p.add_(direction[start : start + p.numel()].reshape(p.shape) * distance)
            start += p.numel()

    def step(self, closure: Callable[[], Any]):
        """Take up to max_iter iterations; return the loss that the closure computed first."""
        with no_grad():
            return self._minimize(enable_grad()(closure), self.param_groups[0])

    def _minimize(self, closure: Callable[[], Any], group: dict[str, Any]):
        search = group["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise RuntimeError(f"LBFGS: only 'strong_wolfe' is supported as line_search_fn, got {search!r}")
        lr, most = float(group["lr"]), group["max_eval"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = closure()
        loss, count = float(first_loss), 1
        state["func_evals"] += 1
        grad = self._gradient()
        is_flat = _largest(grad) <= group["tolerance_grad"]
        if is_flat:
            return first_loss

        for i in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            state["prev_flat_grad"], before = grad.clone(), loss
            distance = lr
            if state["n_iter"] == 1:
                distance = min(1.0, 1.0 / float(grad.abs().sum())) * lr
            state["d"], state["t"], state["prev_loss"] = direction, distance, before
            slope = float(grad.dot(direction))
            if slope > -group["tolerance_change"]:
                break
            evaluations = 0
            if search is not None:
                here = Point(0, loss, grad.clone(), slope)
                found, evaluations = self._search(closure, here, direction, distance, most - count, group)
                loss, grad, state["t"] = found.loss, found.grad, found.at
                self._move(found.at, direction)
                is_flat = _largest(grad) <= group["tolerance_grad"]
            else:
                self._move(distance, direction)
                if i != group["max_iter"]:  # the last one's loss would be for nothing
                    loss, grad, evaluations = float(closure()), self._gradient(), 1
                    is_flat = _largest(grad) <= group["tolerance_grad"]
            count += evaluations
            state["func_evals"] += evaluations
            if count >= most or is_flat:
                break
            if _largest(direction) * abs(state["t"]) <= group["tolerance_change"]:
                break
            if abs(loss - before) < group["tolerance_change"]:
                break
        return first_loss

    def _direction(self, state: dict[str, Any], grad: Tensor, history_size: int) -> Tensor:
        """Return where to go: against the gradient, turned by the curvatures that were seen."""
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"], state["H_diag"] = [], [], [], 1
            return -grad
        changes, steps, inverse = state["old_dirs"], state["old_stps"], state["ro"]
        change, step = grad - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = float(change.dot(step))
        if curvature > 1e-10:
            if len(changes) == history_size:
                for remembered in (changes, steps, inverse):
                    remembered.pop(0)
            changes.append(change)
            steps.append(step)
            inverse.append(1.0 / curvature)
            state["H_diag"] = curvature / float(change.dot(change))
        shares = [0.0] * len(changes)
        direction = -grad
        for i in range(len(changes) - 1, -1, -1):
            shares[i] = float(steps[i].dot(direction)) * inverse[i]
            direction = direction - changes[i] * shares[i]
        direction = direction * state["H_diag"]
        for i in range(len(changes)):
            back = float(changes[i].dot(direction)) * inverse[i]
            direction = direction + steps[i] * (shares[i] - back)
        return direction

    def _search(
        self,
        closure: Callable,
        here: Point,
        direction: Tensor,
        first: float,
        most: int,
        group: dict[str, Any],
    ) -> tuple[Point, int]:
        kept = [p.clone() for p in self._params]

        def evaluate(distance: float) -> Point:
            self._move(distance, direction)
            loss, grad = float(closure()), self._gradient()
            for p, value in zip(self._params, kept, strict=True):
                p.copy_(value)
            return Point(distance, loss, grad, float(grad.dot(direction)))

        return strong_wolfe(evaluate, here, first, _largest(direction), most, group["tolerance_change"])


def _largest(x: Tensor) -> float:
    return float(x.abs().max())
