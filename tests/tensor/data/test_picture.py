"""tensor/data/picture.py: any picture of a digit becomes what MNIST would have made of it."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tensor.data.idx import DataError
from tensor.data.picture import fit_digit, read_digit


def draw_seven(size=(200, 300), pen=14, paper=255, ink=0, mode="L"):
    """Draw a 7 somewhere off the middle."""
    picture = Image.new(mode, size, paper)
    pencil = ImageDraw.Draw(picture)
    pencil.line([(30, 40), (110, 40), (60, 170)], fill=ink, width=pen, joint="curve")
    return picture


def assert_like_mnist(digit):
    assert digit.shape == (28, 28)
    assert digit.dtype == np.uint8
    rows, columns = np.nonzero(digit.any(1))[0], np.nonzero(digit.any(0))[0]
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
    weights = digit / digit.sum()
    assert abs((weights.sum(1) @ np.arange(28)) - 14) <= 0.6
    assert abs((weights.sum(0) @ np.arange(28)) - 14) <= 0.6
    assert digit.max() == 255
    assert digit[0].max() == 0


@pytest.fixture(scope="module")
def seven():
    return fit_digit(np.asarray(draw_seven()) / 255.0)


def test_a_drawn_digit(seven):
    assert_like_mnist(seven)


def near(a, b):
    return np.abs(a.astype(int) - b.astype(int)).mean() < 3.0


SAME = {
    "light on dark": draw_seven(paper=0, ink=255),
    "gray on gray": draw_seven(paper=200, ink=90),
    "wide": draw_seven(size=(640, 200)),
    "colour": draw_seven(paper=(255, 250, 240), ink=(20, 20, 120), mode="RGB"),
    "ink on glass": draw_seven(paper=(0, 0, 0, 0), ink=(0, 0, 0, 255), mode="RGBA"),
    "chalk on glass": draw_seven(paper=(0, 0, 0, 0), ink=(255, 255, 255, 255), mode="RGBA"),
    "palette": draw_seven(paper=(255, 255, 255), ink=(0, 0, 0), mode="RGB").quantize(4),
    "bits": draw_seven(mode="1", paper=1, ink=0),
    "large": draw_seven().resize((800, 1200)),
    "sixteen bits": Image.fromarray(np.asarray(draw_seven()).astype(np.uint16) * 257),
}


@pytest.mark.parametrize("kind", list(SAME))
def test_the_same_digit_in_other_pictures(kind, seven, tmp_path):
    SAME[kind].save(tmp_path / "seven.png")
    digit = read_digit(tmp_path / "seven.png")
    assert_like_mnist(digit)
    assert near(digit, seven)


def test_jpeg(seven, tmp_path):
    draw_seven().save(tmp_path / "seven.jpg", quality=60)
    assert near(read_digit(tmp_path / "seven.jpg"), seven)


def test_a_digit_that_is_ready_is_taken_as_it_is(seven, tmp_path):
    shifted = np.roll(seven, 3, axis=1)
    Image.fromarray(shifted).save(tmp_path / "d.png")
    assert np.array_equal(read_digit(tmp_path / "d.png"), shifted)


def test_dark_on_light_is_not_ready(seven, tmp_path):
    Image.fromarray(255 - seven).save(tmp_path / "d.png")
    assert near(read_digit(tmp_path / "d.png"), seven)


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (3, 3)])
def test_a_stroke_of_any_form(size):
    gray = np.ones((size[0] + 20, size[1] + 20))
    gray[10:-10, 10:-10] = 0.0
    digit = fit_digit(gray)
    assert digit.max() == 255
    assert digit.shape == (28, 28)


@pytest.mark.parametrize(
    "gray", [np.ones((40, 40)), np.zeros((28, 28)), np.full((9, 9), 0.5), np.ones((0, 5))]
)
def test_nothing_drawn(gray):
    with pytest.raises(ValueError, match="nothing drawn"):
        fit_digit(gray)


def test_no_picture(tmp_path):
    (tmp_path / "t.png").write_text("hello")
    with pytest.raises(DataError, match="expected a picture"):
        read_digit(tmp_path / "t.png")
    with pytest.raises(DataError, match="no such file"):
        read_digit(tmp_path / "none.png")
    Image.new("L", (30, 30), 255).save(tmp_path / "blank.png")
    with pytest.raises(DataError, match=r"blank\.png: expected a digit, got a picture with nothing"):
        read_digit(tmp_path / "blank.png")
    Image.new("1", (10_000, 6_000)).save(tmp_path / "huge.png")
    with pytest.raises(DataError, match="at most 50,000,000 pixels"):
        read_digit(tmp_path / "huge.png")


def test_every_truncation_is_one_error(tmp_path):
    draw_seven().save(tmp_path / "seven.png")
    content = (tmp_path / "seven.png").read_bytes()
    for size in (1, 8, 20, 40, 60, len(content) // 2):
        (tmp_path / "cut.png").write_bytes(content[:size])
        with pytest.raises(DataError) as caught:
            read_digit(tmp_path / "cut.png")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("factor", [1, 16])
def test_integers_of_8_and_12_bits(factor, seven, tmp_path):
    Image.fromarray(np.asarray(draw_seven(), np.int32) * factor).save(tmp_path / "seven.tiff")
    assert near(read_digit(tmp_path / "seven.tiff"), seven)


def test_pixels_that_are_no_number(tmp_path):
    Image.fromarray(np.full((30, 30), np.nan, np.float32)).save(tmp_path / "nan.tiff")
    with pytest.raises(DataError, match=r"nan\.tiff: expected finite numbers"):
        read_digit(tmp_path / "nan.tiff")


def test_a_picture_that_unpacks_to_too_much(tmp_path, monkeypatch):
    draw_seven().save(tmp_path / "seven.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="at most 50,000,000 pixels"):
        read_digit(tmp_path / "seven.png")
