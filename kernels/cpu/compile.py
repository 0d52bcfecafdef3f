"""The one door to Numba: where compiled code is cached, which thread pool runs it, how it is compiled.

The cache lives in the user's cache directory, under a name made of this package's kernel sources: Numba
notices a changed file, but not a changed callee in another file. `LIFTGRAD_CACHE` moves it.
"""

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from shutil import disk_usage, rmtree
from types import FunctionType

import numba
import numpy as np
import platformdirs
from numba import prange
from numba.core import event

from kernels.cpu.parts import PartCompiler

__all__ = [
    "available_threads", "by_dtype", "c_function", "compile_seconds", "define", "digest", "entry",
    "get_num_threads", "jit", "kernel", "prange", "set_num_threads", "threading_layer", "with_constants_of",
]  # fmt: skip

_PACKAGE = Path(__file__).parents[2]
_CACHE_NEEDS = 20_000_000  # bytes, with room to spare: what the whole test suite compiles takes 5 MB


def _source_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted([*_PACKAGE.glob("kernels/cpu/**/*.py"), _PACKAGE / "micro" / "formulas.py"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def cache_root() -> Path:
    """Return the folder for everything this package caches: `LIFTGRAD_CACHE`, else the user's."""
    return Path(os.environ.get("LIFTGRAD_CACHE") or platformdirs.user_cache_dir("liftgrad"))


def _open_kernel_cache() -> str | None:
    """Return this version's kernel cache, made if need be; None where nothing can be written."""
    root = cache_root() / "kernels"
    # Numba looks for machine code by source and signature, whether or not it was compiled to be parallel
    folder = root / (_source_hash() + "-serial" * (threading_layer == "workqueue"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        if not os.access(folder, os.W_OK) or disk_usage(folder).free < _CACHE_NEEDS:
            return None  # Numba would fail when it saves, after the work of compiling
        for old in root.iterdir():  # caches of other versions, unused for a month
            if old != folder and time.time() - old.stat().st_mtime > 30 * 86400:
                rmtree(old, ignore_errors=True)
    except OSError:
        return None
    return str(folder)


_LOCK = threading.RLock()
HOST = {"error_model": "numpy", "nogil": True}
KERNEL = {**HOST, "no_cfunc_wrapper": True}  # Numba's wrapper for C, that nobody calls


@contextmanager
def own_cache():
    # Numba reads its cache directory when a function is decorated. The setting is global: a user's own
    # compiled functions must not land in our folder, so it is set for the moment of decoration only.
    with _LOCK:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = _CACHE or before
        try:
            yield _CACHE
        finally:
            numba.config.CACHE_DIR = before


def _choose_threading_layer() -> str:
    """Return 'omp', 'tbb' or 'workqueue': the first that this machine can load."""
    requested = os.environ.get("NUMBA_THREADING_LAYER", "")
    modules = {"omp": "omppool", "tbb": "tbbpool", "workqueue": "workqueue"}
    for layer in (requested,) if requested in modules else ("omp", "tbb"):
        with suppress(ImportError), _short_spin():  # without libgomp or libtbb there is nothing to import
            import_module(f"numba.np.ufunc.{modules[layer]}")
            return layer
    return "workqueue"


@contextmanager
def _short_spin():
    """Let idle threads of GNU's OpenMP wait awake for some 0.1 ms before they sleep, not for milliseconds.

    Its default of 300,000 turns makes a busy machine crawl: waiting threads hold the cores that the working
    ones need (kernels/README.md has the figures). The library reads the variable once, when it is loaded.
    """
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = "10000"
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


threading_layer = _choose_threading_layer()
"""The pool that runs parallel kernels. 'workqueue' aborts when two Python threads enter it: run serially."""
if threading_layer != "workqueue":
    numba.config.THREADING_LAYER = threading_layer
_CACHE = _open_kernel_cache()


def jit(function: Callable | None = None, **options):
    """Compile `function` into the kernels that call it, which are the only ones that can."""
    if function is None:
        return lambda f: jit(f, **options)
    return numba.njit(
        pipeline_class=PartCompiler, no_cpython_wrapper=True, no_cfunc_wrapper=True, **HOST, **options
    )(function)


def entry(function: Callable) -> Callable:
    """Compile `function`, which Python calls, for one thread and for whatever types come."""
    with own_cache():
        return numba.njit(cache=_CACHE is not None, **KERNEL)(function)


def with_constants_of(function: Callable, dtype: np.dtype) -> Callable:
    """Return `function` with its float constants typed `dtype`: `0.5 * float32` would be float64 in Numba."""
    cast = dtype.type
    code = function.__code__
    constants = tuple(cast(c) if type(c) is float else c for c in code.co_consts)
    lifted = FunctionType(code.replace(co_consts=constants), function.__globals__, function.__name__)
    lifted.__module__, lifted.__qualname__ = function.__module__, function.__qualname__
    return lifted


_CALL = """
def {name}({before}{arguments}):
    try:
        _call = _compiled[{first}.dtype]
    except KeyError:
        _call = _compiled[{first}.dtype] = _make({first}.dtype)
    return _call({extra}{before}{arguments})
"""


def by_dtype(
    function: Callable, make: Callable, before: Sequence[str] = (), extra: str = "", scope: dict | None = None
) -> Callable:
    """Return a function that calls make(dtype) of its first argument's dtype, made once, on its arguments.

    It takes the arguments of `function` from the first array on; `before` are those that come before that one
    in the call, `extra` is what comes before those in the call of what was made, with names of `scope`. It is
    written as text: passing arguments on as *args takes half a microsecond, as long as many a kernel.
    """
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    arguments = names[names.index(before[-1]) + 1 if before else 0 :]
    source = _CALL.format(
        name=function.__name__, before="".join(f"{name}, " for name in before), first=arguments[0],
        arguments=", ".join(arguments), extra=extra,
    )  # fmt: skip
    scope = {"_compiled": {}, "_make": make, **(scope or {})}
    exec(compile(source, f"<{function.__name__}, by dtype>", "exec"), scope)
    call = scope[function.__name__]
    call.__doc__, call.__module__ = function.__doc__, function.__module__
    return call


def kernel(signature: str, **options):
    """Compile the decorated function for the element type of its first argument, when first called with it.

    signature: the arguments in Numba's notation, with `T` for that element type and `out` before arrays that
    are written: "T[:,:], T[::1], out T[:,::1], int64". `::1` asks for a contiguous array, `:` takes any
    strides. One fixed layout keeps the number of compiled variants, and so the waiting, small. Float literals
    in the function take the type T as well.
    """

    def decorate(function: Callable) -> Callable:
        def make(dtype: np.dtype) -> Callable:
            typed = with_constants_of(function, dtype) if dtype.kind == "f" else function
            with own_cache():
                return numba.njit(
                    argument_types(signature, dtype), cache=_CACHE is not None, **{**KERNEL, **options}
                )(typed)

        return by_dtype(function, make)

    return decorate


_ARGUMENT = re.compile(r"(out )?(\w+)(?:\[([:,1]+)\])?")


def argument_types(signature: str, dtype: np.dtype) -> tuple[numba.types.Type, ...]:
    """Return Numba's types of the arguments in `signature`, with `T` for `dtype`: see `kernel`."""
    return tuple(_argument_type(a, dtype) for a in _ARGUMENT.finditer(signature))


def _argument_type(match: re.Match, dtype: np.dtype) -> numba.types.Type:
    written, name, dims = match.groups()
    scalar = numba.from_dtype(dtype) if name == "T" else getattr(numba.types, name)
    if dims is None:
        return scalar
    # Inputs are declared read-only: such a signature takes writable arrays too, the other way round not.
    layout = "C" if dims.endswith("::1") else "A"
    return numba.types.Array(scalar, dims.count(",") + 1, layout, readonly=not written)


def c_function(signature, function: Callable, cache: bool = True):
    """Compile `function` for one thread, as a C function: `.address` is where it lies."""
    with own_cache():
        return numba.cfunc(signature, cache=cache and _CACHE is not None, **HOST)(function)


def digest(function: Callable) -> str:
    """Return a few letters that tell the code of `function` from any other."""
    code = function.__code__
    constants = [c for c in code.co_consts if type(c) in (int, float)]
    return hashlib.sha256(repr((code.co_code, constants, code.co_names)).encode()).hexdigest()[:16]


def define(name: str, source: str, scope: dict) -> Callable:
    """Run `source`, the text of one function, and return that function, ready for `c_function`.

    Numba caches only what stands in a file: one is written into the kernel cache, if there is one. What the
    function names stands in `scope`; unless `source` tells it all, it must not change from run to run.
    """
    path = f"<{name}>"
    if _CACHE is not None:
        file = Path(_CACHE, "formulas", f"{name}_{hashlib.sha256(source.encode()).hexdigest()[:8]}.py")
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            part = file.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")  # others may write it too
            part.write_text(source, encoding="utf-8")
            part.replace(file)
        path = str(file)
    scope = {"__name__": __name__, **scope}  # a loaded function looks for a module of its name
    exec(compile(source, path, "exec"), scope)
    return scope[name]


def available_threads() -> int:
    """Return the size of the thread pool: this process's cores, or `NUMBA_NUM_THREADS`; 1 without a pool."""
    return 1 if threading_layer == "workqueue" else numba.config.NUMBA_NUM_THREADS


def get_num_threads() -> int:
    """Return how many threads run a parallel kernel that this Python thread calls."""
    return 1 if threading_layer == "workqueue" else numba.get_num_threads()


def set_num_threads(count: int) -> None:
    """Run the parallel kernels that this Python thread calls on `count` threads, or all there are if fewer.

    The results do not depend on it, to the last bit. Raises RuntimeError below 1, as PyTorch does.
    """
    if count < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {count}")
    if threading_layer != "workqueue":
        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


def compile_seconds() -> float:
    """Return the seconds this process has spent compiling kernels (not loading them from the cache)."""
    return _compile_time.total


class _CompileTime(event.Listener):
    """Adds up the time Numba holds its compiler lock for, when it compiles and does not only load.

    Numba takes the lock before it looks into its cache; only a compilation runs passes.
    """

    def __init__(self):
        self.total = 0.0
        self._depth = 0
        self._start = 0.0
        self._ran_passes = False

    def on_start(self, which):
        if which.kind == "numba:run_pass":
            self._ran_passes = True
            return
        if self._depth == 0:  # nested compilations are counted once
            self._start, self._ran_passes = time.perf_counter(), False
        self._depth += 1

    def on_end(self, which):
        if which.kind == "numba:run_pass":
            return
        self._depth -= 1
        if self._depth == 0 and self._ran_passes:
            self.total += time.perf_counter() - self._start


_compile_time = _CompileTime()
event.register("numba:compiler_lock", _compile_time)
event.register("numba:run_pass", _compile_time)
