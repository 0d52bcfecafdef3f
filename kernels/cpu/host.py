"""What kernels were compiled for, and what runs them."""

import os
import platform
from typing import NamedTuple

import llvmlite.binding

from kernels.cpu import compile, tiles


class Host(NamedTuple):
    """The machine, as the kernels see it."""

    processor: str  # its name, as it calls itself
    cores: int  # that the system has
    vectors: str  # the widest vector instructions that the kernels use
    vector_bytes: int
    tile: tuple[int, int]  # rows and vectors of results that a matrix product keeps in registers
    threading_layer: str  # 'omp', 'tbb', or 'workqueue', which is not used: kernels run on one thread
    threads: int  # that run a parallel kernel now
    available_threads: int
    cache: str | None  # the folder of compiled kernels; None where nothing can be written


def describe() -> Host:
    """Return what the kernels of this process were compiled for, and what runs them."""
    return Host(
        processor=processor_name(),
        cores=os.cpu_count() or 1,
        vectors=_vectors(),
        vector_bytes=tiles.VECTOR_BYTES,
        tile=(tiles.TILE_ROWS, tiles.TILE_VECTORS),
        threading_layer=compile.threading_layer,
        threads=compile.get_num_threads(),
        available_threads=compile.available_threads(),
        cache=compile._CACHE,
    )


def processor_name() -> str:
    """Return the processor's name, or its architecture where it tells none."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _vectors() -> str:
    features = llvmlite.binding.get_host_cpu_features()
    known = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "neon": "NEON", "sse2": "SSE2"}
    return next((name for feature, name in known.items() if features.get(feature)), "none")
