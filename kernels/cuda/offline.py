"""What the compiler makes of every kernel, found without a GPU: PTX, what ptxas says of it, machine code.

`examine(kernel, kind, capability)` compiles one variant and assembles it, `disassemble` reads what came out.
Run as a program this prints a line for each: `python -m kernels.cuda.offline [family ...]`; and with `--sass`
what machine code and its loops hold: `python -m kernels.cuda.offline --sass products.square_product`.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

from kernels.cuda import elementwise, lift, sass
from kernels.cuda.compile import KERNELS, Kernel

CAPABILITIES = ((8, 0), (9, 0))
"""The compute capabilities that every kernel is compiled for: A100 and H100."""


@dataclass(frozen=True)
class Report:
    """What ptxas says of a kernel, and what its PTX tells."""

    registers: int
    shared_bytes: int
    spilled_bytes: int
    local_bytes: int
    float64_instructions: tuple[str, ...]
    parameter_bytes: tuple[int, ...]


def find_ptxas() -> str | None:
    """Return where ptxas is: that of the package nvidia-cuda-nvcc, else one on the path; None without."""
    return _find("ptxas", "nvidia-cuda-nvcc")


def find_nvdisasm() -> str | None:
    """Return where nvdisasm is: that of nvidia-cuda-nvdisasm, else one on the path; None without."""
    return _find("nvdisasm", "nvidia-cuda-nvdisasm")


def _find(program: str, package: str) -> str | None:
    try:
        for file in distribution(package).files or []:
            if file.name in (program, f"{program}.exe"):
                return str(file.locate())
    except PackageNotFoundError:
        pass
    return shutil.which(program)


def all_kernels() -> list[Kernel]:
    """Return every kernel, also those of formulas that nobody has used yet."""
    from kernels import cuda

    assert cuda.__all__  # every family has been imported
    if "elementwise.add" not in KERNELS:
        elementwise.list_all()
    return [KERNELS[name] for name in sorted(KERNELS)]


def telling(kernel: Kernel) -> list[tuple[dict[str, np.dtype], tuple[int, int]]]:
    """Return what is compiled of a kernel: its first variant for each capability, the last for the newest.

    The variants in between differ in the width of their elements alone. The first is that of float32. Lifted
    functions, which are most, stand all in the same loop: of them each capability has one variant.
    """
    first, last = kernel.kinds[0], kernel.kinds[-1]
    if kernel.function.__module__ == lift.__name__ and first != last:
        return [(first, CAPABILITIES[0]), (last, CAPABILITIES[-1])]
    found = [(first, capability) for capability in CAPABILITIES]
    return found if first == last else [*found, (last, CAPABILITIES[-1])]


def examine(kernel: Kernel, kind: dict[str, np.dtype], capability: tuple[int, int], ptxas: str) -> Report:
    """Compile one variant of a kernel and assemble it; raises RuntimeError with what ptxas complains of."""
    return assemble([kernel.ptx(kind, capability)], capability, ptxas)[0]


_PARAMETER = re.compile(r"\.param \.[usfb](\d+) \w+_param_\d+")


def assemble(sources: list[str], capability: tuple[int, int], ptxas: str) -> list[Report]:
    """Assemble PTX texts of one kernel each."""
    with tempfile.TemporaryDirectory() as folder:
        return [_report(source, _assemble(source, capability, ptxas, folder)[1]) for source in sources]


def disassemble(
    kernel: Kernel, kind: dict[str, np.dtype], capability: tuple[int, int], ptxas: str, nvdisasm: str
) -> sass.Listing:
    """Compile one variant of a kernel, assemble it, and return what its machine code holds."""
    with tempfile.TemporaryDirectory() as folder:
        cubin, _ = _assemble(kernel.ptx(kind, capability), capability, ptxas, folder)
        return sass.read(_run([nvdisasm, "-c", cubin]).stdout)


def _assemble(source: str, capability: tuple[int, int], ptxas: str, folder: str) -> tuple[str, str]:
    """Return where in `folder` the machine code of a PTX text was written, and what ptxas said."""
    written, cubin = Path(folder, "kernel.ptx"), str(Path(folder, "kernel.cubin"))
    written.write_text(source, encoding="utf-8")
    architecture = f"sm_{capability[0]}{capability[1]}"
    return cubin, _run([ptxas, "-v", f"-arch={architecture}", "-o", cubin, str(written)]).stderr


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{Path(command[0]).stem}: {ran.stderr.strip()}")
    return ran


def _report(source: str, said: str) -> Report:
    def number(pattern: str) -> int:
        found = re.findall(pattern, said)
        return max(map(int, found)) if found else 0

    return Report(
        registers=number(r"Used (\d+) registers"),
        shared_bytes=number(r"(\d+) bytes smem"),
        spilled_bytes=number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"),
        local_bytes=number(r"(\d+) bytes stack frame"),
        float64_instructions=tuple(
            line.strip() for line in source.splitlines() if re.search(r"\.f64\s", line) and ".reg" not in line
        ),
        parameter_bytes=_parameter_bytes(source),
    )


def _parameter_bytes(source: str) -> tuple[int, ...]:
    """Return the sizes of a kernel's parameters; functions that it calls have theirs, further on."""
    start = source.index(".entry")
    listed = source[start : source.index(")", start)]
    return tuple(int(bits) // 8 for bits in _PARAMETER.findall(listed))


def main(arguments: list[str]) -> None:
    """Print what is said of every kernel, or of the families and kernels that are named."""
    parser = argparse.ArgumentParser(prog="python -m kernels.cuda.offline", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="FAMILY[.KERNEL]", help="all kernels without")
    parser.add_argument("--sass", action="store_true", help="what machine code and its innermost loops hold")
    parser.add_argument("--listing", action="store_true", help="with --sass: the loops' instructions, too")
    options = parser.parse_args(arguments)
    ptxas, nvdisasm = find_ptxas(), find_nvdisasm()
    if ptxas is None or (options.sass and nvdisasm is None):
        sys.exit(f"offline: no {'nvdisasm' if ptxas else 'ptxas'}; pip install 'liftgrad[cuda-check]'")
    chosen = [k for k in all_kernels() if not options.names or {k.family, _name(k)} & set(options.names)]
    if not chosen:
        sys.exit(
            f"offline: no kernel of the name {' or '.join(options.names)}; a family is a file of kernels/cuda"
        )
    for kernel in chosen:
        if options.sass:
            assert nvdisasm is not None
            kind, capability = kernel.kinds[0], CAPABILITIES[-1]
            listing = disassemble(kernel, kind, capability, ptxas, nvdisasm)
            print(
                f"{_title(kernel, kind, capability)}: {sass.describe(listing, options.listing)}", flush=True
            )
            continue
        for kind in kernel.kinds:
            for capability in CAPABILITIES:
                report = examine(kernel, kind, capability, ptxas)
                print(
                    f"{_title(kernel, kind, capability)}: "
                    f"{report.registers} registers, {report.shared_bytes} bytes shared, "
                    f"{report.spilled_bytes} spilled, {report.local_bytes} local, "
                    f"{len(report.float64_instructions)} float64 instructions"
                )


def _name(kernel: Kernel) -> str:
    return f"{kernel.family}.{kernel.name}"


def _title(kernel: Kernel, kind: dict[str, np.dtype], capability: tuple[int, int]) -> str:
    types = " ".join(f"{letter}={dtype.name}" for letter, dtype in kind.items())
    return " ".join(part for part in (_name(kernel), types, f"sm_{capability[0]}{capability[1]}") if part)


if __name__ == "__main__":
    main(sys.argv[1:])
