"""Kernels that several threads work on, compiled without the price of a parallel function.

Numba compiles everything a `prange` loop calls anew for the loop, its wrapper and the function around it: a
matrix product takes six seconds instead of one. Here the work is a serial function, compiled once, and the
loop knows it by its address only.
"""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from kernels.cpu import compile as compiling


@intrinsic
def call(typing, address, *arguments):
    """Call the compiled function at `address`, which takes these very types and returns nothing."""

    def generate(context, builder, signature, values):
        kinds = list(signature.args[1].types)
        function_type = context.call_conv.get_function_type(types.void, kinds)
        function = builder.inttoptr(values[0], function_type.as_pointer())
        parts = [builder.extract_value(values[1], n) for n in range(len(kinds))]
        context.call_conv.call_function(builder, function, types.void, kinds, parts)
        return context.get_dummy_value()

    return types.void(address, types.StarArgTuple(arguments)), generate


_LAUNCHER = """
from numba import prange

from kernels.cpu.launch import call


def launch(address, workers, {names}):
    if workers == 1:
        call(address, 0, 1, {names})
    else:
        for worker in prange(workers):
            call(address, worker, workers, {names})
"""
_launchers: dict[int, Callable] = {}


def _launcher(count: int, folder: str | None) -> Callable:
    """Return launch(address, workers, ...) for `count` further arguments.

    It is written into `folder`, if there is one: Numba caches what comes from a file only.
    """
    if count not in _launchers:
        source = _LAUNCHER.format(names=", ".join(f"argument_{n}" for n in range(count)))
        if folder is None:
            names: dict = {"__name__": f"launch_{count}"}
            exec(source, names)
            _launchers[count] = names["launch"]
        else:
            _launchers[count] = _import_source(Path(folder) / f"launch_{count}.py", source).launch
    return _launchers[count]


def _import_source(path: Path, source: str):
    """Import `path`, written with `source` first if it is not there."""
    if not path.exists():
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        beside.write_text(source)
        beside.replace(path)
    spec = importlib.util.spec_from_file_location(f"{__name__}.{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Numba's cache finds the module by name
    spec.loader.exec_module(module)
    return module


class _SharedKernel:
    """One function compiled per element type, that every worker of a launch runs."""

    def __init__(self, function: Callable, signature: str, options: dict):
        self.__doc__, self.__name__ = function.__doc__, function.__name__
        self._function, self._signature, self._options = function, signature, options
        self._compiled: dict[np.dtype, tuple[Callable, int]] = {}
        self._alive: list[Callable] = []

    def __call__(self, workers: int, first, *rest):
        try:
            launch, address = self._compiled[first.dtype]
        except KeyError:
            launch, address = self._compile(first.dtype)
        launch(address, workers, first, *rest)

    def _compile(self, dtype: np.dtype) -> tuple[Callable, int]:
        with compiling.own_cache() as folder:
            if dtype not in self._compiled:
                signature = (types.int64, types.int64, *compiling.argument_types(self._signature, dtype))
                options = {**compiling.HOST, "cache": folder is not None}
                function = compiling.with_constants_of(self._function, dtype)
                work = numba.njit(signature, **options, **self._options)(function)
                result = next(iter(work.overloads.values()))
                address = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)
                parallel = compiling.threading_layer != "workqueue"
                launch = numba.njit(signature, parallel=parallel, **options)(
                    _launcher(len(signature) - 2, folder)
                )
                self._alive.append(work)  # its code is known by an address only
                self._compiled[dtype] = launch, address
            return self._compiled[dtype]


def shared_kernel(signature: str, **options):
    """Compile the decorated function as the work of one of several workers.

    The function takes (worker, workers, *arguments) and must not raise; it is called with (workers,
    *arguments), and then runs once for each worker number, on the thread pool. Each worker writes what is its
    own, and what it computes does not depend on who computes it. signature: of the arguments, as for
    `kernels.cpu.compile.kernel`, float arrays only.
    """
    return lambda function: _SharedKernel(function, signature, options)
