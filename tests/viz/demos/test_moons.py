"""The page of the two moons: what the engine recorded, and what the browser shows of it."""

import base64
import json
from types import SimpleNamespace

import numpy as np
import pytest

import liftgrad
import tensor
from micro.train import mean_loss, train_moons
from tensor.data.points import moons
from viz.demos import DEMOS
from viz.demos.moons import MOST_EPOCHS, PLANE, STRONGEST, record, weighted_sums
from viz.demos.numbers import shown

EPOCHS = 6
SEED = 3
NAMES = [["x", "y"], [f"a{i + 1}" for i in range(8)], [f"b{i + 1}" for i in range(8)], ["score"]]
ALL, LABELS = moons(200, 0.22)
WIDTH, HEIGHT = PLANE["right"] - PLANE["left"], PLANE["top"] - PLANE["bottom"]


def ask(model, x, y):
    """Return what each neuron of a scalar MLP adds up for a point: all before any ReLU, by the definition."""
    values, sums = [x, y], []
    for layer in model.layers:
        sums.append([sum((w * v for w, v in zip(n.w, values, strict=True)), n.b) for n in layer.neurons])
        values = [s.relu() for s in sums[-1]]
    return [[s.data for s in layer] for layer in sums]


def look(model):
    """Return what the engine says of a model: by Values, point by point."""
    model.zero_grad()
    loss = mean_loss(model, ALL[:100], LABELS[:100])
    loss.backward()
    at_points = [ask(model, *point) for point in ALL]
    right = [sums[2][0] * label > 0.0 for sums, label in zip(at_points, LABELS, strict=True)]
    numbers = [
        [[[getattr(p, name) for p in n.parameters()] for n in layer.neurons] for layer in model.layers]
        for name in ("data", "grad")
    ]
    return SimpleNamespace(
        loss=loss.data, weights=numbers[0], grads=numbers[1],
        right=[sum(right[:100]), sum(right[100:])], wrong=[i for i in range(100) if not right[i]],
        on=[[sum(sums[j][i] > 0.0 for sums in at_points[:100]) for i in range(8)] for j in (0, 1)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def engine():
    """Return what the engine says before and after each epoch of a training of its own, and the model."""
    states = []
    model = train_moons(
        ALL[:100], LABELS[:100], EPOCHS, lr=0.015, batch_size=25, seed=SEED, hidden=(8, 8),
        watch=lambda _, model: states.append(look(model)),
    )  # fmt: skip
    return SimpleNamespace(states=states, model=model)


@pytest.fixture(scope="module")
def recording():
    return record(SEED, EPOCHS)


# --- what the engine recorded -----------------------------------------------------------------------------


def test_the_numbers_of_every_epoch_are_the_scalar_engines(engine, recording):
    assert json.loads(json.dumps(recording, allow_nan=False)) == recording
    assert (recording["sizes"], recording["parameters"]) == ([2, 8, 8, 1], 105)
    assert len(recording["states"]) == EPOCHS + 1
    for state, own in zip(recording["states"], engine.states, strict=True):
        assert state["loss"] == pytest.approx(own.loss, rel=1e-5)
        for name in ("weights", "grads"):
            for layer, expected in zip(state[name], getattr(own, name), strict=True):
                assert np.array(layer) == pytest.approx(np.array(expected), rel=1e-5, abs=1e-15)
        assert state["norms"] == pytest.approx(
            [np.linalg.norm(np.concatenate(layer)) for layer in map(np.array, own.grads)], rel=1e-5
        )
        assert state["zeros"] == [int((np.array(layer) == 0.0).sum()) for layer in own.grads]
        assert (state["wrong"], state["right"], state["on"]) == (own.wrong, own.right, own.on)
    assert recording["states"][-1]["right"][0] > 80
    assert recording["states"][0]["weights"] != recording["states"][1]["weights"]


def test_the_gradients_are_those_of_the_tensor_engine(engine):
    own = engine.states[2]
    layers = [np.array(layer) for layer in own.weights]
    weights = [tensor.tensor(w[:, :-1], requires_grad=True) for w in layers]
    biases = [tensor.tensor(w[:, -1].copy(), requires_grad=True) for w in layers]
    x = tensor.tensor(ALL[:100], dtype=tensor.float64)
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = tensor.nn.functional.linear(x.relu() if i else x, weight, bias)
    labels = tensor.tensor(LABELS[:100], dtype=tensor.float64)
    (1.0 - labels * x.squeeze(1)).relu().mean().backward()
    for grads, weight, bias in zip(own.grads, weights, biases, strict=True):
        assert np.array(grads)[:, :-1] == pytest.approx(weight.grad.numpy(), abs=1e-12)
        assert np.array(grads)[:, -1] == pytest.approx(bias.grad.numpy(), abs=1e-12)


def test_the_tensor_engine_sums_up_what_the_scalar_one_does(engine):
    draw = np.random.default_rng(0)
    points = [(float(x), float(y)) for x, y in draw.normal(size=(20, 2)) * 2]
    lifted = weighted_sums(engine.model, points)
    for i, point in enumerate(points):
        for layer, sums in zip(lifted, ask(engine.model, *point), strict=True):
            assert layer.dtype == np.float64
            assert layer[i] == pytest.approx(sums, rel=1e-12, abs=1e-12)


def test_the_fields_are_what_the_scalars_answer(engine, recording):
    state = recording["states"][-1]
    for layer, (columns, rows) in enumerate(recording["grids"]):
        field = np.frombuffer(base64.b64decode(state["fields"][layer]), np.uint8).reshape(-1, rows, columns)
        assert len(field) == recording["sizes"][layer + 1]
        down, across = sorted({0, rows // 3, rows - 1}), sorted({0, columns // 2, columns - 1})
        answers = [
            [
                ask(
                    engine.model,
                    PLANE["left"] + WIDTH * c / (columns - 1),
                    PLANE["top"] - HEIGHT * r / (rows - 1),
                )[layer]
                for c in across
            ]
            for r in down
        ]
        for i, neuron in enumerate(field[:, down][:, :, across]):
            levels, sums = (neuron.astype(float) - 128.0) / 127.0, np.array(answers)[..., i]
            # each hidden neuron has a scale of its own, which the page does not need
            scale = (levels * sums).sum() / (sums * sums).sum() if layer < 2 else 1.0 / STRONGEST
            assert levels == pytest.approx((sums * scale).clip(-1.0, 1.0), abs=1 / 127)
            assert layer == 2 or np.abs(field[i].astype(float) - 128.0).max() in (126.0, 127.0)


def corners(path):
    """Return the lines of a recorded path, in the coordinates of the plane."""
    lines = [np.array(line.split(), float).reshape(-1, 2) for line in path.split("M")[1:]]
    unit = WIDTH / 3600
    return [line * (unit, -unit) + (PLANE["left"], PLANE["top"]) for line in lines]


def test_lines_are_where_the_scalars_say_zero(engine, recording):
    state = recording["states"][-1]
    boundary = corners(state["boundary"])
    assert sum(map(len, boundary)) > 4
    for x, y in np.concatenate(boundary):
        assert abs(ask(engine.model, x, y)[2][0]) < 0.06
    for x, y in np.concatenate(corners(state["margins"])):
        assert abs(abs(ask(engine.model, x, y)[2][0]) - 1.0) < 0.06
    drawn = 0
    for layer, error in enumerate((0.003, 0.04)):
        for i, path in enumerate(state["folds"][layer]):
            for line in corners(path):
                drawn += 1
                assert layer == 1 or len(line) == 2  # the first layer's are straight
                assert all(abs(ask(engine.model, x, y)[layer][i]) < error for x, y in line)
    assert drawn >= 8


def test_all_points_are_within_the_plane(recording):
    points = np.array(recording["points"])
    assert points.shape == (100, 3)
    assert (points[:, :2] > 80).all()
    assert (points[:, :2] < (3520, 2320)).all()
    assert points[:, 0] / 3600 * WIDTH + PLANE["left"] == pytest.approx([x for x, _ in ALL[:100]], abs=1e-3)
    assert PLANE["top"] - points[:, 1] / 3600 * WIDTH == pytest.approx([y for _, y in ALL[:100]], abs=1e-3)
    assert points[:, 2].tolist() == LABELS[:100]


def test_seeds_and_epochs(recording):
    other = record(SEED + 1, 1)
    assert other["points"] == recording["points"]
    assert len(other["states"]) == 2
    assert other["states"][0]["weights"] != recording["states"][0]["weights"]
    largest = max(len(json.dumps(state, separators=(",", ":"))) for state in recording["states"])
    assert (MOST_EPOCHS + 1) * largest + 100_000 < 1_500_000  # the longest page, too, is of modest size
    for epochs in (0, -1, MOST_EPOCHS + 1):
        with pytest.raises(ValueError, match=f"expected epochs from 1 to 100, got {epochs}"):
            record(0, epochs)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert liftgrad.main(["demo", "moons", "--seed", "5", "--epochs", "1"]) == 0
    assert capsys.readouterr().out == "wrote moons.html\n"
    assert (tmp_path / "moons.html").read_text(encoding="utf-8") == DEMOS["moons"].write(seed=5, epochs=1)
    assert liftgrad.MOST_EPOCHS == MOST_EPOCHS
    for words in (["moons", "--epochs", "0"], ["moons", "--epochs", "101"], ["softmax", "--epochs", "3"]):
        assert liftgrad.main(["demo", *words]) == 2
        error = capsys.readouterr().err
        assert "--epochs" in error
        assert error.count("\n") == 1


# --- what the browser shows -------------------------------------------------------------------------------

READ = """() => {
  const text = (id) => document.getElementById(id).textContent;
  const ids = ['epoch', 'loss', 'learned', 'others', 'plane-title', 'plane-note', 'neuron-title', 'formula'];
  const read = Object.fromEntries(ids.map((id) => [id, text(id)]));
  read.rows = document.getElementById('numbers').hidden ? [] : [...document.querySelectorAll('#rows tr')]
    .map((row) => [...row.children].map((cell) => cell.textContent));
  read.onEdges = [...document.querySelectorAll('#edge-numbers text')].map((label) => label.textContent);
  read.norms = [0, 1, 2].map((layer) => text(`norm-${layer}`));
  read.zeros = [0, 1, 2].map((layer) => text(`zeros-${layer}`));
  read.wrong = document.querySelectorAll('.ring.wrong').length;
  return read;
}"""


def write(x):
    return shown(x).replace("-", "−")


def check_state(page, state, epoch, layer=3, index=0, quantity="weights"):
    """Compare all numbers of the page with the engine's, at an epoch and with a neuron chosen."""
    read = page.evaluate(READ)
    assert (read["epoch"], read["loss"]) == (str(epoch), write(state.loss))
    assert [read["learned"], read["others"]] == [f"{n} of 100" for n in state.right]
    assert read["wrong"] == len(state.wrong)
    assert read["norms"] == [write(np.linalg.norm(np.concatenate(g))) for g in state.grads]
    zeros = [sum(g == 0.0 for neuron in layer for g in neuron) for layer in state.grads]
    assert read["zeros"] == [f" · {n} are 0" if n else "" for n in zeros]
    edges = getattr(state, quantity)
    outward = [neuron[index] for neuron in edges[layer]] if layer < 3 else []
    name = NAMES[layer][index]
    if layer == 0:
        assert (read["rows"], read["plane-title"]) == ([], f"Input {name}")
        assert read["onEdges"] == [write(x) for x in outward]
        return
    weights, grads = (numbers[layer - 1][index] for numbers in (state.weights, state.grads))
    sources = [*NAMES[layer - 1], "bias"]
    assert read["rows"] == [
        [source, write(w), write(g)] for source, w, g in zip(sources, weights, grads, strict=True)
    ]
    assert read["onEdges"] == (
        [write(x) for x in [*edges[layer - 1][index][:-1], *outward]] if layer < 3 else []
    )
    terms = [write(weights[0])] + [f"{'−' if w < 0 else '+'} {write(abs(w))}" for w in weights[1:]]
    factors = [f"\u202f{source}" for source in sources[:-1]] + [""]
    total = " ".join(term + factor for term, factor in zip(terms, factors, strict=True))
    assert read["formula"] == f"{name} = " + (total if layer == 3 else f"relu({total})")
    if layer < 3:
        assert read["plane-title"] == f"What neuron {name} responds to"
        assert read["plane-note"].startswith(f"On at {state.on[layer - 1][index]} of 100 points, ")


@pytest.fixture
def page(open_page, demo_page):
    def page(**options):
        return open_page(demo_page("moons", seed=SEED, epochs=EPOCHS), **options)

    return page


def test_every_neuron_at_every_epoch_shows_the_engines_numbers(engine, page):
    page = page()
    for epoch, state in enumerate(engine.states):
        if epoch:
            page.keyboard.press("ArrowRight")
        check_state(page, state, epoch)
    page.locator(".neuron").nth(0).click()
    for epoch in (EPOCHS, 0):
        page.keyboard.press("Home" if epoch == 0 else "End")
        for layer, names in enumerate(NAMES[:3]):
            for index in range(len(names)):
                page.locator(".neuron").nth(sum(map(len, NAMES[:layer])) + index).hover()
                check_state(page, engine.states[epoch], epoch, layer, index)
    page.locator("h1").hover()
    check_state(page, engine.states[0], 0, 0, 0)  # what was clicked stays chosen
    page.locator("#show-grads").click()
    page.locator(".neuron").nth(5).hover()
    check_state(page, engine.states[0], 0, 1, 3, "grads")


def test_every_control(engine, page):
    page = page()
    states = engine.states
    for button, epoch in (
        ("next", 1),
        ("next", 2),
        ("back", 1),
        ("end", EPOCHS),
        ("next", EPOCHS),
        ("reset", 0),
    ):
        page.click(f"#{button}", force=True)  # at an end it can be clicked, and does nothing
        check_state(page, states[epoch], epoch)
    page.locator("#slider").fill("4")
    check_state(page, states[4], 4)
    assert page.get_attribute("#slider", "aria-valuetext") == (
        f"Epoch 4 of {EPOCHS}: loss {write(states[4].loss)}, "
        f"{states[4].right[0]} of 100 learned points right, {states[4].right[1]} of 100 others"
    )
    for chart in ("loss", "right", "norms"):
        box = page.locator(f"#{chart}-chart").bounding_box()
        page.locator(f"#{chart}-chart").click(position={"x": 60, "y": box["height"] / 2})
        check_state(page, states[0], 0)
        page.keyboard.press("End")
    page.select_option("#speed", "20")
    page.click("#play")
    page.locator(f"#epoch:text-is('{EPOCHS}')").wait_for()
    assert page.inner_text("#play") == "Play"
    check_state(page, states[-1], EPOCHS)
    shown_folds = "getComputedStyle(document.querySelector('.fold')).visibility"
    assert page.evaluate(shown_folds) == "visible"
    page.click("#folds")
    assert (page.evaluate(shown_folds), page.get_attribute("#folds", "aria-pressed")) == ("hidden", "false")
    page.click("#show-grads")
    assert page.get_attribute("#show-weights", "aria-pressed") == "false"
    page.click("#show-weights")
    assert page.get_attribute("#show-grads", "aria-pressed") == "false"


def test_neurons_by_keyboard(engine, page):
    page = page()
    page.locator("#show-grads").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "score"
    order = [(layer, index) for layer, names in enumerate(NAMES) for index in range(len(names))]
    for layer, index in order[-2::-1]:
        page.keyboard.press("ArrowUp")
        check_state(page, engine.states[0], 0, layer, index)
    page.keyboard.press("ArrowUp")  # there is none above
    check_state(page, engine.states[0], 0, 0, 0)
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")  # the focus has chosen it
    page.keyboard.press("ArrowRight")
    check_state(page, engine.states[1], 1, 1, 2)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == (
        f"neuron a3 of the first layer, on at {engine.states[1].on[0][2]} of 100 points"
    )
    page.keyboard.press("Escape")
    check_state(page, engine.states[1], 1)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.classList.contains('neuron')") is False


def test_a_finger_chooses_a_neuron_and_returns(engine, page):
    page = page(viewport={"width": 390, "height": 844}, has_touch=True, device_scale_factor=2)
    page.locator(".neuron").nth(12).tap()
    check_state(page, engine.states[0], 0, 2, 2)
    assert page.locator(".neuron").nth(12).get_attribute("aria-pressed") == "true"
    page.locator("#next").tap()
    check_state(page, engine.states[1], 1, 2, 2)
    page.locator(".neuron").nth(12).tap()
    check_state(page, engine.states[1], 1)
    page.evaluate("scrollTo(0, 1e6)")
    controls = page.evaluate("document.getElementById('controls').getBoundingClientRect().toJSON()")
    assert controls["top"] == 0  # within reach beside the charts


EDGES = """() => [...document.querySelectorAll('.edge')].map((path) =>
  [path.classList[1], parseFloat(path.style.strokeWidth)])"""


def test_lines_have_the_sign_and_the_size_of_their_weights(engine, page):
    page = page()
    for epoch, quantity in ((0, "weights"), (EPOCHS, "weights"), (EPOCHS, "grads")):
        page.keyboard.press("Home" if epoch == 0 else "End")
        page.click("#show-" + quantity)
        layers = getattr(engine.states[epoch], quantity)
        numbers = np.array([n[i] for layer in layers for i in range(len(layer[0]) - 1) for n in layer])
        signs, widths = zip(*page.evaluate(EDGES), strict=True)
        assert len(numbers) == len(signs) == 88
        assert list(signs) == ["plus" if n > 0 else "minus" if n < 0 else "none" for n in numbers]
        widths = np.array(widths)[np.abs(numbers).argsort()]
        assert (np.diff(widths) >= -0.011).all()
        assert 0.4 <= widths[0] < 0.6
        assert widths[-1] <= 7.0
        assert widths[-1] > 3.0 or quantity == "grads"


PIXELS = """(places) => {
  const field = document.getElementById('field');
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: field.width, height: field.height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(field, 0, 0);
  return places.map(([x, y]) => [...context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data]);
}"""


def test_the_plane_is_painted_by_the_scores_and_sharp(engine, page, pages):
    page = page(device_scale_factor=2)
    page.keyboard.press("End")
    size = page.evaluate("[field.width, field.clientWidth]")
    assert size[0] == pytest.approx(2 * size[1], abs=2)
    places = [((i + 0.5) / 12, (j + 0.5) / 8) for i in range(12) for j in range(8)]
    scores = [ask(engine.model, PLANE["left"] + WIDTH * x, PLANE["top"] - HEIGHT * y) for x, y in places]
    clear = 0
    for (red, _, blue, alpha), sums in zip(page.evaluate(PIXELS, places), scores, strict=True):
        assert alpha == 255
        if abs(sums[2][0]) > 0.5:
            clear += 1
            assert (blue > red) == (sums[2][0] > 0)
    assert clear > 60
    first = page.evaluate(PIXELS, places)
    page.locator(".neuron").nth(4).hover()  # a3: coloured where it is on
    ground = [252, 251, 248, 255]
    for pixel, sums in zip(page.evaluate(PIXELS, places), scores, strict=True):
        if abs(sums[0][2]) > 0.05:
            assert (pixel != ground) == (sums[0][2] > 0)
    page.locator("h1").hover()
    assert page.evaluate(PIXELS, places) == first
    page.emulate_media(color_scheme="dark")
    page.evaluate(pages.SETTLE)
    assert page.evaluate(PIXELS, places) != first


def test_nothing_jumps_from_neuron_to_neuron(page):
    page = page()
    parts = "[...document.querySelectorAll('.card, #controls')]"
    read = f"JSON.stringify({parts}.map((part) => [part.offsetTop, part.offsetHeight]))"
    places = set()
    for key in ("Home", "End"):
        page.keyboard.press(key)
        for neuron in range(19):
            page.locator(".neuron").nth(neuron).hover()
            places.add(page.evaluate(read))
    assert len(places) == 1
