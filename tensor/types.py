"""`torch.types`: names for annotations."""

from collections.abc import Sequence
from os import PathLike
from typing import TypeAlias

from tensor.devices import device
from tensor.engine import Tensor

Number: TypeAlias = int | float | bool
Device: TypeAlias = device | str | int | None
FileLike: TypeAlias = str | PathLike
TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_size: TypeAlias = tuple | list
_bool, _int, _float = bool, int, float
