"""Errors of kernels that programs may catch."""


class OutOfMemoryError(RuntimeError):
    """The GPU has no room for a tensor; nothing was changed, and the program can go on."""

    __module__ = "torch"


class LateError(Exception):
    """What the GPU found wrong in an operation that had returned: raised where the host next looks."""


class LateIndexError(LateError, IndexError):
    """An index out of range that the GPU found."""

    __module__ = "torch"


class LateRuntimeError(LateError, RuntimeError):
    """A value that an operation does not take, which the GPU found."""

    __module__ = "torch"
