"""`torch.utils.tensorboard`, which is not part of this engine; asking for its names says what to use."""

from typing import Any, NoReturn


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _refuse(name)


def _refuse(name: str) -> NoReturn:
    # ImportError, as from PyTorch without the tensorboard package: programs that can do without it catch it
    raise ImportError(
        f"tensor.utils.tensorboard: {name} is not here; the tensorboardX package writes the same files and "
        "needs no PyTorch: `from tensorboardX import SummaryWriter`, and give it numbers and arrays: "
        "loss.item(), weight.detach().numpy()"
    )
