"""MNIST: 70,000 hand-written digits (LeCun, Cortes and Burges), from disk, the cache or the network."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from kernels.cpu.compile import cache_root
from tensor.data.idx import DataError, load_directory
from tensor.data.split import Split

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

# SHA-256 of the unpacked file: mirrors differ in how they compressed it. The size is that of the usual
# compressed file, for the progress bar until the mirror says its own.
FILES = {
    "train-images-idx3-ubyte": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        9_912_422,
    ),
    "train-labels-idx1-ubyte": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        28_881,
    ),
    "t10k-images-idx3-ubyte": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        1_648_877,
    ),
    "t10k-labels-idx1-ubyte": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        4_542,
    ),
}
CHUNK = 1 << 20
LARGEST = 50_000_000
"""Bytes; no unpacked file of MNIST is larger, so what is larger is not MNIST and need not fill the disk."""

Progress = Callable[[int, int], None]
"""Called as progress(done, total), in bytes downloaded."""


def load(
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    mirrors: Sequence[str] = MIRRORS,
    timeout: float = 10.0,
) -> Split:
    """Return MNIST from `data_dir`, else from the cache, else from the first of `mirrors` that has it.

    Files in `data_dir` need the form of MNIST (`load_directory`) and are not compared with the original;
    files in the cache and from the network must have its checksums, and a cached file that has not is fetched
    again. progress: called while downloading, and only then. timeout: seconds to wait for a mirror's answer.
    Raises DataError, which says what was tried and what to do.
    """
    if data_dir is not None:
        return load_directory(data_dir, "mnist")
    folder = cache_root() / "mnist"
    missing = [name for name, (checksum, _) in FILES.items() if _sha256(folder / name) != checksum]
    if missing:
        report = _Report({name: FILES[name][1] for name in missing}, progress)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # a folder of its own: another process may be downloading too
            with TemporaryDirectory(prefix="download-", dir=folder, ignore_cleanup_errors=True) as temporary:
                for name in missing:
                    _fetch(name, Path(temporary), report, mirrors, timeout).replace(folder / name)
        except OSError as error:
            raise DataError(
                f"{folder}: cannot be written ({error.strerror or error}); set LIFTGRAD_CACHE to a folder "
                "that can, or pass --data-dir"
            ) from None
    return load_directory(folder, "mnist")


def _sha256(path: Path) -> str:
    """Return the file's checksum, or an empty text for a file that cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _fetch(name: str, folder: Path, report: "_Report", mirrors: Sequence[str], timeout: float) -> Path:
    """Download the file `name` into `folder` and unpack it; return the unpacked file, checksum verified."""
    # both are slow to import, and most runs download nothing
    import pooch  # type: ignore[import-untyped,unused-ignore]
    import requests  # type: ignore[import-untyped,unused-ignore]

    logger = pooch.get_logger()
    level = logger.level
    tried: list[str] = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}.gz"
        report.start(name)
        logger.setLevel("ERROR")
        try:
            downloader = pooch.HTTPDownloader(progressbar=report, timeout=timeout)
            packed = pooch.retrieve(
                url, None, fname=f"{len(tried)}-{name}.gz", path=folder, downloader=downloader
            )
            return _unpack(Path(packed), FILES[name][0])
        except requests.HTTPError as error:
            status = "error" if error.response is None else error.response.status_code
            tried.append(f"{url} (HTTP {status})")
        except requests.Timeout:
            tried.append(f"{url} (no answer in {timeout:g} s)")
        except requests.RequestException as error:
            tried.append(f"{url} (no connection, {type(error).__name__})")
        except DataError as error:
            tried.append(f"{url} ({error})")
        finally:
            logger.setLevel(level)
    raise DataError(
        f"MNIST: {name} could not be downloaded; tried {', '.join(tried) or 'no mirror'}; pass --data-dir "
        "with a folder that holds its IDX files, or use --data digits, which need no download"
    )


def _unpack(packed: Path, checksum: str) -> Path:
    """Unpack a gzip file beside itself and return the new file; DataError unless it has the checksum."""
    target = packed.with_suffix("")
    digest = hashlib.sha256()
    try:
        with gzip.open(packed) as source, open(target, "wb") as file:
            while file.tell() <= LARGEST and (piece := source.read(CHUNK)):
                digest.update(piece)
                file.write(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError("checksum mismatch: not a whole gzip file") from None
    if digest.hexdigest() != checksum:
        raise DataError(f"checksum mismatch: expected SHA-256 {checksum[:8]}, got {digest.hexdigest()[:8]}")
    return target


class _Report:
    """Adds the files up into one progress; it has the form of a tqdm bar, which pooch drives."""

    def __init__(self, sizes: dict[str, int], progress: Progress | None):
        self._sizes = sizes
        self._done = dict.fromkeys(sizes, 0)
        self._progress = progress
        self._name = ""

    def start(self, name: str) -> None:
        """Begin the file `name`, again if it was begun before."""
        self._name = name
        self._done[name] = 0

    @property
    def total(self) -> int:
        return self._sizes[self._name]

    @total.setter
    def total(self, size: int) -> None:
        if size:  # 0 where the mirror does not say
            self._sizes[self._name] = size

    def update(self, size: int) -> None:
        # pooch counts whole chunks, the last one too
        self._done[self._name] = min(self._done[self._name] + size, self.total)
        if self._progress is not None:
            self._progress(sum(self._done.values()), sum(self._sizes.values()))

    def reset(self) -> None:
        self._done[self._name] = 0

    def close(self) -> None:
        self._done[self._name] = self.total
