"""Lifting a formula of floats to arrays: `lift(tanh, float32)` is a function of arrays.

Numba compiles one small loop for a formula, over numbers that lie side by side in memory. All else is shared
by every formula, and compiled once: `_run_row` brings numbers from any strides into such blocks, and

- small arrays go through a NumPy ufunc made of the two, in half a microsecond: NumPy broadcasts, allocates
  and keeps overlapping memory apart;
- large arrays are cut into one range for each thread.

In float32 the formula's `math` is `kernels.cpu.fast_math`. No warning is given for what IEEE 754 defines.
"""

import functools
import platform
from collections.abc import Callable, Sequence
from operator import attrgetter
from types import FunctionType

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.ufunc._internal import fromfunc

from kernels.cpu import fast_math
from kernels.cpu.compile import (
    c_function,
    define,
    digest,
    get_num_threads,
    jit,
    with_constants_of,
)
from kernels.cpu.launch import shared_kernel

_INDEX, _FOUR_BYTES, _EIGHT_BYTES = types.intp, types.int32, types.int64
_BLOCK = 512  # numbers of each operand that are gathered at a time: they stay in the first-level cache
_MOST_INPUTS = 7
LARGE = 40_000
"""From this many elements on, the work is shared among the threads: starting them costs some 5 us."""


# --- memory at an address --------------------------------------------------------------------------


@intrinsic
def load(_context, kind, address, index):
    """Return number `index` of those of type `kind` that lie at `address`."""

    def emit(context, builder, _signature, arguments):
        pointer = builder.inttoptr(arguments[1], context.get_data_type(kind.dtype).as_pointer())
        return builder.load(builder.gep(pointer, [arguments[2]]))

    return kind.dtype(kind, _INDEX, _INDEX), emit


@intrinsic
def store(_context, address, index, value):
    """Write `value` as number `index` of those of its type that lie at `address`."""

    def emit(context, builder, _signature, arguments):
        pointer = builder.inttoptr(arguments[0], context.get_data_type(value).as_pointer())
        builder.store(arguments[2], builder.gep(pointer, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(_INDEX, _INDEX, value), emit


@intrinsic(prefer_literal=True)
def _reserve(_context, size):
    """Return the address of `size` bytes, a literal, on the stack of the calling function."""
    count = size.literal_value

    def emit(context, builder, _signature, _arguments):
        with builder.goto_entry_block():  # not alloca_once: that fills it with zeros, at every call
            place = builder.alloca(ir.ArrayType(ir.IntType(64), (count + 7) // 8))
        place.align = 64
        return builder.ptrtoint(place, context.get_value_type(_INDEX))

    return _INDEX(size), emit


@intrinsic
def _call(_context, function, pointers, count):
    """Call the loop at the address `function`."""

    def emit(context, builder, _signature, arguments):
        index = context.get_value_type(_INDEX)
        kind = ir.FunctionType(ir.VoidType(), [index, index])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(_INDEX, _INDEX, _INDEX), emit


_CLEARS_FLAGS = {"x86_64": "x86", "AMD64": "x86", "aarch64": "arm", "arm64": "arm"}.get(platform.machine())


@intrinsic
def _forget_exceptions(_context):
    """Clear the floating-point exception flags: NumPy would make warnings of them."""

    def emit(context, builder, _signature, _arguments):
        word, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        if _CLEARS_FLAGS == "x86":
            register = cgutils.alloca_once(builder, word)
            kind = ir.FunctionType(ir.VoidType(), [byte])
            address = builder.bitcast(register, byte)
            read = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.stmxcsr")
            write = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.ldmxcsr")
            builder.call(read, [address])
            flags = builder.load(register)
            with builder.if_then(builder.icmp_unsigned("!=", builder.and_(flags, word(0x3F)), word(0))):
                builder.store(builder.and_(flags, word(0xFFFFFFC0)), register)
                builder.call(write, [address])
        elif _CLEARS_FLAGS == "arm":
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(ir.InlineAsm(kind, "msr fpsr, xzr", "~{memory}", side_effect=True), [])
        return context.get_dummy_value()

    return types.void(), emit


# --- one loop for all formulas ---------------------------------------------------------------------


@jit
def _move(source, source_step, target, target_step, count, itemsize):
    """Copy `count` numbers of 4 or 8 bytes; steps in bytes."""
    if itemsize == 4:
        for i in range(count):
            store(target + i * target_step, 0, load(_FOUR_BYTES, source + i * source_step, 0))
    else:
        for i in range(count):
            store(target + i * target_step, 0, load(_EIGHT_BYTES, source + i * source_step, 0))


@jit
def _run_row(loop, inputs, itemsize, pointers, steps, count):
    """Run a formula's loop over `count` numbers of each operand, any step apart.

    pointers, steps: addresses of one number for each input, and one for the result.
    """
    result = load(_INDEX, pointers, inputs)
    # A result that overwrites an operand is made elsewhere: LLVM's vectors keep to memory that is apart.
    apart = load(_INDEX, steps, inputs) == itemsize
    direct = True
    for k in range(inputs):
        apart = apart and load(_INDEX, pointers, k) != result
        direct = direct and load(_INDEX, steps, k) == itemsize
    if direct and apart:
        _call(loop, pointers, count)
        return
    blocks = _reserve(8 * 8 * 512)
    table = _reserve(8 * 8)
    for start in range(0, count, _BLOCK):
        length = min(_BLOCK, count - start)
        for k in range(inputs):
            step, place = load(_INDEX, steps, k), blocks + 8 * _BLOCK * k
            source = load(_INDEX, pointers, k) + start * step
            if step == itemsize:
                place = source
            elif step != 0 or start == 0:
                _move(source, step, place, itemsize, length, itemsize)
            store(table, k, place)
        step = load(_INDEX, steps, inputs)
        if apart:
            store(table, inputs, result + start * step)
            _call(loop, table, length)
        else:
            place = blocks + 8 * _BLOCK * inputs
            store(table, inputs, place)
            _call(loop, table, length)
            _move(place, itemsize, result + start * step, step, length, itemsize)


def _run_ufunc(pointers, dims, steps, about):
    """Serve as the inner loop of a NumPy ufunc; about: the address of a formula's loop, inputs, itemsize."""
    loop, inputs, itemsize = load(_INDEX, about, 0), load(_INDEX, about, 1), load(_INDEX, about, 2)
    _run_row(loop, inputs, itemsize, pointers, steps, load(_INDEX, dims, 0))
    _forget_exceptions()


@jit
def _run_range(loop, inputs, itemsize, pointers, steps, shape, first, last):
    """Run a formula's loop over the elements first to last - 1 of arrays in order.

    pointers: (operands,); steps: (operands, dims) in bytes; shape: (dims,).
    """
    row_pointers, row_steps = _reserve(8 * 8), _reserve(8 * 8)
    inner = shape.size - 1
    for k in range(inputs + 1):
        store(row_steps, k, steps[k, inner])
    while first < last:
        row, column = first // shape[inner], first % shape[inner]
        count = min(shape[inner] - column, last - first)
        for k in range(inputs + 1):
            store(row_pointers, k, pointers[k] + column * steps[k, inner])
        for d in range(inner - 1, -1, -1):
            row, place = row // shape[d], row % shape[d]
            for k in range(inputs + 1):
                store(row_pointers, k, load(_INDEX, row_pointers, k) + place * steps[k, d])
        _run_row(loop, inputs, itemsize, row_pointers, row_steps, count)
        first += count


@shared_kernel("T[:,::1], int64[::1], int64[::1], int64, int64, int64, int64")
def _run_ranges(worker, workers, steps, pointers, shape, loop, inputs, itemsize, size):
    """Run `_run_range` on one worker's part."""
    length = -(-size // (workers * 64)) * 64  # ranges begin where a vector, and a line of the cache, begins
    first = worker * length
    _run_range(loop, inputs, itemsize, pointers, steps, shape, first, min(size, first + length))


# --- lifting ---------------------------------------------------------------------------------------


class Lifted:
    """A formula over arrays of one element type: `lifted(x, y, out=None)`, broadcasting as NumPy does.

    reads: the names of the arrays it takes. A 0-d array serves for a number.
    """

    def __init__(self, name: str, reads: tuple[str, ...], loop, dtype: np.dtype):
        self.__name__, self.reads, self._dtype = name, reads, dtype
        self._loop, self._address = loop, loop.address
        self._about = np.array([loop.address, len(reads), dtype.itemsize], np.intp)
        self.small = _make_ufunc(name, self._about, dtype, len(reads))

    def __call__(self, *arrays: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return a new array, or `out`, filled; which may be one of `arrays`."""
        for array in arrays:
            if array.size >= LARGE:
                return self.large(arrays, out)
        result = self.small(*arrays, out=out)
        return result if type(result) is np.ndarray else np.asarray(result)  # 0-d comes back as a scalar

    def large(self, arrays: Sequence[np.ndarray | float], out: np.ndarray | None) -> np.ndarray:
        """Do the same on all threads; numbers may stand for arrays."""
        operands = [a if isinstance(a, np.ndarray) else np.asarray(a, self._dtype) for a in arrays]
        threads = get_num_threads()
        plan = _plan(operands, out, self._dtype) if threads > 1 else None
        if plan is None:
            return self.small(*arrays, out=out)
        out, pointers, steps, shape = plan
        _run_ranges(
            threads, steps, pointers, shape, self._address, len(arrays), self._dtype.itemsize, out.size
        )
        return out


def _plan(arrays: Sequence[np.ndarray], out: np.ndarray | None, dtype: np.dtype):
    """Return (out, pointers, steps, shape) for `_run_ranges`, or None where NumPy had better see to it."""
    for array in arrays if out is None else (*arrays, out):
        if array.dtype != dtype or not array.flags.aligned:
            return None
    shape = max(arrays, key=_size).shape
    in_order = all(a.ndim == 0 or (a.shape == shape and a.flags.c_contiguous) for a in arrays)
    if not in_order:
        try:
            shape = np.broadcast_shapes(*[a.shape for a in arrays])
        except ValueError:
            return None  # NumPy names the shapes
    if out is None:
        whole = [a for a in arrays if a.shape == shape and (in_order or 0 not in a.strides)]
        out = np.empty_like(whole[0]) if whole else np.empty(shape, dtype)  # in the operand's order
    elif out.shape != shape or any(np.may_share_memory(out, a) and not _same(out, a) for a in arrays):
        return None
    operands = [*arrays, out]
    if in_order and out.flags.c_contiguous:
        steps, sizes = [[dtype.itemsize if a.ndim else 0] for a in operands], [out.size]
    else:
        steps, sizes = _merge_dims([np.broadcast_to(a, shape).strides for a in operands], shape)
    pointers = [a.ctypes.data for a in operands]
    return out, np.array(pointers, np.intp), np.array(steps, np.intp), np.array(sizes, np.intp)


_size = attrgetter("size")


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.ctypes.data == b.ctypes.data and a.strides == b.strides and a.shape == b.shape


def _merge_dims(strides, shape):
    """Return (strides, shape) of the same arrays with as few dims as can be, outer ones first."""
    order = sorted((d for d in range(len(shape)) if shape[d] != 1), key=lambda d: -abs(strides[-1][d]))
    sizes: list[int] = []
    dims: list[list[int]] = []  # the steps of all operands, for each dim
    for d in order:
        step = [s[d] for s in strides]
        if dims and all(outer == inner * shape[d] for outer, inner in zip(dims[-1], step, strict=True)):
            sizes[-1], dims[-1] = sizes[-1] * shape[d], step
        else:
            sizes.append(shape[d])
            dims.append(step)
    if not dims:
        return [[0] for _ in strides], [1]
    return [list(s) for s in zip(*dims, strict=True)], sizes


_lifted: dict[tuple, Lifted] = {}


def lift(
    function: Callable,
    dtype: np.dtype,
    reads: Sequence[str] | None = None,
    override: Callable | None = None,
) -> Lifted:
    """Compile a formula of floats for arrays of `dtype` (float32 or float64).

    reads: the arguments that the formula reads; it is given arrays for these only. All of them by default.
    override: a compiled function that takes the formula's place.
    Compiled on first use, in about 0.1 s; later processes load it from the cache in 2 ms.
    """
    lifted = _lifted.get((function, dtype, override))
    if lifted is None:
        lifted = _lifted[function, dtype, override] = _compile(function, dtype, reads, override)
    return lifted


def _compile(
    function: Callable, dtype: np.dtype, reads: Sequence[str] | None, override: Callable | None
) -> Lifted:
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    reads = names if reads is None else tuple(n for n in names if n in reads)
    if len(reads) > _MOST_INPUTS:
        raise ValueError(f"lift: at most {_MOST_INPUTS} arrays, {function.__name__} reads {len(reads)}")
    name = f"{function.__name__}_{dtype.name}"
    if override is None:
        override = formula_for(function, dtype)
    else:
        name += "_override"
    values = ", ".join(f"load(T, {n}, i)" if n in reads else "zero" for n in names)
    lines = [
        # one name, one body: the cache goes by the text
        f"# The loop for {function.__module__}.{function.__name__}, {digest(function)}",
        f"def {name}(pointers, count):",
        *[f"    {n} = load(intp, pointers, {i})" for i, n in enumerate(reads)],
        f"    result = load(intp, pointers, {len(reads)})",
        "    for i in range(count):",
        f"        store(result, i, number(formula({values})))",
    ]
    loop = define(
        name,
        "\n".join(lines) + "\n",
        {
            "formula": override,
            "load": load,
            "store": store,
            "intp": _INDEX,
            "T": numba.from_dtype(dtype),
            "number": dtype.type,  # what is stored has the right size, whatever a formula's constants are
            "zero": dtype.type(0),
        },
    )
    return Lifted(name, reads, c_function(types.void(_INDEX, _INDEX), loop), dtype)


def formula_for(function: Callable, dtype: np.dtype) -> Callable:
    """Compile a formula of floats for numbers of `dtype`, into the kernels that call it."""
    scope = function.__globals__
    if dtype == np.float32:
        scope = {**scope, "math": fast_math}
    formula = FunctionType(with_constants_of(function, dtype).__code__, scope, function.__name__)
    return jit(formula, forceinline=True)


def _make_ufunc(name: str, about: np.ndarray, dtype: np.dtype, inputs: int) -> np.ufunc:
    inner = _ufunc_loop()
    kinds = [dtype.num] * (inputs + 1)
    no_identity, alive = -1, (inner, about)
    return fromfunc(name, "", [inner.address], [kinds], inputs, 1, [about.ctypes.data], alive, no_identity)


@functools.cache
def _ufunc_loop():
    return c_function(types.void(_INDEX, _INDEX, _INDEX, _INDEX), _run_ufunc)
