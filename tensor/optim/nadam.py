"""NAdam."""

from typing import Any

from tensor import creation
from tensor.engine import Tensor
from tensor.optim.one_by_one import OneByOne, average, average_square
from tensor.optim.optimizer import check_betas, check_settings, refuse_differentiable


class NAdam(OneByOne):
    """Adam with Nesterov's momentum, which looks one step ahead (Dozat 2016).

    momentum_decay: how fast the momentum nears its full value. decoupled_weight_decay shrinks the parameter
    itself, as AdamW. Other settings as Adam's; foreach and capturable have no effect.
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        momentum_decay=4e-3,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        check_settings(lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        check_betas(betas)
        refuse_differentiable(self, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _begin(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["mu_product"] = creation.tensor(1.0)
        state["exp_avg"] = creation.zeros_like(p)
        state["exp_avg_sq"] = creation.zeros_like(p)

    def _change(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        (beta1, beta2), lr = group["betas"], float(group["lr"])
        step = state["step"].item()
        now, later = (beta1 * (1 - 0.5 * 0.96 ** (n * group["momentum_decay"])) for n in (step, step + 1))
        product = state["mu_product"].mul_(now).item()
        average(state["exp_avg"], grad, beta1)
        average_square(state["exp_avg_sq"], grad, beta2)
        bar = (state["exp_avg_sq"] / (1 - beta2**step)).sqrt_().add_(group["eps"])
        p.sub_(grad / bar * (lr * (1 - now) / (1 - product)))
        p.sub_(state["exp_avg"] / bar * (lr * later / (1 - product * later)))
