"""DOT text: escaping, and what each kind of node looks like.

Text is joined here and not by `graphviz.Digraph.node`: that costs six times as much, and escapes no record
labels.
"""

import re

# A form says the kind twice, by outline and by colour: it is read in black and white too. The fills are light
# tints of a palette that no common colour blindness confuses; dark ink stands on each.
INK = "#1f2328"
LINE = "#57606a"
FILL = {
    "input": "#dceefb",
    "parameter": "#fde8cb",
    "constant": "#eeeeee",
    "output": "#d5f1e6",
    "op": "#fdf6c4",
}

FORM = {
    "input": {"fillcolor": FILL["input"]},
    "parameter": {"shape": "Mrecord", "fillcolor": FILL["parameter"]},
    "constant": {"style": "filled,dashed", "fillcolor": FILL["constant"]},
    "operation": {},
    "output": {"fillcolor": FILL["output"], "penwidth": "2.5"},
    "op": {"shape": "oval", "fillcolor": FILL["op"], "margin": "0.08,0.04", "width": "0.6"},
    "module": {"fillcolor": "#ece6f6"},
    "rest": {"shape": "plaintext", "style": "", "width": "0.3", "height": "0.2", "fontcolor": LINE},
}
"""What the attributes of a node say of its kind: where it came from, and the oval of the operation itself."""

GRAPH = {"bgcolor": "white", "ordering": "in", "pad": "0.2", "nodesep": "0.25", "ranksep": "0.3"}
# Both themes of a page show the picture: it brings its own background and dark ink.
# Inputs stand in their order, since `a - b` is not `b - a`.
NODE = {
    "shape": "record",
    "style": "filled",
    "fillcolor": "white",
    "color": LINE,
    "fontcolor": INK,
    "fontname": "Helvetica,Arial,sans-serif",
    "fontsize": "12",
    "height": "0.4",
}
EDGE = {"color": LINE, "fontcolor": INK, "fontname": NODE["fontname"], "fontsize": "10", "arrowsize": "0.7"}

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_FIELD_CHARACTERS = re.compile(r"([{}|<>])")
_PLAIN = re.compile(r"[\w .,()\[\]·+*-]*", re.ASCII)


def printable(text: str) -> str:
    """Return `text` without the characters that an SVG may not hold, such as NUL."""
    return _UNPRINTABLE.sub("\ufffd", text)


def escape(text: str) -> str:
    """Return `text` so that Graphviz draws these very characters in the label of an ordinary node."""
    text = printable(text).replace("\\", "\\\\").replace("&", "&amp;")
    return text.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n").replace("\t", " ")


def escape_field(text: str) -> str:
    """Return `text` so that Graphviz draws these very characters in one field of a record."""
    if _PLAIN.fullmatch(text):
        return text
    return _FIELD_CHARACTERS.sub(r"\\\1", escape(text))


def quote(text: str) -> str:
    """Return escaped `text` as a DOT string. Within quotes a `<...>` is no HTML."""
    return '"' + text.replace('"', '\\"') + '"'


def attributes(style: dict[str, str]) -> str:
    """Return attributes as they stand within the brackets of a DOT statement; their values are escaped."""
    return " ".join(f"{name}={quote(value)}" for name, value in style.items())


_WORD = {"+": "add", "-": "sub", "*": "mul", "/": "div", "@": "matmul", "**": "pow"}


def class_of(op: str) -> str:
    """Return the class of an operation's oval in the SVG: `op-relu`, `op-add`, `op-pow` for `**2`."""
    word = _WORD.get(op) or ("pow" if op.startswith("**") else re.sub(r"\W+", "-", op).strip("-").lower())
    return f"op-{word}" if word else "op-other"
