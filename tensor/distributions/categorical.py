"""One of several: as an index, or as a vector with a one in its place."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from tensor.autograd import enable_grad, no_grad
from tensor.creation import eye
from tensor.distributions import constraints
from tensor.distributions.discrete import clamp_probs
from tensor.distributions.distribution import Distribution
from tensor.engine import Tensor
from tensor.nn.functional import one_hot
from tensor.random_draws import multinomial
from tensor.ranges import arange
from tensor.sizes import Size


class Categorical(Distribution):
    """An index drawn with given probabilities: `probs` (..., n), which need not sum to 1, or `logits`.

    Samples are int64. Give one of the two.
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ):
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        name, given = ("probs", probs) if probs is not None else ("logits", logits)
        if not isinstance(given, Tensor):
            raise AttributeError(f"Categorical: {name} must be a tensor, got {type(given).__name__}")
        if given.dim() < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if name == "probs":
            self.probs = given / given.sum(-1, keepdim=True)
        else:
            self.logits = given - given.logsumexp(dim=-1, keepdim=True)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], (), validate_args)

    def __getattr__(self, name: str) -> Any:
        # whichever of the two was not given follows from the other
        if name == "probs" and "logits" in self.__dict__:
            with enable_grad():  # kept for later use, which may want a gradient
                self.probs = self.logits.softmax(dim=-1)
            return self.probs
        if name == "logits" and "probs" in self.__dict__:
            with enable_grad():
                self.logits = clamp_probs(self.probs).log()
            return self.logits
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)

    @property
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return Size((*self.batch_shape, self._num_events))

    @property
    def mean(self) -> Tensor:
        return self._nowhere()

    @property
    def variance(self) -> Tensor:
        return self._nowhere()

    def _nowhere(self) -> Tensor:
        return self.probs.detach().sum(-1) * math.nan

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(dim=-1)

    def expand(self, batch_shape: Iterable[int]) -> Distribution:
        shape = (*batch_shape, self._num_events)
        names = [name for name in self.arg_constraints if name in self.__dict__]
        given = {name: self.__dict__[name].expand(shape) for name in names}
        new = self._like(batch_shape, given)
        new._num_events = self._num_events
        return new

    def sample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        sample_shape = Size(sample_shape)
        with no_grad():
            rows = self.probs.reshape(-1, self._num_events)
            drawn = multinomial(rows, sample_shape.numel(), True).T
            return drawn.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logits, index = self.logits, value.long().unsqueeze(-1)
        ndim = max(logits.ndim, index.ndim)
        shape = np.broadcast_shapes(tuple(logits.shape[:-1]), tuple(index.shape[:-1]))
        index = index.expand((*shape, 1)) if ndim else index
        return logits.expand((*shape, self._num_events)).gather(-1, index).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = self.logits.clamp(min=float(np.finfo(self.logits.dtype.name).min))
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = arange(self._num_events, device=self.probs.device).view((-1, *(1,) * len(self.batch_shape)))
        return values.expand((-1, *self.batch_shape)) if expand else values


class OneHotCategorical(Distribution):
    """A vector of zeros with a one where `Categorical` would draw the index. Give probs or logits."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support: Any = constraints.one_hot

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ):
        self._categorical = Categorical(probs, logits, validate_args)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def probs(self) -> Tensor:
        """The probabilities, which sum to 1."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return self._categorical.logits

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return one_hot(self.probs.argmax(dim=-1), self.event_shape[0]).to(self.probs)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def expand(self, batch_shape: Iterable[int]) -> Distribution:
        return self._like(batch_shape, {"_categorical": self._categorical.expand(batch_shape)})

    def sample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        drawn = self._categorical.sample(sample_shape)
        return one_hot(drawn, self.event_shape[0]).to(self.probs)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return self._categorical.log_prob(value.argmax(dim=-1))

    def entropy(self) -> Tensor:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n = self.event_shape[0]
        values = eye(n, dtype=self.probs.dtype).view((n, *(1,) * len(self.batch_shape), n))
        return values.expand((n, *self.batch_shape, n)) if expand else values
