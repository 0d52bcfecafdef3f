"""An interactive session with names at hand: IPython where it is installed, else Python's own console.

It knows neither engine; who starts it brings the names.
"""

import code
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from viz.graph import draw
from viz.layout import Drawing
from viz.tree import show_tree

__all__ = ["draw_in_terminal", "run"]


def draw_in_terminal(root: Any, **options: Any) -> Drawing:
    """Return what `viz.draw` returns, which shows itself as a tree in a terminal.

    `viz.save(root, "graph.svg")` makes a picture of it; both take the options of `viz.draw`.
    """
    drawing = draw(root, **options)
    drawing.tree = show_tree(root)
    return drawing


def run(names: dict[str, Any], greeting: str, text: str | None = None, plain: bool = False) -> int:
    """Run a session and return its exit code.

    Args:
        names: what is at hand.
        greeting: the lines shown first, in a terminal.
        text: Python to be run instead of asking. Where the standard input is no terminal, it is that.
        plain: Python's own console, also where IPython is.
    """
    names = {"__name__": "__main__", "__doc__": None, **names}
    with _as_in_python():
        try:
            if text is not None:
                exec(compile(text, "<-c>", "exec"), names)
            elif not sys.stdin.isatty():
                exec(compile(sys.stdin.read(), "<stdin>", "exec"), names)
            elif plain or not _run_ipython(names, greeting):
                _run_plain(names, greeting)
        except SystemExit as error:
            return _code_of(error)
        except KeyboardInterrupt:
            print("KeyboardInterrupt", file=sys.stderr)
            return 130
        except Exception as error:
            _show_traceback(error)
            return 1
    return 0


def _code_of(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


def _show_traceback(error: Exception) -> None:
    """Print the traceback as Python does, from the user's first line on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


@contextmanager
def _as_in_python() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt, and tracebacks be Python's: the command line has changed both."""
    hook, sys.excepthook = sys.excepthook, sys.__excepthook__
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        sys.excepthook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


# --- IPython ---------------------------------------------------------------------------------------


def _run_ipython(names: dict[str, Any], greeting: str) -> bool:
    """Run IPython; return False where it is not installed."""
    try:
        from IPython import start_ipython
        from IPython.terminal.interactiveshell import TerminalInteractiveShell
        from traitlets.config import Config
    except ImportError:
        return False
    config = Config()
    config.TerminalIPythonApp.display_banner = True
    config.TerminalInteractiveShell.banner1 = greeting + "\n"
    config.TerminalInteractiveShell.confirm_exit = False
    if hasattr(TerminalInteractiveShell, "enable_tip"):  # not in every version
        config.TerminalInteractiveShell.enable_tip = False
    with tempfile.TemporaryDirectory() as folder:
        if not _can_write(Path(os.environ.get("IPYTHONDIR") or Path.home() / ".ipython")):
            config.TerminalIPythonApp.ipython_dir = folder  # IPython would complain of the other
            config.HistoryManager.enabled = False
        del names["__name__"], names["__doc__"]  # IPython has its own
        start_ipython(argv=[], user_ns=names, config=config)
    return True


def _can_write(folder: Path) -> bool:
    """Return whether files can be made in a folder, or the folder itself."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)


# --- Python's own ----------------------------------------------------------------------------------


def _run_plain(names: dict[str, Any], greeting: str) -> None:
    history = _start_readline(names)
    try:
        code.interact(greeting, local=names, exitmsg="")
    finally:
        if history is not None:
            with suppress(OSError):
                import readline

                history.parent.mkdir(parents=True, exist_ok=True)
                readline.write_history_file(history)


def _start_readline(names: dict[str, Any]) -> Path | None:
    """Turn on completion by the tab key, and history; return its file, None where there is no readline."""
    try:
        import readline
        import rlcompleter
    except ImportError:  # Windows
        return None
    import platformdirs

    readline.set_completer(rlcompleter.Completer(names).complete)
    uses_libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if uses_libedit else "tab: complete")
    history = Path(platformdirs.user_state_dir("liftgrad")) / "repl_history"
    with suppress(OSError):
        readline.read_history_file(history)
    readline.set_history_length(1000)
    return history
