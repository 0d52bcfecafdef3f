"""Digits as people draw them with a mouse or a finger: pointer positions, written down by hand.

Nobody's data and no generator's: each line of `strokes.txt` is one way in which somebody writes a digit, in
Europe or in the United States, somewhere on the canvas, large or small, with one of the page's brushes.

    python tests/viz/strokes.py MODEL ...      # how many of them saved models read, digit by digit
"""

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tensor import models
from tensor.autograd import no_grad
from tensor.creation import from_numpy
from tensor.data.picture import fit_ink
from tensor.serialization import load_model

FILE = Path(__file__).with_suffix(".txt")

CANVAS = 280
"""Pixels of the canvas, each way, as the page counts them."""


@dataclass(frozen=True)
class Drawing:
    """A digit drawn by hand."""

    digit: int
    style: str
    brush: int  # diameter of the pen in pixels
    strokes: list[NDArray[np.float64]]  # of each, (points, 2): where the pointer was, x and y in pixels


def read_drawings() -> list[Drawing]:
    """Return the drawings of `strokes.txt`, whose first lines say how it is written."""
    drawings = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            digit, style, brush, box, positions = (part.strip() for part in line.split("|"))
            left, top, width, height = (float(number) * CANVAS / 100 for number in box.split())
            strokes = []
            for stroke in positions.split("/"):
                points = np.array([word.split(",") for word in stroke.split()], np.float64)
                strokes.append(points / 100 * (width, height) + (left, top))
            drawings.append(Drawing(int(digit), style, int(brush), strokes))
    return drawings


def draw(drawing: Drawing) -> NDArray[np.float64]:
    """Return the canvas, (CANVAS, CANVAS): 1 for ink, which is all that the pen reaches, 0 for paper."""
    y, x = np.mgrid[:CANVAS, :CANVAS] + 0.5
    away = np.full((CANVAS, CANVAS), np.inf)
    for stroke in drawing.strokes:
        for (ax, ay), (bx, by) in pairwise(stroke):
            dx, dy = bx - ax, by - ay
            along = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-12), 0.0, 1.0)
            away = np.minimum(away, np.hypot(x - ax - along * dx, y - ay - along * dy))
    return np.clip(drawing.brush / 2 + 0.5 - away, 0.0, 1.0)


def see(drawings: list[Drawing]) -> NDArray[np.uint8]:
    """Return what a model is given of the drawings, (N, 28, 28)."""
    return np.stack([fit_ink(draw(drawing)) for drawing in drawings])


def read(model: Path, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return which digit a saved model reads in each image, (N,)."""
    network, _ = load_model(model)
    network.eval()
    with no_grad():
        return network(from_numpy(models.normalize(images))).numpy().argmax(1)


def main(files: list[str]) -> None:
    drawings = read_drawings()
    images, digits = see(drawings), np.array([drawing.digit for drawing in drawings])
    for file in files:
        right = read(Path(file), images) == digits
        each = ", ".join(f"{d}: {right[digits == d].sum()} of {(digits == d).sum()}" for d in range(10))
        print(f"{file}: {right.sum()} of {len(right)}, {right.mean():.1%} right; {each}")
        wrong = [
            f"{drawing.digit} ({drawing.style})"
            for drawing, ok in zip(drawings, right, strict=True)
            if not ok
        ]
        if wrong:
            print(f"  not read: {', '.join(wrong)}")


if __name__ == "__main__":
    main(sys.argv[1:])
