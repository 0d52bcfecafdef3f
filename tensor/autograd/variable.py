"""`Variable`, which old programs wrap tensors in; a tensor has been all that it was for long."""


class _IsTensor(type):
    def __instancecheck__(cls, value) -> bool:
        return hasattr(value, "_array")


class Variable(metaclass=_IsTensor):
    """`Variable(data, requires_grad=False)`: a tensor on the same memory. isinstance asks for any tensor."""

    def __new__(cls, data=None, requires_grad: bool = False, volatile: bool | None = None):
        if volatile is not None:
            import warnings

            warnings.warn(
                "volatile was removed (Variable.volatile is always False); use no_grad() instead",
                UserWarning,
                stacklevel=2,
            )
        if not hasattr(data, "_array"):
            raise TypeError(
                f"Variable: Variable data has to be a tensor, but got {type(data).__name__}; wrap it: "
                "tensor(...)"
            )
        return data.detach().requires_grad_(requires_grad)
