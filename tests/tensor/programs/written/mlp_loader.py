"""A classifier trained the usual way: DataLoader, AdamW, a schedule, dropout, batch norm, a best checkpoint."""

import copy

import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(0)
n = 240
angle = torch.rand(n) * 3.0
label = torch.arange(n) % 3
radius = 0.3 + angle
turn = angle + label * 2.1
points = torch.stack([radius * turn.cos(), radius * turn.sin()], dim=1) + 0.05 * torch.randn(n, 2)
data = TensorDataset(points, label)
train_set, val_set = random_split(data, [200, 40], generator=torch.Generator().manual_seed(1))
train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
val_loader = DataLoader(val_set, batch_size=64)
print(len(data), len(train_set), len(train_loader), len(val_loader))


class MLP(nn.Module):
    def __init__(self, inputs, hidden, classes, p=0.1):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(inputs, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(p),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.head = nn.Linear(hidden, classes)
        self.apply(self._init)

    @staticmethod
    def _init(module):
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x):
        return self.head(self.net(x))


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model = MLP(2, 32, 3).to(device)
print(model)
print("parameters:", sum(p.numel() for p in model.parameters() if p.requires_grad))
decay = [p for p in model.parameters() if p.dim() > 1]
rest = [p for p in model.parameters() if p.dim() <= 1]
optimizer = optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}], lr=0.01)
scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
criterion = nn.CrossEntropyLoss(label_smoothing=0.05)


def run(loader, training):
    model.train(training)
    total, correct, seen = 0.0, 0, 0
    with torch.set_grad_enabled(training):
        for xb, yb in loader:
            xb, yb = xb.to(device), yb.to(device)
            logits = model(xb)
            loss = criterion(logits, yb)
            if training:
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                optimizer.step()
            total += loss.item() * len(xb)
            correct += (logits.argmax(dim=1) == yb).sum().item()
            seen += xb.size(0)
    return total / seen, correct / seen


best, best_state = float("inf"), None
for epoch in range(6):
    train_loss, train_acc = run(train_loader, True)
    val_loss, val_acc = run(val_loader, False)
    scheduler.step()
    if val_loss < best:
        best, best_state = val_loss, copy.deepcopy(model.state_dict())
    lr = scheduler.get_last_lr()[0]
    print(f"epoch {epoch}: train {train_loss:.3f} {train_acc:.2f} val {val_loss:.3f} {val_acc:.2f} lr {lr:.6f}")
print(model.load_state_dict(best_state))
print(list(model.state_dict())[:5])
print(model.net[1].num_batches_tracked, model.net[1].running_mean.shape)
for name, param in model.named_parameters():
    print(f"{name:15s} {tuple(param.shape)!s:10s} {param.norm().item():.2f}")
