"""tests/cuda/page.py: what is written about the kernels."""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

TABLE = """numba-cuda 0.30.4

| kernel | variants | simulator | PTX | registers | shared bytes | spilled or local bytes |
|---|---|---|---|---|---|---|
| `pool.spread` | 2 | ran | compiles | 38 | 0 | 0 |
| `pool.spread_dx` | 2 | - | compiles | 38 | 0 | 0 |"""


def test_what_ran_on_the_simulator_is_written_anew() -> None:
    spec = spec_from_file_location("liftgrad_page_of_kernels", Path(__file__).parent / "page.py")
    assert spec is not None
    assert spec.loader is not None
    page = module_from_spec(spec)
    spec.loader.exec_module(page)
    found = page.marked(TABLE, {"pool.spread_dx"})
    assert found.splitlines()[-2:] == [
        "| `pool.spread` | 2 | - | compiles | 38 | 0 | 0 |",
        "| `pool.spread_dx` | 2 | ran | compiles | 38 | 0 | 0 |",
    ]
    assert page.marked(TABLE, {"pool.spread"}) == TABLE
