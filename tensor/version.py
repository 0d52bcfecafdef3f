"""Which PyTorch this engine follows, and which liftgrad it is: what programs see as `torch.__version__`."""

import re
from typing import Any

FOLLOWS = "2.13.0"  # the PyTorch that every row of the surface table is compared with
LIFTGRAD = "0.1.0"

cuda = None
hip = None
xpu = None
debug = False


class TorchVersion(str):
    """A version that compares as versions do, with strings and tuples: "2.13.0" > "2.9" and > (2, 9)."""

    __slots__ = ()

    def _key(self, other: Any) -> tuple:
        if isinstance(other, str):
            release = re.match(r"\s*v?(\d+(?:\.\d+)*)", other)
            if release is None:
                raise ValueError(f"__version__: {other!r} is no version; compare with a text such as '2.1'")
            other = tuple(map(int, release.group(1).split(".")))
        numbers = tuple(int(part) for part in other)
        while numbers and numbers[-1] == 0:
            numbers = numbers[:-1]
        return numbers

    def __lt__(self, other: Any) -> bool:
        return self._key(self) < self._key(other)

    def __le__(self, other: Any) -> bool:
        return self._key(self) <= self._key(other)

    def __gt__(self, other: Any) -> bool:
        return self._key(self) > self._key(other)

    def __ge__(self, other: Any) -> bool:
        return self._key(self) >= self._key(other)

    def __eq__(self, other: Any) -> bool:
        return str(self) == other if isinstance(other, str) else self._key(self) == self._key(other)

    def __ne__(self, other: Any) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(str(self))


__version__ = TorchVersion(f"{FOLLOWS}+liftgrad.{LIFTGRAD}")
