"""Pages as the command line asks for them: a demo, all demos, a model to play with; where they go."""

import webbrowser
from collections.abc import Callable
from pathlib import Path

from tensor.files import write_bytes
from tensor.session import Refused, check_outputs
from viz.demos import DEMOS
from viz.demos.site import write_site

__all__ = ["open_in_browser", "put_demo", "put_play", "put_site"]

ENDINGS = (".html", ".htm")


def put_demo(name: str, page: Path | None, options: dict[str, int]) -> Path:
    """Write a demo's page, by default NAME.html here; say so, and return where it is."""
    return _put(page or Path(f"{name}.html"), lambda: DEMOS[name].write(**options))


def put_site(folder: Path | None, options: dict[str, int]) -> Path:
    """Write all demos into a folder, by default site; say so, and return the page that leads to them."""
    folder = folder or Path("site")
    if folder.suffix.lower() in ENDINGS:
        raise Refused(f"-o {folder}: of all demos, it is a folder")
    for page in write_site(folder, **options):
        print(f"wrote {page}", flush=True)
    return page


def put_play(model: Path, page: Path | None) -> Path:
    """Write the page of a model file, by default here, of its name; say so, and return where it is."""
    page = page or Path(f"{model.stem or 'play'}.html")
    if page.resolve() == model.resolve():
        raise Refused(f"-o {page}: that is the model; name another file")

    def write() -> str:
        from viz.play import write_file

        return write_file(model)

    return _put(page, write)


def _put(page: Path, write: Callable[[], str]) -> Path:
    if page.suffix.lower() not in ENDINGS:
        raise Refused(f"-o {page}: the name must end in .html")
    check_outputs(output=page)
    write_bytes(page, write().encode())
    print(f"wrote {page}")
    return page


def open_in_browser(page: Path) -> None:
    """Open a page; Refused where there is no browser."""
    if not webbrowser.open(page.resolve().as_uri()):
        raise Refused(f"--open: no browser was found here; {page} is written")
