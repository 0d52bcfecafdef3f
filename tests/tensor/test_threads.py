"""Two Python threads compute at once: nothing aborts, and every bit is what one thread alone computes.

Each check runs in a process of its own, since an abort would end this one, and the pool is chosen at import.
"""

import functools
import hashlib
import importlib
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import hashlib, sys, threading
import numpy as np
import tensor
from tensor import nn

layer = sys.argv[1]
assert {"omp": "OpenMP", "tbb": "TBB", "workqueue": "serially"}[layer] in tensor.show_config()

def digest(arrays):
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()

def train(seed, results):
    # sizes at which matmul, convolution, pooling and elementwise functions run in parallel
    draw = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 196, 64),
        nn.ReLU(), nn.Linear(64, 10),
    )
    with tensor.no_grad():
        for p in model.parameters():
            p.copy_(tensor.from_numpy((0.05 * draw.standard_normal(p.shape)).astype(np.float32)))
    optimizer = tensor.optim.Adam(model.parameters(), lr=1e-3)
    x = tensor.from_numpy(draw.standard_normal((64, 1, 28, 28), np.float32))
    y = tensor.from_numpy(draw.integers(0, 10, 64))
    square = tensor.from_numpy(draw.standard_normal((256, 256), np.float32))
    for _ in range(int(sys.argv[2])):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        square = (square @ square).tanh()
    results[seed] = digest([p.detach().numpy() for p in model.parameters()] + [square.numpy()])

alone, together = {}, {}
for seed in (1, 2):
    train(seed, alone)
threads = [threading.Thread(target=train, args=(seed, together)) for seed in (1, 2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert alone == together, (alone, together)
assert len(set(alone.values())) == 2
print(digest([np.frombuffer("".join(sorted(alone.values())).encode(), np.uint8)]))
"""


def layers():
    """Return the pools that this machine can load; the fallback is always there."""
    found = ["workqueue"]
    for layer in ("omp", "tbb"):
        with suppress(ImportError):
            importlib.import_module(f"numba.np.ufunc.{layer}pool")
            found.append(layer)
    return found


def run(program, layer, *arguments):
    """Run a program on that pool; return what it printed."""
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program, layer, *arguments],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def trained():
    """Return a function that trains on that pool, once, and returns a digest of what was learned."""
    return functools.cache(lambda layer: run(PROGRAM, layer, "4"))


@pytest.mark.parametrize("layer", layers())
def test_two_threads_train_at_once(trained, layer):
    assert len(trained(layer)) == hashlib.sha256().digest_size * 2


def test_every_pool_computes_the_same_bits(trained):
    found = {layer: trained(layer) for layer in layers()}
    assert len(set(found.values())) == 1, found


LOADING = """
import threading
import numpy as np
import tensor
from tensor.data import DataLoader, Dataset

square = tensor.from_numpy(np.random.default_rng(0).standard_normal((256, 256), np.float32)) / 16
expected = (square @ square).tolist()

class Products(Dataset):
    def __len__(self):
        return 24
    def __getitem__(self, index):
        return (square @ square) * index  # workers run kernels, too

for i, batch in enumerate(DataLoader(Products(), num_workers=3, batch_size=None)):
    assert (square @ square).tolist() == expected
    assert batch.tolist() == ((square @ square) * i).tolist()
print(i + 1)
"""


@pytest.mark.parametrize("layer", layers())
def test_workers_of_a_loader_and_the_loop_compute_at_once(layer):
    assert run(LOADING, layer) == "24"
