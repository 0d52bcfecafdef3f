"""Mixtures of distributions of one kind, and how often each of several things happens."""

from collections.abc import Iterable
from typing import Any, ClassVar

from tensor.autograd import no_grad
from tensor.creation import zeros
from tensor.distributions import constraints
from tensor.distributions.categorical import Categorical
from tensor.distributions.distribution import Distribution
from tensor.engine import Tensor
from tensor.join import cat
from tensor.ranges import arange
from tensor.sizes import Size


class MixtureSameFamily(Distribution):
    """One of k distributions, drawn by `mixture_distribution`, a Categorical with k choices.

    component_distribution: a batch of distributions, the last dim of its batch_shape of size k.
    """

    arg_constraints: ClassVar[Any] = {}

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ):
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                "The Mixture distribution needs to be an instance of torch.distributions.Categorical"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an instance of torch.distributions.Distribution"
            )
        mixed, batch = mixture_distribution.batch_shape, component_distribution.batch_shape
        pairs = zip(reversed(mixed), reversed(batch[:-1]), strict=False)
        if any(1 not in (a, b) and a != b for a, b in pairs):
            raise ValueError(
                f"`mixture_distribution.batch_shape` ({mixed}) is not compatible with "
                f"`component_distribution.batch_shape`({batch[:-1]})"
            )
        choices = mixture_distribution.logits.shape[-1]
        if choices != batch[-1]:
            raise ValueError(
                f"`mixture_distribution component` ({choices}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({batch[-1]})"
            )
        self._mixture_distribution, self._component_distribution = (
            mixture_distribution,
            component_distribution,
        )
        self._event_ndims = len(component_distribution.event_shape)
        super().__init__(batch[:-1], component_distribution.event_shape, validate_args)

    @property
    def mixture_distribution(self) -> Categorical:
        """What draws the component."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components, along the last dim of the batch."""
        return self._component_distribution

    @property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self.component_distribution.support)

    def expand(self, batch_shape: Iterable[int]) -> "MixtureSameFamily":
        shape = tuple(batch_shape)
        choices = self.mixture_distribution.param_shape[-1]
        return MixtureSameFamily(
            self.mixture_distribution.expand(shape),  # type: ignore[arg-type]
            self.component_distribution.expand((*shape, choices)),
            validate_args=self._validate,
        )

    def _pad(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1 - self._event_ndims)

    def _weights(self) -> Tensor:
        """Return the probabilities of the components, of a shape to multiply their moments with."""
        probs = self.mixture_distribution.probs
        mixed = len(self.mixture_distribution.batch_shape)
        missing = 0 if mixed == 1 else len(self.batch_shape) - mixed
        return probs.reshape((*probs.shape[:-1], *(1,) * missing, probs.shape[-1], *(1,) * self._event_ndims))

    @property
    def mean(self) -> Tensor:
        return (self._weights() * self.component_distribution.mean).sum(-1 - self._event_ndims)

    @property
    def variance(self) -> Tensor:
        # the mean of the variances and the variance of the means
        probs, dim = self._weights(), -1 - self._event_ndims
        within = (probs * self.component_distribution.variance).sum(dim)
        between = (probs * (self.component_distribution.mean - self._pad(self.mean)).pow(2.0)).sum(dim)
        return within + between

    def cdf(self, value: Tensor) -> Tensor:
        return (self.component_distribution.cdf(self._pad(value)) * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        found = self.component_distribution.log_prob(self._pad(value))
        return (found + self.mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def sample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        with no_grad():
            sample_shape = Size(sample_shape)
            dim = len(sample_shape) + len(self.batch_shape)
            chosen = self.mixture_distribution.sample(sample_shape)
            drawn = self.component_distribution.sample(sample_shape)
            event = self.event_shape
            index = chosen.reshape((*chosen.shape, *(1,) * (len(event) + 1)))
            index = index.repeat((*(1,) * chosen.ndim, 1, *event))
            return drawn.gather(dim, index).squeeze(dim)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"


class Multinomial(Distribution):
    """How often each of n things happens in `total_count` trials. Give probs (..., n) or logits.

    log_prob() has gradients in probs and logits; the counts themselves are constants.
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self,
        total_count: int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ):
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs, logits)
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
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._categorical.param_shape

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    @property
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    def expand(self, batch_shape: Iterable[int]) -> Distribution:
        given = {"_categorical": self._categorical.expand(batch_shape), "total_count": self.total_count}
        return self._like(batch_shape, given)

    def sample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        with no_grad():
            sample_shape = Size(sample_shape)
            drawn = self._categorical.sample((self.total_count, *sample_shape))
            drawn = drawn.movedim(0, -1)  # the trials
            counts = zeros(self._extended_shape(sample_shape), dtype=drawn.dtype, device=drawn.device)
            counts.scatter_add_(-1, drawn, drawn.new_ones(()).expand(drawn.shape))
            return counts.type_as(self.probs)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        possible = (value != 0) | (self.logits > -float("inf"))
        logits = self.logits.where(possible, self.logits.new_zeros(()))  # 0 times of what cannot be
        counts = value.detach()
        ways = _log_factorial(counts.sum(-1)) - _log_factorial(counts).sum(-1)
        return ways.to(logits.dtype) + (logits * value).sum(-1)

    def entropy(self) -> Tensor:
        # the counts of one thing alone are binomial: the sum over them is over all counts there are
        n = self.total_count
        counts = arange(n + 1, dtype=self.probs.dtype, device=self.probs.device).reshape(
            (-1, *(1,) * self.probs.ndim)
        )
        chance = self.probs.clamp(min=0.0, max=1.0)
        most = _log_factorial(counts.new_tensor(n))
        ways = (most - _log_factorial(counts) - _log_factorial(n - counts)).exp()
        binomial = ways.to(chance.dtype) * chance**counts * (1 - chance) ** (n - counts)
        expected = (binomial * _log_factorial(counts).to(chance.dtype)).sum((0, -1))
        own = self._categorical.entropy()
        return n * own - most.to(chance.dtype) + expected

    def __repr__(self) -> str:
        return "Multinomial()"


def _log_factorial(counts: Tensor) -> Tensor:
    """Return log(n!) of whole numbers, in double precision."""
    places = counts.long()
    most = int(places.max().item()) if places.numel() else 0
    logs = arange(1, most + 1, device=places.device).double().log().cumsum(0)
    return cat((logs.new_zeros(1), logs))[places]
