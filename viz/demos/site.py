"""The pages of all demos in one folder, with a page that leads to them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tensor.files import write_bytes
from viz.demos.table import DEMOS, Demo
from viz.document import escape_html, read_template, write_document

__all__ = ["write_index", "write_site"]


def write_site(folder: Path, **options: int) -> Iterator[Path]:
    """Write each demo's page into `folder`, and index.html at last; yield their paths, each when it is there.

    Args:
        folder: it is made where it is not there.
        options: each goes to the demos that take it.

    Raises:
        OSError: the folder cannot be made, or a page not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for demo in DEMOS.values():
        taken = {name: value for name, value in options.items() if name in demo.options}
        path = folder / f"{demo.name}.html"
        write_bytes(path, demo.write(**taken).encode())
        yield path
    index = folder / "index.html"
    write_bytes(index, write_index(list(DEMOS.values())).encode())
    yield index


def write_index(demos: Sequence[Demo]) -> str:
    """Return the page that leads to those of the demos."""
    title = "liftgrad: the engine at work"
    cards = "\n".join(map(_write_card, demos))
    return write_document("index.html", ("demo.css", "chart.css", "index.css"), title, {}, cards=cards)


def _write_card(demo: Demo) -> str:
    sketch = read_template(f"sketch-{demo.name}.svg")
    line = demo.line[0].upper() + demo.line[1:]
    words = f"<h2>{escape_html(demo.title)}</h2><p>{escape_html(line)}.</p>"
    return f'<li><a class="card" href="{demo.name}.html">{sketch}{words}</a></li>'
