"""RAdam."""

from typing import Any

from tensor.optim.batch import Batch
from tensor.optim.optimizer import Optimizer, check_betas, check_settings, refuse_differentiable


class RAdam(Optimizer):
    """Adam that divides by the root mean square only once that is known well enough (Liu et al. 2020).

    decoupled_weight_decay shrinks the parameter itself, as AdamW. Other settings as Adam's; foreach and
    capturable have no effect: steps are counted on the CPU, and CUDA graphs refuse them.
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

    _counts_in_tensors = True
    _like_parameter = ("exp_avg", "exp_avg_sq")

    def _update(self, batch: Batch, grads: list, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        batch.kernels.radam(
            batch.table,
            grads,
            batch.count(),
            float(group["lr"]),
            float(beta1),
            float(beta2),
            float(group["eps"]),
            float(group["weight_decay"]),
            group["decoupled_weight_decay"],
            group["maximize"],
        )
