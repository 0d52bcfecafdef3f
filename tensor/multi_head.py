"""Multi-head attention as a function of all its weights: what nn.MultiheadAttention computes."""

import math
import warnings

from tensor import creation, dtypes
from tensor.attention import scaled_dot_product_attention
from tensor.dropout import dropout
from tensor.join import cat
from tensor.pad import pad
from tensor.products import bmm, linear
from tensor.softmax import softmax


def as_added_mask(mask, name: str, dtype, other=None, other_name: str = ""):
    """Return a mask to be added to scores: a bool mask hides, with -inf, where it holds.

    other: a second mask, of whose kind the first should be; a warning tells if it is not.
    """
    if mask is None:
        return None
    if mask.dtype is not dtypes.bool and not mask.dtype.is_floating_point:
        raise AssertionError(f"only bool and floating types of {name} are supported, got {mask.dtype!r}")
    if other is not None and other.dtype is not mask.dtype:
        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.",
            stacklevel=3,
        )
    if mask.dtype.is_floating_point:
        return mask
    return creation.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(mask, -math.inf)


def _check_shapes(query, key, value, key_padding_mask, attn_mask, heads: int) -> bool:
    """Return whether there is a batch; AssertionError, as in PyTorch, for dims that do not fit."""
    if query.ndim not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query tensor"
        )
    batched = query.ndim == 3
    kind = f"For {'batched (3-D)' if batched else 'unbatched (2-D)'} `query`, expected"
    if not key.ndim == value.ndim == query.ndim:
        raise AssertionError(
            f"{kind} `key` and `value` to be {query.ndim}-D but found {key.ndim}-D and {value.ndim}-D "
            "tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.ndim != query.ndim - 1:
        raise AssertionError(
            f"{kind} `key_padding_mask` to be `None` or {query.ndim - 1}-D but found "
            f"{key_padding_mask.ndim}-D tensor instead"
        )
    if attn_mask is not None and attn_mask.ndim not in (2, 3):
        raise AssertionError(
            f"{kind} `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.ndim}-D tensor instead"
        )
    if not batched and attn_mask is not None and attn_mask.ndim == 3:
        expected = (heads, query.shape[0], key.shape[0])
        if tuple(attn_mask.shape) != expected:
            raise AssertionError(
                f"Expected `attn_mask` shape to be {expected} but got {tuple(attn_mask.shape)}"
            )
    return batched


def _project_packed(query, key, value, weight, bias):
    """Return the three projections by one weight (3 * size, size): one product where the inputs are one."""
    size = query.shape[-1]
    if key is value and query is key:
        joint = linear(query, weight, bias)
        parts = joint.unflatten(-1, (3, size)).unsqueeze(0).transpose(0, -2).squeeze(-2)
        return parts[0], parts[1], parts[2]
    if key is value:
        of_q, of_kv = weight.split([size, 2 * size])
        bias_q, bias_kv = (None, None) if bias is None else bias.split([size, 2 * size])
        q, joint = linear(query, of_q, bias_q), linear(key, of_kv, bias_kv)
        parts = joint.unflatten(-1, (2, size)).unsqueeze(0).transpose(0, -2).squeeze(-2)
        return q, parts[0], parts[1]
    weights = weight.chunk(3)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    inputs = zip((query, key, value), weights, biases, strict=True)
    return tuple(linear(x, w, b) for x, w, b in inputs)


def _project_each(query, key, value, weights, bias):
    """Return the three projections by a weight each, (size, features of the input)."""
    size = query.shape[-1]
    for name, weight, x in zip("qkv", weights, (query, key, value), strict=True):
        if weight is None:
            raise AssertionError(f"use_separate_proj_weight is True but {name}_proj_weight is None")
        expected = (size, x.shape[-1])
        if tuple(weight.shape) != expected:
            raise AssertionError(
                f"expecting {name}_proj_weight of shape {expected}, but got {tuple(weight.shape)}"
            )
    biases = (None, None, None) if bias is None else bias.chunk(3)
    inputs = zip((query, key, value), weights, biases, strict=True)
    return tuple(linear(x, w, b) for x, w, b in inputs)


def _one_more_key(mask):
    """Return a mask with a column added, that hides nothing."""
    return None if mask is None else pad(mask, (0, 1))


def multi_head_attention_forward(
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training=True,
    key_padding_mask=None,
    need_weights=True,
    attn_mask=None,
    use_separate_proj_weight=False,
    q_proj_weight=None,
    k_proj_weight=None,
    v_proj_weight=None,
    static_k=None,
    static_v=None,
    average_attn_weights=True,
    is_causal=False,
):
    """Return attention of several heads (Vaswani et al. 2017), and its weights or None.

    query: (queries, batch, size), key, value: (keys, batch, features), or without the batch. in_proj_weight:
    (3 * size, size), or a weight for each input with `use_separate_proj_weight`; biases may be None.
    bias_k, bias_v: (1, 1, size), one more key and value; add_zero_attn: one more of zeros. key_padding_mask:
    (batch, keys), attn_mask: (queries, keys) or (batch * heads, queries, keys): bools that hide, or numbers
    to be added. static_k, static_v: (batch * heads, keys, size / heads) in place of the projections.
    is_causal: a hint that attn_mask is causal. weights: (batch, queries, keys), the heads' mean, or of each.
    """
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = _with_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, size = query.shape
    keys = key.shape[0]
    key_padding_mask = as_added_mask(
        key_padding_mask, "key_padding_mask", query.dtype, attn_mask, "attn_mask"
    )
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None
    else:
        attn_mask = as_added_mask(attn_mask, "attn_mask", query.dtype)
        is_causal = is_causal and key_padding_mask is None
    if size != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {size}")
    head = size // num_heads
    if head * num_heads != size:
        raise AssertionError(f"embed_dim {size} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {tuple(key.shape[:2])} do not match value's "
                f"{tuple(value.shape[:2])}"
            )
        separate = {
            "q_proj_weight": q_proj_weight,
            "k_proj_weight": k_proj_weight,
            "v_proj_weight": v_proj_weight,
        }
        for name, weight in separate.items():
            if weight is None:
                raise AssertionError(f"use_separate_proj_weight is True but {name} is None")
        q, k, v = _project_each(query, key, value, tuple(separate.values()), in_proj_bias)
    else:
        if key.shape != value.shape:
            raise AssertionError(
                f"key shape {tuple(key.shape)} does not match value shape {tuple(value.shape)}"
            )
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = _project_packed(query, key, value, in_proj_weight, in_proj_bias)
    attn_mask = _check_mask(attn_mask, batch * num_heads, length, keys)
    if (bias_k is None) != (bias_v is None):
        raise AssertionError("bias_k and bias_v must both be given, or be None both")
    if bias_k is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key or value.")
        k, v = cat([k, bias_k.repeat(1, batch, 1)]), cat([v, bias_v.repeat(1, batch, 1)])
        attn_mask, key_padding_mask = _one_more_key(attn_mask), _one_more_key(key_padding_mask)
    q = q.reshape(length, batch * num_heads, head).transpose(0, 1)
    k, v = (
        _by_head(x, given, name, batch * num_heads, head)
        for x, given, name in ((k, static_k, "static_k"), (v, static_v, "static_v"))
    )
    if add_zero_attn:
        k, v = (cat([x, x.new_zeros((batch * num_heads, 1, head))], 1) for x in (k, v))
        attn_mask, key_padding_mask = _one_more_key(attn_mask), _one_more_key(key_padding_mask)
    keys = k.shape[1]
    if key_padding_mask is not None:
        if tuple(key_padding_mask.shape) != (batch, keys):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(batch, keys)}, but got "
                f"{tuple(key_padding_mask.shape)}"
            )
        of_keys = key_padding_mask.view(batch, 1, 1, keys).expand(-1, num_heads, -1, -1)
        of_keys = of_keys.reshape(batch * num_heads, 1, keys)
        attn_mask = of_keys if attn_mask is None else attn_mask + of_keys
    dropout_p = dropout_p if training else 0.0
    if not need_weights:
        if attn_mask is not None:
            one = attn_mask.shape[0] == 1
            attn_mask = attn_mask.unsqueeze(0) if one else attn_mask.view(batch, num_heads, -1, keys)
        q, k, v = (x.view(batch, num_heads, -1, head) for x in (q, k, v))
        out = scaled_dot_product_attention(q, k, v, attn_mask, dropout_p, is_causal)
        out = out.permute(2, 0, 1, 3).reshape(length * batch, size)
        out = linear(out, out_proj_weight, out_proj_bias).view(length, batch, size)
        return (out if batched else out.squeeze(1)), None
    scores = bmm(q * math.sqrt(1.0 / head), k.transpose(-2, -1))
    weights = softmax(scores if attn_mask is None else attn_mask + scores, -1)
    weights = dropout(weights, dropout_p)
    out = bmm(weights, v).transpose(0, 1).reshape(length * batch, size)
    out = linear(out, out_proj_weight, out_proj_bias).view(length, batch, size)
    weights = weights.view(batch, num_heads, length, keys)
    if average_attn_weights:
        weights = weights.mean(1)
    return (out, weights) if batched else (out.squeeze(1), weights.squeeze(0))


def _with_batch(query, key, value):
    """Return the three with a batch dim; what was one tensor stays one."""
    q = query.unsqueeze(1)
    k = q if key is query else key.unsqueeze(1)
    return q, k, k if value is key else value.unsqueeze(1)


def _by_head(x, given, name: str, rows: int, head: int):
    """Return keys or values (keys, batch, size) as (batch * heads, keys, size of a head), or those given."""
    if given is None:
        return x.reshape(x.shape[0], rows, head).transpose(0, 1)
    if given.shape[0] != rows or given.shape[2] != head:
        raise AssertionError(
            f"expecting {name} of shape ({rows}, keys, {head}), but got {tuple(given.shape)}"
        )
    return given


def _check_mask(mask, rows: int, length: int, keys: int):
    """Return a mask with 3 dims; RuntimeError if it is not of the scores' shape."""
    if mask is None:
        return None
    expected = (length, keys) if mask.ndim == 2 else (rows, length, keys)
    if tuple(mask.shape) != expected:
        raise RuntimeError(
            f"The shape of the {mask.ndim}D attn_mask is {tuple(mask.shape)}, but should be {expected}."
        )
    return mask.unsqueeze(0) if mask.ndim == 2 else mask
