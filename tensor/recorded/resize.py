"""Resizing, recorded: it is linear."""

from tensor.recorded.basis import linear


def resize(x, *how):
    """Return x with a dim resized."""
    return linear(x, ("resize", how), ("resize_dx", how))


def resize_dx(grad, *how):
    """Give each number its part of the gradients of what it went into."""
    return linear(grad, ("resize_dx", how), ("resize", how))
