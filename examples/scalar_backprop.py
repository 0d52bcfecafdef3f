"""Backpropagation by hand: a small expression, its gradients, and a check with finite differences."""

from micro import Value


def loss(x, y):
    """Return (x * y + relu(x ** 2) - 1) ** 2; plain numbers give a number, Values a Value."""
    square = x**2
    rectified = square.relu() if isinstance(square, Value) else max(square, 0.0)
    return (x * y + rectified - 1) ** 2


x, y = Value(-2.0, label="x"), Value(1.0, label="y")
out = loss(x, y)
out.backward()  # from the result to every number it was computed from

step = 1e-6
slope_x = (loss(x.data + step, y.data) - loss(x.data - step, y.data)) / (2 * step)
slope_y = (loss(x.data, y.data + step) - loss(x.data, y.data - step)) / (2 * step)

print(f"loss(x={x.data}, y={y.data}) = {out.data}")
print(f"d loss / d x = {x.grad:8.4f}   by finite differences {slope_x:8.4f}")
print(f"d loss / d y = {y.grad:8.4f}   by finite differences {slope_y:8.4f}")

# The gradient points uphill: a small step against it makes the loss smaller.
for value in (x, y):
    value.data -= 0.01 * value.grad
print(f"loss after one step downhill: {loss(x, y).data:.4f}")
