"""Files and SVG text of graphs, and what takes the place of a picture that cannot be laid out in time."""

import random
import shutil
import xml.etree.ElementTree as ElementTree

import pytest

import viz
from micro import Value
from viz import render
from viz.layout import LayoutError, LayoutTimeout

needs_dot = pytest.mark.skipif(
    shutil.which("dot") is None, reason="Graphviz's program `dot` is not installed"
)


class Node:
    """Answers `viz.Drawable`, and nothing else."""

    def __init__(self, data=None, parents=(), op="", label=None, grad=None):
        self.data, self.parents, self.op, self.label, self.grad = data, parents, op, label, grad


def example():
    """Return the graph of out = x * y after its backward pass."""
    x, y = Node(2.0, label="x", grad=3.0), Node(3.0, label="y", grad=2.0)
    return Node(6.0, (x, y), "*", "out", 1.0)


@pytest.fixture
def no_dot(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.fixture
def slow(monkeypatch):
    """Return a function that makes the first `times` layouts too slow, and the list of texts laid out."""

    def slow_down(times, error=LayoutTimeout):
        sources, limits = [], []

        def lay_out(source, format, limit):
            sources.append(source)
            limits.append(limit)
            if len(sources) <= times:
                raise error("Graphviz took longer than 6 s")
            return b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>'

        monkeypatch.setattr(render, "lay_out", lay_out)
        return sources, limits

    return slow_down


# --- files -----------------------------------------------------------------------------------------


def test_save_writes_dot_without_dot(no_dot, tmp_path):
    path = viz.save(example(), tmp_path / "graph.dot")
    assert path.read_text(encoding="utf-8") == viz.draw(example()).source


def test_save_writes_svg_without_dot(no_dot, tmp_path):
    path = viz.save(example(), tmp_path / "graph.SVG")
    text = path.read_text(encoding="utf-8")
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<svg ')
    assert text.partition("\n")[2] == viz.svg(example())
    assert [p.name for p in tmp_path.iterdir()] == ["graph.SVG"]


def test_save_says_the_repair_where_dot_is_missing(no_dot, tmp_path):
    with pytest.raises(
        RuntimeError,
        match=r"save: graph\.png needs Graphviz's program.*apt install graphviz.*or save graph\.svg",
    ):
        viz.save(example(), tmp_path / "graph.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["graph.txt", "graph", ".svg", "graph.svg.gz"])
def test_save_refuses_another_ending(tmp_path, name):
    with pytest.raises(ValueError, match=rf"must end in \.svg, \.png, \.pdf or \.dot, got '{name}'"):
        viz.save(example(), tmp_path / name)


def test_save_leaves_nothing_behind_where_it_cannot_write(tmp_path):
    (tmp_path / "graph.dot").mkdir()
    with pytest.raises(OSError):  # noqa: PT011 - the kind differs between systems
        viz.save(example(), tmp_path / "graph.dot")
    assert [path.name for path in tmp_path.iterdir()] == ["graph.dot"]
    absent = tmp_path / "absent" / "graph.dot"
    with pytest.raises(FileNotFoundError) as caught:
        viz.save(example(), absent)
    assert str(caught.value) == f"[Errno 2] No such file or directory: {str(absent)!r}"


@needs_dot
@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_save_renders(tmp_path, ending, start):
    assert viz.save(example(), tmp_path / f"graph.{ending}").read_bytes().startswith(start)


def test_options_are_those_of_draw(tmp_path):
    assert "rankdir=TB" in viz.save(example(), tmp_path / "graph.dot", rankdir="TB").read_text()
    with pytest.raises(ValueError, match="rankdir is"):
        viz.svg(example(), rankdir="up")
    with pytest.raises(TypeError, match="colour"):
        viz.svg(example(), colour="red")


def test_a_finished_graph_can_be_saved(no_dot, tmp_path):
    graph = viz.draw(example())
    assert viz.save(graph, tmp_path / "a.dot").read_text() == graph.source
    assert "out" in viz.save(graph, tmp_path / "a.svg").read_text()


# --- SVG -------------------------------------------------------------------------------------------


def test_svg_is_one_element_with_its_words_as_text_and_a_title(no_dot):
    picture = ElementTree.fromstring(viz.svg(example()))
    name = "{http://www.w3.org/2000/svg}"
    assert picture.tag == name + "svg"
    texts = [e.text for e in picture.iter(name + "text")]
    assert {"out", "data 6.0", "grad 1.0", "*"} <= set(texts)
    assert picture.find(name + "title").text == "How out was computed"
    assert picture.find(name + "desc").text == "out from x, y, in 1 operation"


def test_svg_is_the_same_every_time_and_names_no_place(no_dot):
    text = viz.svg(example())
    assert text == viz.svg(example())
    assert not any(word in text for word in ("file:", "/home", "/tmp", "Generated", "<script", "href"))


def test_a_label_cannot_break_out(no_dot):
    picture = ElementTree.fromstring(viz.svg(Node(1.0, label='</title><script>&"\0')))
    assert not list(picture.iter("{http://www.w3.org/2000/svg}script"))


# --- too large -------------------------------------------------------------------------------------


def test_straight_edges_come_second(slow, tmp_path):
    sources, limits = slow(1)
    with pytest.warns(UserWarning, match=r"graph\.svg was drawn with straight edges, since Graphviz took"):
        viz.save(example(), tmp_path / "graph.svg", timeout=5)
    assert ["splines=line" in source for source in sources] == [False, True]
    assert sum(limits) <= 5
    assert (tmp_path / "graph.svg").exists()


def chain(length):
    root = Node(1.0, label="x")
    for i in range(length):
        root = Node(1.0, (root,), "tanh" if i % 2 else "relu")
    return root


def test_what_is_near_the_result_comes_third(slow, tmp_path):
    sources, limits = slow(3)
    with pytest.warns(UserWarning, match="values nearest its result, since Graphviz took"):
        viz.save(chain(1000), tmp_path / "graph.svg", timeout=5)
    counts = [source.count('"relu"') for source in sources]
    assert counts[:2] == [500, 500]
    assert 150 < counts[2] <= 200
    assert 25 < counts[3] <= 50
    assert sum(limits) <= 5


def test_the_pass_is_recorded_once_for_all_that_is_tried(slow, monkeypatch):
    recorded = []
    record = Value.record_pass
    monkeypatch.setattr(Value, "record_pass", lambda *args, **kw: recorded.append(1) or record(*args, **kw))
    sources, _ = slow(3)
    with pytest.warns(UserWarning, match="nearest its result"):
        viz.svg(Value(2.0, "x") * 3.0, derivatives=True)
    assert len(sources) == 4
    assert 'label=" 3.0' in sources[0]
    assert len(recorded) == 1


def test_nobody_waits_for_what_cannot_be_laid_out(slow):
    sources, _ = slow(0)
    with pytest.warns(UserWarning, match="since 30,001 values are too many to be laid out"):
        viz.svg(chain(30_000), most=50)
    (source,) = sources
    assert 0 < source.count('"relu"') <= 25


def test_an_option_that_would_have_no_effect_is_refused(tmp_path):
    graph = viz.draw(example())
    for draw, name in (
        (lambda **o: viz.save(graph, tmp_path / "a.svg", **o), "save"),
        (lambda **o: viz.svg(graph, **o), "svg"),
    ):
        with pytest.raises(
            TypeError, match=f"{name}: legend, flow: this graph is drawn already; give options to draw"
        ):
            draw(legend=True, flow=True)
    with pytest.raises(TypeError, match="save: there is no option format: the ending of the name says it"):
        viz.save(example(), tmp_path / "a.svg", format="png")
    with pytest.raises(TypeError, match="svg: there is no option format: it returns SVG"):
        viz.svg(example(), format="png")
    assert not list(tmp_path.iterdir())


def test_of_a_finished_graph_nothing_is_left_out(slow):
    sources, _ = slow(99)
    with pytest.raises(RuntimeError, match="simpler forms did not help"):
        viz.svg(viz.draw(example()))
    assert ["splines=line" in source for source in sources] == [False, True]


def test_a_tangle_is_drawn_in_part(no_dot):
    choose = random.Random(0)
    nodes = [Node(1.0, label="x")]
    for _ in range(3000):
        nodes.append(Node(1.0, (choose.choice(nodes), choose.choice(nodes)), "+"))
    root = Node(1.0, tuple(nodes[-40:]), "sum")
    with pytest.warns(UserWarning, match="svg: drawn .* nearest its result, since Graphviz took"):
        text = viz.svg(root, timeout=6)
    assert "that are nearest the result" in text.replace("\xa0", " ")


def test_the_text_comes_last(slow, tmp_path):
    slow(99)
    (tmp_path / "graph.svg").write_text("an older one")
    with pytest.warns(UserWarning, match=r"wrote graph\.dot, the graph as text, and no graph\.svg: Graph"):
        path = viz.save(example(), tmp_path / "graph.svg")
    assert path == tmp_path / "graph.dot"
    assert path.read_text() == viz.draw(example()).source
    assert (tmp_path / "graph.svg").read_text() == "an older one"
    with pytest.raises(RuntimeError, match="svg: Graphviz took longer"):
        viz.svg(example())


def test_a_graph_that_graphviz_gives_up_is_treated_alike(slow, tmp_path):
    slow(1, LayoutError)
    with pytest.warns(UserWarning, match="straight edges"):
        viz.save(example(), tmp_path / "graph.svg")


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
def test_a_timeout_is_a_time(timeout, tmp_path):
    with pytest.raises(ValueError, match="timeout is the seconds"):
        viz.svg(example(), timeout=timeout)
    with pytest.raises(ValueError, match="timeout is the seconds"):
        viz.save(example(), tmp_path / "a.svg", timeout=timeout)
