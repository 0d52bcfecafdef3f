"""Adadelta."""

from typing import Any

from tensor import creation
from tensor.engine import Tensor
from tensor.optim.one_by_one import OneByOne, average_square
from tensor.optim.optimizer import check_settings, refuse_differentiable


class Adadelta(OneByOne):
    """Steps as large, by root mean square, as the last ones, whatever the gradient's unit (Zeiler 2012).

    rho: how much of the running mean squares is kept each step. eps is added within the roots. weight_decay
    adds weight_decay * p to the gradient; maximize climbs; foreach and capturable have no effect.
    """

    def __init__(
        self,
        params,
        lr=1.0,
        rho=0.9,
        eps=1e-6,
        weight_decay=0,
        foreach=None,
        *,
        capturable=False,
        maximize=False,
        differentiable=False,
    ):
        check_settings(lr=lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_settings(eps=eps, weight_decay=weight_decay)
        refuse_differentiable(self, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def _begin(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["square_avg"] = creation.zeros_like(p)
        state["acc_delta"] = creation.zeros_like(p)

    def _change(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        rho, eps = group["rho"], group["eps"]
        average_square(state["square_avg"], grad, rho)
        change = (state["acc_delta"] + eps).sqrt_().div_((state["square_avg"] + eps).sqrt_()).mul_(grad)
        average_square(state["acc_delta"], change, rho)
        p.sub_(change * float(group["lr"]))
