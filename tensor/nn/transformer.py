"""Transformers (Vaswani et al. 2017): encoder, decoder and both together, of PyTorch's layers."""

import copy
import math
import warnings

from tensor import autograd, creation
from tensor.multi_head import as_added_mask
from tensor.nn import functional as F
from tensor.nn import init
from tensor.nn.activation import GELU, ReLU
from tensor.nn.attention import MultiheadAttention
from tensor.nn.container import ModuleList
from tensor.nn.dropout import Dropout
from tensor.nn.linear import Linear
from tensor.nn.module import Module
from tensor.nn.norm import LayerNorm


def _causal_mask(size: int, device=None, dtype=None):
    return creation.full((size, size), -math.inf, device=device, dtype=dtype).triu(1)


def _find_activation(activation):
    """Return the function named "relu" or "gelu", or what was given."""
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return F.relu if activation == "relu" else F.gelu


def _is_causal(mask, is_causal, length: int) -> bool:
    """Return what the caller says of `mask`, or else whether it is the causal one."""
    if is_causal is not None or mask is None:
        return bool(is_causal)
    wanted = _causal_mask(length, mask.device, mask.dtype)
    return mask.shape == wanted.shape and bool((mask == wanted).all())


def _length(x, batch_first: bool) -> int:
    return x.shape[0] if x.ndim == 2 else x.shape[1 if batch_first else 0]


class _Layer(Module):
    """What the layers of encoder and decoder share: self-attention, a network of two layers, two norms."""

    def _set_up(self, d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, options):
        batch_first, norm_first, bias, factory, crosses = options

        def attention():
            return MultiheadAttention(
                d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, **factory
            )

        self.self_attn = attention()
        if crosses:
            self.multihead_attn = attention()
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **factory)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **factory)
        self.norm_first = norm_first
        count = 3 if crosses else 2
        for n in range(1, count + 1):
            setattr(self, f"norm{n}", LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory))
        for n in range(1, count + 1):
            setattr(self, f"dropout{n}", Dropout(dropout))
        activation = _find_activation(activation)
        relu, gelu = activation is F.relu, activation is F.gelu
        self.activation_relu_or_gelu = (
            1 if relu or isinstance(activation, ReLU) else 2 if gelu or isinstance(activation, GELU) else 0
        )
        self.activation = activation

    def _sa_block(self, x, attn_mask, key_padding_mask, is_causal=False):
        out, _ = self.self_attn(
            x,
            x,
            x,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            need_weights=False,
            is_causal=is_causal,
        )
        return self.dropout1(out)

    def _feed_forward(self, x):
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention and a network of two layers, each with a residual connection and a layer norm.

    d_model: features, nhead: heads, dim_feedforward: of the layer between. activation: "relu", "gelu" or a
    function of a tensor. norm_first: the norms come before attention and network, not after the sums.
    """

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        options = batch_first, norm_first, bias, {"device": device, "dtype": dtype}, False
        self._set_up(d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, options)

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        """Return a tensor of the shape of src: (length, batch, d_model), or the batch first, or none.

        Masks and is_causal as for `MultiheadAttention`.
        """
        src_key_padding_mask = as_added_mask(
            src_key_padding_mask, "src_key_padding_mask", src.dtype, src_mask, "src_mask"
        )
        src_mask = as_added_mask(src_mask, "src_mask", src.dtype)
        attention = {"attn_mask": src_mask, "key_padding_mask": src_key_padding_mask, "is_causal": is_causal}
        x = src
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), **attention)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(x + self._sa_block(x, **attention))
        return self.norm2(x + self._ff_block(x))

    def _ff_block(self, x):
        return self.dropout2(self._feed_forward(x))


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to `memory` and a network of two layers, each with a sum and a layer norm.

    Arguments as for `TransformerEncoderLayer`.
    """

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        options = batch_first, norm_first, bias, {"device": device, "dtype": dtype}, True
        self._set_up(d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, options)

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=False,
        memory_is_causal=False,
    ):
        """Return a tensor of the shape of tgt; memory: what an encoder gave. Masks as for attention."""
        own = tgt_mask, tgt_key_padding_mask, tgt_is_causal
        other = memory_mask, memory_key_padding_mask, memory_is_causal
        x = tgt
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), *own)
            x = x + self._mha_block(self.norm2(x), memory, *other)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(x + self._sa_block(x, *own))
        x = self.norm2(x + self._mha_block(x, memory, *other))
        return self.norm3(x + self._ff_block(x))

    def _mha_block(self, x, memory, attn_mask, key_padding_mask, is_causal=False):
        out, _ = self.multihead_attn(
            x,
            memory,
            memory,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
            need_weights=False,
        )
        return self.dropout2(out)

    def _ff_block(self, x):
        return self.dropout3(self._feed_forward(x))


def _copies(layer, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


class TransformerEncoder(Module):
    """A stack of `num_layers` copies of an encoder layer, and a norm at the end unless None.

    enable_nested_tensor: with a padding mask, in evaluation without gradients, PyTorch leaves padded
    positions out and gives 0 there; so does this. mask_check: only if the padding is at the sequences' ends.
    """

    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True):
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check
        reason = self._why_padding_stays(encoder_layer)
        if enable_nested_tensor and reason:
            warnings.warn(
                f"enable_nested_tensor is True, but self.use_nested_tensor is False because {reason}",
                stacklevel=2,
            )
        self.use_nested_tensor = enable_nested_tensor and not reason

    @staticmethod
    def _why_padding_stays(layer) -> str:
        name = "encoder_layer"
        if not isinstance(layer, TransformerEncoderLayer):
            return f"{name} was not TransformerEncoderLayer"
        attention = layer.self_attn
        for holds, reason in (
            (layer.norm_first, ".norm_first was True"),
            (
                not attention.batch_first,
                ".self_attn.batch_first was not True(use batch_first for better inference performance)",
            ),
            (not attention._qkv_same_embed_dim, ".self_attn._qkv_same_embed_dim was not True"),
            (attention.in_proj_bias is None, ".self_attn was passed bias=False"),
            (not layer.activation_relu_or_gelu, ".activation_relu_or_gelu was not True"),
            (layer.norm1.eps != layer.norm2.eps, f".norm1.eps was not equal to {name}.norm2.eps"),
            (attention.num_heads % 2 == 1, ".self_attn.num_heads is odd"),
        ):
            if holds:
                return name + reason
        return ""

    def _leaves_padding_out(self, src, mask, padding) -> bool:
        first = self.layers[0]
        if (
            not self.use_nested_tensor
            or first.training
            or src.ndim != 3
            or padding is None
            or mask is not None
        ):
            return False
        if autograd.is_grad_enabled() and any(t.requires_grad for t in (src, *first.parameters())):
            return False
        hidden = padding != 0
        return not self.mask_check or not (hidden[:, :-1] & ~hidden[:, 1:]).any()

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
        """Return src after all layers. mask, src_key_padding_mask: as for a layer.

        is_causal: a hint that mask is causal; None looks whether it is.
        """
        padding = as_added_mask(src_key_padding_mask, "src_key_padding_mask", src.dtype, mask, "mask")
        mask = as_added_mask(mask, "mask", src.dtype)
        causal = _is_causal(mask, is_causal, _length(src, self.layers[0].self_attn.batch_first))
        output = src
        for layer in self.layers:
            output = layer(output, src_mask=mask, is_causal=causal, src_key_padding_mask=padding)
        if self._leaves_padding_out(src, mask, padding):
            output = output.masked_fill((padding != 0).unsqueeze(-1), 0.0)
        return output if self.norm is None else self.norm(output)


class TransformerDecoder(Module):
    """A stack of `num_layers` copies of a decoder layer, and a norm at the end unless None."""

    def __init__(self, decoder_layer, num_layers, norm=None):
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=None,
        memory_is_causal=False,
    ):
        """Return tgt after all layers; arguments as for a layer; tgt_is_causal: None looks at tgt_mask."""
        causal = _is_causal(tgt_mask, tgt_is_causal, _length(tgt, self.layers[0].self_attn.batch_first))
        output = tgt
        for layer in self.layers:
            output = layer(
                output,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return output if self.norm is None else self.norm(output)


class Transformer(Module):
    """An encoder and a decoder, each with a norm at the end; their matrices start by Xavier.

    custom_encoder, custom_decoder: in place of those made here.
    """

    def __init__(
        self,
        d_model=512,
        nhead=8,
        num_encoder_layers=6,
        num_decoder_layers=6,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        custom_encoder=None,
        custom_decoder=None,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        layer = d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first
        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            encoder_layer = TransformerEncoderLayer(*layer, bias, **factory)
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
            self.encoder = TransformerEncoder(encoder_layer, num_encoder_layers, norm)
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            decoder_layer = TransformerDecoderLayer(*layer, bias, **factory)
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
            self.decoder = TransformerDecoder(decoder_layer, num_decoder_layers, norm)
        self._reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src,
        tgt,
        src_mask=None,
        tgt_mask=None,
        memory_mask=None,
        src_key_padding_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        src_is_causal=None,
        tgt_is_causal=None,
        memory_is_causal=False,
    ):
        """Return the decoder's output for tgt, given the encoder's of src.

        src: (source length, batch, d_model), tgt: (target length, batch, d_model); the batch comes first with
        batch_first, or is left out. Masks as for the layers.
        """
        batched = src.ndim == 3
        batch_dim = 0 if self.batch_first else 1
        if batched and src.shape[batch_dim] != tgt.shape[batch_dim]:
            raise RuntimeError(
                f"the batch number of src and tgt must be equal, got {tuple(src.shape)} and "
                f"{tuple(tgt.shape)}"
            )
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError(
                f"the feature number of src and tgt must be equal to d_model, {self.d_model}, got "
                f"{src.shape[-1]} and {tgt.shape[-1]}"
            )
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz, device=None, dtype=None):
        """Return (sz, sz) of 0, and -inf above the diagonal: position i sees 0 to i."""
        return _causal_mask(sz, device, dtype)

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)
