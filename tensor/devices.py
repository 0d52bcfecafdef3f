"""Where a tensor's memory is."""


class device:
    """A device: `device("cpu")`, `device("cuda:0")`, `device("cuda", 0)`."""

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, name: "str | device", index: int | None = None):
        if isinstance(name, device):
            self.type, self.index = name.type, name.index
            return
        kind, _, number = str(name).partition(":")
        if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
            raise RuntimeError(
                f"device: expected one of cpu, cuda device type at start of device string: {name!r}"
            )
        self.type = kind
        self.index = int(number) if number else index

    def require(self) -> None:
        """Raise RuntimeError if tensors cannot be made on this device."""
        if self.type != "cpu":
            raise RuntimeError(
                f"device {self}: there are no CUDA kernels in this version; tensors live on the CPU: "
                "device='cpu'"
            )

    def __eq__(self, other) -> bool:
        return isinstance(other, device) and (self.type, self.index or 0) == (other.type, other.index or 0)

    def __hash__(self) -> int:
        return hash((self.type, self.index or 0))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"
