"""Write the tables of `docs/gpu.md`: every GPU kernel, and the machine code of those that training launches.

    python tests/cuda/page.py                  minutes: all is compiled
    python tests/cuda/page.py --machine-code   only the table of the machine code
    python tests/cuda/page.py --simulator      only what ran on the simulator, anew

Between the marks of the page stands what this writes; around them what people write. Needs the compiler
(`pip install 'liftgrad[cuda-check]'`). What ran on the simulator is read from the file `LIFTGRAD_LAUNCHED`,
which the tests there append to: `LIFTGRAD_LAUNCHED=build/launched make simulator`; without it the page's own
column stays.
"""

import os
import re
import sys
from importlib.metadata import version
from pathlib import Path

from kernels.cuda import offline, sass
from kernels.cuda.compile import Kernel

PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"
BEGIN, END = "<!-- kernels: written by tests/cuda/page.py -->", "<!-- end of kernels -->"
CODE = "<!-- machine code: written by tests/cuda/page.py -->", "<!-- end of machine code -->"
CAPABILITY = (9, 0)


def launched_kernels() -> set[str]:
    """Return the names of the kernels that ran on the simulator; without a file, by the page."""
    log = os.environ.get("LIFTGRAD_LAUNCHED")
    if log:
        return set(Path(log).read_text(encoding="utf-8").split())
    return set(re.findall(r"^\| `([\w.]+)` \| \d+ \| ran ", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


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


def launched_by_work() -> dict[str, list[str]]:
    """Return the kernels that training steps and the bench launch, each with the work that does."""
    import tensor
    from tensor.bench.gpu.host import step_of
    from tensor.bench.stand_in import stand_in
    from tensor.bench.works.training import CNN, MLP

    found: dict[str, list[str]] = {}
    with stand_in(is_recorded=False) as gpu:
        x = tensor.zeros(4096, 4096, device="cuda")
        functional = tensor.nn.functional
        works = {
            "MLP step": step_of(MLP), "CNN step": step_of(CNN), "product of 4096 cubed": lambda: x @ x,
            "gelu": lambda: functional.gelu(x), "sum of all": lambda: x.sum(), "of rows": lambda: x.sum(1),
            "of columns": lambda: x.sum(0), "softmax": lambda: tensor.softmax(x, 1),
            "layer norm": lambda: functional.layer_norm(x, (4096,)), "copy": lambda: x.clone(),
        }  # fmt: skip
        for name, work in works.items():
            gpu.forget()
            work()
            for kernel in gpu.launched:
                found.setdefault(kernel, []).append(name)
    return found


def busiest_loop(listing: sass.Listing) -> sass.Loop | None:
    """Return the innermost loop that works most: multiplies and adds, else moves memory; None without one."""
    most = listing.busiest("FFMA")
    if most is not None and sass.count(most.instructions)["FFMA"] >= 8:
        return most
    return next((found for name in ("LDG.128", "LDG.64", "LDG.32") if (found := listing.busiest(name))), most)


def row_of_code(kernel: Kernel, works: list[str], ptxas: str, nvdisasm: str) -> str:
    """Return what the machine code of a kernel's float32 variant holds, and its busiest loop, as a line."""
    kind = kernel.kinds[0]
    listing = offline.disassemble(kernel, kind, CAPABILITY, ptxas, nvdisasm)
    loop = busiest_loop(listing)
    counts = sass.count(loop.instructions if loop else listing.instructions)
    total = sum(counts.values())
    wide = sum(n for name, n in counts.items() if name.endswith(".128"))
    narrow = sum(n for name, n in counts.items() if re.search(r"\.(8|16|32|64)$", name))
    registers = offline.examine(kernel, kind, CAPABILITY, ptxas).registers
    cells = (
        f"`{kernel.family}.{kernel.name}`", ", ".join(works), registers, len(listing.instructions),
        total if loop else "no loop", f"{counts['FFMA'] / total:.0%}", wide, narrow,
        len(listing.float64_instructions),
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def table_of_code() -> str:
    """Return the text between the marks of the machine code."""
    ptxas, nvdisasm = offline.find_ptxas(), offline.find_nvdisasm()
    if ptxas is None or nvdisasm is None:
        raise SystemExit("page: no ptxas or nvdisasm; pip install 'liftgrad[cuda-check]'")
    found = sorted(launched_by_work().items())  # makes some kernels: those with an activation at the end
    kernels = {f"{kernel.family}.{kernel.name}": kernel for kernel in offline.all_kernels()}
    lines = [
        "Variants of float32 for sm_90. Of the innermost loop that works most: its instructions, the part "
        "of them that are FFMA, and the loads and stores of 128 bits and of fewer.",
        "",
        "| kernel | launched by | registers | instructions | of the loop | FFMA | 128 bits | fewer | float64 "
        "|",
        "|---|---|---|---|---|---|---|---|---|",
        *[row_of_code(kernels[name], works, ptxas, nvdisasm) for name, works in found],
    ]
    return "\n".join(lines)


def put(text: str, made: str, marks: tuple[str, str]) -> str:
    """Return the page with what was made between its marks."""
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise SystemExit(f"page: {PAGE.name} lost its marks: {marks[0]} and {marks[1]}")
    return f"{before}{begin}\n\n{made}\n\n{end}{after}"


def table() -> str:
    """Return the text between the marks of the kernels."""
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
    if "--simulator" not in sys.argv:
        text = put(text, table_of_code(), CODE)
    if "--machine-code" not in sys.argv:
        known = text.partition(BEGIN)[2].partition(END)[0].strip()
        made = marked(known, launched_kernels()) if "--simulator" in sys.argv else table()
        text = put(text, made, (BEGIN, END))
    PAGE.write_text(text, encoding="utf-8")
