"""Kernels that several threads work on, compiled without the price of a parallel function.

Numba compiles everything a `prange` loop calls anew for the loop, its wrapper and the function around it: a
matrix product takes six seconds instead of one and a half. Here a kernel is a serial function, compiled once.
There is one `prange` loop for all kernels, which calls what lies at an address.
"""

import functools
from collections.abc import Callable

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kernels.cpu import compile as compiling
from kernels.cpu.compile import get_num_threads, jit, prange

_NUMBERS = (types.int64, types.int64, types.int64)


def workers_for(size: int, parallel_from: int, most: int) -> int:
    """Return how many workers a launch needs: 1 below that size, else one for each thread, up to `most`."""
    return 1 if size < parallel_from else max(1, min(get_num_threads(), most))


@jit
def share_of(count, parts, part):
    """Return the first and the end of the share of `part`, when `count` things are split among `parts`."""
    return count * part // parts, count * (part + 1) // parts


@intrinsic
def _call(_typing, address, first, second, third):
    """Call the compiled function at `address`, which takes three int64 and returns nothing."""

    def generate(context, builder, _signature, values):
        kind = context.call_conv.get_function_type(types.void, _NUMBERS)
        function = builder.inttoptr(values[0], kind.as_pointer())
        context.call_conv.call_function(builder, function, types.void, _NUMBERS, values[1:])
        return context.get_dummy_value()

    return types.void(types.int64, *_NUMBERS), generate


def _run(function, workers, arguments):
    """Call the function at an address with (worker, workers, arguments) for each worker."""
    for worker in prange(workers):
        _call(function, worker, workers, arguments)


@functools.cache
def _run_address() -> int:
    """Return where the compiled `_run` lies."""
    with compiling.own_cache() as folder:
        parallel = compiling.threading_layer != "workqueue"
        run = numba.njit(
            types.void(*_NUMBERS), cache=folder is not None, parallel=parallel, **compiling.KERNEL
        )(_run)
    result = next(iter(run.overloads.values()))
    return result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


@intrinsic
def _share_out(typing, run, work, workers, arguments):
    """Call work(worker, workers, *arguments) for each worker, by the `_run` at the address `run`."""
    kinds = arguments.types
    called = typing.resolve_function_type(work, (types.int64, types.int64, *kinds), {})

    def generate(context, builder, _signature, values):
        convention, index = context.call_conv, ir.IntType(64)
        # A function that unpacks the arguments; inlined, the work would be compiled twice.
        kind = convention.get_function_type(types.void, _NUMBERS)
        unpack = ir.Function(builder.module, kind, builder.module.get_unique_name("unpack"))
        unpack.linkage = "internal"
        unpack.attributes.add("noinline")
        convention.decorate_function(unpack, ["worker", "workers", "arguments"], _NUMBERS)
        place = cgutils.alloca_once_value(builder, values[3])
        inner = ir.IRBuilder(unpack.append_basic_block())
        worker, of, at = convention.get_arguments(unpack)
        packed = inner.load(inner.inttoptr(at, place.type))
        parts = [_borrow(inner, inner.extract_value(packed, n), kind) for n, kind in enumerate(kinds)]
        context.get_function(work, called)(inner, [worker, of, *parts])
        convention.return_value(inner, context.get_dummy_value())

        run, _, workers, _ = values
        at = builder.ptrtoint(place, index)
        alone = builder.icmp_signed("==", workers, index(1))
        with builder.if_else(alone) as (serial, parallel):
            with serial:
                convention.call_function(builder, unpack, types.void, _NUMBERS, [index(0), workers, at])
            with parallel:
                runner, address = builder.inttoptr(run, kind.as_pointer()), builder.ptrtoint(unpack, index)
                convention.call_function(builder, runner, types.void, _NUMBERS, [address, workers, at])
        return context.get_dummy_value()

    return types.void(run, work, workers, arguments), generate


def _borrow(builder, value, kind):
    """Return an array without its owners, whom the caller keeps alive.

    A view of it, a row in a loop, then counts no references: by atomic instructions, many for each view.
    """
    if isinstance(kind, types.Array):
        for field in (0, 1):  # meminfo and parent
            value = builder.insert_value(value, ir.Constant(value.type.elements[field], None), field)
    return value


def _compile(function: Callable, signature: str, options: dict, dtype: np.dtype) -> Callable:
    """Return launch(address of `_run`, workers, *arguments), for one element type."""
    with compiling.own_cache() as folder:
        kinds = compiling.argument_types(signature, dtype)
        name = f"{function.__module__.rpartition('.')[2]}{function.__name__}_{dtype.name}"
        names = ", ".join(f"argument_{n}" for n in range(len(kinds)))
        source = (
            f"# {function.__module__}.{function.__qualname__}, {compiling.digest(function)}\n"
            f"def {name}(run, workers, {names}):\n"
            f"    share_out(run, work, workers, ({names},))\n"
        )
        work = compiling.with_constants_of(function, dtype) if dtype.kind == "f" else function
        # forced inline, so that LLVM sees that the arrays have no owners
        scope = {"share_out": _share_out, "work": jit(work, forceinline=True, **options)}
        launch = compiling.define(name, source, scope)
        return numba.njit(
            types.void(types.int64, types.int64, *kinds), cache=folder is not None, **compiling.KERNEL
        )(launch)


def shared_kernel(signature: str, **options):
    """Compile the decorated function as the work of one of several workers.

    The function takes (worker, workers, *arguments) and must not raise; it is called with (workers,
    *arguments), and then runs once for each worker number, on the thread pool. Each worker writes what is its
    own, and what it computes does not depend on who computes it. signature: of the arguments, as for
    `kernels.cpu.compile.kernel`.
    """
    # The address of the loop is asked for only where it is used: compiling it takes half a second.
    address = "0 if workers == 1 else _run_address(), "
    return lambda function: compiling.by_dtype(
        function,
        functools.partial(_compile, function, signature, options),
        before=("workers",),
        extra=address,
        scope={"_run_address": _run_address},
    )
