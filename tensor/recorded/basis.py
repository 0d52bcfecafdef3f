"""What the recorded kernels are made of: tensors around arrays, and linear kernels with their adjoints."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from kernels import cpu
from tensor import dtypes
from tensor.autograd import Operation
from tensor.engine import Tensor


class MissingKernelError(NotImplementedError):
    """A backward asked for a kernel that has no recorded form."""


_beneath = threading.local()


def kernels() -> Any:
    """Return the kernel table of arrays, that of the device of the node whose backward runs, or the CPU's."""
    return getattr(_beneath, "table", cpu)


@contextlib.contextmanager
def above(table) -> Iterator[None]:
    """Let `kernels()` return this table, in this thread."""
    before = kernels()
    _beneath.table = table
    try:
        yield
    finally:
        _beneath.table = before


def tensor_of(x) -> Tensor:
    """Return a tensor as it is, an array as a tensor that nothing flows to."""
    return x if isinstance(x, Tensor) else Tensor._wrap(x)


def array_of(x) -> Any:
    """Return the array of a tensor, within tuples and lists too; anything else as it is."""
    if isinstance(x, Tensor):
        return x._array
    if isinstance(x, tuple | list):
        found = [array_of(v) for v in x]
        return x if all(a is b for a, b in zip(found, x, strict=True)) else type(x)(found)
    return x


def array_dtype(dtype):
    """Return the arrays' element type, of theirs or the tensors'."""
    return dtype._array if isinstance(dtype, dtypes.dtype) else dtype


class Linear(Operation):
    """A linear kernel; its derivative is the adjoint kernel, and the other way round.

    there, back: (name in the kernel table, what follows the array).
    """

    def forward(self, k, x, there, back):
        self.printed_name = there[0].title().replace("_", "")
        self.there, self.back = there, back
        return getattr(k, there[0])(x, *there[1])

    def backward(self, k, grad):
        return (getattr(k, self.back[0])(grad, *self.back[1]),)


def linear(x, there: tuple[str, tuple], back: tuple[str, tuple]) -> Tensor:
    """Apply and record the linear kernel `there`, of which `back` is the adjoint."""
    return Linear.apply(tensor_of(x), there=there, back=back)


class Touch(Operation):
    """The first input, connected with the second, to which zeros flow."""

    def forward(self, k, x, touched):
        self.touched_shape = touched.shape
        return x.view()

    def backward(self, k, grad):
        return grad, k.zeros(self.touched_shape, grad.dtype)


class Gate(Operation):
    """x itself; its gradient is 0 where `condition` does not hold, be it nan there."""

    def forward(self, k, x, condition):
        self.condition = condition
        return x.view()

    def backward(self, k, grad):
        return (k.where(self.condition, grad, k.zeros((), grad.dtype)),)
