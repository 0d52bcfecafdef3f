"""The page as a file, and the command that writes it."""

import pytest

import viz
from micro import Value
from micro.stepper import step
from viz.page import LARGEST_PAGE, write_page


def test_a_page_is_replaced_as_a_whole(pages, tmp_path):
    path = tmp_path / "steps.html"
    path.write_text("before")
    assert viz.page(pages.example(), str(path)) == path
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [file.name for file in tmp_path.iterdir()] == ["steps.html"]
    with pytest.raises(FileNotFoundError):
        viz.page(pages.example(), tmp_path / "absent" / "steps.html")


def test_the_same_computation_gives_the_same_bytes(pages):
    assert write_page(pages.neuron()) == write_page(pages.neuron())


def test_the_users_gradients_and_stepper_stay(pages):
    z = pages.example()
    z.backward()
    before = [node.grad for node in (z, *z.parents)]
    stepper = step(z)
    stepper.goto(4)
    write_page(stepper)
    assert stepper.position == 4
    assert [node.grad for node in (z, *z.parents)] == before


def test_refusals(pages, tmp_path):
    with pytest.raises(ValueError, match=r"page: the name must end in \.html, got 'steps\.svg'"):
        viz.page(pages.example(), tmp_path / "steps.svg")
    with pytest.raises(TypeError, match="page: expected a Value, a Tensor or a Stepper, got float"):
        viz.page(2.0, tmp_path / "steps.html")
    with pytest.raises(ValueError, match=r"page: 2,001 nodes; a page shows at most 2,000: .*one sample"):
        viz.page(pages.chain(LARGEST_PAGE), tmp_path / "steps.html")
    assert list(tmp_path.iterdir()) == []


def test_a_page_of_100_nodes_is_below_400_kB():
    out = Value(0.1, label="h")
    x = Value(0.3, label="x")
    for n in range(33):
        out = (out * x + Value(0.01 * n, label=f"b{n}")).tanh()
    assert len(step(out).nodes) >= 100
    assert len(write_page(out, check=True).encode()) < 400_000


def test_liftgrad_step_writes_the_page(open_page, tmp_path, capsys):
    import liftgrad

    path = tmp_path / "steps.html"
    assert liftgrad.main(["step", "x*y + (x**2).relu()", "x=2", "y=3", "--html", str(path)]) == 0
    assert capsys.readouterr().out == f"wrote {path}\n"
    page = open_page(path)
    assert page.inner_text("h1") == "x*y + (x**2).relu()"
    page.keyboard.press("End")
    assert "x.grad = 4.0 (through **2) + 3.0 (through *) = 7.0" in page.inner_text("#panel")


def test_liftgrad_step_says_what_is_wrong_with_the_file(tmp_path, capsys):
    import liftgrad

    assert liftgrad.main(["step", "x*x", "x=2", "--html", str(tmp_path / "steps.svg")]) == 2
    assert capsys.readouterr().err == "liftgrad: page: the name must end in .html, got 'steps.svg'\n"
    assert list(tmp_path.iterdir()) == []
