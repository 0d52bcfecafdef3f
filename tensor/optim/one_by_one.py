"""Optimisers written with tensor operations, one parameter after the other."""

from contextlib import nullcontext
from typing import Any

from tensor import creation
from tensor.autograd import no_grad
from tensor.devices import device
from tensor.engine import Tensor
from tensor.optim.optimizer import Optimizer


class OneByOne(Optimizer):
    """An optimiser that changes parameters by tensor operations, without recording them.

    Subclasses define `_begin` (a parameter's state) and `_change`. maximize climbs; a weight_decay that is
    not decoupled adds weight_decay * p to the gradient.
    """

    _counts_in_tensors = True
    _decays_itself = False

    def _update_group(self, position: int, group: dict[str, Any]) -> None:
        with no_grad():
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                counter = p.device if group.get("capturable", False) else "cpu"
                with p._kernels.graphs.at_once() if p.is_cuda else nullcontext():
                    if not state:
                        state["step"] = creation.tensor(0.0, device=counter)
                        self._begin(p, state, group)
                    elif state["step"].device != device(counter):
                        state["step"] = state["step"].to(counter)
                state["step"].add_(1)
                grad = -p.grad if group["maximize"] else p.grad
                decay = 0 if self._decays_itself else group.get("weight_decay", 0)
                if decay != 0 and group.get("decoupled_weight_decay", False):
                    p.mul_(1 - float(group["lr"]) * decay)
                elif decay != 0:
                    grad = grad + p * decay
                self._change(p, grad, state, group)

    def _begin(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Fill the state of a parameter that has none yet; the count of its steps is there."""
        raise NotImplementedError

    def _change(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Take a step; the count includes it, and the gradient the decay and the sign."""
        raise NotImplementedError
