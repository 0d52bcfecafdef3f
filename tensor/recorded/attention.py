"""The derivative of attention, recorded: composed, with the matrix of all weights."""

import math

from tensor import creation, dtypes
from tensor.recorded.basis import tensor_of


def attention_dx(q, k, v, mask, causal, scale, kept, factor, stats, grad):
    """Return the gradients of `attention` in q, k and v, each computed from all of them and grad."""
    q, k, v = tensor_of(q), tensor_of(k), tensor_of(v)
    groups = q.shape[1] // k.shape[1]
    keys, values = (t.repeat_interleave(groups, 1) if groups > 1 else t for t in (k, v))
    scores = q @ keys.transpose(-2, -1) * scale
    if mask is not None:
        scores = scores + tensor_of(mask)
    if causal:
        later = creation.ones(scores.shape[-2:], dtype=dtypes.bool).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    blind = (scores == -math.inf).all(-1, keepdim=True)
    weights = scores.masked_fill(blind, 0.0).softmax(-1).masked_fill(blind, 0.0)
    gate = None if kept is None else tensor_of(kept).to(weights.dtype) * factor
    used = weights if gate is None else weights * gate
    by_weights = grad @ values.transpose(-2, -1)
    by_weights = by_weights if gate is None else by_weights * gate
    by_scores = weights * (by_weights - (by_weights * weights).sum(-1, True)) * scale
    dk, dv = by_scores.transpose(-2, -1) @ q, used.transpose(-2, -1) @ grad
    if groups > 1:
        dk, dv = (t.unflatten(1, (-1, groups)).sum(2) for t in (dk, dv))
    return by_scores @ keys, dk, dv
