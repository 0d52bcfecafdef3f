"""The one door: what tensor/ computes with elements goes through the kernel table of the tensor's device.

The arrays of tensors are watched ones here, which note who does more with them than look: so would fail on a
GPU. Beside it the source is read for functions of NumPy.
"""

import ast
import functools
import importlib.util
import inspect
import pathlib
import sys
import zlib

import numpy as np
import pytest

import tensor
from kernels import cpu

ROOT = pathlib.Path(tensor.__file__).parents[1]

ON_THE_HOST = {
    "tensor/bench": "measures",
    "tensor/data": "makes and reads data",
    "tensor/saving": "reads and writes files",
    "tensor/serialization.py": "reads and writes files",
    "tensor/storage.py": "shows the bytes of memory",
    "tensor/interop.py": "hands arrays to NumPy",
    "tensor/printing.py": "shows numbers",
    "tensor/testing.py": "compares what was computed",
    "tensor/differences.py": "compares it with finite differences",
    "tensor/training.py": "counts right answers",
    "tensor/history.py": "measures gradients, for plots",
    "tensor/measuring.py": "measures what a trained model does, for plots",
    "tensor/models.py": "prepares pictures",
    "tensor/random.py": "draws from a generator of the CPU",
}
"""Where NumPy computes, and why."""

SEEN = {"shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides", "flags", "base", "ctypes"}
SEEN |= {"__class__", "__len__", "__array_interface__", "_array"}
VIEWS = {"view", "reshape", "transpose", "swapaxes", "diagonal", "T", "__getitem__", "__iter__", "setflags"}
VIEWS |= {"broadcast_to", "may_share_memory"}
READ = {"item", "tolist", "__int__", "__float__", "__bool__", "__index__", "__dlpack__"}
ANSWERED = SEEN | VIEWS | READ
"""What an array of any device answers: what it is, views of it, and its elements as Python's numbers."""

ELSEWHERE = {
    ("tensor/optim/batch.py", "__setitem__"): "the numbers of steps, which stay on the CPU, as in PyTorch",
}

TYPES = {"ndarray", "dtype", "generic", "integer", "number", "bool_", "float32", "float64", "int32", "int64"}
TYPES |= {"uint8", "finfo", "iinfo", "errstate", "broadcast_shapes"}
OF_PYTHON = {
    "tensor/autograd/keeping.py": {"array_equal"},  # a copy on the CPU with another
    "tensor/creation.py": {"asarray", "eye", "frombuffer", "may_share_memory"},
    "tensor/diagonals.py": {"arange", "ogrid"},
    "tensor/device_random.py": {"array", "asarray", "ascontiguousarray"},  # the bytes of states
    "tensor/dropout.py": {"argsort"},  # of strides
    "tensor/engine.py": {"zeros"},
    "tensor/indexing.py": {"asarray"},
    "tensor/join.py": {"array", "indices"},
    "tensor/linalg/checks.py": {"linalg"},  # an error
    "tensor/linalg/decompositions.py": {"eye", "ogrid"},
    "tensor/linalg/equations.py": {"ogrid"},
    "tensor/linalg/lu.py": {"arange", "eye", "ogrid"},
    "tensor/making.py": {"asarray"},
    "tensor/memory.py": {"arange", "asarray", "bincount", "maximum", "may_share_memory"},  # of positions
    "tensor/operands.py": {"array", "asarray"},
    "tensor/optim/batch.py": {"array", "empty"},
    "tensor/pad.py": {"abs", "arange", "where"},  # of positions
    "tensor/ranges.py": {"arange", "array", "longdouble", "power", "trunc", "where"}
    | {"tril_indices", "triu_indices"},
    "tensor/shape.py": {"broadcast_to"},
    "tensor/typed.py": {"empty", "zeros"},
}  # fmt: skip
"""What makes arrays of Python's numbers, or computes with positions that are known without a tensor."""


def _is_on_the_host(path: str) -> bool:
    return any(path == place or path.startswith(place + "/") for place in ON_THE_HOST)


# --- by reading --------------------------------------------------------------------------------------


def calls_of_numpy(path: str, source: str) -> list[str]:
    """Return a line for each name of NumPy, and each method of a tensor's array, that is not foreseen."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value
        if isinstance(owner, ast.Name) and owner.id == "np":
            if node.attr not in TYPES | OF_PYTHON.get(path, set()):
                found.append(f"{path}:{node.lineno} np.{node.attr}")
        elif isinstance(owner, ast.Attribute) and owner.attr == "_array" and node.attr not in ANSWERED:
            found.append(f"{path}:{node.lineno} array.{node.attr}")
    return found


def sources() -> dict[str, str]:
    paths = {str(path.relative_to(ROOT).as_posix()): path for path in (ROOT / "tensor").rglob("*.py")}
    return {name: p.read_text(encoding="utf-8") for name, p in paths.items() if not _is_on_the_host(name)}


def test_numpy_computes_nothing_in_tensor():
    found = [line for path, source in sources().items() for line in calls_of_numpy(path, source)]
    assert not found, "\n".join(["give it a name in kernels/cpu, and reach it through the table:", *found])


def test_what_is_allowed_is_used():
    texts = sources()
    for path, names in OF_PYTHON.items():
        assert names <= {name for name in names if f"np.{name}" in texts[path]}, path
    for place in ON_THE_HOST:
        assert (ROOT / place).exists(), place


@pytest.mark.parametrize(
    "source",
    ["import numpy as np\ny = np.exp(x._array)", "low = x._array.min()", "y = x._array.astype(wanted)"],
)
def test_a_planted_call_is_found(source):
    assert len(calls_of_numpy("tensor/activations.py", source)) == 1


# --- by watching -------------------------------------------------------------------------------------


class Watched(np.ndarray):
    """An array that notes which lines of tensor/ compute with it, other than through a kernel."""

    seen: set[tuple[str, int, str]] = set()  # noqa: RUF012

    def __getattribute__(self, name):
        _note(name)
        return super().__getattribute__(name)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        _note(ufunc.__name__)
        inputs = [plain(x) for x in inputs]
        if out is None:
            return watched(getattr(ufunc, method)(*inputs, **kwargs))
        getattr(ufunc, method)(*inputs, out=tuple(map(plain, out)), **kwargs)
        return out[0]

    def __array_function__(self, function, types, args, kwargs):
        _note(function.__name__)
        kwargs = {name: plain(value) for name, value in kwargs.items()}
        return watched(function(*plain(args), **kwargs))


def _note(name: str, depth: int = 2) -> None:
    frame = sys._getframe(depth)
    place = pathlib.PurePath(frame.f_code.co_filename)
    if place.is_relative_to(ROOT / "tensor"):
        path = place.relative_to(ROOT).as_posix()
        known = name in ANSWERED or (path, name) in ELSEWHERE
        if not known and not _is_on_the_host(path):
            Watched.seen.add((path, frame.f_lineno, name))


def _watch(name: str):
    """Make the method `name`, which Python's syntax calls, of watched arrays."""
    method = getattr(np.ndarray, name)

    def noted(self, *args):
        by_positions = "__getitem__" in name and any(
            isinstance(item, np.ndarray | list) for item in (args[0] if isinstance(args[0], tuple) else args)
        )
        _note("index by positions" if by_positions else name)
        return method(self, *args)

    return noted


_BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
_SYNTAX = "getitem setitem bool int float index len iter contains neg abs invert"
_SYNTAX += " lt le eq ne gt ge iadd isub imul itruediv iand ior"
for _operator in [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
]:
    _SYNTAX += f" {_operator} r{_operator}"
for _operator in _SYNTAX.split():
    setattr(Watched, f"__{_operator}__", _watch(f"__{_operator}__"))


def watched(x):
    """Return arrays as watched ones, in tuples and lists too."""
    if type(x) is np.ndarray:
        return x.view(Watched)
    return type(x)(map(watched, x)) if type(x) in (tuple, list) else x


def plain(x):
    """Return watched arrays as plain ones, in tuples and lists too."""
    if isinstance(x, Watched):
        return np.ndarray.view(x, np.ndarray)
    return type(x)(map(plain, x)) if type(x) in (tuple, list) else x


def _through_the_door(kernel):
    """Return a kernel that takes watched arrays and returns them; one that it returns as it came is that."""

    @functools.wraps(kernel)
    def called(*args, **kwargs):
        given: dict[int, tuple] = {}

        def enter(x):
            if isinstance(x, Watched):
                bare = plain(x)
                given[id(bare)] = bare, x
                return bare
            return type(x)(map(enter, x)) if type(x) in (tuple, list) else x

        def leave(x):
            if id(x) in given:
                return given[id(x)][1]
            return type(x)(map(leave, x)) if type(x) in (tuple, list) else watched(x)

        return leave(kernel(*map(enter, args), **{name: enter(value) for name, value in kwargs.items()}))

    return called


@pytest.fixture
def watching(monkeypatch):
    """Let all tensors be watched, and the kernels let them pass; gives the places that were noted."""
    for name in cpu.__all__:
        kernel = getattr(cpu, name)
        if inspect.isfunction(kernel) and name != "to_host" and not name.endswith("_from_bits"):
            monkeypatch.setattr(cpu, name, _through_the_door(kernel))
    monkeypatch.setattr(cpu, "to_host", plain)
    wrap = tensor.Tensor._wrap
    monkeypatch.setattr(tensor.Tensor, "_wrap", staticmethod(lambda array: wrap(watched(array))))
    monkeypatch.setattr(Watched, "seen", set())
    return Watched.seen


def _harness():
    path = pathlib.Path(__file__).parent / "surface" / "harness.py"
    name = "liftgrad_tests_surface_harness"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


harness = _harness()


@pytest.mark.parametrize("family", harness.families())
def test_elements_are_computed_with_by_kernels(family, watching):
    rows = harness.rows_of(family)
    chosen = [row for row in rows if zlib.crc32(row.program.encode()) % 8 == 0]
    assert chosen
    for row in chosen:
        harness.run(tensor, row.program)
    assert not watching, "\n".join(f"{path}:{line} {what}" for path, line, what in sorted(watching))


def test_a_planted_computation_is_noted(watching):
    x = tensor.tensor([1.0, -2.0])
    place = str(ROOT / "tensor" / "planted.py")
    for line in ("x._array.sum()", "x._array * 2", "np.abs(x._array)", "x._array[[0]]", "np.sort(x._array)"):
        watching.clear()
        exec(compile(line, place, "exec"), {"x": x, "np": np})
        assert [path for path, _, _ in watching] == ["tensor/planted.py"], line
    watching.clear()
    exec(compile("x._array[:1].reshape(1, 1), x.abs().sum().item()", place, "exec"), {"x": x})
    assert not watching
