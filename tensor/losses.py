"""Losses of numbers, probabilities and distributions; those of margins are in `margin_losses`."""

import math
import warnings

from tensor import activations, creation
from tensor import softmax as softmaxes
from tensor.autograd import Operation
from tensor.operands import common_dtype


def find_reduction(size_average, reduce, reduction: str) -> str:
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


def reduce_losses(losses, reduction: str):
    """Return the losses, their mean or their sum."""
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def named(out, name: str, *inputs, overload: int = 0):
    """Return `out`, which says that it comes at once from `inputs`, by the operation that PyTorch has."""
    if out.grad_fn is not None:
        out.grad_fn.printed_name, out.grad_fn.overload = name, overload
        if inputs:
            out.grad_fn.shown_edges = [(t.grad_fn or t) if t.requires_grad else None for t in inputs]
    return out


# --- classes -----------------------------------------------------------------------------------------------


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
        reduction = find_reduction(size_average, reduce, reduction)
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
    reduction = find_reduction(size_average, reduce, reduction)
    return softmaxes.nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)


# --- numbers -----------------------------------------------------------------------------------------------


def _warn_of_sizes(input, target) -> None:
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )


def _weighted(losses, input, weight, reduction: str):
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    losses = losses * weight
    return losses.sum() / weight.sum() if reduction == "mean" else reduce_losses(losses, reduction)


class _Loss(Operation):
    """A loss point by point, and its mean or sum, in one operation.

    Subclasses define `losses`, and beside it the slopes: their derivatives in input and target.
    """

    broadcasts = True

    def forward(self, k, x, y, reduction, **settings):
        self.saved, self.shapes, self.settings = (x, y), (x.shape, y.shape), settings
        losses = self.losses(k, x, y, **settings)
        self.share = 1 / losses.size if reduction == "mean" and losses.size else 1.0
        if reduction == "none":
            return losses
        total = k.sum(losses, tuple(range(losses.ndim)))
        if reduction == "sum":
            return total
        return k.forward("div", total, k.full((), float(losses.size), total.dtype))

    def backward(self, k, grad):
        if self.share != 1:
            grad = k.forward("mul", grad, k.full((), self.share, grad.dtype))
        flows = [None, None]
        for i, slope in enumerate((self.slope_in_input, self.slope_in_target)):
            if self.needs[i]:
                flow = k.forward("mul", slope(k, *self.saved, **self.settings), grad)
                flows[i] = k.sum_to(flow, self.shapes[i])
        return tuple(flows)


class MseLoss(_Loss):
    """Squared errors."""

    gradients_in_words = ("grad * 2 * ({0} - {1}), by the count for a mean", "the same, negated")

    @staticmethod
    def losses(k, x, y):
        errors = k.forward("sub", x, y)
        return k.forward("mul", errors, errors)

    @staticmethod
    def slope_in_input(k, x, y):
        errors = k.forward("sub", x, y)
        return k.forward("add", errors, errors)

    @staticmethod
    def slope_in_target(k, x, y):
        return MseLoss.slope_in_input(k, y, x)


class HuberLoss(_Loss):
    """With z the error limited to [-delta, delta]: scale * z * (error - z / 2), whose slope is scale * z."""

    gradients_in_words = ("grad * clamp({0} - {1}), by the count for a mean", "the same, negated")

    @staticmethod
    def losses(k, x, y, delta, scale):
        errors = k.forward("sub", x, y)
        near = k.forward("clamp", errors, -delta, delta)
        half = k.forward("mul", near, k.full((), 0.5, near.dtype))
        losses = k.forward("mul", near, k.forward("sub", errors, half))
        return losses if scale == 1 else k.forward("mul", losses, k.full((), scale, near.dtype))

    @staticmethod
    def slope_in_input(k, x, y, delta, scale):
        near = k.forward("clamp", k.forward("sub", x, y), -delta, delta)
        return near if scale == 1 else k.forward("mul", near, k.full((), scale, near.dtype))

    @staticmethod
    def slope_in_target(k, x, y, delta, scale):
        return HuberLoss.slope_in_input(k, y, x, delta, scale)


class SmoothL1Loss(HuberLoss):
    """Huber's loss over its limit."""


def _in_one(operation, input, target, reduction, **settings):
    """Apply a loss of points to operands of one float type."""
    joint = common_dtype((input, target))
    if not joint.is_floating_point:
        raise NotImplementedError(f"{operation.__name__}: expected floats, got {joint!r}; use .float()")
    try:
        return operation.apply(input.to(joint), target.to(joint), reduction=reduction, **settings)
    except ValueError:
        input - target  # which says how the shapes differ
        raise


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Return (input - target) ** 2, its mean or sum; weighted by `weight`, of the input's shape."""
    _warn_of_sizes(input, target)
    reduction = find_reduction(size_average, reduce, reduction)
    if weight is not None:
        return _weighted(_in_one(MseLoss, input, target, "none"), input, weight, reduction)
    return _in_one(MseLoss, input, target, reduction)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Return |input - target|, its mean or sum; weighted by `weight`, of the input's shape."""
    _warn_of_sizes(input, target)
    reduction = find_reduction(size_average, reduce, reduction)
    losses = (input - target).abs()
    if weight is not None:
        return _weighted(losses, input, weight, reduction)
    return reduce_losses(losses, reduction)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """Return a squared error below `beta`, over 2 * beta, and a linear one above (Girshick 2015)."""
    _warn_of_sizes(input, target)
    reduction = find_reduction(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    if beta == 0:
        return reduce_losses((input - target).abs(), reduction)
    return _in_one(SmoothL1Loss, input, target, reduction, delta=float(beta), scale=1 / beta)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """Return half the squared error up to `delta`, delta times a linear one above (Huber 1964)."""
    _warn_of_sizes(input, target)
    reduction = find_reduction(None, None, reduction)
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta, got {delta}")
    settings = {"delta": float(delta), "scale": 1}
    if weight is not None:
        losses = _in_one(HuberLoss, input, target, "none", **settings)
        return _weighted(losses, input, weight, reduction)
    return _in_one(HuberLoss, input, target, reduction, **settings)


def poisson_nll_loss(
    input,
    target,
    log_input=True,
    full=False,
    size_average=None,
    eps=1e-8,
    reduce=None,
    reduction="mean",
):
    """Return the negative log-likelihood of counts `target` under a Poisson distribution.

    input: the logarithm of its mean, or with log_input=False the mean. full: with Stirling's term for the
    factorial of targets above 1.
    """
    reduction = find_reduction(size_average, reduce, reduction)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        losses = losses + stirling.masked_fill(target <= 1, 0.0)
    return reduce_losses(losses, reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """Return the negative log-likelihood of `target` under normal distributions (Nix and Weigend 1994).

    input: means; var: variances of the input's shape, without its last dim, or with 1 for it, or a number.
    Variances below eps count as eps. full: with the constant term.
    """
    if not hasattr(var, "_array"):
        var = creation.full(input.shape, var, dtype=input.dtype)
    elif var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (input.ndim == var.ndim and input.shape[:-1] == var.shape[:-1] and var.shape[-1] == 1):
            raise ValueError(f"var is of incorrect size: {tuple(var.shape)} for {tuple(input.shape)}")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    if (var.detach() < 0).any():
        raise ValueError("var has negative entry/entries")
    var = var + (var.detach().clamp(min=eps) - var.detach())  # the gradient passes the limit, as in PyTorch
    losses = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduce_losses(losses, reduction)


# --- probabilities -----------------------------------------------------------------------------------------


class BinaryCrossEntropy(_Loss):
    """-(y * log(x) + (1 - y) * log(1 - x)); as in PyTorch the logarithms stop at -100.

    The slope is written out: that of log at 0, where the limit holds, would be 0 / 0.
    """

    gradients_in_words = (
        "grad * ({0} - {1}) / ({0} * (1 - {0})), by the count for a mean",
        "grad * log((1 - {0}) / {0}), by the count for a mean",
    )

    @staticmethod
    def losses(k, x, y):
        one = k.full((), 1.0, x.dtype)
        log_yes = k.forward("clamp", k.forward("log", x), -100.0, math.inf)
        log_no = k.forward("clamp", k.forward("log1p", k.forward("neg", x)), -100.0, math.inf)
        no = k.forward("mul", k.forward("sub", y, one), log_no)
        return k.forward("sub", no, k.forward("mul", y, log_yes))

    @staticmethod
    def slope_in_input(k, x, y):
        one = k.full((), 1.0, x.dtype)
        spread = k.forward("clamp", k.forward("mul", k.forward("sub", one, x), x), 1e-12, math.inf)
        return k.forward("div", k.forward("sub", x, y), spread)

    @staticmethod
    def slope_in_target(k, x, y):
        return k.forward("sub", k.forward("log1p", k.forward("neg", x)), k.forward("log", x))


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Return -(target * log(input) + (1 - target) * log(1 - input)), times `weight` if given.

    input: probabilities of any shape; target: the same shape, in [0, 1].
    """
    reduction = find_reduction(size_average, reduce, reduction)
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
        hint = "; for logits use binary_cross_entropy_with_logits" if name == "input" else ""
        told = f"all elements of {name} should be between 0 and 1{hint}"
        values._kernels.check_between(values._array, 0.0, 1.0, RuntimeError, told)
    if weight is None:
        return BinaryCrossEntropy.apply(input, target, reduction=reduction)
    losses = BinaryCrossEntropy.apply(input, target, reduction="none") * weight
    return named(reduce_losses(losses, reduction), "BinaryCrossEntropy", input, target)


class BinaryCrossEntropyWithLogits(_Loss):
    """(1 - y) * x - log(sigmoid(x)), whose slope in x is sigmoid(x) - y."""

    gradients_in_words = (
        "grad * (sigmoid({0}) - {1}), by the count for a mean",
        "-grad * {0}, by the count for a mean",
    )

    @staticmethod
    def losses(k, x, y):
        no = k.forward("mul", k.forward("sub", k.full((), 1.0, x.dtype), y), x)
        return k.forward("sub", no, k.forward("logsigmoid", x))

    @staticmethod
    def slope_in_input(k, x, y):
        return k.forward("sub", k.forward("sigmoid", x), y)

    @staticmethod
    def slope_in_target(k, x, y):
        return k.forward("neg", x)


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """Return the binary cross-entropy of sigmoid(input), without overflow, times `weight` if given.

    input: logits of any shape; target: the same shape, in [0, 1]; pos_weight, broadcast, scales the losses of
    positive examples.
    """
    reduction = find_reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    if not target.dtype.is_floating_point:
        raise RuntimeError(
            f"binary_cross_entropy_with_logits: expected a target of {input.dtype!r}, got {target.dtype!r}: "
            "result type Float can't be cast to it; use target.float()"
        )
    if pos_weight is None and weight is None:
        return _in_one(BinaryCrossEntropyWithLogits, input, target, reduction)
    surprise = -activations.logsigmoid(input)  # -log(sigmoid(input))
    if pos_weight is not None:
        surprise = ((pos_weight - 1) * target + 1) * surprise
    losses = (1 - target) * input + surprise
    losses = losses if weight is None else losses * weight
    return named(reduce_losses(losses, reduction), "BinaryCrossEntropyWithLogits", input, target)


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """Return target * (log(target) - input), the divergence of Kullback and Leibler point by point.

    input: log-probabilities; target: probabilities, or with log_target=True their logarithms. reduction:
    "batchmean" divides the sum by the size of dim 0, which makes it the divergence; "mean" does not.
    """
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    batchmean = reduction == "batchmean" and size_average is None and reduce is None
    reduction = "sum" if batchmean else find_reduction(size_average, reduce, reduction)
    losses = target.exp() * (target - input) if log_target else target.xlogy(target) - target * input
    out = reduce_losses(losses, reduction)
    return out / input.shape[0] if batchmean and input.ndim else out


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """Return log(1 + exp(-target * input)). target: 1 or -1, of the input's shape."""
    reduction = find_reduction(size_average, reduce, reduction)
    return named(reduce_losses((-target * input).exp().log1p(), reduction), "SoftMarginLoss", input)


def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Return the binary cross-entropy of logits, its mean over the classes, the last dim."""
    reduction = find_reduction(size_average, reduce, reduction)
    losses = -(target * activations.logsigmoid(input) + (1 - target) * activations.logsigmoid(-input))
    losses = losses if weight is None else losses * weight
    return reduce_losses(losses.sum(input.ndim - 1) / input.shape[input.ndim - 1], reduction)
