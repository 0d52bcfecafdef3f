"""`torch.distributions`: what samples, with a gradient where there is one, and knows its density."""

from tensor.distributions import constraints, kl
from tensor.distributions.categorical import Categorical, OneHotCategorical
from tensor.distributions.continuous import Cauchy, Exponential, HalfNormal, Laplace, Uniform
from tensor.distributions.discrete import Bernoulli, Geometric
from tensor.distributions.distribution import Distribution, Independent
from tensor.distributions.kl import kl_divergence, register_kl
from tensor.distributions.normal import LogNormal, MultivariateNormal, Normal

__all__ = [
    "Bernoulli",
    "Categorical",
    "Cauchy",
    "Distribution",
    "Exponential",
    "Geometric",
    "HalfNormal",
    "Independent",
    "Laplace",
    "LogNormal",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "Uniform",
    "constraints",
    "kl_divergence",
    "register_kl",
]
