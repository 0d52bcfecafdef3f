"""`torch.backends`: switches of PyTorch's backends, which programs set whether or not they are there.

A switch keeps the value it is given. None has an effect here: kernels are deterministic, and compute in the
full precision of their type, so every switch is honoured whatever it says.
"""

from tensor.backends import cuda, cudnn, mkl, mkldnn, mps, openmp
