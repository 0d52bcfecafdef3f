"""A data set for classification, divided into what is learned from and what is measured on."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Split:
    """Images with their labels, for training and for testing.

    *_images: (N, H, W) uint8, 0 is background and 255 is ink, or float32; both parts have the same H and W.
    *_labels: (N,) int64 in 0..classes-1, as a cross-entropy wants them.
    """

    train_images: NDArray[Any]
    train_labels: NDArray[np.int64]
    test_images: NDArray[Any]
    test_labels: NDArray[np.int64]
    name: str
    classes: int = 10

    def fingerprint(self) -> dict[str, int]:
        """Return what tells the training images and labels from others: their number and a CRC-32."""
        crc = 0
        for part in (self.train_images, self.train_labels):
            crc = zlib.crc32(part.tobytes(), crc)
        return {"images": len(self.train_images), "crc32": crc}
