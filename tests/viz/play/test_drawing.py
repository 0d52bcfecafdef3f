"""The drawing page in a real browser: driven by mouse, touch and keys, and what it shows then.

The networks here are not trained, which makes no difference to what is tested: that the page shows what the
engine computes of the very input that it says it is given.
"""

import base64

import numpy as np
import pytest

import tensor
from tensor import models, nn
from tensor.data.picture import fit_digit, fit_ink
from viz.demos.numbers import shown
from viz.play.page import pick_samples

SEVEN = [(60, 70), (200, 70), (110, 230)]
BAR = [(80, 150), (180, 150)]


@pytest.fixture
def mlp():
    tensor.manual_seed(3)
    return models.build("mlp").eval()


@pytest.fixture
def cnn():
    tensor.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(864, 10),
    ).eval()  # fmt: skip


def locate(page, points):
    """Return points of the board, 280 x 280, as points of the window."""
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    return [(box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280) for x, y in points]


def draw(page, points, release=True):
    first, *others = locate(page, points)
    page.mouse.move(*first)
    page.mouse.down()
    for point in others:
        page.mouse.move(*point, steps=5)
    if release:
        page.mouse.up()


READ = """() => {
  const text = (id) => document.getElementById(id).textContent;
  const data = (id, key) => JSON.parse(document.getElementById(id).dataset[key] || "null");
  const bars = [...document.querySelectorAll("#bars li")];
  return {
    prediction: text("prediction"), words: text("words"),
    logits: data("bars", "logits"), probabilities: data("bars", "probabilities"),
    input: data("input", "input"),
    percents: bars.map((bar) => bar.querySelector(".percent").textContent),
    shares: bars.map((bar) => bar.querySelector(".fill").getBoundingClientRect().width
      / bar.querySelector(".track").getBoundingClientRect().width),
    shown: bars.map((bar) => bar.querySelector(".logit").textContent),
    best: bars.flatMap((bar, n) => (bar.classList.contains("best") ? [n] : [])),
    readings: [...document.querySelectorAll(".reading")]
      .map((reading) => [...reading.children].map((line) => line.textContent).join(": ")),
    cells: [...document.querySelectorAll(".stage")].map((stage) => Number(stage.dataset.cell)),
    undo: document.getElementById("undo").getAttribute("aria-disabled"),
    empty: getComputedStyle(document.getElementById("hint")).display !== "none",
  };
}"""


def activations(model, pixels):
    """Return what the engine has after each of the modules, and the logits."""
    values, kept = tensor.from_numpy(models.normalize(np.array(pixels, np.uint8).reshape(1, 28, 28))), []
    with tensor.no_grad():
        for module in model:
            values = module(values)
            kept.append(values.numpy()[0])
    return kept


def check(page, model):
    """Compare all that the page shows with what the engine computes of the page's input; return both."""
    seen = page.evaluate(READ)
    kept = activations(model, seen["input"])
    logits = kept[-1].astype(float)
    probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert np.abs(np.array(seen["logits"]) - logits).max() <= 1e-4
    assert np.abs(np.array(seen["probabilities"]) - probabilities).max() <= 1e-4
    assert seen["prediction"] == str(logits.argmax())
    assert seen["best"] == [logits.argmax()]
    for n in range(10):
        assert abs(float(seen["percents"][n].removesuffix("%")) - 100 * probabilities[n]) <= 0.06
        assert abs(float(seen["shown"][n]) - logits[n]) <= 0.0051
        assert abs(seen["shares"][n] - probabilities[n]) <= 0.01
    assert f"{100 * probabilities.max():.1f}%" in seen["words"]
    assert seen["undo"] == "false"
    assert not seen["empty"]
    return seen, kept


def check_empty(page):
    seen = page.evaluate(READ)
    assert (seen["prediction"], seen["words"], seen["best"]) == ("", "Nothing drawn yet.", [])
    assert seen["logits"] is seen["probabilities"] is seen["input"] is None
    assert set(seen["percents"]) == set(seen["shown"]) == {""}
    assert seen["shares"] == [0.0] * 10
    assert seen["empty"]
    assert all(reading.endswith(": nothing drawn yet") for reading in seen["readings"])
    return seen


def ink_of(page):
    return np.array(page.evaluate("Array.from(liftgrad.ink())")).reshape(280, 280)


def test_drawing_with_a_mouse(mlp, open_model):
    page = open_model(mlp)
    assert check_empty(page)["undo"] == "true"
    draw(page, SEVEN)
    seen, _ = check(page, mlp)
    ink = ink_of(page)
    assert np.abs(fit_ink(ink).ravel() - np.array(seen["input"])).max() <= 1
    inside = [ink[y, x] for x, y in ((60, 70), (130, 70), (200, 70), (155, 150), (110, 230))]
    assert min(inside) == 1.0
    assert ink[150, 60] == ink[240, 200] == 0.0
    assert abs(ink[:120, 130].sum() - 22) < 0.6  # as wide as the brush
    before = seen
    draw(page, BAR)
    seen, _ = check(page, mlp)
    assert seen["input"] != before["input"]
    page.locator("#undo").click()
    assert check(page, mlp)[0]["input"] == before["input"]
    page.locator("#clear").click()
    check_empty(page)
    assert ink_of(page).max() == 0
    page.locator("#undo").click()  # a drawing that was cleared is not lost
    assert check(page, mlp)[0]["input"] == before["input"]
    page.locator("#undo").click()
    assert check_empty(page)["undo"] == "true"


def pixels_of(page, selector, n=0):
    """Return a canvas, (height, width, 4) uint8; from a copy, since browsers warn of one that is read."""
    text = page.evaluate(
        """([selector, n]) => {
  const canvas = document.querySelectorAll(selector)[n], { width, height } = canvas;
  const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  let letters = "";
  for (const byte of copy.getImageData(0, 0, width, height).data) letters += String.fromCharCode(byte);
  return [width, height, btoa(letters)];
}""",
        [selector, n],
    )
    return np.frombuffer(base64.b64decode(text[2]), np.uint8).reshape(text[1], text[0], 4)


def test_what_is_on_the_canvas_is_what_is_classified(mlp, open_model):
    """The canvas itself, read pixel by pixel, gives the engine the same picture."""
    page = open_model(mlp, color_scheme="dark", device_scale_factor=2)
    draw(page, SEVEN)
    draw(page, BAR)
    alpha = pixels_of(page, "#canvas")[:, :, 3]
    assert alpha.shape == (2 * page.evaluate("document.getElementById('canvas').clientWidth"),) * 2
    found = np.array(check(page, mlp)[0]["input"]).reshape(28, 28)
    assert np.abs(found - fit_digit(alpha / 255).astype(int)).mean() < 3
    page.keyboard.press("c")
    assert pixels_of(page, "#canvas").max() == 0


def test_while_a_hand_draws(mlp, open_model):
    page = open_model(mlp)
    draw(page, SEVEN[:2], release=False)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    first, _ = check(page, mlp)
    (point,) = locate(page, SEVEN[2:])
    page.mouse.move(*point)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    second, _ = check(page, mlp)
    assert first["input"] != second["input"]
    page.mouse.move(5, 5)  # outside: the stroke goes on to there, and ends with the button
    page.mouse.up()
    third, _ = check(page, mlp)
    page.mouse.move(*point)
    assert check(page, mlp)[0]["input"] == third["input"]
    page.mouse.click(*point, button="right")
    assert check(page, mlp)[0]["input"] == third["input"]


def test_a_dot_is_ink(mlp, open_model):
    page = open_model(mlp)
    draw(page, [(20, 260)])
    found = np.array(check(page, mlp)[0]["input"]).reshape(28, 28)
    assert np.ptp(np.nonzero(found.any(1))[0]) == np.ptp(np.nonzero(found.any(0))[0]) == 19


def test_the_brush(mlp, open_model):
    page = open_model(mlp)
    widths = {}
    for value in ("8", "44"):
        page.locator("#brush").fill(value)
        draw(page, BAR)
        widths[value] = ink_of(page)[:, 130].sum()
        page.keyboard.press("c")
    assert abs(widths["8"] - 8) < 0.6
    assert abs(widths["44"] - 44) < 0.6
    page.locator("#canvas").focus()
    for key, value in (("]", "44"), ("[", "42"), ("[", "40"), ("]", "42")):
        page.keyboard.press(key)
        assert page.input_value("#brush") == value


def test_keys(mlp, open_model):
    page = open_model(mlp)
    pixels, labels = pick_samples()
    for key in "0379":
        for n in (0, 1, 0):  # again: the next one
            page.keyboard.press(key)
            seen, _ = check(page, mlp)
            expected = pixels[np.flatnonzero(labels == int(key))[n]]
            assert np.array_equal(seen["input"], expected.ravel())  # as it is
            assert seen["words"].endswith(f"It was made as a {key}.")
    page.keyboard.press("z")
    assert np.array_equal(check(page, mlp)[0]["input"], pixels[np.flatnonzero(labels == 9)[1]].ravel())
    page.keyboard.press("Delete")
    check_empty(page)
    page.keyboard.press("Control+z")
    check(page, mlp)
    page.keyboard.press("C")
    check_empty(page)
    for key in ("x", "Control+c", "Alt+3", "Shift+ArrowDown", "Control+5"):
        page.keyboard.press(key)
        check_empty(page)


def test_drawing_onto_a_sample(mlp, open_model):
    page = open_model(mlp)
    samples = page.locator(".sample")
    assert samples.count() == 20
    samples.nth(16).click()
    before, _ = check(page, mlp)
    assert before["words"].endswith("It was made as an 8.")
    draw(page, BAR)
    seen, _ = check(page, mlp)
    assert "made as" not in seen["words"]
    assert np.abs(fit_ink(ink_of(page)).ravel() - np.array(seen["input"])).max() <= 1
    far = np.abs(np.array(seen["input"]) - np.array(before["input"])).mean()
    assert 1 < far < 60  # the digit is still there
    page.keyboard.press("z")
    assert check(page, mlp)[0]["input"] == before["input"]


def test_drawing_by_keyboard(mlp, open_model):
    page = open_model(mlp)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "canvas"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for key, times in (
        ("ArrowLeft", 6),
        (" ", 1),
        ("ArrowRight", 12),
        ("ArrowDown", 3),
        (" ", 1),
        ("ArrowDown", 9),
    ):
        for _ in range(times):
            page.keyboard.press(key)
    seen, _ = check(page, mlp)
    ink = ink_of(page)
    assert ink[70, 92] == ink[70, 188] == ink[94, 188] == 1.0
    assert ink[130:].max() == 0
    assert page.locator("#pen").is_visible()
    assert np.abs(fit_ink(ink).ravel() - np.array(seen["input"])).max() <= 1
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Tab")
    assert not page.locator("#pen").is_visible()
    page.keyboard.press("Control+z")
    check_empty(page)


def touch(session, kind, points):
    session.send(
        "Input.dispatchTouchEvent",
        {"type": kind, "touchPoints": [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]},
    )


def test_touch(mlp, open_model):
    page = open_model(mlp, viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True)
    session = page.context.new_cdp_session(page)
    points = locate(page, [(140, 40), (140, 120), (140, 240)])
    top = page.evaluate("scrollY")
    touch(session, "touchStart", points[:1])
    for point in points[1:]:
        touch(session, "touchMove", [point])
    (other,) = locate(page, [(30, 150)])
    touch(session, "touchStart", [points[-1], other])  # a second finger, or a palm
    touch(session, "touchMove", [points[-1], (other[0] + 30, other[1])])
    touch(session, "touchEnd", [])
    check(page, mlp)
    ink = ink_of(page)
    assert ink[40:240, 140].min() == 1.0
    assert ink[:, :120].max() == 0
    assert page.evaluate("scrollY") == top
    page.locator("#clear").tap()
    check_empty(page)
    page.locator(".sample").nth(3).tap()
    check(page, mlp)
    assert page.locator(".hands").is_hidden()


def reading_of(kept, cell, unit):
    values = kept[cell]
    if values.size == 1:
        return f"{unit} {cell + 1} of {len(kept)}: {shown(values.item())}"
    return (
        f"{unit} {cell + 1} of {len(kept)}: at most {shown(values.max())}, on average {shown(values.mean())}"
    )


def close(text, expected):
    """Compare readings word by word; the last shown digit of a number may differ: sums in another order."""
    for word, other in zip(text.split(), expected.split(), strict=True):
        if word != other:
            found, number = float(word.strip(",")), float(other.strip(","))
            assert abs(found - number) <= 2e-3 * abs(number) + 1e-6, (text, expected)


@pytest.mark.parametrize(("name", "layers", "unit"), [("mlp", (2,), "unit"), ("cnn", (1, 4), "map")])
def test_the_layers_within(name, layers, unit, request, open_model):
    model = request.getfixturevalue(name)
    page = open_model(model)
    page.keyboard.press("4")
    seen, kept = check(page, model)
    grids = page.locator("canvas[role=slider]")
    assert grids.count() == len(layers)
    for n, layer in enumerate(layers):
        values = kept[layer]
        count = len(values)
        strongest = seen["cells"][n]
        peaks = values.reshape(count, -1).max(1)
        assert peaks[strongest] >= peaks.max() - 1e-4
        close(seen["readings"][n], f"Strongest now: {reading_of(values, strongest, unit)}")
        grids.nth(n).focus()
        capital = unit.capitalize()
        moves = {"Home": 0, "ArrowRight": 1, "ArrowLeft": 0, "ArrowUp": 0, "End": count - 1}
        for key, cell in moves.items():
            page.keyboard.press(key)
            state = page.evaluate(READ)
            assert state["cells"][n] == cell
            close(state["readings"][n], reading_of(values, cell, capital))
            assert grids.nth(n).get_attribute("aria-valuenow") == str(cell + 1)
            assert grids.nth(n).get_attribute("aria-valuetext") == state["readings"][n]
        page.keyboard.press("7")  # a kept unit stays, and has the new value
        later = activations(model, check(page, model)[0]["input"])[layer]
        state = page.evaluate(READ)
        close(state["readings"][n], reading_of(later, count - 1, capital))
        page.keyboard.press("Escape")
        assert page.evaluate(READ)["readings"][n].startswith("Strongest now")
        page.keyboard.press("4")
        box = grids.nth(n).bounding_box()
        grids.nth(n).hover(position={"x": 3, "y": 3})
        assert page.evaluate(READ)["cells"][n] == 0
        page.mouse.move(2, 2)
        assert page.evaluate(READ)["readings"][n].startswith("Strongest now")
        grids.nth(n).click(position={"x": box["width"] - 8, "y": box["height"] - 8})
        page.mouse.move(2, 2)
        assert page.evaluate(READ)["cells"][n] == count - 1
        page.keyboard.press("Escape")


def colours_at(page, n, across, down):
    """Return the colour in the middle of each cell of a stage's grid, (across * down, 3)."""
    pixels = pixels_of(page, "canvas[role=slider]", n).astype(int)
    rows, columns = (
        ((np.arange(k) + 0.5) * size / k).astype(int)
        for k, size in zip((down, across), pixels.shape[:2], strict=True)
    )
    return pixels[np.ix_(rows, columns)].reshape(-1, 4)[:, :3]


def test_units_have_the_colour_of_their_value(mlp, open_model):
    """The stronger a unit, the bluer; one at zero has the colour of the ground."""
    page = open_model(mlp)
    page.keyboard.press("8")
    values = check(page, mlp)[1][2]
    blue = 255 - colours_at(page, 0, 16, 8)[:, 0]  # red goes down
    assert len(set(blue[values == 0])) == 1
    order = np.argsort(values)
    assert (np.diff(blue[order]) >= -1).all()
    assert blue[order[-1]] > blue[order[0]] + 60


# --- how it looks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_widths(name, request, open_model):
    page = open_model(request.getfixturevalue(name))
    page.keyboard.press("8")
    for width, height in ((320, 600), (390, 844), (768, 1024), (1280, 800)):
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        small = page.evaluate(
            "[...document.querySelectorAll('button, input, canvas[role=slider]')]"
            ".map((e) => [e.id || e.className, e.getBoundingClientRect().height])"
            ".filter(([, height]) => height < 40)"
        )
        assert small == []
        page.keyboard.press("c")
        draw(page, BAR)  # the board follows its size
        assert abs(ink_of(page)[:, 130].sum() - 22) < 1
        read = "(() => { const c = document.getElementById('canvas'); return [c.width, c.height]; })()"
        assert page.evaluate(read) == [page.evaluate("document.getElementById('canvas').clientWidth")] * 2
        page.keyboard.press("8")


PLACES = """() => ["verdict", "bars", "gallery", "stages"].map((id) => {
  const { top, height } = document.getElementById(id).getBoundingClientRect();
  return [Math.round(top + scrollY), Math.round(height)];
})"""


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_jumps_as_the_answer_changes(width, cnn, open_model):
    page = open_model(cnn, viewport={"width": width, "height": 800})
    places = [page.evaluate(PLACES)]
    for key in "0583c":
        page.keyboard.press(key)
        places.append(page.evaluate(PLACES))
    assert places == places[:1] * 6


def test_text_of_twice_the_size(cnn, open_model):
    page = open_model(cnn, viewport={"width": 390, "height": 844})
    page.keyboard.press("8")
    page.evaluate("document.documentElement.style.setProperty('font-size', '200%')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    draw(page, BAR)
    check(page, cnn)


def test_on_a_phone_the_canvas_and_the_answer_are_in_sight(mlp, open_model):
    page = open_model(mlp, viewport={"width": 390, "height": 844})
    page.keyboard.press("2")
    boxes = {name: page.locator(f"#{name}").bounding_box() for name in ("canvas", "tools", "verdict", "bars")}
    tops = [boxes[name]["y"] for name in ("canvas", "tools", "verdict", "bars")]
    assert tops == sorted(tops)
    assert boxes["bars"]["y"] + boxes["bars"]["height"] <= 844
    assert boxes["canvas"]["width"] >= 300


def test_dark_and_light(mlp, open_model):
    page = open_model(mlp)
    draw(page, SEVEN)
    inks = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        ink = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink')")
        pixels = pixels_of(page, "#canvas")
        at = pixels[70 * len(pixels) // 280, 130 * len(pixels) // 280]
        assert "#" + bytes(at[:3]).hex() == ink.strip()
        inks.append(colours_at(page, 0, 16, 8).tolist())
        check(page, mlp)
    assert inks[0] != inks[1]


def test_a_screen_reader_hears_the_answer_once(mlp, open_model, pages):
    page = open_model(mlp)
    assert page.get_attribute("#prediction", "aria-live") == "off"
    assert page.get_attribute("#live", "aria-live") == "polite"
    draw(page, SEVEN)
    words = page.inner_text("#words")
    pages.wait_until(page, "(words) => document.getElementById('live').textContent === words", words)


def test_every_control_has_a_name_and_shows_the_focus(cnn, open_model):
    page = open_model(cnn)
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        entry = page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            "return [e.id || e.className, e.getAttribute('aria-label') || e.textContent"
            " || (e.labels && e.labels[0] && e.labels[0].textContent),"
            " s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2]; })()"
        )
        if page.evaluate("document.activeElement === document.body"):
            break
        seen.append(entry)
    assert [name for name, _, _ in seen] == [
        "canvas",
        "brush",
        "undo",
        "clear",
        *["sample"] * 20,
        "maps",
        "maps",
    ]
    assert all(label for _, label, _ in seen)
    assert all(focus for _, _, focus in seen)


def test_the_page_is_one_file(mlp, open_model):
    page = open_model(mlp)
    policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
