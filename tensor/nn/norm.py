"""Layers that normalise: by batch, by example, by group of channels."""

import warnings

from tensor import creation, dtypes
from tensor import norm as norms
from tensor.nn import init
from tensor.nn.module import Module
from tensor.nn.parameter import Parameter
from tensor.operands import to_sizes


class _Affine(Module):
    """A layer with a weight that starts at 1 and a bias that starts at 0, or without them."""

    def _make_affine(self, shape, weight: bool, bias: bool, device, dtype) -> None:
        for name, wanted in (("weight", weight), ("bias", weight and bias)):
            if wanted:
                self.register_parameter(name, Parameter(creation.empty(shape, device=device, dtype=dtype)))
            else:
                self.register_parameter(name, None)

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _Running(_Affine):
    """A layer that keeps running statistics of its channels in buffers."""

    _version = 2  # since num_batches_tracked is saved

    ranks: tuple[int, ...] = ()  # the numbers of dims that an input may have

    def __init__(self, num_features, eps, momentum, affine, track_running_stats, device, dtype, bias):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._make_affine(num_features, affine, bias, device, dtype)
        if track_running_stats:
            self.register_buffer("running_mean", creation.zeros(num_features, device=device, dtype=dtype))
            self.register_buffer("running_var", creation.ones(num_features, device=device, dtype=dtype))
            count = creation.zeros((), device=device, dtype=dtypes.int64)
            self.register_buffer("num_batches_tracked", count)
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest) -> None:
        key = prefix + "num_batches_tracked"
        if (local_metadata.get("version") or 1) < 2 and self.num_batches_tracked is not None:
            state_dict.setdefault(key, self.num_batches_tracked)  # states of before it was saved
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1 and the count of batches to 0."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Set parameters and running statistics to their starting values."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check_input_dim(self, input) -> None:
        if input.ndim not in self.ranks:
            expected = " or ".join(f"{n}D" for n in self.ranks)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input)")

    def extra_repr(self) -> str:
        """Return the options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Running):
    """Normalise each channel over the batch (Ioffe and Szegedy 2015).

    While training by the batch's mean and variance, in evaluation by running averages of them, where
    running = (1 - momentum) * running + momentum * new; momentum None averages all batches so far. Without
    track_running_stats always by the batch's. weight (affine) and bias: (num_features,).
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input):
        """Return `input`, (batch, num_features, ...), normalised."""
        self._check_input_dim(input)
        training, tracks, momentum = self.training, self.track_running_stats, self.momentum
        if training and tracks:
            tracked = self.num_batches_tracked
            if tracked is not None:
                norms.count_batch(tracked)
                momentum = 1.0 / tracked.item() if momentum is None else momentum
        mean, var = self.running_mean, self.running_var
        alone = mean is None and var is None
        if training and not tracks:
            mean = var = None
        return norms.batch_norm(
            input,
            mean,
            var,
            self.weight,
            self.bias,
            training or alone,
            0.0 if momentum is None else momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Normalise each feature of (batch, num_features), or each channel of (batch, num_features, length)."""

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalise each channel of (batch, num_features, height, width)."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalise each channel of (batch, num_features, depth, height, width)."""

    ranks = (5,)


class _InstanceNorm(_Running):
    """Normalise each channel of each example (Ulyanov et al. 2016); the batch dim may be missing.

    By its own mean and variance; in evaluation with track_running_stats by the running ones.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input):
        """Return `input`, (batch, num_features, length, ...) or one example of it, normalised."""
        self._check_input_dim(input)
        alone = input.ndim == self.ranks[0]
        channel_dim = 0 if alone else 1
        if input.shape[channel_dim] != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={channel_dim} to match num_features "
                    f"({self.num_features}), but got: {input.shape[channel_dim]}."
                )
            warnings.warn(
                f"input's size at dim={channel_dim} does not match num_features. You can silence this "
                "warning by not passing in num_features, which is not used because affine=False",
                stacklevel=3,
            )
        out = norms.instance_norm(
            input.unsqueeze(0) if alone else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return out.squeeze(0) if alone else out


class InstanceNorm1d(_InstanceNorm):
    """Normalise each channel of each example of (batch, num_features, length)."""

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalise each channel of each example of (batch, num_features, height, width)."""

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalise each channel of each example of (batch, num_features, depth, height, width)."""

    ranks = (4, 5)


class LayerNorm(_Affine):
    """Normalise the last dims of each example (Ba, Kiros and Hinton 2016).

    normalized_shape: the sizes of these dims; an int for one. weight (elementwise_affine) and bias have them.
    """

    def __init__(
        self,
        normalized_shape,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.normalized_shape = to_sizes((normalized_shape,))
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_affine(self.normalized_shape, elementwise_affine, bias, device, dtype)
        self.reset_parameters()

    def forward(self, input):
        """Return `input`, (..., *normalized_shape), normalised."""
        return norms.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divide the last dims of each example by the root of their mean square (Zhang and Sennrich 2019).

    normalized_shape: the sizes of these dims; an int for one. eps: by default the spacing of the input's type
    at 1.
    """

    def __init__(
        self,
        normalized_shape,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.normalized_shape = to_sizes((normalized_shape,))
        self.eps, self.elementwise_affine = eps, elementwise_affine
        if elementwise_affine:
            weight = creation.empty(self.normalized_shape, device=device, dtype=dtype)
            self.weight = Parameter(weight)
        else:
            self.register_parameter("weight", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x):
        """Return `x`, (..., *normalized_shape), normalised."""
        return norms.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Affine):
    """Normalise each of `num_groups` groups of channels of each example (Wu and He 2018).

    weight (affine) and bias: (num_channels,). Raises ValueError unless num_groups divides num_channels.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self._make_affine(num_channels, affine, bias, device, dtype)
        self.reset_parameters()

    def forward(self, input):
        """Return `input`, (batch, num_channels, ...), normalised."""
        return norms.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the options."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Divide by what neighbouring channels are (Krizhevsky et al. 2012): see `F.local_response_norm`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input):
        """Return local_response_norm(input)."""
        return norms.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """Return the options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
