"""Adadelta."""

from typing import Any

from tensor.optim.batch import Batch
from tensor.optim.optimizer import Optimizer, check_settings, refuse_differentiable


class Adadelta(Optimizer):
    """Steps as large, by root mean square, as the last ones, whatever the gradient's unit (Zeiler 2012).

    rho: how much of the running mean squares is kept each step. eps is added within the roots. weight_decay
    adds weight_decay * p to the gradient; maximize climbs; foreach has no effect. capturable: count
    the steps on the GPU, for CUDA graphs.
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

    _counts_in_tensors = True
    _counts_on_gpu = True
    _like_parameter = ("square_avg", "acc_delta")

    def _update(self, batch: Batch, grads: list, group: dict[str, Any]) -> None:
        counts = batch.count(group["capturable"])
        batch.kernels.adadelta(
            batch.table,
            grads,
            counts,
            batch.rate(group, isinstance(counts, list)),
            float(group["rho"]),
            float(group["eps"]),
            float(group["weight_decay"]),
            group["maximize"],
        )
