"""The page of a convolution, in a real browser: its numbers are the engine's, whichever way leads to them."""

import json
import re
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

import numpy as np
import pytest

import tensor
from tensor.data import digits
from tensor.nn import functional as F
from viz.demos import conv

READ = """() => {
  const all = (selector, read) => [...document.querySelectorAll(selector)].map(read);
  const board = (id) => ({
    titles: all(`#${id} .cells title`, (title) => title.textContent).filter(Boolean),
    texts: all(`#${id} .texts text:not(.ring)`, (text) => text.textContent),
    frame: all(`#${id} .frame`, (found) => ["x", "y", "width"].map((n) => found.getAttribute(n) / 20))[0],
    away: document.querySelector(`#${id} .frame`)?.classList.contains("away"),
  });
  const terms = (id) => all(`#${id} .term`, (term) => [...term.children].map((part) => part.textContent));
  const text = (id) => document.getElementById(id).textContent;
  return {
    left: board("left"), right: board("right"), w: board("mini-w"), x: board("mini-x"), gw: board("mini-gw"),
    first: terms("first"), second: terms("second"), headline: text("headline"),
    sum: text("why") + text("sum"), step: Number(document.getElementById("slider").value), live: text("live"),
    backward: document.getElementById("stage").classList.contains("backward"),
  };
}"""
STEP = "Number(document.getElementById('slider').value)"


def full(x):
    """Return a number as the page writes it where there is room: four decimals, none of them in vain."""
    text = f"{Decimal(float(x)).quantize(Decimal('0.0001'), ROUND_HALF_UP):f}"
    text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def brief(x):
    """Return a number as a cell has it."""
    if float(x).is_integer():
        return str(int(x))
    places = Decimal("0.1") if abs(x) < 10 else Decimal(1)
    return f"{Decimal(float(x)).quantize(places, ROUND_HALF_UP):f}"


@cache
def typical_digits():
    """Return of each digit the picture that is nearest to the mean of its kind."""
    images, labels = digits.generate(2500, 0)
    kinds = [images[labels == digit].astype(float) for digit in range(10)]
    return [kind[np.square(kind - kind.mean(0)).sum((1, 2)).argmin()] for kind in kinds]


class Engine:
    """This engine's convolution of a digit, and its gradients for a loss over the first outputs alone."""

    def __init__(self, weights, digit=3, size=14, stride=1, padding=0, loss="squares"):
        image = tensor.tensor(typical_digits()[digit])
        picture = F.avg_pool2d(image[None, None], 28 // size)
        self.x = (picture * 9 / 255).round().requires_grad_()
        self.w = tensor.tensor(weights).double()[None, None].requires_grad_()
        self.k, self.size, self.stride, self.padding, self.loss = len(weights), size, stride, padding, loss
        self.y = self.convolve().detach()
        self.out = self.y.shape[-1]
        self.count = self.out**2
        index = tensor.arange(1, size**2 + 1).double().reshape(self.x.shape)
        self.pixels, places = (
            F.unfold(picture, self.k, stride=stride, padding=padding)[0].T.tolist()
            for picture in (self.x.detach(), index)
        )
        self.places = [[int(n) - 1 for n in place] for place in places]

    def convolve(self):
        return F.conv2d(self.x, self.w, stride=self.stride, padding=self.padding)

    def gradients(self, cells):
        """Return the loss, and the gradients of y, x and w, of the loss over the first `cells` outputs."""
        self.x.grad = self.w.grad = None
        y = self.convolve()
        y.retain_grad()
        mask = (tensor.arange(self.count) < cells).reshape(1, 1, self.out, self.out)
        each = y
        if self.loss == "squares":
            middle = F.unfold(self.x, self.k, stride=self.stride, padding=self.padding)
            each = 0.5 * (y - middle[:, self.k**2 // 2].detach().reshape(y.shape)) ** 2
        elif self.loss == "pixel":
            each = y * (tensor.arange(self.count) == self.y.abs().argmax()).reshape(y.shape)
        loss = (each * mask).sum()
        loss.backward()
        return loss.item(), *(found.grad.flatten().tolist() for found in (y, self.x, self.w))

    def window(self, cell):
        """Return what lies under the weights at an output: pixels, and the index of each, or -1."""
        return self.pixels[cell], self.places[cell]


def check_board(board, values, known=None):
    """Compare the cells of a board; `known` says which of them are computed."""
    known = [True] * len(values) if known is None else list(known)
    side = round(len(values) ** 0.5)
    wanted = [
        full(value) if there else "not computed yet" for value, there in zip(values, known, strict=True)
    ]
    places = [f"row {n // side + 1}, column {n % side + 1}" for n in range(len(values))]
    assert board["titles"] == [f"{place}: {text}" for place, text in zip(places, wanted, strict=True)]
    assert len(board["texts"]) == len(values)
    return wanted


def check_state(page, engine, step):
    """Compare all that the page shows at a step with the engine."""
    seen = page.evaluate(READ)
    assert seen["step"] == step
    count = engine.count
    weights = engine.w.detach().flatten().tolist()
    if engine.k == 5:
        check_board(seen["w"], weights)
    else:  # where there is room for all of a weight
        assert seen["w"]["texts"] == [full(weight) for weight in weights]
    backward = step > count
    assert seen["backward"] == backward
    cell = step - count - 2 if backward else step - 1
    row, column = divmod(max(cell, 0), engine.out)
    frame = [column * engine.stride - engine.padding, row * engine.stride - engine.padding, engine.k]
    pixels, where = engine.window(max(cell, 0))
    if not backward:
        y = engine.y.flatten().tolist()
        check_board(seen["left"], engine.x.detach().flatten().tolist())
        known = [n <= cell for n in range(count)]
        check_board(seen["right"], y, known)
        assert seen["left"]["frame"] == frame
        if cell < 0:
            assert [term[2] for term in seen["first"]] == ["·"] * engine.k**2
            return seen
        products = [pixel * weight for pixel, weight in zip(pixels, weights, strict=True)]
        assert seen["first"] == [
            [full(pixel), f"× {full(weight)}", full(pixel * weight), "padding" if n < 0 else ""]
            for pixel, weight, n in zip(pixels, weights, where, strict=True)
        ]
        assert sum(products) == y[cell]
        assert full(y[cell]) in seen["headline"].split()
        if any(products):
            terms, _, result = seen["sum"].rpartition(" = ")
            assert result == full(y[cell])
            numbers = [Decimal(number) for number in terms.replace("- ", "-").replace("+ ", "").split()]
            assert numbers == [Decimal(full(product)) for product in products if product]
        else:
            assert seen["sum"] == "Every product is 0, and so is their sum."
        return seen
    loss, gy, _, _ = engine.gradients(count)
    check_board(seen["right"], gy)
    check_board(seen["x"], engine.x.detach().flatten().tolist())
    if cell < 0:
        assert seen["headline"] == f"The loss L is {full(loss)}"
        assert {text.split(": ")[1] for text in seen["left"]["titles"]} == {"not computed yet"}
        assert {text.split(": ")[1] for text in seen["gw"]["titles"]} == {"not computed yet"}
        assert seen["left"]["away"]
        return seen
    _, _, gx, gw = engine.gradients(cell + 1)  # of a loss over the outputs so far: what the page has added up
    reached = [cell == count - 1] * engine.size**2
    for done in range(cell + 1):
        for n in engine.window(done)[1]:
            if n >= 0:
                reached[n] = True
    check_board(seen["left"], gx, reached)
    check_board(seen["gw"], gw)
    assert seen["left"]["frame"] == seen["x"]["frame"] == frame
    total, times = (full, "× ") if engine.k == 3 else (brief, "")
    g = gy[cell]
    assert seen["first"] == [
        [full(g), times + full(w), full(g * w), "padding" if n < 0 else f"→ {total(gx[n])}"]
        for w, n in zip(weights, where, strict=True)
    ]
    assert seen["second"] == [
        [full(g), times + full(pixel), full(g * pixel), f"→ {total(gw[n])}"] for n, pixel in enumerate(pixels)
    ]
    numbers = re.findall(r"-?[\d.]+(?= here)", seen["sum"])
    assert numbers == [full(g)]
    assert ("to the last bit" in seen["sum"]) == (cell == count - 1)
    assert "NOT" not in seen["sum"]
    return seen


@pytest.fixture(scope="module")
def learned(demo_page):
    """Return the weights of the last kernel, which no table holds, from the page's data."""
    text = demo_page("conv").read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])
    return (np.array([int(n) for n in data["kernels"][-1]["weights"].split()]) / 16).reshape(5, 5).tolist()


def weights_of(kernel, learned):
    return conv.KERNELS[kernel].weights if kernel < len(conv.KERNELS) else learned


CHOICES = ("digit", "kernel", "size", "stride", "padding", "loss")


def choose(page, **choices):
    for name, index in choices.items():
        page.locator(f"#{name}").select_option(index=index)


@pytest.mark.parametrize(
    ("digit", "kernel", "size", "stride", "padding", "loss"),
    [(3, 0, 14, 1, 0, 2), (0, 1, 14, 2, 1, 1), (8, 2, 14, 1, 1, 2), (4, 3, 28, 2, 0, 0), (9, 5, 14, 2, 1, 2)],
)  # fmt: skip
def test_every_number_is_the_engines(open_demo, learned, digit, kernel, size, stride, padding, loss):
    engine = Engine(weights_of(kernel, learned), digit, size, stride, padding, conv.LOSSES[loss][0])
    page = open_demo("conv")
    choose(page, digit=digit, kernel=kernel, size=conv.SIZES.index(size), stride=stride - 1, padding=padding)
    choose(page, loss=loss)
    count = engine.count
    strongest = int(engine.y.abs().argmax())
    for step in (0, strongest + 1, count, count + 1, count + 2, count + 2 + strongest, 2 * count + 1):
        page.locator("#slider").fill(str(step))
        check_state(page, engine, step)


def test_it_opens_where_there_is_something_to_see(open_demo):
    engine = Engine(conv.KERNELS[0].weights)
    page = open_demo("conv")
    step = page.evaluate(STEP)
    seen = check_state(page, engine, step)
    assert full(engine.y.flatten()[step - 1]) == full(engine.y.min()) or step - 1 == engine.y.abs().argmax()
    assert "= " in seen["sum"]


def test_buttons_keys_and_rows(open_demo):
    page = open_demo("conv", "#step=0")
    for name, wanted in [
        ("Next", 1), ("Next", 2), ("Back", 1), ("Row on", 12), ("Row on", 24), ("Next", 25),
        ("Row back", 24), ("Row back", 12), ("Row back", 0), ("Row back", 0), ("Backward", 145),
        ("Row on", 157), ("Row back", 145), ("Row back", 144), ("Row on", 145), ("End", 289), ("Row on", 289),
        ("Row back", 277), ("Forward", 132), ("Forward", 132), ("Backward", 145), ("Forward", 144),
        ("Reset", 0),
    ]:  # fmt: skip
        page.get_by_role("button", name=name, exact=True).click()
        assert page.evaluate(STEP) == wanted, name
    page.evaluate("document.activeElement.blur()")
    for key, wanted in [
        ("n", 1), ("ArrowRight", 2), ("Shift+ArrowRight", 12), ("Shift+ArrowLeft", 0), ("End", 289),
        ("b", 288), ("Home", 0),
    ]:  # fmt: skip
        page.keyboard.press(key)
        assert page.evaluate(STEP) == wanted, key
    assert page.get_attribute("#forward", "aria-pressed") == "true"
    assert page.get_attribute("#backward", "aria-pressed") == "false"


CENTRE = """([id, row, column, cells, ring]) => {
  const box = document.querySelector(`#${id} .plot svg`).getBoundingClientRect();
  const at = (n) => (n + ring + 0.5) / (cells + 2 * ring);
  return [box.x + at(column) * box.width, box.y + at(row) * box.height];
}"""


def test_cells_lead_to_their_states(open_demo):
    page = open_demo("conv")
    at = lambda *place: page.evaluate(CENTRE, list(place))  # noqa: E731
    page.mouse.click(*at("right", 4, 7, 12, 0))
    assert page.evaluate(STEP) == 4 * 12 + 7 + 1
    page.mouse.click(*at("left", 2, 3, 14, 0))  # the window around this pixel
    assert page.evaluate(STEP) == 1 * 12 + 2 + 1
    page.mouse.move(*at("right", 0, 0, 12, 0))
    page.mouse.down()
    page.mouse.move(*at("right", 3, 3, 12, 0))
    assert page.evaluate(STEP) == 3 * 12 + 3 + 1
    page.mouse.move(*at("right", 11, 11, 12, 0))
    page.mouse.up()
    page.mouse.move(*at("right", 3, 3, 12, 0))
    assert page.evaluate(STEP) == 144
    page.locator("#backward").click()
    page.mouse.click(*at("right", 4, 7, 12, 0))
    assert page.evaluate(STEP) == 144 + 2 + 4 * 12 + 7
    choose(page, padding=1, stride=1)
    page.mouse.click(*at("left", 13, 13, 14, 1))
    assert page.evaluate(STEP) == 49 + 2 + 48
    page.mouse.click(*at("left", -1, -1, 14, 1))  # within the padding: the nearest there is
    assert page.evaluate(STEP) == 49 + 2


def test_arrows_move_the_window_over_the_output(open_demo):
    page = open_demo("conv", "#step=0")
    page.locator("#right .plot svg").focus()
    for key, cell in [
        ("ArrowDown", 0), ("ArrowDown", 12), ("ArrowRight", 13), ("ArrowUp", 1), ("ArrowUp", 1),
        ("ArrowLeft", 0), ("ArrowLeft", 0), ("Shift+ArrowRight", 11), ("ArrowRight", 11), ("ArrowDown", 23),
    ]:  # fmt: skip
        page.keyboard.press(key)
        assert page.evaluate(STEP) == cell + 1, key
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")  # the board is another one now, and has kept the focus
    assert page.evaluate(STEP) == 144 + 2 + 131
    heard = page.locator("#live").text_content()
    assert heard.startswith(
        "Step 277 of 289, backward: Back from row 11, column 12. dL/dy = y - t = 0 - 0 = 0"
    )


def test_a_finger(open_demo):
    page = open_demo("conv", viewport={"width": 390, "height": 844}, has_touch=True)
    page.touchscreen.tap(*page.evaluate(CENTRE, ["right", 6, 6, 12, 0]))
    assert page.evaluate(STEP) == 6 * 12 + 6 + 1
    page.locator("#next").tap()
    page.locator("#row-next").tap()
    assert page.evaluate(STEP) == 84
    page.locator("#backward").tap()
    page.locator("#next").tap()
    assert page.evaluate(STEP) == 146


def test_choices_keep_the_place(open_demo, learned):
    page = open_demo("conv")
    page.locator("#slider").fill(str(5 * 12 + 6 + 1))
    for choice, step in [
        ({"kernel": 3}, 67), ({"digit": 0}, 67), ({"padding": 1}, 6 * 14 + 7 + 1),
        ({"stride": 1}, 3 * 7 + 3 + 1),
    ]:  # fmt: skip
        choose(page, **choice)
        assert page.evaluate(STEP) == step, choice
    choose(page, loss=0)  # is seen where the gradients arrive
    assert page.evaluate(STEP) == 50
    choose(page, size=1)
    assert page.evaluate(STEP) == 14 * 14 + 1
    page.keyboard.press("Tab")
    page.locator("#end").click()
    choose(page, kernel=5)
    assert page.evaluate(STEP) == 2 * 13 * 13 + 1
    check_state(page, Engine(learned, 0, 28, 2, 1, "pixel"), 2 * 13 * 13 + 1)
    page.locator("#reset").click()
    choose(page, padding=0)
    assert page.evaluate(STEP) == 0


def test_playing_leaves_out_what_is_blank(open_demo):
    engine = Engine(conv.KERNELS[0].weights, loss="pixel")
    page = open_demo("conv")
    page.clock.install(time=0)
    page.reload()
    page.clock.pause_at(3_600_000)
    choose(page, loss=0)
    page.locator("#reset").click()
    page.locator("#play").click()
    seen = []
    for _ in range(3):
        page.clock.run_for(400)
        seen.append(page.evaluate(STEP))
    drawn = [cell + 1 for cell in range(144) if any(engine.window(cell)[0])]
    assert seen == drawn[:3]
    page.locator("#speed").select_option("20")
    page.clock.run_for(20 * (len(drawn) - 3))
    assert page.evaluate(STEP) == drawn[-1]
    page.clock.run_for(20)
    assert page.evaluate(STEP) == 145
    page.clock.run_for(20)  # one output alone has a gradient
    assert page.evaluate(STEP) == 146 + int(engine.y.abs().argmax())
    page.clock.run_for(40)
    assert page.evaluate(STEP) == 289
    assert page.inner_text("#play") == "Play"


def test_the_address(open_demo, pages):
    page = open_demo("conv", "#digit=7&kernel=blur&size=28&stride=2&padding=1&loss=sum&step=300")
    check_state(page, Engine(conv.KERNELS[2].weights, 7, 28, 2, 1, "sum"), 300)
    page.keyboard.press("n")
    address = "#digit=7&kernel=blur&size=28&stride=2&padding=1&loss=sum&step=301"
    page.wait_for_url(f"**{address}")
    page.reload()
    assert page.evaluate(STEP) == 301
    page.evaluate("location.hash = '#digit=77&kernel=<b>&size=&stride=3&step=-4'")
    # The page puts its own address in the place of one that means nothing; not after the next one came.
    pages.wait_until(page, "(address) => location.hash === address", address)
    assert page.evaluate(STEP) == 301
    page.evaluate("location.hash = '#step=999999'")
    pages.wait_until(page, "document.getElementById('slider').value === '393'")
