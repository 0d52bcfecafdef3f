"""The page, in a real browser: what stands where, in which colours, at which width, and as which text."""

import re
import sys

import pytest

import viz
from micro import Value
from micro.stepper import step
from micro.text import shorten

# Texts that a page could take for its own: ends of scripts, tags, quotes, ends of lines.
HOSTILE = [
    "</script><script>document.title='owned'</script>",
    "<b>bold</b>",
    "\"'`${x}{{data}}&amp;&lt;",
    "a\u2028b\u2029c",
    "<!-- -->]]>",
    "Größe 学习率 🎓 \u05d0\u05d1",
    "\\u003c \\n",
]


def test_labels_are_shown_as_themselves(pages, page_of):
    out = Value(1.0)
    for text in HOSTILE:
        out = out * Value(2.0, label=text)
    out.label = "".join(HOSTILE)
    page = page_of(out, "#step=23", viewport={"width": 390, "height": 844})
    stepper = step(out)
    pages.check_state(page, stepper, 23)
    title = shorten(out.label + ", step by step", 120)
    assert page.evaluate("document.querySelector('title').textContent") == title
    assert page.evaluate("document.querySelector('h1').textContent") == title
    boxes = page.evaluate("[...document.querySelectorAll('.node title')].map((t) => t.textContent)")
    rows = page.evaluate("[...document.querySelectorAll('#rows button')].map((t) => t.textContent)")
    assert boxes == rows == [f"{n.name}: {shorten(n.label)}" if n.label else n.name for n in stepper.nodes]
    assert set(HOSTILE) <= {node.label for node in stepper.nodes}
    assert page.evaluate("document.scripts.length") == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


PLACES = """() => JSON.stringify(['stage', 'controls', 'panel', 'values'].map((id) => {
  const r = document.getElementById(id).getBoundingClientRect();
  return [r.x, r.y + scrollY, r.width, r.height].map(Math.round);
}))"""


@pytest.mark.parametrize(("make", "height"), [("neuron", 844), ("mlp_loss", 3000)])
def test_no_page_scrolls_sideways_and_nothing_jumps(pages, page_of, make, height):
    page = page_of(getattr(pages, make)())
    last = int(page.get_attribute("#slider", "max"))
    for width in (320, 390, 1280):
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate(
            "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
        )  # it has noticed
        page.keyboard.press("Home")
        places = {"backward": set(), "": set()}
        for _ in range(last + 1):
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            places[page.get_attribute("#panel", "class") or ""].add(page.evaluate(PLACES))
            page.keyboard.press("n")
        assert [len(found) for found in places.values()] == [1, 1], places
        if width == 1280:  # with the table beside it, nothing moves at all
            assert places["backward"] == places[""]


def test_on_a_phone_the_table_and_the_controls_are_near(pages, page_of):
    page = page_of(pages.mlp_loss(), "#step=15", viewport={"width": 390, "height": 844})
    page.keyboard.press("End")
    read = "(id) => document.getElementById(id).getBoundingClientRect().toJSON()"
    panel = page.evaluate(read, "panel")
    assert panel["height"] <= 0.56 * 844
    page.locator("#panel").focus()  # what does not fit into it is reached by the keyboard
    assert page.evaluate("document.activeElement.id") == "panel"
    page.evaluate("scrollTo(0, 1e6)")
    assert page.evaluate(read, "controls")["top"] == 0
    table = page.evaluate(read, "values")
    assert page.evaluate(read, "controls")["bottom"] < table["top"] + 100 < 844
    page.evaluate("scrollTo(0, 0)")
    page.keyboard.press("Home")  # before the backward pass the steps are short
    assert page.evaluate(read, "panel")["height"] < 0.4 * 844


def test_dark_and_light(pages, page_of):
    colours = []
    page = page_of(pages.neuron(), "#step=14")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colours.append(
            page.evaluate(
                "[['body', 'backgroundColor'], ['body', 'color'], ['.node .box', 'fill'], "
                "['.node text', 'fill'],"
                "['.node.active .box', 'fill'], ['.edge .local', 'fill'],"
                "['#values tr.active td', 'backgroundColor'],"
                "['.edge .arrow.positive', 'stroke'], ['.edge .arrow.negative', 'stroke']]"
                ".map(([s, p]) => getComputedStyle(document.querySelector(s))[p])"
            )
        )
    assert all(light != dark for light, dark in zip(*colours, strict=True))


def test_motion_and_print(pages, page_of):
    page = page_of(pages.example(), "#step=9")
    read = "getComputedStyle(document.querySelector('.edge.active .back')).animationName"
    assert page.evaluate(read) == "run"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(read) == "none"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.getElementById('controls')).display") == "none"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.emulate_media(media="screen")


def test_the_policy_of_the_page_forbids_the_network(pages, open_page, tmp_path):
    page = open_page(viz.page(pages.example(), tmp_path / "steps.html"))
    policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    source = (tmp_path / "steps.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[\w.]+\.\w+", source.replace("// ", ""))


def test_without_graphviz_boxes_stand_in_layers(pages, monkeypatch, page_of):
    def missing(*_):
        raise RuntimeError("no Graphviz")

    monkeypatch.setattr(sys.modules["viz.page"], "lay_out", missing)
    page = page_of(pages.neuron())
    assert "Graphviz" in page.inner_text("#note")
    boxes = page.evaluate(
        "[...document.querySelectorAll('.node .box')].map((b) => b.getBoundingClientRect().toJSON())"
    )
    for n, a in enumerate(boxes):
        for b in boxes[:n]:
            apart = a["right"] <= b["left"] or b["right"] <= a["left"]
            assert apart or a["bottom"] <= b["top"] or b["bottom"] <= a["top"]
    pages.check_state(page, step(pages.neuron()), 0)
