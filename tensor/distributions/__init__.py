"""`torch.distributions`: what samples, with a gradient where there is one, and knows its density."""

import sys
from importlib import import_module

from tensor.distributions import constraints, kl
from tensor.distributions.categorical import Categorical, OneHotCategorical
from tensor.distributions.continuous import Cauchy, Exponential, HalfNormal, Laplace, Uniform
from tensor.distributions.discrete import Bernoulli, Geometric
from tensor.distributions.distribution import Distribution, Independent
from tensor.distributions.kl import kl_divergence, register_kl
from tensor.distributions.mixture import MixtureSameFamily, Multinomial
from tensor.distributions.normal import LogNormal, MultivariateNormal, Normal
from tensor.distributions.transformed_distribution import TransformedDistribution
from tensor.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    IndependentTransform,
    LowerCholeskyTransform,
    PowerTransform,
    SigmoidTransform,
    SoftmaxTransform,
    SoftplusTransform,
    StickBreakingTransform,
    TanhTransform,
    Transform,
    identity_transform,
)

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "Bernoulli",
    "Categorical",
    "Cauchy",
    "ComposeTransform",
    "CumulativeDistributionTransform",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "Geometric",
    "HalfNormal",
    "Independent",
    "IndependentTransform",
    "Laplace",
    "LogNormal",
    "LowerCholeskyTransform",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "PowerTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StickBreakingTransform",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "constraints",
    "identity_transform",
    "kl_divergence",
    "register_kl",
]

# PyTorch's paths, `torch.distributions.bernoulli`: each is the file here that has what the name says
_PATHS = {
    "bernoulli": "discrete",
    "cauchy": "continuous",
    "exponential": "continuous",
    "geometric": "discrete",
    "half_normal": "continuous",
    "independent": "distribution",
    "laplace": "continuous",
    "log_normal": "normal",
    "mixture_same_family": "mixture",
    "multinomial": "mixture",
    "multivariate_normal": "normal",
    "one_hot_categorical": "categorical",
    "uniform": "continuous",
}
for _path, _file in _PATHS.items():
    sys.modules[f"{__name__}.{_path}"] = globals()[_path] = import_module(f"{__name__}.{_file}")
