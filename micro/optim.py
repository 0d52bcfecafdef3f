"""Optimisers over scalars, with PyTorch's formulas and defaults."""

import math
from collections.abc import Iterable

from micro.value import Value


class Optimizer:
    """Hold the parameters; a subclass says in `step` how their gradients move them."""

    def __init__(self, parameters: Iterable[Value], lr: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: expected parameters, got none; pass model.parameters()")
        for p in self.parameters:
            if not isinstance(p, Value):
                raise TypeError(
                    f"{type(self).__name__}: expected Values, got {type(p).__name__}; pass model.parameters()"
                )
        self.lr = self._at_least_zero("lr", lr)

    def step(self) -> None:
        """Move every parameter once, by its gradient."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero."""
        for p in self.parameters:
            p.grad = 0.0

    def _at_least_zero(self, name: str, number: float) -> float:
        if not number >= 0.0:
            raise ValueError(f"{type(self).__name__}: expected {name} >= 0, got {number}")
        return number


class SGD(Optimizer):
    """Stochastic gradient descent: v = momentum * v + grad; p -= lr * v (v starts as the first gradient)."""

    def __init__(
        self, parameters: Iterable[Value], lr: float = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, lr)
        self.momentum = self._at_least_zero("momentum", momentum)
        self.weight_decay = self._at_least_zero("weight_decay", weight_decay)
        self._velocity = [0.0] * len(self.parameters)

    def step(self) -> None:
        for i, p in enumerate(self.parameters):
            grad = p.grad + self.weight_decay * p.data
            self._velocity[i] = self.momentum * self._velocity[i] + grad
            p.data -= self.lr * self._velocity[i]


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015): steps of the mean gradient over its root mean square, bias corrected."""

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"Adam: expected betas in [0, 1), got {betas}")
        self.betas = betas
        self.eps = self._at_least_zero("eps", eps)
        self.weight_decay = self._at_least_zero("weight_decay", weight_decay)
        self._steps = 0
        self._mean = [0.0] * len(self.parameters)
        self._square = [0.0] * len(self.parameters)

    def step(self) -> None:
        self._steps += 1
        beta1, beta2 = self.betas
        rate = self.lr / (1.0 - beta1**self._steps)
        root_correction = math.sqrt(1.0 - beta2**self._steps)
        for i, p in enumerate(self.parameters):
            grad = p.grad + self.weight_decay * p.data
            self._mean[i] += (grad - self._mean[i]) * (1.0 - beta1)
            self._square[i] = beta2 * self._square[i] + (1.0 - beta2) * grad * grad
            p.data -= rate * self._mean[i] / (math.sqrt(self._square[i]) / root_correction + self.eps)
