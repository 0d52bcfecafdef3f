"""Write the table of `docs/gpu.md`: every GPU kernel, where it was run, and what the compiler makes of it.

    python tests/cuda/page.py                  minutes: all is compiled
    python tests/cuda/page.py --simulator      only what ran on the simulator, anew

Between the two marks of the page stands what this writes; around them what people write. Needs the compiler
(`pip install 'liftgrad[cuda-check]'`). What ran on the simulator is read from the file `LIFTGRAD_LAUNCHED`,
which the tests there append to: `LIFTGRAD_LAUNCHED=build/launched make simulator`.
"""

import os
import re
import sys
from importlib.metadata import version
from pathlib import Path

from kernels.cuda import offline
from kernels.cuda.compile import Kernel

PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"
BEGIN, END = "<!-- kernels: written by tests/cuda/page.py -->", "<!-- end of kernels -->"


def launched_kernels() -> set[str]:
    """Return the names of the kernels that ran on the simulator."""
    log = os.environ.get("LIFTGRAD_LAUNCHED")
    return set(Path(log).read_text(encoding="utf-8").split()) if log else set()


def marked(table: str, launched: set[str]) -> str:
    """Return a table with its column of the simulator written anew."""
    return re.sub(
        r"^(\| `([\w.]+)` \| \d+ \| )(?:ran|-)(?= )",
        lambda found: found[1] + ("ran" if found[2] in launched else "-"),
        table,
        flags=re.MULTILINE,
    )


def row(kernel: Kernel, ptxas: str, launched: set[str]) -> str:
    """Return a kernel's line: over the variants that are compiled, the most of each count."""
    reports = [offline.examine(kernel, *case, ptxas) for case in offline.telling(kernel)]
    name = f"{kernel.family}.{kernel.name}"
    spilled = max(r.spilled_bytes + r.local_bytes for r in reports)
    return (
        f"| `{name}` | {len(kernel.kinds)} | {'ran' if name in launched else '-'} | compiles | "
        f"{max(r.registers for r in reports)} | {max(r.shared_bytes for r in reports)} | {spilled} |"
    )


def table() -> str:
    """Return the text between the marks."""
    ptxas = offline.find_ptxas()
    if ptxas is None:
        raise SystemExit("page: no ptxas; pip install 'liftgrad[cuda-check]'")
    launched = launched_kernels()
    lines = [
        f"numba-cuda {version('numba-cuda')}, nvvm {version('nvidia-nvvm')}, ptxas "
        f"{version('nvidia-cuda-nvcc')}; for sm_80 and sm_90, the larger number.",
        "",
        "| kernel | variants | simulator | PTX | registers | shared bytes | spilled or local bytes |",
        "|---|---|---|---|---|---|---|",
        *[row(kernel, ptxas, launched) for kernel in offline.all_kernels()],
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    written, _, after = rest.partition(END)
    made = marked(written.strip(), launched_kernels()) if "--simulator" in sys.argv else table()
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")
