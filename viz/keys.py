"""Keys as they are pressed, and a screen of one's own to draw on; both given back however it ends."""

import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

try:
    import termios
    import tty
except ImportError:  # Windows has none: there is no stepping by keys there
    termios = tty = None  # type: ignore[assignment]

_NAMES = {
    "\x1b[C": "right", "\x1bOC": "right", "\x1b[B": "right", "\x1bOB": "right",
    "\x1b[D": "left", "\x1bOD": "left", "\x1b[A": "left", "\x1bOA": "left",
    "\x1b[F": "end", "\x1bOF": "end", "\x1b[4~": "end", "\x1b[8~": "end",
    "\x1b[H": "home", "\x1bOH": "home", "\x1b[1~": "home", "\x1b[7~": "home",
    "\x1b[6~": "page down", "\x1b[5~": "page up",
    "\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace", " ": "space", "\t": "tab",
    "\x1b": "escape", "\x04": "q", "\x03": "interrupt",
}  # fmt: skip

_KEY = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1bO[ -~]|(?s:.)")
_BEGUN = re.compile(r"\x1b(\[[0-9;?]*[ -/]*|O)?")


def can_read_keys() -> bool:
    """Whether a person sits at a terminal that can be drawn on."""
    return (
        termios is not None
        and sys.stdin is not None  # as after `<&-`
        and sys.stdin.isatty()
        and sys.stdout.isatty()
        and os.environ.get("TERM", "dumb") not in ("", "dumb")
    )


class Keys:
    """Reads keys, within `reading()`."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._waiting: list[str] = []
        self._rest = b""

    @contextmanager
    def reading(self, redraw: Callable[[], None]) -> Iterator[None]:
        """Take screen and keys; give both back at the end, and while Ctrl-Z has stopped the process."""
        before = termios.tcgetattr(self._descriptor)

        def enter() -> None:
            tty.setcbreak(self._descriptor, termios.TCSADRAIN)
            _write("\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J")

        def leave() -> None:
            _write("\x1b[?25h\x1b[?1049l")
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, before)

        def stop(number: int, _: Any) -> None:
            leave()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)  # here the process stands until `fg`
            signal.signal(number, stop)
            enter()
            redraw()

        stopped = signal.signal(signal.SIGTSTP, stop)
        try:
            enter()
            yield
        finally:
            signal.signal(signal.SIGTSTP, stopped)
            leave()

    def read(self, seconds: float) -> str | None:
        """Return the next key, by name or as its character; None if none came in time; "q" at the end."""
        if not self._waiting:
            if not select.select([self._descriptor], [], [], seconds)[0]:
                return None
            try:
                piece = os.read(self._descriptor, 1024)
            except OSError:  # the terminal is gone
                piece = b""
            if not piece:
                return "q"
            text = self._decode(piece)
            while "\x1b" in text and _BEGUN.fullmatch(text[text.rfind("\x1b") :]):
                # the rest of an arrow key comes at once, or it was Escape
                if not select.select([self._descriptor], [], [], 0.05)[0]:
                    break
                if not (piece := os.read(self._descriptor, 8)):
                    break
                text += self._decode(piece)
            self._waiting = _KEY.findall(text)
        key = self._waiting.pop(0) if self._waiting else ""
        return _NAMES.get(key, key)

    def _decode(self, piece: bytes) -> str:
        """Return the characters of what came, and keep half a character for the next time."""
        piece = self._rest + piece
        for length in range(4):
            try:
                text = piece[: len(piece) - length].decode()
            except UnicodeDecodeError:
                continue
            self._rest = piece[len(piece) - length :]
            return text
        self._rest = b""
        return piece.decode(errors="replace")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
