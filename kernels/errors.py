"""Errors of kernels that programs may catch."""


class OutOfMemoryError(RuntimeError):
    """The GPU has no room for a tensor; nothing was changed, and the program can go on."""

    __module__ = "torch"
