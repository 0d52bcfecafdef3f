"""kernels/cpu/raster.py: the form of MNIST, and bytes that depend on seed and index alone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kernels.cpu import raster
from tensor.data.stroke_tables import stroke_tables


def draw(seed: int, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    images = np.full((count, 28, 28), 7, np.uint8)
    labels = np.full(count, 77, np.uint8)
    raster.draw_digits(np.uint64(seed), np.uint64(first), *stroke_tables(), images, labels)
    return images, labels


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    return draw(3, 0, 2000)


def test_the_ink_touches_a_box_of_20(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, _ = digits
    heights = (images > 0).any(axis=2).sum(axis=1)
    widths = (images > 0).any(axis=1).sum(axis=1)
    longest = np.maximum(heights, widths)
    assert longest.max() <= 20
    assert (longest >= 18).mean() > 0.99


def test_the_mass_is_in_the_middle(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, _ = digits
    ink = images.astype(float)
    mass = ink.sum(axis=(1, 2))
    middle = np.arange(28) + 0.5
    row = (ink.sum(axis=2) @ middle) / mass
    column = (ink.sum(axis=1) @ middle) / mass
    # whole pixels: half a pixel off at most, and rounding to 8 bits
    assert np.abs(row - 14).max() < 0.51
    assert np.abs(column - 14).max() < 0.51


def test_ink_is_black_and_edges_are_grey(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, _ = digits
    assert (images.reshape(len(images), -1).max(axis=1) > 150).all()
    grey = ((images > 0) & (images < 255)).mean(axis=(1, 2))
    assert grey.min() > 0.01
    # MNIST: mean 0.1307, standard deviation 0.3081
    assert images.mean() / 255 == pytest.approx(0.1307, abs=0.01)
    assert images.std() / 255 == pytest.approx(0.3081, abs=0.015)


def test_all_labels_are_written(digits: tuple[np.ndarray, np.ndarray]) -> None:
    _, labels = digits
    counts = np.bincount(labels, minlength=10)
    assert len(counts) == 10
    assert counts.min() > 140


@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 50), (17, 20), (1999, 1), (5, 0)])
def test_a_digit_depends_on_seed_and_index_alone(
    digits: tuple[np.ndarray, np.ndarray], first: int, count: int
) -> None:
    images, labels = draw(3, first, count)
    np.testing.assert_array_equal(images, digits[0][first : first + count])
    np.testing.assert_array_equal(labels, digits[1][first : first + count])


def test_two_threads_draw_the_same_bytes(digits: tuple[np.ndarray, np.ndarray]) -> None:
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda first: draw(3, first, 500), range(0, 2000, 500)))
    np.testing.assert_array_equal(np.concatenate([images for images, _ in parts]), digits[0])
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in parts]), digits[1])


@pytest.mark.parametrize("seed", [0, 1, 4, 2**63, 2**64 - 1])
def test_another_seed_draws_other_digits(digits: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    images, _ = draw(seed, 0, 200)
    assert not (images[:, None] == digits[0][None, :200]).all(axis=(2, 3)).any()


def test_no_digit_is_drawn_twice(digits: tuple[np.ndarray, np.ndarray]) -> None:
    assert len({image.tobytes() for image in digits[0]}) == len(digits[0])


def test_the_stream_is_splitmix64() -> None:
    # the published test vector: seed 1234567
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    for step, value in enumerate(expected, start=1):
        bits = (1234567 + step * int(raster.GOLDEN)) % 2**64
        assert int(raster.mix(np.uint64(bits))) == value
    state = np.array([1234567], np.uint64)
    for value in expected:
        assert raster.uniform(state, 0.0, 1.0) == (value >> 11) * 2.0**-53


def test_the_bell_curve_has_its_moments_and_ends() -> None:
    state = np.array([9], np.uint64)
    sample = np.array([raster.normal(state, 2.0, 0.5) for _ in range(20000)])
    assert sample.mean() == pytest.approx(2.0, abs=0.02)
    assert sample.std() == pytest.approx(0.5, abs=0.02)
    assert np.abs(sample - 2.0).max() <= 1.5
