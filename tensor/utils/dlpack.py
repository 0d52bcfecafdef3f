"""torch.utils.dlpack: memory shared with other libraries."""

from tensor.interop import DLDeviceType, from_dlpack, to_dlpack

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]
