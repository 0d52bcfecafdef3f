"""A network without nn: weights are tensors, loss and optimiser are written out. Then the same with nn."""

import tensor as torch  # or `import torch`: the same program
from tensor import nn

torch.manual_seed(0)
points = torch.randn(200, 2)
classes = (points.norm(dim=1) > 1.2).long()  # outside of a circle, or inside
start = nn.Linear(2, 16), nn.Linear(16, 2)


def train_by_hand(steps):
    """Return the losses of gradient descent with momentum, nothing but tensors used."""
    w1, b1, w2, b2 = (p.detach().clone().requires_grad_() for layer in start for p in layer.parameters())
    parameters = [w1, b1, w2, b2]
    velocities = [torch.zeros_like(p) for p in parameters]
    losses = []
    for step in range(steps):
        hidden = torch.tanh(points @ w1.T + b1)
        scores = hidden @ w2.T + b2
        # cross-entropy: the logarithm of the probability that the right class was given
        shifted = scores - scores.max(dim=1, keepdim=True).values
        log_probabilities = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
        loss = -log_probabilities[torch.arange(len(classes)), classes].mean()
        loss.backward()
        if step == 0:
            check_by_formula(hidden, log_probabilities, w2)
        with torch.no_grad():
            for p, velocity in zip(parameters, velocities, strict=True):
                velocity.mul_(0.9).add_(p.grad)
                p -= 0.1 * velocity
                p.grad.zero_()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def check_by_formula(hidden, log_probabilities, w2):
    """Compare the gradient in w2 with the one that the chain rule gives on paper."""
    d_scores = log_probabilities.exp()
    d_scores[torch.arange(len(classes)), classes] -= 1
    by_formula = (d_scores / len(classes)).T @ hidden
    print("gradient by formula:", "equal" if torch.allclose(by_formula, w2.grad, atol=1e-6) else "differs")


def train_with_nn(steps):
    """Return the losses of the same training, said in modules."""
    model = nn.Sequential(start[0], nn.Tanh(), start[1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(points), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    accuracy = (model(points).argmax(dim=1) == classes).float().mean()
    print(f"accuracy {accuracy:.2f}")
    return losses


by_hand, with_nn = train_by_hand(100), train_with_nn(100)
for step in (0, 20, 40, 99):
    print(f"step {step:2}  by hand {by_hand[step]:.5f}  with nn {with_nn[step]:.5f}")
