"""Softmax and the losses on it, and their derivatives, recorded."""

from tensor import softmax as family
from tensor.recorded.basis import array_of, kernels, tensor_of


def softmax(x, dim):
    """Return exp(x) / sum(exp(x))."""
    return family.Softmax.apply(x, dim=dim)


def log_softmax(x, dim):
    """Return log(softmax(x))."""
    return family.LogSoftmax.apply(x, dim=dim)


def softmax_dx(out, grad, dim):
    """Return softmax * (grad - sum(grad * softmax))."""
    return out * (grad - (grad * out).sum(dim, True))


def log_softmax_dx(out, grad, dim):
    """Return grad - softmax * sum(grad)."""
    return grad - out.exp() * grad.sum(dim, True)


def nll_dx(log_probs, target, ignore_index, class_weight, reduction, grad):
    """Return the gradient of `nll`: -weight at the target, scaled; it does not depend on log_probs."""
    log_probs, target = array_of(log_probs), array_of(target)
    ones = kernels().full(tuple(grad.shape), 1.0, grad._array.dtype)
    shares = tensor_of(kernels().nll_dx(log_probs, target, ignore_index, class_weight, reduction, ones))
    return shares * (grad.unsqueeze(1) if reduction == "none" else grad)


def cross_entropy_dx(log_probs, target, ignore_index, class_weight, reduction, grad):
    """Return the gradient of `cross_entropy`: that of `nll`, passed through log_softmax."""
    inner = nll_dx(log_probs, target, ignore_index, class_weight, reduction, grad)
    return log_softmax_dx(log_probs, inner, 1)
