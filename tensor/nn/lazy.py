"""Layers that learn the number of their inputs from the first input: LazyLinear, LazyConv2d, LazyBatchNorm2d.

The parameters are `UninitializedParameter`s until then; afterwards the module is one of the ordinary class.
"""

from tensor.nn import conv, linear, norm
from tensor.nn.parameter import UninitializedBuffer, UninitializedParameter


class LazyModuleMixin:
    """What lazy layers share; a subclass has `cls_to_become` and defines `initialize_parameters(input)`."""

    cls_to_become: type | None = None

    def _make_lazy(self) -> None:
        self._waits_for_input = self.register_forward_pre_hook(_begin)  # type: ignore[attr-defined]

    def has_uninitialized_params(self) -> bool:
        """Return whether a parameter or buffer waits for the first input."""
        held = (*self._parameters.values(), *self._buffers.values())  # type: ignore[attr-defined]
        return any(isinstance(t, UninitializedParameter | UninitializedBuffer) for t in held)

    def reset_parameters(self) -> None:
        """Draw the parameters anew, if there are any yet."""
        if hasattr(self, "_waits_for_input") and not self.has_uninitialized_params():
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input) -> None:
        """Give the parameters the shapes that `input` asks for, and draw them."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}; a lazy module defines it"
        )


def _begin(module, args: tuple) -> None:
    if module.has_uninitialized_params():
        module.initialize_parameters(*args)
    module._waits_for_input.remove()
    del module._waits_for_input
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become


class LazyLinear(LazyModuleMixin, linear.Linear):
    """A Linear whose in_features are those of the first input."""

    cls_to_become = linear.Linear
    in_features: int

    def __init__(self, out_features: int, bias: bool = True, device=None, dtype=None):
        super().__init__(0, 0, False)
        self.out_features = out_features
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)
        self._make_lazy()

    def initialize_parameters(self, input) -> None:
        """Take in_features from the last dim of `input`."""
        self.in_features = input.shape[-1]
        self.weight.materialize((self.out_features, self.in_features))
        if self.bias is not None:
            self.bias.materialize((self.out_features,))
        self.reset_parameters()


class _LazyConvolution(LazyModuleMixin):
    def __init__(
        self, out_channels: int, kernel_size, *args, bias: bool = True, device=None, dtype=None, **options
    ):
        # of one channel in each group, so that the options are checked; drawn later
        groups = self._groups(args, options)
        super().__init__(groups, groups, kernel_size, *args, bias=False, **options)  # type: ignore[call-arg]
        self.in_channels, self.out_channels = 0, out_channels
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)
        self._make_lazy()

    def _groups(self, args: tuple, options: dict) -> int:
        place = 4 if self.transposed else 3  # type: ignore[attr-defined]
        return args[place] if len(args) > place else options.get("groups", 1)

    def initialize_parameters(self, input) -> None:
        """Take in_channels from `input`, (batch, channels, ...) or one example of it."""
        dims = self.dims  # type: ignore[attr-defined]
        if input.ndim not in (dims + 1, dims + 2):
            raise RuntimeError(
                f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {type(self).__name__}, "
                f"but got input of size: {list(input.shape)}"
            )
        self.in_channels = input.shape[input.ndim - dims - 1]
        if self.in_channels % self.groups:  # type: ignore[attr-defined]
            raise ValueError("in_channels must be divisible by groups")
        inner = (self.in_channels, self.out_channels // self.groups)  # type: ignore[attr-defined]
        if not self.transposed:  # type: ignore[attr-defined]
            inner = (self.out_channels, self.in_channels // self.groups)  # type: ignore[attr-defined]
        self.weight.materialize((*inner, *self.kernel_size))  # type: ignore[attr-defined]
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class LazyConv1d(_LazyConvolution, conv.Conv1d):
    """A Conv1d whose in_channels are those of the first input."""

    cls_to_become = conv.Conv1d


class LazyConv2d(_LazyConvolution, conv.Conv2d):
    """A Conv2d whose in_channels are those of the first input."""

    cls_to_become = conv.Conv2d


class LazyConv3d(_LazyConvolution, conv.Conv3d):
    """A Conv3d whose in_channels are those of the first input."""

    cls_to_become = conv.Conv3d


class LazyConvTranspose1d(_LazyConvolution, conv.ConvTranspose1d):
    """A ConvTranspose1d whose in_channels are those of the first input."""

    cls_to_become = conv.ConvTranspose1d


class LazyConvTranspose2d(_LazyConvolution, conv.ConvTranspose2d):
    """A ConvTranspose2d whose in_channels are those of the first input."""

    cls_to_become = conv.ConvTranspose2d


class _LazyNorm(LazyModuleMixin):
    def __init__(
        self,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__(0, eps, momentum, affine, track_running_stats)
        if self.affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            self.bias = UninitializedParameter(device=device, dtype=dtype) if bias else None
        if self.track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
        self._make_lazy()

    def initialize_parameters(self, input) -> None:
        """Take num_features from `input`, (batch, channels, ...)."""
        self.num_features = input.shape[1]
        for name in ("weight", "bias", "running_mean", "running_var"):
            held = getattr(self, name)
            if isinstance(held, UninitializedParameter | UninitializedBuffer):
                held.materialize((self.num_features,))
        self.reset_parameters()


class LazyBatchNorm1d(_LazyNorm, norm.BatchNorm1d):
    """A BatchNorm1d whose num_features are those of the first input."""

    cls_to_become = norm.BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, norm.BatchNorm2d):
    """A BatchNorm2d whose num_features are those of the first input."""

    cls_to_become = norm.BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, norm.BatchNorm3d):
    """A BatchNorm3d whose num_features are those of the first input."""

    cls_to_become = norm.BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, norm.InstanceNorm1d):
    """An InstanceNorm1d whose num_features are those of the first input."""

    cls_to_become = norm.InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, norm.InstanceNorm2d):
    """An InstanceNorm2d whose num_features are those of the first input."""

    cls_to_become = norm.InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, norm.InstanceNorm3d):
    """An InstanceNorm3d whose num_features are those of the first input."""

    cls_to_become = norm.InstanceNorm3d
