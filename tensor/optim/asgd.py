"""Averaged SGD."""

from typing import Any

from tensor import creation
from tensor.elementwise import where
from tensor.engine import Tensor
from tensor.optim.one_by_one import OneByOne
from tensor.optim.optimizer import check_settings, refuse_differentiable


class ASGD(OneByOne):
    """SGD with a falling rate, that keeps the average of the parameters (Polyak and Juditsky 1992).

    The n-th step uses lr / (1 + lambd * lr * n) ** alpha and shrinks p by lambd times that; `state[p]["ax"]`
    averages from step t0 on. weight_decay adds weight_decay * p to the gradient; maximize climbs; foreach has
    no effect. capturable: keep count and rate on the GPU, for CUDA graphs.
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lambd=1e-4,
        alpha=0.75,
        t0=1e6,
        weight_decay=0,
        foreach=None,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        check_settings(lr=lr, weight_decay=weight_decay)
        refuse_differentiable(self, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    _counts_on_gpu = True

    def _begin(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        where = p.device if group["capturable"] else "cpu"
        state["eta"] = creation.tensor(float(group["lr"]), device=where)
        state["mu"] = creation.tensor(1.0, device=where)
        state["ax"] = creation.zeros_like(p)

    def _change(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if group["capturable"] and p.is_cuda:
            self._change_on_gpu(p, grad, state, group)
            return
        lambd, lr, step = group["lambd"], float(group["lr"]), state["step"].item()
        rate, share = state["eta"].item(), state["mu"].item()
        p.mul_(1 - lambd * rate).sub_(grad * rate)
        if share == 1:
            state["ax"].copy_(p)
        else:
            state["ax"].add_((p - state["ax"]) * share)
        state["eta"].fill_(lr / (1 + lambd * lr * step) ** group["alpha"])
        state["mu"].fill_(1 / max(1, step - group["t0"]))

    def _change_on_gpu(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Do the same with numbers that stay on the GPU."""
        lambd, lr, eta, mu = group["lambd"], group["lr"], state["eta"].to(p.dtype), state["mu"].to(p.dtype)
        p.mul_(1 - lambd * eta).sub_(grad * eta)
        ax = state["ax"]
        ax.copy_(where(mu == 1, p, ax + (p - ax) * mu))
        step = state["step"].double()
        state["eta"].copy_(lr / (1 + lambd * lr * step) ** group["alpha"])
        state["mu"].copy_(1 / (step - group["t0"]).clamp(min=1))
