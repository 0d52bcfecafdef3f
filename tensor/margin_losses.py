"""Losses of margins and distances, and the distances themselves."""

from tensor import dtypes
from tensor.compare import eq
from tensor.elementwise import minimum, where
from tensor.losses import find_reduction, named, reduce_losses


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """Return the cosine of the angle between x1 and x2, which broadcast; norms are at least eps."""
    if not (x1.dtype.is_floating_point and x2.dtype.is_floating_point):
        raise RuntimeError(
            f"cosine_similarity: expected floating point tensors, got {x1.dtype!r} and {x2.dtype!r}"
        )
    ndim = max(x1.ndim, x2.ndim)
    dim = dim - ndim if dim >= 0 else dim  # counted from the end, it is the same of both
    x1, x2 = (x if x.ndim == ndim else x.reshape(*(1,) * (ndim - x.ndim), *x.shape) for x in (x1, x2))

    def unit(x):
        norm = x.norm(2, dim, keepdim=True)
        return x / (norm + (norm.detach().clamp(min=eps) - norm.detach()))

    return (unit(x1) * unit(x2)).sum(dim)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """Return the p-norm of x1 - x2 + eps along the last dim."""
    return named((x1 - x2 + eps).norm(p, -1, keepdim), "Norm", overload=1)


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """Return input over its p-norm along `dim`, or over eps if that is larger."""
    result = input / input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return result if out is None else out.copy_(result)


def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """Return input where target is 1, and max(0, margin - input) where it is -1."""
    reduction = find_reduction(size_average, reduce, reduction)
    far = (margin - input).clamp_min(0.0).masked_fill(target == 1, 0.0)
    return reduce_losses(far + input.masked_fill(target == -1, 0.0), reduction)


def margin_ranking_loss(input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"):
    """Return max(0, -target * (input1 - input2) + margin). target: 1 if input1 should be larger, else -1."""
    reduction = find_reduction(size_average, reduce, reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
            f"{tuple(input1.shape)}, input2: {tuple(input2.shape)}, target: {tuple(target.shape)} "
        )
    return reduce_losses((-target * (input1 - input2) + margin).clamp_min(0.0), reduction)


_TINY = 1e-12  # added to the squared norms of a cosine


def cosine_embedding_loss(
    input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"
):
    """Return 1 - cos where target is 1, and max(0, cos - margin) where it is -1.

    input1, input2: (batch, size) and target (batch,), or (size,) and ().
    """
    reduction = find_reduction(size_average, reduce, reduction)
    if target.ndim not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if not input1.ndim == input2.ndim == target.ndim + 1:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with "
            f"sizes {tuple(input1.shape)} and {tuple(input2.shape)}."
        )
    squares = ((input1 * input1).sum(-1) + _TINY) * ((input2 * input2).sum(-1) + _TINY)
    cosine = (input1 * input2).sum(-1) / squares.sqrt()
    zero = cosine.new_zeros(())
    near = where(target == 1, 1.0 - cosine, zero)
    far = where(target == -1, (cosine - margin).clamp_min(0.0), zero)
    return reduce_losses(near + far, reduction)


def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin=1.0,
    p=2,
    eps=1e-6,
    swap=False,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """Return max(0, distance to positive - distance to negative + margin), of p-norms along the last dim.

    swap: the distance between positive and negative counts if it is the smaller (Balntas et al. 2016).
    """
    reduction = find_reduction(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")

    def distance(a, b):
        return pairwise_distance(a, b, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """Return the triplet loss of any distance: pairwise_distance if None."""
    reduction = find_reduction(None, None, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, "
            f"but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(anchor, positive, negative, distance, margin, swap, reduction):
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduce_losses((margin + near - far).clamp_min(0.0), reduction)


def multi_margin_loss(
    input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """Return the mean over the classes of max(0, margin - input[target] + input) ** p, 0 for the target.

    input: (batch, classes) or (classes,); target: (batch,) or () int64; weight: (classes,), by the target.
    """
    reduction = find_reduction(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    rows = input if input.ndim == 2 else input.unsqueeze(0)
    labels = target.reshape(-1)
    if input.ndim not in (1, 2) or labels.numel() != rows.shape[0] or target.ndim > 1:
        raise RuntimeError(
            f"multi_margin_loss: inconsistent target size, expected {rows.shape[:1]}, got "
            f"{tuple(target.shape)}"
        )
    classes = rows.shape[1]
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        raise IndexError(f"multi_margin_loss: target out of range for {classes} classes")
    chosen = labels.unsqueeze(1)
    below = (margin - rows.gather(1, chosen) + rows).clamp_min(0.0)
    below = below if p == 1 else below * below
    below = below if weight is None else below * weight[labels].unsqueeze(1)
    losses = below.scatter(1, chosen, 0.0).sum(1) / classes
    losses = losses if target.ndim else losses.squeeze(0)
    return named(reduce_losses(losses, reduction), "MultiMarginLoss", input)


def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """Return the sum of max(0, 1 - input[label] + input[other]) over labels and others, over the classes.

    input: (batch, classes) or (classes,); target: of that shape, int64: the labels, then -1.
    """
    reduction = find_reduction(size_average, reduce, reduction)
    if input.shape != target.shape or input.ndim > 2:
        raise RuntimeError(
            f"multilabel_margin_loss: inconsistent target size: {tuple(target.shape)} for input of size: "
            f"{tuple(input.shape)}"
        )
    rows, labels = (t.reshape(1, -1) if t.ndim < 2 else t for t in (input, target))
    classes = rows.shape[1]
    counts = eq((labels < 0).long().cumsum(1), 0)  # what stands before the first -1
    if (counts & (labels >= classes)).any():
        raise RuntimeError(f"multilabel_margin_loss: target out of range for {classes} classes")
    used = labels.masked_fill(counts.logical_not(), 0)
    is_label = counts.new_zeros(rows.shape, dtype=dtypes.int64).scatter_add(1, used, counts.long()) > 0
    below = (1.0 - rows.gather(1, used).unsqueeze(2) + rows.unsqueeze(1)).clamp_min(0.0)
    pairs = counts.unsqueeze(2) & is_label.logical_not().unsqueeze(1)
    losses = below.masked_fill(pairs.logical_not(), 0.0).sum((1, 2)) / classes
    losses = losses if input.ndim == 2 else losses.squeeze(0)
    return named(reduce_losses(losses, reduction), "MultilabelMarginLoss", input)


def ctc_loss(*args, **kwargs):
    """Raise NotImplementedError: connectionist temporal classification is not here."""
    raise NotImplementedError(
        "ctc_loss is not supported; the nearest that exists: cross_entropy on targets aligned with the inputs"
    )
