"""What a notebook shows of Value and Tensor, asked as IPython asks."""

import tomllib
import xml.etree.ElementTree as ElementTree
from importlib import import_module
from pathlib import Path

import pytest

import tensor
from micro import Value, display
from viz import notebook
from viz.layout import LayoutTimeout

ROOT = Path(__file__).parents[2]
SVG = "image/svg+xml"


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Find the hook that pyproject.toml names, also where the package is not installed."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (place,) = settings["entry-points"]["liftgrad.display"].values()
    module, name = place.split(":")
    monkeypatch.setattr(display, "_load_hooks", lambda: (getattr(import_module(module), name),))


@pytest.fixture
def shell(monkeypatch, tmp_path):
    """Return an IPython as a notebook has it, in this process."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    interactive = pytest.importorskip(
        "IPython.core.interactiveshell", reason="IPython is not installed (pip install -e '.[repl]')"
    )
    yield interactive.InteractiveShell.instance()
    interactive.InteractiveShell.clear_instance()


def value():
    x, y = Value(2.0, "x"), Value(3.0, "y")
    z = x * y
    z.backward()
    return z


def loss():
    w = tensor.tensor([1.0, 2.0], requires_grad=True)
    return (w * w).sum()


@pytest.mark.parametrize("make", [value, loss, lambda: Value(2.0)])
def test_ipython_shows_the_picture_and_the_text(shell, make):
    root = make()
    shown, _ = shell.display_formatter.format(root)
    assert shown["text/plain"] == repr(root)
    picture = ElementTree.fromstring(shown[SVG])
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert set(shown) == {"text/plain", SVG}


def test_a_notebooks_cell_shows_it(shell):
    from IPython.utils.capture import capture_output

    shell.user_ns["z"] = value()
    with capture_output() as captured:
        shell.run_cell("display(z)")
    (output,) = captured.outputs
    assert "data 6.0" in output.data[SVG]


def test_a_terminal_draws_nothing(shell, monkeypatch):
    monkeypatch.setattr(notebook, "draw", lambda root: pytest.fail("drawn for a terminal"))
    shell.display_formatter.active_types = ["text/plain"]
    root = value()
    assert shell.display_formatter.format(root)[0] == {"text/plain": repr(root)}


@pytest.mark.parametrize(
    "make",
    [
        lambda: tensor.tensor([1.0, 2.0]),
        lambda: tensor.tensor([1.0], requires_grad=True),
        lambda: tensor.nn.Parameter(tensor.ones(3)),
        lambda: loss().detach(),
    ],
)
def test_a_tensor_without_a_history_is_text(shell, make):
    root = make()
    assert shell.display_formatter.format(root)[0] == {"text/plain": repr(root)}


@pytest.mark.parametrize("length", [notebook.LARGEST_DRAWN, 20_000])
def test_of_a_large_graph_there_are_the_text_and_a_line(length):
    root = Value(1.0)
    for _ in range(length):
        root = root.tanh()
    shown = root._repr_mimebundle_()
    first, second = shown.pop("text/plain").split("\n")
    assert first == repr(root)
    assert second == '(not drawn here: more than 200 values; viz.save(..., "graph.svg") writes a file)'
    assert shown == {}


def test_what_takes_too_long_is_text_and_a_line(monkeypatch):
    def lay_out(*_):
        raise LayoutTimeout("Graphviz took longer than 3 s")

    monkeypatch.setattr(notebook, "lay_out", lay_out)
    shown = value()._repr_mimebundle_()
    assert list(shown) == ["text/plain"]
    assert "(not drawn here: Graphviz took longer than 3 s;" in shown["text/plain"]


def test_any_other_failure_leaves_the_text(monkeypatch, shell):
    monkeypatch.setattr(notebook, "draw", lambda root: 1 / 0)
    root = value()
    assert shell.display_formatter.format(root)[0] == {"text/plain": repr(root)}


def test_showing_changes_nothing():
    w = tensor.tensor([1.0, 2.0], requires_grad=True)
    result = (w * w).sum()
    result._repr_mimebundle_()
    assert w.grad is None
    result.backward()
    assert w.grad.tolist() == [2.0, 4.0]
