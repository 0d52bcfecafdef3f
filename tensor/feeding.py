"""What a training is fed with, and what it adds up, without waiting for the GPU between two batches."""

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from tensor.creation import from_numpy
from tensor.creation import tensor as make_tensor
from tensor.data.dataset import TensorDataset
from tensor.data.loader import DataLoader
from tensor.devices import cuda_kernels
from tensor.devices import device as Device
from tensor.dtypes import float64
from tensor.engine import Tensor
from tensor.random import default_generator
from tensor.ranges import arange

_SHARE = 2
"""Data is kept on the GPU if it takes no more than one part in so many of the memory that is free."""


class Batches:
    """The batches of images (N, ...) and labels (N,), in the order of a shuffling DataLoader, on a device.

    Where they fit the GPU holds them all, and gathers a batch by itself; else each is copied there, from
    pinned memory. The order, and the use of the default generator, are the same.
    """

    into: tuple[Tensor, Tensor] | None = None
    """Where to put batches that are gathered and whole, instead of tensors of their own."""

    def __init__(self, images: NDArray, labels: NDArray, size: int, device: Device):
        self.size, self._device, self._rows = size, device, len(images)
        self._data = [from_numpy(images), from_numpy(labels)]
        self._is_resident = device.type != "cpu" and self._rows > 0 and _fits(self._data)
        self._pins = device.type != "cpu" and not self._is_resident
        if self._is_resident:
            self._data = [t.to(device).contiguous() for t in self._data]

    def __len__(self) -> int:
        return -(-self._rows // self.size)

    def rest_of_epoch(self, position: Any) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the batches of the epoch that are still to come; note where its order comes from.

        position: has `batch`, how many are done, and `order`, the generator's state before the first.
        """
        if position.batch > len(self):  # all done is a place to stop, too
            raise ValueError(
                f"fit: position is at batch {position.batch}, but this data has {len(self)} batches"
            )
        if not position.batch:
            position.order = default_generator.state_array()
            return self._batches(0)
        now = default_generator.state_array()
        default_generator.set_state(position.order)
        batches = self._batches(position.batch)
        default_generator.set_state(now)
        return batches

    def _batches(self, done: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the batches from number `done` on; draws from the default generator now."""
        if self._is_resident:
            loader = DataLoader(
                TensorDataset(arange(self._rows)), batch_size=max(self._rows, 1), shuffle=True
            )
            order = [positions.to(self._device) for (positions,) in loader]
            return self._gathered(order[0], done) if order else iter(())
        loader = DataLoader(
            TensorDataset(*self._data), batch_size=self.size, shuffle=True, pin_memory=self._pins
        )
        batches = iter(loader)
        for _ in range(done):
            next(batches)
        if self._device.type == "cpu":
            return batches
        return (tuple(t.to(self._device, non_blocking=True) for t in batch) for batch in batches)

    def _gathered(self, order: Tensor, done: int) -> Iterator[tuple[Tensor, Tensor]]:
        k = cuda_kernels()
        for first in range(done * self.size, self._rows, self.size):
            positions = order._array[first : first + self.size]
            if self.into is None or positions.size < self.size:
                x, y = (t._wrap(k.take_rows(t._array, positions)) for t in self._data)
            else:
                x, y = self.into
                for t, target in zip(self._data, self.into, strict=True):
                    k.take_rows(t._array, positions, target._array)
            yield x, y


def _fits(data: list[Tensor]) -> bool:
    free, _ = cuda_kernels().driver.memory_info()
    return sum(t.nbytes for t in data) <= free // _SHARE


class Totals:
    """The loss and the right answers of an epoch so far, added up on the GPU until somebody wants to know."""

    def __init__(self, device: Device):
        self._sums = make_tensor([0.0, 0.0], dtype=float64, device=device)

    def begin(self, loss_sum: float, correct: int) -> None:
        """Go on from these figures."""
        self._sums.copy_(make_tensor([loss_sum, float(correct)], dtype=float64))

    def add(self, loss: Tensor, scores: Tensor, labels: Tensor) -> None:
        """Add a batch: its mean loss, times its rows; and its rows whose largest score is their label's."""
        cuda_kernels().tally(self._sums._array, loss._array, scores._array, labels._array)

    def read(self) -> tuple[float, int]:
        """Return the sum of the losses and the number of right answers; waits for the GPU."""
        loss_sum, correct = self._sums.tolist()
        return loss_sum, int(correct)
