"""Adagrad."""

from typing import Any

from tensor.engine import Tensor
from tensor.optim.batch import Batch
from tensor.optim.optimizer import Optimizer, check_implementation, check_settings, refuse_differentiable


class Adagrad(Optimizer):
    """p -= lr * grad / (root of the sum of all squared gradients + eps) (Duchi, Hazan and Singer 2011).

    lr_decay: the n-th step uses lr / (1 + (n - 1) * lr_decay). initial_accumulator_value: what the sums begin
    with. weight_decay adds weight_decay * p to the gradient. maximize climbs. Every step is one compiled pass
    over all parameters: foreach and fused, PyTorch's choices of implementation, have no effect.
    """

    _like_parameter = ("sum",)
    _counts_in_tensors = True

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0,
        weight_decay=0,
        initial_accumulator_value=0,
        eps=1e-10,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        fused=None,
    ):
        check_settings(
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        refuse_differentiable(self, differentiable)
        check_implementation(foreach, fused)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        for group in self.param_groups:  # as PyTorch: its state is there before the first step
            for p in group["params"]:
                self._init_state(p, self.state[p], ("sum",))

    def share_memory(self) -> None:
        """Do nothing: workers here are threads, and share the state as it is."""

    def _init_state(self, p: Tensor, state: dict[str, Any], names: tuple[str, ...]) -> bool:
        return self._init_counted(p, state, {"sum": self.defaults["initial_accumulator_value"]})

    def _update(self, batch: Batch, grads: list, group: dict[str, Any]) -> None:
        batch.kernels.adagrad(
            batch.table,
            grads,
            batch.count(),
            float(group["lr"]),
            float(group["lr_decay"]),
            float(group["eps"]),
            float(group["weight_decay"]),
            group["maximize"],
        )
