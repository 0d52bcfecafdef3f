"""Scaled dot-product attention as one recorded operation, of which no matrix of all weights is kept."""

import math

import numpy as np

from tensor import creation, dropout, dtypes
from tensor.autograd import Operation
from tensor.elementwise import where
from tensor.operands import require_tensor
from tensor.products import matmul
from tensor.softmax import softmax


class ScaledDotProductAttention(Operation):
    """softmax(q @ k.T * scale + mask) @ v on (batch, heads, length, size); the mask gets no gradient."""

    name = "ScaledDotProductFlashAttentionForCpu"
    drawn_name = "Attention"
    constants = ("stats",)  # the recorded derivative computes them again
    gradients_in_words = ("scale * dscores @ {1}", "scale * dscores.T @ {0}", "softmax(scores).T @ grad")

    def forward(self, k, query, key, value, mask=None, causal=False, scale=1.0, kept=None, factor=1.0):
        self.options = mask, causal, scale, kept, factor
        out, self.stats = k.attention(query, key, value, *self.options)
        self.saved = query, key, value
        return out

    def backward(self, k, grad):
        return k.attention_dx(*self.saved, *self.options, self.stats, grad)


def _check(query, key, value, mask, dropout_p) -> None:
    """Raise what PyTorch raises for operands that do not fit."""
    name = "scaled_dot_product_attention"
    for what, t in (("query", query), ("key", key), ("value", value)):
        require_tensor(name, what, t)
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError(
            f"{name}: Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{query.dtype!r} key.dtype: {key.dtype!r} and value.dtype: {value.dtype!r} instead."
        )
    if not query.dtype.is_floating_point:
        raise RuntimeError(f"{name}: expected floating point operands, got {query.dtype!r}; use .float()")
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            f"{name}: Expected query, key, and value to all be at least 2 dimensional, but got query.dim: "
            f"{query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )
    if query.shape[-1] != key.shape[-1]:
        raise RuntimeError(
            f"{name}: query of shape {tuple(query.shape)} and key of shape {tuple(key.shape)} differ in "
            "their last size"
        )
    if key.shape[-2] != value.shape[-2]:
        raise RuntimeError(
            f"{name}: key of shape {tuple(key.shape)} and value of shape {tuple(value.shape)} differ in "
            "their length, the last size but one"
        )
    if mask is not None:
        require_tensor(name, "attn_mask", mask)
        if mask.dtype not in (dtypes.bool, dtypes.float32, query.dtype):
            raise RuntimeError(
                f"{name}: Expected attn_mask dtype to be bool or float or to match query dtype, but got "
                f"attn_mask.dtype: {mask.dtype!r} and query.dtype: {query.dtype!r} instead."
            )
    if not 0.0 <= dropout_p <= 1.0:
        raise RuntimeError(f"{name}: dropout probability has to be between 0 and 1, but got {dropout_p}")


def _broadcast(query, key, value, enable_gqa: bool):
    """Return the operands with 4 dims, (batch, heads, length, size), and the lead dims of the result."""
    name = "scaled_dot_product_attention"
    lead = tuple(query.shape[:-2])
    if enable_gqa:
        if min(query.ndim, key.ndim, value.ndim) < 3:
            raise RuntimeError(f"{name}: enable_gqa expects tensors of at least 3 dims")
        heads, shared, of_values = query.shape[-3], key.shape[-3], value.shape[-3]
        if not shared or not of_values or heads % shared or heads % of_values:
            raise RuntimeError(
                f"{name}: Number of heads in key and value must divide the number of heads in query, got "
                f"{shared} and {of_values} for {heads}"
            )
        if shared != of_values:
            key = key.repeat_interleave(heads // shared, -3)
            value = value.repeat_interleave(heads // of_values, -3)
            return _broadcast(query, key, value, False)
    groups = query.shape[-3] // key.shape[-3] if enable_gqa else 1
    if not lead == tuple(key.shape[:-2]) == tuple(value.shape[:-2]) and groups == 1:
        try:
            lead = np.broadcast_shapes(lead, key.shape[:-2], value.shape[:-2])
        except ValueError:
            raise RuntimeError(
                f"{name}: The size of tensor a must match the size of tensor b: the dims before the last two "
                f"do not broadcast, query {tuple(query.shape)}, key {tuple(key.shape)}, value "
                f"{tuple(value.shape)}"
            ) from None
        query, key, value = (t.expand(*lead, *t.shape[-2:]) for t in (query, key, value))
    if len(lead) != 2:
        query, key, value = (_with_four_dims(t) for t in (query, key, value))
    return query, key, value, lead


def _with_four_dims(t):
    if t.ndim < 4:
        return t.reshape(*(1,) * (4 - t.ndim), *t.shape)
    return t.reshape(math.prod(t.shape[:-3]), *t.shape[-3:])


def _as_numbers(mask, query):
    """Return a mask to be added: a bool mask lets through where it holds."""
    if mask.dtype is not dtypes.bool:
        return mask.to(query.dtype)
    zero = query.new_zeros(())
    return where(mask, zero, zero - math.inf)


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """Return softmax(query @ key.mT * scale + attn_mask) @ value (Vaswani et al. 2017).

    query: (..., queries, size), key: (..., keys, size), value: (..., keys, size of values), of one float
    type; the dims before broadcast. attn_mask: None, bools (True: this key is seen) or numbers to be added,
    broadcast to (..., queries, keys). is_causal: query i sees keys 0 to i. scale: 1 / sqrt(size) if None.
    dropout_p: weights are dropped with this probability, also in evaluation mode. enable_gqa: fewer heads,
    dim -3, of key and value than of query, each for several neighbours. A query that sees no key gives 0.
    """
    _check(query, key, value, attn_mask, dropout_p)
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None and query.shape[-1] else float(scale or 1.0)
    plain = query.ndim == key.ndim == value.ndim == 4 and query.shape[-1] == value.shape[-1]
    heads_fit = query.shape[:-2] == key.shape[:-2] == value.shape[:-2] or enable_gqa
    q, k, v, lead = _broadcast(query, key, value, enable_gqa)
    scores = (*lead, q.shape[-2], k.shape[-2])
    mask = None
    if attn_mask is not None:
        mask = _as_numbers(attn_mask, query)
        plain = plain and attn_mask.ndim in (2, 4)
        try:
            fits = np.broadcast_shapes(tuple(mask.shape), scores) == scores
        except ValueError:
            fits = False
        if not fits:
            raise RuntimeError(
                f"scaled_dot_product_attention: an attn_mask of shape {tuple(attn_mask.shape)} does not "
                f"match the scores, {scores}: The size of tensor a must match the size of tensor b"
            )
        if mask.requires_grad:
            return _composed(q, k, v, lead, mask, dropout_p, is_causal, scale)
        if len(lead) > 2:
            mask = mask.expand(scores).reshape(q.shape[0], *scores[-3:])
    kept, factor = None, 1.0
    if dropout_p > 0.0:
        kept = dropout.draw(dropout_p, (*q.shape[:2], *scores[-2:]), q.device)
        factor = dropout.scale_for(dropout_p)
    numbers = None if mask is None else mask._array
    out = ScaledDotProductAttention.apply(
        q, k, v, mask=numbers, causal=bool(is_causal), scale=scale, kept=kept, factor=factor
    )
    if len(lead) != 2:
        out = out.reshape(*lead, *out.shape[-2:])
    if out.grad_fn is not None and not (plain and heads_fit and kept is None):
        out.grad_fn.printed_name = "UnsafeView" if lead else "Mm"  # what PyTorch ends with where it composes
    return out


def _composed(query, key, value, lead, mask, dropout_p, is_causal, scale):
    """Return the same by the operations it is made of, for a mask that wants a gradient."""
    scores = matmul(query, key.transpose(-2, -1)) * scale
    scores = scores.reshape(*lead, *scores.shape[-2:]) + mask
    if is_causal:
        later = creation.ones(scores.shape[-2:], dtype=dtypes.bool, device=query.device).tril().logical_not()
        scores = scores.masked_fill(later, -math.inf)
    blind = (scores == -math.inf).all(-1, keepdim=True)
    weights = dropout.dropout(softmax(scores, -1).masked_fill(blind, 0.0), dropout_p)
    return matmul(weights, value.reshape(*lead, *value.shape[-2:]))
