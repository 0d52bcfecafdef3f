"""Arrows point down only: reads every import, also those within functions, and knows what may stand where."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# What a module may import besides the standard library and its own package. A rule stands for a module and
# all below it; the longest that fits a module is the one that holds.
MAY_IMPORT = {
    "micro": [],
    "kernels": [
        "micro.formulas",
        "micro.ieee",
        "numpy",
        "numba",
        "llvmlite",
        "platformdirs",
        "greenlet",  # in the simulator of a GPU alone
    ],
    "tensor": [
        "kernels",
        "micro.formulas",
        "micro.bench",
        "micro.display",
        "micro.stepper",
        "micro.steps",
        "micro.symbolic",
        "micro.text",
        "micro.trace",
        "numpy",
        "safetensors",
        "pooch",
        "requests",
        "platformdirs",
        "PIL",
    ],
    "viz": [
        "micro.display",
        "micro.text",
        "micro.stepper",
        "micro.steps",
        "micro.trace",
        "graphviz",
        "wasmtime",
        "IPython",
        "traitlets",
        "platformdirs",
        "numpy",
        "rich",
    ],
    # The pages that run the engine themselves. What draws stays below them, and knows no engine.
    "viz.demos": ["micro", "tensor", "numpy"],
    "viz.play": ["micro", "tensor", "numpy", "viz.demos.numbers"],
    # What is drawn by matplotlib comes as arrays.
    "viz.plots": ["matplotlib", "numpy"],
    # What the command line asks for, put together.
    "viz.plotting": ["tensor", "numpy", "viz.plots"],
    "viz.pages": ["tensor", "viz.demos", "viz.play"],
    "viz.repl": ["micro", "tensor"],
    "liftgrad": ["micro", "kernels", "tensor", "viz", "numpy", "rich", "typer"],
}
FLOORS = tuple(name for name in MAY_IMPORT if "." not in name)

# What the command line imports when it starts; all else waits for the command that needs it.
AT_START = ["typer", "rich"]


class Import(NamedTuple):
    """One imported module: by whom, in which line, and whether it happens when the importer is imported."""

    importer: str
    line: int
    name: str
    at_import: bool


def modules(root: Path) -> dict[str, Path]:
    """Return the modules of every floor by dotted name."""
    paths = [root / "liftgrad.py", *(path for floor in FLOORS for path in (root / floor).rglob("*.py"))]
    return {_dotted(path.relative_to(root)): path for path in paths if path.exists()}


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(name: str, path: Path, known: dict[str, Path]) -> Iterator[Import]:
    """Yield what the module imports; `from a import b` is `a.b` where that is a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node, at_import in _walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            below = [f"{origin}.{alias.name}" for alias in node.names]
            targets = sorted({target if target in known else origin for target in below})
            # A private name of a public module is as private as a module.
            targets += [
                target for target in below if _is_private(target.rsplit(".")[-1]) and target not in known
            ]
        elif isinstance(node, ast.Call) and _is_import_call(node):
            argument = node.args[0] if node.args else None
            if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                continue
            targets = [argument.value]
        else:
            continue
        for target in targets:
            yield Import(name, node.lineno, target, at_import)


def _walk(node: ast.AST, at_import: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, at_import
        within = at_import and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        within = within and not _is_for_type_checkers(child)
        yield from _walk(child, within)


def _is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _is_import_call(node: ast.Call) -> bool:
    return ast.unparse(node.func) in ("__import__", "import_module", "importlib.import_module")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _is_within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def _rule_of(name: str) -> str:
    """Return the name of the longest rule that fits a module."""
    return max((rule for rule in MAY_IMPORT if _is_within(name, rule)), key=len)


def violations(root: Path) -> list[str]:
    """Return one line for each import that points up or sideways, and for each misplaced module."""
    known = modules(root)
    found = [entry for name, path in known.items() for entry in imports_of(name, path, known)]
    wrong = []
    for entry in found:
        floor, target = entry.importer.split(".")[0], entry.name.split(".")[0]
        where = f"{entry.importer}:{entry.line} imports {entry.name}: "
        rule = _rule_of(entry.importer)
        allowed = MAY_IMPORT[rule]
        if target == floor:
            above = _rule_of(entry.name)
            if above not in (floor, rule) and not any(_is_within(entry.name, a) for a in allowed):
                wrong.append(where + f"{above} stands above or beside it")
        elif target in ("tests", "examples"):
            wrong.append(where + "it is not installed")
        elif target in FLOORS and any(_is_private(part) for part in entry.name.split(".")):
            wrong.append(where + "another package's private part")
        elif target not in sys.stdlib_module_names and not any(_is_within(entry.name, a) for a in allowed):
            wrong.append(where + f"{rule} may import {', '.join(allowed) or 'the standard library only'}")
        lazy = target in sys.stdlib_module_names or target in AT_START
        if floor == "liftgrad" and entry.at_import and not lazy:
            wrong.append(where + "the command line imports it within the command that needs it")
    if "tensor.tensor" in known:
        wrong.append("tensor/tensor.py would hide tensor.tensor(...), the constructor")
    return wrong


def test_arrows_point_down():
    assert not violations(ROOT)


def test_every_floor_has_been_read():
    names = modules(ROOT)
    assert {"micro.formulas", "kernels.cpu", "viz.graph"} <= set(names)
    assert set(FLOORS) - {name.split(".")[0] for name in names} == set()


def test_only_the_floors_are_packaged():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    patterns = settings["packages"]["find"]["include"]
    assert {pattern.split(".")[0] for pattern in patterns} == set(FLOORS) - {"liftgrad"}
    assert settings["py-modules"] == ["liftgrad"]


# --- the checker itself ----------------------------------------------------------------------------

PLANTED = [
    (
        "micro/value.py",
        "import numpy",
        "micro.value:1 imports numpy: micro may import the standard library only",
    ),
    ("micro/value.py", "def f():\n    from viz import draw", "micro.value:2 imports viz: "),
    ("micro/value.py", "if TYPE_CHECKING:\n    import tensor", "micro.value:2 imports tensor: "),
    ("kernels/cpu/a.py", "from tensor.shape import view", "kernels.cpu.a:1 imports tensor.shape: "),
    ("kernels/cpu/a.py", "from micro import Value", "kernels.cpu.a:1 imports micro: "),
    ("kernels/cpu/a.py", "from micro import Value, formulas", "kernels.cpu.a:1 imports micro: "),
    ("kernels/cpu/a.py", "class A:\n    import viz", "kernels.cpu.a:2 imports viz: "),
    ("tensor/shape.py", "import micro.value", "tensor.shape:1 imports micro.value: "),
    ("tensor/shape.py", "import viz", "tensor.shape:1 imports viz: "),
    ("tensor/shape.py", "import torch", "tensor.shape:1 imports torch: "),
    ("tensor/shape.py", "import importlib\nimportlib.import_module('viz')", "tensor.shape:2 imports viz: "),
    ("tensor/shape.py", "from tests.reference import add", "tensor.shape:1 imports tests.reference: "),
    ("tensor/shape.py", "from kernels.cpu._pool import run", "another package's private part"),
    ("tensor/shape.py", "from kernels.cpu import _pool", "another package's private part"),
    ("tensor/shape.py", "from kernels.cpu.matmul import _pack", "another package's private part"),
    (
        "viz/graph.py",
        "try:\n    from micro.value import Value\nexcept ImportError: pass",
        "viz.graph:2 imports",
    ),
    ("viz/graph.py", "import tensor", "viz.graph:1 imports tensor: viz may import"),
    ("viz/graph.py", "from viz.demos.table import DEMOS", "viz.demos stands above or beside it"),
    ("viz/graph.py", "def f():\n    import viz.play", "viz.play stands above or beside it"),
    ("viz/demos/moons.py", "import viz.plots", "viz.plots stands above or beside it"),
    ("viz/demos/moons.py", "import kernels", "viz.demos.moons:1 imports kernels: viz.demos may import"),
    ("viz/play/page.py", "from viz.demos.moons import record", "viz.demos stands above or beside it"),
    ("viz/demos/site.py", "from viz.pages import put_site", "viz.pages stands above or beside it"),
    ("viz/plots/curve.py", "import viz.plotting", "viz.plotting stands above or beside it"),
    ("viz/plots/curve.py", "import tensor", "viz.plots.curve:1 imports tensor: viz.plots may import"),
    ("liftgrad.py", "import tensor", "within the command that needs it"),
    ("liftgrad.py", "try:\n    import numba\nexcept ImportError: pass", "within the command that needs it"),
    ("tensor/tensor.py", "", "would hide tensor.tensor"),
]


@pytest.mark.parametrize(("path", "source", "message"), PLANTED)
def test_a_planted_violation_is_found(tmp_path, path, source, message):
    plant(tmp_path, path, source)
    assert message in "\n".join(violations(tmp_path))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "micro/value.py",
            "import math\nfrom micro import formulas\nfrom micro._private import a\nfrom . import nn",
        ),
        (
            "kernels/cpu/a.py",
            "import numpy as np\nfrom micro.formulas import TANH\nfrom micro import formulas",
        ),
        ("tensor/nn/linear.py", "import numpy.random\nfrom kernels import cpu\nfrom .._graph import node"),
        (
            "viz/demos/moons.py",
            "import numpy as np\nimport tensor\nfrom micro import nn\nfrom viz import document",
        ),
        ("viz/play/page.py", "import tensor\nfrom viz.demos.numbers import shown"),
        ("viz/plotting.py", "from tensor import session\nfrom viz import plots, terminal"),
        ("viz/plots/curve.py", "def f():\n    import matplotlib.pyplot as plt"),
        ("liftgrad.py", "import sys\nimport typer\ndef train():\n    import tensor, viz, micro"),
    ],
)
def test_a_clean_module_is_not_blamed(tmp_path, path, source):
    plant(tmp_path, path, source)
    assert not violations(tmp_path)


def plant(root, path, source):
    """Write one module into a small copy of the house."""
    for name in ("micro/formulas.py", "kernels/cpu/_pool.py", path):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("", encoding="utf-8")
    (root / path).write_text(source, encoding="utf-8")
