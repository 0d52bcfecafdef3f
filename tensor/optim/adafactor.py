"""Adafactor."""

from typing import Any

import numpy as np

from tensor import creation
from tensor.engine import Tensor
from tensor.optim.one_by_one import OneByOne
from tensor.optim.optimizer import check_settings


class Adafactor(OneByOne):
    """Adam with the mean squares of a matrix kept by rows and by columns (Shazeer and Stern 2018).

    lr: the largest relative rate; the step is that times the parameter's root mean square, or eps[1].
    beta2_decay: the n-th step keeps 1 - n ** beta2_decay of the mean squares. eps[0]: the smallest square, by
    default that of the type. d: the largest root mean square of an update. weight_decay shrinks p by lr *
    weight_decay. maximize climbs; foreach has no effect.
    """

    _decays_itself = True

    def __init__(
        self,
        params,
        lr=1e-2,
        beta2_decay=-0.8,
        eps=(None, 1e-3),
        d=1.0,
        weight_decay=0.0,
        *,
        foreach=None,
        maximize=False,
    ):
        check_settings(lr=lr, weight_decay=weight_decay)
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        for name, value in (("epsilon1", eps[0] or 0.0), ("epsilon2", eps[1])):
            if not value >= 0.0:
                raise ValueError(f"{name} should be >= 0 but is: {value}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
            },
        )

    def _begin(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if p.ndim > 1:
            *rest, rows, columns = p.shape
            state["row_var"] = creation.zeros((*rest, rows, 1), dtype=p.dtype, device=p.device)
            state["col_var"] = creation.zeros((*rest, 1, columns), dtype=p.dtype, device=p.device)
        else:
            state["variance"] = creation.zeros_like(p)

    def _change(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, step = float(group["lr"]), state["step"].item()
        least, smallest = group["eps"]
        if least is None:
            least = float(np.finfo(p._array.dtype).eps)
        taken = step ** group["beta2_decay"]
        size = max(smallest, _root_mean_square(p)) * min(lr, 1 / step**0.5)
        if group["weight_decay"] != 0:
            p.mul_(1 - lr * group["weight_decay"])
        square = grad * grad
        if p.ndim > 1:
            rows, columns = state["row_var"], state["col_var"]
            rows.add_((square.mean(-1, keepdim=True) - rows) * taken)
            columns.add_((square.mean(-2, keepdim=True) - columns) * taken)
            estimate = rows @ columns / rows.mean(-2, keepdim=True).clamp(min=least)
        else:
            state["variance"].add_((square - state["variance"]) * taken)
            estimate = state["variance"]
        change = estimate.clamp(min=least * least).rsqrt() * grad
        p.sub_(change * (size / max(1.0, _root_mean_square(change) / group["d"])))


def _root_mean_square(x: Tensor) -> float:
    return float((x * x).sum()) ** 0.5 / max(x.numel(), 1) ** 0.5
