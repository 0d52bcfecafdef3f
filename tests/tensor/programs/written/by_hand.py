"""A network without nn: gradients by hand beside autograd's, and three optimisers as loops."""

import os
import tempfile

import torch

torch.manual_seed(3)
X = torch.randn(32, 6)
Y = torch.randint(0, 3, (32,))

W1 = torch.randn(6, 10) * (5 / 3) / 6**0.5
b1 = torch.zeros(10)
W2 = torch.randn(10, 3) * 0.1
b2 = torch.zeros(3)
parameters = [W1, b1, W2, b2]
for p in parameters:
    p.requires_grad = True
print(sum(p.nelement() for p in parameters))


def forward(x):
    hpre = x @ W1 + b1
    h = hpre.tanh()
    logits = h @ W2 + b2
    return hpre, h, logits


def softmax(z):
    z = z - z.max(1, keepdim=True).values
    counts = z.exp()
    return counts / counts.sum(1, keepdim=True)


def cross_entropy(probs, y):
    return -probs[range(len(y)), y].log().mean()


hpre, h, logits = forward(X)
for t in (hpre, h, logits):
    t.retain_grad()
logits.register_hook(lambda grad: print("gradient of the logits has", tuple(grad.shape)))
probs = softmax(logits)
loss = cross_entropy(probs, Y)
loss.backward()
print(f"loss {loss.item():.6f}")

with torch.no_grad():
    n = X.shape[0]
    dlogits = probs.clone()
    dlogits[range(n), Y] -= 1
    dlogits /= n
    dh = dlogits @ W2.T
    dW2 = h.T @ dlogits
    db2 = dlogits.sum(0)
    dhpre = (1.0 - h**2) * dh
    dW1 = X.T @ dhpre
    db1 = dhpre.sum(0)
for name, by_hand, auto in [
    ("logits", dlogits, logits.grad),
    ("h", dh, h.grad),
    ("hpre", dhpre, hpre.grad),
    ("W2", dW2, W2.grad),
    ("b2", db2, b2.grad),
    ("W1", dW1, W1.grad),
    ("b1", db1, b1.grad),
]:
    close = torch.allclose(by_hand, auto, atol=1e-6)
    print(f"{name:10s} | close: {close!s:5s} | shape: {by_hand.shape}")

start = [p.detach().clone() for p in parameters]


def restart():
    with torch.no_grad():
        for p, s in zip(parameters, start):
            p.copy_(s)
            p.grad = None


def train(update, steps=20):
    restart()
    for step in range(1, steps + 1):
        loss = cross_entropy(softmax(forward(X)[2]), Y)
        for p in parameters:
            if p.grad is not None:
                p.grad.zero_()
        loss.backward()
        with torch.no_grad():
            for k, p in enumerate(parameters):
                update(k, p, p.grad, step)
        if step % 5 == 0:
            print(f"  step {step:2d} loss {loss.item():.5f}")


def sgd(k, p, g, step):
    p -= 0.5 * g


velocity = [torch.zeros_like(p) for p in parameters]


def momentum(k, p, g, step):
    velocity[k].mul_(0.9).add_(g)
    p.sub_(0.1 * velocity[k])


m = [torch.zeros_like(p) for p in parameters]
v = [torch.zeros_like(p) for p in parameters]


def adam(k, p, g, step, lr=0.01, b1=0.9, b2=0.999, eps=1e-8):
    m[k] = b1 * m[k] + (1 - b1) * g
    v[k] = b2 * v[k] + (1 - b2) * g * g
    mhat = m[k] / (1 - b1**step)
    vhat = v[k] / (1 - b2**step)
    p.addcdiv_(mhat, vhat.sqrt() + eps, value=-lr)


for update in (sgd, momentum, adam):
    print(update.__name__)
    train(update)

print(W2)
print(b2.data)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "weights.pt")
    torch.save({"W1": W1, "b1": b1, "rest": [W2, b2], "step": 20}, path)
    again = torch.load(path)
    print(sorted(again), again["step"], again["W1"].requires_grad)
    print(torch.equal(again["W1"], W1), (again["rest"][0] - W2).abs().max().item())
try:
    W1 += 1
except RuntimeError as error:
    print(type(error).__name__)
