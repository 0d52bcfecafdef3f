"""`torch.amp`: automatic mixed precision, of which this engine keeps the loss scaling.

There is no arithmetic in 16 bits here: `autocast` computes in the precision that tensors have, and says so.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tensor import dtypes
from tensor.devices import missing_for_cuda
from tensor.engine import Tensor


def _is_there(device: str) -> bool:
    return device == "cpu" or (device == "cuda" and not missing_for_cuda())


class autocast:
    """Compute in lower precision where that is possible: here it is not, and a warning says so.

    A context or a decorator. device_type: "cpu" or "cuda"; any other raises RuntimeError. Warns (UserWarning)
    unless enabled=False: where there is no such device, as PyTorch does; else that results stay in the type
    of their operands, where PyTorch's would be bfloat16, on a GPU float16 (or dtype=).
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ):
        if not isinstance(device_type, str):
            raise ValueError(f"autocast: expected device_type of type str, got {type(device_type).__name__}")
        if device_type not in ("cpu", "cuda", "mps", "xpu"):
            raise RuntimeError(f"autocast: unsupported device type {device_type!r}; use 'cpu'")
        self.device = device_type
        if enabled and not _is_there(device_type):
            warnings.warn(
                f"autocast: device {device_type!r} is not available; autocasting is disabled", stacklevel=2
            )
        elif enabled and dtype not in (dtypes.float32, dtypes.float64):
            warnings.warn(
                "autocast: there is no arithmetic in 16 bits here; results keep the type of their operands",
                stacklevel=2,
            )

    def __enter__(self) -> "autocast":
        return self

    def __exit__(self, *exc) -> None:
        pass

    def __call__(self, function: Callable) -> Callable:
        return function


def is_autocast_available(device_type: str) -> bool:
    """Return whether `autocast` lowers the precision on this device: False."""
    return False


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Return whether operations run in lower precision: False."""
    return False


def custom_fwd(fwd: Callable | None = None, *, device_type: str = "cuda", cast_inputs: Any = None):
    """Return `fwd` as it is: autocasting, which it would be shielded from, changes nothing here."""
    return fwd if fwd is not None else lambda function: function


def custom_bwd(bwd: Callable | None = None, *, device_type: str = "cuda"):
    """Return `bwd` as it is: autocasting, which it would be shielded from, changes nothing here."""
    return bwd if bwd is not None else lambda function: function


class GradScaler:
    """Scale losses so that small gradients survive 16 bits, and skip steps whose gradients overflow.

    `scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update()`. init_scale: the first factor.
    update() multiplies it by backoff_factor after a step with a gradient that is not finite, which step()
    does not take, and by growth_factor after growth_interval steps without one. enabled: False lets all
    through unscaled. device: "cuda" by default, as in PyTorch; where there is none it warns, and is off.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        if enabled and not _is_there(device):
            warnings.warn(
                f"GradScaler: device {device!r} is not available; scaling is disabled; use GradScaler('cpu')",
                stacklevel=2,
            )
            enabled = False
        if enabled and not growth_factor > 1.0:
            raise AssertionError(f"GradScaler: growth_factor must be > 1.0, got {growth_factor}")
        if enabled and not backoff_factor < 1.0:
            raise AssertionError(f"GradScaler: backoff_factor must be < 1.0, got {backoff_factor}")
        self._enabled = enabled
        self._scale, self._growth_factor, self._backoff_factor = init_scale, growth_factor, backoff_factor
        self._growth_interval, self._growth_tracker = growth_interval, 0
        self._found: dict[int, bool] = {}  # by optimiser: whether a gradient was not finite
        self._stages: defaultdict[int, str] = defaultdict(lambda: "ready")

    def scale(self, outputs: Any) -> Any:
        """Return a tensor, or a list or tuple of tensors, times the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, list | tuple):
            return type(outputs)(self.scale(output) for output in outputs)
        raise ValueError(f"scale: expected a tensor or a list of tensors, got {type(outputs).__name__}")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimiser by the factor; before they are clipped, for instance.

        Raises RuntimeError if that has been done since the last update(), or after step().
        """
        if not self._enabled:
            return
        stage = self._stages[id(optimizer)]
        if stage == "unscaled":
            raise RuntimeError("unscale_() has already been called on this optimizer since update().")
        if stage == "stepped":
            raise RuntimeError("unscale_() is being called after step().")
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self._found[id(optimizer)] = not all(bool(grad.isfinite().all()) for grad in grads)
        for grad in grads:
            grad.mul_(1.0 / self._scale)
        self._stages[id(optimizer)] = "unscaled"

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Unscale the gradients, unless that is done, and step if all are finite; return what step() does.

        Raises RuntimeError if called twice without update(), or with a closure.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        if self._stages[id(optimizer)] == "stepped":
            raise RuntimeError("step() has already been called since the last update().")
        if self._stages[id(optimizer)] == "ready":
            self.unscale_(optimizer)
        self._stages[id(optimizer)] = "stepped"
        if self._found[id(optimizer)]:
            return None
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: "float | Tensor | None" = None) -> None:
        """Choose the next factor: less after an overflow, more after many steps without; or new_scale."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found:
            raise AssertionError("update: no gradients have been looked at; call step(optimizer) first")
        elif any(self._found.values()):
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale *= self._growth_factor
                self._growth_tracker = 0
        self._found.clear()
        self._stages.clear()

    def get_scale(self) -> float:
        """Return the factor; 1.0 if disabled."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Return whether anything is scaled."""
        return self._enabled

    def get_growth_factor(self) -> float:
        """Return what the factor is multiplied by after growth_interval good steps."""
        return self._growth_factor

    def get_backoff_factor(self) -> float:
        """Return what the factor is multiplied by after an overflow."""
        return self._backoff_factor

    def get_growth_interval(self) -> int:
        """Return after how many good steps in a row the factor grows."""
        return self._growth_interval

    def state_dict(self) -> dict:
        """Return the factor, how it changes, and the good steps so far; {} if disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict) -> None:
        """Go on from what state_dict() returned. Raises RuntimeError for an empty one, if enabled."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("load_state_dict: the state is empty: it was saved by a disabled GradScaler")
        self._scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]
