"""Whole programs, run by this engine and by PyTorch: what they print must be alike, line by line.

Each file of `written/` is a program written for PyTorch; what PyTorch prints is kept in `recorded/`:

    python tests/tensor/programs/programs.py            record (NAMES: only these)
    python tests/tensor/programs/programs.py --check    print the lines that differ, beside PyTorch
"""

import argparse
import ast
import contextlib
import importlib.util
import io
import random
import re
import sys
import traceback
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np

HERE = Path(__file__).parent
WRITTEN, RECORDED = HERE / "written", HERE / "recorded"
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\binf\b|\bnan\b)")
# After some steps of training, the last bits of two engines have grown to this.
RTOL, ATOL = 2e-3, 2e-4


def names() -> list[str]:
    """Return the programs."""
    return sorted(path.stem for path in WRITTEN.glob("*.py"))


def _harness() -> ModuleType:
    name = "liftgrad_tests_surface_harness"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE.parent / "surface" / "harness.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def run(name: str, engine: str) -> str:
    """Run a program with "tensor" or "torch" and return what it prints; an error is its last line."""
    path = WRITTEN / f"{name}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    if engine == "tensor":
        tree = ast.fix_missing_locations(_harness().Imports().visit(tree))
    random.seed(0)
    np.random.seed(0)
    out = io.StringIO()
    module = ModuleType("program")
    sys.modules["program"] = module  # pickle looks classes up by their module
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(tree, str(path), "exec"), module.__dict__)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)
            line = next((f.lineno for f in reversed(where) if f.filename == str(path)), 0)
            print(f"line {line}: {type(error).__name__}: {error}")
    return out.getvalue()


def differences(ours: str, theirs: str) -> list[str]:
    """Return the lines that differ: words exactly, numbers beyond what rounding explains."""
    a, b = ours.splitlines(), theirs.splitlines()
    found = [f"- {q}\n+ {p}" for p, q in zip(a, b, strict=False) if not _alike(p, q)]
    if len(a) != len(b):
        longer, mark = (a, "+") if len(a) > len(b) else (b, "-")
        found += [f"{mark} {line}" for line in longer[min(len(a), len(b)) :]]
    return found


def _alike(ours: str, theirs: str) -> bool:
    if ours == theirs:
        return True
    if _words(ours) != _words(theirs):
        return False
    pairs = zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=True)
    return all(p == q or abs(float(p) - float(q)) <= ATOL + RTOL * abs(float(q)) for p, q in pairs)


def _words(line: str) -> str:
    # a sign or a digit more may move what stands beside it
    return re.sub(r"\s+", " ", NUMBER.sub(" #", line))


def main() -> int:
    """Record, or check and print what differs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help="programs; all by default")
    parser.add_argument("--check", action="store_true", help="compare, print what differs, record nothing")
    given = parser.parse_args()
    sys.path.insert(0, str(HERE.parents[2]))
    RECORDED.mkdir(exist_ok=True)
    wrong = 0
    for name in given.names or names():
        theirs = run(name, "torch")
        if given.check:
            found = differences(run(name, "tensor"), theirs)
            print(f"{name}: {'as PyTorch' if not found else ''}")
            print("\n".join(found[:12]), end="\n" if found else "")
            wrong += bool(found)
            continue
        path = RECORDED / f"{name}.txt"
        if not path.exists() or differences(theirs, path.read_text(encoding="utf-8")):
            path.write_text(theirs, encoding="utf-8")
            print(f"{name}: recorded")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
