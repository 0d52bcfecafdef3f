"""Activations: the squashing and rectifying formulas as functions of tensors.

`nn.functional` gives them PyTorch's signatures, with `inplace=`; here each has its in-place form beside it.
"""

from tensor.elementwise import where
from tensor.formula import apply, apply_in_place, in_place, operation, unary
from tensor.operands import as_tensor_like, require_tensor

sigmoid, sigmoid_ = unary("sigmoid", "Return 1 / (1 + exp(-input)), without overflow.")
relu, relu_ = unary("relu", "Return max(0, input), of integers too.")
silu, silu_ = unary("silu", "Return input * sigmoid(input), also known as swish.")
mish, mish_ = unary("mish", "Return input * tanh(softplus(input)).")
logsigmoid, _ = unary("logsigmoid", "Return log(sigmoid(input)), without overflow.")
hardsigmoid, hardsigmoid_ = unary("hardsigmoid", "Return input / 6 + 1 / 2, limited to [0, 1].")
hardswish, hardswish_ = unary("hardswish", "Return input * hardsigmoid(input).")


def leaky_relu(input, negative_slope=0.01):
    """Return input where positive, else negative_slope * input."""
    return apply("leaky_relu", input, options=(float(negative_slope),))


def leaky_relu_(input, negative_slope=0.01):
    """Apply leaky_relu in place."""
    return apply_in_place("leaky_relu", input, options=(float(negative_slope),))


def elu(input, alpha=1.0):
    """Return input where positive, else alpha * (exp(input) - 1)."""
    return apply("elu", input, options=(float(alpha), 1.0, 1.0))


def elu_(input, alpha=1.0):
    """Apply elu in place."""
    return apply_in_place("elu", input, options=(float(alpha), 1.0, 1.0))


_SELU = (1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1.0)


def selu(input):
    """Return scale * elu(input, alpha), with the two constants that keep mean 0 and variance 1."""
    return apply("elu", input, options=_SELU)


def selu_(input):
    """Apply selu in place."""
    return apply_in_place("elu", input, options=_SELU)


_Celu = operation("elu", "Celu")


def _celu_options(alpha):
    if alpha == 0:
        raise RuntimeError("celu: ZeroDivisionError, alpha cannot be 0")
    return (float(alpha), 1.0, 1.0 / alpha)


def celu(input, alpha=1.0):
    """Return input where positive, else alpha * (exp(input / alpha) - 1)."""
    return apply("elu", input, options=_celu_options(alpha), record=_Celu)


def celu_(input, alpha=1.0):
    """Apply celu in place."""
    return apply_in_place("elu", input, options=_celu_options(alpha), record=_Celu)


def softplus(input, beta=1.0, threshold=20.0):
    """Return log(1 + exp(beta * input)) / beta; `input` itself where beta * input > threshold."""
    return apply("softplus", input, options=(float(beta), float(threshold)))


def gelu(input, approximate="none"):
    """Return input * Phi(input) ("none"), or its tanh approximation ("tanh")."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu: approximate argument must be either none or tanh, got {approximate!r}")
    return apply("gelu" if approximate == "none" else "gelu_tanh", input)


def _hardtanh_options(input, low, high):
    require_tensor("hardtanh", "input", input)
    if low > high:
        raise ValueError("hardtanh: min_val cannot be greater than max_val")
    number = float if input.dtype.is_floating_point else int
    return (number(low), number(high))


def hardtanh(input, min_val=-1.0, max_val=1.0):
    """Limit to [min_val, max_val]; no gradient flows at the limits."""
    return apply("hardtanh", input, options=_hardtanh_options(input, min_val, max_val))


def hardtanh_(input, min_val=-1.0, max_val=1.0):
    """Apply hardtanh in place."""
    return apply_in_place("hardtanh", input, options=_hardtanh_options(input, min_val, max_val))


def relu6(input):
    """Limit to [0, 6]."""
    return hardtanh(input, 0.0, 6.0)


def relu6_(input):
    """Apply relu6 in place."""
    return hardtanh_(input, 0.0, 6.0)


def softsign(input):
    """Return input / (1 + |input|)."""
    return input / (input.abs() + 1)


def tanhshrink(input):
    """Return input - tanh(input)."""
    return input - input.tanh()


def softshrink(input, lambd=0.5):
    """Move towards 0 by lambd; 0 within [-lambd, lambd]."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return apply("softshrink", input, options=(float(lambd),))


def hardshrink(input, lambd=0.5):
    """Return 0 within [-lambd, lambd], else input."""
    return apply("hardshrink", input, options=(float(lambd),))


def threshold(input, threshold, value):
    """Return input where it is above `threshold`, else `value`."""
    require_tensor("threshold", "input", input)
    if not input.dtype.is_floating_point:
        return where(input > threshold, input, as_tensor_like(input, value, input.dtype, "threshold"))
    return apply("threshold", input, options=(float(threshold), float(value)))


threshold_ = in_place(threshold)


def prelu(input, weight):
    """Return input where positive, else weight * input; weight: (1,), or one for each channel (dim 1)."""
    require_tensor("prelu", "input", input)
    require_tensor("prelu", "weight", weight)
    if input.dtype is not weight.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {input.dtype!r} and {weight.dtype!r}")
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    if weight.numel() != 1:
        if not input.ndim:
            raise RuntimeError("prelu: Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != weight.numel():
            raise RuntimeError(
                "prelu: Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel()} and channel size = {channels}."
            )
    if input.ndim > 1:
        weight = weight.reshape(-1, *[1] * (input.ndim - 2))
    elif not input.ndim:
        weight = weight.reshape(())
    return apply("prelu", input, weight)


def glu(input, dim=-1):
    """Return the first half along `dim` times the sigmoid of the second (Dauphin et al. 2017)."""
    require_tensor("glu", "input", input)
    if not input.ndim:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    size = input.size(dim)
    if size % 2:
        raise RuntimeError(f"glu: Halving dimension must be even, but dimension {dim} is size {size}")
    first, second = input.chunk(2, dim)
    return first * second.sigmoid()
