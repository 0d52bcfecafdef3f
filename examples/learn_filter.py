"""Convolution by gradient descent: recover the filter that somebody slid over a picture."""

import tensor
import tensor.nn.functional as F

# 1. A picture of noise, and a filter that finds upright edges: dark on the left, bright on the right.
tensor.manual_seed(0)
picture = tensor.randn(1, 1, 16, 16)
hidden = tensor.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).reshape(1, 1, 3, 3)
edges = F.conv2d(picture, hidden, padding="same")

# 2. A layer that knows the picture and the edges, but not the filter: its weights start at random.
layer = tensor.nn.Conv2d(1, 1, kernel_size=3, padding=1, bias=False)
optimizer = tensor.optim.SGD(layer.parameters(), lr=0.2)
for step in range(1, 61):
    loss = F.mse_loss(layer(picture), edges)
    if step in (1, 20, 40, 60):
        print(f"step {step:2}  loss {loss.item():.6f}")
    optimizer.zero_grad()
    loss.backward()  # the gradient of a weight: how the error goes with what that weight has seen
    optimizer.step()

# 3. What was learned is what was hidden.
for learned, true in zip(layer.weight.detach()[0, 0].tolist(), hidden[0, 0].tolist(), strict=True):
    print("  ".join(f"{w:6.3f}" for w in learned), "   ", "  ".join(f"{w:4.0f}" for w in true))
