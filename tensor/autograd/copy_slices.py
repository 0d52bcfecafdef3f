"""What becomes of a tensor's history when a view of it is overwritten."""

from tensor.autograd.operation import Operation, ViewStep, view_again


class CopySlices(Operation):
    """The history of a tensor of which a view was overwritten: old outside the view, new inside."""

    name, overload = "CopySlices", None
    repeatable = False

    def __init__(self, base, steps: tuple[ViewStep, ...], inner: Operation):
        self.steps, self.inner, self.strides = steps, inner, base._array.strides
        self.needs = (base.requires_grad, *inner.needs[1:])
        self._record((base, *[base] * (len(inner.needs) - 1)), base)
        self.edges = (self.edges[0], *inner.edges[1:])

    def backward(self, k, grad):
        grad_base = k.copy_in_order(grad, self.strides)  # or some views could not be made of it
        window = view_again(grad_base, self.steps)
        incoming = self.inner.backward(k, k.copy(window))
        k.write(window, 0.0 if incoming[0] is None else incoming[0])
        return (grad_base, *incoming[1:])

    def on_tensors(self, wrap) -> Operation:
        twin = super().on_tensors(wrap)
        assert isinstance(twin, CopySlices)
        twin.inner = self.inner.on_tensors(wrap)
        return twin

    def check_saved(self) -> None:
        self.inner.check_saved()

    def release(self) -> None:
        self.inner.release()
