"""Pooling and its derivatives, recorded."""

import math

from tensor.autograd import Operation
from tensor.recorded.basis import array_of, linear, tensor_of


def average_pool(x, *how):
    """Return the average of each window."""
    return linear(x, ("average_pool", how), ("average_pool_dx", how))


def average_pool_dx(grad, *how):
    """Give each element of a window its share."""
    return linear(grad, ("average_pool_dx", how), ("average_pool", how))


def max_pool_dx(grad, found, windows):
    """Put each gradient where its maximum was found."""
    return MaxPoolGradient.apply(tensor_of(grad), found=array_of(found), windows=windows)


class MaxPoolGradient(Operation):
    """Elements put where maxima were found, those of one place added up; the gradient is read there."""

    name = "MaxPool2DWithIndicesBackward"

    def forward(self, k, grad, found, windows):
        self.found, self.windows = found, windows
        return k.max_pool_dx(grad, found, windows)

    def backward(self, k, grad):
        places = self._kernels.max_pool_indices(self.found, self.windows)
        lead = math.prod(places.shape[: places.ndim - len(self.windows)])
        planes = grad.reshape(lead, math.prod(w.size for w in self.windows))
        flat = places.reshape(lead, places.size // lead if lead else 0)
        return (k.take(planes, k.along(flat, 1)).reshape(places.shape),)
