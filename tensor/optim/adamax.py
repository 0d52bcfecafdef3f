"""Adamax."""

from typing import Any

from tensor import creation, elementwise
from tensor.engine import Tensor
from tensor.optim.one_by_one import OneByOne, average
from tensor.optim.optimizer import check_betas, check_settings, refuse_differentiable


class Adamax(OneByOne):
    """Adam with the largest gradient of late in place of the mean square (Kingma and Ba 2015, section 7).

    Settings as Adam's; foreach and capturable have no effect.
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        check_settings(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        refuse_differentiable(self, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _begin(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["exp_avg"] = creation.zeros_like(p)
        state["exp_inf"] = creation.zeros_like(p)

    def _change(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        largest = state["exp_inf"]
        average(state["exp_avg"], grad, beta1)
        largest.copy_(elementwise.maximum(largest * beta2, grad.abs() + group["eps"]))
        size = float(group["lr"]) / (1 - beta1 ** state["step"].item())
        p.sub_(state["exp_avg"] / largest * size)
