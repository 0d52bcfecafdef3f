"""Adam and AdamW."""

from typing import Any

import numpy as np

from tensor import creation
from tensor.engine import Tensor
from tensor.optim.optimizer import Batch, Optimizer

_AVERAGES = ("exp_avg", "exp_avg_sq")
_WITH_LARGEST = (*_AVERAGES, "max_exp_avg_sq")


class Adam(Optimizer):
    """Steps of about lr in every direction: mean gradient over root mean square (Kingma and Ba 2015).

    betas: how much of the running mean and of the running square is kept each step. eps is added to the root.
    weight_decay adds weight_decay * p to the gradient, or, decoupled, shrinks p itself (AdamW). amsgrad
    divides by the largest mean square so far (Reddi et al. 2018). maximize climbs. Every step is one
    compiled pass over all parameters: foreach, capturable and fused, PyTorch's choices of implementation,
    have no effect.
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
        for name, value in (
            ("learning rate", lr),
            ("epsilon value", eps),
            ("weight_decay value", weight_decay),
        ):
            if not value >= 0.0:
                raise ValueError(f"Invalid {name}: {value}")
        for i in (0, 1):
            if not 0.0 <= betas[i] < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")
        if differentiable:
            raise NotImplementedError("Adam: differentiable=True is not supported: updates are not recorded")
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

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return _WITH_LARGEST if group["amsgrad"] else _AVERAGES

    def _init_state(self, p: Tensor, state: dict[str, Any], names: tuple[str, ...]) -> bool:
        if state:
            return False
        state["step"] = creation.tensor(0.0)  # a tensor, as in PyTorch: what is saved here loads there
        for name in names:
            state[name] = p._wrap(p._kernels.zeros(p._array.shape, p._array.dtype))
        return True

    def _update(self, batch: Batch, grads: list, group: dict[str, Any]) -> None:
        counts = np.empty(len(grads))
        for i, state in enumerate(batch.states):
            step = state["step"]._array
            counts[i] = step[...] = step.item() + 1
        beta1, beta2 = group["betas"]
        batch.kernels.adam(
            batch.table,
            grads,
            counts,
            float(group["lr"]),
            float(beta1),
            float(beta2),
            float(group["eps"]),
            float(group["weight_decay"]),
            group["decoupled_weight_decay"],
            group["maximize"],
            group["amsgrad"],
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict()` returned; see `Optimizer.load_state_dict`."""
        super().load_state_dict(state_dict)
        for state in self.state.values():
            if state and isinstance(state.get("step"), int | float):  # as early versions of PyTorch saved it
                state["step"] = creation.tensor(float(state["step"]))


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
