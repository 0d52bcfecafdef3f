"""Write files so that a kill at any moment leaves the old file or the new one, never half of one.

Standard library only: saving a model, a data cache and a log all come here.
"""

import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any


@contextmanager
def atomic_write(
    path: str | os.PathLike[str], mode: str = "wb", encoding: str | None = None
) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` for writing, and move it onto `path` when the block ends well.

    mode: "wb" for bytes (the default) or "w" for text; `encoding` is for text and defaults to UTF-8.
    The folder must exist. If the block raises (KeyboardInterrupt included), `path` is as it was and the
    temporary file is gone. A symbolic link is followed: what it points at is replaced, not the link. The
    permissions of a file that is replaced are kept. Something that is not a regular file (a pipe,
    `/dev/null`) cannot be replaced by a move, so it is written to directly.

    Raises OSError (with `filename` set to `path`) for a missing folder, an unwritable place, a full disk or a
    `path` that is a folder, and ValueError for another mode.
    """
    if mode not in ("wb", "w"):
        raise ValueError(f"atomic_write: mode must be 'wb' or 'w', got {mode!r}")
    if mode == "w" and encoding is None:
        encoding = "utf-8"
    target = Path(os.path.realpath(path))
    permissions = None
    if target.exists():
        kind = target.stat().st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(21, "Is a directory", str(path))
        if not stat.S_ISREG(kind):
            with open(target, mode, encoding=encoding) as stream:
                yield stream
            return
        permissions = stat.S_IMODE(kind)

    _remove_stale(target)
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        # not tempfile.mkstemp: it creates 0600 whatever the umask, and the move would keep that
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
        )
    except OSError as error:
        raise _naming(error, path) from None
    try:
        with open(descriptor, mode, encoding=encoding) as stream:
            yield stream
            stream.flush()
            # without it a power cut can leave the new name on empty blocks
            os.fsync(stream.fileno())
        if permissions is not None:
            with suppress(OSError):
                os.chmod(temporary, permissions)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            raise _naming(error, path) from error
        raise
    _sync_folder(target.parent)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file of this content by `atomic_write`, whose errors it raises."""
    with atomic_write(path) as file:
        file.write(content)


STALE = 3600.0
"""Seconds after which a temporary file must be what a kill left behind."""


def _remove_stale(target: Path) -> None:
    """Remove the temporary files beside `target` that earlier writers, killed, have left."""
    pattern = re.compile(rf"\.{re.escape(target.name[:100])}\.[0-9a-f]{{12}}\.tmp")
    with suppress(OSError):
        for entry in os.scandir(target.parent):
            with suppress(OSError):
                if pattern.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > STALE:
                    os.unlink(entry.path)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError now, with `filename` set to `path`, if a file could not be written there later."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory", os.fspath(path))
    try:
        if target.is_file() and not os.access(target, os.W_OK):  # a move would replace it all the same
            raise PermissionError(13, "Permission denied")
        if target.exists() and not target.is_file():  # a device or a pipe is written to directly
            return
        # the folder's permissions are not the whole truth (root, read-only file systems): try
        with TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _naming(error: OSError, path: str | os.PathLike[str]) -> OSError:
    """Return the same error about `path`: the temporary name means nothing to the user."""
    return OSError(error.errno, error.strerror, os.fspath(path))


def _sync_folder(folder: Path) -> None:
    """Make the move itself durable, where the system allows it."""
    with suppress(OSError):  # Windows opens no folder, and some file systems sync none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
