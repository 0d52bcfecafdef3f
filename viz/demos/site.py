"""The pages of all demos in one folder, with a page that leads to them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from viz.demos.table import DEMOS, Demo
from viz.document import escape_html, write_document
from viz.render import write_whole

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
        write_whole(path, demo.write(**taken).encode())
        yield path
    index = folder / "index.html"
    write_whole(index, write_index(list(DEMOS.values())).encode())
    yield index


def write_index(demos: Sequence[Demo]) -> str:
    """Return the page that leads to those of the demos."""
    cards = "\n".join(
        f'<li><a class="card" href="{demo.name}.html"><h2>{escape_html(demo.title)}</h2>'
        f"<p>{escape_html(demo.line)}</p></a></li>"
        for demo in demos
    )
    return write_document(
        "index.html", ("demo.css", "index.css"), "liftgrad: the engine at work", {}, cards=cards
    )
