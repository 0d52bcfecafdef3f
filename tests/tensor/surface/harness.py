"""The surface table: lines of programs, run by this engine and by PyTorch, and compared.

Each `*.txt` here is a family of rows; README.md says how they are written. What PyTorch gives is kept in
`recorded/<family>.jsonl`, so that the rows mean something where it is not installed:

    python tests/tensor/surface/harness.py            record every family whose rows or values have changed
    python tests/tensor/surface/harness.py --check    print the rows that differ, beside PyTorch (-k WORD)
"""

import argparse
import ast
import collections
import contextlib
import functools
import importlib.util
import json
import math
import os
import pathlib
import random
import re
import sys
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

HERE = pathlib.Path(__file__).parent
RECORDED = HERE / "recorded"

# As check.py has them, relative to each number; the last is relative to the largest number of a result.
TOLERANCE = {
    "torch.float32": (1.3e-6, 1e-5, 2e-6),
    "torch.float64": (1e-11, 1e-11, 1e-12),
    "torch.float16": (1e-3, 1e-3, 1e-3),
    "torch.bfloat16": (1.6e-2, 1e-2, 1e-2),
}
NUMBER = re.compile(r"-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf\b|nan\b)")
DEVICE = os.environ.get("LIFTGRAD_TEST_DEVICE", "cpu")
"""The device that this engine makes tensors on; PyTorch's are on the CPU."""
KEPT = 24  # elements of a result that are recorded one by one; of more, some are, and two sums of all
FLOATS = ("x", "y", "p", "u", "d", "v", "w", "a", "c", "sq", "g", "s")


class Row(NamedTuple):
    """One row: its family, section and program; `differs` says how it differs, where that is known.

    warns: why its warnings are not compared. on_cpu: why it is compared on the CPU alone. slow: why it is
    not run on the simulator of a GPU.
    """

    family: str
    section: str
    program: str
    differs: str | None
    warns: str | None
    on_cpu: str | None
    slow: str | None

    @property
    def name(self) -> str:
        """A short name for pytest: family and program."""
        line = " ".join(self.program.split())
        return f"{self.family}: " + line.replace("::", ":_:")[:80]


@functools.cache
def on_gpu() -> ModuleType:
    """Return `on_gpu.py`: what is different about rows on another device than the CPU."""
    spec = importlib.util.spec_from_file_location("liftgrad_tests_surface_on_gpu", HERE / "on_gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def families() -> list[str]:
    """Return the names of the tables."""
    return sorted(path.stem for path in HERE.glob("*.txt"))


def rows_of(family: str) -> list[Row]:
    """Read a table; ValueError where a row stands twice."""
    found: list[Row] = []
    section = ""
    lines: list[str] = []

    def finish() -> None:
        if not lines:
            return
        program, *parts = re.split(r"\s#([!wcs])\s", "\n".join(lines))
        marks = {mark: reason.strip() for mark, reason in zip(parts[::2], parts[1::2], strict=True)}
        row = Row(family, section, program.rstrip(), *map(marks.get, "!wcs"))
        if any(other.program == row.program for other in found):
            raise ValueError(f"{family}.txt has this row twice: {row.program}")
        found.append(row)
        lines.clear()

    for line in (HERE / f"{family}.txt").read_text(encoding="utf-8").splitlines():
        if lines and line.startswith(("    ", "| ")):
            lines.append(line.removeprefix("| "))
            continue
        finish()
        if line.startswith("## "):
            section = line[3:].strip()
        elif line.strip() and not line.startswith("#"):
            lines.append(line)
    finish()
    return found


# --- running ---------------------------------------------------------------------------------------


@functools.cache
def _standard_numbers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)

    def single(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
        return np.asarray(rng.uniform(low, high, shape), np.float32)

    return {
        "x": single(3, 4),
        "y": single(3, 4),
        "p": single(3, 4, low=0.2, high=3.0),
        "u": single(3, 4, low=0.05, high=0.95),
        "v": single(4),
        "w": single(4, 5),
        "a": single(2, 3, 4),
        "c": single(2, 4, 5),
        "sq": single(3, 3),
        "g": single(2, 3, 6, 6),
        "s": single(),
        "d": rng.uniform(-2.0, 2.0, (3, 4)),
        "i": rng.integers(0, 3, (3, 4)),
        "j": rng.integers(-5, 10, (3, 4)),
        "k": rng.integers(-5, 10, (3, 4)).astype(np.int32),
        "h": rng.integers(0, 200, (3, 4)).astype(np.uint8),
        "b": rng.integers(0, 2, (3, 4)).astype(bool),
        "e": rng.integers(0, 2, (3, 4)).astype(bool),
        "t": rng.integers(0, 4, 3),
    }


def standard_inputs(T: ModuleType) -> dict[str, Any]:
    """Return the tensors that rows may name, made anew, the same in both engines."""
    numbers = _standard_numbers()
    return {name: T.tensor(array, requires_grad=name in FLOATS) for name, array in numbers.items()}


class Imports(ast.NodeTransformer):
    """Let a program that imports torch import `tensor`, where that runs it."""

    def visit_Import(self, node: ast.Import) -> ast.Import:
        for alias in node.names:
            if alias.name.split(".")[0] == "torch":
                if alias.asname is None and alias.name == "torch":
                    alias.asname = "torch"
                alias.name = re.sub(r"^torch\b", "tensor", alias.name)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        if node.module is not None:
            node.module = re.sub(r"^torch\b", "tensor", node.module)
        return node


def run(T: ModuleType, program: str) -> dict:
    """Run a program with engine T; return what it gives, as `describe` writes it, or the error it raises."""
    _reset(T)
    inputs = standard_inputs(T)
    names = {"torch": T, "nn": T.nn, "F": T.nn.functional, "np": np, "math": math, **inputs}
    tree = ast.parse(program)
    if T.__name__ == "tensor":
        tree = ast.fix_missing_locations(Imports().visit(tree))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    T.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        if T.__name__ == "tensor" and DEVICE != "cpu":
            stack.enter_context(on_gpu().numbers_of_the_cpu())
        caught = stack.enter_context(warnings.catch_warnings(record=True))
        stack.enter_context(np.errstate(all="ignore"))
        warnings.simplefilter("always")
        if re.search(r"\btmp\b", program):  # a folder takes longer than the rest of a row
            names["tmp"] = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names["__name__"] = "__row__"
        try:
            exec(compile(tree, "<row>", "exec"), names)
            value = None
            if last is not None:
                value = eval(compile(ast.Expression(last.value), "<row>", "eval"), names)
            found["value"] = describe(value)
            found["text"] = text_of(value)
            warned = {w.category.__name__ for w in caught}
            gradients = _gradients(T, value, inputs)
            if gradients:
                found["grads"] = gradients
        except Exception as error:
            found = {"error": _builtin_kind(error), "message": str(error)}
            warned = {w.category.__name__ for w in caught}
    if warned:
        found["warned"] = sorted(warned)
    _reset(T)
    T.set_default_device(None)  # for the tests after this one
    return found if DEVICE == "cpu" else on_gpu().without_device(found)


def _reset(T: ModuleType) -> None:
    T.set_grad_enabled(True)
    T.set_default_device(DEVICE if T.__name__ == "tensor" and DEVICE != "cpu" else None)
    T.set_default_dtype(T.float32)
    T.set_printoptions(profile="default")
    T.distributions.Distribution.set_default_validate_args(True)  # torch.compile turns it off for good
    if T.__name__ == "torch":
        T.set_warn_always(True)


def _builtin_kind(error: Exception) -> str:
    """Return the builtin class that a program would catch this error by."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")


def _gradients(T: ModuleType, value: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the gradients in the standard inputs of the sum of weights times float results."""
    results: list[Any] = []
    for tensor in _tensors(value):
        if tensor.is_floating_point() and tensor.requires_grad and not any(r is tensor for r in results):
            results.append(tensor)
    if results:
        weights = []
        for n, result in enumerate(results):
            size = math.prod(result.shape)
            flow = (np.cos(np.arange(size) * 1.7 + 0.3 * n) + 0.1).reshape(tuple(result.shape))
            weights.append(T.tensor(flow).to(result.device, result.dtype))
        try:
            T.autograd.backward(results, weights)
        except RuntimeError as error:
            return {"error": _builtin_kind(error)}
    found = {}
    for name in FLOATS:
        grad = inputs[name].grad
        if grad is not None:
            # of the input's shape and dtype, as `grad` cannot help being; a few numbers are enough
            found[name] = _values(np.asarray(grad.detach().cpu().numpy()), 6)
    return found


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, type):
        return
    if hasattr(value, "requires_grad") and hasattr(value, "grad_fn"):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)


# --- describing ------------------------------------------------------------------------------------


def describe(value: Any) -> Any:
    """Return a value in plain words, the same for both engines: lists and dicts that JSON can hold."""
    kind = type(value).__name__
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, type):
        return ["class", value.__name__]
    if isinstance(value, int):
        return [kind, value]
    if isinstance(value, np.generic):
        return ["numpy", value.dtype.name, _plain(value.item())]
    if isinstance(value, float):
        return [kind, value]
    if isinstance(value, complex):
        return [kind, value.real, value.imag]
    if isinstance(value, np.ndarray):
        return {"array": value.dtype.name, "shape": list(value.shape), "values": _values(value)}
    if hasattr(value, "requires_grad") and hasattr(value, "grad_fn"):
        return _describe_tensor(value)
    if kind == "Size":
        return ["Size", list(value)]
    if isinstance(value, tuple):
        fields = getattr(type(value), "__match_args__", None)
        named = [kind, list(fields)] if fields else [kind]
        return [*named, [describe(part) for part in value]]
    if isinstance(value, list):
        return [kind, [describe(part) for part in value]]
    if isinstance(value, collections.abc.Mapping):
        return [kind, [[describe(key), describe(part)] for key, part in value.items()]]
    if isinstance(value, set | frozenset):
        return [kind, sorted((describe(part) for part in value), key=str)]
    if kind in ("dtype", "device"):
        return [kind, str(value)]
    if hasattr(value, "state_dict") and hasattr(value, "named_parameters"):
        return [kind, {"state": describe(dict(value.state_dict()))}]
    return [kind]


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else repr(value)


def _describe_tensor(value: Any) -> dict:
    found: dict[str, Any] = {"tensor": type(value).__name__, "dtype": str(value.dtype)}
    found["shape"] = list(value.shape)
    if value.requires_grad:
        found["requires_grad"] = True
    if value.grad_fn is not None:
        found["grad_fn"] = re.match(r"<(\w+)", repr(value.grad_fn)).group(1)  # type: ignore[union-attr]
    detached = value.detach().cpu()
    if found["dtype"] == "torch.bfloat16":
        detached = detached.float()
    if found["dtype"].startswith("torch.complex"):
        found["values"] = [repr(v) for v in np.asarray(detached.resolve_conj().numpy()).reshape(-1).tolist()]
    else:
        found["values"] = _values(np.asarray(detached.numpy()))
    return found


def _values(array: np.ndarray, kept: int = KEPT) -> list:
    """Return all elements or, where there are more than `kept`, some and two sums of all."""
    flat = array.reshape(-1)
    if array.dtype.kind in "OUSV":
        return [str(value) for value in flat.tolist()]
    if flat.size <= kept:
        return flat.tolist()
    wide = flat.astype(np.float64)
    weights = np.cos(np.arange(flat.size) * 0.7)
    some = flat[:: -(-flat.size // (kept // 2))].tolist()
    # nan and infinities would drown the sums
    clean = np.where(np.isfinite(wide), wide, 0.0)
    sums = [float(np.sum(clean)), float(np.sum(clean * weights))]
    return [*some, *(sums if array.dtype.kind == "f" else _rounded(sums))]  # integers are compared exactly


def text_of(value: Any) -> str:
    """Return the repr, free of addresses and of which engine it is."""
    if isinstance(value, type):
        return f"<class {value.__name__}>"
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    text = re.sub(r"<(function|built-in method|bound method) .*", r"<\1>", text)
    return re.sub(r"\btensor\.(?=[\w.]+)", "torch.", text)


def skeleton(text: str) -> str:
    """Return a repr without its numbers."""
    return NUMBER.sub("#", text)


# --- comparing -------------------------------------------------------------------------------------


def differences(ours: dict, theirs: dict, row: Row, recorded: bool = False) -> list[str]:
    """Return how this engine's result differs from PyTorch's; [] if it does not."""
    if "error" in theirs:
        if "error" not in ours:
            said = f": {theirs['message']}" if "message" in theirs else ""
            return [f"no error, where PyTorch raises {theirs['error']}{said}"]
        kinds = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
        if not issubclass(kinds[ours["error"]], kinds[theirs["error"]]):
            return [f"{ours['error']} ({ours['message']}), where PyTorch raises {theirs['error']}"]
        return []
    if "error" in ours:
        return [f"{ours['error']}: {ours['message']}"]
    found: list[str] = []
    _compare(ours["value"], theirs["value"], "value", found, recorded)
    if not found:
        _compare_text(ours["text"], theirs["text"], found)
    ours_grads, their_grads = ours.get("grads", {}), theirs.get("grads", {})
    for name in sorted(ours_grads.keys() | their_grads.keys()):
        if name not in ours_grads or name not in their_grads:
            there = "missing" if name not in ours_grads else "not expected"
            found.append("error in backward is " + there if name == "error" else f"{name}.grad is {there}")
        elif name == "error":
            _compare(ours_grads[name], their_grads[name], "error in backward", found, recorded)
        else:
            kind = "torch.float64" if name == "d" else "torch.float32"
            _compare_numbers(ours_grads[name], their_grads[name], kind, f"{name}.grad", found, recorded)
    if row.warns is None and ours.get("warned", []) != theirs.get("warned", []):
        found.append(f"warns {ours.get('warned', [])}, where PyTorch warns {theirs.get('warned', [])}")
    return found


def _compare(ours: Any, theirs: Any, what: str, found: list[str], recorded: bool) -> None:
    if isinstance(theirs, dict) and isinstance(ours, dict) and "values" in theirs and "values" in ours:
        for key in sorted((ours.keys() | theirs.keys()) - {"values"}):
            if ours.get(key) != theirs.get(key):
                found.append(f"{what}: {key} is {ours.get(key)}, expected {theirs.get(key)}")
        if ours["shape"] == theirs["shape"] and not found:
            kind = theirs.get("dtype") or f"torch.{theirs.get('array')}"
            _compare_numbers(ours["values"], theirs["values"], kind, what, found, recorded)
    elif isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            _compare(ours.get(key), theirs.get(key), what, found, recorded)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(ours) == len(theirs):
        for n, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            _compare(a, b, f"{what}[{n}]", found, recorded)
    elif isinstance(theirs, float) and isinstance(ours, float):
        # a number from float32 arithmetic cannot be told from others
        _compare_numbers([ours], [theirs], "torch.float32", what, found, recorded)
    elif ours != theirs or type(ours) is not type(theirs):
        found.append(f"{what} is {ours!r}, expected {theirs!r}")


def _compare_numbers(
    ours: list, theirs: list, kind: str, what: str, found: list[str], recorded: bool
) -> None:
    if kind not in TOLERANCE or not theirs or isinstance(theirs[0], str):
        if ours != theirs:
            found.append(f"{what}: {ours}, expected {theirs}")
        return
    rtol, atol, of_largest = TOLERANCE[kind]
    if recorded:  # they are rounded
        rtol, of_largest = max(rtol, 2e-6), max(of_largest, 2e-6)
    a, b = np.array(ours, float), np.array(theirs, float)
    finite = np.abs(b[np.isfinite(b)])
    atol = max(atol, of_largest * float(finite.max(initial=0.0)))
    if a.shape != b.shape or not np.allclose(a, b, rtol, atol, equal_nan=True):
        with np.errstate(invalid="ignore"):
            worst = np.abs(a - b)
        found.append(f"{what}: {ours}, expected {theirs}; apart by up to {np.nanmax(worst, initial=0.0):.3g}")


def _compare_text(ours: str, theirs: str, found: list[str]) -> None:
    """Compare reprs: all but the numbers exactly; numbers may be rounded the other way."""
    if theirs.startswith("crc "):  # as recorded
        if theirs != _digest(ours):
            found.append(f"repr is not as recorded: {ours}")
        return
    if ours == theirs:
        return
    a, b = NUMBER.findall(ours), NUMBER.findall(theirs)
    if skeleton(ours) == skeleton(theirs) and len(a) == len(b):
        pairs = [(float(p), float(q)) for p, q in zip(a, b, strict=True)]
        if all(p == q or abs(p - q) <= 1e-3 * max(1.0, abs(q)) for p, q in pairs):
            return
    found.append(f"repr is\n{ours}\nexpected\n{theirs}")


def _digest(text: str) -> str:
    return f"crc {zlib.crc32(skeleton(text).encode()):08x}"


# --- recording -------------------------------------------------------------------------------------


def compact(result: dict) -> dict:
    """Return a result as it is recorded: numbers rounded, the repr as a checksum of all but its numbers."""
    kept = {key: value for key, value in result.items() if key not in ("text", "message")}
    if "text" in result:
        kept["text"] = _digest(result["text"])
    return _rounded(kept)


def _rounded(value: Any, digits: int = 7) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, list):
        return [_rounded(part, digits) for part in value]
    if isinstance(value, dict):
        if value.get("array") == "float64":
            digits = 9
        return {key: _rounded(part, digits) for key, part in value.items()}
    return value


def load(family: str) -> dict[str, dict]:
    """Return what PyTorch gave, by program."""
    path = RECORDED / f"{family}.jsonl"
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(json.loads(line) for line in lines)


def record(T: ModuleType, family: str) -> bool:
    """Write what PyTorch gives for a family, one line a row, sorted; return whether the file changed."""
    before = load(family)
    lines = []
    for row in sorted(rows_of(family), key=lambda row: row.program):
        now = run(T, row.program)
        old = before.get(row.program)
        # an old record that still holds stays as it is: last digits differ between machines
        keep = old is not None and not stale(now, old, row)
        lines.append(json.dumps([row.program, old if keep else compact(now)], separators=(",", ":")))
    path = RECORDED / f"{family}.jsonl"
    text = "".join(line + "\n" for line in lines)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True


def stale(now: dict, recorded: dict, row: Row) -> list[str]:
    """Return how what is recorded differs from what PyTorch gives now."""
    if ("error" in now) != ("error" in recorded) or now.get("error") != recorded.get("error"):
        return [f"recorded {recorded.get('error', 'no error')}, now {now.get('error', 'no error')}"]
    return differences(now, recorded, row, recorded=True)


def main() -> int:
    """Record, or check and print what differs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("families", nargs="*", help="tables; all by default")
    parser.add_argument("--check", action="store_true", help="compare, print what differs, record nothing")
    parser.add_argument("-k", default="", help="with --check: only rows that contain this")
    given = parser.parse_args()
    sys.path.insert(0, str(HERE.parents[2]))
    import torch

    RECORDED.mkdir(exist_ok=True)
    wrong = 0
    for family in given.families or families():
        if not given.check:
            print(f"{family}: {'recorded' if record(torch, family) else 'as it was'}")
            continue
        import tensor

        for row in rows_of(family):
            if given.k not in row.program:
                continue
            found = differences(run(tensor, row.program), run(torch, row.program), row)
            if bool(found) != bool(row.differs):
                wrong += 1
                print(f"--- {family}: {row.program}")
                print("\n".join(found) if found else f"does not differ any more: {row.differs}")
    if not given.check:
        for path in RECORDED.glob("*.jsonl"):
            if path.stem not in families():
                path.unlink()
    else:
        print(f"{wrong} rows are not as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
