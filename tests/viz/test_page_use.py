"""The page, in a real browser: keys, clicks, the address, playing, a screen reader."""

import viz
from micro.stepper import step


def test_keys(pages, page_of):
    page = page_of(pages.example())
    for key, position in [
        ("n", 1), ("ArrowRight", 2), ("N", 3), ("b", 2), ("ArrowLeft", 1), ("ArrowLeft", 0), ("ArrowLeft", 0),
        ("End", 11), ("n", 11), ("Home", 0), ("End", 11), ("r", 0), ("Control+n", 0), ("x", 0),
    ]:  # fmt: skip
        if key != "Control+n":  # which opens a window
            page.keyboard.press(key)
        assert page.evaluate(pages.READ)["slider"] == position, key


def test_buttons_and_the_slider(pages, page_of):
    page = page_of(pages.example())
    for name, position in [("Next", 1), ("Next", 2), ("Back", 1), ("End", 11), ("Reset", 0)]:
        page.get_by_role("button", name=name, exact=True).click()
        assert page.evaluate(pages.READ)["slider"] == position, name
    assert page.get_attribute("#back", "aria-disabled") == "true"
    assert page.get_attribute("#next", "aria-disabled") == "false"
    page.locator("#slider").fill("7")
    pages.check_state(page, step(pages.example()), 7)


def test_a_box_leads_to_its_value_then_to_its_gradient(pages, page_of):
    stepper = step(pages.example())
    page = page_of(stepper)
    page.locator("#node0 .box").click()
    pages.check_state(page, stepper, 1)
    page.locator("#node0 .box").click()
    pages.check_state(page, stepper, 11)
    page.locator("#node4 .box").click()
    pages.check_state(page, stepper, 5)
    page.get_by_role("button", name="v4", exact=True).click()  # of the table
    pages.check_state(page, stepper, 8)
    page.locator("#rows tr:nth-child(6)").click()
    pages.check_state(page, stepper, 6)


def test_the_address_holds_the_step(pages, page_of):
    stepper = step(pages.example())
    page = page_of(stepper, "#step=9")
    pages.check_state(page, stepper, 9)
    page.keyboard.press("n")
    page.wait_for_url("**#step=10")
    page.reload()
    pages.check_state(page, stepper, 10)


def test_the_way_back_leads_to_where_one_jumped_from(pages, page_of):
    stepper = step(pages.example())
    page = page_of(stepper)
    for _ in range(3):
        page.keyboard.press("n")  # not one entry of the history each
    page.locator("#node4 .box").click()
    page.locator("#node5 .box").click()
    page.wait_for_url("**#step=6")
    page.go_back()
    pages.check_state(page, stepper, 5)
    page.go_back()
    pages.check_state(page, stepper, 3)
    page.go_forward()
    pages.check_state(page, stepper, 5)


def test_an_address_that_means_nothing_is_ignored(pages, page_of):
    page = page_of(pages.example(), "#step=12")
    assert page.evaluate(pages.READ)["slider"] == 0
    page.keyboard.press("n")
    for hash in ("#step=-1", "#step=1e1", "#step=", "#<b>", "#step=999999999999", "#%", "#step=3x"):
        page.evaluate("(hash) => { location.hash = hash; }", hash)
        assert page.evaluate(pages.READ)["slider"] == 1, hash
    page.evaluate("location.hash = '#step=3'")
    pages.wait_until(page, "document.getElementById('slider').value === '3'")


def test_playing(pages, open_page, tmp_path):
    page = open_page(viz.page(pages.example(), tmp_path / "steps.html"))
    page.clock.install(time=0)
    page.reload()
    page.clock.pause_at(3_600_000)  # from here on its time goes by when the test says so
    page.keyboard.press(" ")
    assert page.inner_text("#play") == "Pause"
    positions = []
    for _ in range(3):
        page.clock.run_for(1200)
        positions.append(page.evaluate(pages.READ)["slider"])
    assert positions == [1, 2, 3]
    page.keyboard.press(" ")
    page.clock.run_for(5000)
    assert page.evaluate(pages.READ)["slider"] == 3
    page.locator("#speed").select_option("4")
    page.locator("#play").click()
    page.clock.run_for(900)
    assert page.evaluate(pages.READ)["slider"] == 6
    page.clock.run_for(9000)
    assert page.evaluate(pages.READ)["slider"] == 11
    assert page.inner_text("#play") == "Play"
    page.locator("#play").click()  # from the end: again
    assert page.evaluate(pages.READ)["slider"] == 0
    page.locator("#next").click()  # a step by hand ends it
    page.clock.run_for(5000)
    assert page.evaluate(pages.READ)["slider"] == 1


def test_the_keyboard_alone(pages, page_of):
    stepper = step(pages.example())
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
    pages.check_state(page, stepper, 3)
    page.locator("#end").focus()
    page.keyboard.press(" ")  # presses the button, and does not play
    assert page.inner_text("#play") == "Play"
    pages.check_state(page, stepper, 11)
    assert (
        page.evaluate("document.activeElement.id") == "end"
    )  # which can do nothing more, and keeps the focus
    page.keyboard.press("b")
    pages.check_state(page, stepper, 10)


def test_a_screen_reader_hears_the_step(pages, page_of):
    page = page_of(pages.example())
    page.keyboard.press("End")
    live = page.locator("#live")
    assert live.get_attribute("aria-live") == "polite"
    assert live.text_content() == "Step 11 of 11, backward: v1 passes its gradient on. x: -3.0 + 4.0 = 1.0"
    assert page.locator("#slider").get_attribute("aria-valuetext").startswith("Step 11 of 11, backward")
