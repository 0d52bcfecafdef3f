"""GPU kernels run on this CPU as the compiler made them: real block sizes, real types, watched memory.

The simulator runs a kernel's Python, with 4 threads a block. This runs the LLVM IR that the GPU's compiler is
given, compiled for this processor instead, with a fiber for each thread of a block (`threads.c`), and says
what would be wrong on a GPU: memory beyond an array, unaligned vectors, a missing barrier. What it cannot
tell: what ptxas makes of the IR, and how fast that is.

    with emulate() as gpu:
        tensor.randn(100, 100, device="cuda") @ ...

It needs Linux, a C compiler and numba-cuda with its compiler's packages: `missing()` says what lacks.
"""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from struct import calcsize, pack, unpack
from typing import Any, NamedTuple

_FLAGS = ("-O2", "-shared", "-fPIC", "-U_FORTIFY_SOURCE")  # which takes a leap between fibers for a mistake
MEMORY = 1 << 31  # bytes of the GPU; only what is used is taken from this machine


def missing() -> str | None:
    """Return what lacks for running kernels, as a reason to skip a test; None if nothing does."""
    if sys.platform != "linux":
        return "the emulator's threads need Linux"
    if find_spec("numba_cuda") is None or find_spec("nvidia.cu13") is None:
        return "the CUDA compiler is not installed: pip install 'liftgrad[cuda-check]'"
    if shutil.which("cc") is None:
        return "there is no C compiler for the emulator's threads"
    return "kernels run in the simulator" if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") == "1" else None


@cache
def _threads() -> ctypes.CDLL:
    """Return the functions of `threads.c`, for Python and for kernels."""
    import llvmlite.binding as llvm

    source = Path(__file__).with_name("threads.c")
    with tempfile.TemporaryDirectory() as folder:
        library = str(Path(folder, "threads.so"))
        subprocess.run(["cc", *_FLAGS, "-o", library, source, "-lm"], check=True)
        found = ctypes.CDLL(library)
        llvm.load_library_permanently(library)
    llvm.load_library_permanently("libm.so.6")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    found.emu_reserve.restype = ctypes.c_void_p
    for name in ("emu_hold", "emu_let_go"):
        getattr(found, name).argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    found.emu_reserve.argtypes = [ctypes.c_size_t]
    if not found.emu_begin(ctypes.c_size_t(MEMORY)):
        raise MemoryError("emulator: no address space for the GPU's memory")
    return found


# --- from the GPU's code to this CPU's -------------------------------------------------------------

_SPECIAL = {
    **{
        f"llvm.nvvm.read.ptx.sreg.{name}.{axis}": f"emu_{name}_{axis}"
        for name in ("tid", "ctaid", "ntid", "nctaid")
        for axis in "xyz"
    },
    "llvm.nvvm.read.ptx.sreg.laneid": "emu_laneid",
    "llvm.nvvm.read.ptx.sreg.warpsize": "emu_warpsize",
    "llvm.nvvm.barrier0": "emu_barrier",
    "llvm.nvvm.barrier0.popc": "emu_barrier_count",
    "llvm.nvvm.barrier0.and": "emu_barrier_and",
    "llvm.nvvm.barrier0.or": "emu_barrier_or",
    "llvm.nvvm.bar.warp.sync": "emu_wait_for_warp",
    **{f"llvm.nvvm.membar.{name}": "emu_fence" for name in ("cta", "gl", "sys")},
    "llvm.nvvm.shfl.sync.i32": "emu_shuffle_pair",
    "llvm.nvvm.vote.sync": "emu_vote_pair",
}
_WAITS = re.compile(r"@emu_(barrier|wait|shuffle|vote|mma)\w*\(")
_PAIRS = """
declare i32 @emu_shuffle(i32, i32, i32, i32, i32) convergent
declare i32 @emu_ballot(i32, i32) convergent
define internal {i32, i1} @emu_shuffle_pair(i32 %m, i32 %mode, i32 %v, i32 %b, i32 %c) alwaysinline {
  %r = call i32 @emu_shuffle(i32 %m, i32 %mode, i32 %v, i32 %b, i32 %c)
  %s = insertvalue {i32, i1} poison, i32 %r, 0
  %t = insertvalue {i32, i1} %s, i1 true, 1
  ret {i32, i1} %t
}
define internal {i32, i1} @emu_vote_pair(i32 %m, i32 %mode, i1 %p) alwaysinline {
  %w = zext i1 %p to i32
  %b = call i32 @emu_ballot(i32 %m, i32 %w)
  %all = icmp eq i32 %b, %m
  %any = icmp ne i32 %b, 0
  %is = icmp eq i32 %mode, 0
  %r = select i1 %is, i1 %all, i1 %any
  %s = insertvalue {i32, i1} poison, i32 %b, 0
  %t = insertvalue {i32, i1} %s, i1 %r, 1
  ret {i32, i1} %t
}
"""
"""What of a warp's functions gives a pair, which C and LLVM return differently."""

_FOURS = """
declare float @emu_mma(i32, i32, i32, i32, i32, i32, float, float, float, float) convergent
declare float @emu_matrix_rest(i32)
declare i32 @emu_to_tf32(float)
define internal {float, float, float, float} @emu_mma_fours(
    i32 %a0, i32 %a1, i32 %a2, i32 %a3, i32 %b0, i32 %b1,
    float %c0, float %c1, float %c2, float %c3) alwaysinline {
  %d0 = call float @emu_mma(i32 %a0, i32 %a1, i32 %a2, i32 %a3, i32 %b0, i32 %b1,
    float %c0, float %c1, float %c2, float %c3)
  %d1 = call float @emu_matrix_rest(i32 1)
  %d2 = call float @emu_matrix_rest(i32 2)
  %d3 = call float @emu_matrix_rest(i32 3)
  %r0 = insertvalue {float, float, float, float} poison, float %d0, 0
  %r1 = insertvalue {float, float, float, float} %r0, float %d1, 1
  %r2 = insertvalue {float, float, float, float} %r1, float %d2, 2
  %r3 = insertvalue {float, float, float, float} %r2, float %d3, 3
  ret {float, float, float, float} %r3
}
"""
_PTX = {
    "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32": "@emu_mma_fours",
    "cvt.rna.tf32.f32": "@emu_to_tf32",
}
"""Functions in place of inline PTX, by its first word."""

_LIBM = """
exp exp2 exp10 log log2 log10 log1p expm1 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sqrt
fabs floor ceil trunc rint round erf erfc lgamma tgamma cbrt pow fmod atan2 copysign hypot fma fmin fmax ldexp
nextafter
"""
_MATH = {f"__nv_{name}{end}": name + end for name in _LIBM.split() for end in ("", "f")}
"""CUDA's mathematical functions that C has."""

_BYTES = {"float": 4, "double": 8, "ptr": 8, "i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8}
_SHARED = re.compile(r"^(@\S+) = .*\baddrspace\(3\) global (\[.*?\]+|\w+) [^,\n]*(?:, align (\d+))?.*$", re.M)
_ACCESS = re.compile(
    r"^ +(?:%\S+ = )?(?:tail )?(load|store|atomicrmw|cmpxchg|call void @llvm\.mem(?:set|cpy|move)\S*?\()"
    r"(?: volatile| weak| atomic)*(.*)$",
    re.M,
)


def _size(kind: str) -> int:
    """Return the bytes of a type of LLVM's, of those that kernels hold in memory."""
    many = re.fullmatch(r"[\[<](\d+) x (.*)[\]>]", kind)
    return int(many[1]) * _size(many[2]) if many else _BYTES[kind]


class _Code(NamedTuple):
    """A kernel compiled for this CPU. forms: its parameters, as `struct` writes them."""

    kernel: Any
    entry: int
    forms: str
    has_barriers: bool
    shared: list[tuple[int, int]]
    engine: Any


def _intermediate_code(kernel: Any, kind: dict) -> tuple[str, list[str], list[str]]:
    """Return the name of a kernel's function, the types of its parameters, and texts of LLVM IR."""
    from numba import types
    from numba.cuda.compiler import compile_cuda, kernel_fixup

    from kernels.cuda.compile import _as_if_on

    with _as_if_on((9, 0)):
        compiled = compile_cuda(
            kernel.python(kind), types.void, kernel.types(kind), nvvm_options={"opt": 3}, cc=(9, 0)
        )
        library = compiled.library
        function = library.get_function(compiled.fndesc.llvm_func_name)
        library._entry_name = function.name
        kernel_fixup(function, False)
        return function.name, [str(a.type) for a in function.args], list(library.llvm_strs)


def _for_this_cpu(text: str, shared: list[tuple[int, int]]) -> str:
    """Return LLVM IR without what only a GPU has. shared: gets (address, bytes) of a block's arrays."""
    import llvmlite.binding as llvm

    for name, kind, asked in _SHARED.findall(text):
        nbytes, align = _size(kind), int(asked or 1)
        address = _threads().emu_reserve(nbytes + align) + align  # a multiple of that, and of nothing more
        _threads().emu_hold(address, nbytes)
        shared.append((address, nbytes))
        llvm.add_symbol(f"emu_shared_{address}", address)
        # A symbol of outside: what is known to be the kernel's own would be kept in registers over barriers.
        text = re.sub(rf"^{re.escape(name)} = .*$", f"{name} = external global {kind}", text, flags=re.M)
        text = re.sub(rf'{re.escape(name)}(?![\w.$"])', f"@emu_shared_{address}", text)
    text = re.sub(
        r'\basm +(?:sideeffect +)?"(\S+) [^"]*", "[^"]*"', lambda found: _PTX.get(found[1], found[0]), text
    )
    text = _plain(re.sub(r"\s*addrspace\(\d+\)", "", text).replace("addrspacecast", "bitcast"))
    text = re.sub(r"^(target |.*nvvm\.annotations|.*nvvmir\.version).*$", "", text, flags=re.M)
    for name, other in _SPECIAL.items():
        text = re.sub(rf'@"?{re.escape(name)}"?(?=\()', f"@{other}", text)
    text = re.sub(r"^declare .*@emu_\w+_pair\(.*$", "", text, flags=re.M)
    text = re.sub(r"^(declare .*@emu_(?:barrier|wait)\w*\([^)]*\)).*$", r"\1 convergent", text, flags=re.M)
    text = re.sub(r"\b__nv_\w+", lambda found: _MATH.get(found[0], found[0]), text)
    more = (_PAIRS if "_pair(" in text else "") + (
        _FOURS if any(name in text for name in _PTX.values()) else ""
    )
    return f'target triple = "{llvm.get_default_triple()}"\n{text}{more}'


_NAMED = r"\b(?:i\d+|float|double|half|void|ptr)"
_BRACKETS = r"[\[{<][^\[\]{}<>]*[\]}>]"
for _ in range(4):  # brackets within brackets
    _BRACKETS = rf"[\[{{<](?:[^\[\]{{}}<>]|{_BRACKETS})*[\]}}>]"
_POINTER = re.compile(rf"(?:{_NAMED}|{_BRACKETS})(?: \([^()*]*\))?\*")
_QUOTED = re.compile(r'("[^"]*")')


def _plain(text: str) -> str:
    """Return LLVM IR with pointers as LLVM has them by now, of no type: CUDA's compiler is given older IR."""
    parts = _QUOTED.split(text)
    for n in range(0, len(parts), 2):
        before = ""
        while "*" in parts[n] and parts[n] != before:  # from the inside out
            before, parts[n] = parts[n], _POINTER.sub("ptr", parts[n])
    return "".join(parts)


def _operands(text: str) -> list[str]:
    """Return what stands between commas, but for those within brackets."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == "," and depth == 0:
            found.append("")
        elif depth >= 0:
            found[-1] += letter
    return [operand.strip() for operand in found]


def _kind_of(operand: str) -> str:
    """Return the type at the beginning of an operand, such as that of `<4 x float> %x`."""
    depth = 0
    for n, letter in enumerate(operand):
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == " " and depth == 0:
            return operand[:n]
    return operand


def _tell(found: re.Match) -> str:
    """Return an instruction that reads or writes between calls that tell of it."""
    what, operands = found[1], _operands(found[2])
    align = next((o.removeprefix("align ") for o in operands if o.startswith("align ")), "1")
    if what.startswith(
        "call"
    ):  # of LLVM's own, for what it has found to be a copy: only its ends are checked
        ends = [o.split()[-1] for o in operands[: 1 if "memset" in what else 2]]
        calls = [f"  call void @emu_atomic(ptr {end}, i64 {operands[2].split()[-1]}, i64 1)" for end in ends]
        return "\n".join([*calls, found[0]])
    if what not in ("load", "store"):
        pointer = operands[0][operands[0].index("ptr ") :]
        nbytes = _size(_kind_of(operands[1]))
        return f"  call void @emu_atomic({pointer}, i64 {nbytes}, i64 {align})\n{found[0]}"
    at = f"ptr {operands[1][4:]}, i64 {_size(_kind_of(operands[0]))}"
    # This CPU must not stop at what the call before has told.
    itself = re.sub(r", align \d+", ", align 1", found[0])
    if what == "load":
        return f"  call void @emu_read({at}, i64 {align})\n{itself}"
    return f"  call void @emu_write({at}, i64 {align})\n{itself}\n  call void @emu_wrote({at})"


def _watched(text: str) -> str:
    """Return LLVM IR that tells `threads.c` of each read and write before it happens."""
    declared = "".join(f"declare void @emu_{name}(ptr, i64, i64)\n" for name in ("read", "write", "atomic"))
    declared += "declare void @emu_wrote(ptr, i64)\n"
    return f"{_ACCESS.sub(_tell, text)}\n{declared}"


def _entry(name: str, kinds: list[str]) -> str:
    """Return a function that takes a table of parameters, 8 bytes each, and calls a kernel with them."""
    read = [
        f"  %p{n} = getelementptr i64, ptr %table, i64 {n}\n  %v{n} = load {kind}, ptr %p{n}, align 8\n"
        for n, kind in enumerate(kinds)
    ]
    given = ", ".join(f"{kind} %v{n}" for n, kind in enumerate(kinds))
    return (
        f'declare void @"{name}"({", ".join(kinds)})\ndefine void @emu_entry(ptr %table) {{\n{"".join(read)}'
        f'  call void @"{name}"({given})\n  ret void\n}}\n'
    )


_known: dict[tuple, _Code] = {}


def _compile(kernel: Any, kind: dict) -> _Code:
    """Compile a variant of a kernel for this CPU; RuntimeError for functions that are not known here."""
    import llvmlite.binding as llvm

    key = id(kernel), *kind.items()
    if key in _known:
        return _known[key]
    _threads()
    context = llvm.create_context()
    name, kinds, texts = _intermediate_code(kernel, kind)
    shared: list[tuple[int, int]] = []
    module = llvm.parse_assembly(_entry(name, kinds), context)
    for text in texts:
        module.link_in(llvm.parse_assembly(_for_this_cpu(text, shared), context))
    machine = llvm.Target.from_default_triple().create_target_machine(opt=1)
    tuned = llvm.create_pipeline_tuning_options(speed_level=2)
    tuned.loop_vectorization = tuned.slp_vectorization = False  # vectors are to be those of the kernel
    passes = llvm.create_pass_builder(machine, tuned)
    passes.getModulePassManager().run(module, passes)
    text = _watched(str(module))
    module = llvm.parse_assembly(text, context)
    module.verify()
    unknown = [
        f.name for f in module.functions
        if f.is_declaration
        and (f.name.startswith("llvm.nvvm") or not f.name.startswith("llvm."))
        and llvm.address_of_symbol(f.name) is None
    ]  # fmt: skip
    if unknown or " asm " in text:
        raise RuntimeError(
            f"emulator: {kernel.family}.{kernel.name} calls {', '.join(unknown) or 'inline PTX'}"
        )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    address = engine.get_function_address("emu_entry")
    forms = "".join(kernel.codes(kind))
    assert len(forms) == len(kinds), (
        f"{kernel.name}: {len(forms)} parameters are packed, it takes {len(kinds)}"
    )
    waits = _WAITS.search(text) is not None
    _known[key] = made = _Code(kernel, address, forms, waits, shared, (engine, context))
    return made


# --- a GPU -----------------------------------------------------------------------------------------


def _make_emulator(order: int) -> Any:
    """Return what stands in for the driver and runs what is launched."""
    from kernels.cuda.allocator import Allocator
    from kernels.cuda.stand_in import StandIn

    threads = _threads()

    class Watched(Allocator):
        """Memory of which only what arrays hold may be touched."""

        def allocate(self, nbytes: int, place: Any = 0) -> Any:
            block = super().allocate(nbytes, place)
            threads.emu_hold(block.address, nbytes)
            return block

        def take_back(self, key: tuple, address: int, owner: Any, used_on: Any = ()) -> None:
            if not isinstance(key[0], tuple):  # a CUDA graph goes on working in its memory
                threads.emu_let_go(address, key[1])
            super().take_back(key, address, owner, used_on)

    class Emulator(StandIn):
        """A stand-in for a GPU that computes. order: how the threads of a block take turns, see threads.c."""

        def __init__(self) -> None:
            super().__init__(is_recorded=True)
            self.order = order
            self._codes: dict[int, _Code] = {}
            self._told = b""
            kept = self.allocator
            self.allocator = Watched(self._reserve, kept._room)
            self.allocator.mark, self.allocator.happened = kept.mark, kept.happened
            self.allocator.caches, self.allocator.may_ask = kept.caches, kept.may_ask
            self.pinned = Watched(self._reserve, kept._room)

        def load(self, kernel: Any, kind: dict) -> int:
            handle = super().load(kernel, kind)
            self._codes[handle] = _compile(kernel, kind)
            return handle

        def _reserve(self, nbytes: int) -> tuple[int, Any]:
            self.allocations += 1
            address = threads.emu_reserve(nbytes)
            if address is None:
                raise MemoryError
            return address, None

        def _launch(self, configuration, handle, parameters, extra) -> int:
            super()._launch(configuration, handle, parameters, extra)
            launch, code = self.launches.pop(), self._codes[handle]
            sizes = (*launch.grid, *launch.block)
            self._told = b""

            def run() -> None:
                self._told = self._told or _run(code, sizes, launch.parameters, self.order)

            self.queue(run, launch.stream or 0)
            return 1 if self._told else self.answer

        def _follow(self, name: str, numbers: list, made: int | None) -> int:
            self._told = b""
            return super()._follow(name, numbers, made) or (1 if self._told else 0)

        def _name(self, error, name) -> int:
            if not self._told:
                return super()._name(error, name)
            name[0] = self._told
            return 0

    return Emulator()


def _run(code: _Code, sizes: tuple[int, ...], parameters: bytes, order: int) -> bytes:
    """Run a kernel on a grid; return what was wrong, or nothing."""
    threads = _threads()
    if min(sizes) < 1 or sizes[3] * sizes[4] * sizes[5] > 1024 or max(sizes[1:3]) > 65535 or sizes[5] > 64:
        return f"no GPU takes blocks and threads of {sizes}".encode()
    table = (ctypes.c_uint64 * len(code.forms))()
    for n, value in enumerate(unpack(f"@{code.forms}", parameters)):
        form = code.forms[n]
        ctypes.memmove(ctypes.addressof(table) + 8 * n, pack(f"@{form}", value), calcsize(form))
    said = (ctypes.c_char * 512).in_dll(threads, "emu_error")
    said.value = b""
    addresses = (ctypes.c_void_p * len(code.shared))(*[address for address, _ in code.shared])
    lengths = (ctypes.c_long * len(code.shared))(*[nbytes for _, nbytes in code.shared])
    threads.emu_run(
        ctypes.c_void_p(code.entry), table, (ctypes.c_int * 6)(*sizes), int(code.has_barriers), order,
        addresses, lengths, len(code.shared),
    )  # fmt: skip
    return said.value


@contextmanager
def emulate(order: int = 0) -> Iterator[Any]:
    """Let "cuda" be a GPU that this CPU emulates. A kernel's mistake is the error of its launch.

    order: how the threads of a block, and blocks, take turns: 0 forwards, 1 backwards, 2 at random.
    """
    from kernels.cuda import stand_in
    from tensor import devices

    made = _make_emulator(order)
    try:
        with stand_in.stand_in(made=made):
            devices.look_again()
            yield made
    finally:
        devices.look_again()
