"""tensor/cuda.py: what programs ask before they move to a GPU."""

import tensor


def test_nothing_is_available() -> None:
    assert tensor.cuda.is_available() is False
    assert tensor.cuda.device_count() == 0
    tensor.cuda.manual_seed(1)
    tensor.cuda.manual_seed_all(1)
