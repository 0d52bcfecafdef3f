"""Models that several tests look at, trained once for all processes of a test run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


def train(folder: Path, name: str, data: str, source: Path | None, environment: dict[str, str]) -> Path:
    """Return the file, in `folder`, of a model trained on `data` for an epoch with seed 0.

    The first process that asks trains it, as a user would, and the others wait. source: the folder of the
    data's files, for data that are not built in.
    """
    path = folder / f"{name}-{data}.safetensors"
    with _alone(folder / f"{path.name}.lock"):
        if not path.exists():
            unfinished = folder / f"{name}-{data}.unfinished.safetensors"
            words = ["train", name, "--data", data, "--epochs", "1", "--save", unfinished, "--quiet"]
            if source is not None:
                words += ["--data-dir", source]
            run = subprocess.run(
                [sys.executable, "-m", "liftgrad", *words], env={**environment, "PYTHONPATH": str(ROOT)},
                capture_output=True, text=True, timeout=1800,
            )  # fmt: skip
            assert run.returncode == 0, run.stderr
            unfinished.replace(path)
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes out. Not by a file's mere existence: a killed process would leave it behind."""
    try:
        import fcntl
    except ImportError:  # on Windows: each process may train for itself
        yield
        return
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def mnist_folder() -> Path | None:
    """Return where MNIST's files lie: `LIFTGRAD_MNIST`, beside the checkout, the cache; None if nowhere."""
    from kernels.cpu.compile import cache_root

    given = os.environ.get("LIFTGRAD_MNIST")
    usual = [ROOT.parent / "shared" / "data" / "mnist", cache_root() / "mnist"]
    for folder in [Path(given)] if given else usual:
        if any((folder / f"t10k-labels-idx1-ubyte{suffix}").is_file() for suffix in ("", ".gz")):
            return folder
    return None
