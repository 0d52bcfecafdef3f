"""The line chart of the pages: what it draws of any numbers, at any size."""

import re
from itertools import pairwise

import pytest

from viz.document import read_template

START = """
window.makeChart = (options) => {
  const read = ({ values, ...rest }) => ({ values: values.map(unpack), ...rest });
  window.picked = [];
  window.chart = lineChart(find("chart"), {
    xLabel: "step", yLabel: "loss", ...options, series: options.series.map(read),
    pick: options.pick ? (k) => picked.push(k) : null,
  });
};
"""


@pytest.fixture
def draw(open_page, tmp_path):
    """Return draw(series, **options): a page with the chart of (name, values) pairs."""
    path = tmp_path / "chart.html"
    style = "\n".join(map(read_template, ("base.css", "chart.css")))
    script = "\n".join(map(read_template, ("elements.js", "numbers.js", "chart.js")))
    path.write_text(
        f"<!DOCTYPE html><meta charset=utf-8><link rel=icon href='data:,'><style>{style}</style>"
        f"<main><svg id=chart></svg></main><script>{script}{START}</script>",
        encoding="utf-8",
    )

    def draw(series, viewport=(800, 600), **options):
        page = open_page(path, viewport={"width": viewport[0], "height": viewport[1]})
        lines = [{"name": name, "values": values, "slot": n + 1} for n, (name, values) in enumerate(series)]
        page.evaluate("(options) => makeChart(options)", {"series": lines, **options})
        page.wait_for_selector("#chart .axis", state="attached")
        return page

    return draw


def points(page, n=0):
    """Return the corners of line n in pixels."""
    d = page.locator("#chart .whole").nth(n).get_attribute("d")
    return [tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.]+) (-?[\d.]+)", d)]


def ticks(page, vertical):
    """Return (number, place) of the ticks of an axis."""
    read = "(all) => all.map((t) => [t.textContent, t.getAttribute('text-anchor'), t.x.baseVal[0].value,"
    all_ticks = page.eval_on_selector_all("#chart .tick", read + " t.y.baseVal[0].value])")
    anchor = "end" if vertical else "middle"
    return [(text, y if vertical else x) for text, kind, x, y in all_ticks if kind == anchor]


def test_a_line_goes_through_its_numbers_by_the_axes(draw):
    values = [5.0, -3.0, 12.5, 0.0, 7.25]
    page = draw([("one", values)])
    (low, low_y), *_, (high, high_y) = [(float(text), y) for text, y in ticks(page, True)]
    steps = dict(ticks(page, False))
    for k, ((x, y), value) in enumerate(zip(points(page), values, strict=True)):
        assert low + (y - low_y) / (high_y - low_y) * (high - low) == pytest.approx(value, abs=0.05)
        assert x == pytest.approx(steps[str(k)], abs=0.1)


def test_powers_of_ten(draw):
    page = draw([("one", [1e-5, 0.02, 1.0, 300.0, 1e6])], log=True)
    assert {text for text, _ in ticks(page, True)} <= {
        "10⁻⁵", "10⁻⁴", "10⁻³", "0.01", "0.1", "1", "10", "100", "1000", "10⁴", "10⁵", "10⁶",
    }  # fmt: skip
    by_text = dict(ticks(page, True))
    assert points(page)[2][1] == pytest.approx(by_text["1"], abs=0.1)


def test_what_is_not_finite_leaves_the_picture_or_a_gap(draw):
    page = draw([("one", [1.0, "nan", 2.0, "inf", "-inf", 1e300]), ("none", ["nan"] * 6)], limits=[0, 4])
    path = page.locator("#chart .whole").first.get_attribute("d")
    assert path.count("M") == 2
    assert not re.search("NaN|Infinity|e", path)
    assert page.locator("#chart .whole").nth(1).get_attribute("d") == ""
    page.evaluate("chart.mark(1)")  # nothing is there
    assert page.locator("#chart .point").first.get_attribute("visibility") == "hidden"
    page.evaluate("chart.mark(2)")
    assert page.locator("#chart .point").first.get_attribute("visibility") == "visible"


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [3.0, 3.0], [], ["nan"], [-5.0, -5.0], [1e-12, 2e-12]])
@pytest.mark.parametrize("log", [False, True])
def test_no_numbers_are_too_few(draw, values, log):
    page = draw([("one", values)], log=log)
    assert not re.search("NaN|Infinity", page.inner_html("#chart"))
    assert len(ticks(page, True)) > 1


def test_a_logarithmic_axis_has_numbers_whatever_it_spans(draw):
    for values, expected in [
        ([0.3, 0.7], {"0.3", "0.4", "0.5", "0.6", "0.7"}), ([0.69, 0.7], {"0.69", "0.7"}),
        ([0.4, 3.0], {"0.5", "1", "2"}), ([2e-7, 9e-7], {"2e-7", "5e-7"}),
    ]:  # fmt: skip
        page = draw([("one", values)], log=True)
        assert len({text for text, _ in ticks(page, True)} & expected) > 1


def test_names_stand_apart_within_the_picture(draw):
    page = draw(
        [(f"series {n}", [1.0, 1.0 + n * 1e-3]) for n in range(6)], viewport=(390, 600), limits=[0, 1.1]
    )
    boxes = page.eval_on_selector_all(
        "#chart .name", "(all) => all.map((t) => t.getBoundingClientRect().toJSON())"
    )
    outer = page.locator("#chart").bounding_box()
    assert len(boxes) == 6
    boxes.sort(key=lambda box: box["top"])
    for one, two in pairwise(boxes):
        assert two["top"] >= one["top"] + 12
    assert boxes[0]["top"] >= outer["y"]
    assert all(box["right"] <= outer["x"] + outer["width"] for box in boxes)


def test_the_mark_moves_the_past_goes_with_it_and_a_click_picks(draw):
    page = draw([("one", [float(n) for n in range(11)])], pick=True)
    steps = dict(ticks(page, False))
    for k in (0, 3, 10):
        page.evaluate(f"chart.mark({k})")
        now = page.locator("#chart .now").get_attribute("x1")
        assert float(now) == pytest.approx(steps.get(str(k), float(now)), abs=0.2)
        clip = page.eval_on_selector_all(
            "#chart clipPath rect", "(r) => r[1].x.baseVal.value + r[1].width.baseVal.value"
        )
        assert clip == pytest.approx(float(now), abs=0.2)
    box = page.locator("#chart").bounding_box()
    page.mouse.move(box["x"] + steps["4"] + 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + steps["8"] - 2, box["y"] + 60)
    page.mouse.up()
    page.mouse.move(box["x"] + steps["2"], box["y"] + 60)  # with no button down
    assert page.evaluate("picked") == [4, 8]


def test_it_is_drawn_anew_for_another_size_or_other_numbers(draw, pages):
    page = draw([("one", [1.0, 2.0, 3.0])])
    wide = points(page)
    page.set_viewport_size({"width": 390, "height": 600})
    page.evaluate(pages.SETTLE)
    assert points(page)[-1][0] < wide[-1][0] - 300
    page.evaluate("chart.update([{ name: 'two', values: [1, 2, 3, 4, 5], slot: 2 }])")
    assert len(points(page)) == 5
    assert page.locator("#chart").get_attribute("role") == "img"
