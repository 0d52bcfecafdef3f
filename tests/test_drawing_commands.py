"""`liftgrad draw` and `liftgrad repl` as their users meet them: in pipes and on a terminal."""

import importlib.util
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import liftgrad
from viz.repl import GREETING

ROOT = Path(__file__).parents[1]
needs_terminal = pytest.mark.skipif(os.name != "posix", reason="there is no pseudo-terminal here")
needs_ipython = pytest.mark.skipif(
    importlib.util.find_spec("IPython") is None, reason="IPython is not installed (pip install -e '.[repl]')"
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Give the sessions a home of their own."""
    for name, folder in {"IPYTHONDIR": "ipython", "XDG_STATE_HOME": "state"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def pipe(*words, text=""):
    """Run the command line with `text` on a standard input that is no terminal."""
    run = subprocess.run(
        [sys.executable, "-m", "liftgrad", *words],
        input=text, capture_output=True, text=True, encoding="utf-8", cwd=ROOT, timeout=300,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"}, check=False,
    )  # fmt: skip
    return run.returncode, run.stdout, run.stderr


_IN_A_TERMINAL = (
    "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "  # so that Ctrl-C is a signal
    "import liftgrad; sys.exit(liftgrad.main())"
)
"""What a process on a pseudo-terminal runs. It takes the terminal itself: a `preexec_fn` would fork the tests
themselves, which libraries with threads warn of."""


class Terminal:
    """A process on a pseudo-terminal of 110 columns."""

    def __init__(self, *words):
        import fcntl
        import pty
        import struct
        import termios

        self.shown = ""
        self._main, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 110, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_A_TERMINAL, *words],
            stdin=terminal, stdout=terminal, stderr=terminal, cwd=ROOT, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
        os.close(terminal)

    def wait_for(self, pattern, seconds=40):
        """Read until the pattern is shown, and return what was shown up to there."""
        end = time.monotonic() + seconds
        while (found := re.search(pattern, self.shown)) is None:
            if time.monotonic() > end or not self._read():
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{pattern} was not shown in:\n{self.shown}")
        self.shown, before = self.shown[found.end() :], self.shown[: found.end()]
        return before

    def type(self, text):
        os.write(self._main, text.encode())

    def finish(self):
        """Read to the end and return the exit code and what was still shown."""
        end = time.monotonic() + 60
        while time.monotonic() < end and self._read():
            pass
        code = self.process.wait(30)
        os.close(self._main)
        return code, self.shown

    def _read(self):
        if select.select([self._main], [], [], 1.0)[0]:
            try:
                content = os.read(self._main, 65536)
            except OSError:  # Linux's way to say that the other end is closed
                return False
            if not content:
                return False
            if b"\x1b[6n" in content:  # prompt_toolkit asks where the cursor is
                os.write(self._main, b"\x1b[1;1R")
            text = content.decode(errors="replace").replace("\r", "")
            self.shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07", "", text)
        return self.process.poll() is None or bool(select.select([self._main], [], [], 0)[0])


# --- draw ------------------------------------------------------------------------------------------

EXAMPLE = ("x*y + (x**2).relu()", "x=2", "y=3")


@pytest.fixture
def draw(capfd, tmp_path, monkeypatch):
    """Return a function that runs `liftgrad draw` in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = liftgrad.main(["draw", *words])
        return code, *capfd.readouterr()

    return run


@pytest.mark.parametrize("ending", ["svg", "dot"])
def test_draw_writes_a_file_after_the_backward_pass(draw, tmp_path, monkeypatch, ending):
    monkeypatch.setenv("PATH", "")
    path = tmp_path / f"graph.{ending}"
    assert draw(*EXAMPLE, "-o", str(path)) == (0, f"wrote {path}\n", "")
    text = path.read_text(encoding="utf-8")
    assert "data 10.0" in text.replace("\xa0", " ")
    assert "grad 7.0" in text.replace("\xa0", " ")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's program `dot` is not installed")
@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_draw_writes_pictures_of_other_kinds(draw, tmp_path, ending, start):
    assert draw(*EXAMPLE, "-o", f"graph.{ending}")[0] == 0
    assert (tmp_path / f"graph.{ending}").read_bytes().startswith(start)
    words = [sys.executable, "-m", "liftgrad", "draw", *EXAMPLE, "--format", ending]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, check=True)
    assert run.stdout.startswith(start)


def test_draw_prints_dot_into_a_pipe(draw):
    code, out, err = draw(*EXAMPLE)
    assert (code, err) == (0, "")
    assert out.startswith("digraph computation {\n")
    assert out.endswith("}\n")
    assert draw(*EXAMPLE, "--format", "dot") == (0, out, "")
    code, out, err = draw(*EXAMPLE, "--format", "svg")
    assert out.startswith("<svg ")
    assert (code, err) == (0, "")


@needs_terminal
def test_draw_prints_a_tree_on_a_terminal():
    terminal = Terminal("draw", "x*y", "x=2", "y=3")
    code, out = terminal.finish()
    assert code == 0
    assert out.splitlines() == [
        "*     data 6.0  grad 1.0",
        "├─ x  data 2.0  grad 3.0",
        "└─ y  data 3.0  grad 2.0",
        "(-o graph.svg draws it)",
    ]
    code, out = Terminal("draw", "x", "x=2", "--format", "png").finish()
    assert (code, out.strip()) == (
        2,
        "liftgrad: png is nothing to read: name a file, as in -o graph.png",
    )


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        (("--before",), "grad ·"),
        (("--rankdir", "TB"), "rankdir=TB"),
        (("--derivatives",), "2 * x"),
        (("--flow",), "positive"),
        (("--legend",), "input"),
    ],
)
def test_draw_has_the_drawings_options(draw, option, shown):
    code, out, err = draw(*EXAMPLE, *option)
    assert (code, err) == (0, "")
    assert shown in out
    assert out != draw(*EXAMPLE)[1]


def test_draw_collapses(draw):
    assert "×3" in draw("x + 1 + 1 + 1", "x=2", "--collapse")[1]


def test_an_expression_may_begin_with_a_minus(draw, tmp_path):
    assert "data -6.0" in draw("-x*y", "x=2", "y=3")[1]
    assert draw("-x*y", "x=2", "y=3", "-o", "a.dot")[:2] == (0, "wrote a.dot\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x*y", "x=2"), "'y' at column 3: no number is given for it; give one: y=1"),
        (("x*", "x=2"), "something is missing after it"),
        (("__import__('os')",), "__import__"),
        (("x", "x=2", "-o", "graph.gif"), "must end in .svg, .png, .pdf or .dot, got 'graph.gif'"),
        (("x", "x=2", "-o", "graph"), "must end in .svg, .png, .pdf or .dot, got 'graph'"),
        (("x", "x=2", "-o", ""), "-o: expected a path, got nothing"),
        (("x", "x=2", "--output="), "--output: expected a path, got nothing"),
        (("x", "x=2", "-o", "absent/graph.svg"), "absent/graph.svg: No such file or directory"),
        (("x", "x=2", "--format", "gif"), "--format gif: known are svg, png, pdf, dot"),
        (("x", "x=2", "--format", "svg", "-o", "a.png"), "-o a.png: --format svg is another form"),
        (("x", "x=2", "--rankdir", "up"), "--rankdir up: known are LR, RL, TB, BT"),
        (("x", "x=2", "--before", "--flow"), "--before leaves out the backward pass"),
    ],
)
def test_draw_refuses_in_one_line(draw, words, said, tmp_path):
    code, out, err = draw(*words)
    assert (code, out) == (2, "")
    assert err.startswith("liftgrad: ")
    assert said in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_draw_without_dot_says_what_png_needs(draw, monkeypatch):
    monkeypatch.setenv("PATH", "")
    for words in (("-o", "graph.png"), ("--format", "pdf")):
        code, out, err = draw("x", "x=2", *words)
        assert (code, out) == (2, "")
        assert "needs Graphviz's program `dot`" in err
        assert err.count("\n") == 1


# --- repl: scripts ---------------------------------------------------------------------------------


def test_a_script_on_the_standard_input_is_run(home):
    script = "x = Value(2.0)\nfor i in range(2):\n    print(x * i)\n\nprint(torch.ones(2), Tensor, nn, step)"
    code, out, err = pipe("repl", text=script)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("Value(data=0.0")
    assert lines[2].startswith("tensor([1., 1.])")


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("exit('no')", 1, "no"),
        (
            "1/0",
            1,
            'Traceback (most recent call last):\n  File "<-c>", line 1, in <module>\nZeroDivisionError',
        ),
        ("x =", 1, "SyntaxError"),
        ("import signal; signal.raise_signal(signal.SIGINT)", 130, "KeyboardInterrupt\n"),
    ],
)
def test_a_script_ends_as_in_python(script, code, said, capfd):
    assert liftgrad.main(["repl", "-c", script]) == code
    printed = capfd.readouterr()
    assert printed.out == ""
    assert said in printed.err


def test_drawings_are_trees_there(capfd):
    script = "z = Value(2.0, 'x') * 3; print(repr(draw(z))); print(draw(z, rankdir='TB').source)"
    assert liftgrad.main(["repl", "-c", script]) == 0
    out = capfd.readouterr().out
    assert out.startswith(
        "*            data 6.0  grad ·\n├─ x         data 2.0  grad ·\n└─ constant  data 3.0"
    )
    assert "rankdir=TB" in out


def test_tensors_keep_their_values_there(capfd):
    import tensor

    script = "w = torch.ones(2, requires_grad=True); print(repr(draw((w * 3).sum())))"
    try:
        assert liftgrad.main(["repl", "-c", script]) == 0
    finally:
        tensor.set_keep_values(False)
    assert "data [3.0, 3.0]" in capfd.readouterr().out


# --- repl: terminals -------------------------------------------------------------------------------

PROMPTS = {"plain": r">>> ", "ipython": r"In \[\d+\]: "}
SESSIONS = [
    pytest.param("plain", id="plain"),
    pytest.param("ipython", id="ipython", marks=needs_ipython),
]


def start(kind):
    terminal = Terminal("repl", *(["--plain"] if kind == "plain" else []))
    return terminal, PROMPTS[kind], terminal.wait_for(PROMPTS[kind])


@needs_terminal
@pytest.mark.parametrize("kind", SESSIONS)
def test_what_the_greeting_proposes_works(kind, home):
    terminal, prompt, greeting = start(kind)
    lines = [line for line in greeting.splitlines() if line.strip()]
    shown = [line for line in lines if line in GREETING.format(version=liftgrad._version()).splitlines()]
    assert len(shown) == 3
    assert len(lines) <= 4  # and the prompt
    terminal.type(shown[1] + "\r")
    terminal.wait_for(r"├─ \* +data 6\.0 +grad 1\.0\n│  ├─ x +data 2\.0 +grad 7\.0")
    terminal.wait_for(prompt)
    terminal.type(shown[2] + "\r")
    terminal.wait_for(r"0 of \d+ steps done")
    terminal.wait_for(prompt)
    terminal.type("x\r")
    terminal.wait_for(r"Value\(data=2\.0, grad=7\.0, label='x'\)")
    terminal.wait_for(prompt)
    terminal.type("\x04")
    code, rest = terminal.finish()
    assert code == 0
    assert "Traceback" not in rest


@needs_terminal
@pytest.mark.parametrize("kind", SESSIONS)
def test_ctrl_c_ends_a_loop_and_not_the_session(kind, home):
    terminal, prompt, _ = start(kind)
    terminal.type("import time; print(1 + 1, flush=True); time.sleep(600)\r")
    terminal.wait_for(r"\n2\n")
    terminal.type("\x03")
    terminal.wait_for("KeyboardInterrupt")
    terminal.wait_for(prompt)
    terminal.type("exit()\r")
    assert terminal.finish()[0] == 0


@needs_terminal
@needs_ipython
def test_a_home_that_cannot_be_written_is_not_needed(home, monkeypatch):
    (home / "file").write_text("")
    monkeypatch.setenv("IPYTHONDIR", str(home / "file" / "ipython"))
    terminal, prompt, greeting = start("ipython")
    assert "writable" not in greeting
    terminal.type("1 + 1\r")
    terminal.wait_for(r"Out\[1\]: 2")
    terminal.wait_for(prompt)
    terminal.type("\x04")
    code, rest = terminal.finish()
    assert code == 0
    assert "Error" not in rest


@needs_terminal
@pytest.mark.skipif(importlib.util.find_spec("readline") is None, reason="Python was built without readline")
def test_the_plain_session_completes_and_remembers(home):
    up = "\x1b[A"
    for typed in ("print('first ' + 'line')", 3 * up):  # three lines up in the history of the first session
        terminal, prompt, _ = start("plain")
        terminal.type(typed + "\r")
        terminal.wait_for(r"\nfirst line\n")
        terminal.wait_for(prompt)
        terminal.type("Val\t(5)\r")
        terminal.wait_for(r"\nValue\(data=5\.0")
        terminal.wait_for(prompt)
        terminal.type("1/0\r")  # as Python shows it, from the user's own line on
        terminal.wait_for(
            r'\nTraceback \(most recent call last\):\n  File "<console>", line 1, in <module>\nZeroDiv'
        )
        terminal.wait_for(prompt)
        terminal.type("\x04")
        assert terminal.finish()[0] == 0


def test_without_ipython_it_is_pythons_own(monkeypatch):
    from viz import console

    asked = []
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(console.code, "interact", lambda *args, **options: asked.append(args[0]))
    monkeypatch.setattr(console, "_start_readline", lambda names: None)
    assert console.run({}, "greeting") == 0
    assert asked == ["greeting"]
