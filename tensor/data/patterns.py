"""Lines in 8x8 images: what a convolution of three 3x3 filters can learn, and a reader can follow by hand."""

import numpy as np
from numpy.typing import NDArray

from tensor.data.split import Split

SIZE = 8
CLASSES = ("horizontal", "vertical", "diagonal")
TRAINING, TESTING = 2000, 1000
"""How many `load` draws."""


def patterns(count: int, seed: int = 0, noise: float = 0.2) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw `count` lines in noise; return images (count, 1, 8, 8) float32 and labels (count,) int64.

    A line is 5 to 8 pixels long, 0.7 to 1.3 bright on 0, anywhere in the image: horizontal (0), vertical (1)
    or diagonal, falling or rising (2). `noise` is the standard deviation of the Gaussian noise added to each
    pixel. Labels are drawn evenly; the same seed gives the same images. Raises ValueError for a negative
    count or noise.
    """
    if count < 0 or noise < 0:
        raise ValueError(f"patterns: count and noise must not be negative, got {count} and {noise}")
    # RandomState, not default_rng: its stream is frozen, so that a newer NumPy draws the same lines
    random = np.random.RandomState(seed)
    labels = random.randint(len(CLASSES), size=count)
    rising = random.randint(2, size=count)
    length = random.randint(5, SIZE + 1, size=count)
    row_step = np.choose(labels, [0, 1, 1])
    column_step = np.choose(labels, [1, 0, 1 - 2 * rising])
    row = _place(random, length, row_step)
    column = _place(random, length, column_step)
    brightness = random.uniform(0.7, 1.3, size=count)

    images = np.zeros((count, 1, SIZE, SIZE))
    for step in range(SIZE):
        on = np.flatnonzero(step < length)
        images[on, 0, (row + step * row_step)[on], (column + step * column_step)[on]] = brightness[on]
    images += noise * random.standard_normal(images.shape)
    return images.astype(np.float32), labels.astype(np.int64)


def load() -> Split:
    """Return 2,000 patterns to learn from and 1,000 others to test on: always the same ones."""
    images, labels = patterns(TRAINING, seed=1)
    test_images, test_labels = patterns(TESTING, seed=2)
    return Split(images[:, 0], labels, test_images[:, 0], test_labels, "patterns", len(CLASSES))


def _place(random: np.random.RandomState, length: NDArray, step: NDArray) -> NDArray:
    """Draw where lines begin along one axis, so that they end inside the image; all arguments (count,)."""
    reach = (length - 1) * step
    low = np.maximum(0, -reach)
    high = np.minimum(SIZE, SIZE - reach)
    return low + np.floor(random.uniform(size=len(length)) * (high - low)).astype(np.int64)
