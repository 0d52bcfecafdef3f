"""Sums of what numbers deviate by from a mean: of squares, and of products with a gradient."""

import math

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import FLOATS, Kernel, cuda, device, register
from kernels.cuda.geometry import place
from kernels.cuda.lift import lift, run
from kernels.cuda.memory import contiguous, full
from kernels.cuda.reduce import BLOCK, LAYOUT, MOST_BLOCKS, layout, sum


@device
def _deviation_itself(factor, at, deviation):
    return deviation


@device
def _factor_there(factor, at, deviation):
    return factor[at]


def _sum_products(
    results, parts, length, kept, kept_shape, kept_steps, count, shape, steps,
    x, factor, center, rest, total, product,
):  # fmt: skip
    """Sum f and f * d of each part; d = x - center - rest of the result, f = d or an element of `factor`."""
    shared = cuda.shared.array(BLOCK, T)  # noqa: F821
    products = cuda.shared.array(BLOCK, T)  # noqa: F821
    t = cuda.threadIdx.x
    for block in range(cuda.blockIdx.x, results * parts, cuda.gridDim.x):
        result, part = block // parts, block % parts
        first, end = length * part // parts, length * (part + 1) // parts
        base = place(result, kept, kept_shape, kept_steps)
        middle, more = center[result], rest[result]
        a, b = T(0), T(0)  # noqa: F821
        for i in range(first + t, end, BLOCK):
            at = base + place(i, count, shape, steps)
            deviation = (x[at] - middle) - more
            f = factor_of(factor, at, deviation)  # noqa: F821
            a += f
            b += f * deviation
        shared[t] = a
        products[t] = b
        cuda.syncthreads()
        width = BLOCK // 2
        while width > 0:
            if t < width:
                shared[t] += shared[t + width]
                products[t] += products[t + width]
            cuda.syncthreads()
            width //= 2
        if t == 0:
            total[block] = shared[0]
            product[block] = products[0]
        cuda.syncthreads()  # the next result overwrites what is read here


def _products(name: str, factor_of) -> Kernel:
    signature = f"{LAYOUT}, T*, T*, T*, T*, out T*, out T*"
    return register(Kernel(_sum_products, signature, FLOATS, {"factor_of": factor_of}, name))


_deviations = _products("deviations", _deviation_itself)
_shares = _products("shares", _factor_there)


def _two_sums(made: Kernel, x, factor, center, rest, dims) -> tuple[DeviceArray, DeviceArray]:
    x, shape, numbers = layout(x, dims)
    results, parts = numbers[:2]
    total = empty((results, parts), x.dtype)
    product = empty((results, parts), x.dtype)
    if results:
        center, rest = contiguous(center), contiguous(rest)
        made.launch(
            min(results * parts, MOST_BLOCKS), BLOCK,
            *numbers, x, x if factor is None else factor, center, rest, total, product,
        )  # fmt: skip
    if parts > 1:
        total, product = sum(total, (1,)), sum(product, (1,))
    return total.reshape(shape), product.reshape(shape)


def deviations(x: DeviceArray, center: DeviceArray, rest: DeviceArray, dims: tuple[int, ...]):
    """Return the sums over `dims` of d = x - center - rest and of its square; a center for each result."""
    return _two_sums(_deviations, x, None, center, rest, dims)


def shares(x: DeviceArray, factor: DeviceArray, center: DeviceArray, rest: DeviceArray, dims):
    """Return the sums over `dims` of factor, and of factor * (x - center - rest); both of one shape."""
    return _two_sums(_shares, contiguous(x), contiguous(factor), center, rest, dims)


def _without_drift(square, total, length):
    return square - total * total / length  # the mean was rounded to x's type


_square_deviation = lift(
    "deviations", "square_deviation", _without_drift, {"square": "T", "total": "T"}, FLOATS, {"length": "T"}
)


def square_deviation(x: DeviceArray, mean: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return the sum over `dims` of squared deviations; mean (rounded) holds one number for each result."""
    mean = contiguous(mean)
    total, square = deviations(x, mean, full(mean.shape, 0, x.dtype), dims)
    length = max(math.prod(x.shape[d] for d in dims), 1)
    return run(_square_deviation, [square, total], [float(length)], out=empty(square.shape, x.dtype))
