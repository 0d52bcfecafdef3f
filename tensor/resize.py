"""Resizing the spatial dims of images and sequences: nearest, linear, cubic, by area."""

import math
import numbers

from tensor import pool
from tensor.autograd import Operation
from tensor.operands import require_tensor

_LINEAR = {"linear": 3, "bilinear": 4, "trilinear": 5}  # the dims of the input that each is for
_NAMES = {"nearest": "UpsampleNearest", "nearest-exact": "UpsampleNearestExact", "bicubic": "UpsampleBicubic"}


class Resize(Operation):
    """One dim resized; each number of the result is a weighted sum of a few."""

    gradients_in_words = ("grad, by the weights of each number",)

    def forward(self, k, x, dim, table, name):
        self.printed_name = name
        self.dim, self.size, self.table = dim, x.shape[dim], table
        return k.resize(x, dim, self.size, table)

    def backward(self, k, grad):
        return (k.resize_dx(grad, self.dim, self.size, self.table),)


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """Resize the dims after batch and channels to `size`, or by `scale_factor` (the size is rounded down).

    input: (batch, channels, length), (batch, channels, height, width) or of one more dim. mode: "nearest",
    "nearest-exact", "area", for the three "linear", "bilinear", "trilinear", for images "bicubic".
    align_corners: the corners' centres stay where they are, not the borders. recompute_scale_factor: the
    positions follow from the rounded size. antialias: for smaller images ("bilinear", "bicubic") average what
    becomes one pixel.
    """
    require_tensor("interpolate", "input", input)
    if mode in ("nearest", "nearest-exact", "area"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | "
                f"bicubic | trilinear, got mode {mode!r}"
            )
    else:
        align_corners = bool(align_corners)
    dims = input.ndim - 2
    size, scales = _wanted(input, dims, size, scale_factor)
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if size is None:
        size = [math.floor(float(n) * f) for n, f in zip(input.shape[2:], scales, strict=True)]
        if recompute_scale_factor or mode == "area":
            scales = None
    if antialias and not (mode in ("bilinear", "bicubic") and input.ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input"
        )
    _check_mode(mode, input.ndim)
    if any(n <= 0 for n in size) or any(n <= 0 for n in input.shape[1:]):
        raise RuntimeError(
            f"interpolate: Input and output sizes should be greater than 0, but got input "
            f"{list(input.shape[2:])} and output {list(size)}"
        )
    if mode == "area":
        return _by_area(input, size)
    return _by_dims(input, size, scales, mode, bool(align_corners), antialias)


def _wanted(input, dims: int, size, scale_factor):
    """Return (sizes, None) or (None, scales), one for each spatial dim."""
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    given, name = (size, "size") if size is not None else (scale_factor, "scale_factor")
    values = list(given) if isinstance(given, list | tuple) else [given] * dims
    if len(values) != dims:
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got input with spatial "
            f"dimensions of {list(input.shape[2:])} and {name} of {given}. Please provide input tensor in "
            "(N, C, d1, d2, ...,dK) format."
        )
    if size is None:
        return None, [float(f) for f in values]
    if not all(isinstance(n, numbers.Integral) for n in values):
        raise TypeError(f"expected size to be one of int or Tuple[int] but got size {given}")
    return [int(n) for n in values], None


def _check_mode(mode: str, ndim: int) -> None:
    known = mode in ("nearest", "nearest-exact", "area", "bicubic", *_LINEAR)
    if known and 3 <= ndim <= 5:
        wanted = 4 if mode == "bicubic" else _LINEAR.get(mode, ndim)
        if ndim == wanted:
            return
        raise NotImplementedError(f"Got {ndim}D input, but {mode} mode needs {wanted}D input")
    raise NotImplementedError(
        "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
        f"{ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact "
        f"(got {mode})"
    )


def _by_area(input, size):
    if input.ndim == 3:
        return pool.adaptive_avg_pool1d(input, size)
    if input.ndim == 4:
        return pool.adaptive_avg_pool2d(input, size)
    raise NotImplementedError("interpolate: mode 'area' is there for 3D and 4D input; 'trilinear' takes 5D")


def _by_dims(input, size, scales, mode: str, align_corners: bool, antialias: bool):
    spatial = input.ndim - 2
    kind = "linear" if mode in _LINEAR else "cubic" if mode == "bicubic" else mode
    name = f"{_NAMES.get(mode) or 'Upsample' + mode.title()}{spatial}D" + ("Aa" if antialias else "")
    out, k = input, input._kernels
    if not input.is_floating_point() and kind not in ("nearest", "nearest-exact"):
        raise NotImplementedError(f"interpolate: {mode} is for floats, got {input.dtype!r}; use .float()")
    for d in range(spatial):
        old, new = input.shape[2 + d], size[d]
        table = k.resize_table(
            kind + ("-antialias" if antialias else ""),
            old,
            new,
            None if scales is None else scales[d],
            align_corners,
            input._array.dtype,
        )
        out = Resize.apply(out, dim=2 + d, table=table, name=name)
    return out
