"""What larger programs lean on: hooks, freezing, parameter groups, buffers, custom modules, schedules, checkpoints."""

import io
from collections import OrderedDict

import torch
import torch.nn as nn

torch.manual_seed(4)


class Scale(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(size))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.register_parameter("shift", None)

    def forward(self, x):
        self.calls += 1
        return x * self.gain

    def extra_repr(self):
        return f"size={self.gain.numel()}"


class Residual(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return x + self.block(x)


model = nn.Sequential(
    OrderedDict(
        [
            ("stem", nn.Linear(5, 8)),
            ("body", Residual(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), Scale(8)))),
            ("head", nn.Linear(8, 2)),
        ]
    )
)
print(model)
print([name for name, _ in model.named_modules()])
print([name for name, _ in model.named_children()], [name for name, _ in model.named_buffers()])
print({k: tuple(v.shape) for k, v in model.state_dict().items()})

activations = {}


def keep(name):
    def hook(module, args, output):
        activations[name] = output.detach()

    return hook


handles = [module.register_forward_hook(keep(name)) for name, module in model.named_children()]
grads = []
model.head.register_full_backward_hook(lambda module, gin, gout: grads.append([g.shape for g in gout]))
before = model.body.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
x = torch.randn(6, 5)
target = torch.randint(0, 2, (6,))
loss = nn.functional.cross_entropy(model(x), target)
loss.backward()
print({k: tuple(v.shape) for k, v in activations.items()}, grads)
for handle in handles:
    handle.remove()
before.remove()
activations.clear()
model(x)
print(len(activations), model.body.block[2].calls.item())

for name, p in model.named_parameters():
    p.requires_grad = "stem" not in name
print([n for n, p in model.named_parameters() if not p.requires_grad])
optimizer = torch.optim.SGD(
    [
        {"params": model.body.parameters(), "lr": 1e-2},
        {"params": model.head.parameters()},
    ],
    lr=1e-1,
    momentum=0.9,
    weight_decay=1e-4,
)
print([(g["lr"], len(g["params"])) for g in optimizer.param_groups])
schedulers = {
    "multi": torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 4], gamma=0.1),
}
for epoch in range(5):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), target)
    loss.backward()
    optimizer.step()
    schedulers["multi"].step()
    print(epoch, f"{loss.item():.4f}", [f"{g['lr']:.0e}" for g in optimizer.param_groups])

buffer = io.BytesIO()
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}, buffer)
buffer.seek(0)
checkpoint = torch.load(buffer, weights_only=True)
print(checkpoint["epoch"], list(checkpoint["model"])[:2], list(checkpoint["optimizer"]))
twin = nn.Sequential(
    OrderedDict(
        [
            ("stem", nn.Linear(5, 8)),
            ("body", Residual(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), Scale(8)))),
            ("head", nn.Linear(8, 2)),
        ]
    )
)
print(twin.load_state_dict(checkpoint["model"]))
print(torch.equal(twin(x), model(x)))
partial = {k: v for k, v in checkpoint["model"].items() if not k.startswith("head")}
print(twin.load_state_dict(partial, strict=False))
try:
    twin.load_state_dict(partial)
except RuntimeError as error:
    print(str(error).splitlines()[0])
    print(str(error).splitlines()[1].strip())

model = nn.Linear(2, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 3))
plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
for step in range(5):
    optimizer.zero_grad()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    warmup.step()
    print(f"{optimizer.param_groups[0]['lr']:.4f}", end=" ")
print()
for metric in (1.0, 0.9, 0.9, 0.9, 0.9):
    plateau.step(metric)
    print(f"{optimizer.param_groups[0]['lr']:.4f}", end=" ")
print()
print(optimizer)
print(model.weight, model.bias.grad)
accumulated = nn.Linear(3, 1)
optimizer = torch.optim.SGD(accumulated.parameters(), lr=0.1)
for i, chunk in enumerate(torch.randn(8, 3).chunk(4)):
    (accumulated(chunk).mean() / 2).backward()
    if (i + 1) % 2 == 0:
        print(f"{accumulated.weight.grad.norm():.4f}")
        optimizer.step()
        optimizer.zero_grad()
print(accumulated.weight.grad, sum(p.numel() for p in accumulated.parameters()))
