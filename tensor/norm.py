"""Normalisation: of each channel over a batch, of each example, of groups of its channels."""

import math

from tensor import dtypes
from tensor.autograd import Operation, is_grad_enabled, no_grad
from tensor.devices import join
from tensor.operands import require_tensor, to_sizes
from tensor.pad import pad
from tensor.pool import avg_pool2d


class _Norm(Operation):
    """(x - mean) * rstd * weight + bias: what all of them share.

    Inputs: x, then weight and bias where there are such. Kept: x, weight, and a mean and a rstd for each set
    of numbers that is normalised together; nothing of the input's size is made besides the result.
    """

    constants = ("stats",)  # whose part in the gradient the kernels' own derivatives know
    gradients_in_words = (
        "rstd * (grad * weight, less its mean and its part along out)",
        "sum of grad * normalised {0}",
        "grad, summed",
    )

    def forward(self, k, x, *affine, has_weight, has_bias, **options):
        weight = affine[0] if has_weight else None
        bias = affine[-1] if has_bias else None
        self.has_weight, self.has_bias, self.how = has_weight, has_bias, options
        out, self.stats = self.normalise(k, x, weight, bias, **options)
        self.saved = (x, weight)
        return out

    def backward(self, k, grad):
        x, weight = self.saved
        wants = {"wants_dx": self.needs[0], "wants_rest": True in self.needs[1:]}
        dx, dweight, dbias = self.gradients(k, x, grad, weight, self.stats, **wants, **self.how)
        affine = ([dweight] if self.has_weight else []) + ([dbias] if self.has_bias else [])
        return dx, *[g if need else None for g, need in zip(affine, self.needs[1:], strict=True)]

    def release(self) -> None:
        super().release()
        self.stats = None

    def normalise(self, k, x, weight, bias, **options):
        raise NotImplementedError

    def gradients(self, k, x, grad, weight, stats, **options):
        raise NotImplementedError


class BatchNorm(_Norm):
    """Each channel by its mean and variance over batch and space, or by the running ones."""

    name = "NativeBatchNorm"

    def normalise(self, k, x, weight, bias, running_mean, running_var, training, momentum, eps):
        self.how = {"training": training}
        return k.batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps)

    def gradients(self, k, x, grad, weight, stats, wants_dx, wants_rest, training):
        return k.batch_norm_dx(x, grad, weight, stats, training, wants_dx)


class LayerNorm(_Norm):
    """Each example by mean and variance of its last dims; `weight` and `bias` have these dims."""

    name = "NativeLayerNorm"
    centered = True

    def normalise(self, k, x, weight, bias, shape, eps):
        return k.layer_norm(x, math.prod(shape), weight, bias, eps, self.centered)

    def gradients(self, k, x, grad, weight, stats, wants_dx, wants_rest, shape, eps):
        dx, *rest = k.layer_norm_dx(
            x, grad, math.prod(shape), weight, stats, self.centered, wants_dx, wants_rest
        )
        return dx, *[g.reshape(shape) for g in rest]


class RmsNorm(LayerNorm):
    """Each example by the root of the mean square of its last dims."""

    name = "FusedRmsNorm"
    centered = False


class GroupNorm(_Norm):
    """Each group of channels of each example by its mean and variance."""

    name = "NativeGroupNorm"

    def normalise(self, k, x, weight, bias, groups, eps):
        return k.group_norm(x, groups, weight, bias, eps)

    def gradients(self, k, x, grad, weight, stats, wants_dx, wants_rest, groups, eps):
        return k.group_norm_dx(x, grad, groups, weight, stats, wants_dx)


def _apply(function, input, weight, bias, **options):
    affine = [t for t in (weight, bias) if t is not None]
    return function.apply(input, *affine, has_weight=weight is not None, has_bias=bias is not None, **options)


def _check(operation: str, input, shape: tuple[int, ...], **others) -> None:
    """Raise unless `input` is a float tensor and the others, where given, have its dtype and `shape`."""
    require_tensor(operation, "input", input)
    if not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"{operation}: not implemented for {input.dtype!r}; expected a floating point tensor: x.float()"
        )
    for name, t in others.items():
        if t is None:
            continue
        require_tensor(operation, name, t)
        if t.shape != shape:
            raise RuntimeError(
                f"{operation}: {name} should contain {math.prod(shape)} elements, of shape {shape}, to go "
                f"with an input of shape {tuple(input.shape)}, but it has shape {tuple(t.shape)}"
            )
        if t.dtype is not input.dtype:
            raise RuntimeError(
                f"{operation}: expected {name} of the input's {input.dtype!r}, got {t.dtype!r}; use "
                f".to({input.dtype!r})"
            )
        if t._kernels is not input._kernels:
            join(operation, [input, t], t)  # raises


def _to_float(operation: str, name: str, value) -> float:
    """Return an option that is one number, of any kind; TypeError for anything else."""
    if not hasattr(value, "__float__"):
        raise TypeError(
            f"{operation}(): argument {name!r} must be float, not {type(value).__name__}; give a number"
        )
    return float(value)


def _check_constant(operation: str, **running) -> None:
    """Raise RuntimeError where a gradient is asked for that no running statistic gets."""
    for name, t in running.items():
        if t is None:
            continue
        require_tensor(operation, name, t)
        if t.requires_grad and is_grad_enabled():
            raise RuntimeError(
                f"{operation}: not differentiable with respect to argument {name!r}, which cannot have "
                f"requires_grad True; pass {name}.detach()"
            )


def _check_count(size) -> None:
    if size[0] * math.prod(size[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {size!r}; "
            "use a larger batch, or eval()"
        )


def batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    """Normalise each channel (Ioffe and Szegedy 2015). input: (batch, channels, ...), float32 or float64.

    training: by the batch's mean and variance, which also move the running ones, if given, in place:
    running = (1 - momentum) * running + momentum * new, with the unbiased variance. Otherwise by the running
    ones. running_mean, running_var, weight, bias: (channels,) or None, of the input's dtype. momentum: a
    number (None, for the mean of all batches, is `nn.BatchNorm2d`'s alone). Raises ValueError if training
    finds one number for a channel, or eps <= 0, RuntimeError if a running one requires a gradient.
    """
    require_tensor("batch_norm", "input", input)
    momentum, eps = _to_float("batch_norm", "momentum", momentum), _to_float("batch_norm", "eps", eps)
    if training:
        if input.ndim < 1:
            raise IndexError(
                "batch_norm: expected an input of shape (batch, channels, ...), got a zero-dim tensor"
            )
        _check_count(input.shape)
        if eps <= 0.0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    elif eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    if input.ndim < 2:
        raise RuntimeError(
            f"batch_norm: expected an input of shape (batch, channels, ...), got {tuple(input.shape)}"
        )
    channels = input.shape[1]
    running = {"running_mean": running_mean, "running_var": running_var}
    _check("batch_norm", input, (channels,), **running, weight=weight, bias=bias)
    if not training and (running_mean is None or running_var is None):
        raise RuntimeError(
            "batch_norm: running_mean and running_var must be defined in evaluation mode; pass them, or "
            "training=True"
        )
    if (running_mean is None) != (running_var is None):
        raise RuntimeError("batch_norm: expected both running_mean and running_var, or neither")
    _check_constant("batch_norm", **running)
    out = _apply(
        BatchNorm, input, weight, bias,
        running_mean=None if running_mean is None else running_mean._array,
        running_var=None if running_var is None else running_var._array,
        training=training, momentum=momentum, eps=eps,
    )  # fmt: skip
    if training and running_mean is not None:
        running_mean._version.count += 1
        running_var._version.count += 1
    return out


def count_batch(tracked) -> None:
    """Add 1 to a count of batches, a tensor of no dims, in place."""
    k, count = tracked._kernels, tracked._array
    k.forward("add", count, k.full((), 1, count.dtype), out=count)  # not by int(): that waits for a GPU
    tracked._version.count += 1


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """Normalise each channel of each example (Ulyanov et al. 2016). input: (batch, channels, length, ...).

    use_input_stats: False normalises by running_mean and running_var, (channels,), as `batch_norm` does in
    evaluation; True moves them, if given, by the batch's average.
    """
    require_tensor("instance_norm", "input", input)
    momentum, eps = _to_float("instance_norm", "momentum", momentum), _to_float("instance_norm", "eps", eps)
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape!r}"
        )
    if input.ndim < 2:
        raise RuntimeError(
            f"instance_norm: expected an input of shape (batch, channels, ...), got {tuple(input.shape)}"
        )
    running = {"running_mean": running_mean, "running_var": running_var}
    _check_constant("instance_norm", **running)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "Expected running_mean and running_var to be defined when use_input_stats is false"
            )
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    channels = input.shape[1]
    _check("instance_norm", input, (channels,), **running, weight=weight, bias=bias)
    if running_mean is not None and running_var is not None:
        _move_running(input.detach(), running_mean, running_var, momentum)
    return _apply(GroupNorm, input, weight, bias, groups=channels, eps=eps)


@no_grad()
def _move_running(input, running_mean, running_var, momentum) -> None:
    """Move the running statistics as `batch_norm` would if every example's channel had its own."""
    batch, channels, *space = input.shape
    if not input.numel():
        return
    each = input.reshape(1, batch * channels, *space)
    moved = [t.expand(batch, channels).reshape(-1).clone() for t in (running_mean, running_var)]
    batch_norm(each, moved[0], moved[1], training=True, momentum=momentum)
    for running, new in zip((running_mean, running_var), moved, strict=True):
        running.copy_(new.reshape(batch, channels).mean(0))


def _normalized_shape(operation: str, input, normalized_shape) -> tuple[int, ...]:
    require_tensor(operation, "input", input)
    shape = to_sizes((normalized_shape,))
    if not shape:
        raise RuntimeError(
            f"{operation}: Expected normalized_shape to be at least 1-dimensional, got {normalized_shape!r}"
        )
    if input.ndim < len(shape) or tuple(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(
            f"{operation}: Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {str(list(shape))[1:-1]}], but got input of size {list(input.shape)}"
        )
    return shape


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Normalise the last dims of each example (Ba, Kiros and Hinton 2016).

    input: (..., *normalized_shape), float32 or float64; weight, bias: normalized_shape, or None.
    """
    shape = _normalized_shape("layer_norm", input, normalized_shape)
    _check("layer_norm", input, shape, weight=weight, bias=bias)
    return _apply(LayerNorm, input, weight, bias, shape=shape, eps=_to_float("layer_norm", "eps", eps))


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """Divide the last dims of each example by the root of their mean square (Zhang and Sennrich 2019).

    input: (..., *normalized_shape), float32 or float64; weight: normalized_shape, or None. eps: by default
    the spacing of the input's type at 1.
    """
    shape = _normalized_shape("rms_norm", input, normalized_shape)
    _check("rms_norm", input, shape, weight=weight)
    if eps is None:
        eps = 2.0**-23 if input.dtype is dtypes.float32 else 2.0**-52
    return _apply(RmsNorm, input, weight, None, shape=shape, eps=_to_float("rms_norm", "eps", eps))


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalise each of `num_groups` groups of channels of each example (Wu and He 2018).

    input: (batch, channels, ...), float32 or float64, num_groups divides channels; weight, bias: (channels,)
    or None.
    """
    require_tensor("group_norm", "input", input)
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    channels = input.shape[1]
    _check_count((input.shape[0] * channels // num_groups, num_groups, *input.shape[2:]))
    if num_groups < 0 or channels % num_groups:
        raise RuntimeError(
            "group_norm: Expected number of channels in input to be divisible by num_groups, but got input "
            f"of shape {list(input.shape)} and num_groups={num_groups}"
        )
    _check("group_norm", input, (channels,), weight=weight, bias=bias)
    return _apply(GroupNorm, input, weight, bias, groups=num_groups, eps=_to_float("group_norm", "eps", eps))


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Return input / (k + alpha * mean of input ** 2 over `size` neighbouring channels) ** beta.

    input: (batch, channels, ...); channels beyond the ends count as zeros. Krizhevsky et al. 2012.
    """
    require_tensor("local_response_norm", "input", input)
    if input.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)")
    if not input.numel():
        return input
    squares = input.square().reshape(input.shape[0], 1, input.shape[1], -1)
    around = pad(squares, (0, 0, size // 2, (size - 1) // 2))
    means = avg_pool2d(around, (size, 1), stride=1).reshape(input.shape)
    return input / (means * alpha + k) ** beta
