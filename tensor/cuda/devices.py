"""Which GPU there is, and waiting for it."""

from typing import Any, NamedTuple

from tensor.devices import cuda_kernels, missing_for_cuda
from tensor.devices import device as Device


def driver(name: str) -> Any:
    """Return what stands for the GPU, `kernels.cuda.driver`; AssertionError, which names `name`, without."""
    missing = missing_for_cuda()
    if missing is not None:
        raise AssertionError(f"torch.cuda.{name}: {missing}; ask torch.cuda.is_available() first")
    return cuda_kernels().driver


def check_index(named: "Device | str | int | None") -> None:
    """Raise unless the GPU is named: ValueError for another kind of device, RuntimeError for another GPU."""
    if named is None:
        return
    found = Device("cuda", named) if isinstance(named, int) else Device(named)
    if found.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {found}")
    found.require()


def is_available() -> bool:
    """Return whether tensors can be kept on a GPU (or in numba-cuda's simulator of one)."""
    return missing_for_cuda() is None


def device_count() -> int:
    """Return the number of GPUs that tensors can be kept on: 1 or 0."""
    return int(is_available())


def is_initialized() -> bool:
    """Return whether the GPU's memory has been used."""
    return is_available() and cuda_kernels().driver.allocator.most_reserved > 0


def init() -> None:
    """Make the GPU ready; there is no need to call it."""
    driver("init").synchronize()


def is_tf32_supported() -> bool:
    """Return False: matrix products are computed in full float32."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Return False: tensors of 16-bit floats are not supported."""
    return False


def current_device() -> int:
    """Return the number of the GPU in use: 0."""
    driver("current_device")
    return 0


def set_device(device: "Device | str | int") -> None:
    """Choose the GPU: there is only number 0; a negative number is no choice."""
    driver("set_device")
    if not (isinstance(device, int) and device < 0):
        check_index(device)


class device:
    """A `with` block in which the GPU of a number is in use; a negative number changes nothing."""

    def __init__(self, device: Any):
        if device is not None:
            set_device(device)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc) -> None:
        pass


class device_of(device):
    """A `with` block in which the GPU of a tensor is in use; a tensor of the CPU changes nothing."""

    def __init__(self, obj: Any):
        super().__init__(obj.device if obj.is_cuda else None)


def get_arch_list() -> list[str]:
    """Return what kernels are compiled for: the GPU's own architecture, such as ["sm_90"]; [] without one."""
    if not is_available():
        return []
    major, minor = get_device_capability()
    return [f"sm_{major}{minor}"]


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Return False: there is one GPU, and no peer of it."""
    driver("can_device_access_peer")
    check_index(device)
    check_index(peer_device)
    return False


def get_device_name(device: Any = None) -> str:
    """Return the name of the GPU."""
    found = driver("get_device_name")
    check_index(device)
    return found.name()


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Return the compute capability, such as (9, 0)."""
    found = driver("get_device_capability")
    check_index(device)
    return found.capability()


class _CudaDeviceProperties(NamedTuple):
    """What is known of a GPU."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int


def get_device_properties(device: Any = None) -> _CudaDeviceProperties:
    """Return name, compute capability (major, minor), total_memory in bytes, multi_processor_count."""
    found = driver("get_device_properties")
    check_index(device)
    major, minor = found.capability()
    return _CudaDeviceProperties(found.name(), major, minor, found.memory_info()[1], found.multiprocessors())


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Return (free, total) bytes of the GPU."""
    found = driver("mem_get_info")
    check_index(device)
    return found.memory_info()


def synchronize(device: Any = None) -> None:
    """Wait until everything that was asked of the GPU has been computed."""
    found = driver("synchronize")
    check_index(device)
    found.synchronize()
