"""`liftgrad train --plot` and `liftgrad plot` as their users meet them, on little data and with bad input."""

import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import liftgrad
from tensor.data.idx import read_idx, write_idx
from tensor.history import read_history
from tensor.runlog import read_runs
from tensor.serialization import load_model, read_model

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[plot]'")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Return a folder of few images: class k is a bright bar at height 2k + 4; a fifth of the tested lie."""
    folder = tmp_path_factory.mktemp("digits")
    draw = np.random.default_rng(0)
    for name, count in (("train", 320), ("t10k", 100)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = draw.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 4 : 2 * label + 6, 4:24] = 250
        if name == "t10k":
            labels[::5] = (labels[::5] + 3) % 10
        write_idx(folder / f"{name}-images-idx3-ubyte", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte", labels)
    return folder


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Return run(words, *more): exit code, lines, stderr of a command line, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(words, *more):
        code = liftgrad.main([*words.split(), *map(str, more)])
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err

    return run


@pytest.fixture
def refused(run):
    def refused(words, *more):
        code, _, error = run(words, *more)
        assert code == 2
        assert re.fullmatch(r"liftgrad: [^\n]+\n", error)
        return error

    return refused


@pytest.fixture(scope="module")
def trained(tmp_path_factory, digits):
    """Return the model file and the log of a training of two epochs."""
    folder = tmp_path_factory.mktemp("trained")
    model, log = folder / "m.safetensors", folder / "run.jsonl"
    words = f"train mlp -q --epochs 2 --data idx --data-dir {digits} --save {model} --log {log}"
    assert liftgrad.main(words.split()) == 0
    return model, log


def texts(path):
    root = ET.fromstring(path.read_bytes())
    found = ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("}text")]
    return [text.replace("\u2002", "  ") for text in found]


def epochs_shown(path):
    """Return the epochs written beneath the picture."""
    root = ET.fromstring(path.read_bytes())
    ticks = [node for node in root.iter() if node.get("id", "").startswith("xtick_")]
    written = ["".join(tick.itertext()).strip() for tick in ticks]
    return [int(text) for text in written if text]


# --- train --plot ---------------------------------------------------------------------------------------


def test_a_training_is_drawn(run, digits, tmp_path):
    words = f"train mlp --epochs 3 --data idx --data-dir {digits} --plot curve.svg --log run.jsonl"
    code, lines, error = run(words)
    assert (code, error) == (0, "")
    assert lines[-1].startswith("test accuracy")
    (logged,) = read_runs("run.jsonl")
    last = logged.in_order()[-1]
    found = texts(tmp_path / "curve.svg")
    assert {f"training  {last['loss']:.3g}", f"test  {last['test_loss']:.3g}"} <= set(found)
    assert {f"training  {last['accuracy']:.2%}", f"test  {last['test_accuracy']:.2%}"} <= set(found)
    assert "Training mlp" in found
    assert epochs_shown(tmp_path / "curve.svg") == [1, 2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.svg", "run.jsonl"]


@pytest.mark.parametrize("model", ["moons", "perceptron"])
def test_a_training_on_scalars_is_drawn(run, tmp_path, model):
    code, lines, error = run(f"train {model} --epochs 2 --plot curve.PNG --log run.jsonl")
    assert (code, error) == (0, "")
    assert lines[-1].startswith("test accuracy")
    with Image.open(tmp_path / "curve.PNG") as picture:
        assert picture.format == "PNG"
    code, lines, _ = run("plot run.jsonl")
    assert (code, lines) == (0, ["wrote runs.svg"])
    last = read_runs("run.jsonl")[0].in_order()[-1]
    assert {f"training  {last['accuracy']:.2%}", "run"} <= set(texts(tmp_path / "runs.svg"))


def test_resumed_the_earlier_epochs_are_drawn_too(run, trained, digits, tmp_path):
    words = f"train mlp --epochs 4 --data idx --data-dir {digits} --resume {trained[0]}"
    assert run(f"{words} --plot a.svg --save again")[0] == 0
    assert epochs_shown(tmp_path / "a.svg") == [1, 2, 3, 4]
    assert run(f"{words} --plot b.svg --epochs 5 --resume again")[0] == 0
    assert epochs_shown(tmp_path / "b.svg") == [1, 2, 3, 4, 5]
    # a file of an earlier liftgrad has no history, but its log has
    change_history(trained[0], "old", lambda training: training.pop("history"))
    (tmp_path / "log").write_bytes(trained[1].read_bytes())
    old = words.replace(str(trained[0]), "old")
    assert run(f"{old} --plot c.svg --log log")[0] == 0
    assert epochs_shown(tmp_path / "c.svg") == [1, 2, 3, 4]
    assert run(f"{old} --plot d.svg")[0] == 0
    assert epochs_shown(tmp_path / "d.svg") == [3, 4]


def test_resumed_in_the_first_epoch(run, trained, digits, tmp_path):
    change_history(trained[0], "early", lambda training: training["history"]["epochs"].update(rows=[]))
    change_history(trained[0], "old", lambda training: training.pop("history"))
    for resumed in ("early", "old"):
        (tmp_path / "log").write_text('{"event": "start", "model": "mlp"}\n{"event": "stop"}\n')
        words = (
            f"train mlp --epochs 4 --data idx --data-dir {digits} --resume {resumed} --plot a.svg --log log"
        )
        code, lines, _ = run(words)
        assert code == 0
        assert lines[0] == "plot      a.svg, drawn anew after each epoch"
        assert epochs_shown(tmp_path / "a.svg") == [3, 4]


def change_history(source, target, change):
    with safe_open(source, framework="numpy") as file:
        info = json.loads(file.metadata()["liftgrad"])
    change(info["training"])
    save_file(load_file(source), target, {"liftgrad": json.dumps(info)})


@pytest.mark.parametrize("model", ["mlp", "moons"])
def test_ctrl_c_keeps_the_plot(digits, tmp_path, model):
    words = [sys.executable, "-m", "liftgrad", "train", model, "--epochs", "100000", "--plot", "curve.svg"]
    if model == "mlp":
        words += ["--data", "idx", "--data-dir", str(digits)]
    process = subprocess.Popen(
        words, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    for line in process.stdout:
        if re.match(r"epoch +3\b", line):
            break
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert error.startswith("liftgrad: ")
    assert max(epochs_shown(tmp_path / "curve.svg")) >= 2
    assert [path.name for path in tmp_path.iterdir()] == ["curve.svg"]


def test_what_cannot_be_drawn_is_refused_before_training(refused, digits, tmp_path, monkeypatch):
    words = f"train mlp --data idx --data-dir {digits} --save m --plot"
    assert "--plot curve.pdf: expected a name that ends in .svg or .png" in refused(words, "curve.pdf")
    assert "none/curve.svg: No such file" in refused(words, "none/curve.svg")
    (tmp_path / "folder.svg").mkdir()
    assert "Is a directory" in refused(words, "folder.svg")
    assert "--save and --plot name the same file" in refused(
        f"train mlp --data idx --data-dir {digits} --save m.svg --plot m.svg"
    )
    assert "--plot: expected a path" in refused(words, "")
    assert ".svg or .png" in refused("train moons --plot curve.txt")
    hide_matplotlib(monkeypatch)
    assert "not installed; pip install 'liftgrad[plot]'" in refused(words, "curve.svg")
    assert "not installed; pip install 'liftgrad[plot]'" in refused("plot filters m")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.svg"]


def test_nothing_is_said_of_a_plot_that_will_not_be_drawn(run):
    code, lines, error = run("train mlpp --plot c.svg")
    assert (code, lines) == (2, [])
    assert "unknown model 'mlpp'; did you mean mlp?" in error


def hide_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def test_a_training_without_a_plot_needs_no_matplotlib(run, digits, monkeypatch):
    hide_matplotlib(monkeypatch)
    assert run(f"train mlp -q --epochs 1 --data idx --data-dir {digits}")[0] == 0


# --- plot of runs -----------------------------------------------------------------------------------------


def test_runs_are_compared(run, trained, tmp_path):
    assert run("train perceptron --epochs 4 --log p.jsonl")[0] == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.jsonl").write_bytes(trained[1].read_bytes())
    code, lines, error = run("plot p.jsonl other/run.jsonl -o c.svg", trained[1])
    assert (code, lines, error) == (0, ["wrote c.svg"], "")
    last = read_runs(trained[1])[0].in_order()[-1]
    found = texts(tmp_path / "c.svg")
    assert "3 training runs" in found
    assert f"other/run  {last['test_accuracy']:.2%}" in found
    assert f"{trained[1].parent.name}/run  {last['test_loss']:.3g}" in found
    assert any(text.startswith("p  ") for text in found)


def test_a_log_that_is_named_twice_is_drawn_once(run, trained, tmp_path):
    assert run("plot", trained[1], trained[1].parent / "." / trained[1].name, "-o", "twice.svg")[0] == 0
    assert run("plot", trained[1], "-o", "once.svg")[0] == 0
    assert (tmp_path / "twice.svg").read_bytes() == (tmp_path / "once.svg").read_bytes()


def test_a_plot_does_not_take_the_place_of_what_it_shows(refused, trained, tmp_path):
    for words, source in (("plot runs.svg", trained[1]), ("plot filters filters.svg", trained[0])):
        (tmp_path / words.split()[-1]).write_bytes(source.read_bytes())
        assert "that is what would be drawn; name another file" in refused(words)
        assert (tmp_path / words.split()[-1]).read_bytes() == source.read_bytes()


def test_a_log_of_several_runs(run, trained, tmp_path):
    (tmp_path / "both.jsonl").write_text(trained[1].read_text() * 2)
    assert run("plot both.jsonl")[0] == 0
    assert {"both #1", "both #2"} <= {text.split("  ")[0] for text in texts(tmp_path / "runs.svg")}


def test_a_log_that_is_none(refused, trained, tmp_path):
    assert "none.jsonl: no such file" in refused("plot none.jsonl", trained[1])
    (tmp_path / "bad.jsonl").write_text(trained[1].read_text() + "oops\n")
    message = refused("plot bad.jsonl", trained[1])
    assert "bad.jsonl, line 4: expected a JSON line as `train --log` writes them, got oops" in message
    message = refused("plot", trained[1], trained[0])
    assert "m.safetensors: is a model; `liftgrad plot WHAT " in message
    assert "with one of filters, confusion, mistakes, flow, activations" in message
    assert "line 2: expected a JSON line" in refused("plot", trained[0].rename(trained[0].with_suffix(".m")))
    trained[0].with_suffix(".m").rename(trained[0])
    assert not (tmp_path / "runs.svg").exists()


# --- plot of a model ----------------------------------------------------------------------------------------


def test_confusion_is_that_of_the_model(run, trained, digits, tmp_path):
    code, lines, error = run(f"plot confusion {trained[0]} --data-dir {digits}")
    assert (code, error, lines[-1]) == (0, "", "wrote confusion.svg")
    images = read_idx(digits / "t10k-images-idx3-ubyte")
    labels = read_idx(digits / "t10k-labels-idx1-ubyte")
    guesses = by_hand(trained[0], images).argmax(1)
    found = texts(tmp_path / "confusion.svg")
    right = int((guesses == labels).sum())
    assert 60 <= right < 100
    assert f"{right} of 100 test images right: {right / 100:.1%}" in found
    counts = {}
    for label, guess in zip(labels.tolist(), guesses.tolist(), strict=True):
        counts[label, guess] = counts.get((label, guess), 0) + 1
    numbers = sorted(int(text) for text in found if text.isdigit())
    zeros = sum((k, k) not in counts for k in range(10))
    assert numbers == sorted([*counts.values(), *[0] * zeros, *range(10), *range(10)])


def by_hand(file, images):
    """Return the logits of an mlp, by NumPy."""
    weights = load_file(file)
    x = ((images.reshape(len(images), -1) / 255.0) - 0.1307) / 0.3081
    hidden = np.maximum(x @ weights["1.weight"].T + weights["1.bias"], 0.0)
    return hidden @ weights["3.weight"].T + weights["3.bias"]


def test_mistakes_are_those_of_the_model(run, trained, digits, tmp_path):
    code, _, error = run(f"plot mistakes {trained[0]} --data-dir {digits} --count 7")
    assert (code, error) == (0, "")
    labels = read_idx(digits / "t10k-labels-idx1-ubyte").astype(int)
    logits = by_hand(trained[0], read_idx(digits / "t10k-images-idx3-ubyte"))
    parts = np.exp(logits - logits.max(1, keepdims=True))
    parts /= parts.sum(1, keepdims=True)
    wrong = [i for i in range(100) if parts[i].argmax() != labels[i]]
    wrong.sort(key=lambda i: parts[i, labels[i]])
    found = texts(tmp_path / "mistakes.svg")
    assert f"{len(wrong)} mistakes in 100 test images: {len(wrong)}.0%; here are the worst 7" in found
    shown = [text.split("  ")[0] for text in found if re.fullmatch(r"\d  [>\d.]+%", text)]
    assert [int(guess) for guess in shown] == [int(parts[i].argmax()) for i in wrong[:7]]
    is_lines = [text for text in found if text.startswith("is ")]
    assert [int(text[3]) for text in is_lines] == [int(labels[i]) for i in wrong[:7]]


def test_flow_is_what_the_file_keeps(run, trained, tmp_path):
    assert run(f"plot flow {trained[0]}")[0] == 0
    assert {"Linear 784→128", "Linear 128→10", "Gradients of mlp"} <= set(texts(tmp_path / "flow.svg"))
    history = read_history(read_model(trained[0]))
    epochs, norms = history.norms()
    assert list(epochs) == [step / 5 for step in range(10)]  # 320 images in batches of 64, twice
    assert norms.shape == (10, 2)
    assert (norms > 0).all()


def test_flow_is_the_gradient_of_the_steps_that_were_made(trained, digits):
    """Train again by hand, and measure at each step."""
    import tensor
    from tensor import models, nn, training
    from tensor.data.dataset import TensorDataset
    from tensor.data.loader import DataLoader

    images = models.normalize(read_idx(digits / "train-images-idx3-ubyte"))
    labels = read_idx(digits / "train-labels-idx1-ubyte").astype(np.int64)
    tensor.manual_seed(0)
    model = models.build("mlp")
    optimizer = training.make_optimizer(model, "adam", 2e-3)
    pairs = TensorDataset(tensor.from_numpy(images), tensor.from_numpy(labels))
    loader = DataLoader(pairs, batch_size=64, shuffle=True)
    expected = []
    for x, y in loader:
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(x), y).backward()
        grads = [
            [p.grad.numpy().astype(np.float64) for p in layer.parameters()] for layer in (model[1], model[3])
        ]
        expected.append([np.sqrt(sum((g * g).sum() for g in layer)) for layer in grads])
        optimizer.step()
    _, norms = read_history(read_model(trained[0])).norms()
    assert norms[:5] == pytest.approx(np.array(expected), rel=1e-5)


def test_filters_and_activations(run, trained, digits, tmp_path):
    assert run(f"plot filters {trained[0]} -o f.png --dark")[0] == 0
    with Image.open(tmp_path / "f.png") as picture:
        assert picture.width > 500
    assert run(f"plot activations {trained[0]} --data-dir {digits}")[0] == 0
    found = texts(tmp_path / "activations.svg")
    assert {"Linear 784→128", "ReLU", "Linear 128→10"} <= set(found)
    images = read_idx(digits / "t10k-images-idx3-ubyte")
    weights = load_file(trained[0])
    x = ((images.reshape(100, -1) / 255.0) - 0.1307) / 0.3081
    hidden = x @ weights["1.weight"].T + weights["1.bias"] > 0.0
    assert f"{1 - hidden.mean():.1%} zeros" in found
    assert f"{(~hidden.any(axis=0)).sum()} of 128 units dead" in found


def test_a_model_of_the_built_in_digits(run, trained_model, tmp_path):
    """Without options: the data it was trained on."""
    path = trained_model("mlp")
    for kind in ("confusion", "mistakes", "flow", "filters", "activations"):
        assert run(f"plot {kind} {path}")[0] == 0
    model, _ = load_model(path)
    assert sum(p.numel() for p in model.parameters()) == 101_770
    assert any(re.fullmatch(r"9,\d\d\d of 10,000 test images right: 9\d\.\d%", t) for t in
               texts(tmp_path / "confusion.svg"))  # fmt: skip
    assert len([t for t in texts(tmp_path / "mistakes.svg") if t.startswith("is ")]) == 20


def test_a_file_named_like_a_plot(run, trained, tmp_path):
    (tmp_path / "filters").write_bytes(trained[1].read_bytes())
    assert run("plot ./filters")[0] == 0
    assert "filters" in texts(tmp_path / "runs.svg")


WORDS = [
    ("plot", "Missing argument"),
    ("plot filters", "plot filters: expected one model that `train --save` wrote, got none"),
    ("plot flow a b", "expected one model that `train --save` wrote, got 2: a b"),
    ("plot filters none", "none: no such file"),
    ("plot filters m --count 3", "plot filters: --count goes with mistakes; leave it out"),
    ("plot flow m --data mnist", "plot flow: --data is for what is measured on test images; leave it out"),
    ("plot run.jsonl --threads 1", "plot of runs: --threads is for what is measured"),
    ("plot confusion m --count 3", "--count goes with mistakes"),
    ("plot mistakes m --count 0", "--count 0: expected a number at least 1"),
    ("plot mistakes m --count 501", "--count 501: expected a number at least 1 and at most 500"),
    ("plot mistakes m --data mnits", "--data mnits: did you mean mnist?"),
    ("plot filters m -o filters.pdf", "-o filters.pdf: expected a name that ends in .svg or .png"),
    ("plot filters m -o none/f.svg", "none/f.svg: No such file"),
    ("plot filter m", "filter: no such file; did you mean plot filters?"),
    ("plot xyz", "xyz: no such file; `liftgrad train mlp --log xyz` would make one"),
]


@pytest.mark.parametrize(("words", "message"), WORDS, ids=[words for words, _ in WORDS])
def test_bad_words(refused, words, message):
    assert message in refused(words)


def test_models_that_cannot_be_shown(refused, trained, digits, tmp_path):
    change_history(trained[0], "old", lambda training: training.pop("history"))
    assert "old: expected the gradient norms of its training, got none, as in files" in refused(
        "plot flow old"
    )
    change_history(trained[0], "odd", lambda training: training.update(history=7))
    assert "one that makes no sense" in refused("plot flow odd")
    words = f"train mlp --epochs 9 --data idx --data-dir {digits} --resume odd"
    assert "one that makes no sense" in refused(words)
    weights = load_file(trained[0])
    large = {key: weights[key] * np.float32(1e30) for key in ("1.weight", "3.weight")}
    with safe_open(trained[0], framework="numpy") as file:
        save_file({**weights, **large}, "large", file.metadata())
    for kind in ("confusion", "mistakes", "activations"):
        assert "inf or nan" in refused(f"plot {kind} large --data-dir {digits}")
    assert "expected a safetensors file" in refused("plot flow", trained[1])
