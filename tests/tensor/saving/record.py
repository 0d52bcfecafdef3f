"""Make the files that PyTorch wrote: `python tests/tensor/saving/record.py`, where PyTorch is installed."""

from pathlib import Path

import torch

HERE = Path(__file__).parent


def checkpoint() -> dict:
    """Return what a training program saves: a model after 3 steps of Adam, its optimiser, and more."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4, bias=False), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    x = torch.linspace(-1, 1, 15).reshape(5, 3)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        scheduler.step()
    return {
        "epoch": 3,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "outputs": model.eval()(x).detach(),
        "loss": 0.25,
        "name": "réseau",
    }


def odds() -> dict:
    """Return one of each kind of thing that files hold."""
    x = torch.arange(12.0).reshape(3, 4)
    return {
        "x": x,
        "transposed": x.T,
        "part": x[1:, ::2],
        "parameter": torch.nn.Parameter(x[0]),
        "leaf": torch.ones(2, dtype=torch.float64, requires_grad=True),
        "zero-dim": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "types": [torch.tensor([0, 1]).to(t) for t in (torch.uint8, torch.int32, torch.bool)],
        "plain": [None, True, -1, 300, 2**40, -(2**100), 1.5, "text", b"bytes", (1, (2,)), {3}, 1 + 2j],
        "size": x.shape,
        "dtype": torch.float64,
        "device": torch.device("cpu"),
    }


if __name__ == "__main__":
    torch.save(checkpoint(), HERE / "checkpoint.pt")
    torch.save(odds(), HERE / "odds.pt")
    torch.save(odds(), HERE / "odds_legacy.pt", _use_new_zipfile_serialization=False)
    torch.save([torch.tensor([1.5, -2.0]).to(t) for t in (torch.float16, torch.bfloat16)], HERE / "half.pt")
    torch.save(torch.nn.Linear(2, 1), HERE / "module.pt")
