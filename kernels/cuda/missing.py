"""What stands in the GPU's kernel table for kernels of the CPU that it does not have yet."""

from kernels import cpu


def kernel_that_is_missing(name: str):
    """Return a function that raises NotImplementedError, for a kernel that only the CPU has.

    Raises AttributeError for what the CPU has not either.
    """
    if name not in cpu.__all__:
        raise AttributeError(f"kernels.cuda has no kernel {name!r}")

    def missing(*args, **kwargs):
        raise NotImplementedError(
            f"{name}: there is no kernel for device 'cuda' yet; compute it on the CPU: x.cpu()"
        )

    missing.__name__ = missing.__qualname__ = name
    return missing
