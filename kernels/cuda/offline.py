"""What the compiler makes of every kernel, found without a GPU: PTX, and what ptxas says of it.

`examine(kernel, kind, capability)` compiles one variant and assembles it. Run as a program this prints a line
for each: `python -m kernels.cuda.offline sm_80 sm_90`.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

from kernels.cuda import elementwise
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
    try:
        files = distribution("nvidia-cuda-nvcc").files or []
        for file in files:
            if file.name in ("ptxas", "ptxas.exe"):
                return str(file.locate())
    except PackageNotFoundError:
        pass
    return shutil.which("ptxas")


def all_kernels() -> list[Kernel]:
    """Return every kernel, also those of formulas that nobody has used yet."""
    from kernels import cuda

    assert cuda.__all__  # every family has been imported
    if "elementwise.add" not in KERNELS:
        elementwise.list_all()
    return [KERNELS[name] for name in sorted(KERNELS)]


def telling(kernel: Kernel) -> list[tuple[dict[str, np.dtype], tuple[int, int]]]:
    """Return what is compiled of a kernel: its first variant for each capability, the last for the newest.

    The variants in between differ in the width of their elements alone. The first is that of float32.
    """
    first, last = kernel.kinds[0], kernel.kinds[-1]
    found = [(first, capability) for capability in CAPABILITIES]
    return found if first == last else [*found, (last, CAPABILITIES[-1])]


def examine(kernel: Kernel, kind: dict[str, np.dtype], capability: tuple[int, int], ptxas: str) -> Report:
    """Compile one variant of a kernel and assemble it; raises RuntimeError with what ptxas complains of."""
    return assemble([kernel.ptx(kind, capability)], capability, ptxas)[0]


_PARAMETER = re.compile(r"\.param \.[usfb](\d+) \w+_param_\d+")


def assemble(sources: list[str], capability: tuple[int, int], ptxas: str) -> list[Report]:
    """Assemble PTX texts of one kernel each, in one run of ptxas."""
    architecture = f"sm_{capability[0]}{capability[1]}"
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for n, source in enumerate(sources):
            paths.append(str(Path(folder, f"{n}.ptx")))
            Path(paths[-1]).write_text(source, encoding="utf-8")
        reports = []
        for source, path in zip(sources, paths, strict=True):
            ran = subprocess.run(
                [ptxas, "-v", f"-arch={architecture}", "-o", str(Path(folder, "out.cubin")), path],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if ran.returncode:
                raise RuntimeError(f"ptxas: {ran.stderr.strip()}")
            reports.append(_report(source, ran.stderr))
    return reports


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


def main(names: list[str]) -> None:
    """Print what is said of every kernel, or of the families that are named."""
    ptxas = find_ptxas()
    if ptxas is None:
        sys.exit("offline: no ptxas; pip install 'liftgrad[cuda-check]'")
    for kernel in all_kernels():
        if names and kernel.family not in names:
            continue
        for kind in kernel.kinds:
            for capability in CAPABILITIES:
                types = " ".join(f"{k}={v.name}" for k, v in kind.items())
                report = examine(kernel, kind, capability, ptxas)
                print(
                    f"{kernel.family}.{kernel.name} {types} sm_{capability[0]}{capability[1]}: "
                    f"{report.registers} registers, {report.shared_bytes} bytes shared, "
                    f"{report.spilled_bytes} spilled, {report.local_bytes} local, "
                    f"{len(report.float64_instructions)} float64 instructions"
                )


if __name__ == "__main__":
    main(sys.argv[1:])
