"""Where a tensor's memory is: the CPU, and the other places that programs name."""

import threading

_TYPES = ("cpu", "cuda", "mps", "xpu", "meta", "hpu", "mtia", "xla", "vulkan", "ipu", "ve", "privateuseone")


class device:
    """A device: `device("cpu")`, `device("cuda:0")`, `device("cuda", 0)`, or another device.

    Any device may be named, and compared; tensors are made on the CPU. As a context,
    `with device("cpu"): ...`, it is where tensors are made that name none. Raises RuntimeError for a name
    that is none of PyTorch's, TypeError for what is no name.
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, type: "str | device | int", index: int | None = None):
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        if isinstance(type, int) and not isinstance(type, bool):
            raise RuntimeError(
                f"device({type}): a number alone means an accelerator, and there is none; use device('cpu')"
            )
        if not isinstance(type, str):
            raise TypeError(f"device: expected a name such as 'cpu' or 'cuda:0', got {type!r}")
        kind, colon, number = type.partition(":")
        if kind not in _TYPES:
            raise RuntimeError(
                f"device: expected one of {', '.join(_TYPES)} device type at start of device string: {type!r}"
            )
        if colon and not number.isdigit():
            raise RuntimeError(f"device: invalid device string {type!r}; write 'cuda:0', or 'cuda'")
        if colon and index is not None:
            raise RuntimeError(
                f"device: type (string) must not include an index because index was passed: {type!r}"
            )
        self.type = kind
        self.index = int(number) if colon else index

    def require(self) -> None:
        """Raise if tensors cannot be made on this device: AssertionError for a GPU, as in PyTorch."""
        if self.type == "cpu":
            return
        where = f"device {self}: tensors live on the CPU in this version; use device='cpu', or ask first: "
        if self.type in ("cuda", "xpu"):
            raise AssertionError(f"{where}'cuda' if torch.cuda.is_available() else 'cpu'")
        raise NotImplementedError(f"{where}torch.backends.mps.is_available()")

    def __enter__(self) -> "device":
        _chosen.stack.append(self)
        return self

    def __exit__(self, *exc) -> None:
        _chosen.stack.pop()

    def __eq__(self, other) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __reduce__(self):
        return device, (self.type, self.index)


class _Chosen(threading.local):
    def __init__(self) -> None:
        self.stack: list[device] = [device("cpu")]


_chosen = _Chosen()


def set_default_device(device_: "str | device | None") -> None:
    """Choose where tensors are made that name no device; None for the CPU.

    Another device than the CPU can be chosen; making a tensor then raises, as it would by name.
    """
    _chosen.stack[0] = device("cpu" if device_ is None else device_)


def get_default_device() -> device:
    """Return where tensors are made that name no device."""
    return _chosen.stack[-1]


def check(named: "str | device | int | None") -> None:
    """Raise if no tensor can be made on the device that is named or, for None, on the default one."""
    found = _chosen.stack[-1] if named is None else device(named)
    if found.type != "cpu":
        found.require()
