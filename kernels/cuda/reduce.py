"""Sums, and whether any or all elements hold, over any set of dims: in one fixed order, on every GPU.

A block of threads reduces the elements of one result: each thread those a block's width apart, then the
threads' results pair by pair. What is long is cut into parts, whose results are reduced in turn; into how
many depends on the shape alone. So the same elements give the same bits, and the error of a float32 sum grows
with the logarithm of its length.
"""

import math

import numpy as np

from kernels.cuda.array import DeviceArray, empty
from kernels.cuda.compile import ALL, FLOATS, INTEGERS, MOST_DIMS, Kernel, cuda, device, register, threads
from kernels.cuda.geometry import merge, packed, place

BLOCK = threads(256)
_PART = 4096  # elements of a part
_MOST_PARTS = 1024
_MANY_RESULTS = 512  # so many results keep the GPU busy by themselves


def _reduce(results, parts, length, kept, kept_shape, kept_steps, count, shape, steps, x, out):
    """out[result, part] = the elements of one part of what makes a result."""
    shared = cuda.shared.array(BLOCK, A)  # noqa: F821
    t = cuda.threadIdx.x
    for block in range(cuda.blockIdx.x, results * parts, cuda.gridDim.x):
        result, part = block // parts, block % parts
        first, end = length * part // parts, length * (part + 1) // parts
        base = place(result, kept, kept_shape, kept_steps)
        total = A(START)  # noqa: F821
        for i in range(first + t, end, BLOCK):
            total = combine(total, taken(x[base + place(i, count, shape, steps)]))  # noqa: F821
        shared[t] = total
        cuda.syncthreads()
        width = BLOCK // 2
        while width > 0:
            if t < width:
                shared[t] = combine(shared[t], shared[t + width])  # noqa: F821
            cuda.syncthreads()
            width //= 2
        if t == 0:
            out[block] = shared[0]
        cuda.syncthreads()  # the next result overwrites what is read here


@device
def _plus(x, y):
    return x + y


@device
def _or(x, y):
    return x | y


@device
def _and(x, y):
    return x & y


@device
def _itself(x):
    return x


@device
def _holds(x):
    return 1 if x != 0 else 0


_SIGNATURE = "int64, int64, int64, int64, dims, dims, int64, dims, dims, S*, out A*"


def _reduction(name: str, combine, taken, start, kinds) -> Kernel:
    """Return the kernel of a reduction. kinds: element types, and that of what is accumulated."""
    scope = {"combine": combine, "taken": taken, "START": start}
    return register(Kernel(_reduce, _SIGNATURE, kinds, scope, name))


_sum = _reduction(
    "sum", _plus, _itself, 0, [*[f"{t} {t}" for t in FLOATS], *[f"{t} int64" for t in INTEGERS]]
)
_count = _reduction("count", _plus, _holds, 0, ["bool int64"])
_any = _reduction("any", _or, _holds, 0, [f"{t} bool" for t in ALL])
_all = _reduction("all", _and, _holds, 1, [f"{t} bool" for t in ALL])


def parts_of(results: int, length: int) -> int:
    """Return into how many parts each of `results` results of `length` elements is cut."""
    if results >= _MANY_RESULTS or length <= _PART:
        return 1
    return min(-(-length // _PART), _MOST_PARTS)


def _over(made: Kernel, again: Kernel, x: DeviceArray, dims: tuple[int, ...], dtype) -> DeviceArray:
    """Reduce over `dims`, which are dropped; `again` reduces the results of parts."""
    kept = [d for d in range(x.ndim) if d not in dims]
    shape = tuple(x.shape[d] for d in kept)
    results, length = math.prod(shape), math.prod(x.shape[d] for d in dims)
    parts = parts_of(results, length)
    out = empty((*shape, parts) if parts > 1 else shape, dtype)
    if results:
        steps = [s // x.itemsize for s in x.strides]
        outer_sizes, (outer_steps,) = merge(shape, [[steps[d] for d in kept]])
        sizes, (inner,) = merge([x.shape[d] for d in dims], [[steps[d] for d in dims]])
        if max(len(outer_sizes), len(sizes)) > MOST_DIMS:
            rows = x.transpose([*kept, *dims]).copy().reshape(results, length)
            return _over(made, again, rows, (1,), dtype).reshape(shape)
        made.launch(
            min(results * parts, 1 << 16), BLOCK,
            results, parts, length,
            len(outer_sizes), packed(outer_sizes, 1), packed(outer_steps, 0),
            len(sizes), packed(sizes, 1), packed(inner, 0),
            x, out,
        )  # fmt: skip
    return _over(again, again, out, (len(shape),), dtype) if parts > 1 else out


def sum(x: DeviceArray, dims: tuple[int, ...], keepdim: bool = False) -> DeviceArray:
    """Sum over `dims` (each 0 <= d < x.ndim, ascending). Integers and bools sum to int64."""
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.int64)
    out = _over(_count if x.dtype == np.bool_ else _sum, _sum, x, dims, dtype)
    return out.reshape([1 if d in dims else n for d, n in enumerate(x.shape)]) if keepdim else out


def sum_to(grad: DeviceArray, shape: tuple[int, ...]) -> DeviceArray:
    """Sum `grad` over the dimensions along which `shape` was broadcast; the result has that shape."""
    if grad.shape == shape:
        return grad
    lead = grad.ndim - len(shape)
    dims = (*range(lead), *(lead + d for d, n in enumerate(shape) if n == 1 and grad.shape[lead + d] != 1))
    return sum(grad, dims).reshape(shape)


def any(x: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return whether any element over `dims` is not zero."""
    return _over(_any, _any, x, dims, np.bool_)


def all(x: DeviceArray, dims: tuple[int, ...]) -> DeviceArray:
    """Return whether every element over `dims` is not zero."""
    return _over(_all, _all, x, dims, np.bool_)
