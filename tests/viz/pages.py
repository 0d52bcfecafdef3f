"""What the tests of the page share: computations, what a page shows, and what the engine says of it.

Loaded by its path (the fixture `pages`).
"""

import math
import re

from micro import Value
from micro.text import NOT_THERE, show_corners, show_quantity, summarize


def example():
    x, y = Value(2.0, label="x"), Value(-3.0, label="y")
    z = (x**2).relu() + x * y
    z.label = "z"
    return z


def twice():
    a = Value(3.0, label="a")
    return a + a


def neuron():
    x0, x1, w0, w1 = (Value(v, n) for v, n in ((2.0, "x0"), (0.0, "x1"), (-3.0, "w0"), (1.0, "w1")))
    out = (w0 * x0 + w1 * x1 + Value(6.8813735870195432, "b")).tanh()
    out.label = "out"
    return out


def mlp_loss():
    """Return the loss of a small network of tensors, which kept all its values."""
    import tensor

    tensor.manual_seed(0)
    inputs, targets = tensor.randn(5, 3), tensor.tensor([0, 1, 1, 0, 1])
    with tensor.keep_values():
        model = tensor.nn.Sequential(tensor.nn.Linear(3, 4), tensor.nn.Tanh(), tensor.nn.Linear(4, 2))
        scale = tensor.tensor([0.5, 2.0], requires_grad=True)  # broadcast
        return tensor.nn.functional.cross_entropy(model(inputs) * scale, targets)


def unkept_loss():
    """Return a loss of tensors of which autograd saved little: some values are not there."""
    import tensor

    w = tensor.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    return ((w + w).sum(dim=0) * 2.0).sum()


def extremes():
    """Return infinities, nan, tiny and huge numbers, and a constant."""
    x = Value(0.0, label="x")
    return x.log() + (x * 1e-12 + 1e300) * 1e300 * (x - x.exp()) + (x / x)


def chain(length):
    x = Value(0.5, label="x")
    out = x
    for _ in range(length):
        out = out.tanh()
    return out


def words(text):
    """Return `text` as a browser shows it, where spaces and ends of lines are one."""
    return re.sub(r"\s+", " ", text).strip()


READ = """() => {
  const text = (element) => (element ? element.textContent : null);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  return {
    slider: Number(document.getElementById("slider").value),
    rows: all("#rows tr").map((row) => all("td", row).slice(1).map(text)),
    boxes: all(".node").map((node) => all("text.value, text.grad", node).map(text)),
    lines: all(".node").map((node) => all(".value, .grad", node).map((t) => all("tspan", t).map(text))),
    active: all(".node.active").map((node) => node.id),
    activeEdges: all(".edge.active").map((edge) => edge.id),
    activeRows: all("#rows tr").flatMap((row, n) => (row.classList.contains("active") ? [n] : [])),
    carried: all(".edge.carried").map((edge) => edge.id).sort(),
    returned: all(".edge.returned").map((edge) => edge.id).sort(),
    phase: text(document.querySelector("#panel .phase")),
    formula: text(document.querySelector("#panel .formula")),
    numbers: text(document.querySelector("#panel .numbers")),
    result: text(document.querySelector("#panel .result")),
    own: text(document.querySelector("#panel .own")),
    detail: text(document.querySelector("#panel > .detail")),
    flows: all("#panel .flow").map((flow) =>
      ["h3", ".derivative", ".local", ".check", ".before .number",
       ".contribution .number", ".after .number", ".note"]
        .map((selector) => text(flow.querySelector(selector)))),
    sums: all("#panel .whole").map(text),
  };
}"""


def is_large(quantity):
    return math.prod(getattr(quantity, "shape", ())) > 9


def expect(stepper, k):
    """Return what the page must show at step `k` by the engine's stepper."""
    stepper.goto(k)
    shown = []
    for node in stepper.nodes:
        pair = []
        for quantity in (stepper.value(node), stepper.grad(node)):
            text = show_quantity(quantity)
            if is_large(quantity):
                text = " ".join(summarize(quantity).split("  ")[:2])
            pair.append(words(text))
        shown.append(pair)
    return shown


def check_state(page, stepper, k):
    """Compare everything the page shows with the stepper's state `k`."""
    seen, expected = page.evaluate(READ), expect(stepper, k)
    assert seen["slider"] == k
    assert [[words(text) for text in row] for row in seen["rows"]] == expected
    for box, lines, row in zip(seen["boxes"], seen["lines"], expected, strict=True):
        for text, parts, whole in zip(box, lines, row, strict=True):
            assert words(" ".join(parts) if parts else text) == whole
    if k == 0:
        assert seen["active"] == []
        assert {text for row in expected for text in row} == {NOT_THERE}
        return
    done = stepper.current
    node = done.node
    assert seen["phase"] == f"{done.phase} · step {k} of {len(stepper)}"
    assert seen["active"] == [f"node{node.number}"]
    assert seen["activeRows"] == [node.number]
    carried = [f"edge{p}-{n.number}-{i}" for n in stepper.nodes[:k] for i, p in enumerate(n.parents)]
    assert seen["carried"] == sorted(carried)
    returned = [
        f"edge{flow.parent.number}-{s.node.number}-{i}"
        for s in stepper[:k]
        for i, flow in enumerate(s.flows)
        if flow.contribution is not None
    ]
    assert seen["returned"] == sorted(returned)
    if done.phase != "loss":
        assert seen["formula"] == (f"= {done.formula}" if done.formula else None)
        assert seen["numbers"] == (f"= {done.numbers}" if done.formula and done.numbers else None)
        assert words(seen["result"]) == "= " + expected[node.number][0]
        edges = [f"edge{p}-{node.number}-{i}" for i, p in enumerate(node.parents)]
        assert set(seen["activeEdges"]) == set(edges) & set(carried if done.phase == "forward" else returned)
    else:
        assert words(seen["result"]) == "= " + words(show_quantity(done.result))
    if is_large(done.result):
        assert seen["detail"] == summarize(done.result) + show_corners(done.result)
    else:
        assert seen["detail"] is None
    check_flows(seen, stepper, done, expected)


def check_flows(seen, stepper, done, expected):
    assert len(seen["flows"]) == len(done.flows)
    for shown, flow in zip(seen["flows"], done.flows, strict=True):
        to, derivative, local, measured, before, contribution, after, note = shown
        assert to == f"to {flow.parent.name}"
        assert (derivative or NOT_THERE) == (flow.derivative or NOT_THERE)
        if flow.local is None or (derivative and local is None):
            assert local is None
            assert flow.local is None or float(flow.derivative) == flow.local
        else:
            assert local == show_quantity(flow.local)
        # of a tensor the note says what was measured
        assert measured == (None if None in (flow.check, flow.local) else show_quantity(flow.check))
        assert (note or "") == flow.note
        if flow.contribution is None:
            assert contribution is None
        else:
            for text, quantity in (
                (before, flow.before),
                (contribution, flow.contribution),
                (after, flow.after),
            ):
                large = is_large(quantity)
                whole = " ".join(summarize(quantity).split("  ")[:2]) if large else show_quantity(quantity)
                assert words(text) == words(whole)
    if done.phase == "backward":
        assert words(seen["own"]).startswith(f"{done.node.name}.grad = ")
        assert words(seen["own"]).endswith(expected[done.node.number][1])
    receivers = dict.fromkeys(flow.parent.number for flow in done.flows if flow.contribution is not None)
    assert len(seen["sums"]) == len(receivers)
    for text, number in zip(seen["sums"], receivers, strict=True):
        past = [
            flow
            for s in stepper[: done.number]
            for flow in s.flows
            if flow.parent.number == number and flow.contribution is not None
        ]
        assert text.startswith(f"{stepper.nodes[number].name}.grad = ")
        assert text.count("(through ") == len(past)
        assert words(text).endswith(")" if len(past) == 1 else " = " + expected[number][1])


# --- pages of any kind -------------------------------------------------------------------------------------

WIDTH = "document.documentElement.scrollWidth"

SETTLE = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
"""What a page needs before it has drawn for another size: `page.evaluate(pages.SETTLE)`."""

CONTROLS = """() => {
  const rest = (element) => element.offsetParent !== null && element.tabIndex >= 0;
  return [...document.querySelectorAll("button, select, input, summary, canvas, a, [tabindex]")].filter(rest)
    .map((element) => {
      const target = element.closest("label") || element;
      const label = element.labels && element.labels[0];
      return {
        name: element.id || element.outerHTML.slice(0, 80),
        tag: element.tagName,
        type: element.type,
        height: Math.max(element.getBoundingClientRect().height, target.getBoundingClientRect().height),
        label: (element.getAttribute("aria-label") || (label || element).textContent).trim(),
      };
    });
}"""
"""What can be reached by the keyboard, with its label and the height that a finger can touch."""


def read_texts(page, selector):
    """Return what the elements show, as words."""
    return [words(text) for text in page.locator(selector).all_text_contents()]


def read_table(page, selector):
    """Return the rows of a table's body, each a list of what its cells show."""
    rows = page.evaluate(
        "(selector) => [...document.querySelectorAll(`${selector} tbody tr`)]"
        ".map((row) => [...row.children].map((cell) => cell.textContent))",
        selector,
    )
    return [[words(text) for text in row] for row in rows]


def luminance(colour):
    """Return the relative luminance of WCAG 2.2 of a colour written as #rrggbb."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def wait_until(page, expression, arg=None):
    """Wait until a function or an expression is true in the page, for five seconds at most.

    `page.wait_for_function` evaluates text within the page, which the page's policy forbids.
    """
    for _ in range(250):
        if page.evaluate(expression, arg):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"the page never came to {expression} {arg or ''}")
