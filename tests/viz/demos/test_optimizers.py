"""The optimizers' page: its walks are those of each optimizer alone, and it shows their very numbers."""

import json
import math
import re
from functools import cache

import numpy as np
import pytest

import tensor
from viz.demos.numbers import shown
from viz.demos.optimizers import OPTIMIZERS, RATES, walk
from viz.demos.surfaces import SURFACES

BY_HAND = {
    "rosenbrock": lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    "valley": lambda x, y: (x**2 + 25 * y**2) / 10,
    "saddle": lambda x, y: x**2 / 2 + (y**2 - 1) ** 2 / 4,
    "hollows": lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    "bumps": lambda x, y: (x**2 + y**2) / 10 + 1 - (math.cos(2 * x) + math.cos(2 * y)) / 2,
}

SETTINGS = {  # as a user writes them
    "SGD": lambda engine, p, lr: engine.optim.SGD([p], lr=lr),
    "momentum": lambda engine, p, lr: engine.optim.SGD([p], lr=lr, momentum=0.9),
    "RMSprop": lambda engine, p, lr: engine.optim.RMSprop([p], lr=lr),
    "Adam": lambda engine, p, lr: engine.optim.Adam([p], lr=lr),
}


@cache
def walks(number):
    """Return what the engine walks on a surface, run anew."""
    return walk(SURFACES[number])


def walk_alone(engine, surface, start, name, lr):
    """Return (steps + 1, 3): x, y and loss of one optimizer with one parameter, as in a textbook."""
    point = engine.tensor(surface.starts[start], dtype=engine.float64, requires_grad=True)
    optimizer = SETTINGS[name](engine, point, lr)
    rows = []
    for _ in range(surface.steps + 1):
        loss = surface.height(point[0], point[1])
        rows.append([*point.tolist(), loss.item()])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return np.array(rows)


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_a_surface_is_what_it_says(surface):
    for x, y in [*surface.starts, *surface.minima, (0.3, -0.7)]:
        point = tensor.tensor([x, y], dtype=tensor.float64, requires_grad=True)
        height = surface.height(point[0], point[1])
        assert height.item() == pytest.approx(BY_HAND[surface.name](x, y), rel=1e-12, abs=1e-12)
        height.backward()
        if (x, y) in surface.minima:
            assert height.item() == pytest.approx(0, abs=1e-9)
            assert point.grad.abs().max().item() < 1e-3
        assert surface.x[0] < x < surface.x[1]
        assert surface.y[0] < y < surface.y[1]
    assert (surface.x[1] - surface.x[0]) / (surface.y[1] - surface.y[0]) == pytest.approx(4 / 3)


@pytest.mark.parametrize("name", SETTINGS)
def test_each_goes_as_it_would_alone(engines, name):
    n = list(OPTIMIZERS).index(name)
    for number, r, start in [(0, 2, 0), (1, 5, 1), (2, 6, 0), (3, 3, 1), (4, 5, 1)]:
        paths, losses = walks(number)
        together = np.column_stack([paths[:, n, r, start], losses[:, n, r, start]])
        for engine in engines:
            alone = walk_alone(engine, SURFACES[number], start, name, RATES[r])
            if engine is tensor:
                np.testing.assert_array_equal(together, alone)
                continue
            usual = np.abs(alone).max(axis=1) < 1e9  # what diverges magnifies the last bit
            np.testing.assert_allclose(together[usual], alone[usual], rtol=1e-6, atol=1e-9)


@pytest.fixture(scope="module")
def recorded(demo_page):
    """Return the data within the page."""
    text = demo_page("optimizers").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_a_walk_is_recorded_to_its_end_or_to_where_it_is_lost(recorded):
    lost = 0
    for number, surface in enumerate(recorded["surfaces"]):
        paths, losses = walks(number)
        for start, optimizers in enumerate(surface["walks"]):
            for n, rates in enumerate(optimizers):
                for r, one in enumerate(rates):
                    every = np.column_stack([paths[:, n, r, start], losses[:, n, r, start]])
                    count = len(one["loss"])
                    assert len(one["x"]) == len(one["y"]) == count
                    whole = np.isfinite(every).all(axis=1)
                    assert whole[: count - 1].all()
                    assert count == len(every) if whole.all() else not whole[count - 1]
                    lost += not whole.all()
    assert lost > 10  # or the page would show nobody that diverges


def test_the_best_rate_leads_lowest_within_the_picture(recorded):
    for number, surface in enumerate(recorded["surfaces"]):
        paths, losses = walks(number)
        for start, best in enumerate(surface["best"]):
            for n, r in enumerate(best):
                x, y = paths[:, n, :, start, 0], paths[:, n, :, start, 1]
                (left, right), (bottom, top) = surface["x"], surface["y"]
                inside = ((x >= left) & (x <= right) & (y >= bottom) & (y <= top)).all(axis=0)
                assert inside[r]
                assert losses[-1, n, r, start] == losses[-1, n, inside, start].min()


# --- in a browser ------------------------------------------------------------------------------------------


def check_numbers(page, pages, number, start, chosen, k):
    """Compare all that the page says at step `k` with the engine's own walks."""
    surface = SURFACES[number]
    paths, losses = walks(number)
    said = []
    for n, (name, row) in enumerate(zip(OPTIMIZERS, pages.read_table(page, "#walkers"), strict=True)):
        path, loss = paths[:, n, chosen[n], start], losses[:, n, chosen[n], start]
        lost = ~(np.isfinite(loss) & np.isfinite(path).all(axis=1))
        gone = lost[:k].any()  # what came after the first that is not finite, nobody can follow
        x, y = ("–", "–") if gone else map(shown, path[k])
        fall = "diverged" if gone else shown(loss[k])
        assert row[0].startswith(name)
        assert row[1:] == [f"x {x}y {y}", fall], (surface.name, name, k)
        said.append(f"{name} {fall}")
    selected = page.eval_on_selector_all("#walkers select", "all => all.map((s) => Number(s.value))")
    assert selected == chosen
    assert page.inner_text("#step") == f"{k} of {surface.steps}"
    assert int(page.input_value("#slider")) == k
    text = f"Step {k} of {surface.steps}. Loss: {', '.join(said)}."
    assert page.get_attribute("#slider", "aria-valuetext") == text
    assert text in page.get_attribute("#map", "aria-label")


def go(page, k):
    page.locator("#slider").fill(str(k))


def test_every_surface_start_and_rate(pages, open_demo, recorded):
    page = open_demo("optimizers")
    check_numbers(page, pages, 0, 0, recorded["surfaces"][0]["best"][0], SURFACES[0].steps)
    for number, surface in enumerate(SURFACES):
        page.select_option("#surface", str(number))
        assert page.inner_text("#title").startswith(surface.title)
        assert surface.formula in page.inner_text("#title")
        assert page.inner_text("#lesson") == surface.lesson
        for start in range(len(surface.starts)):
            page.select_option("#start", str(start))
            page.select_option("#rates", "best")
            check_numbers(
                page, pages, number, start, recorded["surfaces"][number]["best"][start], surface.steps
            )
            for r in range(len(RATES)):
                page.select_option("#rates", str(r))
                go(page, (7 * r + 3) % surface.steps)
                check_numbers(page, pages, number, start, [r] * 4, (7 * r + 3) % surface.steps)
            page.keyboard.press("End")
            check_numbers(page, pages, number, start, [r] * 4, surface.steps)


def test_each_may_have_a_rate_of_its_own(pages, open_demo, recorded):
    page = open_demo("optimizers")
    chosen = list(recorded["surfaces"][0]["best"][0])
    assert page.input_value("#rates") == "best"
    for n, r in enumerate((3, 0, 6, 7)):
        page.locator("#walkers select").nth(n).select_option(str(r))
        chosen[n] = r
        check_numbers(page, pages, 0, 0, chosen, SURFACES[0].steps)
        assert page.input_value("#rates") == "own"
    page.select_option("#start", "1")  # which keeps them
    check_numbers(page, pages, 0, 1, chosen, SURFACES[0].steps)
    for n in range(4):
        page.locator("#walkers select").nth(n).select_option("2")
    assert page.input_value("#rates") == "2"
    page.select_option("#rates", "best")
    page.select_option("#start", "0")  # and the best stay the best
    check_numbers(page, pages, 0, 0, recorded["surfaces"][0]["best"][0], SURFACES[0].steps)


def test_steps_by_keys_buttons_and_the_chart(pages, open_demo):
    page = open_demo("optimizers")
    page.select_option("#surface", "3")
    page.select_option("#rates", "4")
    steps = SURFACES[3].steps
    page.locator("body").click(position={"x": 5, "y": 5})
    for key, k in [("Home", 0), ("ArrowRight", 1), ("n", 2), ("b", 1), ("End", steps), ("r", 0), ("b", 0)]:
        page.keyboard.press(key)
        check_numbers(page, pages, 3, 0, [4] * 4, k)
    for name, k in [("Next", 1), ("Next", 2), ("Back", 1), ("End", steps), ("Back", steps - 1), ("Reset", 0)]:
        page.get_by_role("button", name=name, exact=True).click()
        check_numbers(page, pages, 3, 0, [4] * 4, k)
    frame = page.locator("#losses .axis").last.bounding_box()
    page.mouse.click(frame["x"] + frame["width"] / 2, frame["y"] - 30)
    check_numbers(page, pages, 3, 0, [4] * 4, steps // 2)
    page.locator("#rates").focus()
    page.keyboard.press("End")  # the list has a use for this key itself
    check_numbers(page, pages, 3, 0, [len(RATES) - 1] * 4, steps // 2)


def test_playing(pages, open_demo):
    page = open_demo("optimizers")
    page.clock.install(time=0)
    page.reload()
    page.clock.pause_at(3_600_000)
    page.select_option("#surface", "1")
    page.locator("#play").click()  # from the end: anew
    assert page.inner_text("#step").startswith("0 ")
    page.clock.run_for(70 * 4)
    assert page.inner_text("#step").startswith("4 ")
    page.select_option("#rates", "5")  # a choice stops nothing
    page.clock.run_for(70)
    check_numbers(page, pages, 1, 0, [5] * 4, 5)
    page.keyboard.press("Escape")
    page.locator("#speed").select_option("20")  # faster than pictures: steps are left out
    page.clock.run_for(16 * 3)
    assert page.inner_text("#step").startswith("20 ")
    page.clock.run_for(5000)
    assert page.inner_text("#play") == "Play"
    check_numbers(page, pages, 1, 0, [5] * 4, SURFACES[1].steps)
    assert page.inner_text("#live").startswith(f"Step {SURFACES[1].steps} of")


HEADS = """() => [...document.querySelectorAll("#map .head")].map((head) => {
  const box = document.querySelector("#map .frame").getBBox();
  const [x, y] = head.getAttribute("transform").match(/-?[\\d.]+/g).map(Number);
  return [(x - box.x) / box.width, 1 - (y - box.y) / box.height, head.getAttribute("d").includes("l11")];
})"""


@pytest.mark.parametrize("width", [1280, 390])
def test_heads_stand_where_the_engine_says(open_demo, width):
    page = open_demo("optimizers", viewport={"width": width, "height": 844}, color_scheme="dark")
    page.select_option("#surface", "3")
    for r, k in [(3, 9), (3, 0), (4, 6), (4, 60)]:
        page.select_option("#rates", str(r))
        go(page, k)
        paths, losses = walks(3)
        surface = SURFACES[3]
        for n, (x, y, arrow) in enumerate(page.evaluate(HEADS)):
            path = paths[: k + 1, n, r, 0]
            finite = np.isfinite(path).all(axis=1) & np.isfinite(losses[: k + 1, n, r, 0])
            here = (path[finite][-1] - [surface.x[0], surface.y[0]]) / [12, 9]
            outside = bool(((here < 0) | (here > 1)).any())
            assert arrow == outside
            assert outside or (x, y) == pytest.approx(tuple(here), abs=0.004)
            assert -0.001 <= x <= 1.001
            assert -0.001 <= y <= 1.001


def test_labels_do_not_hide_each_other(pages, open_demo):
    page = open_demo("optimizers", viewport={"width": 390, "height": 844})
    for number, surface in enumerate(SURFACES):
        page.select_option("#surface", str(number))
        for k, rate in ((0, "best"), (5, "best"), (30, "0"), (40, "5"), (surface.steps, "best")):
            page.select_option("#rates", rate)
            go(page, k)
            boxes = page.evaluate(
                "[...document.querySelectorAll('#map .label')].map((e) => e.getBoundingClientRect().toJSON())"
            )
            for n, a in enumerate(boxes):
                for b in boxes[:n]:
                    apart = a["right"] <= b["left"] + 4 or b["right"] <= a["left"] + 4
                    assert apart or a["bottom"] <= b["top"] + 4 or b["bottom"] <= a["top"] + 4, (
                        number,
                        k,
                        rate,
                    )


def test_by_touch(pages, open_demo):
    page = open_demo("optimizers", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.select_option("#rates", "2")
    page.locator("#reset").tap()
    page.locator("#next").tap()
    check_numbers(page, pages, 0, 0, [2] * 4, 1)
    page.locator("#losses").scroll_into_view_if_needed()
    frame = page.locator("#losses .axis").last.bounding_box()
    page.touchscreen.tap(frame["x"] + frame["width"] / 4, frame["y"] - 40)
    check_numbers(page, pages, 0, 0, [2] * 4, SURFACES[0].steps // 4)
