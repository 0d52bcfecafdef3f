"""tensor/files.py: the old file or the new one, never half of one."""

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from tensor.files import atomic_write


def write_and_raise(path: Path, error: BaseException) -> None:
    with atomic_write(path) as stream:
        stream.write(b"half")
        raise error


posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and links")


@pytest.mark.parametrize(
    ("mode", "content"), [("wb", b"new \x00\xff"), ("w", "new \N{GREEK SMALL LETTER ALPHA}\n")]
)
@pytest.mark.parametrize("old", [None, b"old"])
def test_writes_the_new_content(tmp_path: Path, mode: str, content: bytes | str, old: bytes | None) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    with atomic_write(path, mode) as stream:
        stream.write(content)
        # the move comes last
        assert (path.read_bytes() if path.exists() else None) == old
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [RuntimeError("broke"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_error_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: BaseException, old: bytes | None
) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(type(error)) as caught:
        write_and_raise(path, error)
    assert caught.value is error
    assert os.listdir(tmp_path) == ([] if old is None else ["file"])
    if old is not None:
        assert path.read_bytes() == old


def test_a_full_disk_names_the_target(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        write_and_raise(tmp_path / "model", OSError(errno.ENOSPC, "No space left on device"))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_an_error_about_another_file_stays_about_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "model"):
        (tmp_path / "other").read_bytes()
    assert caught.value.filename == str(tmp_path / "other")


def test_a_missing_folder_names_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "no" / "model"):
        pass
    assert caught.value.filename == str(tmp_path / "no" / "model")


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), atomic_write(tmp_path):
        pass


def test_another_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mode"), atomic_write(tmp_path / "file", "ab"):
        pass


@posix_only
def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with atomic_write(tmp_path / "link") as stream:
        stream.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@posix_only
@pytest.mark.parametrize(("old_mode", "new_mode"), [(None, 0o640), (0o604, 0o604)])
def test_permissions_follow_the_umask_or_the_old_file(
    tmp_path: Path, old_mode: int | None, new_mode: int
) -> None:
    path = tmp_path / "file"
    if old_mode is not None:
        path.touch()
        path.chmod(old_mode)
    umask = os.umask(0o027)
    try:
        with atomic_write(path) as stream:
            stream.write(b"new")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == new_mode


@posix_only
def test_a_device_is_written_to_directly() -> None:
    with atomic_write("/dev/null") as stream:
        stream.write(b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_an_error_without_a_number_keeps_its_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in its own words"), atomic_write(tmp_path / "file"):
        raise OSError("in its own words")


def test_what_a_kill_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    names = [".file.0123456789ab.tmp", ".file.ba9876543210.tmp", ".file.mine.tmp", ".other.0123456789ab.tmp"]
    for name in names:
        (tmp_path / name).write_bytes(b"half")
        if name != names[1]:
            os.utime(tmp_path / name, (1.0, 1.0))
    with atomic_write(tmp_path / "file") as stream:
        stream.write(b"new")
    assert sorted(os.listdir(tmp_path)) == sorted(["file", *names[1:]])
