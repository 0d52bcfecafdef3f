"""Steps in a terminal: a pseudo-terminal presses the keys and reads the screen; elsewhere one table."""

import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

import liftgrad
from micro import Value, step
from viz.stepping import table

ROOT = Path(__file__).parents[2]
WORDS = ("step", "x*y + (x**2).relu()", "x=2", "y=3")

on_a_terminal = pytest.mark.skipif(
    sys.platform == "win32", reason="pseudo-terminals are a thing of Unix, and so are the keys"
)


_IN_A_TERMINAL = (
    "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "  # so that Ctrl-C is a signal
    "import liftgrad; sys.exit(liftgrad.main())"
)
"""What a process on a pseudo-terminal runs. It takes the terminal itself: a `preexec_fn` would fork the tests
themselves, which libraries with threads warn of."""


class Terminal:
    """A command line on a pseudo-terminal, and what it shows."""

    def __init__(self, *words, columns=90, rows=24, **environment):
        import pty
        import termios

        self.ours, self.theirs = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.theirs)
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environment}
        for name in ("COLUMNS", "LINES"):
            env.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_A_TERMINAL, *words],
            env=env, stdin=self.theirs, stdout=self.theirs, stderr=self.theirs, start_new_session=True,
        )  # fmt: skip
        self.shown = ""

    def resize(self, columns, rows):
        import fcntl
        import termios

        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys):
        os.write(self.ours, keys.encode())

    def screen(self):
        """Return the last screen that was drawn to its end, as lines of text."""
        frame = self.shown[: max(self.shown.rfind("\x1b[J"), 0)].split("\x1b[H")[-1]
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frame).replace("\r", "")

    def wait_for(self, pattern, seconds=60):
        """Read until the screen holds the pattern."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.screen()):
            assert time.monotonic() < end, f"no {pattern!r} in\n{self.screen()}"
            self._read(0.1)
        return self.screen()

    def _read(self, seconds):
        if select.select([self.ours], [], [], seconds)[0]:
            try:
                self.shown += os.read(self.ours, 65536).decode(errors="replace")
            except OSError:
                return False
            return True
        return False

    def end(self):
        """Wait for the end; return the exit code, and check that the terminal is as it was."""
        import termios

        code = self.process.wait(60)
        while self._read(0.2):
            pass
        assert termios.tcgetattr(self.theirs) == self.before
        if "\x1b[?1049h" in self.shown:
            assert self.shown.count("\x1b[?1049h") == self.shown.count("\x1b[?1049l")
            assert self.shown.rindex("\x1b[?25h") > self.shown.rindex("\x1b[?25l")
        os.close(self.ours)
        os.close(self.theirs)
        return code


@on_a_terminal
def test_keys_go_through_the_pass():
    terminal = Terminal(*WORDS)
    screen = terminal.wait_for("step 0 of 11")
    assert "v2 = x * y     ·      ·" in screen
    assert not re.search(r"\b0(\.0)?\b", screen.replace("step 0 of 11", ""))
    terminal.press("n")
    terminal.wait_for(r"step 1 of 11  \[forward\](.|\n)*x = 2.0\n")
    terminal.press(" \r")
    assert "v2 = x * y = 2.0 * 3.0 = 6.0" in terminal.wait_for("step 3 of 11")
    terminal.press("b")
    terminal.wait_for("step 2 of 11")
    terminal.press("g7\r")
    terminal.wait_for(r"step 7 of 11   forward \[loss\]")
    terminal.press("g 99\r")
    terminal.wait_for("there is no step 99: the steps are 0 to 11|there is no step  99")
    terminal.press("\x1b[C")
    screen = terminal.wait_for(r"step 8 of 11   forward  loss \[backward\]")
    assert "▶  v5 = v2 + v4   10.0   1.0" in screen
    terminal.press("e")
    screen = terminal.wait_for("step 11 of 11")
    assert re.search(r"x +y = 3.0 +1.0 \* 3.0 = 3.0 +4.0 \+ 3.0 = 7.0", screen)
    assert re.search(r"x +2.0 +7.0", screen)
    terminal.press("n")
    terminal.wait_for("this is the last step")
    terminal.press("r")
    terminal.wait_for("step 0 of 11")
    terminal.press("\t\t")
    terminal.wait_for("step 7 of 11")
    terminal.press("?")
    terminal.wait_for("any key goes back")
    terminal.press("?z")
    terminal.wait_for("z does nothing here")
    terminal.press("q")
    assert terminal.end() == 0
    assert "step 7 of 11 · loss" in terminal.shown.split("\x1b[?1049l")[-1]


@on_a_terminal
def test_escape_sequences_that_come_in_pieces():
    terminal = Terminal(*WORDS)
    terminal.wait_for("step 0 of 11")
    for piece in ("\x1b", "[", "F"):  # the key End
        terminal.press(piece)
        time.sleep(0.005)
    terminal.wait_for("step 11 of 11|step 0 of 11")
    terminal.press("\x1b[H\x1bOC\x1b[6~")
    terminal.wait_for("step 11 of 11")
    terminal.press("g5")
    terminal.wait_for("go to step .* 5_")
    terminal.press("\x1b")
    terminal.wait_for("n next  b back")
    terminal.press("é\x1b[5~")
    terminal.wait_for("step 1 of 11")
    terminal.press("\x04")
    assert terminal.end() == 0


@on_a_terminal
def test_ctrl_c_gives_the_terminal_back():
    terminal = Terminal(*WORDS)
    terminal.wait_for("step 0 of 11")
    terminal.press("n\x03")
    assert terminal.end() == 130
    assert "liftgrad: interrupted" in terminal.shown
    assert "Traceback" not in terminal.shown


@on_a_terminal
def test_a_termination_gives_the_terminal_back():
    terminal = Terminal(*WORDS)
    terminal.wait_for("step 0 of 11")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == 143


@on_a_terminal
def test_a_window_that_changes_its_size():
    terminal = Terminal(*WORDS)
    terminal.press("g11\n")
    terminal.wait_for("step 11 of 11")
    for columns, rows in ((40, 12), (20, 5), (1, 1), (200, 60)):
        terminal.shown = ""
        terminal.resize(columns, rows)
        screen = terminal.wait_for(r"\S" if columns < 30 else "step 11 of 11")
        assert len(screen.split("\n")) <= rows
        if columns == 40:
            assert "to x: y = 3.0\n   1.0 * 3.0 = 3.0\n   4.0 + 3.0 = 7.0" in screen
    terminal.press("q")
    assert terminal.end() == 0


@on_a_terminal
def test_a_terminal_without_colours():
    terminal = Terminal(*WORDS, NO_COLOR="1")
    terminal.press("e")
    terminal.wait_for("step 11 of 11")
    terminal.press("q")
    assert terminal.end() == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-9](;[0-9]+)*m", terminal.shown)


@on_a_terminal
def test_a_dumb_terminal_gets_the_table():
    terminal = Terminal(*WORDS, TERM="dumb")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.shown
    assert "11    backward  v2 = x * y" in terminal.shown


# --- the table ---------------------------------------------------------------------------------------

TABLE = """\
step  phase     formula                                with numbers     result
1     forward   x                                                       2.0
2     forward   y                                                       3.0
3     forward   v2 = x * y                             2.0 * 3.0        6.0
4     forward   v3 = x**2                              2.0**2           4.0
5     forward   v4 = relu(v3)                          relu(4.0)        4.0
6     forward   v5 = v2 + v4                           6.0 + 4.0        10.0
7     loss      d v5 / d v5                                             1.0
8     backward  v5 = v2 + v4                                            gradient 1.0
                  to v2: 1                             1.0 * 1.0 = 1.0  · + 1.0 = 1.0
                  to v4: 1                             1.0 * 1.0 = 1.0  · + 1.0 = 1.0
9     backward  v4 = out = relu(v3)                                     gradient 1.0
                  to v3: (0 if out <= 0 else 1) = 1.0  1.0 * 1.0 = 1.0  · + 1.0 = 1.0
10    backward  v3 = x**2                                               gradient 1.0
                  to x: 2 * x = 4.0                    1.0 * 4.0 = 4.0  · + 4.0 = 4.0
11    backward  v2 = x * y                                              gradient 1.0
                  to x: y = 3.0                        1.0 * 3.0 = 3.0  4.0 + 3.0 = 7.0
                  to y: x = 2.0                        1.0 * 2.0 = 2.0  · + 2.0 = 2.0

node           value  gradient
x              2.0    7.0
y              3.0    2.0
v2 = x * y     6.0    1.0
v3 = x**2      4.0    1.0
v4 = relu(v3)  4.0    1.0
v5 = v2 + v4   10.0   1.0
"""


def test_where_there_is_no_terminal_all_steps_are_one_table(capsys):
    assert liftgrad.main(list(WORDS)) == 0
    assert capsys.readouterr().out == TABLE


def test_the_position_of_a_stepper_stays():
    s = step(Value(2.0, "x") * 3.0)
    s.next()
    table(s)
    assert s.position == 1


def test_the_check_stands_beside_each_derivative(capsys):
    assert liftgrad.main(["step", "x.relu() + log(y)", "x=0", "y=0", "--check"]) == 0
    out = capsys.readouterr().out
    assert "(0 if out <= 0 else 1) = 0.0 (measured 0.5: differs)" in out
    assert "kink at 0: slope 0 from the left, 1 from the right" in out
    assert "no slope can be measured where the value is -inf" in out


def test_a_stream_that_holds_ascii_only():
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    run = subprocess.run(
        [sys.executable, "-m", "liftgrad", *WORDS], env=env, capture_output=True, text=True, check=True
    )
    assert ". + 1.0 = 1.0" in run.stdout
    assert run.stderr == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Missing argument 'EXPRESSION'"),
        (("x",), "'x' at column 1: no number is given for it; give one: x=1"),
        (("x", "x=a"), "x=a: expected a number"),
        (("x", "x=1", "y=1"), "y is given, but not in the expression"),
        (("x=2", "x"), "x: expected NAME=NUMBER"),
        (("x.__class__", "x=1"), "nothing can be read off a value"),
        (("x", "x=1", "--chek"), "No such option: --chek"),
        (("x", "x=1", "--html", ""), "--html: expected a path, got nothing"),
        (("x", "x=1", "--html", "steps.txt"), "the name must end in .html"),
        (("x", "x=1", "--html", "/none/steps.html"), "/none/steps.html: No such file or directory"),
    ],
)
def test_bad_input_is_one_line(capsys, words, message):
    assert liftgrad.main(["step", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("liftgrad: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("expression", "last"),
    [
        ("-x", "v1 = -x  2.0    1.0"),
        ("-x*hypot(3, 4)", "v5 = v1 * v4              10.0   1.0"),
        (" -(x + 1)", "v3 = -v2    1.0    1.0"),
        ("-x**2", "v2 = -v1   -4.0   1.0"),
    ],
)
def test_an_expression_may_begin_with_a_minus(capsys, expression, last):
    assert liftgrad.main(["step", expression, "x=-2"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == last.split()


def test_the_page_is_written(capsys, tmp_path):
    path = tmp_path / "steps.html"
    assert liftgrad.main([*WORDS, "--html", str(path)]) == 0
    assert capsys.readouterr().out == f"wrote {path}\n"
    assert "<html" in path.read_text(encoding="utf-8")


@on_a_terminal
def test_closed_streams():
    for closed in ("<&-", ">&-"):
        run = subprocess.run(
            f"'{sys.executable}' -m liftgrad step x x=1 {closed}",
            shell=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        )  # fmt: skip
        assert (run.returncode, run.stderr) == (0, "")


@on_a_terminal
def test_a_long_expression_leaves_room_for_its_steps():
    terminal = Terminal("step", "+".join(["x*y"] * 600), "x=2", "y=3", columns=80, rows=14)
    terminal.press("e")
    screen = terminal.wait_for("step 2401 of 2401")
    assert "1797.0 + 3.0 = 1800.0" in screen
    assert "▶  v2 = x * y" in screen
    terminal.press("q")
    assert terminal.end() == 0
