"""Adam and AdamW."""

from typing import Any

from tensor.engine import Tensor
from tensor.optim.batch import Batch
from tensor.optim.optimizer import (
    Optimizer,
    check_betas,
    check_implementation,
    check_settings,
    refuse_differentiable,
)

_AVERAGES = ("exp_avg", "exp_avg_sq")
_WITH_LARGEST = (*_AVERAGES, "max_exp_avg_sq")


class Adam(Optimizer):
    """Steps of about lr in every direction: mean gradient over root mean square (Kingma and Ba 2015).

    betas: how much of the running mean and of the running square is kept each step. eps is added to the root.
    weight_decay adds weight_decay * p to the gradient, or, decoupled, shrinks p itself (AdamW). amsgrad
    divides by the largest mean square so far (Reddi et al. 2018). maximize climbs. Every step is one
    compiled pass over all parameters: foreach and fused, PyTorch's choices of implementation, have no effect.
    capturable: count the steps on the GPU, so that a CUDA graph can replay them; lr may then be a tensor of
    the GPU, too.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
        fused=None,
        decoupled_weight_decay=False,
    ):
        check_settings(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        refuse_differentiable(self, differentiable)
        check_implementation(foreach, fused)
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": tuple(betas),
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    _like_parameter = _WITH_LARGEST
    _counts_in_tensors = True
    _counts_on_gpu = True

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return _WITH_LARGEST if group["amsgrad"] else _AVERAGES

    def _update(self, batch: Batch, grads: list, group: dict[str, Any]) -> None:
        (beta1, beta2), capturable = group["betas"], group["capturable"]
        batch.kernels.adam(
            batch.table,
            grads,
            batch.count(capturable),
            batch.rate(group, capturable),
            float(beta1),
            float(beta2),
            float(group["eps"]),
            float(group["weight_decay"]),
            group["decoupled_weight_decay"],
            group["maximize"],
            group["amsgrad"],
        )


class AdamW(Adam):
    """Adam that shrinks parameters directly, p *= 1 - lr * weight_decay (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
        foreach=None,
        capturable=False,
        differentiable=False,
        fused=None,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict()` returned, also of an Adam: the decay stays decoupled."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
