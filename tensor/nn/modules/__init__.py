"""`torch.nn.modules`: PyTorch's paths to the layers, `nn.modules.loss.MSELoss`, for programs that use them.

The files of `tensor.nn` have names of their own; each path here is one of them under PyTorch's name.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tensor import nn

_FILES = {
    "activation": "activation",
    "batchnorm": "norm",
    "container": "container",
    "conv": "conv",
    "distance": "distance",
    "channelshuffle": "upsampling",
    "dropout": "dropout",
    "flatten": "linear",
    "fold": "fold",
    "instancenorm": "norm",
    "lazy": "lazy",
    "linear": "linear",
    "loss": "loss",
    "module": "module",
    "normalization": "norm",
    "padding": "padding",
    "pixelshuffle": "upsampling",
    "pooling": "pooling",
    "rnn": "rnn",
    "sparse": "sparse",
    "transformer": "transformer",
    "upsampling": "upsampling",
}

for _path, _file in _FILES.items():
    if find_spec(f"tensor.nn.{_file}"):
        sys.modules[f"{__name__}.{_path}"] = globals()[_path] = import_module(f"tensor.nn.{_file}")


def __getattr__(name: str) -> Any:
    # asked for when it is used: this package is loaded before all of `nn` is
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    return getattr(nn, name)
