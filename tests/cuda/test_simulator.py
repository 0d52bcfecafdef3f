"""The operations' tests once more, on numba-cuda's simulator: in a process of its own, which is slow.

On a real GPU the same tests run by `LIFTGRAD_TEST_DEVICE=cuda pytest tests`.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# One line a family: the tests of it that are small enough for the simulator.
FAMILIES = {
    "kernels": ["tests/kernels/cuda"],
    "tensors": ["tests/tensor/cuda"],
    "elementwise": [
        "tests/tensor/test_elementwise.py",
        "-k",
        "tanh or mul or div or pow or clamp",
    ],
    "optimisers": ["tests/tensor/optim/test_on_device.py"],
    "reduction": [
        "tests/tensor/test_reduction.py",
        "-k",
        "integers or zeros or infinities or equal or names or variance or errors or (2 and 0 and not 1000)",
    ],
    "extrema": ["tests/tensor/test_extrema.py", "-k", "nan or ties or (everything and 3)"],
    "scan": ["tests/tensor/test_scan.py", "-k", "values or dim"],
    "sorting": ["tests/tensor/test_sorting.py"],
    "counting": ["tests/tensor/test_counting.py"],
    "softmax": [
        "tests/tensor/test_softmax.py",
        "-k",
        "numpy or large or ignored or empty or types or shape or (losses and (sum or mean) and 5)",
    ],
    "norm": [
        "tests/tensor/test_norm.py",
        "tests/tensor/nn/test_norm.py",
        "-k",
        "counted_on or any_layout or (True and False and 3 and 4 and not 75)",
    ],
    "shape": ["tests/tensor/test_shape.py"],
    "products": ["tests/tensor/test_products.py", "-k", "linear or itself or expanded"],
    "indexing": ["tests/tensor/test_indexing.py", "-k", "gather and 3"],
    "scattering": ["tests/tensor/test_scattering.py", "-k", "take_along or scatter_add or amax or mean"],
    "embedding": ["tests/tensor/test_embedding.py", "-k", "test_embedding"],
    "pooling": ["tests/tensor/test_pool.py", "-k", "adaptive_pairs or test_integers"],
    "padding": ["tests/tensor/test_pad.py", "-k", "wider"],
    "fold": ["tests/tensor/test_fold.py"],
    "convolution": ["tests/tensor/test_conv.py", "-k", "groups and not without"],
    "training": ["tests/cuda/test_training.py"],
}


@pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
@pytest.mark.parametrize("family", FAMILIES)
def test_on_the_simulator(family: str) -> None:
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "LIFTGRAD_TEST_DEVICE": "cuda"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *FAMILIES[family]],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout.splitlines()[-1]
