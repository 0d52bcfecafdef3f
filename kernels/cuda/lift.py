"""Lifting a function of numbers to arrays on the GPU: a kernel that computes it at every position.

`lift` makes the kernel, `run` launches it over operands of any strides that broadcast.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kernels.cuda.array import DeviceArray, empty, empty_like
from kernels.cuda.compile import Kernel, cuda, device, register, specialised
from kernels.cuda.geometry import place, walk

_SOURCE = """
def {name}(size, count, shape, {pointers}{numbers}out, out_steps):
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        out[place(i, count, shape, out_steps)] = store(function({values}))
"""
_SCOPE = {"cuda": cuda, "place": place, "__name__": __name__}


@device
def _as_it_is(value):
    return value


@device
def _not_zero(value):
    return value != 0  # a sum of bools may be 2


def lift(
    family: str,
    name: str,
    function: Callable,
    operands: Mapping[str, str],
    kinds: Sequence[str],
    numbers: Mapping[str, str] | None = None,
    result: str = "T",
) -> Kernel:
    """Make the kernel of a function of numbers.

    operands: its arguments that are arrays, with their element types: letters, or names such as "bool".
    numbers: its arguments that are numbers, of which there is one for all positions. Arguments in neither are
    not read by the function, and are given 0. result: the element type of the result. kinds: see `kernel`.
    """
    numbers = numbers or {}
    known = {n: _renamed(n) for n in function.__code__.co_varnames[: function.__code__.co_argcount]}
    source = _SOURCE.format(
        name=name,
        pointers="".join(f"{_renamed(n)}, {_renamed(n)}_steps, " for n in operands),
        numbers="".join(f"{n}, " for n in numbers),
        values=", ".join(
            f"{known[n]}[place(i, count, shape, {known[n]}_steps)]"
            if n in operands
            else n
            if n in numbers
            else "T(0)"
            for n in known
        ),
    )
    scope: dict = {}
    exec(compile(source, f"<{name}>", "exec"), _SCOPE, scope)

    def names(kind: dict[str, np.dtype]) -> dict:
        written = kind.get(result) or np.dtype(result)
        store = _not_zero if written == np.bool_ else _as_it_is
        return {"function": device(specialised(function, kind)), "store": store}

    parts = ["int64", "int64", "dims"]
    for letter in operands.values():
        parts += [f"{letter}*", "dims"]
    parts += [*numbers.values(), f"out {result}*", "dims"]
    return register(Kernel(scope[name], ", ".join(parts), kinds, names, family=family))


def _renamed(name: str) -> str:
    return "result" if name == "out" else name  # "out" is what the kernel writes


def run(made: Kernel, arrays: Sequence[DeviceArray], numbers=(), out: DeviceArray | None = None, dtype=None):
    """Launch a lifted kernel: return a new array of `dtype` (that of the first), or `out`, filled.

    Raises ValueError for operands that do not broadcast. `out` may be one of them, or overlap them.
    """
    shape = arrays[0].shape if out is None else out.shape
    if any(a.shape != shape for a in arrays):
        found = np.broadcast_shapes(shape, *[a.shape for a in arrays])
        if out is not None and found != shape:
            raise ValueError(f"operands of shapes {[a.shape for a in arrays]} do not fit a result of {shape}")
        shape = found
    if out is None:
        dtype = arrays[0].dtype if dtype is None else dtype
        whole = [a for a in arrays if a.shape == shape and 0 not in a.strides]
        out = empty_like(whole[0], dtype) if whole else empty(shape, dtype)
    else:
        # An operand that lies otherwise in the same memory would be overwritten before it is read.
        arrays = [a.copy() if a.may_share_memory(out) and not _same_places(a, out) else a for a in arrays]
    for size, count, sizes, moved, steps in walk(shape, [*arrays, out]):
        operands = [x for pair in zip(moved[:-1], steps[:-1], strict=True) for x in pair]
        made.over(size, size, count, sizes, *operands, *numbers, moved[-1], steps[-1])
    return out


def _same_places(a: DeviceArray, b: DeviceArray) -> bool:
    return a.address == b.address and a.shape == b.shape and a.strides == b.strides
