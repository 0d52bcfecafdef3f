"""The normal distribution, its logarithm's, and that of vectors."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from tensor import elementwise, linalg, special
from tensor.distributions import constraints
from tensor.distributions.distribution import Distribution
from tensor.distributions.located import Located
from tensor.engine import Tensor
from tensor.random_draws import normal
from tensor.shape import broadcast_to


def _standard_normal(shape: Iterable[int], like: Tensor) -> Tensor:
    return like.new_zeros(tuple(shape)).normal_()


class Normal(Located):
    """The normal distribution with mean `loc` and standard deviation `scale`: numbers or tensors."""

    @property
    def stddev(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        return self.stddev.pow(2)

    def sample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return normal(
            broadcast_to(self.loc.detach(), shape).contiguous(),
            broadcast_to(self.scale.detach(), shape).contiguous(),
        )

    def rsample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        eps = _standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + eps * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        variance = self.scale**2
        log_scale = self.scale.log()
        return -((value - self.loc) ** 2) / (2 * variance) - log_scale - math.log(math.sqrt(2 * math.pi))

    def cdf(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return 0.5 * (1 + special.erf((value - self.loc) * self.scale.reciprocal() / math.sqrt(2)))

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * special.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + elementwise.log(self.scale)


class LogNormal(Distribution):
    """The distribution of exp(x) where x is normal with mean `loc` and standard deviation `scale`."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support: Any = constraints.positive
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None):
        self.base_dist = Normal(loc, scale, validate_args)
        super().__init__(self.base_dist.batch_shape, (), validate_args)

    @property
    def loc(self) -> Tensor:
        """The mean of the logarithm."""
        return self.base_dist.loc

    @property
    def scale(self) -> Tensor:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale.pow(2) / 2).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Tensor:
        scale_sq = self.scale.pow(2)
        return (scale_sq.exp() - 1) * (2 * self.loc + scale_sq).exp()

    def expand(self, batch_shape: Iterable[int]) -> Distribution:
        return self._like(batch_shape, {"base_dist": self.base_dist.expand(batch_shape)})

    def sample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        return self.base_dist.sample(sample_shape).exp()

    def rsample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logarithm = value.log()
        return -logarithm + self.base_dist.log_prob(logarithm)

    def cdf(self, value: Tensor) -> Tensor:
        return self.base_dist.cdf(value.log())

    def icdf(self, value: Tensor) -> Tensor:
        return self.base_dist.icdf(value).exp()

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc


class MultivariateNormal(Distribution):
    """Normal vectors with mean `loc` (..., n) and one of covariance_matrix, precision_matrix, scale_tril.

    Each is (..., n, n); scale_tril is the lower Cholesky factor of the covariance. Raises ValueError unless
    exactly one is given.
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support: Any = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ):
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        named = [(name, matrix) for name, matrix in given.items() if matrix is not None]
        if len(named) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
            )
        name, matrix = named[0]
        if matrix.dim() < 2:
            raise ValueError(
                f"{name} must be at least two-dimensional, with optional leading batch dimensions"
            )
        batch, n = loc.shape[:-1], loc.shape[-1]
        wide = matrix if matrix.ndim >= loc.ndim + 1 else matrix.expand((*batch, n, n))
        self.loc = loc if wide.ndim == loc.ndim + 1 else loc.expand((*wide.shape[:-2], n))
        setattr(self, name, wide)
        super().__init__(self.loc.shape[:-1], (n,), validate_args)
        if name == "scale_tril":
            self._factor = wide
        elif name == "covariance_matrix":
            self._factor = linalg.cholesky(wide)
        else:
            self._factor = linalg.cholesky(linalg.inv(wide))

    def __getattr__(self, name: str) -> Any:
        # the ways to give the covariance that were not used follow from its factor
        factor = self.__dict__.get("_factor")
        if factor is not None and name == "scale_tril":
            return factor
        if factor is not None and name == "covariance_matrix":
            return factor @ factor.mT
        if factor is not None and name == "precision_matrix":
            return linalg.inv(factor @ factor.mT)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self._factor.pow(2).sum(-1)

    def rsample(self, sample_shape: Iterable[int] = ()) -> Tensor:
        eps = _standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + (self._factor @ eps.unsqueeze(-1)).squeeze(-1)

    def _half_log_det(self) -> Tensor:
        return self._factor.diagonal(0, -2, -1).log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        difference = (value - self.loc).unsqueeze(-1)
        solved = linalg.solve_triangular(self._factor, difference, upper=False)
        distance = solved.squeeze(-1).pow(2).sum(-1)
        return -0.5 * (self.event_shape[0] * math.log(2 * math.pi) + distance) - self._half_log_det()

    def entropy(self) -> Tensor:
        return 0.5 * self.event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._half_log_det()
