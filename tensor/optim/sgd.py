"""Stochastic gradient descent."""

from typing import Any

from tensor.optim.optimizer import Optimizer, flatten_parameter, write_back


class SGD(Optimizer):
    """p -= lr * v, with v the gradient, or its running sum where momentum is not 0.

    momentum: v = momentum * v + (1 - dampening) * grad (the first v is grad); nesterov looks ahead: grad +
    momentum * v. weight_decay adds weight_decay * p to the gradient. maximize climbs. Every update is one
    compiled pass: foreach and fused, PyTorch's choices of implementation, have no effect.
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
        for name, value in (
            ("learning rate", lr),
            ("momentum value", momentum),
            ("weight_decay value", weight_decay),
        ):
            if value < 0.0:
                raise ValueError(f"Invalid {name}: {value}")
        if differentiable:
            raise NotImplementedError("SGD: differentiable=True is not supported: updates are not recorded")
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

    def _update_group(self, group: dict[str, Any]) -> None:
        lr, momentum, dampening = float(group["lr"]), float(group["momentum"]), float(group["dampening"])
        decay, nesterov, maximize = float(group["weight_decay"]), group["nesterov"], group["maximize"]
        for p in group["params"]:
            if p.grad is None:
                continue
            k = p._kernels
            if momentum == 0.0:
                values, grad = flatten_parameter(p, p.grad)
                k.sgd(values, grad, None, lr, 0.0, 0.0, decay, False, maximize, False)
            else:
                state = self.state[p]
                first = state.get("momentum_buffer") is None
                if first:
                    state["momentum_buffer"] = p._wrap(k.zeros(p._array.shape, p._array.dtype))
                values, grad, v = flatten_parameter(p, p.grad, state["momentum_buffer"])
                k.sgd(values, grad, v, lr, momentum, dampening, decay, nesterov, maximize, first)
            write_back(p, values)
