"""What this engine runs on: versions, processor, thread pool, kernel cache, devices."""

import os
import platform
import warnings
from importlib.metadata import PackageNotFoundError, version

from kernels import cpu

_NAMES = {"numpy": "NumPy", "numba": "Numba", "llvmlite": "llvmlite"}


def show_config() -> str:
    """Return a description of this engine and of what it runs on, several lines of text.

    As `torch.__config__.show()` does: print it. It names the versions, the processor with the vector
    instructions and the tile that kernels use, the pool that runs them and its threads, the folder where they
    are cached, and the devices.
    """
    host = cpu.describe()
    rows, vectors = host.tile
    entries = {
        "versions": describe_versions(),
        "processor": describe_processor(),
        "matmul": f"tiles of {rows} rows x {vectors} vectors of {host.vector_bytes} bytes",
        "threads": _describe_threads(host),
        "kernels": f"compiled when first used, cached in {host.cache}" if host.cache else "not cached",
        "devices": "cpu",
    }
    return "\n".join(f"{label:10s}{text}" for label, text in entries.items())


def describe_versions() -> str:
    """Return the versions of this engine, of Python, and of what the kernels are made with."""
    names = [f"{title} {version(name)}" for name, title in _NAMES.items()]
    return ", ".join([f"liftgrad {_own_version()}", f"Python {platform.python_version()}", *names])


def _own_version() -> str:
    try:
        return version("liftgrad")
    except PackageNotFoundError:
        return "(not installed)"


def describe_processor() -> str:
    """Return the processor's name, its cores, and the vector instructions in use."""
    host = cpu.describe()
    cores = f"{host.cores} core{'s' * (host.cores > 1)}"
    return f"{host.processor}, {cores}, {host.vectors}, {platform.system()} {platform.machine()}"


def _describe_threads(host: cpu.Host) -> str:
    pools = {"omp": "OpenMP", "tbb": "TBB"}
    if host.threading_layer in pools:
        of = f" of {host.available_threads}" if host.available_threads != host.threads else ""
        return f"{host.threads}{of}, one pool ({pools[host.threading_layer]}) for all kernels"
    return "1: Numba's workqueue aborts when two Python threads enter it, so kernels run serially"


def warn_of_serial_kernels() -> None:
    """Warn where several cores are there, and no pool that could safely run kernels on them."""
    host = cpu.describe()
    chosen = os.environ.get("NUMBA_THREADING_LAYER")
    if host.threading_layer == "workqueue" and host.cores > 1 and chosen != "workqueue":
        warnings.warn(
            "tensor: neither OpenMP nor TBB could be loaded, so kernels run on one thread; `pip install tbb` "
            "or a package of libgomp (libomp on macOS) lets them use all cores",
            RuntimeWarning,
            stacklevel=3,
        )
