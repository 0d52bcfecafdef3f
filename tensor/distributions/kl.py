"""kl_divergence(p, q), by a table of the pairs for which it has a formula."""

import math
from collections.abc import Callable
from typing import Any

from tensor import linalg
from tensor.activations import softplus
from tensor.distributions.categorical import Categorical, OneHotCategorical
from tensor.distributions.continuous import Exponential, Laplace, Uniform
from tensor.distributions.discrete import Bernoulli, Geometric
from tensor.distributions.distribution import Distribution, Independent
from tensor.distributions.normal import LogNormal, MultivariateNormal, Normal
from tensor.elementwise import where
from tensor.engine import Tensor

_TABLE: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}


def register_kl(type_p: type, type_q: type) -> Callable:
    """Return a decorator: what it is put before computes kl_divergence(p, q) for these types.

    Of several pairs that fit, the one nearest in the order of inheritance is taken.
    """
    for kind in (type_p, type_q):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected type_p and type_q to be Distribution subclasses but got {kind}")

    def register(function: Callable) -> Callable:
        _TABLE[type_p, type_q] = function
        return function

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """Return the Kullback-Leibler divergence of q from p: E_p[log p - log q], of the batch's shape.

    Raises NotImplementedError for pairs that have no formula here.
    """
    for kind_p in type(p).__mro__:
        for kind_q in type(q).__mro__:
            if (kind_p, kind_q) in _TABLE:
                return _TABLE[kind_p, kind_q](p, q)
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}"
    )


def _where_infinite(mask: Tensor, value: Tensor) -> Tensor:
    return value.masked_fill(mask, math.inf)


@register_kl(Normal, Normal)
def _normal_normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    distance = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (ratio + distance - 1 - ratio.log())


@register_kl(LogNormal, LogNormal)
def _log_normal_log_normal(p: LogNormal, q: LogNormal) -> Tensor:
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(MultivariateNormal, MultivariateNormal)
def _vectors(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    half = q._half_log_det() - p._half_log_det()
    ratio = linalg.solve_triangular(q._factor, p._factor, upper=False).pow(2).sum((-2, -1))
    difference = (q.loc - p.loc).unsqueeze(-1)
    away = linalg.solve_triangular(q._factor, difference, upper=False).squeeze(-1).pow(2).sum(-1)
    return half + 0.5 * (ratio + away - p.event_shape[0])


@register_kl(Uniform, Uniform)
def _uniform_uniform(p: Uniform, q: Uniform) -> Tensor:
    divergence = ((q.high - q.low) / (p.high - p.low)).log()
    return _where_infinite((q.low > p.low) | (q.high < p.high), divergence)


@register_kl(Normal, Uniform)
def _normal_uniform(p: Normal, q: Uniform) -> Tensor:
    return (p.loc - q.low) * 0 + math.inf


@register_kl(Uniform, Normal)
def _uniform_normal(p: Uniform, q: Normal) -> Tensor:
    width = p.high - p.low
    log_ratio = (math.sqrt(math.pi * 2) * q.scale / width).log()
    spread = width.pow(2) / 12
    away = ((p.high + p.low - 2 * q.loc) / 2).pow(2)
    return log_ratio + 0.5 * (spread + away) / q.scale.pow(2)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli_bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    yes = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    yes = where(p.probs == 0, yes * 0, _where_infinite(q.probs == 0, yes))
    no = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    no = where(p.probs == 1, no * 0, _where_infinite(q.probs == 1, no))
    return yes + no


@register_kl(Categorical, Categorical)
def _categorical_categorical(p: Categorical, q: Categorical) -> Tensor:
    each = p.probs * (p.logits - q.logits)
    each = each.masked_fill((q.probs == 0).expand_as(each), math.inf)
    return each.masked_fill((p.probs == 0).expand_as(each), 0).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return kl_divergence(p._categorical, q._categorical)


@register_kl(Exponential, Exponential)
def _exponential_exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Laplace, Laplace)
def _laplace_laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio = p.scale / q.scale
    away = (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * (-away / p.scale).exp() - 1


@register_kl(Geometric, Geometric)
def _geometric_geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Independent, Independent)
def _independent_independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return p._sum(kl_divergence(p.base_dist, q.base_dist))
