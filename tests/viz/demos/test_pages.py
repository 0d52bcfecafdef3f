"""Every demo's page in a real browser: what all of them owe to a visitor, whatever they show."""

import json
import re

import pytest

from viz.demos import DEMOS

LARGEST = 1_500_000  # bytes of a page


@pytest.fixture(params=list(DEMOS))
def name(request):
    return request.param


def test_a_page_is_one_file_of_modest_size(name, demo_page):
    text = demo_page(name).read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)
    assert "style=" not in text.split("<script")[0]  # the policy forbids it
    assert not re.search(r"\{\{\w+\}\}", text)
    assert f"<title>{DEMOS[name].title}</title>" in text.replace("&amp;", "&")
    json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_the_same_command_writes_the_same_bytes(name, demo_page):
    assert DEMOS[name].write().encode() == demo_page(name).read_bytes()


def test_no_page_scrolls_sideways(name, pages, open_demo):
    page = open_demo(name, has_touch=True)
    for width in (1280, 390, 320):
        page.set_viewport_size({"width": width, "height": 844})
        page.evaluate(pages.SETTLE)
        assert page.evaluate(pages.WIDTH) <= width
        page.keyboard.press("End")
        assert page.evaluate(pages.WIDTH) <= width
    page.evaluate("document.documentElement.style.fontSize = '200%'")  # zoomed text
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        page.evaluate(pages.SETTLE)
        assert page.evaluate(pages.WIDTH) <= width


def test_what_is_touched_is_labelled_and_large_enough(name, pages, open_demo):
    page = open_demo(name, viewport={"width": 390, "height": 844}, has_touch=True)
    controls = page.evaluate(pages.CONTROLS)
    assert controls
    for control in controls:
        assert control["label"], control
        if control["type"] != "range" and control["tag"] in ("BUTTON", "SELECT", "SUMMARY", "INPUT"):
            assert control["height"] >= 39.5, control


def test_the_focus_is_seen_at_every_stop(name, pages, open_demo):
    page = open_demo(name)
    stops = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            "(() => { const e = document.activeElement; const style = getComputedStyle(e);"
            " return e === document.body ? null : [e.id || e.outerHTML.slice(0, 80),"
            " parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== 'none']; })()"
        )
        if seen is None or seen in stops:
            break
        stops.append(seen)
    assert stops
    assert all(shown for _, shown in stops), stops


def test_dark_and_light_differ(name, open_demo):
    page = open_demo(name)
    seen = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        seen.append(page.screenshot())
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(15, 19, 24)")
    assert seen[0] != seen[1]


def test_a_page_has_a_headline_a_sentence_and_says_what_changes(name, open_demo):
    page = open_demo(name, reduced_motion="reduce")
    assert page.locator("h1").count() == 1
    assert page.inner_text("h1") == DEMOS[name].title
    assert page.locator(".lead").count() == 1
    assert len(page.inner_text(".lead")) < 320
    live = page.locator("[aria-live=polite]")
    assert live.count() >= 1


SEEN = """() => [
  ...[...document.querySelectorAll("input, select")].filter((element) => element.id !== "speed")
    .map((element) => (element.type === "radio" ? element.checked : element.value)),
  ...[...document.querySelectorAll("main > :not(#live)")].map((element) => element.innerText),
]"""
USE = """() => {
  const selects = [...document.querySelectorAll("select")].filter((element) => element.id !== "speed");
  for (const element of [...selects.slice(-1), document.getElementById("slider")]) {
    element.value = element.tagName === "SELECT" ? element.options[element.options.length - 1].value : 9;
    element.dispatchEvent(new Event("input", { bubbles: true }));
    element.dispatchEvent(new Event("change", { bubbles: true }));
  }
}"""


def test_back_at_a_page_its_controls_say_what_it_shows(name, open_demo):
    page = open_demo(name)
    fresh = page.evaluate(SEEN)
    page.evaluate(USE)
    page.wait_for_timeout(300)  # its address may follow what was chosen
    used = page.evaluate(SEEN)
    assert used != fresh
    page.goto("about:blank")
    page.go_back()
    page.wait_for_timeout(100)
    assert page.evaluate(SEEN) in (fresh, used)
