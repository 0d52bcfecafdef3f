"""Activations as modules; the functions are in `functional`."""

import warnings

from tensor import creation
from tensor.nn import functional as F
from tensor.nn import init
from tensor.nn.module import Module
from tensor.nn.parameter import Parameter


class _InPlace(Module):
    """An activation that may overwrite its input."""

    def __init__(self, inplace: bool = False):
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Return the options, and `inplace=True` where it holds."""
        options = [f"{name}={getattr(self, name)}" for name in self._options]
        return ", ".join([*options, "inplace=True"] if self.inplace else options)

    _options: tuple[str, ...] = ()


class ReLU(_InPlace):
    """max(0, x)."""

    def forward(self, input):
        """Return relu(input)."""
        return F.relu(input, self.inplace)


class SiLU(_InPlace):
    """x * sigmoid(x), also known as swish."""

    def forward(self, input):
        """Return silu(input)."""
        return F.silu(input, self.inplace)


class Mish(_InPlace):
    """x * tanh(softplus(x)) (Misra 2019)."""

    def forward(self, input):
        """Return mish(input)."""
        return F.mish(input, self.inplace)


class SELU(_InPlace):
    """scale * elu(x, alpha), with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017)."""

    def forward(self, input):
        """Return selu(input)."""
        return F.selu(input, self.inplace)


class LeakyReLU(_InPlace):
    """x where positive, else negative_slope * x."""

    _options = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input):
        """Return leaky_relu(input)."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class ELU(_InPlace):
    """x where positive, else alpha * (exp(x) - 1)."""

    _options = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input):
        """Return elu(input)."""
        return F.elu(input, self.alpha, self.inplace)


class CELU(ELU):
    """x where positive, else alpha * (exp(x / alpha) - 1) (Barron 2017)."""

    def forward(self, input):
        """Return celu(input)."""
        return F.celu(input, self.alpha, self.inplace)


class RReLU(_InPlace):
    """x where positive, else a slope times x, drawn from [lower, upper) while training, then their mean."""

    _options = ("lower", "upper")

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False):
        super().__init__(inplace)
        self.lower, self.upper = lower, upper

    def forward(self, input):
        """Return rrelu(input)."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class Threshold(_InPlace):
    """x above `threshold`, else `value`."""

    _options = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        super().__init__(inplace)
        self.threshold, self.value = threshold, value

    def forward(self, input):
        """Return threshold(input)."""
        return F.threshold(input, self.threshold, self.value, self.inplace)


class Hardtanh(_InPlace):
    """x limited to [min_val, max_val]."""

    _options: tuple[str, ...] = ("min_val", "max_val")

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value=None,
        max_value=None,
    ):
        super().__init__(inplace)
        for name, old in (("min_val", min_value), ("max_val", max_value)):
            if old is not None:
                warnings.warn(
                    f"keyword argument `{name[:4]}value` is deprecated and rename to `{name}`",
                    FutureWarning,
                    stacklevel=2,
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        if self.max_val <= self.min_val:
            raise AssertionError(
                f"max_val must be larger than min_val, got min_val={self.min_val} and max_val={self.max_val}"
            )

    def forward(self, input):
        """Return hardtanh(input)."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


class ReLU6(Hardtanh):
    """x limited to [0, 6]."""

    _options = ()

    def __init__(self, inplace: bool = False):
        super().__init__(0.0, 6.0, inplace)


class Hardsigmoid(_InPlace):
    """x / 6 + 1 / 2, limited to [0, 1]."""

    def forward(self, input):
        """Return hardsigmoid(input)."""
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        """Return nothing, as in PyTorch."""
        return ""


class Hardswish(_InPlace):
    """x * hardsigmoid(x) (Howard et al. 2019)."""

    def forward(self, input):
        """Return hardswish(input)."""
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        """Return nothing, as in PyTorch."""
        return ""


class GELU(Module):
    """x * Phi(x), Phi the normal distribution; approximate="tanh" is GPT-2's form."""

    def __init__(self, approximate: str = "none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input):
        """Return gelu(input)."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Return the form."""
        return f"approximate={self.approximate!r}"


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, input):
        """Return tanh(input)."""
        return F.tanh(input)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, input):
        """Return sigmoid(input)."""
        return F.sigmoid(input)


class LogSigmoid(Module):
    """log(sigmoid(x)), without overflow."""

    def forward(self, input):
        """Return logsigmoid(input)."""
        return F.logsigmoid(input)


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, input):
        """Return softsign(input)."""
        return F.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x)."""

    def forward(self, input):
        """Return tanhshrink(input)."""
        return F.tanhshrink(input)


class _Shrink(Module):
    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        """Return lambd."""
        return f"{self.lambd}"


class Hardshrink(_Shrink):
    """0 within [-lambd, lambd], else x."""

    def forward(self, input):
        """Return hardshrink(input)."""
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """x moved towards 0 by lambd; 0 within [-lambd, lambd]."""

    def forward(self, input):
        """Return softshrink(input)."""
        return F.softshrink(input, self.lambd)


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input):
        """Return softplus(input)."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"beta={self.beta}, threshold={self.threshold}"


class PReLU(Module):
    """x where positive, else weight * x, weight learned: one, or one for each channel (He et al. 2015)."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device=None, dtype=None):
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(creation.empty((num_parameters,), device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set every slope to the start."""
        init.constant_(self.weight, self.init)

    def forward(self, input):
        """Return prelu(input)."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """Return the number of slopes."""
        return f"num_parameters={self.num_parameters}"


class GLU(Module):
    """The first half along `dim` times the sigmoid of the second (Dauphin et al. 2017)."""

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = dim

    def forward(self, input):
        """Return glu(input)."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        """Return the dim."""
        return f"dim={self.dim}"


class _AlongDim(Module):
    def __init__(self, dim: int | None = None):
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        """Return the dim."""
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """exp(x) / sum(exp(x)) along `dim`."""

    def forward(self, input):
        """Return softmax(input)."""
        return F.softmax(input, self.dim, _stacklevel=5)


class Softmin(_AlongDim):
    """softmax(-x) along `dim`."""

    def forward(self, input):
        """Return softmin(input)."""
        return F.softmin(input, self.dim, _stacklevel=5)


class LogSoftmax(_AlongDim):
    """log(softmax(x)) along `dim`, without overflow."""

    def forward(self, input):
        """Return log_softmax(input)."""
        return F.log_softmax(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """softmax over the channels of (batch, channels, height, width), or of one image."""

    def forward(self, input):
        """Return softmax(input, -3)."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3, _stacklevel=5)
