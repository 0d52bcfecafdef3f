"""What a launch hands to numba-cuda, by numba-cuda's own code, without a GPU."""

import warnings
from importlib.util import find_spec

import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

from numba import types

from kernels.cuda import offline
from kernels.cuda.compile import MOST_DIMS, SIMULATED, Kernel

pytestmark = pytest.mark.skipif(SIMULATED, reason="the simulator launches nothing")


@pytest.mark.parametrize("kernel", offline.all_kernels(), ids=lambda k: f"{k.family}.{k.name}")
def test_numba_takes_arguments_of_every_kernel(kernel: Kernel) -> None:
    from numba.cuda.dispatcher import _Kernel

    launched = _Kernel.__new__(_Kernel)
    launched.extensions = []
    for kind in kernel.kinds:
        for kept in kernel.types(kind):
            if isinstance(kept, types.Array):
                continue  # made by numba-cuda itself, on a device
            given: list = []
            launched._prepare_args(kept, _example(kept), 0, [], given)
            if isinstance(kept, types.CPointer):
                assert given == [1 << 46], "an address goes to the driver as it is"
            else:
                assert [number.value for number in given] == [3] * len(given)
                assert len(given) == (MOST_DIMS if isinstance(kept, types.UniTuple) else 1)


def _example(kept: types.Type):
    if isinstance(kept, types.CPointer):
        return 1 << 46
    return (3,) * MOST_DIMS if isinstance(kept, types.UniTuple) else 3


def test_a_small_grid_is_no_mistake() -> None:
    from numba.cuda.dispatcher import _LaunchConfiguration

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _LaunchConfiguration(None, (1, 1, 1), (32, 1, 1), 0, 0)
