"""kernels/cuda/allocator.py: which memory is handed out, without a GPU."""

from importlib.util import find_spec

import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

from kernels.cuda.allocator import Allocator


@pytest.fixture
def allocator() -> Allocator:
    """Return an allocator of memory that begins at address 4096, and that nobody touches."""
    ends = [4096]

    def reserve(nbytes: int) -> tuple[int, None]:
        ends.append(ends[-1] + nbytes)
        return ends[-2], None

    return Allocator(reserve, lambda: (1 << 30, 1 << 30))


def test_the_lowest_block_that_fits_is_handed_out(allocator: Allocator) -> None:
    blocks = [allocator.allocate(512) for _ in range(5)]
    addresses = [block.address for block in blocks]
    for order in ((1, 3, 0, 4, 2), (4, 3, 2, 1, 0), (0, 1, 2, 3, 4)):
        for i in order:
            blocks[i] = None  # type: ignore[call-overload]
        blocks = [allocator.allocate(100) for _ in range(5)]
        assert [block.address for block in blocks] == addresses
    assert allocator.reserved == 5 * 512
