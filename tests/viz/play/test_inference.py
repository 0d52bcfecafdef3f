"""What the browser computes is what the engine computes: each layer, the logits, MNIST's preprocessing."""

import base64
from itertools import pairwise

import numpy as np
import pytest

import tensor
from tensor import models, nn
from tensor.data import digits, idx
from tensor.data.picture import fit_digit, fit_ink
from tensor.serialization import load_model
from viz.play import write_page

TOLERANCE = 1e-4


def engine_logits(model, images):
    """Return the engine's logits, (count, 10)."""
    model.eval()
    with tensor.no_grad():
        return model(tensor.from_numpy(models.normalize(images))).numpy()


def page_logits(page, images):
    """Return the page's logits, (count, 10)."""
    return np.array(page.evaluate("(all) => all.map(liftgrad.classify)", images.reshape(-1, 784).tolist()))


@pytest.mark.parametrize("name", ["mlp", "mlp-deep", "cnn"])
def test_logits_of_100_digits(name, open_play, trained_model):
    images, labels = digits.generate(100, digits.TEST_SEED)
    expected = engine_logits(load_model(trained_model(name))[0], images)
    found = page_logits(open_play(name), images)
    assert np.abs(found - expected).max() <= TOLERANCE
    assert (found.argmax(1) == labels).mean() >= 0.9  # and they are not all the same


def test_the_accuracy_that_it_states_is_the_engines(play_page, trained_model):
    split = digits.load()
    logits = engine_logits(load_model(trained_model("mlp"))[0], split.test_images)
    right = (logits.argmax(1) == split.test_labels).mean()
    assert f"for 1 epoch; right on {right:.2%} of its test digits." in play_page("mlp").read_text("utf-8")


def test_logits_of_100_digits_of_mnist(open_play, trained_model, mnist_folder):
    images = idx.load_directory(mnist_folder).test_images[:100]
    expected = engine_logits(load_model(trained_model("mlp", "mnist"))[0], images)
    page = open_play("mlp", "mnist")
    assert np.abs(page_logits(page, images) - expected).max() <= TOLERANCE
    assert "trained on MNIST" in page.inner_text("#about")


def mixed():
    """Return networks with every layer and option that a page can compute."""
    tensor.manual_seed(1)
    return {
        "conv": nn.Sequential(
            nn.Conv2d(1, 6, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 2)), nn.Tanh(),
            nn.Conv2d(6, 9, 3, padding="same", groups=3, bias=False), nn.ReLU(),
            nn.MaxPool2d((2, 3), stride=(1, 2), padding=(1, 0)), nn.Dropout2d(0.5),
            nn.Conv2d(9, 2, (4, 2), padding="same", dilation=(3, 1)), nn.Sigmoid(),
            nn.Conv2d(2, 5, 2, padding="valid"), nn.MaxPool2d(2, dilation=2, stride=1),
            nn.Flatten(), nn.Dropout(0.5), nn.LazyLinear(10),
        ),
        "linear": nn.Sequential(
            nn.Flatten(), nn.Linear(784, 13), nn.Sigmoid(), nn.Linear(13, 7, bias=False), nn.Linear(7, 10)
        ),
        "one layer": nn.Sequential(nn.Flatten(1, 3), nn.Linear(784, 10)),
        "one pixel": nn.Sequential(nn.Conv2d(1, 3, 28), nn.ReLU(), nn.Conv2d(3, 10, 1), nn.Flatten()),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(mixed()))
def test_every_layer_and_option(name, open_model):
    model = mixed()[name].eval()
    images, _ = digits.generate(3, 7)
    expected = engine_logits(model, images)
    page = open_model(model)
    assert np.abs(page_logits(page, images) - expected).max() <= TOLERANCE
    layers = page.evaluate("(pixels) => liftgrad.inspect(pixels)", images[0].ravel().tolist())
    steps = [module for module in model if not isinstance(module, nn.Dropout | nn.Dropout2d)]
    values = tensor.from_numpy(models.normalize(images[:1]))
    for layer, module in zip(layers, steps, strict=True):
        with tensor.no_grad():
            values = module(values)
        assert tuple(layer["shape"]) == tuple(values.shape[1:])
        assert np.abs(np.array(layer["values"]) - values.numpy().ravel()).max() <= TOLERANCE
    page.keyboard.press("5")  # and the page can show it
    assert page.inner_text("#prediction") != ""


# --- preprocessing ---------------------------------------------------------------------------------------


def strokes(seed, height, width):
    """Return ink, (height, width) from 0 to 1: a few thick lines of some seed, with smooth edges."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] + 0.5
    ink = np.zeros((height, width))
    points = draw.uniform(0.1, 0.9, (draw.integers(2, 6), 2)) * (width, height)
    radius = draw.uniform(0.01, 0.08) * max(height, width)
    for (ax, ay), (bx, by) in pairwise(points):
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1)
        away = np.hypot(x - ax - along * dx, y - ay - along * dy)
        ink = np.maximum(ink, np.clip(radius + 0.5 - away, 0, 1))
    return ink


def canvases():
    """Return canvases by name: of many sizes, off the middle, thin, faint, tiny, noisy."""
    drawn = {f"strokes {seed}": strokes(seed, 280, 280) for seed in range(20)}
    drawn |= {f"{h}x{w}": strokes(h, h, w) for h, w in ((50, 400), (300, 70), (28, 28), (9, 12))}
    noise = np.random.default_rng(0).uniform(0, 1, (40, 60))
    noise[[0, -1]] = noise[:, [0, -1]] = 0
    drawn |= {"noise": noise, "faint": 0.3 * drawn["strokes 1"]}
    for name, box in {
        "dot": np.s_[5:6, 7:8], "a column": np.s_[10:250, 100:101], "a row": np.s_[70:71, 3:270],
        "twenty": np.s_[100:120, 30:50], "in a corner": np.s_[200:280, 260:280],
    }.items():  # fmt: skip
        drawn[name] = np.zeros((280, 280))
        drawn[name][box] = 1.0
    return drawn


FIT = """([text, width, height]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Array.from(liftgrad.fit(new Float64Array(bytes.buffer), width, height));
}"""


def test_the_same_canvas_gives_the_same_input(small, open_model):
    page = open_model(small)
    for name, ink in canvases().items():
        height, width = ink.shape
        found = np.array(
            page.evaluate(FIT, [base64.b64encode(ink.astype("<f8").tobytes()).decode(), width, height])
        ).reshape(28, 28)
        assert np.abs(found - fit_ink(ink)).max() <= 1, name  # sine and rounding may differ by a unit
        if ink.shape != (28, 28) and ink.max() == 1.0 and name != "noise":
            assert np.abs(found - fit_digit(ink)).max() <= 1, name
    assert page.evaluate("liftgrad.fit(new Float64Array(100), 10, 10)") is None
    assert page.evaluate("liftgrad.fit(new Float64Array(100).fill(0.04), 10, 10)") is None


def test_the_hook_holds_nothing_and_says_what_it_expects(small, open_model):
    page = open_model(small)
    page.keyboard.press("3")
    before = page.get_attribute("#bars", "data-logits")
    page.evaluate(
        "const nothing = new Uint8Array(784);"
        "liftgrad.classify(nothing); liftgrad.inspect(nothing); liftgrad.ink().fill(1);"
    )
    assert page.get_attribute("#bars", "data-logits") == before
    assert page.evaluate("liftgrad.ink().every((x) => x === 1)") is False
    assert page.evaluate("Object.isFrozen(liftgrad)")
    message = page.evaluate(
        "(() => { try { liftgrad.classify([1, 2]); } catch (e) { return e.message; } })()"
    )
    assert message == "expected 784 numbers from 0 to 255, got 2"


@pytest.mark.parametrize("name", ["mlp", "mlp-deep", "cnn"])
def test_a_page_is_below_700_kB(name):
    assert len(write_page(models.build(name)).encode()) < 700_000
