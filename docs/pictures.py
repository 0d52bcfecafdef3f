"""Make the pictures of the README anew: `make pictures`.

docs/graph.svg and docs/model.svg are drawn; docs/steps.png is a photograph of a page of steps, in Chromium
(driven by Playwright).
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import tensor
import viz
from micro import Value
from tensor import nn

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


def photograph(page: Path, step: int, picture: Path) -> None:
    """Write a picture of the page at a step."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("pictures: Chromium is not installed: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        window = {"width": 1100, "height": 680}
        opened = browser.new_page(viewport=window, device_scale_factor=1.5, reduced_motion="reduce")
        opened.goto(f"{page.as_uri()}#step={step}")
        opened.screenshot(path=picture)
        browser.close()


def main() -> None:
    graph = make_graph()
    viz.save(graph, DOCS / "graph.svg")
    viz.save(
        viz.draw_model(make_model(), tensor.zeros(2, 16, dtype=tensor.int64), depth=2), DOCS / "model.svg"
    )
    with tempfile.TemporaryDirectory() as folder:
        page = viz.page(graph, Path(folder) / "steps.html", title="z = (x**2).relu() + x*y")
        photograph(page, 11, DOCS / "steps.png")
    print("wrote docs/graph.svg, docs/model.svg, docs/steps.png")


if __name__ == "__main__":
    main()
