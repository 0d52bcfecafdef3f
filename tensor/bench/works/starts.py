"""Programs of their own, which measure a start-up."""

from .case import OURS

_STEP = """
import numpy
draw = numpy.random.default_rng(0)
x, y = draw.standard_normal((64, 784), numpy.float32), numpy.arange(64) % 10
weights = [draw.uniform(-0.03, 0.03, s).astype(numpy.float32) for s in ((128, 784), (128,), (10, 128), (10,))]
"""
_EAGER_START = """
model = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
with torch.no_grad():
    for parameter, weight in zip(model.parameters(), weights):
        parameter.copy_(torch.from_numpy(weight))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for _ in range(2):
    loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
    if not _:
        loss.backward()
        optimizer.step()
        print("stepped", flush=True)
print(loss.item(), flush=True)
"""
_JAX_START = """
def loss_of(p, x, y):
    scores = jax.nn.log_softmax(jax.nn.relu(x @ p[0].T + p[1]) @ p[2].T + p[3])
    return -jax.numpy.take_along_axis(scores, y[:, None], axis=1).mean()

@jax.jit
def update(p, x, y):
    loss, g = jax.value_and_grad(loss_of)(p, x, y)
    m, v = [0.1 * a for a in g], [0.001 * a * a for a in g]
    return [a - 1e-3 * (b / 0.1) / (jax.numpy.sqrt(c / 0.001) + 1e-8) for a, b, c in zip(p, m, v)]

weights = jax.block_until_ready(update(weights, x, y))
print("stepped", flush=True)
print(float(loss_of(weights, x, y)), flush=True)
"""
STARTS = {
    OURS: f"import tensor as torch\nprint('imported', flush=True){_STEP}{_EAGER_START}",
    "torch": f"import torch\nprint('imported', flush=True){_STEP}{_EAGER_START}",
    "jax": f"import jax\nprint('imported', flush=True){_STEP}{_JAX_START}",
}
"""Programs that say "imported", "stepped" after the first step of Adam, and the loss after it."""
