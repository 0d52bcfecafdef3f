"""Layers, activations and losses as functions: `import tensor.nn.functional as F`."""

import math
import warnings

from tensor import activations, creation, dtypes, products
from tensor import softmax as softmaxes
from tensor.attention import scaled_dot_product_attention
from tensor.autograd import Operation
from tensor.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from tensor.dropout import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from tensor.embedding import embedding
from tensor.fold import fold, unfold
from tensor.multi_head import multi_head_attention_forward
from tensor.nn.activations import (
    celu,
    celu_,
    elu,
    elu_,
    gelu,
    glu,
    gumbel_softmax,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    hardtanh_,
    leaky_relu,
    leaky_relu_,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    relu_,
    rrelu,
    rrelu_,
    selu,
    selu_,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
    threshold_,
)
from tensor.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from tensor.pad import pad
from tensor.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
)

linear = products.linear


def one_hot(tensor, num_classes=-1):
    """Return (*, num_classes) int64 with a 1 at each class position. tensor: (*) int64."""
    if tensor.dtype is not dtypes.int64:
        raise RuntimeError(
            "one_hot is only applicable to index tensor of type LongTensor, "
            f"got {tensor.dtype!r}; use .long()"
        )
    if not tensor.numel():
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return creation.zeros((*tensor.shape, num_classes), dtype=dtypes.int64)
    if tensor.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(tensor.max())
    if num_classes == -1:
        num_classes = largest + 1
    elif num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    elif largest >= num_classes:
        raise RuntimeError(f"Class values must be smaller than num_classes, got {largest} of {num_classes}.")
    return (tensor.unsqueeze(-1) == creation.arange(num_classes)).long()


# --- losses ----------------------------------------------------------------------------------------------


def _reduction(size_average, reduce, reduction: str) -> str:
    """Return the reduction asked for, by its name or by the two flags of early PyTorch."""
    if size_average is not None or reduce is not None:
        mean, reduced = (True if flag is None else flag for flag in (size_average, reduce))
        reduction = "none" if not reduced else "mean" if mean else "sum"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=3,
        )
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction; use 'none', 'mean' or 'sum'")
    return reduction


def _reduce(losses, reduction: str):
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """Return the cross-entropy of logits against class positions or class probabilities.

    input: (classes,), (batch, classes) or (batch, classes, ...); target: int64 positions of the shape without
    classes, or probabilities of the input's shape. weight: (classes,) or None.
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction(size_average, reduce, reduction)
    return softmaxes.cross_entropy(
        input,
        target,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Return -input[target] of log-probabilities (batch, classes, ...); target: (batch, ...) int64."""
    reduction = _reduction(size_average, reduce, reduction)
    return softmaxes.nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)


def _warn_of_sizes(input, target) -> None:
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Return (input - target) ** 2, its mean or sum; weighted by `weight`, of the input's shape."""
    _warn_of_sizes(input, target)
    reduction = _reduction(size_average, reduce, reduction)
    difference = input - target
    losses = difference * difference
    if weight is None:
        return _reduce(losses, reduction)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    losses = losses * weight
    return losses.sum() / weight.sum() if reduction == "mean" else _reduce(losses, reduction)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Return |input - target|, its mean or sum; weighted by `weight`, of the input's shape."""
    _warn_of_sizes(input, target)
    reduction = _reduction(size_average, reduce, reduction)
    losses = (input - target).abs()
    if weight is None:
        return _reduce(losses, reduction)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    losses = losses * weight
    return losses.sum() / weight.sum() if reduction == "mean" else _reduce(losses, reduction)


class BinaryCrossEntropy(Operation):
    """-(y * log(x) + (1 - y) * log(1 - x)); as in PyTorch the logarithms stop at -100.

    The gradient is written out: that of log at 0, where the limit holds, would be 0 / 0.
    """

    def forward(self, k, x, y):
        self.saved = (x, y)
        one = k.full((), 1.0, x.dtype)
        log_yes = k.forward("clamp", k.forward("log", x), -100.0, math.inf)
        log_no = k.forward("clamp", k.forward("log1p", k.forward("neg", x)), -100.0, math.inf)
        no = k.forward("mul", k.forward("sub", y, one), log_no)
        return k.forward("sub", no, k.forward("mul", y, log_yes))

    def backward(self, k, grad):
        x, y = self.saved
        grad_x = grad_y = None
        if self.needs[0]:
            one = k.full((), 1.0, x.dtype)
            slope = k.forward("clamp", k.forward("mul", k.forward("sub", one, x), x), 1e-12, math.inf)
            grad_x = k.forward("div", k.forward("mul", grad, k.forward("sub", x, y)), slope)
        if self.needs[1]:
            log_yes, log_no = k.forward("log", x), k.forward("log1p", k.forward("neg", x))
            grad_y = k.forward("mul", grad, k.forward("sub", log_no, log_yes))
        return grad_x, grad_y


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Return -(target * log(input) + (1 - target) * log(1 - input)), times `weight` if given.

    input: probabilities of any shape; target: the same shape, in [0, 1].
    """
    reduction = _reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is "
            "deprecated. Please ensure they have the same size."
        )
    if input.dtype is not target.dtype:
        raise RuntimeError(
            f"binary_cross_entropy: expected operands of one dtype, got {input.dtype!r} and "
            f"{target.dtype!r}; convert one: target.to({input.dtype!r})"
        )
    for name, values in (("input", input), ("target", target)):
        inside = values.detach()
        if not ((inside >= 0) & (inside <= 1)).all():
            hint = "; for logits use binary_cross_entropy_with_logits" if name == "input" else ""
            raise RuntimeError(f"all elements of {name} should be between 0 and 1{hint}")
    losses = BinaryCrossEntropy.apply(input, target)
    return _reduce(losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """Return the binary cross-entropy of sigmoid(input), without overflow, times `weight` if given.

    input: logits of any shape; target: the same shape, in [0, 1]; pos_weight, broadcast, scales the losses of
    positive examples.
    """
    reduction = _reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    surprise = -activations.logsigmoid(input)  # -log(sigmoid(input))
    if pos_weight is not None:
        surprise = ((pos_weight - 1) * target + 1) * surprise
    losses = (1 - target) * input + surprise
    return _reduce(losses if weight is None else losses * weight, reduction)


__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices", "alpha_dropout", "avg_pool1d", "avg_pool2d",
    "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu", "celu_", "conv1d",
    "conv2d", "conv_transpose1d", "conv_transpose2d", "cross_entropy", "dropout", "dropout1d", "dropout2d",
    "dropout3d", "elu", "elu_", "embedding", "feature_alpha_dropout", "fold", "gelu", "glu", "group_norm",
    "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hardtanh_", "instance_norm",
    "l1_loss", "layer_norm", "leaky_relu", "leaky_relu_", "linear", "log_softmax", "logsigmoid",
    "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices", "mish", "mse_loss",
    "multi_head_attention_forward", "nll_loss", "one_hot", "pad", "prelu", "relu", "relu6", "relu_",
    "rms_norm", "rrelu", "rrelu_", "scaled_dot_product_attention", "selu", "selu_", "sigmoid", "silu",
    "softmax", "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
    "threshold_", "unfold",
]  # fmt: skip
