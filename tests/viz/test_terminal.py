"""viz/terminal.py: what is printed where there is no terminal; terminals are in tests/test_liftgrad.py."""

from types import SimpleNamespace

import pytest

from viz import terminal


def test_plain_lines(capsys):
    screen = terminal.Screen(quiet=False)
    screen.note("data", "100 images")
    screen.line("a line", style="bold")
    with screen.waiting("nothing to see"), screen.counting("drawing", "digits") as progress:
        progress(1, 2000)
        progress(2, 2000)
    screen.last(0.985)
    expected = ["data      100 images", "a line", "drawing: 2,000 digits ...", "test accuracy: 98.50%"]
    assert capsys.readouterr().out.splitlines() == expected


def test_quiet_prints_the_last_line_alone(capsys):
    screen = terminal.Screen(quiet=True)
    screen.note("data", "100 images")
    screen.line("a line")
    with screen.counting("drawing", "digits") as progress, screen.bar(1, 1) as bar:
        progress(1, 2)
        bar.finish_epoch(*epoch())
    screen.last(1.0)
    assert capsys.readouterr().out == "test accuracy: 100.00%\n"


def epoch():
    done = SimpleNamespace(epoch=3, loss=0.5, accuracy=0.75)
    return done, SimpleNamespace(accuracy=0.5), SimpleNamespace(rate=1234.0, seconds=2.0)


def test_an_epoch_is_a_line(capsys):
    with terminal.Screen(quiet=False).bar(10, 5) as bar:
        bar.update(SimpleNamespace(), SimpleNamespace())  # no terminal: nothing that moves
        bar.finish_epoch(*epoch())
    line = "epoch  3/10  loss 0.5000  accuracy 75.00%  test 50.00%  1,234 images/s  2.0 s\n"
    assert capsys.readouterr().out == line


@pytest.mark.parametrize(
    ("encoding", "part", "drawn"),
    [("utf-8", 0.5, "██"), ("utf-8", 0.28125, "█▏"), ("utf-8", 0.0, ""), ("ascii", 0.5, "##")],
)
def test_draw_bar(monkeypatch, encoding, part, drawn):
    monkeypatch.setattr(terminal.sys, "stdout", SimpleNamespace(encoding=encoding))
    assert terminal.draw_bar(part, 4) == drawn
