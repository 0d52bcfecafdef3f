"""What every page is made of: one file, data that no browser takes for anything else, legible colours."""

import json
import re

import pytest

from viz.document import escape_html, read_template, write_data, write_document


def test_data_cannot_end_its_element():
    data = {"text": "</script><!--<script>", "more": ["\u2028", "&amp;", "\ud800", "ä"], "number": 0.1}
    text = write_data(data)
    assert text.isascii()
    assert not re.search("[<>&]", text)
    assert json.loads(text) == data


def test_data_that_is_no_json_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_data({"number": float("nan")})


def test_a_hole_is_filled_once():
    parts = {"title": "{{drawing}}", "note": "{{nothing}}", "drawing": "<svg>{{note}}</svg>"}
    page = write_document(
        "page.html",
        ["page.css", "page.js"],
        parts["title"],
        {"a": "{{title}}"},
        note=parts["note"],
        drawing=parts["drawing"],
        controls="",
    )
    assert '<h1 class="name">{{drawing}}</h1>' in page
    assert "<svg>{{note}}</svg>" in page
    assert '{"a":"{{title}}"}' in page
    with pytest.raises(KeyError, match="note"):
        write_document("page.html", ["page.css", "page.js"], "title", {}, drawing="", controls="")


def test_escape_html():
    assert escape_html("<b>\"'&\0\ud800") == "&lt;b&gt;&quot;&#x27;&amp;\ufffd\ufffd"


def test_a_page_names_no_file_and_no_address():
    page = write_document("page.html", ["page.css", "page.js"], "title", {}, note="", drawing="", controls="")
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", page)
    assert "'sha256-" in page


# --- contrast --------------------------------------------------------------------------------------------


def themes():
    """Return the colours of base.css by theme."""
    text = read_template("base.css")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part))
        for part in text.split("@media print")[0].split("@media (prefers-color-scheme: dark)")
    )
    assert set(light) == set(dark)
    return {"light": light, "dark": dark}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(pages, theme):
    colours = themes()[theme]
    for ink in ("ink", "soft", "positive", "negative"):
        for ground in ("paper", "panel", "active", "receiving"):
            assert pages.contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert pages.contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert pages.contrast(colours["ink"], colours["line"]) >= 4.5  # an operation's symbol
    for slot in range(1, 7):  # a line's name has its colour
        for ground in ("paper", "panel"):
            assert pages.contrast(colours[f"series-{slot}"], colours[ground]) >= 4, slot
    for ground in ("paper", "panel"):  # what shows the focus
        assert pages.contrast(colours["accent"], colours[ground]) >= 3
