"""Lifting a function of numbers to arrays on the GPU: a kernel that computes it at every position.

`lift` makes the kernel, `run` launches it over operands of any strides that broadcast.

A thread goes through groups of neighbours. Of an array whose groups lie at multiples of their size it takes
one by one instruction; of others, as a row that is repeated or a transposed matrix, number by number. What is
left over follows element by element: less than a group, or all where the ends of rows would part groups.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from kernels.cuda import vectors
from kernels.cuda.array import DeviceArray, Layout, empty_of, layout, without_gaps
from kernels.cuda.compile import Kernel, cuda, device, element_type, grid_over, register, specialised
from kernels.cuda.geometry import Launch, coordinates, neighbours, offset, walk

# x0, x1 ... are the operands, n0, n1 ... the numbers. All indices are of 32 bits: see `geometry.walk`.
_KERNEL = """
def {name}({pointers}out, {numbers}wide, size, groups, count, shape, inverses, {steps}out_steps):
    i, step = np.uint32(cuda.grid(1)), np.uint32(cuda.gridsize(1))
    {loop}
    i = np.uint32(groups * WIDTH + cuda.grid(1))
    while i < size:
        {places}out_place, = places(i, count, shape, inverses, {steps}out_steps)
        out[out_place] = {result}
        i = np.uint32(i + step)
"""
_LOOP = """
    while i < groups:
        {places}out_place, = places(np.uint32(i * WIDTH), count, shape, inverses, {steps}out_steps)
        {reads}
        write(out, out_place, out_steps[0], wide & {written}, each({operands}{numbers}))
        i = np.uint32(i + step)
"""
# Of one operand two groups are under way at once: the next is read before this one is written.
_LOOP_OF_ONE = """
    next_x0, next_place = NOTHING, 0
    while i < groups + step:
        x0_group, out_place = next_x0, next_place
        if i < groups:
            x0_place, next_place = places(np.uint32(i * WIDTH), count, shape, inverses, x0_steps, out_steps)
            next_x0 = read(x0, x0_place, x0_steps[0], wide & 1)
        if i >= step:
            write(out, out_place, out_steps[0], wide & 2, each(x0_group, {numbers}))
        i = np.uint32(i + step)
"""
_PLACES = """
def places(i, count, shape, inverses, {steps}):
    if count == 1:
        return {in_a_row},
    at = coordinates(i, count, shape, inverses)
    return {among_dims},
"""
_GROUPS = """
def read(x, at, step, is_vector):
    if is_vector:
        return load(x, at, {width})
    return {numbers},

def write(out, at, step, is_vector, values):
    if is_vector:
        store(out, at, values)
    else:
        {writes}
"""
_EACH = """
def each({arguments}):
    return {results},
"""
_TRUTH = """
def truth({arguments}):
    return function({arguments}) != 0
"""
_ENOUGH_THREADS = 1 << 19  # twice what a large GPU runs at once


def _define(text: str, **scope) -> dict[str, Callable]:
    """Return the functions of a piece of Python by their names."""
    made = {"__name__": __name__, **scope}
    exec(compile(text, f"<{text.split('(')[0].split()[1]}>", "exec"), made)
    return {name: made[name] for name in made if f"def {name}(" in text}


@cache
def _groups(width: int) -> dict[str, Callable]:
    """Return the functions that read and write groups, by vectors or number by number."""
    text = _GROUPS.format(
        width=width,
        numbers=", ".join([f"x[at + {n} * step]" for n in range(width)]),
        writes="; ".join([f"out[at + {n} * step] = values[{n}]" for n in range(width)]),
    )
    made = _define(text, load=vectors.load, store=vectors.store)
    return {name: device(function) for name, function in made.items()}


@cache
def _places(count: int) -> Callable:
    """Return the function that finds where an element lies in each of `count` arrays."""
    steps = [f"s{n}" for n in range(count)]
    text = _PLACES.format(
        steps=", ".join(steps),
        in_a_row=", ".join([f"np.int64(np.int32(i * {s}[0]))" for s in steps]),
        among_dims=", ".join([f"offset(at, {s})" for s in steps]),
    )
    return device(_define(text, np=np, coordinates=coordinates, offset=offset)["places"])


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
    arguments = function.__code__.co_varnames[: function.__code__.co_argcount]
    arrays, given = [f"x{n}" for n in range(len(operands))], [f"n{n}" for n in range(len(numbers))]
    called = dict(zip([*operands, *numbers], [*arrays, *given], strict=True))

    def call(element: str) -> str:
        """Return the Python that calls the function with an element of each operand."""
        found = [element.format(called[a]) if a in operands else called.get(a, "T(0)") for a in arguments]
        return f"function({', '.join(found)})"

    def of_each(form: str) -> str:
        return "".join([form.format(x, 1 << n) for n, x in enumerate(arrays)])

    text = _KERNEL.replace("{loop}", (_LOOP_OF_ONE if len(arrays) == 1 else _LOOP).strip())
    text = text.format(
        name=name,
        pointers=of_each("{0}, "),
        numbers="".join([f"{n}, " for n in given]),
        places=of_each("{0}_place, "),
        steps=of_each("{0}_steps, "),
        reads=of_each("{0}_group = read({0}, {0}_place, {0}_steps[0], wide & {1}); "),
        operands=of_each("{0}_group, "),
        written=1 << len(arrays),
        result=call("{0}[{0}_place]"),
    )

    def names(kind: dict[str, np.dtype]) -> dict:
        dtypes = [kind.get(letter) or np.dtype(letter) for letter in [*operands.values(), result]]
        width = neighbours([dtype.itemsize for dtype in dtypes])
        each = _EACH.format(
            arguments=", ".join([*arrays, *given]),
            results=", ".join([call(f"{{0}}[{n}]") for n in range(width)]),
        )
        one = device(specialised(function, kind))
        if dtypes[-1] == np.bool_:  # a sum of bools may be 2
            one = device(_define(_TRUTH.format(arguments=", ".join(arguments)), function=one)["truth"])
        letters = {letter: element_type(dtype) for letter, dtype in kind.items()}
        zero = np.uint8(0) if dtypes[0] == np.bool_ else dtypes[0].type(0)
        return {
            "function": one, "each": device(_define(each, function=one, **letters)["each"]),
            "places": _places(len(dtypes)), **_groups(width), "WIDTH": width,
            "NOTHING": (zero,) * width,
        }  # fmt: skip

    # What is the same for all arrays of these layouts comes last: see `_Part`.
    parts = [f"{letter}*" for letter in operands.values()]
    parts += [f"out {result}*", *numbers.values(), *["uint32"] * 4, *["dims"] * (3 + len(operands))]
    made = _define(text, cuda=cuda, np=np)[name]
    return register(Kernel(made, ", ".join(parts), kinds, names, family=family))


def run(made: Kernel, arrays: Sequence[DeviceArray], numbers=(), out: DeviceArray | None = None, dtype=None):
    """Launch a lifted kernel: return a new array of `dtype` (that of the first), or `out`, filled.

    Raises ValueError for operands that do not broadcast. `out` may be one of them, or overlap them.
    """
    if out is None:
        key = dtype, *[a.layout for a in arrays]
        plan = made.plans.get(key) or _keep(made, key, arrays, _layout_for(arrays, dtype))
        out = empty_of(plan.layout)
    else:
        key = out.layout, *[a.layout for a in arrays]
        plan = made.plans.get(key) or _keep(made, key, arrays, out.layout)
        first, end = out.address + out.layout.low, out.address + out.layout.high
        for a in arrays:
            if a is out:
                continue
            overlaps = a.address + a.layout.low < end and first < a.address + a.layout.high
            if overlaps and not _same_places(a, out):
                return run(made, _apart(arrays, out), numbers, out)
    given = [*arrays, out]
    for part in plan.parts:
        part(given, numbers)
    return out


def _apart(arrays: Sequence[DeviceArray], out: DeviceArray) -> list[DeviceArray]:
    """Copy what lies otherwise in the same memory: it would be overwritten before it is read."""
    return [a.copy() if a.may_share_memory(out) and not _same_places(a, out) else a for a in arrays]


def _layout_for(arrays: Sequence[DeviceArray], dtype) -> Layout:
    """Return the layout of a new result: that of the first array that is as large, without gaps."""
    shape = arrays[0].shape
    if any(a.shape != shape for a in arrays):
        shape = np.broadcast_shapes(*[a.shape for a in arrays])
    dtype = arrays[0].dtype if dtype is None else dtype
    whole = [a for a in arrays if a.shape == shape and 0 not in a.strides]
    return without_gaps(whole[0].layout, dtype) if whole else layout(shape, None, dtype, True)


class _Part:
    """A part of `walk`, ready to be launched on any arrays of the same layouts; given operands and result."""

    __slots__ = ("_aligned", "_block", "_blocks", "_launch", "_part", "_starts_later")

    def __init__(self, made: Kernel, part: Launch, dtypes: Sequence[np.dtype]):
        self._part, self._starts_later = part, any(part.starts)
        self._aligned = sum(1 << n for n, mask in enumerate(part.masks) if mask >= 0)
        self._blocks, self._block = grid_over(min(part.work, max(_ENOUGH_THREADS, part.work // 4)))
        self._launch = made.with_last(
            tuple(dtypes), part.size, part.groups, part.dims, part.shape, part.inverses, *part.steps
        )

    def __call__(self, arrays: Sequence[DeviceArray], numbers: Sequence) -> None:
        if self._starts_later:
            arrays = self._part.parts_of(arrays)
        places = 0
        for array in arrays:
            places |= array.address
        wide = self._part.wide(arrays) if places % vectors.BYTES else self._aligned
        self._launch(self._blocks, self._block, *arrays, *numbers, wide)


class _Plan(NamedTuple):
    """What launches a lifted kernel on arrays of certain layouts; layout: that of the result."""

    layout: Layout
    parts: list[_Part]


_MOST_PLANS = 4096


def _keep(made: Kernel, key: tuple, arrays: Sequence[DeviceArray], result: Layout) -> _Plan:
    """Make a plan, and keep it: a training step has the same shapes as the one before."""
    shape = np.broadcast_shapes(result.shape, *[a.shape for a in arrays])
    if shape != result.shape:
        raise ValueError(
            f"operands of shapes {[a.shape for a in arrays]} do not fit a result of {result.shape}"
        )
    layouts = [*[a.layout for a in arrays], result]
    dtypes = [known.dtype for known in layouts]
    parts = [_Part(made, part, dtypes) for part in walk(shape, layouts, by_groups=True) if part.size]
    if len(made.plans) >= _MOST_PLANS:
        made.plans.clear()
    made.plans[key] = plan = _Plan(result, parts)
    return plan


def launch(made: Kernel, part: Launch, arrays: Sequence[DeviceArray], numbers: Sequence = ()) -> None:
    """Launch a lifted kernel over a part of `walk`; arrays: operands and result, from where it begins."""
    made.over(
        min(part.work, max(_ENOUGH_THREADS, part.work // 4)),
        *arrays, *numbers, part.wide(arrays), part.size, part.groups, part.dims, part.shape, part.inverses,
        *part.steps,
    )  # fmt: skip


def _same_places(a: DeviceArray, b: DeviceArray) -> bool:
    return a.address == b.address and a.shape == b.shape and a.strides == b.strides
