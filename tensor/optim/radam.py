"""RAdam."""

from typing import Any

from tensor import creation
from tensor.engine import Tensor
from tensor.optim.one_by_one import OneByOne, average, average_square
from tensor.optim.optimizer import check_betas, check_settings, refuse_differentiable


class RAdam(OneByOne):
    """Adam that divides by the root mean square only once that is known well enough (Liu et al. 2020).

    decoupled_weight_decay shrinks the parameter itself, as AdamW. Other settings as Adam's; foreach and
    capturable have no effect.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
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
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    def _begin(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["exp_avg"] = creation.zeros_like(p)
        state["exp_avg_sq"] = creation.zeros_like(p)

    def _change(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        (beta1, beta2), lr = group["betas"], float(group["lr"])
        step = state["step"].item()
        average(state["exp_avg"], grad, beta1)
        average_square(state["exp_avg_sq"], grad, beta2)
        correction = 1 - beta2**step
        change = state["exp_avg"] / (1 - beta1**step) * lr
        # The length of the average: how many squares it stands for, now and in the end.
        end = 2 / (1 - beta2) - 1
        length = end - 2 * step * beta2**step / correction
        if length > 5.0:
            rectified = ((length - 4) * (length - 2) * end / ((end - 4) * (end - 2) * length)) ** 0.5
            bar = state["exp_avg_sq"].sqrt().add_(group["eps"])
            change = change * (correction**0.5 * rectified) / bar
        p.sub_(change)
