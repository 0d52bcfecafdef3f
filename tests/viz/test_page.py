"""The page, in a real browser: every number it shows is compared with the engine's, at every step."""

import math
import re
import sys

import pytest

import viz
from micro import Value
from micro.stepper import step
from micro.text import NOT_THERE, shorten, show_corners, show_quantity, summarize
from viz.page import LARGEST_PAGE, write_page
from viz.placement import place_in_layers

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


@pytest.fixture
def page_of(open_page, tmp_path):
    """Return page_of(root, hash="", check=False, **options): the page of a computation, opened."""

    def page_of(root, hash="", check=False, **options):
        return open_page(viz.page(root, tmp_path / "steps.html", check=check), hash, **options)

    return page_of


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


@pytest.mark.parametrize("make", [example, twice, neuron, extremes, mlp_loss, unkept_loss])
def test_every_number_at_every_step_is_the_engines(page_of, make):
    root = make()
    stepper = step(root, check=True)
    page = page_of(stepper)
    for k in range(len(stepper) + 1):
        check_state(page, stepper, k)
        page.keyboard.press("ArrowRight")
    for k in range(len(stepper) - 1, -1, -1):  # and all the way back
        page.keyboard.press("b")
        check_state(page, stepper, k)


def test_the_sum_over_consumers_is_spelled_out(page_of):
    page = page_of(example(), "#step=11")
    assert page.inner_text("#panel .whole") == "x.grad = -3.0 (through *) + 4.0 (through **2) = 1.0"


def test_consumers_with_one_operation_are_told_apart(page_of):
    x = Value(2.0, label="x")
    page = page_of(x * 3.0 + x * 4.0)
    page.keyboard.press("End")
    sums = page.locator("#panel .whole").all_inner_texts()
    assert any(
        re.search(r"x\.grad = .*\(through \*, v\d\) .* \(through \*, v\d\) = 7\.0", text) for text in sums
    )


def test_keys(page_of):
    page = page_of(example())
    for key, position in [
        ("n", 1), ("ArrowRight", 2), ("N", 3), ("b", 2), ("ArrowLeft", 1), ("ArrowLeft", 0), ("ArrowLeft", 0),
        ("End", 11), ("n", 11), ("Home", 0), ("End", 11), ("r", 0), ("Control+n", 0), ("x", 0),
    ]:  # fmt: skip
        if key != "Control+n":  # which opens a window
            page.keyboard.press(key)
        assert page.evaluate(READ)["slider"] == position, key


def test_buttons_and_the_slider(page_of):
    page = page_of(example())
    for name, position in [("Next", 1), ("Next", 2), ("Back", 1), ("End", 11), ("Reset", 0)]:
        page.get_by_role("button", name=name, exact=True).click()
        assert page.evaluate(READ)["slider"] == position, name
    assert page.get_attribute("#back", "aria-disabled") == "true"
    assert page.get_attribute("#next", "aria-disabled") == "false"
    page.locator("#slider").fill("7")
    check_state(page, step(example()), 7)


def test_a_box_leads_to_its_value_then_to_its_gradient(page_of):
    stepper = step(example())
    page = page_of(stepper)
    page.locator("#node0 .box").click()
    check_state(page, stepper, 1)
    page.locator("#node0 .box").click()
    check_state(page, stepper, 11)
    page.locator("#node4 .box").click()
    check_state(page, stepper, 5)
    page.get_by_role("button", name="v4", exact=True).click()  # of the table
    check_state(page, stepper, 8)
    page.locator("#rows tr:nth-child(6)").click()
    check_state(page, stepper, 6)


def test_the_address_holds_the_step(page_of):
    stepper = step(example())
    page = page_of(stepper, "#step=9")
    check_state(page, stepper, 9)
    page.keyboard.press("n")
    page.wait_for_url("**#step=10")
    page.reload()
    check_state(page, stepper, 10)


def test_the_way_back_leads_to_where_one_jumped_from(page_of):
    stepper = step(example())
    page = page_of(stepper)
    for _ in range(3):
        page.keyboard.press("n")  # not one entry of the history each
    page.locator("#node4 .box").click()
    page.locator("#node5 .box").click()
    page.wait_for_url("**#step=6")
    page.go_back()
    check_state(page, stepper, 5)
    page.go_back()
    check_state(page, stepper, 3)
    page.go_forward()
    check_state(page, stepper, 5)


def test_an_address_that_means_nothing_is_ignored(page_of):
    page = page_of(example(), "#step=12")
    assert page.evaluate(READ)["slider"] == 0
    page.keyboard.press("n")
    for hash in ("#step=-1", "#step=1e1", "#step=", "#<b>", "#step=999999999999", "#%", "#step=3x"):
        page.evaluate("(hash) => { location.hash = hash; }", hash)
        assert page.evaluate(READ)["slider"] == 1, hash
    page.evaluate("location.hash = '#step=3'")
    page.wait_for_function("document.getElementById('slider').value === '3'")


def test_playing(open_page, tmp_path):
    page = open_page(viz.page(example(), tmp_path / "steps.html"))
    page.clock.install(time=0)
    page.reload()
    page.clock.pause_at(3_600_000)  # from here on its time goes by when the test says so
    page.keyboard.press(" ")
    assert page.inner_text("#play") == "Pause"
    positions = []
    for _ in range(3):
        page.clock.run_for(1200)
        positions.append(page.evaluate(READ)["slider"])
    assert positions == [1, 2, 3]
    page.keyboard.press(" ")
    page.clock.run_for(5000)
    assert page.evaluate(READ)["slider"] == 3
    page.locator("#speed").select_option("4")
    page.locator("#play").click()
    page.clock.run_for(900)
    assert page.evaluate(READ)["slider"] == 6
    page.clock.run_for(9000)
    assert page.evaluate(READ)["slider"] == 11
    assert page.inner_text("#play") == "Play"
    page.locator("#play").click()  # from the end: again
    assert page.evaluate(READ)["slider"] == 0
    page.locator("#next").click()  # a step by hand ends it
    page.clock.run_for(5000)
    assert page.evaluate(READ)["slider"] == 1


def test_the_keyboard_alone(page_of):
    stepper = step(example())
    page = page_of(stepper)
    seen = []
    for _ in range(24):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(() => { const e = document.activeElement; const box = e.querySelector('.box') || e;"
                "const style = getComputedStyle(box); const shown = parseFloat(style.outlineWidth) >= 2"
                " && style.outlineStyle !== 'none' || parseFloat(style.strokeWidth) >= 4;"
                "return [e.id || e.textContent, shown, e.getAttribute('aria-label') || e.textContent"
                " || (e.labels && e.labels[0] && e.labels[0].textContent)]; })()"
            )
        )
        if seen[-1][0] == "BODY" or page.evaluate("document.activeElement === document.body"):
            seen.pop()
            break
    order = [name for name, _, _ in seen]
    expected = ["node0", "reset", "back", "play", "next", "end", "speed", "fit", "slider", "values", "x", "z"]
    assert [name for name in order if name in expected] == expected
    assert all(shown for _, shown, _ in seen), [name for name, shown, _ in seen if not shown]
    assert all(label for _, _, label in seen)
    page.locator("#node0").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    check_state(page, stepper, 3)
    page.locator("#end").focus()
    page.keyboard.press(" ")  # presses the button, and does not play
    assert page.inner_text("#play") == "Play"
    check_state(page, stepper, 11)
    assert (
        page.evaluate("document.activeElement.id") == "end"
    )  # which can do nothing more, and keeps the focus
    page.keyboard.press("b")
    check_state(page, stepper, 10)


def test_a_screen_reader_hears_the_step(page_of):
    page = page_of(example())
    page.keyboard.press("End")
    live = page.locator("#live")
    assert live.get_attribute("aria-live") == "polite"
    assert live.text_content() == "Step 11 of 11, backward: v1 passes its gradient on. x: -3.0 + 4.0 = 1.0"
    assert page.locator("#slider").get_attribute("aria-valuetext").startswith("Step 11 of 11, backward")


def test_labels_are_shown_as_themselves(page_of):
    out = Value(1.0)
    for text in HOSTILE:
        out = out * Value(2.0, label=text)
    out.label = "".join(HOSTILE)
    page = page_of(out, "#step=23", viewport={"width": 390, "height": 844})
    stepper = step(out)
    check_state(page, stepper, 23)
    title = shorten(out.label + ", step by step", 120)
    assert page.evaluate("document.querySelector('title').textContent") == title
    assert page.evaluate("document.querySelector('h1').textContent") == title
    boxes = page.evaluate("[...document.querySelectorAll('.node title')].map((t) => t.textContent)")
    rows = page.evaluate("[...document.querySelectorAll('#rows button')].map((t) => t.textContent)")
    assert boxes == rows == [f"{n.name}: {shorten(n.label)}" if n.label else n.name for n in stepper.nodes]
    assert set(HOSTILE) <= {node.label for node in stepper.nodes}
    assert page.evaluate("document.scripts.length") == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize(
    ("make", "width", "height"),
    [
        (neuron, 320, 844),
        (neuron, 390, 844),
        (neuron, 1280, 844),
        (mlp_loss, 390, 3000),
        (mlp_loss, 1280, 3000),
    ],
)
def test_no_page_scrolls_sideways_and_nothing_jumps(page_of, make, width, height):
    page = page_of(make(), viewport={"width": width, "height": height})
    places = set()
    for _ in range(int(page.get_attribute("#slider", "max")) + 1):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        places.add(
            page.evaluate(
                "JSON.stringify(['stage', 'controls', 'panel', 'values'].map((id) => {"
                "const r = document.getElementById(id).getBoundingClientRect();"
                "return [r.x, r.y + scrollY, r.width, r.height].map(Math.round); }))"
            )
        )
        page.keyboard.press("n")
    assert len(places) == 1


def test_dark_and_light(page_of):
    colours = []
    for scheme in ("light", "dark"):
        page = page_of(neuron(), "#step=14", color_scheme=scheme)
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


def test_motion_and_print(page_of):
    page = page_of(example(), "#step=9")
    read = "getComputedStyle(document.querySelector('.edge.active .back')).animationName"
    assert page.evaluate(read) == "run"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(read) == "none"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.getElementById('controls')).display") == "none"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.emulate_media(media="screen")


def test_the_arrows_show_sign_and_size(page_of):
    page = page_of(neuron(), "#step=16")
    read = (
        "(id) => ['arrow', 'back'].map((part) => { const e = document.querySelector(`#${id} .${part}`);"
        "const s = getComputedStyle(e);"
        "return [e.classList[1] || '', parseFloat(s.strokeWidth), s.strokeDasharray]; })"
    )
    stepper = step(neuron())
    names = {node.name: node.number for node in stepper.nodes}
    product = next(n for n in stepper.nodes if n.op == "*" and names["w0"] in n.parents)
    value, gradient = page.evaluate(read, f"edge{names['w0']}-{product.number}-0")
    assert value[0] == "negative"  # w0 is -3
    assert gradient[0] == "positive"  # its gradient is 1.0
    assert value[2] == "none"
    assert gradient[2] != "none"
    other = next(n for n in stepper.nodes if n.op == "*" and names["x1"] in n.parents)
    zero, _ = page.evaluate(read, f"edge{names['x1']}-{other.number}-1")
    assert zero[0] == ""
    assert zero[1] < value[1]


def test_a_number_alone_and_a_tensor_without_gradients(open_page, tmp_path):
    import tensor

    stepper = step(Value(2.0))
    page = open_page(viz.page(stepper, tmp_path / "leaf.html"), "#step=2")
    check_state(page, stepper, 2)
    root = tensor.ones(2, 2) + 1
    page = open_page(viz.page(root, tmp_path / "tensor.html"), f"#step={len(step(root))}")
    check_state(page, step(root), len(step(root)))
    assert "no backward pass" in page.inner_text("#note")
    assert page.inner_text("#panel h2") == "No gradient flows back"
    assert page.locator("#phases span:visible").count() == 2


def test_a_function_is_called_so_that_every_value_is_kept(page_of):
    def loss():
        import tensor

        w = tensor.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        return ((w + w).sum(dim=0) * 2.0).sum()

    page = page_of(loss)
    page.keyboard.press("End")
    assert page.inner_text("#note") == ""
    assert NOT_THERE not in [row[0] for row in page.evaluate(READ)["rows"]]


def test_the_policy_of_the_page_forbids_the_network(open_page, tmp_path):
    page = open_page(viz.page(example(), tmp_path / "steps.html"))
    policy = page.get_attribute("meta[http-equiv=Content-Security-Policy]", "content")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    source = (tmp_path / "steps.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[\w.]+\.\w+", source.replace("// ", ""))


# --- without a browser -----------------------------------------------------------------------------------


def test_a_page_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "steps.html"
    path.write_text("before")
    assert viz.page(example(), str(path)) == path
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [file.name for file in tmp_path.iterdir()] == ["steps.html"]
    with pytest.raises(FileNotFoundError):
        viz.page(example(), tmp_path / "absent" / "steps.html")


def test_the_same_computation_gives_the_same_bytes():
    assert write_page(neuron()) == write_page(neuron())


def test_the_users_gradients_and_stepper_stay():
    z = example()
    z.backward()
    before = [node.grad for node in (z, *z.parents)]
    stepper = step(z)
    stepper.goto(4)
    write_page(stepper)
    assert stepper.position == 4
    assert [node.grad for node in (z, *z.parents)] == before


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match=r"page: the name must end in \.html, got 'steps\.svg'"):
        viz.page(example(), tmp_path / "steps.svg")
    with pytest.raises(TypeError, match="page: expected a Value, a Tensor or a Stepper, got float"):
        viz.page(2.0, tmp_path / "steps.html")
    with pytest.raises(ValueError, match=r"page: 2,001 nodes; a page shows at most 2,000: .*one sample"):
        viz.page(chain(LARGEST_PAGE), tmp_path / "steps.html")
    assert list(tmp_path.iterdir()) == []


def test_a_page_of_100_nodes_is_below_400_kB():
    out = Value(0.1, label="h")
    x = Value(0.3, label="x")
    for n in range(33):
        out = (out * x + Value(0.01 * n, label=f"b{n}")).tanh()
    assert len(step(out).nodes) >= 100
    assert len(write_page(out, check=True).encode()) < 400_000


def test_without_graphviz_boxes_stand_in_layers(monkeypatch, page_of):
    def missing(*_):
        raise RuntimeError("no Graphviz")

    monkeypatch.setattr(sys.modules["viz.page"], "lay_out", missing)
    page = page_of(neuron())
    assert "Graphviz" in page.inner_text("#note")
    boxes = page.evaluate(
        "[...document.querySelectorAll('.node .box')].map((b) => b.getBoundingClientRect().toJSON())"
    )
    for n, a in enumerate(boxes):
        for b in boxes[:n]:
            apart = a["right"] <= b["left"] or b["right"] <= a["left"]
            assert apart or a["bottom"] <= b["top"] or b["bottom"] <= a["top"]
    check_state(page, step(neuron()), 0)


def test_layers_of_a_long_chain():
    from viz.placement import Edge

    edges = [Edge(n, n + 1, 0) for n in range(2000)]
    placed = place_in_layers([(80.0, 40.0)] * 2001, edges)
    xs = [x for x, _ in placed.boxes]
    assert xs == sorted(xs)
    assert placed.width > xs[-1]


# --- the command -------------------------------------------------------------------------------------------


def test_liftgrad_step_writes_the_page(open_page, tmp_path, capsys):
    import liftgrad

    path = tmp_path / "steps.html"
    assert liftgrad.main(["step", "x*y + (x**2).relu()", "x=2", "y=3", "--html", str(path)]) == 0
    assert capsys.readouterr().out == f"wrote {path}\n"
    page = open_page(path)
    assert page.inner_text("h1") == "x*y + (x**2).relu()"
    page.keyboard.press("End")
    assert "x.grad = 4.0 (through **2) + 3.0 (through *) = 7.0" in page.inner_text("#panel")


def test_liftgrad_step_says_what_is_wrong_with_the_file(tmp_path, capsys):
    import liftgrad

    assert liftgrad.main(["step", "x*x", "x=2", "--html", str(tmp_path / "steps.svg")]) == 2
    assert capsys.readouterr().err == "liftgrad: page: the name must end in .html, got 'steps.svg'\n"
    assert list(tmp_path.iterdir()) == []
