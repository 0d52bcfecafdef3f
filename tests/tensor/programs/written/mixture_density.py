"""A network that gives a mixture of normal distributions, a flow fitted to points, and counts of dice."""

import torch
import torch.distributions as D
from torch import nn
from torch.distributions.multinomial import Multinomial

torch.manual_seed(3)


class MixtureDensity(nn.Module):
    def __init__(self, hidden=12, components=3):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(1, hidden), nn.Tanh())
        self.heads = nn.ModuleDict(
            {name: nn.Linear(hidden, components) for name in ("weight", "mean", "spread")}
        )

    def forward(self, x):
        z = self.body(x)
        chosen = D.Categorical(logits=self.heads["weight"](z))
        parts = D.Normal(self.heads["mean"](z), self.heads["spread"](z).exp())
        return D.MixtureSameFamily(chosen, parts)


y = torch.linspace(-2, 2, 32).unsqueeze(1)
x = torch.sin(2 * y) + 0.3 * y + 0.05 * torch.randn_like(y)
model = MixtureDensity()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for step in range(41):
    loss = -model(x).log_prob(y.squeeze(1)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step:3d}  loss {loss.item():.4f}")
with torch.no_grad():
    found = model(torch.tensor([[0.0], [1.0]]))
    print(found)
    print(found.mean, found.variance.sqrt())
    print(found.sample((2,)).shape, found.cdf(torch.zeros(2)))

# a flow of one dimension: log-normal points from a normal distribution
points = torch.exp(0.5 * torch.randn(64) + 1.0)
shift, log_scale = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
optimizer = torch.optim.SGD([shift, log_scale], lr=0.1)
for step in range(31):
    base = D.Normal(torch.tensor(0.0), torch.tensor(1.0))
    flow = D.TransformedDistribution(base, [D.AffineTransform(shift, log_scale.exp()), D.ExpTransform()])
    loss = -flow.log_prob(points).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(f"flow {step:3d}  loss {loss:.4f}  shift {shift.item():.3f}  scale {log_scale.exp().item():.3f}")
print(flow.support, flow.rsample((3,)))

dice = Multinomial(100, torch.ones(6) / 6)
counts = dice.sample((4,))
print(counts, counts.sum(1))
print(dice.log_prob(counts))
squash = D.TanhTransform(cache_size=1)
print(squash, squash.inv(squash(torch.tensor([0.5]))), type(counts))
