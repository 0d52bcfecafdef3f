"""Averages of a model's weights over a training: plain (SWA, Izmailov et al. 2018) or exponential (EMA)."""

import copy
import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from tensor.autograd import no_grad
from tensor.creation import tensor
from tensor.devices import is_capturing
from tensor.engine import Tensor
from tensor.nn import Module
from tensor.nn.norm import BatchNorm1d, BatchNorm2d
from tensor.optim.lr_scheduler.scheduler import LRScheduler, for_each_group
from tensor.optim.optimizer import Optimizer


def get_ema_avg_fn(decay: float = 0.999) -> Callable:
    """Return f(average, value, count) = decay * average + (1 - decay) * value."""
    _check_decay(decay)

    def ema_update(average: Tensor, value: Tensor, count: Any) -> Tensor:
        with no_grad():
            return average * decay + value * (1 - decay)

    return ema_update


def get_swa_avg_fn() -> Callable:
    """Return f(average, value, count), the mean of count + 1 values."""

    def swa_update(average: Tensor, value: Tensor, count: Any) -> Tensor:
        with no_grad():
            return average + (value - average) / (count + 1)

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable:
    """Return f(averages, values, count) that writes decay * average + (1 - decay) * value into averages."""
    return _of_lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Callable:
    """Return f(averages, values, count) that writes the means of count + 1 values into averages."""
    return _of_lists(get_swa_avg_fn())


def _of_lists(update: Callable) -> Callable:
    def update_all(averages: list[Tensor], values: list[Tensor], count: Any) -> None:
        with no_grad():
            for average, value in zip(averages, values, strict=True):
                average.copy_(update(average, value, count) if average.is_floating_point() else value)

    return update_all


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


class AveragedModel(Module):
    """A copy of a model whose parameters average those of the model: `update_parameters(model)` adds them.

    avg_fn: f(average, value, count) -> average, the mean by default; multi_avg_fn: f(averages, values, count)
    that writes into averages. use_buffers: average the buffers as well, which are copied otherwise. Calling
    it calls the copy.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable | None = None,
        multi_avg_fn: Callable | None = None,
        use_buffers: bool = False,
    ):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args, **kwargs):
        """Call the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's parameters into the average; the first ones become the average."""
        if is_capturing():
            raise RuntimeError(
                "update_parameters: cannot be captured in a CUDA graph: it counts its calls on the CPU; do "
                "it after each replay"
            )

        def all_of(one: Module) -> Iterable[Tensor]:
            return chain(one.parameters(), one.buffers()) if self.use_buffers else one.parameters()

        averages = [t.detach() for t in all_of(self.module)]
        values = [t.detach() for t in all_of(model)]
        count = int(self.n_averaged)
        if count == 0:
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(averages, values, self.n_averaged)
        else:
            _of_lists(self.avg_fn or get_swa_avg_fn())(averages, values, self.n_averaged)
        if not self.use_buffers:
            for ours, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
                ours.detach().copy_(theirs.detach())
        self.n_averaged.add_(1)


def update_bn(loader: Iterable, model: Module, device: Any = None) -> None:
    """Compute the running statistics of the model's batch norms anew, by one pass over the data.

    loader: yields inputs, or lists and tuples that begin with them.
    """
    norms = [m for m in model.modules() if isinstance(m, BatchNorm1d | BatchNorm2d) and m.track_running_stats]
    if not norms:
        return
    was_training, momenta = model.training, [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain means
    model.train()
    with no_grad():
        for batch in loader:
            inputs = batch[0] if isinstance(batch, list | tuple) else batch
            model(inputs if device is None else inputs.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """lr goes to `swa_lr` within `anneal_epochs` and stays there. anneal_strategy: "cos" or "linear"."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ):
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        for rate, group in zip(
            for_each_group("swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True
        ):
            group["swa_lr"] = rate
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _weight(self, epoch: int) -> float:
        """Return how far from the first rate to the last the schedule is at an epoch."""
        part = max(0.0, min(1.0, epoch / max(1, self.anneal_epochs)))
        return part if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * part)) / 2

    def get_lr(self) -> list:
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, here = self._weight(step - 1), self._weight(step)
        rates = []
        for group in self.optimizer.param_groups:
            last = group["swa_lr"]
            first = last if before == 1 else (group["lr"] - before * last) / (1 - before)
            rates.append(last * here + first * (1 - here))
        return rates
