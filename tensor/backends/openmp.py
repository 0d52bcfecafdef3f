"""`torch.backends.openmp`: whether kernels run on a pool of OpenMP's threads."""

from kernels import cpu


def is_available() -> bool:
    """Return whether kernels run on a pool of OpenMP's threads."""
    return cpu.describe().threading_layer == "omp"
