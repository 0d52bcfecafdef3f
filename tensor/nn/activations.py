"""Activations as functions with PyTorch's signatures: `inplace=`, implicit dims, drawn slopes."""

import warnings

from tensor import activations, creation, dtypes
from tensor import softmax as softmaxes
from tensor.activations import (
    hardshrink,
    hardtanh_,
    logsigmoid,
    prelu,
    relu_,
    sigmoid,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
)
from tensor.operands import require_tensor
from tensor.trigonometry import tanh


def _named(out, name: str, overload: int = 0):
    """Return `out`, which says that it comes from the operation that PyTorch has for this."""
    if out.grad_fn is not None and out._base is None:
        out.grad_fn.printed_name, out.grad_fn.overload = name, overload
    return out


def relu(input, inplace=False):
    """Return max(0, input)."""
    return relu_(input) if inplace else activations.relu(input)


def relu6(input, inplace=False):
    """Return input limited to [0, 6]."""
    return activations.relu6_(input) if inplace else activations.relu6(input)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """Return input where positive, else negative_slope * input."""
    return leaky_relu_(input, negative_slope) if inplace else activations.leaky_relu(input, negative_slope)


def leaky_relu_(input, negative_slope=0.01):
    """Apply leaky_relu in place."""
    return _named(activations.leaky_relu_(input, negative_slope), "LeakyRelu", 1)


def elu(input, alpha=1.0, inplace=False):
    """Return input where positive, else alpha * (exp(input) - 1)."""
    return elu_(input, alpha) if inplace else activations.elu(input, alpha)


def elu_(input, alpha=1.0):
    """Apply elu in place."""
    return _named(activations.elu_(input, alpha), "Elu", 1)


def celu(input, alpha=1.0, inplace=False):
    """Return input where positive, else alpha * (exp(input / alpha) - 1)."""
    return celu_(input, alpha) if inplace else _named(activations.celu(input, alpha), "Celu")


def celu_(input, alpha=1.0):
    """Apply celu in place."""
    return _named(activations.celu_(input, alpha), "Celu", 1)


def selu(input, inplace=False):
    """Return scale * elu(input, alpha), with the constants that keep mean 0 and variance 1."""
    return selu_(input) if inplace else activations.selu(input)


def selu_(input):
    """Apply selu in place."""
    return _named(activations.selu_(input), "Elu", 1)


def silu(input, inplace=False):
    """Return input * sigmoid(input), also known as swish."""
    return activations.silu_(input) if inplace else activations.silu(input)


def mish(input, inplace=False):
    """Return input * tanh(softplus(input))."""
    return activations.mish_(input) if inplace else activations.mish(input)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """Return input limited to [min_val, max_val]; no gradient flows at the limits."""
    return (hardtanh_ if inplace else activations.hardtanh)(input, min_val, max_val)


def hardsigmoid(input, inplace=False):
    """Return input / 6 + 1 / 2, limited to [0, 1]."""
    return activations.hardsigmoid_(input) if inplace else activations.hardsigmoid(input)


def hardswish(input, inplace=False):
    """Return input * hardsigmoid(input)."""
    return activations.hardswish_(input) if inplace else activations.hardswish(input)


def threshold(input, threshold, value, inplace=False):
    """Return input where it is above `threshold`, else `value`."""
    return (threshold_ if inplace else activations.threshold)(input, threshold, value)


def threshold_(input, threshold, value):
    """Apply threshold in place."""
    return _named(activations.threshold_(input, threshold, value), "Threshold", 1)


def gelu(input, *, approximate="none"):
    """Return input * Phi(input), Phi the normal distribution; approximate="tanh" is GPT-2's form."""
    return activations.gelu(input, approximate)


def glu(input, dim=-1):
    """Return the first half along `dim` times the sigmoid of the second (Dauphin et al. 2017)."""
    return _named(activations.glu(input, dim), "Glu")


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """Return input where positive, else slope * input; training draws each slope from [lower, upper).

    Else the slope is the mean of both. Draws from the default generator what PyTorch draws.
    """
    require_tensor("rrelu", "input", input)
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"rrelu: not implemented for {input.dtype!r}; use x.float()")
    if lower > upper:
        raise RuntimeError(
            f"rrelu: Lower bound should be less than or equal to the upper bound, got {lower} and {upper}"
        )
    if not training:
        slope = (lower + upper) / 2
        out = activations.leaky_relu_(input, slope) if inplace else activations.leaky_relu(input, slope)
        return _named(out, "RreluWithNoise", int(inplace))
    slopes = creation.ones(input.shape, dtype=input.dtype, device=input.device)
    below = input.detach() <= 0
    draws = creation.empty((int(below.sum()),), dtype=dtypes.float64, device=input.device)
    slopes[below] = draws.uniform_(lower, upper).to(input.dtype)
    return _named(input.mul_(slopes) if inplace else input * slopes, "RreluWithNoise", int(inplace))


def rrelu_(input, lower=1.0 / 8, upper=1.0 / 3, training=False):
    """Apply rrelu in place."""
    return rrelu(input, lower, upper, training, True)


# --- along a dim -------------------------------------------------------------------------------------------


def _implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an "
        "argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Return exp(input) / sum(exp(input)) along `dim`, without overflow."""
    if dim is None:
        dim = _implicit_dim("softmax", input.ndim, _stacklevel)
    return softmaxes.softmax(input, dim, dtype=dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """Return softmax(-input) along `dim`."""
    if dim is None:
        dim = _implicit_dim("softmin", input.ndim, _stacklevel)
    return softmaxes.softmax(-input, dim, dtype=dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Return log(softmax(input)) along `dim`, without overflow."""
    if dim is None:
        dim = _implicit_dim("log_softmax", input.ndim, _stacklevel)
    return softmaxes.log_softmax(input, dim, dtype=dtype)


def gumbel_softmax(logits, tau=1.0, hard=False, eps=1e-10, dim=-1):
    """Return a softmax of logits and drawn Gumbel noise, over tau (Jang et al. 2017, Maddison et al. 2017).

    hard: one-hot vectors, with the gradient of the softmax. eps: without use, as in PyTorch, which warns.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    uniform = creation.empty(logits.shape, dtype=dtypes.float64, device=logits.device).uniform_()
    noise = -(-(-uniform).log1p()).to(logits.dtype).log()
    soft = softmaxes.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().max(dim, keepdim=True)[1]
    one_hot = creation.zeros(logits.shape, dtype=logits.dtype, device=logits.device).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft


__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish",
    "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "log_softmax", "logsigmoid", "mish", "prelu",
    "relu", "relu6", "relu_", "rrelu", "rrelu_", "selu", "selu_", "sigmoid", "silu", "softmax", "softmin",
    "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip
