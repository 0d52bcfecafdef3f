"""Adamax."""

from typing import Any

from tensor.optim.batch import Batch
from tensor.optim.optimizer import Optimizer, check_betas, check_settings, refuse_differentiable


class Adamax(Optimizer):
    """Adam with the largest gradient of late in place of the mean square (Kingma and Ba 2015, section 7).

    Settings as Adam's; foreach has no effect. capturable: count the steps on the GPU, for CUDA
    graphs.
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

    _counts_in_tensors = True
    _counts_on_gpu = True
    _like_parameter = ("exp_avg", "exp_inf")

    def _update(self, batch: Batch, grads: list, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        batch.kernels.adamax(
            batch.table,
            grads,
            batch.count(group["capturable"]),
            batch.rate(group, group["capturable"]),
            float(beta1),
            float(beta2),
            float(group["eps"]),
            float(group["weight_decay"]),
            group["maximize"],
        )
