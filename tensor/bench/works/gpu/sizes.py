"""How large the work is: as a GPU deserves it, or tiny for the simulator, which computes in Python."""

import os
from typing import NamedTuple

from ..training import CNN, MLP, Network, jax_cnn, jax_mlp

IMAGES = "LIFTGRAD_BENCH_IMAGES"
"""The environment variable that names the images of an epoch: an .npz that the bench has written."""


class Sizes(NamedTuple):
    """How large the work is.

    matrix: rows and columns of what is copied, mapped and summed; its rows repeat the first `block` ones.
    """

    matrix: tuple[int, int]
    block: int
    cubes: tuple[int, ...]
    thin: tuple[tuple[int, int, int], ...]  # (rows, inner size, columns) of products of a training step
    convolutions: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]  # images and weights; padding 1
    mlp: Network
    cnn: Network
    checked: int  # steps of training whose losses are compared
    captured: int  # small products in one graph
    small: int  # numbers of a call that only its launch costs


FULL = Sizes(
    (8192, 8192), 128, (4096, 2048, 1024), ((64, 784, 128), (784, 64, 128), (64, 128, 10)),
    (
        ((64, 32, 14, 14), (32, 32, 3, 3)), ((64, 1, 28, 28), (32, 1, 3, 3)),
        ((16, 64, 56, 56), (64, 64, 3, 3)),
    ),
    MLP, CNN, 20, 20, 1000,
)  # fmt: skip
"""A matrix of 256 MiB, several times the cache of any GPU."""

TINY = Sizes(
    (6, 5), 3, (7, 5), ((3, 6, 4), (6, 3, 4)), (((2, 2, 4, 4), (3, 2, 3, 3)),),
    Network(
        lambda nn: [nn.Flatten(), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 3)],
        [(4, 16), (3, 4)], (1, 4, 4), 3, 3, jax_mlp,
    ),
    Network(
        lambda nn: [
            nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(2, 3),
        ],
        [(2, 1, 3, 3), (2, 2, 3, 3), (3, 2)], (1, 4, 4), 2, 3, jax_cnn(1, 2),
    ),
    3, 2, 6,
)  # fmt: skip

IS_SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
SIZES = TINY if IS_SIMULATED else FULL
