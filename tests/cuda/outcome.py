"""Run the tests and the bench on a real GPU, and write what came of them into `docs/gpu.md`.

    python tests/cuda/outcome.py [what pytest takes]
    python tests/cuda/outcome.py --timings [what `liftgrad bench --device cuda` takes]

Runs the operations' tests, training beside the CPU's, and training on MNIST where its files are, on the GPU;
then `liftgrad bench --device cuda`; or the bench alone. Between the marks of the page stands the last run of
each GPU: this one's is written anew. Ends with pytest's exit code, or the bench's.
"""

import os
import platform
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "gpu.md"
BEGIN, END = "<!-- runs: written by tests/cuda/outcome.py -->", "<!-- end of runs -->"
TIMINGS = "<!-- timings: written by tests/cuda/outcome.py -->", "<!-- end of timings -->"
MOST_NAMES = 40


def machine() -> dict[str, str]:
    """Return what the tests run on: the GPU, its driver, the machine, the versions."""
    from numba import cuda

    from kernels.cuda import driver

    capability = ".".join(map(str, driver.capability()))
    memory = driver.memory_info()[1] / (1 << 30)
    try:
        smi = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        number = subprocess.run(smi, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        number = "unknown"
    try:
        runtime = ".".join(map(str, cuda.runtime.get_version()))
    except Exception:  # of whichever kind: it is a line of the page
        runtime = "unknown"
    return {
        "GPU": f"{driver.name()}, compute capability {capability}, {memory:.0f} GiB",
        "driver": f"{number}, CUDA runtime {runtime}",
        "machine": f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs",
        "versions": ", ".join(
            [f"Python {platform.python_version()}"]
            + [f"{name} {_version(name)}" for name in ("numba-cuda", "numba", "numpy", "torch", "cupy")]
        ),
    }


def _version(name: str) -> str:
    names = (name, f"{name}-cuda13x", f"{name}-cuda12x")
    for known in names:
        try:
            return version(known)
        except PackageNotFoundError:
            pass
    return "not installed"


def read(report: Path) -> tuple[Counter, list[str], Counter]:
    """Return from pytest's XML how many tests came to what, the names of what failed, and reasons to skip."""
    counts: Counter = Counter(passed=0, failed=0, skipped=0)
    failed, reasons = [], Counter()
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}::{case.get('name')}"
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
            failed.append(name)
        elif skip is not None:
            counts["skipped"] += 1
            reasons[(skip.get("message") or "no reason given").strip()] += 1
        else:
            counts["passed"] += 1
    return counts, failed, reasons


def section(facts: dict[str, str], report: Path, seconds: float, commit: str) -> str:
    """Return the text about one run."""
    counts, failed, reasons = read(report)
    now = datetime.now(UTC)
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    lines = [
        f"### {facts['GPU'].partition(',')[0]}", "",
        f"{now:%Y-%m-%d}, at {commit}: **{told}**, in {seconds / 60:.0f} minutes.", "",
        *[f"- {name}: {text}" for name, text in facts.items()],
    ]  # fmt: skip
    if failed:
        lines += ["", "Failed:", "", *[f"- `{name}`" for name in failed[:MOST_NAMES]]]
        if len(failed) > MOST_NAMES:
            lines.append(f"- and {len(failed) - MOST_NAMES} more")
    if reasons:
        lines += ["", "Skipped:", "", *[f"- {n}: {why}" for why, n in reasons.most_common(MOST_NAMES)]]
    return "\n".join(lines)


def timings(facts: dict[str, str], table: str, commit: str) -> str:
    """Return the text about one run of the bench: what it printed."""
    title = f"### {facts['GPU'].partition(',')[0]}"
    return "\n".join(
        [title, "", f"{datetime.now(UTC):%Y-%m-%d}, at {commit}.", "", "```", table.strip(), "```"]
    )


def written(page: str, text: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """Return the page with the section of a run; it takes the place of one about the same GPU."""
    before, begin, rest = page.partition(marks[0])
    runs, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise SystemExit(f"outcome: {PAGE.name} lost its marks: {marks[0]} and {marks[1]}")
    title = text.splitlines()[0]
    known = [run.strip() for run in re.split(r"(?m)^(?=### )", runs) if run.startswith("### ")]
    kept = [run for run in known if run.splitlines()[0] != title]
    return f"{before}{begin}\n\n" + "\n\n".join([text, *kept]) + f"\n\n{end}{after}"


def write(text: str, marks: tuple[str, str]) -> None:
    """Write the section of a run between marks of the page."""
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), text, marks), encoding="utf-8")
    print(f"outcome: written to {PAGE.relative_to(ROOT)}")


def run_bench(facts: dict[str, str], commit: str, arguments: list[str]) -> int:
    """Run the bench, show what it prints, write that to the page, and return its exit code."""
    command = [sys.executable, str(ROOT / "liftgrad.py"), "bench", "--device", "cuda", *arguments]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(ran.stdout)
    if ran.returncode in (0, 1) and ran.stdout:  # 1: not everything could be compared
        write(timings(facts, ran.stdout, commit), TIMINGS)
    return ran.returncode


def main(arguments: list[str]) -> int:
    """Run tests and bench, and write the page; 2, with one line, where there is no GPU."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
        print("outcome: this is the simulator; unset NUMBA_ENABLE_CUDASIM", file=sys.stderr)
        return 2
    from tensor.devices import missing_for_cuda

    missing = missing_for_cuda()
    if missing is not None:
        print(f"outcome: no GPU to run the tests on: {missing}", file=sys.stderr)
        return 2
    facts = machine()
    where = {"capture_output": True, "text": True, "cwd": ROOT, "check": False}
    found = subprocess.run(["git", "describe", "--always", "--dirty"], **where)  # type: ignore[call-overload]
    commit = found.stdout.strip() or "an unknown commit"
    if arguments[:1] == ["--timings"]:
        return run_bench(facts, commit, arguments[1:])
    with TemporaryDirectory() as folder:
        report, start = Path(folder, "report.xml"), time.monotonic()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", f"--junitxml={report}"]
        environment = {**os.environ, "LIFTGRAD_TEST_DEVICE": "cuda"}
        code = subprocess.run(
            [*command, *(arguments or ["tests"])], cwd=ROOT, env=environment, check=False
        ).returncode
        if not report.exists():
            return code
        text = section(facts, report, time.monotonic() - start, commit)
    write(text, (BEGIN, END))
    return code or run_bench(facts, commit, [])


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
