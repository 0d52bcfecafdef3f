"""Softmax, its logarithm, and the classification losses on them, fused and stable."""

from tensor import dtypes
from tensor.autograd import Operation, Step, with_history
from tensor.elementwise import where
from tensor.operands import along_dims, normalize_dim, require_tensor


class LogSoftmax(Operation):
    """x - log(sum(exp(x))) along a dim."""

    gradients_in_words = ("grad - softmax({0}) * sum(grad)",)

    def forward(self, k, x, dim):
        self.dim = dim
        self.result = out = k.log_softmax(x, dim)
        return out

    def backward(self, k, grad):
        return (k.log_softmax_dx(self.result, grad, self.dim),)


class Softmax(Operation):
    """exp(x) / sum(exp(x)) along a dim."""

    gradients_in_words = ("out * (grad - sum(grad * out))",)

    def forward(self, k, x, dim):
        self.dim = dim
        self.result = out = k.softmax(x, dim)
        return out

    def backward(self, k, grad):
        return (k.softmax_dx(self.result, grad, self.dim),)


class NllLoss(Operation):
    """-log_probs[target] of (rows, classes), weighted and reduced; rows of `ignore_index` do not count."""

    gradients_in_words = ("-grad * weight at the targets, else 0",)
    only_reads_gradient = True

    @property
    def shown_edges(self):
        return self.edges[:1]

    def forward(self, k, log_probs, target, **options):
        self.saved, self.options = (log_probs, target), options
        return k.nll(log_probs, target, **options)

    def backward(self, k, grad):
        return k.nll_dx(*self.saved, **self.options, grad=grad), None


class CrossEntropy(Operation):
    """log_softmax and nll in one pass each way; the gradient is softmax - one_hot, scaled."""

    name = "NllLoss"
    gradients_in_words = ("grad * (softmax({0}) - one_hot({1})), by the count for a mean",)
    only_reads_gradient = True

    @property
    def shown_edges(self):
        return (Step("LogSoftmax", self.edges[0]),)

    def forward(self, k, x, target, **options):
        out, log_probs = k.cross_entropy(x, target, **options)
        self.saved, self.options = (log_probs, target), options
        return out

    def backward(self, k, grad):
        return k.cross_entropy_dx(*self.saved, **self.options, grad=grad), None

    def remember(self, position, array, wrap):
        if position or not self.needs[0]:
            return super().remember(position, array, wrap)
        node = LogSoftmax()  # what was saved of the input are its log-probabilities
        node.dim, node.result = 1, array
        node.record_again(self.edges[:1], wrap(array))
        return with_history(array, node, node.versions[-1][1], wrap)


_POSITIONS = dtypes.int64._array


def _float(x, operation):
    if not x.dtype.is_floating_point:
        raise NotImplementedError(
            f"{operation}: expected a floating point tensor, got {x.dtype!r}; use x.float()"
        )
    return x


@along_dims
def log_softmax(input, dim, *, dtype=None):
    """Return log(softmax(input)) along `dim`, without overflow."""
    x = _float(input if dtype is None else input.to(dtype), "log_softmax")
    return LogSoftmax.apply(x, dim=normalize_dim(dim, x.ndim, "log_softmax"))


@along_dims
def softmax(input, dim, *, dtype=None):
    """Return exp(input) / sum(exp(input)) along `dim`, without overflow."""
    x = _float(input if dtype is None else input.to(dtype), "softmax")
    return Softmax.apply(x, dim=normalize_dim(dim, x.ndim, "softmax"))


def _loss_operands(name, input, target, weight):
    """Bring input to (rows, classes) and target to (rows,), checked but for the positions themselves."""
    x, labels = input._array, target._array
    plain = x.ndim == 2 and x.dtype.kind == "f" and weight is None and labels.dtype == _POSITIONS
    if plain and labels.shape == x.shape[:1]:  # what training does a million times: nothing to convert
        return input, target, labels.shape
    _float(input, name)
    if input.ndim == 0:
        raise RuntimeError(f"{name}: expected an input of shape (batch, classes), got a zero-dim tensor")
    class_dim = 0 if input.ndim == 1 else 1
    classes = input.shape[class_dim]
    expected = tuple(n for d, n in enumerate(input.shape) if d != class_dim)
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(
            f"{name}: expected target dtype to be int64 (Long), class positions, but got {target.dtype!r}; "
            "use target.long()"
        )
    if tuple(target.shape) != expected:
        if input.ndim == 2 and target.ndim > 1 and len(target) == len(input):
            raise RuntimeError(
                f"{name}: 0D or 1D target tensor expected, multi-target not supported: an input of shape "
                f"{tuple(input.shape)} needs a target of shape {expected}, got {tuple(target.shape)}"
                + ("; use target.squeeze(1)" if tuple(target.shape) == (*expected, 1) else "")
            )
        raise ValueError(
            f"{name}: Expected input batch_size to match target batch_size: an input of shape "
            f"{tuple(input.shape)} needs a target of shape {expected}, got {tuple(target.shape)}"
        )
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(f"{name}: expected a weight of shape ({classes},), got {tuple(weight.shape)}")
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: expected a weight of {input.dtype!r}, got {weight.dtype!r}; use .to({input.dtype!r})"
        )
    labels = target.to(dtypes.int64)
    if labels.ndim != 1:
        labels = labels.reshape(-1)
    rows = input.reshape(1, -1) if input.ndim == 1 else input
    if input.ndim > 2:
        rows = input.movedim(1, -1).reshape(-1, classes)
    return rows, labels, expected


def _classify(function, name, input, target, weight, ignore_index, reduction):
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(
            f"{name}: {reduction} is not a valid value for reduction; use 'none', 'mean' or 'sum'"
        )
    rows, labels, shape = _loss_operands(name, input, target, weight)
    try:
        out = function.apply(
            rows,
            labels,
            ignore_index=ignore_index,
            class_weight=None if weight is None else weight._kernels.copy(weight._array),
            reduction=reduction,
        )
    except IndexError as error:
        if isinstance(error.args[0], str):
            raise  # a GPU's, which names the operation: maybe one before this
        classes = rows._array.shape[1]
        raise IndexError(f"{name}: Target {error} is out of bounds for {classes} classes") from None
    if out.grad_fn is not None and input.ndim > 2:
        out.grad_fn.printed_name = "NllLoss2D"
    if reduction != "none" or tuple(out.shape) == shape:
        return out
    out = out.reshape(shape)
    if out.grad_fn is not None and not shape:
        out.grad_fn.printed_name = "NllLoss"
    return out


def nll_loss(input, target, weight=None, *, ignore_index=-100, reduction="mean"):
    """Return -input[target] of log-probabilities (batch, classes, ...), averaged with `weight`."""
    require_tensor("nll_loss", "input", input)
    require_tensor("nll_loss", "target", target)
    return _classify(NllLoss, "nll_loss", input, target, weight, ignore_index, reduction)


def cross_entropy(input, target, weight=None, *, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Return the cross-entropy of logits against class positions or class probabilities.

    input: (classes,), (batch, classes) or (batch, classes, ...); target: integer positions of the shape
    without classes, or probabilities of the input's shape. weight: (classes,) or None. reduction: "mean"
    (weighted), "sum" or "none". label_smoothing: the share in [0, 1] spread evenly over the classes.
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(
            f"cross_entropy: label_smoothing must be between 0.0 and 1.0, got {label_smoothing}"
        )
    require_tensor("cross_entropy", "input", input)
    require_tensor("cross_entropy", "target", target)
    probabilities = target._array.dtype.kind == "f" and target._array.shape == input._array.shape
    if not probabilities and label_smoothing == 0.0:
        return _classify(CrossEntropy, "cross_entropy", input, target, weight, ignore_index, reduction)
    class_dim = 0 if input.ndim == 1 else 1
    log_probs = log_softmax(input, class_dim)
    classes = input.shape[class_dim]
    by_class = [classes if d == class_dim else 1 for d in range(input.ndim)]
    weighted = log_probs if weight is None else log_probs * weight.reshape(by_class)
    if probabilities:
        smooth = target * (1.0 - label_smoothing) + label_smoothing / classes
        if reduction == "none":
            return -(weighted * smooth).sum(class_dim)
        total = -(weighted * smooth).sum()
        if reduction == "sum":
            return total
        total = total / max(1, input.numel() // classes)
        if total.grad_fn is not None:
            total.grad_fn.overload = 1  # PyTorch's division by a number
        return total
    plain = nll_loss(log_probs, target, weight, ignore_index=ignore_index, reduction=reduction)
    kept = target != ignore_index
    counts = kept.to(input.dtype)
    if weight is not None:
        counts = counts * weight[target.masked_fill(~kept, 0).long()]
    spread = _reduce(where(kept, -weighted.sum(class_dim), 0.0), counts.sum(), reduction)
    return plain * (1.0 - label_smoothing) + spread * (label_smoothing / classes)


def _reduce(losses, count, reduction):
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / count
