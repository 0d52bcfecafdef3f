"""tensor/data/idx.py: every array comes back, and every broken file is one DataError."""

import gzip
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tensor.data.idx import CODES, DataError, find_file, load_directory, read_idx, write_idx

DTYPES = sorted(CODES, key=str)
same_folder = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


def complaint_about(path: Path) -> str:
    try:
        read_idx(path)
    except DataError as error:
        return str(error)
    return ""


@same_folder
@given(array=arrays, suffix=st.sampled_from(["", ".gz"]))
def test_round_trip(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"array{suffix}"
    write_idx(path, array)
    back = read_idx(path)
    assert back.dtype == array.dtype
    assert back.dtype.isnative
    assert back.shape == array.shape
    assert back.tobytes() == np.ascontiguousarray(array).tobytes()
    assert back.flags.writeable
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == (suffix == ".gz")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_cut_at_any_byte_is_a_data_error(tmp_path: Path, suffix: str) -> None:
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / "cut"
    write_idx(whole, np.arange(60, dtype=np.int32).reshape(3, 4, 5))
    data = whole.read_bytes()
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        with pytest.raises(DataError, match="cut: expected"):
            read_idx(cut)


@same_folder
@given(data=st.data())
def test_a_changed_byte_is_a_data_error_or_another_array(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / data.draw(st.sampled_from(["array", "array.gz"]))
    write_idx(path, np.arange(12, dtype=np.int16).reshape(3, 4))
    changed = bytearray(path.read_bytes())
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(changed)
    complaint = complaint_about(path)
    assert complaint == "" or complaint.startswith(str(path))
    assert "\n" not in complaint


@same_folder
@given(content=st.binary(max_size=40))
def test_any_bytes_are_a_data_error_or_an_array(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bytes"
    for head in (b"", b"\0\0\x08\x01", b"\x1f\x8b"):
        path.write_bytes(head + content)
        assert "\n" not in complaint_about(path)


def header(code: int, *shape: int) -> bytes:
    return struct.pack(f">4B{len(shape)}I", 0, 0, code, len(shape), *shape)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (b"\0\0", "got 00 00"),
        (b"PNG\0\0\0\0\0", "expected an IDX file, which begins 00 00, got 50 4e 47 00"),
        (header(0x07, 2) + b"ab", "expected an IDX type code .*0x08.*, got 0x07"),
        (header(0x08, 2, 2)[:-3], "expected the sizes of 2 dimensions, got 5 bytes"),
        (header(0x08, 2, 2) + b"abc", r"expected 4 bytes of data for \(2, 2\), got 3"),
        (header(0x08, 2, 2) + b"abcde", r"expected 4 bytes of data for \(2, 2\), got"),
        (header(0x0E, *[2**32 - 1] * 3) + b"a", "bytes of data for .*, got 1;"),
        (header(0x08, *[1] * 255) + b"a", "255 dimensions"),
        (header(0x08, 0, *[2**32 - 1] * 6), "NumPy"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_wrong_is_said(tmp_path: Path, content: bytes, message: str, packed: bool) -> None:
    path = tmp_path / "broken"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=message):
        read_idx(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_idx(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path)


def test_gzip_followed_by_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "array.gz"
    write_idx(path, np.zeros(5, np.uint8))
    path.write_bytes(path.read_bytes() + b"rubbish")
    with pytest.raises(DataError, match="whole gzip file"):
        read_idx(path)


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid"), reason="POSIX permissions")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(0)
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(path)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.complex64, np.float16, np.uint16])
def test_a_dtype_idx_does_not_have(tmp_path: Path, dtype: type) -> None:
    with pytest.raises(DataError, match="astype"):
        write_idx(tmp_path / "array", np.zeros(3, dtype))
    assert os.listdir(tmp_path) == []


def test_big_endian_and_strided_arrays_are_written_too(tmp_path: Path) -> None:
    array = np.arange(24, dtype=">i4").reshape(4, 6)[::2, ::-1].T
    write_idx(tmp_path / "array", array)
    np.testing.assert_array_equal(read_idx(tmp_path / "array"), array)


def test_the_same_array_packs_to_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        write_idx(tmp_path / name, np.arange(9, dtype=np.uint8))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def write_set(folder: Path, dotted: bool = False, suffix: str = "", **changes: np.ndarray) -> None:
    parts = {
        "train_images": np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7),
        "train_labels": np.array([0, 1, 2, 9, 4], np.uint8),
        "t10k_images": np.ones((2, 6, 7), np.uint8),
        "t10k_labels": np.array([3, 0], np.uint8),
    } | changes
    for key, array in parts.items():
        part, kind = key.split("_")
        write_idx(
            folder / f"{part}-{kind}{'.' if dotted else '-'}idx{3 if kind == 'images' else 1}-ubyte{suffix}",
            array,
        )


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_directory_loads_by_any_of_its_names(tmp_path: Path, dotted: bool, suffix: str) -> None:
    write_set(tmp_path, dotted, suffix)
    split = load_directory(tmp_path)
    assert split.name == "idx"
    assert split.classes == 10
    assert split.train_images.shape == (5, 6, 7)
    assert split.train_images.dtype == np.uint8
    assert split.test_images.shape == (2, 6, 7)
    assert split.train_labels.dtype == split.test_labels.dtype == np.int64
    np.testing.assert_array_equal(split.train_labels, [0, 1, 2, 9, 4])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": np.zeros(4, np.uint8)}, "a label for each of 5 images, got 4 labels"),
        ({"t10k_labels": np.zeros(3, np.uint8)}, "a label for each of 2 images, got 3 labels"),
        ({"train_images": np.zeros(5, np.uint8)}, "images of 3 dimensions, uint8, got 1 dimensions"),
        ({"train_images": np.zeros((5, 6, 7), np.float32)}, "uint8, got 3 dimensions, float32"),
        ({"train_labels": np.zeros((5, 1), np.uint8)}, "labels of 1 dimension, integers, got 2"),
        ({"train_labels": np.zeros(5, np.float64)}, "integers, got 1 dimensions, float64"),
        ({"train_labels": np.array([0, 1, 10, 2, 3], np.uint8)}, "labels from 0 to 9, got 10"),
        ({"train_labels": np.array([0, 1, -1, 2, 3], np.int32)}, "labels from 0 to 9, got -1"),
        ({"t10k_images": np.zeros((2, 6, 8), np.uint8)}, r"of one size, got \(6, 7\) and \(6, 8\)"),
        (
            {"train_images": np.zeros((0, 6, 7), np.uint8), "train_labels": np.zeros(0, np.uint8)},
            "expected images, got none",
        ),
    ],
)
def test_a_set_that_does_not_agree(tmp_path: Path, changes: dict[str, np.ndarray], message: str) -> None:
    write_set(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        load_directory(tmp_path)
    assert "\n" not in str(caught.value)


def test_more_classes_may_be_asked_for(tmp_path: Path) -> None:
    write_set(tmp_path, train_labels=np.array([0, 46, 2, 3, 4], np.uint8))
    assert load_directory(tmp_path, "letters", classes=47).classes == 47


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder; --data-dir"):
        load_directory(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is not a folder"):
        load_directory(tmp_path / "file")
    with pytest.raises(DataError, match="expected train-images-idx3-ubyte"):
        load_directory(tmp_path)


def test_the_unpacked_file_is_preferred(tmp_path: Path) -> None:
    write_set(tmp_path, suffix=".gz")
    write_set(tmp_path)
    assert find_file(tmp_path, "train", "images-idx3").suffix == ""


def test_the_real_mnist(mnist_folder: Path) -> None:
    split = load_directory(mnist_folder, "mnist")
    assert split.train_images.shape == (60_000, 28, 28)
    assert split.test_images.shape == (10_000, 28, 28)
    assert split.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(split.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
