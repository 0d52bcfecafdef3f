"""The operations' tests once more, on numba-cuda's simulator, in processes of their own.

Of most files every n-th test runs, as said below; `make simulator` runs all of them. On a real GPU the same
tests run by `LIFTGRAD_TEST_DEVICE=cuda pytest tests`.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What runs in a process, and every how many of its tests: what takes about a minute. Primes, since tests are
# often a product of a few types and kinds, of which every fourth would be of one type.
PARTS = {
    "kernels": (
        1,
        ["tests/kernels/cuda", "tests/tensor/cuda", "tests/tensor/bench/gpu", "tests/cuda/test_training.py"],
    ),
    "operations": (3, [f"tests/tensor/{path.name}" for path in sorted(ROOT.glob("tests/tensor/test_*.py"))]),
    "layers": (3, ["tests/tensor/nn", "tests/tensor/optim", "tests/tensor/autograd"]),
    "surface": (5, ["tests/tensor/surface"]),
}


@pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
@pytest.mark.skipif(find_spec("greenlet") is None, reason="greenlet is not installed: it would take an hour")
@pytest.mark.parametrize("part", PARTS)
def test_on_the_simulator(part: str) -> None:
    every, paths = PARTS[part]
    environment = {
        **os.environ,
        "NUMBA_ENABLE_CUDASIM": "1", "LIFTGRAD_TEST_DEVICE": "cuda", "LIFTGRAD_TEST_EVERY": str(every),
    }  # fmt: skip
    environment.pop("PYTEST_XDIST_WORKER", None)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *paths],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    passed = re.search(r"(\d+) passed", ran.stdout.splitlines()[-1])
    assert passed is not None
    assert int(passed[1]) > 200, ran.stdout.splitlines()[-1]
