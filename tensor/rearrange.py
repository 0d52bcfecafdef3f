"""Elements in another order or repeated, copied: flips, rotations, tiles."""

from tensor import dtypes
from tensor.autograd import Operation
from tensor.operands import normalize_dim, normalize_dims, to_sizes
from tensor.shape import expand, flatten, reshape, unsqueeze


class Flip(Operation):
    """Dims in reverse order; copied, since PyTorch has no negative strides."""

    gradients_in_words = ("grad with its dims reversed back",)

    def forward(self, k, x, dims):
        self.dims = dims
        return k.flip(x, dims)

    def backward(self, k, grad):
        return (k.flip(grad, self.dims),)


class Roll(Operation):
    """Elements moved on along dims, round the end."""

    gradients_in_words = ("grad, moved back",)

    def forward(self, k, x, shifts, dims):
        self.shifts, self.dims = shifts, dims
        return k.roll(x, shifts, dims)

    def backward(self, k, grad):
        return (k.roll(grad, tuple(-shift for shift in self.shifts), self.dims),)


class Rot90(Operation):
    """A plane turned by quarters."""

    gradients_in_words = ("grad, turned back",)

    def forward(self, k, x, turns, dims):
        self.turns, self.dims = turns, dims
        return _turn(k, x, turns, dims)

    def backward(self, k, grad):
        return (_turn(k, grad, -self.turns % 4, self.dims),)


def _turn(k, x, turns, dims):
    if turns == 1:
        return k.flip(x, (dims[1],)).swapaxes(*dims)
    if turns == 3:
        return k.flip(x, (dims[0],)).swapaxes(*dims)
    return k.flip(x, dims if turns == 2 else ())


class Repeat(Operation):
    """Copies side by side; the gradient is summed over them."""

    gradients_in_words = ("grad, summed over the copies",)

    def forward(self, k, x, times):
        sizes = (1,) * (len(times) - x.ndim) + x.shape
        self.input_shape, self.dims = x.shape, tuple(range(0, 2 * len(times), 2))
        self.spread = tuple(m for n, r in zip(sizes, times, strict=True) for m in (r, n))
        spread = k.expand(x.reshape(tuple(m for n in sizes for m in (1, n))), self.spread)
        return k.copy(spread).reshape(tuple(n * r for n, r in zip(sizes, times, strict=True)))

    def backward(self, k, grad):
        return (k.sum(grad.reshape(self.spread), self.dims).reshape(self.input_shape),)


def flip(input, *order, dims=None):
    """Return a copy with the elements along `dims` in reverse order."""
    if not order and dims is None:
        raise TypeError('flip() missing 1 required positional arguments: "dims"')
    wanted = to_sizes(order if dims is None else (dims,))
    return Flip.apply(input, dims=normalize_dims(wanted, input.ndim, "flip") if wanted else ())


def fliplr(input):
    """Return a copy with the columns (dim 1) in reverse order."""
    if input.ndim < 2:
        raise RuntimeError(f"fliplr: Input must be >= 2-d, got {input.ndim}-d")
    return flip(input, 1)


def flipud(input):
    """Return a copy with the rows (dim 0) in reverse order."""
    if input.ndim < 1:
        raise RuntimeError("flipud: Input must be >= 1-d, got a number")
    return flip(input, 0)


def rot90(input, k=1, dims=(0, 1)):
    """Return a copy turned `k` times by 90 degrees in the plane of two dims, from the first to the second."""
    dims = to_sizes((dims,))
    if len(dims) != 2 or input.ndim < 2:
        raise RuntimeError(
            f"rot90: expected total rotation dims == 2 and a tensor of at least 2 dims, got dims {dims} and "
            f"shape {tuple(input.shape)}"
        )
    if any(not -input.ndim <= d < input.ndim for d in dims):
        raise IndexError(f"rot90: rotation dims {dims} out of range for {input.ndim} dims")
    first, second = (d % input.ndim for d in dims)
    if first == second:
        raise RuntimeError(f"rot90: expected rotation dims to be different, but got {dims}")
    return Rot90.apply(input, turns=k % 4, dims=(first, second))


def roll(input, shifts, dims=None):
    """Return the elements moved on, round the end, by `shifts` along `dims` or in the flattened tensor."""
    shifts = (shifts,) if isinstance(shifts, int) else to_sizes((shifts,))
    dims = () if dims is None else (dims,) if isinstance(dims, int) else to_sizes((dims,))
    if not shifts:
        raise RuntimeError("roll: `shifts` required")
    if not dims and len(shifts) == 1:
        size = input.numel()
        return Roll.apply(input, shifts=(shifts[0] % size if size else 0,), dims=None)
    if len(shifts) != len(dims):
        raise RuntimeError(f"roll: shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    found = tuple(normalize_dim(d, input.ndim, "roll") for d in dims)
    return Roll.apply(input, shifts=shifts, dims=found)


def repeat(x, *sizes, repeats=None):
    """Return copies side by side: `repeats[d]` times along each dim; new dims may come in front."""
    times = to_sizes(sizes if repeats is None else (repeats,))
    if len(times) < x.ndim:
        raise RuntimeError(
            f"repeat: Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            f"tensor, got {times} for {tuple(x.shape)}"
        )
    if any(n < 0 for n in times):
        raise RuntimeError(f"repeat: a number of repeats cannot be negative, got {times}")
    return Repeat.apply(x, times=times)


def tile(input, *sizes, dims=None):
    """Return copies side by side, as `repeat`; missing numbers in front count as 1."""
    times = to_sizes(sizes if dims is None else (dims,))
    return repeat(input, (1,) * (input.ndim - len(times)) + times)


def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Return each element (or slice along `dim`) repeated: [a, b] becomes [a, a, b, b].

    repeats: an int, or a tensor of one for each slice. With `repeats` alone, a tensor: the numbers 0, 1, ...
    repeated so. output_size: how long the result is, if known; RuntimeError if it is not.
    """
    if repeats is None:
        return input._wrap(input._kernels.repeat(_counts(input)))
    if dim is None:
        return repeat_interleave(flatten(input), repeats, 0, output_size=output_size)
    if not input.ndim:
        normalize_dim(dim, 0, "repeat_interleave")
        return repeat_interleave(reshape(input, 1), repeats, 0, output_size=output_size)
    d = normalize_dim(dim, input.ndim, "repeat_interleave")
    if hasattr(repeats, "_array"):
        times = _counts(repeats)
        if times.size not in (1, input.shape[d]):
            raise RuntimeError(
                f"repeat_interleave: repeats must have the same size as input along dim {d}, got "
                f"{times.size} and {input.shape[d]}"
            )
        k = input._kernels
        if times.size == 1:  # for every slice
            times = k.expand(times.reshape(1), (input.shape[d],))
        rows = k.repeat(times)
        _check_output_size(output_size, rows.size)
        return input.index_select(d, input._wrap(rows))
    if isinstance(repeats, tuple | list):
        raise TypeError(
            "repeat_interleave: repeats must be an int or a Tensor, not a list; wrap it: tensor(...)"
        )
    if repeats < 0:
        raise RuntimeError(f"repeat_interleave: Repeats must be non-negative, got {repeats}")
    _check_output_size(output_size, input.shape[d] * repeats)
    shape = (*input.shape[: d + 1], repeats, *input.shape[d + 1 :])
    return flatten(expand(unsqueeze(input, d + 1), shape).clone(), d, d + 1)


def _counts(repeats):
    if repeats.dtype not in (dtypes.int32, dtypes.int64):
        raise NotImplementedError(
            f"repeat_interleave: repeats has to be of int64 or int32, got {repeats.dtype!r}; use .long()"
        )
    if repeats.ndim > 1:
        raise RuntimeError(
            f"repeat_interleave: repeats has to be a 0-D or 1-D tensor, got shape {tuple(repeats.shape)}"
        )
    array = repeats._array
    if array.size and repeats._kernels.bounds(array)[0] < 0:
        raise RuntimeError("repeat_interleave: repeats can not be negative")
    return array


def _check_output_size(output_size, found: int) -> None:
    if output_size is not None and output_size != found:
        raise RuntimeError(f"repeat_interleave: the result is of size {found}, not output_size={output_size}")
