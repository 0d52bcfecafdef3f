"""Arrays in, arrays out: compiled kernels, one table of functions per device.

`kernels.cpu` runs on NumPy arrays, `kernels.cuda` on arrays in the GPU's memory. A kernel knows no Tensor
and no graph.
"""
