"""The page of softmax: what the engine recorded, and what the browser computes beside the engine."""

import math
import re

import pytest

import tensor
from tensor.nn import functional
from viz.demos import DEMOS
from viz.demos.numbers import shown
from viz.demos.softmax import PRESETS, TEMPERATURES, record, run

# --- what the engine recorded -----------------------------------------------------------------------------


def by_definition(logits, target, temperature):
    """Return p, loss and gradient by their definitions, in sums without rounding."""
    scaled = [z / temperature for z in logits]
    top = max(scaled)
    exponentials = [math.exp(z - top) for z in scaled]
    total = math.fsum(exponentials)
    p = [e / total for e in exponentials]
    loss = math.log(total) + top - scaled[target]
    return p, loss, [(p_j - (j == target)) / temperature for j, p_j in enumerate(p)]


def test_the_recorded_cases_are_what_the_definitions_give():
    recording = record()
    assert recording["classes"] == [2, 3, 4, 5, 6]
    assert len(recording["cases"]) == len(PRESETS) * len(recording["classes"]) * len(TEMPERATURES)
    for case in recording["cases"]:
        p, loss, gradient = by_definition(case["logits"], case["target"], case["temperature"])
        assert case["p"] == pytest.approx(p, rel=1e-12, abs=1e-15)
        assert case["loss"] == pytest.approx(loss, rel=1e-12, abs=1e-12)
        assert case["gradient"] == pytest.approx(gradient, rel=1e-12, abs=1e-15)
        assert all(map(math.isfinite, (*case["p"], case["loss"], *case["gradient"])))


def test_the_engine_computes_in_float64():
    p = run([1 / 3, 0.1], 1, 0.7)["p"]
    assert p == pytest.approx(by_definition([1 / 3, 0.1], 1, 0.7)[0], rel=1e-15)
    assert p != [float(tensor.tensor(x, dtype=tensor.float32)) for x in p]


@pytest.fixture(scope="module")
def text():
    return DEMOS["softmax"].write()


@pytest.fixture(scope="module")
def file(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("softmax") / "softmax.html"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_page_is_small_and_always_the_same(text):
    assert DEMOS["softmax"].write() == text
    assert len(text.encode()) < 150_000
    assert "unsafe" not in text


# --- what the browser shows -------------------------------------------------------------------------------

READ = """() => {
  const texts = {};
  for (const named of document.querySelectorAll('[data-name]')) texts[named.dataset.name] = named.textContent;
  for (const id of ['loss', 'sum-p', 'sum-g', 'rate-shown', 'temperature-shown', 'verdict'])
    texts[id] = document.getElementById(id).textContent;
  const rows = [...document.querySelectorAll('#rows .row')];
  return {
    texts,
    logits: rows.map((row) => Number(row.querySelector('.track input').value)),
    fields: rows.map((row) => row.querySelector('input[type=number]').value),
    spoken: rows.map((row) => row.querySelector('.track input').getAttribute('aria-valuetext')),
    parts: rows.map((row) => [...row.querySelectorAll('.sum')].map((sum) => sum.textContent)),
    target: rows.findIndex((row) => row.querySelector('[name=target]').checked),
    temperature: Number(document.getElementById('temperature').value),
    step: Number(document.getElementById('slider').value),
  };
}"""


def agrees(text, value, noise=0.0):
    """Return whether `text` is `value` to all its digits; noise: what a difference of rounded numbers has."""
    if text in ("inf", "-inf", "nan"):
        return text == shown(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text), text
    mantissa, _, exponent = text.partition("e")
    places = len(mantissa.partition(".")[2])
    exact = not places and not exponent and abs(float(text)) < 1000
    unit = 0.0 if exact else 10.0 ** (int(exponent or 0) - places)
    return abs(float(text) - value) <= 0.5001 * unit + 1e-13 * abs(value) + noise


NOISE = 1e-13


def engine(logits, target, temperature):
    """Return what this engine computes, stable and as written."""
    z = tensor.tensor(logits, dtype=tensor.float64, requires_grad=True)
    loss = functional.cross_entropy(z / temperature, tensor.tensor(target))
    loss.backward()
    scaled = z.detach() / temperature
    shifted = scaled - scaled.max()
    exponentials = scaled.exp()
    naive = exponentials / exponentials.sum()
    return {
        "p": functional.softmax(scaled, dim=0).tolist(), "loss": loss.item(), "gradient": z.grad.tolist(),
        "shifted": shifted.tolist(), "exp": shifted.exp().tolist(), "total": shifted.exp().sum().item(),
        "log-total": shifted.exp().sum().log().item(),
        "naive-exp": exponentials.tolist(), "naive-total": exponentials.sum().item(),
        "naive-p": naive.tolist(), "naive-loss": -naive[target].log().item(),
    }  # fmt: skip


def check(page):
    """Compare every number that the page shows with the engine's; return what the page shows."""
    seen = page.evaluate(READ)
    expected = engine(seen["logits"], seen["target"], seen["temperature"])
    texts = dict(seen["texts"])
    for j, z in enumerate(seen["logits"]):
        assert float(seen["fields"][j]) == pytest.approx(z, abs=5.0001e-5)
        assert agrees(texts.pop(f"p{j}"), expected["p"][j])
        noise = NOISE if j == seen["target"] else 0.0
        gradient = texts.pop(f"g{j}")
        assert agrees(gradient, expected["gradient"][j], noise)
        assert (
            seen["spoken"][j]
            == f"{shown(z)}; p {texts[f'stable-p{j}']}; gradient {gradient}; loss {texts['loss']}"
        )
        quotient, difference = seen["parts"][j]
        assert all(map(agrees, quotient.split(" / "), (expected["exp"][j], expected["total"])))
        minuend, subtrahend = re.fullmatch(r"\(?(\S+) − ([01])(?:\) / T)?", difference).groups()
        assert agrees(minuend, expected["p"][j])
        assert int(subtrahend) == (j == seen["target"])
        assert difference.endswith("/ T") == (seen["temperature"] != 1)
        assert agrees(texts.pop(f"stable-p{j}"), expected["p"][j])
        assert agrees(texts.pop(f"shifted{j}"), expected["shifted"][j])
        assert agrees(texts.pop(f"exp{j}"), expected["exp"][j])
        assert agrees(texts.pop(f"naive-exp{j}"), expected["naive-exp"][j])
        assert agrees(texts.pop(f"naive-p{j}"), expected["naive-p"][j])
    assert texts.pop("loss") == texts.pop("stable-loss") != ""
    assert agrees(seen["texts"]["loss"], expected["loss"], NOISE)
    assert agrees(texts.pop("p-true"), expected["p"][seen["target"]])
    assert agrees(texts.pop("log-total"), expected["log-total"])
    shifted = expected["shifted"][seen["target"]]
    assert agrees(texts.pop("shifted-true").strip("()"), shifted)
    assert agrees(texts.pop("total"), expected["total"])
    assert agrees(texts.pop("naive-total"), expected["naive-total"])
    assert agrees(texts.pop("naive-loss"), expected["naive-loss"], NOISE)
    assert (texts.pop("sum-p"), texts.pop("sum-g")) == ("1", "0")
    assert float(texts.pop("temperature-shown")) == seen["temperature"]
    broken = any(text in ("inf", "nan") for text in seen["texts"].values())
    assert texts.pop("verdict").startswith("Here both sides agree") != broken
    texts.pop("rate-shown")
    assert not texts  # each number was compared
    return seen


def test_agrees():
    assert agrees("0.3333", 1 / 3)
    assert not agrees("0.3334", 1 / 3)
    assert agrees("-1.234e-7", -1.23449e-7)
    assert not agrees("-1.234e-7", -1.2346e-7)
    assert agrees("1", 1.0)
    assert not agrees("1", 0.9999)
    assert agrees("nan", math.nan)
    assert not agrees("inf", 1e300)


def test_presets_classes_targets_and_temperatures(file, open_page):
    page = open_page(file)
    assert "105 cases" in page.inner_text("#check")
    assert "agrees with it to 1e-12" in page.inner_text("#check")
    check(page)
    for name, (logits, target) in PRESETS.items():
        for count in ("6", "4"):
            page.select_option("#count", count)
            page.get_by_role("button", name=name, exact=True).click()
            seen = check(page)
            assert (seen["logits"], seen["target"]) == (list(logits[: int(count)]), target)
        page.get_by_role("radio", name="class 2 is true").check()
        assert check(page)["target"] == 2
        for temperature in ("0.1", "2.5", "1"):
            page.fill("#temperature", temperature)
            assert check(page)["temperature"] == float(temperature)
    page.select_option("#count", "2")  # the true class is gone
    assert check(page)["target"] == 1


def test_logits_far_beyond_what_exp_can_hold(file, open_page):
    page = open_page(file)
    exact = page.locator("#rows input[type=number]")
    for logits in (
        (1000, 0, -1000), (-1000, -1000, -1000), (1e6, 1e6, -1e6), (-1e6, 1e6, 1e6), (709, 709, 709),
        (0, 720, 360), (0, 40, 36.5), (30, 1e-3, -1e-9), (0, 5e-324, 1e-300), (0, 1e-20, 33),
        (-746, -747, -800),
    ):  # fmt: skip
        for j, z in enumerate(logits):
            exact.nth(j).fill(str(z))
        assert check(page)["logits"] == list(logits)
        for target in (2, 0):
            page.locator("[name=target]").nth(target).check()
            check(page)
    exact.first.fill("1e9")  # as far as it goes
    assert check(page)["logits"][0] == 1e6
    exact.first.fill("")
    exact.first.press("Tab")  # no number: taken back
    assert check(page)["fields"][0] == "1000000"
    exact.first.fill("")
    exact.first.press_sequentially("-1.23456")  # key by key
    assert (exact.first.input_value(), check(page)["logits"][0]) == ("-1.23456", -1.23456)
    exact.first.press("Enter")
    assert page.inner_text("#live").startswith("Step 0 of 60: p of class 0, the true one, is ")
    exact.first.blur()
    page.get_by_role("radio", name="class 1 is true").check()
    assert check(page)["fields"][0] == "-1.2346"


def test_adding_a_number_to_all_logits_changes_nothing_but_what_is_written(file, open_page):
    page = open_page(file)
    before = check(page)
    for _ in range(8):
        page.get_by_role("button", name="Add 100 to all").click()
        seen = check(page)
        for name in ("loss", "p0", "p1", "p2", "g0", "g1", "g2"):
            assert seen["texts"][name] == before["texts"][name]
    assert seen["logits"] == [z + 800 for z in before["logits"]]
    assert seen["texts"]["naive-loss"] == "nan"
    assert "nan" in seen["texts"]["verdict"]


def test_dragging_by_mouse_and_by_touch(file, open_page, pages):
    for touch in (False, True):
        page = open_page(file, has_touch=touch, viewport={"width": 390, "height": 844})
        slider = page.get_by_role("slider", name="logit of class 1")
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        assert box["height"] >= 40
        inner = box["width"] - 19.2  # the handle's middle goes from one of its halves to the other

        def place(z, box=box, inner=inner):
            return box["x"] + 9.6 + inner * (z + 10) / 20, box["y"] + box["height"] / 2

        if touch:
            session = page.context.new_cdp_session(page)

            def send(kind, z=None, session=session, place=place):
                points = [] if z is None else [dict(zip("xy", place(z), strict=True))]
                session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

            send("touchStart", 2.0)
            moved = [("touchMove", z) for z in (1.0, -4.0, 3.0, 7.0)]
        else:
            page.mouse.move(*place(2.0))
            page.mouse.down()
            moved = [(None, z) for z in (1.0, -4.0, 3.0, 7.0)]
        for kind, z in moved:
            send(kind, z) if kind else page.mouse.move(*place(z))
            pages.wait_until(
                page, "(z) => Math.abs(document.querySelectorAll('.track input')[1].value - z) < 0.15", z
            )
            seen = check(page)
            assert float(round(seen["logits"][1] * 20, 6)).is_integer()  # a grid
            assert (seen["logits"][0], seen["logits"][2]) == (1.5, 0.5)
        send("touchEnd") if touch else page.mouse.up()
        assert abs(check(page)["logits"][1] - 7.0) < 0.15


def test_the_keyboard_alone(file, open_page):
    page = open_page(file)
    slider = page.get_by_role("slider", name="logit of class 2")
    slider.focus()
    for key, z in [
        ("ArrowRight", 0.6), ("ArrowUp", 0.7), ("ArrowLeft", 0.6), ("ArrowDown", 0.5), ("PageUp", 1.5),
        ("PageDown", 0.5), ("End", 10), ("ArrowRight", 10), ("Home", -10), ("ArrowLeft", -10),
    ]:  # fmt: skip
        page.keyboard.press(key)
        seen = check(page)
        assert seen["logits"][2] == z, key
        assert seen["step"] == 0  # the player left the key to the slider
    page.locator("[name=target]").first.focus()
    page.keyboard.press("ArrowDown")
    assert check(page)["target"] == 1
    page.locator("#check").click()
    order = []
    for _ in range(60):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "(() => { const e = document.activeElement; const s = getComputedStyle(e);"
            "return [e.tagName, e.getAttribute('aria-label') || e.textContent || e.labels?.[0]?.textContent"
            " || '',"
            "s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2]; })()"
        )
        if found[0] == "BODY":
            break
        order.append(found)
    assert all(name and visible for _, name, visible in order), order
    names = [name.split(",")[0] for _, name, _ in order]
    for name in ("A first guess", "Add 100 to all", "logit of class 0", "logit of class 2", "Next", "Play"):
        assert name in names
    assert names.index("logit of class 0") < names.index("logit of class 1") < names.index("Reset")


def test_steps_of_descent_are_the_engines(file, open_page):
    page = open_page(file)
    page.get_by_role("button", name="Confident, wrong").click()
    page.fill("#rate", "2.5")
    page.fill("#temperature", "0.8")
    assert check(page)["texts"]["rate-shown"] == "2.5"
    z = tensor.tensor(check(page)["logits"], dtype=tensor.float64, requires_grad=True)
    optimizer = tensor.optim.SGD([z], lr=2.5)
    losses = []
    for k in range(61):
        loss = functional.cross_entropy(z / 0.8, tensor.tensor(0))
        losses.append(loss.item())
        if k in (1, 2, 3, 60):
            page.locator("#slider").fill("60") if k == 60 else page.keyboard.press("n")
            seen = check(page)
            assert seen["step"] == k
            assert seen["logits"] == pytest.approx(z.tolist(), abs=1e-9)
            assert page.inner_text("#live").startswith(f"Step {k} of 60: p of class 0, the true one, is ")
            assert page.inner_text("#live").endswith(f"the loss {seen['texts']['loss']}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses == sorted(losses, reverse=True)
    page.get_by_role("button", name="Reset").click()
    assert check(page)["logits"] == [-2.0, 6.0, -1.0]
    page.get_by_role("button", name="End").click()
    page.get_by_role("button", name="Back").click()
    assert check(page)["step"] == 59
    before = check(page)["logits"]
    page.get_by_role("slider", name="logit of class 0").press("ArrowRight")  # from here on anew
    after = check(page)
    assert after["step"] == 0
    assert after["logits"][1:] == before[1:]


def test_playing(file, open_page):
    page = open_page(file)
    page.clock.install(time=0)
    page.reload()
    page.clock.pause_at(3_600_000)
    page.keyboard.press(" ")
    page.clock.run_for(510)
    assert check(page)["step"] == 2
    page.get_by_role("slider", name="logit of class 0").fill("3")  # takes the logits in hand
    seen = check(page)
    page.clock.run_for(2000)
    assert check(page)["logits"] == seen["logits"]
    assert page.inner_text("#play") == "Play"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(file, open_page, scheme):
    page = open_page(file, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.select_option("#count", "6")
    for name in ("Hugely wrong", "A first guess"):
        page.get_by_role("button", name=name).click()
        for width in (320, 390, 768, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            low = page.evaluate(
                "[...document.querySelectorAll('button, select, [type=number], .track input, label.who')]"
                ".filter((e) => e.getBoundingClientRect().height < 40).map((e) => e.outerHTML)"
            )
            assert not low
    colours = page.evaluate(
        "['body', '#rows .row.true .bar', '#classes']"
        ".map((s) => getComputedStyle(document.querySelector(s)).backgroundColor)"
    )
    assert len(set(colours)) == 3
    assert (colours[0] == "rgb(255, 255, 255)") == (scheme == "light")
