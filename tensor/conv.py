"""Convolution over one or two spatial dims, and its transpose: forward beside backward.

Both are made of the same three kernels, since the transpose of a convolution is its input's gradient. One
spatial dim is a plane of height 1.
"""

import operator

from tensor.autograd import Operation
from tensor.formula import OPERATIONS, apply
from tensor.operands import require_tensor
from tensor.pad import pad

_FOR_HEIGHT_1 = {"stride": 1, "padding": 0, "dilation": 1, "output_padding": 0}


class Convolution(Operation):
    """out[f] = bias[f] + sum over c of x[c] * weight[f, c], `*` the cross-correlation.

    geometry: stride, padding, dilation (pairs) and groups.
    """

    gradients_in_words = (
        "grad convolved with {1}, turned round",
        "{0} correlated with grad",
        "grad, summed over batch and space",
    )

    def forward(self, k, x, weight, *bias, geometry, activation=None):
        self.saved = (x if self.needs[1] else None, weight if self.needs[0] else None)
        self.geometry, self.input_hw, self.kernel_hw = geometry, x.shape[2:], weight.shape[2:]
        if x.ndim == 4:
            return k.conv2d(x, weight, bias[0] if bias else None, *geometry, activation)
        return k.conv2d(_planes(x), _planes(weight), bias[0] if bias else None, *geometry)[:, :, 0]

    def backward(self, k, grad):
        x, weight = self.saved
        if grad.ndim == 4:
            return self._gradients(k, grad, x, weight, self.input_hw, self.kernel_hw)
        sizes = (1, *self.input_hw), (1, *self.kernel_hw)
        grad_x, grad_w, *rest = self._gradients(k, _planes(grad), _planes(x), _planes(weight), *sizes)
        return _rows(grad_x), _rows(grad_w), *rest

    def _gradients(self, k, grad, x, weight, input_hw, kernel_hw):
        grad_x = k.conv2d_dx(grad, weight, input_hw, *self.geometry) if self.needs[0] else None
        if len(self.needs) == 2:
            return grad_x, k.conv2d_dweight(grad, x, kernel_hw, *self.geometry) if self.needs[1] else None
        if not self.needs[1]:
            return grad_x, None, k.sum_channels(grad) if self.needs[2] else None
        if not self.needs[2]:
            return grad_x, k.conv2d_dweight(grad, x, kernel_hw, *self.geometry), None
        return grad_x, *k.conv2d_dparameters(grad, x, kernel_hw, *self.geometry)


class TransposedConvolution(Convolution):
    """The gradient of a convolution in its input, as an operation of its own: x takes the gradient's place.

    output_hw: of all the input sizes that a strided convolution brings to x's, the one that is meant.
    """

    name = "Convolution"
    gradients_in_words = (
        "grad correlated with {1}",
        "grad correlated with {0}",
        "grad, summed over batch and space",
    )

    def forward(self, k, x, weight, *bias, geometry, output_hw):
        self.saved = (x if self.needs[1] else None, weight if self.needs[0] else None)
        self.geometry, self.input_hw, self.kernel_hw = geometry, x.shape[2:], weight.shape[2:]
        out = k.conv2d_dx(_planes(x), _planes(weight), output_hw, *geometry)
        if bias:
            k.forward("add", out, bias[0].reshape(-1, 1, 1), out=out)
        return out if x.ndim == 4 else out[:, :, 0]

    def _gradients(self, k, grad, x, weight, input_hw, kernel_hw):
        grad_x = k.conv2d(grad, weight, None, *self.geometry) if self.needs[0] else None
        grad_w = k.conv2d_dweight(x, grad, kernel_hw, *self.geometry) if self.needs[1] else None
        if len(self.needs) == 2:
            return grad_x, grad_w
        return grad_x, grad_w, k.sum_channels(grad) if self.needs[2] else None


def _planes(array):
    """Return (n, c, length) as (n, c, 1, length); four dims, and None, stay."""
    return array[:, :, None] if array is not None and array.ndim == 3 else array


def _rows(array):
    """Return (n, c, 1, length) as (n, c, length); None stays."""
    return None if array is None else array[:, :, 0]


# --- options and operands ----------------------------------------------------------------------------------


def to_sizes_per_dim(operation: str, name: str, value, dims: int) -> tuple[int, ...]:
    """Return an option given as an int, or as one int for each of `dims` dims; one alone holds for all.

    Raises TypeError for what is no integer, and as PyTorch for a bool that stands alone or first.
    """
    given = value if isinstance(value, tuple | list) else (value,)
    try:
        sizes = tuple(map(operator.index, given))
    except TypeError:
        sizes = None
    if sizes is None or (given and isinstance(given[0], bool)):
        raise TypeError(
            f"{operation}(): argument {name!r} must be tuple of ints, not {type(value).__name__} "
            f"{value!r:.60}; give an int, or one for each of the {dims} spatial dims"
        )
    if len(sizes) == 1:
        return sizes * dims
    if len(sizes) != dims:
        raise RuntimeError(
            f"{operation}: expected {name} to be a single integer value or a list of {dims} values to match "
            f"the convolution dimensions, but got {name}={list(sizes)}"
        )
    return sizes


def to_count(operation: str, name: str, value) -> int:
    """Return an option that is one integer; TypeError for anything else, a bool among it."""
    try:
        count = operator.index(value)
    except TypeError:
        count = None
    if count is None or isinstance(value, bool):
        raise TypeError(
            f"{operation}(): argument {name!r} must be int, not {type(value).__name__} {value!r:.60}"
        )
    return count


def _to_pair(operation: str, name: str, value, dims: int) -> tuple[int, int]:
    sizes = to_sizes_per_dim(operation, name, value, dims)
    return (sizes[0], sizes[1]) if dims == 2 else (_FOR_HEIGHT_1[name], sizes[0])


def _by_name(operation, dims, input, weight, stride, padding, dilation):
    """Return the input and the pair of numbers for padding "same" or "valid"."""
    if padding == "valid":
        return input, (0, 0)
    if padding != "same":
        raise RuntimeError(
            f"{operation}: Invalid padding string: {padding!r}; use 'same', 'valid' or a number"
        )
    if stride != (1, 1):
        raise RuntimeError(f"{operation}: padding='same' is not supported for strided convolutions")
    _check_dims(operation, dims, input, weight)
    around = [d * (n - 1) for n, d in zip((1, *weight.shape[2:])[-2:], dilation, strict=True)]
    if around[0] % 2 or around[1] % 2:  # as PyTorch: the odd one comes after
        input = pad(input, [width for n in around[: -dims - 1 : -1] for width in (0, n % 2)])
    return input, (around[0] // 2, around[1] // 2)


def _text(sizes) -> str:
    return "(" + " x ".join(map(str, sizes)) + ")"


def _check_dims(operation, dims, input, weight) -> None:
    sizes, kernel = list(input.shape), list(weight.shape)
    if len(sizes) not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{operation}: Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {operation}, "
            f"but got input of size: {sizes}; reshape it to (batch, channels, "
            f"{'height, width' if dims == 2 else 'length'})"
        )
    if len(kernel) != dims + 2:
        raise RuntimeError(
            f"{operation}: Expected {len(kernel)}-dimensional input for {len(kernel)}-dimensional weight "
            f"{kernel}, but got {len(sizes)}-dimensional input of size {sizes} instead; {operation} takes a "
            f"weight of {dims + 2} dims"
        )


def _check(operation, dims, input, weight, bias, geometry, transposed) -> None:
    """Raise the error, of PyTorch's kind and words, for operands and options that do not fit together."""
    (stride, padding, dilation, groups), x, w = geometry, list(input.shape), list(weight.shape)
    _check_dims(operation, dims, input, weight)
    for name, other in (("weight", weight), ("bias", bias)):
        if other is not None and other.dtype is not input.dtype:
            raise RuntimeError(
                f"{operation}: expected operands of one dtype, got input {input.dtype!r} and {name} "
                f"{other.dtype!r}; use "
                + (f"input.to({other.dtype!r})" if other is weight else f"bias.to({input.dtype!r})")
            )
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"{operation}: not implemented for {input.dtype!r}; use .float()")
    if min(padding) < 0:
        raise RuntimeError(f"{operation}: negative padding is not supported, got {padding}; crop with F.pad")
    for name, numbers in (("stride", stride), ("dilation", dilation), ("groups", (groups,))):
        if min(numbers) <= 0:
            raise RuntimeError(
                f"{operation}: non-positive {name} is not supported, it should be greater than zero, but got "
                f"{name}={numbers[-dims:] if len(numbers) > 1 else groups}"
            )
    if min(w[2:]) <= 0:
        raise RuntimeError(
            f"{operation}: kernel size should be greater than zero, but got weight of size {w}"
        )
    if w[0] < groups or w[0] % groups:
        wanted = f"at least {groups}" if w[0] < groups else f"divisible by {groups}"
        raise RuntimeError(
            f"{operation}: Given groups={groups}, expected weight to be {wanted} at dimension 0, but got "
            f"weight of size {w} instead"
        )
    given = "transposed=1" if transposed else f"groups={groups}"
    channels, filters = (w[0], w[1] * groups) if transposed else (w[1] * groups, w[0])
    if x[1] != channels:
        last = x[-1] == channels
        hint = "; channels come first: did you mean input.movedim(-1, 1)?" if last else ""
        raise RuntimeError(
            f"{operation}: Given {given}, weight of size {w}, expected input{x} to have {channels} channels, "
            f"but got {x[1]} channels instead{hint}"
        )
    if bias is not None and tuple(bias.shape) != (filters,):
        raise RuntimeError(
            f"{operation}: Given {given}, weight of size {w}, expected bias to be 1-dimensional with "
            f"{filters} elements, but got bias of size {list(bias.shape)} instead"
        )
    if not transposed:
        spatial = list(zip(x[2:], w[2:], padding[-dims:], dilation[-dims:], strict=True))
        padded, kernel = [n + 2 * p for n, _, p, _ in spatial], [d * (m - 1) + 1 for _, m, _, d in spatial]
        if any(n < m for n, m in zip(padded, kernel, strict=True)):
            enough = tuple((max(m - n, 0) + 1) // 2 for n, m in zip(x[2:], kernel, strict=True))
            raise RuntimeError(
                f"{operation}: Calculated padded input size per channel: {_text(padded)}. Kernel size: "
                f"{_text(kernel)}. Kernel size can't be greater than actual input size; the least padding "
                f"that will do is {enough}"
            )
    if 0 in x[2:]:
        raise RuntimeError(
            f"{operation}: Only zero batch or zero channel inputs are supported, but got input shape: {x}"
        )


def _convolve(operation, dims, input, weight, bias, stride, padding, dilation, groups):
    """Convolve whatever `_fits` does not take: one dim, no batch, padding by name; or say what is wrong."""
    require_tensor(operation, "input", input)
    require_tensor(operation, "weight", weight)
    if bias is not None:
        require_tensor(operation, "bias", bias)
    if input.ndim == dims + 1:
        batch = input.unsqueeze(0)
        out = _convolve(operation, dims, batch, weight, bias, stride, padding, dilation, groups)
        return out.squeeze(0)
    stride = _to_pair(operation, "stride", stride, dims)
    dilation = _to_pair(operation, "dilation", dilation, dims)
    if isinstance(padding, str):
        input, padding = _by_name(operation, dims, input, weight, stride, padding, dilation)
    else:
        padding = _to_pair(operation, "padding", padding, dims)
    geometry = stride, padding, dilation, to_count(operation, "groups", groups)
    _check(operation, dims, input, weight, bias, geometry, transposed=False)
    return Convolution.apply(*_operands(input, weight, bias), geometry=geometry)


def _behind(first: int, value):
    """Return a line's option, an int or a tuple of one, as a pair: `first` is for the height of 1."""
    if type(value) is int:
        return first, value
    return (first, *value) if type(value) is tuple else value


def _operands(input, weight, bias) -> tuple:
    return (input, weight) if bias is None else (input, weight, bias)


def _fits(dims, input, weight, bias, geometry) -> bool:
    """Return whether these are a batch, a weight and pairs of ints in which `_check` would find no fault.

    The quick answer, since every call asks; False leaves the question to `_check`.
    """
    try:
        x, w = input._array, weight._array
        stride, padding, dilation, groups = geometry
        (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
        dtype = x.dtype
        if dims == 2:
            (_, channels, height, width), (filters, depth, kh, kw) = x.shape, w.shape
        else:
            (_, channels, width), (filters, depth, kw), height, kh = x.shape, w.shape, 1, 1
        return (
            type(stride) is type(padding) is type(dilation) is tuple
            and type(sh) is type(sw) is type(ph) is type(pw) is type(dh) is type(dw) is type(groups) is int
            and sh > 0 < sw
            and ph >= 0 <= pw
            and dh > 0 < dw
            and kh > 0 < kw
            and groups > 0 < filters
            and channels == depth * groups
            and not filters % groups
            and 0 < height > dh * (kh - 1) - 2 * ph
            and 0 < width > dw * (kw - 1) - 2 * pw
            and dtype.kind == "f"
            and dtype == w.dtype
            and (bias is None or (bias._array.shape == (filters,) and dtype == bias._array.dtype))
        )
    except (AttributeError, TypeError, ValueError):
        return False


def _convolve_transposed(
    operation, dims, input, weight, bias, stride, padding, output_padding, groups, dilation
):
    require_tensor(operation, "input", input)
    require_tensor(operation, "weight", weight)
    if bias is not None:
        require_tensor(operation, "bias", bias)
    if input.ndim == dims + 1:
        options = stride, padding, output_padding, groups, dilation
        return _convolve_transposed(operation, dims, input.unsqueeze(0), weight, bias, *options).squeeze(0)
    stride = _to_pair(operation, "stride", stride, dims)
    padding = _to_pair(operation, "padding", padding, dims)
    extra = _to_pair(operation, "output_padding", output_padding, dims)
    dilation = _to_pair(operation, "dilation", dilation, dims)
    geometry = stride, padding, dilation, to_count(operation, "groups", groups)
    _check(operation, dims, input, weight, bias, geometry, transposed=True)
    if min(extra) < 0:
        raise RuntimeError(f"{operation}: negative output_padding is not supported, got {extra[-dims:]}")
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise RuntimeError(
            f"{operation}: output padding must be smaller than either stride or dilation, but got "
            f"output_padding={extra[-dims:]}, stride={stride[-dims:]}, dilation={dilation[-dims:]}"
        )
    sizes = zip((1, *input.shape[2:])[-2:], (1, *weight.shape[2:])[-2:], *geometry[:3], extra, strict=True)
    output_hw = tuple([(n - 1) * s - 2 * p + d * (m - 1) + e + 1 for n, m, s, p, d, e in sizes])
    if min(output_hw) < 1:
        raise RuntimeError(
            f"{operation}: Given input size per channel: {_text(input.shape[2:])}. Calculated output size "
            f"per channel: {_text(output_hw[-dims:])}. Output size is too small; use less padding"
        )
    # More than a stride beyond the last element: where a further one would be, there are zeros.
    beyond = [e // s for e, s in zip(extra, stride, strict=True)]
    if beyond != [0, 0]:
        input = pad(input, [width for n in beyond[: -dims - 1 : -1] for width in (0, n)])
    operands = _operands(input, weight, bias)
    return TransposedConvolution.apply(*operands, geometry=geometry, output_hw=output_hw)


# --- what the user calls -----------------------------------------------------------------------------------


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Return the cross-correlation of `input` with `weight`, plus `bias`, along one dim.

    input: (batch, channels, length) or (channels, length), float32 or float64; weight: (filters, channels /
    groups, kernel); bias: (filters,) or None; the result: (batch, filters, length'), length' = (length + 2 *
    padding - dilation * (kernel - 1) - 1) // stride + 1. padding: zeros on either side, "valid" for none, or
    "same" for a result as long as the input (stride 1 only). groups: channels and filters are split into as
    many parts, each with its own. RuntimeError for what does not fit.
    """
    geometry = _behind(1, stride), _behind(0, padding), _behind(1, dilation), groups
    if _fits(1, input, weight, bias, geometry):
        return Convolution.apply(*_operands(input, weight, bias), geometry=geometry)
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Return the cross-correlation of `input` with `weight`, plus `bias`, over height and width.

    input: (batch, channels, height, width) or (channels, height, width), float32 or float64; weight:
    (filters, channels / groups, kernel height, kernel width); bias: (filters,) or None; the result: (batch,
    filters, height', width'). Each of stride, padding and dilation is an int or a pair; for what they and
    groups mean, see `conv1d`.
    """
    geometry = _in_pairs(stride, padding, dilation, groups)
    if _fits(2, input, weight, bias, geometry):
        return Convolution.apply(*_operands(input, weight, bias), geometry=geometry)
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def _in_pairs(stride, padding, dilation, groups) -> tuple:
    return (
        (stride, stride) if type(stride) is int else stride,
        (padding, padding) if type(padding) is int else padding,
        (dilation, dilation) if type(dilation) is int else dilation,
        groups,
    )


def conv2d_and(activation: str, input, weight, bias, stride, padding, dilation, groups):
    """Return a formula of conv2d(...), recorded as the two operations that it is; see `linear_and`."""
    geometry = _in_pairs(stride, padding, dilation, groups)
    if not _fits(2, input, weight, bias, geometry):
        return apply(activation, conv2d(input, weight, bias, stride, padding, dilation, groups))
    operands = _operands(input, weight, bias)
    between = Convolution.apply(*operands, geometry=geometry, activation=activation)
    return OPERATIONS[activation].apply(between, is_computed=True)


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Return the transpose of `conv1d` applied to `input`: what its gradient does, as an operation.

    input: (batch, channels, length) or (channels, length); weight: (channels, filters / groups, kernel);
    bias: (filters,) or None; the result: (batch, filters, length'), length' = (length - 1) * stride - 2 *
    padding + dilation * (kernel - 1) + output_padding + 1. output_padding, less than stride or dilation,
    says which of the lengths is meant that `conv1d` brings to `length`.
    """
    return _convolve_transposed(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Return the transpose of `conv2d` applied to `input`: what its gradient does, as an operation.

    input: (batch, channels, height, width) or (channels, height, width); weight: (channels, filters /
    groups, kernel height, kernel width); bias: (filters,) or None. Options are ints or pairs; for the
    result's sizes see `conv_transpose1d`.
    """
    return _convolve_transposed(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
