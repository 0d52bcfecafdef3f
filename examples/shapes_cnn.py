"""A convolutional network learns to tell rings, crosses and squares apart, wherever they are drawn."""

import sys

import tensor as torch  # or `import torch`: the same program
import tensor.nn.functional as F
from tensor import nn
from tensor.utils.data import DataLoader, Dataset

NAMES = ["ring", "cross", "square"]
SIZE = 16


def draw(name, row, column, radius):
    """Return a picture (1, 16, 16) of one figure, 1 where it is."""
    down = torch.arange(SIZE).reshape(-1, 1) - row
    right = torch.arange(SIZE).reshape(1, -1) - column
    if name == "ring":
        distance = (down**2 + right**2).float().sqrt()
        figure = (distance - radius).abs() < 0.7
    elif name == "cross":
        figure = (down.abs() == right.abs()) & (down.abs() <= radius)
    else:
        figure = torch.maximum(down.abs(), right.abs()) == radius
    return figure.float().unsqueeze(0)


class Figures(Dataset):
    """Pictures with noise on them, and which figure each shows."""

    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        places = torch.randint(5, SIZE - 5, (count, 2), generator=generator)
        radii = torch.randint(2, 5, (count,), generator=generator)
        self.labels = torch.randint(0, len(NAMES), (count,), generator=generator)
        self.noise = 0.3 * torch.randn(count, 1, SIZE, SIZE, generator=generator)
        drawn = zip(self.labels.tolist(), places.tolist(), radii.tolist(), strict=True)
        self.pictures = torch.stack([draw(NAMES[n], *place, radius) for n, place, radius in drawn])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.pictures[index] + self.noise[index], self.labels[index]


class Net(nn.Module):
    """Two convolutions, each halved by pooling, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.head = nn.Linear(16 * 4 * 4, len(NAMES))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.head(x.flatten(start_dim=1))


def main(count, epochs):
    """Train on `count` pictures and show how well it does on others."""
    torch.manual_seed(0)
    train, test = DataLoader(Figures(count, 1), 32, shuffle=True), DataLoader(Figures(300, 2), 100)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(1, epochs + 1):
        for pictures, labels in train:
            loss = F.cross_entropy(model(pictures), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        model.eval()
        with torch.no_grad():
            right = sum((model(x).argmax(dim=1) == y).sum().item() for x, y in test)
        model.train()
        print(f"epoch {epoch}  loss {loss.item():.3f}  right {right} of {len(test.dataset)}")


main(*map(int, sys.argv[1:]) if len(sys.argv) > 1 else (1500, 5))
