"""tensor/config.py: what is said about the machine is so."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import tensor
from kernels import cpu
from kernels.precision import allows_tf32
from tensor import config

ROOT = Path(__file__).parents[2]


def test_show_config():
    text = tensor.show_config()
    lines = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert list(lines) == ["versions", "processor", "matmul", "threads", "kernels", "devices"]
    assert f"NumPy {np.__version__}" in lines["versions"]
    assert re.fullmatch(r"tiles of \d+ rows x \d+ vectors of (16|32|64) bytes", lines["matmul"])
    assert lines["devices"] == "cpu"
    cache = cpu.describe().cache
    assert cache is None or lines["kernels"].endswith(cache)


def test_threads_are_those_of_now():
    before = tensor.get_num_threads()
    tensor.set_num_threads(1)
    try:
        host = cpu.describe()
        assert host.threads == 1
        assert host.available_threads == cpu.available_threads()
        if host.threading_layer != "workqueue":
            assert re.search(r"^threads   1( of \d+)?, one pool", tensor.show_config(), re.MULTILINE)
    finally:
        tensor.set_num_threads(before)


@pytest.mark.parametrize(
    ("layer", "cores", "chosen", "warned"),
    [
        ("workqueue", 2, None, True),
        ("workqueue", 1, None, False),
        ("workqueue", 2, "workqueue", False),
        ("omp", 2, None, False),
    ],
)
def test_a_pool_that_cannot_be_used_is_reported(monkeypatch, layer, cores, chosen, warned):
    host = cpu.describe()._replace(threading_layer=layer, cores=cores)
    monkeypatch.setattr(config.cpu, "describe", lambda: host)
    monkeypatch.delenv("NUMBA_THREADING_LAYER", raising=False)
    if chosen:
        monkeypatch.setenv("NUMBA_THREADING_LAYER", chosen)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config.warn_of_serial_kernels()
    assert [w.category for w in caught] == [RuntimeWarning] * warned


def test_the_fallback_is_named():
    program = "import tensor; print(tensor.show_config())"
    environment = {**os.environ, "NUMBA_THREADING_LAYER": "workqueue", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "kernels run serially" in done.stdout


def test_tf32_is_one_switch_and_off_at_first() -> None:
    assert not allows_tf32()
    try:
        for precision in ("high", "medium", "highest"):
            tensor.set_float32_matmul_precision(precision)
            assert tensor.backends.cuda.matmul.allow_tf32 == allows_tf32() == (precision != "highest")
        tensor.backends.cuda.matmul.allow_tf32 = True
        assert (tensor.get_float32_matmul_precision(), allows_tf32()) == ("high", True)
        tensor.backends.cuda.matmul.allow_tf32 = False
        assert (tensor.get_float32_matmul_precision(), allows_tf32()) == ("highest", False)
    finally:
        tensor.set_float32_matmul_precision("highest")
