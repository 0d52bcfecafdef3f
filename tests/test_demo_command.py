"""`liftgrad demo` as its users meet it: the list, one page, all with an index, and what is refused."""

import io
import re
import sys
import webbrowser

import pytest

import liftgrad
from viz.demos import DEMOS, Demo
from viz.demos.site import write_index


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Let each demo write its name and the options it was given; its page is tested elsewhere."""
    monkeypatch.setattr(Demo, "write", lambda demo, **options: f"{demo.name} {options}")


def test_without_a_name_it_lists_them(here, capsys):
    assert liftgrad.main(["demo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == list(DEMOS)
    assert all(demo.line in line for demo, line in zip(DEMOS.values(), lines, strict=True))
    assert all(map(str.isascii, lines))
    assert not list(here.iterdir())


def test_a_name_that_the_terminal_cannot_print_is_no_error(here, quick, monkeypatch):
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii"))
    assert liftgrad.main(["demo", "softmax", "-o", "süß.html"]) == 0
    assert printed.getvalue() == b"wrote s??.html\n"
    assert (here / "süß.html").exists()


def test_a_page_is_written_here_or_where_it_is_wanted(here, capsys):
    assert liftgrad.main(["demo", "softmax"]) == 0
    assert capsys.readouterr().out == "wrote softmax.html\n"
    page = (here / "softmax.html").read_bytes()
    assert page.startswith(b"<!DOCTYPE html>")
    assert liftgrad.main(["demo", "softmax", "-o", "other.htm"]) == 0
    assert (here / "other.htm").read_bytes() == page
    assert sorted(path.name for path in here.iterdir()) == ["other.htm", "softmax.html"]


def test_all_of_them_with_an_index(here, quick, capsys):
    assert liftgrad.main(["demo", "all", "-o", "a/site"]) == 0
    names = [*(f"{name}.html" for name in DEMOS), "index.html"]
    assert capsys.readouterr().out == "".join(f"wrote a/site/{name}\n" for name in names)
    assert sorted(path.name for path in (here / "a" / "site").iterdir()) == sorted(names)
    index = (here / "a" / "site" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'href="([^"#]*\.html)"', index) == names[:-1]
    assert liftgrad.main(["demo", "all"]) == 0
    assert (here / "site" / "index.html").read_text(encoding="utf-8") == index


def test_a_seed_goes_to_those_that_draw(here, quick):
    assert liftgrad.main(["demo", "all", "--seed", "7"]) == 0
    for demo in DEMOS.values():
        given = {"seed": 7} if "seed" in demo.options else {}
        assert (here / "site" / f"{demo.name}.html").read_text() == f"{demo.name} {given}"
    drawing = next(demo.name for demo in DEMOS.values() if "seed" in demo.options)
    assert liftgrad.main(["demo", drawing, "--seed", "3"]) == 0
    assert (here / f"{drawing}.html").read_text() == f"{drawing} {{'seed': 3}}"


@pytest.mark.parametrize("words", [["softmax"], ["all"]])
def test_it_is_opened_in_a_browser(here, quick, monkeypatch, words, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert liftgrad.main(["demo", *words, "--open"]) == 0
    page = here / ("softmax.html" if words == ["softmax"] else "site/index.html")
    assert opened == [page.as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert liftgrad.main(["demo", *words, "--open"]) == 2
    assert "no browser" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sofmax"], "demo sofmax: did you mean softmax? known are optimizers, "),
        (["softmax", "--seed", "1"], "demo softmax has no --seed: leave it out"),
        (["softmax", "--seed", "-1"], "--seed -1: expected a number at least 0"),
        (["softmax", "-o", "page.svg"], "-o page.svg: the name must end in .html"),
        (["softmax", "-o", ""], "-o: expected a path, got nothing"),
        (["softmax", "-o", "nowhere/page.html"], "nowhere/page.html: No such file or directory"),
        (["all", "-o", "page.html"], "-o page.html: of all demos, it is a folder"),
        (["all", "-o", "taken"], "taken: File exists"),
        (["-o", "page.html"], "demo: name one, or all; known are optimizers, "),
        (["--open"], "demo: name one, or all; known are optimizers, "),
        (["softmax", "more"], "Got unexpected extra argument"),
    ],
)
def test_what_cannot_be_done_is_one_line(here, quick, words, message, capsys):
    (here / "taken").write_text("a file")
    assert liftgrad.main(["demo", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["taken"]


def test_a_folder_in_the_way_is_said_before_the_engine_runs(here, monkeypatch, capsys):
    (here / "softmax.html").mkdir()
    monkeypatch.setattr(Demo, "write", lambda demo, **_: pytest.fail("too late"))
    assert liftgrad.main(["demo", "softmax"]) == 2
    assert capsys.readouterr().err == "liftgrad: softmax.html: Is a directory\n"


def test_the_index_leads_to_every_page(open_page, pages, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(write_index(list(DEMOS.values())), encoding="utf-8")
    for width in (1280, 390, 320):
        page = open_page(path, viewport={"width": width, "height": 800}, color_scheme="dark")
        assert page.evaluate(pages.WIDTH) <= width
        assert page.locator("h2").all_text_contents() == [demo.title for demo in DEMOS.values()]
        assert page.locator("svg.sketch").count() == len(DEMOS)
        page.keyboard.press("Tab")
        focus = page.evaluate("[document.activeElement.getAttribute('href'),"
                              " getComputedStyle(document.activeElement).outlineStyle]")  # fmt: skip
        assert focus == [f"{next(iter(DEMOS))}.html", "solid"]
