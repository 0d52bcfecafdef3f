"""tensor/data/mnist.py: disk, cache, network, against a server of our own on this machine."""

import gzip
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tensor.data import mnist
from tensor.data.idx import DataError, write_idx

ARRAYS = {
    "train-images-idx3-ubyte": np.arange(5 * 28 * 28).reshape(5, 28, 28).astype(np.uint8),
    "train-labels-idx1-ubyte": np.array([5, 0, 4, 1, 9], np.uint8),
    "t10k-images-idx3-ubyte": np.ones((2, 28, 28), np.uint8),
    "t10k-labels-idx1-ubyte": np.array([7, 2], np.uint8),
}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a small MNIST in a folder to be served, and its checksums the expected ones."""
    folder = tmp_path / "site" / "mnist"
    folder.mkdir(parents=True)
    files = {}
    for name, array in ARRAYS.items():
        write_idx(folder / f"{name}.gz", array)
        packed = (folder / f"{name}.gz").read_bytes()
        files[name] = (hashlib.sha256(gzip.decompress(packed)).hexdigest(), 123)
    monkeypatch.setattr(mnist, "FILES", files)
    monkeypatch.setenv("LIFTGRAD_CACHE", str(tmp_path / "cache"))
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture
def server(site: Path) -> Iterator[str]:
    handler = partial(QuietHandler, directory=str(site.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}/"
        http.shutdown()
        thread.join()


def check(split: mnist.Split) -> None:
    assert split.name == "mnist"
    np.testing.assert_array_equal(split.train_images, ARRAYS["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(split.train_labels, ARRAYS["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(split.test_images, ARRAYS["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(split.test_labels, ARRAYS["t10k-labels-idx1-ubyte"])


def test_from_a_directory(site: Path) -> None:
    check(mnist.load(site, mirrors=()))


def test_downloaded_once_then_from_the_cache(server: str, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    check(mnist.load(mirrors=[server + "mnist/"], progress=lambda done, total: calls.append((done, total))))
    assert calls
    assert calls[-1][0] == calls[-1][1]
    assert all(done <= total for done, total in calls)
    assert sorted(os.listdir(tmp_path / "cache" / "mnist")) == sorted(ARRAYS)

    calls.clear()
    check(mnist.load(mirrors=(), progress=lambda done, total: calls.append((done, total))))
    assert calls == []


def test_the_next_mirror_is_tried(server: str) -> None:
    check(mnist.load(mirrors=[server + "empty/", server + "mnist"]))


def test_another_compression_is_as_good(server: str, site: Path) -> None:
    path = site / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=5))
    check(mnist.load(mirrors=[server + "mnist/"]))


@pytest.mark.parametrize("damage", ["changed", "truncated", "not gzip", "empty"])
def test_a_checksum_mismatch_is_one_error_and_leaves_nothing(
    server: str, site: Path, tmp_path: Path, damage: str
) -> None:
    path = site / "t10k-images-idx3-ubyte.gz"
    if damage == "changed":
        write_idx(path, np.zeros((2, 28, 28), np.uint8))
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        path.write_bytes(b"<html>" if damage == "not gzip" else b"")
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.*checksum mismatch.*--data-dir") as caught:
        mnist.load(mirrors=[server + "mnist/"])
    assert "\n" not in str(caught.value)
    kept = os.listdir(tmp_path / "cache" / "mnist")
    assert "t10k-images-idx3-ubyte" not in kept
    assert not [name for name in kept if name not in ARRAYS]


def test_a_damaged_cache_is_fetched_again(server: str, tmp_path: Path) -> None:
    mnist.load(mirrors=[server + "mnist/"])
    path = tmp_path / "cache" / "mnist" / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x03")
    check(mnist.load(mirrors=[server + "mnist/"]))


def test_a_missing_file_on_every_mirror(server: str) -> None:
    with pytest.raises(DataError, match=r"tried .*/a/train.*\(HTTP 404\), .*/b/train.*\(HTTP 404\)"):
        mnist.load(mirrors=[server + "a/", server + "b/"])


def test_no_network(site: Path) -> None:
    with socket.socket() as taken:  # a port that nobody serves, once it is closed
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(DataError, match=r"no connection.*--data-dir.*--data digits") as caught:
        mnist.load(mirrors=[f"http://127.0.0.1:{port}/mnist/"])
    assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIFTGRAD_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written .*LIFTGRAD_CACHE"):
        mnist.load(mirrors=[server + "mnist/"])


def test_the_checksums_are_those_of_the_real_mnist(mnist_folder: Path) -> None:
    for name, (checksum, _) in mnist.FILES.items():
        packed, plain = mnist_folder / f"{name}.gz", mnist_folder / name
        data = gzip.decompress(packed.read_bytes()) if packed.is_file() else plain.read_bytes()
        assert hashlib.sha256(data).hexdigest() == checksum
