"""Attention of several heads as a module; the function is `functional.multi_head_attention_forward`."""

from tensor import creation
from tensor.multi_head import as_added_mask
from tensor.nn import functional as F
from tensor.nn import init
from tensor.nn.linear import Linear
from tensor.nn.module import Module
from tensor.nn.parameter import Parameter


class NonDynamicallyQuantizableLinear(Linear):
    """A `Linear`; PyTorch tells the output of attention from other layers by this name, which it prints."""


class MultiheadAttention(Module):
    """Attention of several heads (Vaswani et al. 2017).

    embed_dim: of the query and the output, split among `num_heads`. kdim, vdim: of key and value, embed_dim
    if None. bias: of the projections. add_bias_kv: learn one more key and value; add_zero_attn: add one of
    zeros. dropout: of the weights, in training. The weights start by Xavier, biases at 0, as in PyTorch.
    """

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        add_bias_kv=False,
        add_zero_attn=False,
        kdim=None,
        vdim=None,
        batch_first=False,
        device=None,
        dtype=None,
    ):
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        self.num_heads, self.dropout, self.batch_first = num_heads, dropout, batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError(
                f"embed_dim must be divisible by num_heads, got embed_dim={embed_dim} and "
                f"num_heads={num_heads}"
            )

        def parameter(*sizes):
            return Parameter(creation.empty(sizes, device=device, dtype=dtype))

        joint = ("in_proj_weight", (3 * embed_dim, embed_dim))
        separate = (
            ("q_proj_weight", (embed_dim, embed_dim)),
            ("k_proj_weight", (embed_dim, self.kdim)),
            ("v_proj_weight", (embed_dim, self.vdim)),
        )
        for name, sizes in (joint, *separate) if self._qkv_same_embed_dim else (*separate, joint):
            wanted = (name == "in_proj_weight") == self._qkv_same_embed_dim
            self.register_parameter(name, parameter(*sizes) if wanted else None)
        self.register_parameter("in_proj_bias", parameter(3 * embed_dim) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, device=device, dtype=dtype
        )
        self.bias_k = self.bias_v = None
        if add_bias_kv:
            self.bias_k, self.bias_v = parameter(1, 1, embed_dim), parameter(1, 1, embed_dim)
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        if self._qkv_same_embed_dim:
            init.xavier_uniform_(self.in_proj_weight)
        else:
            for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
    ):
        """Return (output, weights); weights is None unless `need_weights`.

        query: (queries, batch, embed_dim), key: (keys, batch, kdim), value: (keys, batch, vdim); with
        batch_first the batch comes first; or all three without a batch. key_padding_mask: (batch, keys),
        attn_mask: (queries, keys) or (batch * heads, queries, keys): bools that hide where they hold, or
        numbers to be added. output: as query; weights: (batch, queries, keys), the mean over the heads, or
        (batch, heads, queries, keys). is_causal: a hint that attn_mask, which is needed, is causal.
        """
        key_padding_mask = as_added_mask(
            key_padding_mask, "key_padding_mask", query.dtype, attn_mask, "attn_mask"
        )
        attn_mask = as_added_mask(attn_mask, "attn_mask", query.dtype)
        swap = self.batch_first and query.ndim == 3
        if swap:  # what was one tensor stays one: it is projected by one product
            first = query
            query = query.transpose(1, 0)
            same = key is value
            key = query if key is first else key.transpose(1, 0)
            value = key if same else query if value is first else value.transpose(1, 0)
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (output.transpose(1, 0) if swap else output), weights

    def merge_masks(self, attn_mask, key_padding_mask, query):
        """Return one mask (batch, heads, queries, keys) of both, or the one given, and which it is.

        The kind is 0 for an attention mask, 1 for one of padding, 2 for both, None for none.
        """
        if key_padding_mask is None:
            return attn_mask, (None if attn_mask is None else 0)
        if attn_mask is None:
            return key_padding_mask, 1
        batch, length = query.shape[:2]
        of_scores = (
            attn_mask.view(batch, -1, length, length)
            if attn_mask.ndim == 3
            else (attn_mask.view(1, 1, length, length).expand(batch, self.num_heads, -1, -1))
        )
        of_keys = key_padding_mask.view(batch, 1, 1, length).expand(-1, self.num_heads, -1, -1)
        return of_scores + of_keys, 2
