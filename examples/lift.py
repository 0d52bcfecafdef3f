"""One formula, written once: tanh as a plain function, on a scalar Value, and on a tensor."""

import tensor
from micro import Value, formulas

# 1. A function of floats, and beside it what its derivative makes of an incoming gradient.
out = formulas.tanh(0.5)
print(f"plain   {out:.6f}  slope {formulas.tanh_dx(0.5, out, 1.0):.6f}")

# 2. A Value calls that function, remembers having done so, and calls the derivative on the way back.
x = Value(0.5)
y = x.tanh()
y.backward()
print(f"Value   {y.data:.6f}  slope {x.grad:.6f}")

# 3. A Tensor runs the same two functions over whole arrays, compiled by Numba.
xs = tensor.tensor([0.5, -1.0, 2.0], requires_grad=True)
ys = xs.tanh()
ys.sum().backward()
for value, slope in zip(ys.tolist(), xs.grad.tolist(), strict=True):
    print(f"Tensor  {value:.6f}  slope {slope:.6f}")
