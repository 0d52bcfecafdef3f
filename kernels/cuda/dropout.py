"""Dropout: keeping some numbers, scaled, and making the others zero."""

from kernels.cuda.array import DeviceArray, on_device
from kernels.cuda.compile import FLOATS
from kernels.cuda.lift import lift, run


def _scaled(x, kept, scale):
    return x * (scale if kept else 0.0)  # times 0, as in PyTorch: nan and infinities stay nan


_keep_scaled = lift("dropout", "keep_scaled", _scaled, {"x": "T", "kept": "bool"}, FLOATS, {"scale": "T"})


def keep_scaled(
    x: DeviceArray, kept: DeviceArray, scale: float, out: DeviceArray | None = None
) -> DeviceArray:
    """Return x * scale where `kept`, a bool array, holds, else x * 0; or fill `out`, which may be x.

    kept: of x's shape, or (batch, channels, 1, ...) for whole channels. The result lies in memory as x does.
    """
    return run(_keep_scaled, [x, on_device(kept)], [x.dtype.type(scale).item()], out)
