"""The page of shapes: what was recorded and what it shows, beside runs of the engine at other sizes."""

import re
from math import prod

import pytest

import tensor
from tensor import nn
from tensor.models import MODELS, build
from tensor.nn import functional
from viz.demos.layers import describe_forward
from viz.demos.shapes import LARGEST_BATCH, RUN_AT, fit, observe, record

# --- what was recorded ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recording():
    return record()


def resolve(tree, batch):
    """Return a recording as it is for a batch of this size, as the page does."""
    if isinstance(tree, list):
        return [resolve(part, batch) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if "each" in tree:
        return tree["each"] * batch + tree["plus"]
    if "text" in tree:
        return "".join(str(part) for part in resolve(tree["text"], batch))
    return {key: resolve(part, batch) for key, part in tree.items()}


@pytest.mark.parametrize("name", list(MODELS))
def test_at_sizes_that_were_not_run_for_it_the_recording_is_what_the_engine_does(name, recording):
    for batch in (1, 5, 48):
        assert batch not in RUN_AT
        seen = resolve(recording["models"][name], batch)
        expected = observe(name, batch)
        for mistake in seen["mistakes"]:
            alone = mistake.pop("alone")
            if batch == 1 and alone:
                mistake["error"] = alone
        assert seen == expected


def reference(name, batch):
    """Return each layer's shapes, by another way to look: before, after, of gradient and parameters."""
    model, inputs = build(name), MODELS[name].inputs
    x = tensor.randn(batch, 1, *inputs.size)
    calls = model.trace(x).calls[1:]
    values = [x]
    for layer in model:
        values.append(layer(values[-1]))
        if values[-1].requires_grad:
            values[-1].retain_grad()
    functional.cross_entropy(values[-1], tensor.zeros(batch, dtype=tensor.int64)).backward()
    assert [tuple(value.shape) for value in values[1:]] == [call.outputs[0].shape for call in calls]
    return [
        {
            "before": call.inputs[0].shape,
            "shape": call.outputs[0].shape,
            "gradient": tuple(value.grad.shape) if value.requires_grad else None,
            "parameters": [(n, tuple(p.shape), tuple(p.grad.shape)) for n, p in layer.named_parameters()],
        }
        for call, value, layer in zip(calls, values[1:], model, strict=True)
    ]


@pytest.mark.parametrize("name", list(MODELS))
def test_shapes_are_those_of_another_way_to_look(name):
    blocks = observe(name, 6)["blocks"][1:-1]
    for block, layer in zip(blocks, reference(name, 6), strict=True):
        assert tuple(block["before"]) == layer["before"]
        assert tuple(block["shape"]) == layer["shape"]
        assert (block["gradient"] and tuple(block["gradient"])) == layer["gradient"]
        found = [(p["name"], tuple(p["shape"]), tuple(p["gradient"])) for p in block["parameters"]]
        assert found == layer["parameters"]
        assert block["numbers"] == prod(layer["shape"])
        assert block["bytes"] == (0 if block["kind"] == "Flatten" else 4 * prod(layer["shape"]))
        assert [dim["size"] for dim in block["dims"]] == block["shape"]


def count_products(layer, shape):
    """Return the multiply-adds of a layer: with ones everywhere each product adds a 1 to the result."""
    if isinstance(layer, nn.Linear):
        return functional.linear(tensor.ones(*shape), tensor.ones(*layer.weight.shape)).sum().item()
    if isinstance(layer, nn.Conv2d):
        rows, columns = layer.padding
        padded = functional.pad(tensor.ones(*shape), (columns, columns, rows, rows), value=1.0)
        taps = tensor.ones(*layer.weight.shape)
        options = {"stride": layer.stride, "dilation": layer.dilation, "groups": layer.groups}
        return functional.conv2d(padded, taps, **options).to(tensor.float64).sum().item()
    return 0


@pytest.mark.parametrize("name", list(MODELS))
def test_multiply_adds_and_parameters_are_counted(name):
    seen = observe(name, 3)
    model = build(name)
    products = 0
    for block, layer in zip(seen["blocks"][1:-1], model, strict=True):
        assert block["products"] == count_products(layer, block["before"])
        products += block["products"]
        assert block["count"] == sum(p.numel() for p in layer.parameters())
    assert seen["totals"] == {
        "parameters": sum(p.numel() for p in model.parameters()),
        "products": products,
        "bytes": sum(block["bytes"] for block in seen["blocks"]),
    }


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3), nn.Conv2d(4, 6, (3, 5), stride=(2, 3), padding=(1, 2)),
        nn.Conv2d(4, 8, 3, dilation=2), nn.Conv2d(4, 8, 2, stride=3, padding=1, groups=2), nn.MaxPool2d(3),
        nn.MaxPool2d(3, 2, 1), nn.MaxPool2d((2, 3), dilation=(2, 1)), nn.ReLU(), nn.Flatten(),
    ],
)  # fmt: skip
def test_the_words_hold_for_other_settings(layer):
    x = tensor.randn(2, 4, 13, 16)
    out = layer(x)
    words = describe_forward(layer, list(x.shape), list(out.shape))
    assert [dim["size"] for dim in words["dims"]] == list(out.shape)
    for dim in words["dims"][2:] if out.ndim == 4 and not isinstance(layer, nn.ReLU) else ():
        formula, result = dim["why"].rsplit(" = ", 1)
        for sign, python in {"⌊": "math.floor(", "⌋": ")", "·": "*", "−": "-"}.items():
            formula = formula.replace(sign, python)
        assert eval(formula, {"math": __import__("math")}) == int(result) == dim["size"]
    if isinstance(layer, nn.Conv2d):
        assert words["products"] == count_products(layer, list(x.shape))


def test_words_that_give_another_shape_are_refused():
    with pytest.raises(
        ValueError, match=r"by its formula .* gives \[2, 6, 3, 3\], the engine gave \[2, 6, 4, 4\]"
    ):
        describe_forward(nn.Conv2d(1, 6, 3), [2, 1, 5, 5], [2, 6, 4, 4])


def test_what_depends_on_the_batch_is_found():
    seen = {
        2: [7, 2, 5, "a (2, 9)", None, True],
        3: [7, 3, 7, "a (3, 9)", None, True],
        9: [7, 9, 19, "a (9, 9)", None, True],
    }
    line = {"each": 1, "plus": 0}
    assert fit(seen) == [7, line, {"each": 2, "plus": 1}, {"text": ["a (", line, ", 9)"]}, None, True]
    assert resolve(fit(seen), 100) == [7, 100, 201, "a (100, 9)", None, True]


@pytest.mark.parametrize(
    "values", [(1, 2, 5), (4, 9, 25), ("2 a", "3 b", "5 a"), ([1], [1, 2], [1]), (None, 1, 2),
               (True, False, True), ({"a": 1}, {"b": 1}, {"a": 1}), ("1", "1 1", "1")],
)  # fmt: skip
def test_what_lies_on_no_line_is_refused(values):
    with pytest.raises(ValueError, match="at batch sizes"):
        fit(dict(zip((2, 3, 5), values, strict=True)))


# --- what the page shows ----------------------------------------------------------------------------------

READ = """() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const text = (selector, within = document) => within.querySelector(selector)?.textContent ?? null;
  return {
    step: Number(document.getElementById('slider').value),
    last: Number(document.getElementById('slider').max),
    blocks: all('.block').map((block) => ({
      shape: text('.shape', block), gradient: text('.gradient', block), planes: all('.plane', block).length,
      samples: all('.sample, .others', block).map((p) => p.getAttribute('d').split('M').length - 1)
        .reduce((a, b) => a + b, 0),
      state: ['done', 'graded', 'active'].filter((name) => block.classList.contains(name)),
      label: block.getAttribute('aria-label'),
    })),
    rows: all('#all tbody tr, #all tfoot tr').map((row) => [...row.children].map((cell) => cell.textContent)),
    note: text('#panel .note'),
    written: text('#panel h2'),
    flow: all('#panel .flow span').map((span) => span.textContent).join(' '),
    dims: all('#panel .dims tbody tr').map((row) => [...row.children].map((cell) => cell.textContent)),
    facts: all('#panel .facts dd').map((fact) => fact.textContent),
    errors: all('#mistakes .error').map((error) => error.textContent),
    live: text('#live'),
  };
}"""


def write(shape):
    return "none" if shape is None else str(tuple(shape))


def check(page, name, batch, step):
    """Compare what the page shows at a step with a run of the engine; return what it shows."""
    seen = page.evaluate(READ)
    assert seen["step"] == step
    layers = reference(name, batch)
    count = len(layers)
    graded = [n for n, layer in enumerate(layers) if layer["gradient"]]
    assert seen["last"] == count + 1 + 1 + len(graded)
    first = layers[0]["before"]
    shapes = [first, *[layer["shape"] for layer in layers], ()]
    gradients = [None, *[layer["gradient"] for layer in layers], ()]
    order = [*range(count + 2), count + 1, *[n + 1 for n in reversed(graded)]]
    now, back = order[step], step > count + 1
    reached = order[count + 2 : step + 1]
    for n, block in enumerate(seen["blocks"]):
        assert block["shape"] == write(shapes[n])
        is_graded = n in reached
        expected = "" if gradients[n] is None else "grad " + (write(gradients[n]) if is_graded else "·")
        assert block["gradient"] == expected
        assert block["samples"] == (batch if shapes[n] else 0)
        assert block["planes"] == (shapes[n][1] if len(shapes[n]) == 4 else 0)
        states = ["done"] * (n <= step) + ["graded"] * is_graded + ["active"] * (n == now)
        assert block["state"] == states
        assert f"output {write(shapes[n])}" in block["label"]
        row = seen["rows"][n]
        assert row[1] == write(shapes[n])
        assert row[2] == (write(gradients[n]) if is_graded else "·")
        counted = sum(prod(shape) for _, shape, _ in layers[n - 1]["parameters"]) if 0 < n <= count else 0
        assert row[3] == f"{counted:,}"
        check_bytes(row[4], prod(shapes[n]) * 4)
    assert seen["rows"][-1][3] == f"{sum(p.numel() for p in build(name).parameters()):,}"
    assert seen["note"] == f"{'backward' if back else 'forward'}, step {step} of {seen['last']}"
    before = layers[-1]["shape"] if now == count + 1 else layers[now - 1]["before"] if now else None
    if back:
        passed = gradients[now - 1]
        assert seen["flow"] == f"{'nothing' if passed is None else write(passed)} ← {write(gradients[now])}"
        if now <= count:
            expected = [
                [n, write(shape), write(gradient)] for n, shape, gradient in layers[now - 1]["parameters"]
            ]
            assert seen["dims"] == expected
    else:
        assert seen["flow"] == (f"{write(before)} → " if now else "") + write(shapes[now])
        assert [int(dim[1]) for dim in seen["dims"]] == list(shapes[now])
        assert f"{prod(shapes[now]):,} numbers of float32" in seen["facts"][-1]
        if 0 < now <= count:
            check_facts(seen, layers[now - 1], observe(name, batch)["blocks"][now])
    assert seen["flow"] in seen["live"]
    assert seen["errors"] == [mistake["error"] for mistake in observe(name, batch)["mistakes"]]
    return seen


def check_facts(seen, layer, block):
    sizes = [prod(shape) for _, shape, _ in layer["parameters"]]
    written = [f"{n} {write(shape)}: {prod(shape):,}" for n, shape, _ in layer["parameters"]]
    assert seen["facts"][0] == (f"{' + '.join(written)} = {sum(sizes):,}" if sizes else "none")
    row = next(row for row in seen["rows"] if row[0].startswith(f"{block['name']}: "))
    assert row[5] == f"{block['products']:,}"  # which another test counts
    if block["products"]:
        assert seen["facts"][1].endswith(f": {block['products']:,}")
    numbers = [int(digits.replace(",", "")) for digits in re.findall(r"[\d,]*\d", seen["facts"][1])]
    assert prod(numbers[:-1]) == (numbers[-1] if numbers else 1)


def check_bytes(text, size):
    if text == "a view":
        return
    number, unit = text.split()
    factor = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
    assert float(number.replace(",", "")) * factor == pytest.approx(size, rel=5.1e-3 if unit != "B" else 0)


@pytest.mark.parametrize("name", list(MODELS))
def test_every_step_of_every_model(name, open_demo):
    page = open_demo("shapes")
    page.select_option("#model", name)
    sizes = [5, 1, 64, 2] if name != "cnn" else [3]
    last = int(page.get_attribute("#slider", "max"))
    for step in range(last + 1):
        batch = sizes[step % len(sizes)]
        page.fill("#batch", str(batch))  # the step stays
        seen = check(page, name, batch, step)
        if step and step <= len(build(name)):
            assert seen["written"] == repr(build(name)[step - 1])
        if step < last:
            page.locator("#next").click()
    assert seen["flow"].startswith("nothing ← ")


def test_batch_sizes(open_demo):
    page = open_demo("shapes")
    page.select_option("#model", "mlp")
    for size in ("128", "1", "512"):
        page.get_by_role("button", name=size, exact=True).click()
        assert page.input_value("#batch") == size
        assert page.get_attribute(f"#sizes button:text-is('{size}')", "aria-pressed") == "true"
        check(page, "mlp", int(size), 0)
    for wrong in ("0", "513", "2.5", ""):
        page.fill("#batch", wrong)
        assert page.input_value("#batch") == wrong
        page.locator("#batch").blur()
        assert page.input_value("#batch") == "512"
        assert page.text_content("#live") == f"A batch has 1 to {LARGEST_BATCH} samples; it stays at 512."
    page.select_option("#model", "tinycnn")
    check(page, "tinycnn", 512, 0)


def test_blocks_rows_keys_and_the_slider(open_demo):
    page = open_demo("shapes")
    page.get_by_role("button", name="4: ReLU:").click()
    check(page, "cnn", 64, 5)
    page.get_by_role("button", name="4: ReLU:").click()  # again: its gradient
    check(page, "cnn", 64, 14)
    page.get_by_role("button", name="input:").click()
    page.get_by_role("button", name="input:").click()  # which has none
    check(page, "cnn", 64, 0)
    page.get_by_role("button", name="7: Linear", exact=True).click()  # of the table
    check(page, "cnn", 64, 8)
    page.locator("#blocks").click(position={"x": 2, "y": 2})
    for key, step in [("n", 9), ("b", 8), ("ArrowRight", 9), ("ArrowLeft", 8), ("End", 18), ("Home", 0)]:
        page.keyboard.press(key)
        assert page.evaluate(READ)["step"] == step, key
    page.locator("#slider").fill("11")
    check(page, "cnn", 64, 11)
    page.select_option("#model", "tinycnn")  # another model begins at its beginning
    check(page, "tinycnn", 64, 0)


def test_playing(open_demo):
    page = open_demo("shapes")
    page.clock.install(time=0)
    page.reload()
    page.clock.pause_at(3_600_000)
    page.keyboard.press(" ")
    page.clock.run_for(2500)
    assert page.evaluate(READ)["step"] == 2
    page.get_by_role("button", name="8", exact=True).click()  # another batch: it stands still
    page.clock.run_for(5000)
    check(page, "cnn", 8, 2)
    assert page.inner_text("#play") == "Play"


def test_on_a_phone_the_block_of_the_step_is_in_sight(open_demo):
    page = open_demo("shapes", viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    for step in (0, 4, 9, 12, 18):
        page.locator("#slider").fill(str(step))
        place = page.evaluate("document.querySelector('.block.active').getBoundingClientRect().toJSON()")
        assert place["left"] >= 0
        assert place["right"] <= 390
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_drawing_is_to_scale(open_demo):
    page = open_demo("shapes")
    areas = page.evaluate(
        "[...document.querySelectorAll('.block')]"
        ".map((block) => [...block.querySelectorAll('.plane, .column')]"
        ".reduce((sum, r) => sum + r.getAttribute('width') * r.getAttribute('height'), 0))"
    )
    shapes = [(1, 28, 28), *[layer["shape"][1:] for layer in reference("cnn", 1)]]
    unit = areas[0] / 784
    for area, shape in zip(areas, shapes, strict=False):
        assert area == pytest.approx(prod(shape) * unit)
    inside = page.evaluate(
        "[...document.querySelectorAll('.block .plane, .block .column')].every((r) => {"
        "const [x, y, w, h] = ['x', 'y', 'width', 'height'].map((name) => Number(r.getAttribute(name)));"
        "return x >= 0 && y >= 0 && x + w <= 124.01 && y + h <= 124.01; })"
    )
    assert inside
    assert re.search(r"a plane of 784 numbers", page.inner_text("#scale"))
