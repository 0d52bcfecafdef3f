"""NAdam."""

from typing import Any

from tensor import creation
from tensor.engine import Tensor
from tensor.optim.batch import Batch
from tensor.optim.optimizer import Optimizer, check_betas, check_settings, refuse_differentiable


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, which looks one step ahead (Dozat 2016).

    momentum_decay: how fast the momentum nears its full value. decoupled_weight_decay shrinks the parameter
    itself, as AdamW. Other settings as Adam's; foreach has no effect, nor capturable: steps are counted on
    the CPU, and CUDA graphs refuse them.
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        momentum_decay=4e-3,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        check_settings(lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        check_betas(betas)
        refuse_differentiable(self, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    _counts_in_tensors = True
    _like_parameter = ("exp_avg", "exp_avg_sq")

    def _init_state(self, p: Tensor, state: dict[str, Any], names: tuple[str, ...]) -> bool:
        if not self._init_counted(p, state, {}):
            return False
        state["mu_product"] = creation.tensor(1.0, device="cpu")
        for name in names:
            state[name] = creation.zeros_like(p)
        return True

    def _update(self, batch: Batch, grads: list, group: dict[str, Any]) -> None:
        (beta1, beta2), lr = map(float, group["betas"]), float(group["lr"])
        factors = []
        for step, state in zip(batch.count().tolist(), batch.states, strict=True):
            now, later = (beta1 * (1 - 0.5 * 0.96 ** (n * group["momentum_decay"])) for n in (step, step + 1))
            product = state["mu_product"].mul_(now).item()
            by_grad, by_mean = lr * (1 - now) / (1 - product), lr * later / (1 - product * later)
            factors.append((by_grad, by_mean, 1 - beta2**step))
        batch.kernels.nadam(
            batch.table,
            grads,
            factors,
            lr,
            beta1,
            beta2,
            float(group["eps"]),
            float(group["weight_decay"]),
            group["decoupled_weight_decay"],
            group["maximize"],
        )
