"""The one door to the CUDA compiler: how kernels are written down, compiled, launched and listed.

No other file imports numba-cuda, which has a successor. A kernel is a function of pointers and numbers with a
signature for each element type; `KERNELS` lists them all, for the offline checks and for `docs/gpu.md`.

With `NUMBA_ENABLE_CUDASIM=1` kernels run in numba-cuda's simulator: in Python, on the host's memory.
"""

import ctypes
import math
import operator
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from numba import cuda, types
from numba.cuda.extending import intrinsic

from kernels.cuda import launching, simulated_math, simulator
from kernels.cuda.capture import unhindered
from kernels.cuda.launching import streams

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
"""Whether kernels run in the simulator. A kernel asks only where the simulator lacks what it needs."""

if SIMULATED:
    cuda = simulator.install(cuda)
else:
    # It warns of every launch of less than 128 blocks: that a tensor is small is no mistake.
    sys.modules["numba.cuda.dispatcher"].config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # type: ignore[attr-defined]

FLOATS = ("float32", "float64")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
ALL = (*FLOATS, *INTEGERS, "bool")
"""Names of element types, for `kernel`."""

MOST_DIMS = 6
"""How many dims `dims` arguments hold: `kernels.cuda.geometry` merges dims, and splits what has more."""

_THREADS = 256
_MOST_BLOCKS = 1 << 16


def threads(count: int) -> int:
    """Return how many threads a block has where a kernel asks for `count`: the simulator has 4 at most."""
    return min(count, 4) if SIMULATED else count  # the simulator computes in Python


def element_type(dtype: np.dtype) -> types.Type:
    """Return the compiler's type for elements in memory; bools are bytes, 0 or 1."""
    return types.uint8 if dtype == np.bool_ else getattr(types, dtype.name)


# --- functions -------------------------------------------------------------------------------------


def _make_math_float32() -> ModuleType:
    """Return `math` for float32: its constants are of that type, or a result would become float64."""
    module = ModuleType("math_float32")  # a module: the compiler types what modules hold
    for name, value in vars(math).items():
        if not name.startswith("_"):
            setattr(module, name, np.float32(value) if type(value) is float else value)
    return module


_math_float32 = _make_math_float32()


def specialised(function: Callable, numbers: dict[str, np.dtype], scope: dict | None = None) -> Callable:
    """Return `function` for element types: its float literals, and those of `math`, take the first of them.

    numbers: the letters of a signature with their types; the function may use them: `T(0)`, or as the type of
    a shared array. scope: more names that it may use. Without this `0.5 * x` would be float64 arithmetic.
    """
    code, cast = function.__code__, next(iter(numbers.values())).type
    if issubclass(cast, np.floating):
        code = code.replace(co_consts=tuple(cast(c) if type(c) is float else c for c in code.co_consts))
    names = {**function.__globals__, **(scope or {})}
    for letter, dtype in numbers.items():
        names[letter] = element_type(dtype)
    if names.get("math") is math:
        if SIMULATED:
            names["math"] = simulated_math
        elif cast is np.float32:
            names["math"] = _math_float32
    made = FunctionType(code, names, function.__name__, function.__defaults__, function.__closure__)
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    return made


def device(function: Callable, inlined: bool = False) -> Callable:
    """Compile a function that kernels call, typed by what it is called with; it has no float literals.

    inlined: put it where it is called in any case; otherwise the compiler decides, and a call that is left
    takes its arguments and results through local memory.
    """
    if SIMULATED:  # by turns it would only search the function for `cuda`, at each call
        return function if simulator.BY_TURNS else cuda.jit(device=True)(function)
    return cuda.jit(device=True, inline=False, forceinline=inlined)(function)


def formula_for(function: Callable, dtype: np.dtype) -> Callable:
    """Return a formula of floats, of `micro.formulas`, for kernels to call with numbers of `dtype`."""
    return device(specialised(function, {"T": dtype}))


def _pointer_in_simulator(address: int, size: int, like: "_Memory"):
    array = like._array
    memory = (ctypes.c_char * int(size * array.itemsize)).from_address(int(address))
    return _Memory(np.frombuffer(memoryview(memory), array.dtype))


def _make_pointer() -> Callable:
    """Return the function of kernels that makes an address, out of a table of them, a pointer like another.

    size: how many elements lie there, which only the simulator needs.
    """
    if SIMULATED:
        return _pointer_in_simulator

    @intrinsic
    def cast(typingctx, address, like):
        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return like(address, like), generate

    return device(lambda address, size, like: cast(address, like))


pointer = _make_pointer()


# --- signatures ------------------------------------------------------------------------------------

_ARGUMENT = re.compile(r"^(out )?(\w+)(\*|\[\])?$")


class _Argument:
    """One argument of a signature: a pointer, an array, a number or the sizes of dims."""

    def __init__(self, text: str):
        match = _ARGUMENT.match(text.strip())
        if match is None:
            raise ValueError(
                f"kernel: {text!r} is no argument; write 'T*', 'out T*', 'T[]', 'int64' or 'dims'"
            )
        self.written, self.name, mark = bool(match[1]), match[2], match[3]
        self.is_pointer, self.is_array = mark == "*", mark == "[]"
        self.is_memory = self.is_pointer or self.is_array
        self.letter = self.name if len(self.name) == 1 else None

    def type(self, numbers: dict[str, np.dtype]) -> types.Type:
        if self.name == "dims":
            return types.UniTuple(types.int64, MOST_DIMS)
        name = numbers[self.letter].name if self.letter else self.name
        scalar = element_type(np.dtype(name))
        if self.is_pointer:
            return types.CPointer(scalar)
        return types.Array(scalar, 1, "C") if self.is_array else scalar

    def codes(self, numbers: dict[str, np.dtype]) -> str:
        """Return the argument's parameters as `launching` packs them."""
        if self.is_memory:
            return launching.POINTER if self.is_pointer else launching.ARRAY
        if self.name == "dims":
            return launching.CODES["int64"] * MOST_DIMS
        return launching.CODES[str(self.type(numbers))]

    def parameters(self, x: str) -> str:
        """Return the Python that gives the parameters of the argument `x`."""
        if self.is_pointer:
            return f"{x}.address"
        if self.is_array:
            return f"0, 0, {x}.span, {x}.itemsize, {x}.address, {x}.span, {x}.itemsize"
        return f"*{x}" if self.name == "dims" else x


class _Memory:
    """What a pointer is in the simulator: memory from an address on, which must not be left."""

    def __init__(self, array: np.ndarray):
        self._array = array.view(np.uint8) if array.dtype == np.bool_ else array

    def __getitem__(self, i):
        return self._array[self._checked(i)]

    def __setitem__(self, i, value):
        try:
            self._array[self._checked(i)] = value
        except OverflowError:  # on the GPU the lowest bits are stored
            self._array[i] = np.asarray(value).astype(self._array.dtype)

    @property
    def whole(self) -> np.ndarray:
        """All of it, which `vectors` reads and writes several elements of at a time."""
        return self._array

    def _checked(self, i) -> int:
        if not 0 <= i < self._array.size:
            raise IndexError(f"a kernel reads or writes element {i} of {self._array.size}")
        return i


# --- kernels ---------------------------------------------------------------------------------------


def grid_over(size: int) -> tuple[int, int]:
    """Return how many blocks of how many threads go through so many elements, at least one."""
    if SIMULATED:
        return 1, min(2, size)
    return min(-(-size // _THREADS), _MOST_BLOCKS), _THREADS


def attach() -> None:
    """Let the calling thread work with the GPU's context, if it does not yet; nothing in the simulator."""
    here = launching.streams
    if not (SIMULATED or here.is_attached):
        cuda.current_context()
        here.is_attached = True


class Kernel:
    """A function compiled for each element type it is launched with.

    kinds: the element types it is made for: for each variant, what the letters of the signature stand for.
    launch_bounds: the most threads of a block, or that and how many blocks a multiprocessor is to run at
    once, for which the compiler limits the registers.
    """

    def __init__(
        self,
        function: Callable,
        signature: str,
        kinds: Sequence[str],
        scope=None,
        name: str = "",
        family: str = "",
        launch_bounds: int | tuple[int, int] | None = None,
    ):
        self.function, self.signature, self._scope = function, signature, scope
        self._launch_bounds = launch_bounds
        self.name = name or function.__name__.strip("_")
        self.family = family or function.__module__.rpartition(".")[2]
        self.arguments = [_Argument(text) for text in signature.split(",")]
        letters = list(dict.fromkeys(a.letter for a in self.arguments if a.letter))
        self.kinds = [dict(zip(letters, map(np.dtype, kind.split()), strict=True)) for kind in kinds]
        names = [f"x{n}" for n in range(len(self.arguments))]
        with_names = list(zip(self.arguments, names, strict=True))
        self._dtypes_of = _tuple_of(names, [f"{x}.dtype" for a, x in with_names if a.is_memory])
        self._flatten = self._parameters_of(len(names))
        self._launchers: dict[tuple, Callable[..., None]] = {}
        self.plans: dict[tuple, Any] = {}
        """What is kept to launch it on arrays of the same layouts once more."""

    @property
    def was_launched(self) -> bool:
        """Whether any variant has been compiled and launched."""
        return bool(self._launchers)

    def types(self, kind: dict[str, np.dtype]) -> tuple[types.Type, ...]:
        """Return the types of the arguments of a variant."""
        return tuple(argument.type(kind) for argument in self.arguments)

    def python(self, kind: dict[str, np.dtype]) -> Callable:
        """Return the function of a variant, ready for the compiler."""
        scope = self._scope(kind) if callable(self._scope) else self._scope
        return specialised(self.function, kind, scope)

    def over(self, size: int, *arguments) -> None:
        """Launch for `size` elements: the kernel goes through range(cuda.grid(1), size, cuda.gridsize(1))."""
        if size:
            self.launch(*grid_over(size), *arguments)

    def launch(self, blocks: int | tuple, block: int | tuple, *arguments) -> None:
        """Launch a grid of `blocks` blocks of `block` threads on the current stream.

        arguments: device arrays for pointers, whose element types choose the variant, and numbers.
        """
        dtypes = self._dtypes_of(*arguments)
        (self._launchers.get(dtypes) or self._launcher(dtypes))(blocks, block, *arguments)

    def with_last(self, dtypes: tuple[np.dtype, ...], *last) -> Callable[..., None]:
        """Return launch(blocks, block, *arguments), which is not given the last arguments: numbers and dims.

        It checks no types: dtypes are those of all its arrays. Whoever launches often keeps it.
        """
        launcher = self._launcher(dtypes)
        given = len(self.arguments) - len(last)
        if any(argument.is_memory for argument in self.arguments[given:]):
            raise TypeError(f"{self.family}.{self.name}: only numbers and dims are the same at each launch")
        if SIMULATED:
            return lambda blocks, block, *arguments: launcher(blocks, block, *arguments, *last)
        numbers = [n for x in last for n in (x if isinstance(x, tuple) else (x,))]
        return launcher.with_last(len(last), self._parameters_of(given), tuple(numbers))

    def _parameters_of(self, count: int) -> Callable[..., tuple]:
        """Return the function that gives the parameters of the first so many arguments."""
        names = [f"x{n}" for n in range(count)]
        return _tuple_of(names, [a.parameters(x) for a, x in zip(self.arguments, names, strict=False)])

    def _launcher(self, dtypes: tuple) -> Any:
        found = self._launchers.get(dtypes)
        if found is None:
            found = self._launchers[dtypes] = self._prepare(self._kind_of(dtypes))
        return found

    def _kind_of(self, dtypes: tuple) -> dict[str, np.dtype]:
        found: dict[str, np.dtype] = {}
        for argument, dtype in zip((a for a in self.arguments if a.is_memory), dtypes, strict=True):
            if argument.letter:
                if found.setdefault(argument.letter, dtype) != dtype:
                    raise TypeError(
                        f"{self.name}: {argument.letter} stands for {found[argument.letter]} and {dtype} "
                        "in one launch; cast one of the arrays"
                    )
            elif dtype.name != argument.name:
                raise TypeError(f"{self.name}: expected an array of {argument.name}, got {dtype}")
        if found not in self.kinds:
            made_for = ", ".join(" ".join(d.name for d in k.values()) for k in self.kinds)
            raise NotImplementedError(
                f"{self.family}.{self.name}: no GPU kernel for {', '.join(d.name for d in found.values())}; "
                f"there are kernels for {made_for}"
            )
        return found

    def _prepare(self, kind: dict[str, np.dtype]) -> Callable[..., None]:
        """Return the function that launches a variant, of (blocks, block, *arguments)."""
        if SIMULATED:
            return self._in_simulator(kind)
        if streams.capture is not None:
            streams.capture.check_loading(f"{self.family}.{self.name}")
        with unhindered():
            loaded = self._load(kind)
        return launching.Launcher(
            f"{self.family}.{self.name}", loaded, self.codes(kind), self._flatten,
            launching.the_driver(), attach,
        )  # fmt: skip

    def _load(self, kind: dict[str, np.dtype]) -> int:
        """Compile a variant; return the driver's number of it, loaded on the GPU in use."""
        compiled: Any = cuda.jit(types.void(*self.types(kind)), launch_bounds=self._launch_bounds)(
            self.python(kind)
        )
        (variant,) = compiled.overloads.values()
        return launching.number_of(variant._codelibrary.get_cufunc())

    def codes(self, kind: dict[str, np.dtype]) -> list[str]:
        """Return the parameters of each argument of a variant in the form that `launching` packs."""
        return [argument.codes(kind) for argument in self.arguments]

    def _in_simulator(self, kind: dict[str, np.dtype]) -> Callable[..., None]:
        compiled = cuda.jit(_without_warnings(self.python(kind)))
        kept = list(zip(self.arguments, self.types(kind), strict=True))

        def launch(blocks, block, *arguments):
            given = [_passed(*known, x) for known, x in zip(kept, arguments, strict=True)]
            within = streams.capture
            if within is None or not within.takes(streams.handle):
                compiled[blocks, block](*given)
                return
            later = [_without_owner(x) for x in given]
            within.note(f"{self.family}.{self.name}", blocks, block, arguments)
            within.recorded.append(lambda: compiled[blocks, block](*[make() for make in later]))

        return launch

    def ptx(self, kind: dict[str, np.dtype], capability: tuple[int, int]) -> str:
        """Return the PTX of a variant for a compute capability; needs no GPU, but the compiler's packages."""
        with _as_if_on(capability):
            return cuda.compile_ptx(
                self.python(kind), types.void(*self.types(kind)), cc=capability,
                launch_bounds=self._launch_bounds,
            )[0]  # fmt: skip


@contextmanager
def _as_if_on(capability: tuple[int, int]):
    """Let numba-cuda compile device functions for a GPU that is not there: it asks the GPU itself."""
    dispatcher: Any = sys.modules["numba.cuda.dispatcher"]
    asked = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    try:
        yield
    finally:
        dispatcher.get_current_device = asked


def _tuple_of(names: Sequence[str], parts: Sequence[str]) -> Callable[..., tuple]:
    """Return a function of these names, that gives a tuple of these pieces of Python."""
    # made of text, since a loop over the arguments takes longer than the launch itself
    return eval(f"lambda {', '.join(names)}: ({''.join(f'{part}, ' for part in parts)})")


def _without_owner(x: Any) -> Callable[[], Any]:
    """Return what makes an argument of a launch again, and does not keep its memory, as a graph does not."""
    if not isinstance(x, _Memory):
        return lambda: x
    address, nbytes, dtype = x._array.ctypes.data, x._array.nbytes, x._array.dtype
    return lambda: _Memory(np.frombuffer(memoryview((ctypes.c_char * nbytes).from_address(address)), dtype))


def _passed(argument: _Argument, kept: types.Type, x) -> Any:
    """Return an argument of a launch as a kernel in the simulator takes it."""
    if argument.is_memory:
        return _Memory(x.memory())
    _check_numbers(argument, kept, x)
    return x


def _check_numbers(argument: _Argument, kept: types.Type, x) -> None:
    """Raise TypeError for numbers that a launch on a GPU would not take: the simulator takes anything."""
    if isinstance(kept, types.UniTuple) and len(x) != kept.count:
        raise TypeError(f"kernel: {argument.name} holds {kept.count} numbers, got {len(x)}")
    for number in x if isinstance(kept, types.UniTuple) else (x,):
        if isinstance(kept, types.Float):
            float(number)
        else:
            operator.index(number)


def _without_warnings(function: Callable) -> Callable:
    """Return `function` as the simulator's threads run it: NumPy's numbers follow IEEE 754 silently."""
    silence = np.errstate

    def run(*arguments):
        with silence(all="ignore"):
            function(*arguments)

    # With the globals of the kernel: the simulator looks there for `cuda`, to put its own in its place.
    made = FunctionType(run.__code__, function.__globals__, function.__name__, None, run.__closure__)
    made.__module__ = function.__module__
    return made


KERNELS: dict[str, Kernel] = {}
"""Every kernel by family and name; those of formulas once `elementwise.list_all()` was called."""


def register(made: Kernel) -> Kernel:
    """List a kernel; ValueError if its family has one of its name."""
    name = f"{made.family}.{made.name}"
    if name in KERNELS:
        raise ValueError(f"kernel: there are two of the name {name}")
    KERNELS[name] = made
    return made


def kernel(signature: str, kinds: Sequence[str], scope=None) -> Callable[[Callable], Kernel]:
    """Make a kernel of the decorated function, which takes pointers and numbers and returns nothing.

    signature: an argument each, with one-letter names for the element types that vary: "out T*, S*, T,
    int64, dims". `T*` is a pointer to elements, `out` before it says that they are written; `T[]` is a 1-D
    array, where an atomic operation needs one; `dims` holds `MOST_DIMS` sizes or steps.
    kinds: the variants there are, a type for each letter in order of appearance: "float32", "float32 bool".
    scope: more names for the function, or a function of the variant that returns them.
    """
    return lambda function: register(Kernel(function, signature, kinds, scope))
