"""The page of a convolution, in a real browser: what can be read, in which colours; nothing jumps."""

import pytest

SIZES = """() => [...document.querySelectorAll(".plot svg.numbered .texts")].map((group) => {
  const svg = group.ownerSVGElement;
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return parseFloat(getComputedStyle(group).fontSize) * scale;
})"""


@pytest.mark.parametrize("width", [390, 1280])
def test_numbers_are_large_enough_or_not_there(open_demo, width):
    page = open_demo("conv", viewport={"width": width, "height": 844})
    numbered = "[...document.querySelectorAll('.board svg')].map((svg) => svg.classList.contains('numbered'))"
    assert page.evaluate(numbered) == [width == 1280] * 2
    for larger in ("true", "false"):
        page.locator("#larger").click()
        assert page.get_attribute("#larger", "aria-pressed") == larger
        page.wait_for_timeout(50)
        if larger == "true":
            assert page.evaluate(numbered) == [True, True]
        for phase in ("backward", "forward"):
            page.locator(f"#{phase}").click()
            sizes = page.evaluate(SIZES)
            assert sizes
            assert min(sizes) >= 7.99
        assert page.evaluate("document.documentElement.scrollWidth") <= width


CONTRAST = """() => {
  const parse = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    return text.startsWith("color(") ? numbers.slice(0, 3) : numbers.slice(0, 3).map((n) => n / 255);
  };
  const light = (text) => {
    const [r, g, b] = parse(text).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const found = [];
  for (const svg of document.querySelectorAll(".plot svg.numbered")) {
    const rects = svg.querySelectorAll(".cells rect");
    svg.querySelectorAll(".texts text").forEach((text, n) => {
      if (!["ring", "missing"].includes(text.getAttribute("class")))
        found.push(contrast(getComputedStyle(text).fill, getComputedStyle(rects[n]).fill));
    });
  }
  for (const part of document.querySelectorAll(".term span:not(:empty)"))
    found.push(contrast(getComputedStyle(part).color, getComputedStyle(part.parentElement).backgroundColor));
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_stand_out_from_their_colours(open_demo, scheme):
    page = open_demo("conv", color_scheme=scheme)
    for phase in ("forward", "backward"):
        page.locator(f"#{phase}").click()
        page.locator("#slider").fill("200" if phase == "backward" else "144")
        found = page.evaluate(CONTRAST)
        assert len(found) > 300
        assert min(found) >= 4.5


def test_the_page_does_not_jump_while_it_plays(open_demo, pages):
    page = open_demo("conv")
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        page.evaluate(pages.SETTLE)
        for first, last in ((1, 144), (146, 288)):
            places = set()
            for step in range(first, last, 31):
                page.locator("#slider").fill(str(step))
                places.add(
                    page.evaluate(
                        "JSON.stringify(['left', 'panel', 'facts', 'first', 'right', 'words'].map((id) => {"
                        "const r = document.getElementById(id).getBoundingClientRect();"
                        "return [r.x, r.y + scrollY, r.width, r.height].map(Math.round); }))"
                    )
                )
            assert len(places) == 1, places
