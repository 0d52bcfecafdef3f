"""RMSprop."""

from typing import Any

from tensor.optim.batch import Batch
from tensor.optim.optimizer import Optimizer, check_settings, refuse_differentiable


class RMSprop(Optimizer):
    """p -= lr * grad / (root mean square of grad + eps) (Tieleman and Hinton 2012).

    alpha: how much of the running mean square is kept each step. centered divides by the standard deviation
    instead (Graves 2013). momentum: a running sum of the steps is taken. weight_decay adds weight_decay * p
    to the gradient. maximize climbs. Every step is one compiled pass over all parameters: foreach,
    PyTorch's choice of implementation, has no effect. capturable: count the steps on the GPU, for CUDA
    graphs.
    """

    _like_parameter = ("square_avg", "momentum_buffer", "grad_avg")
    _counts_in_tensors = True
    _counts_on_gpu = True

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        check_settings(lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        refuse_differentiable(self, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        wanted = {"square_avg": True, "momentum_buffer": group["momentum"] > 0, "grad_avg": group["centered"]}
        return tuple(name for name, is_kept in wanted.items() if is_kept)

    def _update(self, batch: Batch, grads: list, group: dict[str, Any]) -> None:
        counts = batch.count(group["capturable"])
        batch.kernels.rmsprop(
            batch.table,
            grads,
            counts,
            batch.rate(group, isinstance(counts, list)),
            float(group["alpha"]),
            float(group["eps"]),
            float(group["weight_decay"]),
            float(group["momentum"]),
            group["centered"],
            group["maximize"],
        )
