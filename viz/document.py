"""Write a page as one file: style, script and data stand within it, and it asks nothing of a network.

A page is made of templates in `viz/templates`: HTML for its body, CSS and a script. `base.css` comes first in
every page: its colours, in light and in dark, and its typography. A policy in the head lets the browser run
the script of this very text alone and fetch nothing.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from viz.dot import printable

__all__ = ["escape_html", "fill_template", "read_template", "write_document"]

_HOLE = re.compile(r"\{\{(\w+)\}\}")
_IN_SCRIPTS = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}

_DOCUMENT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{policy}}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{title}}</title>
<link rel="icon" href="data:,">
<style>{{style}}</style>
</head>
<body>
{{body}}
<script type="application/json" id="data">{{data}}</script>
<script>{{script}}</script>
</body>
</html>
"""


def write_document(body: str, parts: Sequence[str], title: str, data: Any, **holes: str) -> str:
    """Return a whole page.

    Args:
        body: the template of what stands in it, such as "page.html".
        parts: templates of its style, after base.css, and of its script, each kind in order: "page.css",
            "page.js". The scripts are one: what one of them names, the others know, and nobody else.
        title: any text; it is escaped.
        data: what the script finds as JSON in the element with the id `data`.
        holes: HTML for each `{{hole}}` of the body, put in as it is; `{{title}}` is the escaped title.

    Raises:
        KeyError: a hole that nothing fills.
    """
    styles = [read_template(part) for part in ("base.css", *parts) if part.endswith(".css")]
    scripts = [read_template(part) for part in parts if part.endswith(".js")]
    style = "\n".join(styles)
    script = "\n".join(['"use strict";', "(() => {", *scripts, "})();", ""])
    title = escape_html(title)
    body = _fill(read_template(body), {"title": title, **holes})
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    filled = {"style": style, "script": script, "body": body, "data": write_data(data)}
    return _fill(_DOCUMENT, {"title": title, "policy": policy, **filled})


def read_template(name: str) -> str:
    """Return the text of a file in `viz/templates`, its lines ended by newlines."""
    text = (files("viz") / "templates" / name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")  # as browsers read it before they compare it with the policy


def fill_template(name: str, **holes: str) -> str:
    """Return a template that is a part of a page, such as "controls.html", with HTML in its holes.

    Raises:
        KeyError: a hole that nothing fills.
    """
    return _fill(read_template(name), holes)


def write_data(data: Any) -> str:
    """Return JSON that may stand within a script element: ASCII, and no text of it can end the element."""
    # A `<`, `>` or `&` can only stand within a string. NaN and infinities are no JSON: they come as text.
    return json.dumps(data, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPTS)


def escape_html(text: str) -> str:
    """Return `text` so that a browser shows these very characters, in an element or in an attribute."""
    return html.escape(printable(text))


def _fill(template: str, parts: Mapping[str, str]) -> str:
    # at once: what fills one hole is not searched for others
    return _HOLE.sub(lambda hole: parts[hole[1]], template)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
