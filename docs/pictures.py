"""Make the pictures of the README anew: `make pictures`.

docs/graph.svg and docs/model.svg are drawn; docs/steps.png, docs/optimizers.png, docs/moons.png and
docs/play.png are photographs of pages, in Chromium (driven by Playwright). The CNN of the last is trained
for it.
"""

import io
import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import liftgrad
import tensor
import viz
from micro import Value
from tensor import nn
from viz.demos import DEMOS

DOCS = Path(__file__).parent
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def make_graph() -> Value:
    """Return z = relu(x**2) + x*y at x = 2 and y = 3, after its backward pass."""
    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    z = (x**2).relu() + x * y
    z.label = "z"
    z.backward()
    return z


def make_model() -> nn.Module:
    """Return a small transformer that has learned nothing."""
    layer = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True)
    return nn.Sequential(nn.Embedding(100, 64), nn.TransformerEncoder(layer, 6), nn.Linear(64, 100))


@contextmanager
def open_browser() -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("pictures: Chromium is not installed: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


def photograph(
    browser: Any, address: str, size: tuple[int, int], scale: float, act: Callable[[Any], None], picture: Path
) -> None:
    """Write a picture of a page after `act(page)`: `size` by its own pixels, times `scale`."""
    window = {"width": size[0], "height": size[1]}
    page = browser.new_page(viewport=window, device_scale_factor=scale, reduced_motion="reduce")
    page.goto(address)
    act(page)
    page.wait_for_timeout(500)  # it draws itself anew after the browser has laid it out
    pixels = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    # 192 colours: a third of the bytes, and nobody sees which; those of a few words, too, stay what they are
    pixels.quantize(192, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(picture, optimize=True)
    page.close()


def show_saddle(page: Any) -> None:
    """Let all four optimizers leave a saddle at one learning rate."""
    page.select_option("#surface", label="Saddle")
    page.select_option("#rates", label="all 0.1")
    page.locator("#slider").fill("22")
    page.locator("#slider").blur()


def show_end(page: Any) -> None:
    page.locator("#end").click()
    page.locator("#end").blur()


def draw_three(page: Any) -> None:
    """Draw a 3 on the canvas with the mouse: two arcs, from the top to the bottom."""
    board = page.locator("#canvas").bounding_box()
    arcs = [(0.33, 0.15, -2.5, 1.4), (0.66, 0.19, -1.4, 2.6)]  # where, how large, from and to which angle
    for middle, size, start, end in arcs:
        for n in range(25):
            angle = start + (end - start) * n / 24
            x, y = 0.49 + 1.1 * size * math.cos(angle), middle + size * math.sin(angle)
            page.mouse.move(board["x"] + x * board["width"], board["y"] + y * board["height"])
            page.mouse.down()
    page.mouse.up()


def make_play(folder: Path) -> Path:
    """Train a CNN for an epoch, and return its page."""
    model, page = folder / "cnn.safetensors", folder / "cnn.html"
    liftgrad.main(["train", "cnn", "--epochs", "1", "--save", str(model)])
    liftgrad.main(["play", str(model), "-o", str(page)])
    return page


def main() -> None:
    graph = make_graph()
    viz.save(graph, DOCS / "graph.svg")
    viz.save(
        viz.draw_model(make_model(), tensor.zeros(2, 16, dtype=tensor.int64), depth=2), DOCS / "model.svg"
    )
    with tempfile.TemporaryDirectory() as name, open_browser() as browser:
        folder = Path(name)
        steps = viz.page(graph, folder / "steps.html", title="z = (x**2).relu() + x*y")
        address = f"{steps.as_uri()}#step=11"
        photograph(browser, address, (1100, 680), 1.5, lambda _: None, DOCS / "steps.png")
        for demo, size, scale, act in (
            ("optimizers", (1280, 790), 1.25, show_saddle),
            ("moons", (1200, 750), 1.0, show_end),
        ):
            page = folder / f"{demo}.html"
            page.write_text(DEMOS[demo].write(), encoding="utf-8")
            photograph(browser, page.as_uri(), size, scale, act, DOCS / f"{demo}.png")
        play = make_play(folder).as_uri()
        photograph(browser, play, (1100, 1065), 1.25, draw_three, DOCS / "play.png")
    print("wrote graph.svg, model.svg, steps.png, optimizers.png, moons.png and play.png in docs")


if __name__ == "__main__":
    main()
