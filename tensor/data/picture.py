"""A picture of one digit, made into what MNIST's makers made of theirs: 28x28, light ink on black.

They scaled each digit to fit 20x20 pixels, keeping its proportions and smoothing its edges, and set its
centre of mass in the middle of 28x28 (LeCun et al. 1998, section III.A).
"""

import os
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tensor.data.idx import DataError

SIZE, FIT = 28, 20
LARGEST = 50_000_000
"""Pixels; a picture with more is refused before it is unpacked."""

FAINT, NOISE = 0.25, 0.1
"""Parts of the strongest ink: what is below FAINT does not count when the digit's limits are sought (ripples
that JPEG leaves beside a stroke), what is below NOISE is paper everywhere."""


def read_digit(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a picture file and return it as `fit_digit` makes it: (28, 28) uint8.

    Any kind of picture that Pillow reads; transparent parts are paper. Raises DataError where there is no
    file, where it is not a picture, or where nothing is drawn on it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                if picture.width * picture.height > LARGEST:
                    raise DataError(
                        f"expected a picture of at most {LARGEST:,} pixels, got "
                        f"{picture.width} x {picture.height}; make it smaller"
                    )
                gray = _to_gray(ImageOps.exif_transpose(picture))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except Image.DecompressionBombError:  # which Pillow raises before the size can be asked
        raise DataError(
            f"{path}: expected a picture of at most {LARGEST:,} pixels; make it smaller"
        ) from None
    except (UnidentifiedImageError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, DataError):
            raise DataError(f"{path}: {error}") from None
        raise DataError(f"{path}: expected a picture (PNG, JPEG, ...), got something else") from None
    except OSError as error:  # Pillow raises it for a truncated picture as well
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        return fit_digit(gray)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _to_gray(picture: Image.Image) -> NDArray[np.float64]:
    """Return the lightness of a picture's pixels, from 0 to 1."""
    if picture.mode.startswith(("I", "F")):  # 16 bits and more, which `convert("L")` would cut off at 255
        values = np.asarray(picture, np.float64)
        if not np.isfinite(values).all():
            raise DataError("expected finite numbers, got nan or inf among its pixels")
        strongest = values.max(initial=0.0)
        if picture.mode.startswith("I"):  # of 8, 12 or 16 bits: the file does not say
            strongest = next((top for top in (255.0, 4095.0) if strongest <= top), 65535.0)
        return values / max(strongest, 1e-9)
    if "A" in picture.getbands() or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        opacity = np.asarray(layered.getchannel("A"), np.float64) / 255.0
        gray = np.asarray(layered.convert("RGB").convert("L"), np.float64) / 255.0
        visible = opacity.sum()
        ink = (gray * opacity).sum() / visible if visible else 0.0
        return gray * opacity + (0.0 if ink > 0.5 else 1.0) * (
            1.0 - opacity
        )  # the paper is what the ink is not
    return np.asarray(picture.convert("L"), np.float64) / 255.0


def fit_digit(gray: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return a digit as MNIST has it: (28, 28) uint8, 0 for paper and up to 255 for ink.

    gray: (H, W), lightness from 0 to 1; dark ink on light paper, or light ink on dark. What is light on dark
    and 28x28 already is returned as it is. Raises ValueError where there is no ink.
    """
    paper = (
        float(np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]]))) if gray.size else 0.0
    )
    if gray.size == 0 or np.ptp(gray) < 0.05:
        raise ValueError("expected a digit, got a picture with nothing drawn on it")
    if gray.shape == (SIZE, SIZE) and paper < 0.5:
        return np.rint(gray * 255.0).astype(np.uint8)
    ink = np.clip(paper - gray if paper >= 0.5 else gray - paper, 0.0, None)
    if ink.max() < 0.05:
        raise ValueError("expected ink on paper, got a picture whose edge is darker than all else")
    return fit_ink(ink)


def fit_ink(ink: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return ink, (H, W) from 0 for paper, as MNIST has it: (28, 28) uint8. Some of it must be above 0.

    `viz/templates/digit.js` does the same in a browser.
    """
    ink = ink / ink.max()
    rows, columns = np.nonzero((ink > FAINT).any(1))[0], np.nonzero((ink > FAINT).any(0))[0]
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ink = np.where(ink > NOISE, ink, 0.0)
    scale = FIT / max(ink.shape)
    height, width = (max(1, round(n * scale)) for n in ink.shape)
    small = Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.LANCZOS)
    digit = np.clip(np.asarray(small, np.float64), 0.0, 1.0)
    digit = digit / digit.max()  # a thin pen would be pale after shrinking
    y, x = (np.arange(n) @ digit.sum(1 - axis) / digit.sum() for axis, n in enumerate(digit.shape))
    top, left = (min(max(round(SIZE / 2 - middle), 0), SIZE - n) for middle, n in ((y, height), (x, width)))
    out = np.zeros((SIZE, SIZE))
    out[top : top + height, left : left + width] = digit
    return np.rint(out * 255.0).astype(np.uint8)
