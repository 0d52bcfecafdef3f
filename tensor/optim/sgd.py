"""Stochastic gradient descent."""

from typing import Any

from tensor.devices import is_capturing
from tensor.engine import Tensor
from tensor.optim.batch import Batch
from tensor.optim.optimizer import Optimizer, check_implementation, check_settings, refuse_differentiable


class SGD(Optimizer):
    """p -= lr * v, with v the gradient, or its running sum where momentum is not 0.

    momentum: v = momentum * v + (1 - dampening) * grad (the first v is grad); nesterov looks ahead: grad +
    momentum * v. weight_decay adds weight_decay * p to the gradient. maximize climbs. Every step is one
    compiled pass over all parameters: foreach and fused, PyTorch's choices of implementation, have no effect.
    In a CUDA graph lr may be a tensor of the GPU, which each replay reads.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        *,
        maximize=False,
        foreach=None,
        differentiable=False,
        fused=None,
    ):
        check_settings(lr=lr, momentum=momentum, weight_decay=weight_decay)
        refuse_differentiable(self, differentiable)
        check_implementation(foreach, fused)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    _like_parameter = ("momentum_buffer",)
    _captures = True

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] != 0.0 else ()

    def _init_state(self, p: Tensor, state: dict[str, Any], names: tuple[str, ...]) -> bool:
        fresh = state.get("momentum_buffer") is None
        if fresh:
            state["momentum_buffer"] = p._wrap(p._kernels.zeros(p._array.shape, p._array.dtype))
        return fresh

    def _update(self, batch: Batch, grads: list, group: dict[str, Any]) -> None:
        fresh: Any = batch.fresh
        if is_capturing() and fresh.any():
            if group["dampening"] != 0:
                raise RuntimeError(
                    "step: the first step of SGD with dampening is not as those that follow; take one before "
                    "the capture"
                )
            fresh = [False] * len(grads)  # of zeros the running sum becomes the gradient, too
        batch.kernels.sgd(
            batch.table,
            grads,
            fresh,
            batch.rate(group),
            float(group["momentum"]),
            float(group["dampening"]),
            float(group["weight_decay"]),
            group["nesterov"],
            group["maximize"],
        )
