"""The engines on a GPU: what each calls a copy, a wait, an event, so that all are measured in one way."""

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..case import OURS


class Engine:
    """What is asked of an engine. name: as it is imported; place: other than a GPU in tests alone."""

    adam: dict[str, Any]
    """What Adam is told so that it is the engine's fastest."""

    def __init__(self, name: str, place: Any = "cuda"):
        self.module = importlib.import_module("tensor" if name == OURS else name)
        self.place = place
        self.is_timed = place == "cuda"
        """Whether there is a GPU to measure."""

    def version(self) -> str:
        """Return the engine's version, with that of its CUDA."""
        return str(self.module.__version__)

    def missing(self) -> str | None:
        """Return what this engine cannot use a GPU for the lack of; None if nothing lacks."""
        raise NotImplementedError

    def put(self, array: Any) -> Any:
        """Return a host array on the GPU."""
        raise NotImplementedError

    def host(self, array: Any) -> Any:
        """Return an array of the GPU as one of NumPy's."""
        raise NotImplementedError

    def wait(self) -> None:
        """Wait until all that was asked for has been computed."""
        raise NotImplementedError

    def use_tf32(self, wanted: bool) -> None:
        """Let products of float32 round their factors to 10 bits, as tensor cores do, or not."""

    def let_go(self) -> None:
        """Give memory that is kept for later back to the GPU."""

    def reset_peak(self) -> None:
        """Count the most bytes anew from now on, where the engine can: a search for algorithms took some."""

    def most_bytes(self) -> int:
        """Return the most bytes of the GPU that arrays have taken since `reset_peak`."""
        raise NotImplementedError

    def seconds(self, call: Callable[[], Any], calls: int, timed: str) -> float | None:
        """Return the seconds of a call, in the mean of so many; None where there is no GPU to measure."""
        self.wait()
        if timed == "device":
            return self._seconds_of_device(call, calls)
        start = time.perf_counter()
        for _ in range(calls):
            call()
        end = time.perf_counter()
        self.wait()
        if timed == "wall":
            end = time.perf_counter()
        return (end - start) / calls if self.is_timed else None

    def _seconds_of_device(self, call: Callable[[], Any], calls: int) -> float | None:
        raise NotImplementedError


class Eager(Engine):
    """This engine and PyTorch, which are called by the same lines."""

    def __init__(self, name: str, place: Any = "cuda"):
        super().__init__(name, place)
        torch, self._is_ours = self.module, name == OURS
        self.adam = {} if self._is_ours else {"fused": True}  # ours takes one launch by itself
        if not self._is_ours:
            torch.backends.cudnn.allow_tf32 = False  # which is on by default
            torch.backends.cudnn.benchmark = True  # its fastest convolution is found by trying all
        elif place == "cuda" and self.missing() is None and "simulator" in torch.cuda.get_device_name():
            self.is_timed = False

    def version(self) -> str:
        built = getattr(self.module.version, "cuda", None)
        return "" if self._is_ours else f"{self.module.__version__}{f' (CUDA {built})' if built else ''}"

    def missing(self) -> str | None:
        torch = self.module
        if self.place != "cuda" or torch.cuda.is_available():
            return None
        built = getattr(torch.version, "cuda", None)
        return "it finds no GPU" if built or self._is_ours else f"{torch.__version__} was built without CUDA"

    def put(self, array: Any) -> Any:
        return self.module.from_numpy(array).to(self.place)

    def host(self, array: Any) -> Any:
        return array.detach().cpu().numpy()

    def wait(self) -> None:
        if self.place == "cuda":
            self.module.cuda.synchronize()

    def use_tf32(self, wanted: bool) -> None:
        self.module.set_float32_matmul_precision("high" if wanted else "highest")

    def let_go(self) -> None:
        self.module.cuda.empty_cache()

    def reset_peak(self) -> None:
        if self.place == "cuda":
            self.module.cuda.reset_peak_memory_stats()

    def most_bytes(self) -> int:
        return int(self.module.cuda.max_memory_allocated())

    def _seconds_of_device(self, call: Callable[[], Any], calls: int) -> float | None:
        if self.place != "cuda":
            call()
            return None
        start, end = (self.module.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        milliseconds = start.elapsed_time(end)
        return milliseconds / 1e3 / calls if self.is_timed else None


class Cupy(Engine):
    """CuPy: arrays as NumPy's, without gradients."""

    def version(self) -> str:
        number = self.module.cuda.runtime.runtimeGetVersion()
        return f"{self.module.__version__} (CUDA {number // 1000}.{number % 1000 // 10})"

    def missing(self) -> str | None:
        try:
            return None if self.module.cuda.runtime.getDeviceCount() else "it finds no GPU"
        except Exception as error:  # of its own kinds
            return f"it finds no GPU ({' '.join(str(error).split())})"

    def put(self, array: Any) -> Any:
        return self.module.asarray(array)

    def host(self, array: Any) -> Any:
        return self.module.asnumpy(array) if self.place == "cuda" else array

    def wait(self) -> None:
        if self.place == "cuda":
            self.module.cuda.runtime.deviceSynchronize()

    def let_go(self) -> None:
        self.module.get_default_memory_pool().free_all_blocks()

    def _seconds_of_device(self, call: Callable[[], Any], calls: int) -> float | None:
        if not self.is_timed:
            call()
            return None
        start, end = self.module.cuda.Event(), self.module.cuda.Event()
        start.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        return self.module.cuda.get_elapsed_time(start, end) / 1e3 / calls


class Jax(Engine):
    """JAX: compiled functions. It has no events; the host's clock runs until the last call has ended."""

    def missing(self) -> str | None:
        if self.place != "cuda":
            return None
        try:
            self.module.devices("cuda")
        except RuntimeError:
            return "it finds no GPU; pip install 'jax[cuda13]'"
        return None

    def put(self, array: Any) -> Any:
        return self.module.device_put(array, self.module.devices(self.place)[0])

    def host(self, array: Any) -> Any:
        return np.asarray(array)

    def wait(self) -> None:
        if self.place == "cuda":
            self.module.effects_barrier()

    def use_tf32(self, wanted: bool) -> None:
        self.module.config.update("jax_default_matmul_precision", "tensorfloat32" if wanted else "highest")

    def most_bytes(self) -> int:
        return int((self.module.devices(self.place)[0].memory_stats() or {}).get("peak_bytes_in_use", 0))

    def seconds(self, call: Callable[[], Any], calls: int, timed: str) -> float | None:
        self.module.block_until_ready(call())
        start = time.perf_counter()
        for _ in range(calls):
            last = call()
        end = time.perf_counter()
        self.module.block_until_ready(last)  # the GPU computes in the order it was asked
        if timed != "host":
            end = time.perf_counter()
        return (end - start) / calls if self.is_timed else None


ENGINES: dict[str, Callable[..., Engine]] = {OURS: Eager, "torch": Eager, "cupy": Cupy, "jax": Jax}
