"""Rprop."""

from typing import Any

from tensor import creation
from tensor.engine import Tensor
from tensor.optim.one_by_one import OneByOne
from tensor.optim.optimizer import check_settings, refuse_differentiable


class Rprop(OneByOne):
    """Steps by the gradient's sign, each element with a size of its own (Riedmiller and Braun 1993).

    etas: by what a size is multiplied where the sign has changed, and where it has not. step_sizes: the
    smallest and the largest size; lr is the first. maximize climbs; foreach has no effect. capturable:
    count the steps on the GPU, for CUDA graphs.
    For gradients of the whole data: those of batches change their signs by chance.
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        etas=(0.5, 1.2),
        step_sizes=(1e-6, 50),
        *,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        check_settings(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        refuse_differentiable(self, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    _counts_on_gpu = True

    def _begin(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["prev"] = creation.zeros_like(p)
        state["step_size"] = creation.full_like(p, float(group["lr"]))

    def _change(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        shrink, grow = group["etas"]
        agreement = grad * state["prev"]
        turned = agreement < 0
        factor = creation.ones_like(p).masked_fill(turned, shrink).masked_fill(agreement > 0, grow)
        state["step_size"].mul_(factor).clamp_(*group["step_sizes"])
        grad = grad.masked_fill(turned, 0.0)  # such an element rests for a step
        p.sub_(grad.sign() * state["step_size"])
        state["prev"].copy_(grad)
