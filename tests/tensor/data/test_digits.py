"""tensor/data/digits.py: generated once, cached, and never a crash for a cache that is broken."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from tensor.data import digits, stroke_tables, strokes
from tensor.data.idx import load_directory
from tensor.data.split import Split


@pytest.fixture(autouse=True)
def small_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFTGRAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digits, "TRAIN_COUNT", 120)
    monkeypatch.setattr(digits, "TEST_COUNT", 30)


def cache_folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / f"digits-{digits.version()}"


def assert_equal(one: Split, other: Split) -> None:
    np.testing.assert_array_equal(one.train_images, other.train_images)
    np.testing.assert_array_equal(one.train_labels, other.train_labels)
    np.testing.assert_array_equal(one.test_images, other.test_images)
    np.testing.assert_array_equal(one.test_labels, other.test_labels)


@pytest.mark.parametrize("seed", [0, 7, -1, 2**64 + 7])
@pytest.mark.parametrize("count", [0, 1, 10, 1001])
def test_generate_is_a_prefix_of_a_longer_run(count: int, seed: int) -> None:
    images, labels = digits.generate(count, seed)
    assert images.shape == (count, 28, 28)
    assert images.dtype == np.uint8
    assert labels.shape == (count,)
    assert labels.dtype == np.uint8
    more_images, more_labels = digits.generate(count + 9, seed)
    np.testing.assert_array_equal(more_images[:count], images)
    np.testing.assert_array_equal(more_labels[:count], labels)


def test_generate_reports_progress_to_the_end() -> None:
    calls: list[tuple[int, int]] = []
    digits.generate(2500, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1000, 2500), (2000, 2500), (2500, 2500)]


def test_generate_refuses_a_negative_count() -> None:
    with pytest.raises(ValueError, match="count"):
        digits.generate(-1)


def test_load_draws_once_and_reads_afterwards(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    drawn = digits.load(lambda done, total: calls.append((done, total)))
    assert (drawn.name, drawn.classes) == ("digits", 10)
    assert drawn.train_images.shape == (120, 28, 28)
    assert drawn.test_images.shape == (30, 28, 28)
    assert drawn.train_labels.dtype == drawn.test_labels.dtype == np.int64
    assert calls[0] == (0, 150)
    assert calls[-1] == (150, 150)
    assert sorted(calls) == calls

    calls.clear()
    read = digits.load(lambda done, total: calls.append((done, total)))
    assert calls == []
    assert_equal(read, drawn)
    assert read.train_images.flags.writeable

    # the same files serve as a --data-dir
    assert_equal(load_directory(cache_folder(tmp_path)), drawn)


def test_the_test_part_is_drawn_from_another_seed() -> None:
    split = digits.load()
    train = {image.tobytes() for image in split.train_images}
    assert not any(image.tobytes() in train for image in split.test_images)


@pytest.mark.parametrize("name", [*digits.FILES, digits.CHECKSUMS])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "missing", "folder", "longer"])
def test_a_broken_cache_is_drawn_anew(tmp_path: Path, name: str, damage: str) -> None:
    drawn = digits.load()
    path = cache_folder(tmp_path) / name
    whole = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(whole[:-1])
    elif damage == "flipped":
        path.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "longer":
        path.write_bytes(whole + b"x")
    elif damage == "folder":
        path.mkdir()
    with warnings.catch_warnings():
        if damage == "folder":  # cannot be replaced by a file
            warnings.simplefilter("ignore")
        assert_equal(digits.load(), drawn)
    if damage != "folder":
        assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = digits.load()
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIFTGRAD_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="LIFTGRAD_CACHE") as caught:
        assert_equal(digits.load(), drawn)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)


def test_older_versions_are_forgotten_and_nothing_else(tmp_path: Path) -> None:
    for name in ("digits-0123456789ab", "digits-of-mine", "mnist"):
        (tmp_path / "cache" / name).mkdir(parents=True)
        (tmp_path / "cache" / name / "file").touch()
    digits.load()
    kept = sorted(os.listdir(tmp_path / "cache"))
    assert kept == sorted([f"digits-{digits.version()}", "digits-of-mine", "mnist"])


def test_an_interrupt_leaves_no_cache(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        digits.load(interrupt)
    assert not cache_folder(tmp_path).exists()


def test_the_strokes_are_whole() -> None:
    tables = stroke_tables.stroke_tables()
    assert len(tables.digit_start) == 11
    assert len(strokes.FAMILIES) == 10
    assert (tables.family_share[tables.digit_start[1:] - 1] == 1.0).all()
    assert len(tables.points) == (tables.family_points * tables.family_variants).sum()
    assert len(tables.stroke_of_point) == len(tables.points)
    assert tables.points.min() >= -0.1
    assert tables.points.max() <= 1.1


def test_a_variant_reads_as_points_strokes_and_corners() -> None:
    points, stroke = stroke_tables.parse_variant("0,50 100,25! / 10,20")
    assert points == [(0.0, 0.5), (1.0, 0.25), (1.0, 0.25), (0.1, 0.2)]
    assert stroke == [0, 0, 0, 1]


def test_variants_of_different_form_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stroke_tables, "FAMILIES", (((1.0, ("0,0 1,1", "0,0! 1,1")),),))
    with pytest.raises(ValueError, match="digit 0"):
        stroke_tables.stroke_tables()
