"""`liftgrad play`: which files it takes, where the page goes, and what it says."""

import re
import webbrowser

import pytest

import liftgrad
import tensor
from tensor import models
from tensor.history import History
from tensor.serialization import load_model, save_model
from tensor.training import Plan, Position, make_optimizer
from viz.play import write_page
from viz.play.page import describe


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Return saved(name, data="digits"): a file of that model, untrained, in the folder where we are."""
    monkeypatch.chdir(tmp_path)

    def saved(name, data="digits"):
        tensor.manual_seed(0)
        save_model(f"{name}.safetensors", models.build(name), name, data)
        return f"{name}.safetensors"

    return saved


def test_the_page_lies_here_under_the_name_of_the_model(saved, tmp_path, capsys):
    assert liftgrad.main(["play", saved("mlp")]) == 0
    assert capsys.readouterr().out == "wrote mlp.html\n"
    first = (tmp_path / "mlp.html").read_bytes()
    assert liftgrad.main(["play", "mlp.safetensors", "-o", "other.htm"]) == 0
    assert (tmp_path / "other.htm").read_bytes() == first  # the same bytes each time
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlp.html", "mlp.safetensors", "other.htm"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("digits", "trained on the built-in digits."), ("mnist", "trained on MNIST."),
        ("idx", "trained on IDX files."), ("", "trained on unknown data."),
    ],
)  # fmt: skip
def test_what_it_says_of_the_model(saved, tmp_path, data, says):
    assert liftgrad.main(["play", saved("cnn", data)]) == 0
    page = (tmp_path / "cnn.html").read_text(encoding="utf-8")
    (about,) = re.findall(r'<p id="about">(.*?)</p>', page)
    assert about == f"cnn (two convolutions of 32 channels, 1568-10; 25,258 parameters), {says}"


@pytest.mark.parametrize(
    ("position", "rows", "says"),
    [
        ((2, 0), [(1, 0.5), (2, 0.98765)], "for 2 epochs; right on 98.77% of its test digits."),
        ((1, 0), [(1, 1.0)], "for 1 epoch; right on 100.00% of its test digits."),
        ((1, 7), [(1, 0.5)], "for 1 epoch and 7 batches."),  # the weights have changed since
        ((0, 1), [], "for 1 batch."),
        ((3, 0), [(2, 0.5)], "for 3 epochs."),  # of long trainings not every epoch is kept
        ((0, 0), [], "for 0 epochs."),
    ],
)
def test_what_it_says_of_the_training(tmp_path, position, rows, says):
    model = models.build("mlp")
    history = History(model, 10)
    for epoch, accuracy in rows:
        history.add_epoch(epoch, 0.1, 0.9, 0.1, accuracy)
    where = Position(*position, order=tensor.random.default_generator.state_array())
    save_model(
        tmp_path / "m", model, "mlp", "digits", Plan(epochs=9), where,
        make_optimizer(model, "sgd", 0.1), None, history.as_dict(),
    )  # fmt: skip
    model, saved = load_model(tmp_path / "m")
    assert describe(model, saved).endswith(f"trained on the built-in digits {says}")


def test_open(saved, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert liftgrad.main(["play", saved("mlp"), "--open"]) == 0
    assert opened == [(tmp_path / "mlp.html").as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert liftgrad.main(["play", "mlp.safetensors", "--open"]) == 2
    assert capsys.readouterr().err == "liftgrad: --open: no browser was found here; mlp.html is written\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tinycnn.safetensors"], "tinycnn.safetensors: tinycnn looks at patterns, not at pictures of d"),
        (["nowhere"], "nowhere: no such file; `liftgrad train mlp --save nowhere` would make one"),
        (["text"], "text: expected a safetensors file, got something else"),
        (["."], ".: expected a model file, got a folder or a device"),
        (["mlp.safetensors", "-o", "a.svg"], "-o a.svg: the name must end in .html"),
        (["mlp.safetensors", "-o", "mlp.safetensors"], "-o mlp.safetensors: that is the model"),
        (["mlp.safetensors", "-o", "no/a.html"], "no/a.html: No such file or directory"),
        (["text.html"], "-o text.html: that is the model; name another file"),
    ],
)  # fmt: skip
def test_refusals(saved, tmp_path, capsys, words, message):
    saved("mlp")
    saved("tinycnn", "patterns")
    (tmp_path / "text").write_text("a perceptron is no file")
    before = sorted(tmp_path.iterdir())
    assert liftgrad.main(["play", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"liftgrad: {message}")
    assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_said_of_a_model_is_text():
    page = write_page(models.build("mlp"), about="<b>&</b>", title="</title>")
    assert '<p id="about">&lt;b&gt;&amp;&lt;/b&gt;</p>' in page
    assert "<title>&lt;/title&gt;</title>" in page
