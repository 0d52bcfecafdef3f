"""Distributions of what happens with a probability: Bernoulli and geometric."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from tensor.autograd import no_grad
from tensor.creation import empty
from tensor.distributions import constraints
from tensor.distributions.distribution import Distribution, parameters_of
from tensor.engine import Tensor
from tensor.nn.functional import binary_cross_entropy_with_logits
from tensor.random_draws import bernoulli
from tensor.ranges import arange
from tensor.shape import broadcast_to


def clamp_probs(probs: Tensor) -> Tensor:
    """Return probabilities at least eps away from 0 and 1, so that their logits are finite."""
    eps = float(np.finfo(probs.dtype.name).eps)
    return probs.clamp(min=eps, max=1 - eps)


class _OfChance(Distribution):
    """What has one probability, given as probs or as logits: log(p / (1 - p))."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        if probs is not None:
            (self.probs,) = parameters_of(probs)
        else:
            (self.logits,) = parameters_of(logits)
        given = self.__dict__["probs" if probs is not None else "logits"]
        super().__init__(given.shape, (), validate_args)

    def __getattr__(self, name: str) -> Any:
        # whichever of the two was not given follows from the other
        if name == "probs" and "logits" in self.__dict__:
            return self.logits.sigmoid()
        if name == "logits" and "probs" in self.__dict__:
            probs = clamp_probs(self.probs)
            return probs.log() - (-probs).log1p()
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)

    def expand(self, batch_shape: Iterable[int]) -> Distribution:
        shape = tuple(batch_shape)
        names = [name for name in self.arg_constraints if name in self.__dict__]
        given = {name: self.__dict__[name].expand(shape) for name in names}
        return self._like(shape, given)


class Bernoulli(_OfChance):
    """1 with the probability `probs`, else 0; samples are floats. Give probs or logits."""

    support: Any = constraints.boolean

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        likely = (self.probs >= 0.5).to(self.probs)
        return likely.masked_fill(self.probs == 0.5, math.nan)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self.probs.shape

    def sample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        with no_grad():
            return bernoulli(broadcast_to(self.probs, self._extended_shape(sample_shape)).contiguous())

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logits, value = parameters_of(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = arange(2, dtype=self.probs.dtype, device=self.probs.device).view(
            (-1, *(1,) * len(self.batch_shape))
        )
        return values.expand((-1, *self.batch_shape)) if expand else values


class Geometric(_OfChance):
    """How many trials fail before the first that succeeds, each with the probability `probs`."""

    support: Any = constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return self.probs * 0

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        with no_grad():
            drawn = empty(
                self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device
            )
            drawn.uniform_(float(np.finfo(self.probs.dtype.name).tiny), 1)
            return (drawn.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        value, probs = parameters_of(value, self.probs)
        probs = probs.masked_fill((probs == 1) & (value == 0), 0.0)
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs
