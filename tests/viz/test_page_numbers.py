"""The page, in a real browser: every number it shows is compared with the engine's, at every step."""

import re

import pytest

import viz
from micro import Value
from micro.stepper import step
from micro.text import NOT_THERE


@pytest.mark.parametrize("make", ["example", "twice", "neuron", "extremes", "mlp_loss", "unkept_loss"])
def test_every_number_at_every_step_is_the_engines(pages, page_of, make):
    root = getattr(pages, make)()
    stepper = step(root, check=True)
    page = page_of(stepper)
    for k in range(len(stepper) + 1):
        pages.check_state(page, stepper, k)
        page.keyboard.press("ArrowRight")
    for k in range(len(stepper) - 1, -1, -1):  # and all the way back
        page.keyboard.press("b")
        pages.check_state(page, stepper, k)


def test_the_sum_over_consumers_is_spelled_out(pages, page_of):
    page = page_of(pages.example(), "#step=11")
    assert page.inner_text("#panel .whole") == "x.grad = -3.0 (through *) + 4.0 (through **2) = 1.0"


def test_consumers_with_one_operation_are_told_apart(page_of):
    x = Value(2.0, label="x")
    page = page_of(x * 3.0 + x * 4.0)
    page.keyboard.press("End")
    sums = page.locator("#panel .whole").all_inner_texts()
    assert any(
        re.search(r"x\.grad = .*\(through \*, v\d\) .* \(through \*, v\d\) = 7\.0", text) for text in sums
    )


def test_a_number_alone_and_a_tensor_without_gradients(pages, open_page, tmp_path):
    import tensor

    stepper = step(Value(2.0))
    page = open_page(viz.page(stepper, tmp_path / "leaf.html"), "#step=2")
    pages.check_state(page, stepper, 2)
    root = tensor.ones(2, 2) + 1
    page = open_page(viz.page(root, tmp_path / "tensor.html"), f"#step={len(step(root))}")
    pages.check_state(page, step(root), len(step(root)))
    assert "no backward pass" in page.inner_text("#note")
    assert page.inner_text("#panel h2") == "No gradient flows back"
    assert page.locator("#phases span:visible").count() == 2


def test_a_function_is_called_so_that_every_value_is_kept(pages, page_of):
    def loss():
        import tensor

        w = tensor.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        return ((w + w).sum(dim=0) * 2.0).sum()

    page = page_of(loss)
    page.keyboard.press("End")
    assert page.inner_text("#note") == ""
    assert NOT_THERE not in [row[0] for row in page.evaluate(pages.READ)["rows"]]


def test_the_arrows_show_sign_and_size(pages, page_of):
    page = page_of(pages.neuron(), "#step=16")
    read = (
        "(id) => ['arrow', 'back'].map((part) => { const e = document.querySelector(`#${id} .${part}`);"
        "const s = getComputedStyle(e);"
        "return [e.classList[1] || '', parseFloat(s.strokeWidth), s.strokeDasharray]; })"
    )
    stepper = step(pages.neuron())
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
    page.evaluate("(k) => { location.hash = `#step=${k}`; }", product.number + 1)
    page.wait_for_selector(f"#node{product.number}.active")
    value, _ = page.evaluate(read, f"edge{names['w0']}-{product.number}-0")
    assert value[2] == "none"  # dashes are the gradient's, also while the value flows


def test_in_a_crowd_of_arrows_those_of_the_step_stand_out(monkeypatch, pages, page_of):
    monkeypatch.setattr("viz.boxes.MOST_WITH_TEXT", 3)
    page = page_of(pages.neuron(), "#step=16")
    read = "(s) => parseFloat(getComputedStyle(document.querySelector(`.edge${s} .arrow`)).strokeOpacity)"
    assert page.get_attribute("#drawing", "class").split()[0] == "crowded"
    assert page.evaluate(read, ".active") == 1.0
    assert page.evaluate(read, ":not(.active)") < 0.5
    drawn_last = page.evaluate("document.getElementById('edges').lastChild.classList.contains('active')")
    assert drawn_last  # above those that it crosses


def test_the_result_that_a_derivative_reads_is_named(page_of):
    out = Value(0.5, label="x").tanh()
    page = page_of(out, "#step=4")
    assert page.inner_text("#panel .calculation code") == "v1 = out"
    assert "1 - out**2" in page.inner_text("#panel .derivative")
