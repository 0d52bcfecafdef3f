"""One check for every operation: values and gradients, against PyTorch, NumPy and finite differences.

An operation is written once, as a function of a module and its tensors:

    check.op("mul", lambda T, x, y: T.mul(x, y), [x, y], reference=np.multiply)

`T` is this engine's `tensor`, and PyTorch where it is installed: both must understand the same line. The same
values are given in several memory layouts (transposed, sliced with steps, read-only), as float32 and float64.
"""

import itertools
import os
from collections.abc import Callable, Sequence

import numpy as np

import tensor

try:
    import torch
except ImportError:
    torch = None

# As torch.testing.assert_close has them, but float64 near its own precision.
TOLERANCE = {"float32": (1.3e-6, 1e-5), "float64": (1e-11, 1e-11)}


DEVICE = os.environ.get("LIFTGRAD_TEST_DEVICE", "cpu")
"""The device that this engine's tensors are on."""


SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


def numbers(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Return random float64 numbers in [low, high), none of them equal and none of them near 0."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(low, high, shape)
    return np.asarray(np.where(np.abs(values) < 0.05, 0.3, values))


def same(ours, theirs, what: str = "", rtol: float | None = None, atol: float | None = None) -> None:
    """Fail unless both (tensors, arrays, numbers or tuples of them) agree in type and value."""
    if isinstance(ours, tuple | list):
        assert len(ours) == len(theirs), f"{what}: {len(ours)} results, expected {len(theirs)}"
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            same(a, b, f"{what}[{i}]", rtol, atol)
        return
    if ours is None or theirs is None:
        assert ours is theirs, f"{what}: {ours} where {theirs} is expected"
        return
    a, b = to_numpy(ours), to_numpy(theirs)
    assert a.dtype == b.dtype, f"{what}: dtype {a.dtype}, expected {b.dtype}"
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    if a.dtype.kind == "f":
        default = TOLERANCE[a.dtype.name]
        rtol, atol = default[0] if rtol is None else rtol, default[1] if atol is None else atol
        np.testing.assert_allclose(a, b, rtol, atol, err_msg=what, equal_nan=True)
    else:
        np.testing.assert_array_equal(a, b, what)


def to_numpy(x) -> np.ndarray:
    """Return the values of a tensor of either engine, an array or a number."""
    return np.asarray(x.detach().cpu().numpy() if hasattr(x, "detach") else x)


def layouts(array: np.ndarray) -> dict[str, np.ndarray]:
    """Return the same values in memory in order, transposed, with steps, with gaps, and read-only."""
    found = {"in order": np.array(array, order="C")}
    if array.ndim >= 2:
        found["transposed"] = np.array(array.T, order="C").T
        gaps = np.zeros((*array.shape[:-1], array.shape[-1] + 3), array.dtype)
        gaps[..., 1:-2] = array
        found["gaps"] = gaps[..., 1:-2]
    if array.ndim >= 1:
        steps = np.zeros(tuple(2 * n + 1 for n in array.shape), array.dtype)
        window = tuple(slice(1, None, 2) for _ in array.shape)
        steps[window] = array
        found["steps"] = steps[window]
    found["read-only"] = np.array(array, order="C")
    found["read-only"].flags.writeable = False
    return found


def _as_ours(array: np.ndarray):
    t = tensor.from_numpy(array, warn=False)
    if DEVICE != "cpu":
        t = _moved(array)
    return t.requires_grad_(array.dtype.kind == "f")


def _moved(array: np.ndarray):
    """Return a tensor on `DEVICE` whose elements lie in memory as they do in `array`, gaps and all."""
    whole = array if array.base is None else array.base
    memory = tensor.from_numpy(np.array(whole, copy=True), warn=False).to(DEVICE)
    if whole is array or whole.size == array.size:
        return tensor.from_numpy(array.copy(order="K"), warn=False).to(DEVICE)
    steps = [s // array.itemsize for s in array.strides]
    start = (array.ctypes.data - whole.ctypes.data) // array.itemsize
    return memory.as_strided(array.shape, steps, start).detach()


def _like(out, array: np.ndarray):
    """Return an array as a tensor on the device of `out`, a tensor of either engine."""
    module = tensor if isinstance(out, tensor.Tensor) else torch
    return module.as_tensor(array).to(out.device)


def _as_theirs(array: np.ndarray):
    return torch.tensor(array, requires_grad=array.dtype.kind == "f")


def _run(op: Callable, module, tensors: Sequence) -> tuple:
    out = op(module, *tensors)
    if isinstance(out, tuple | list):
        return tuple(out)
    return (out,)


def _weights(out: np.ndarray, i: int) -> np.ndarray:
    """Return what flows back into a result: different numbers, so that a transposed gradient is noticed."""
    return numbers(*out.shape, seed=100 + i).astype(out.dtype)


def _gradients(module, outs: tuple, tensors: Sequence) -> list[np.ndarray | None]:
    floats = [i for i, out in enumerate(outs) if to_numpy(out).dtype.kind == "f" and out.requires_grad]
    if not floats:
        return []
    weights = [_like(outs[i], _weights(to_numpy(outs[i]), i)) for i in floats]
    module.autograd.backward([outs[i] for i in floats], weights)
    wanted = [t for t in tensors if to_numpy(t).dtype.kind == "f"]
    return [None if t.grad is None else to_numpy(t.grad) for t in wanted]


def _finite_differences(op: Callable, arrays: list[np.ndarray], which: int) -> np.ndarray:
    """Return the gradient of sum(weights * out) in arrays[which], from values alone."""
    x = arrays[which].copy()
    slope = np.empty_like(x)
    flat, flat_slope = x.reshape(-1), slope.reshape(-1)

    def total() -> float:
        with tensor.no_grad():
            outs = _run(op, tensor, [tensor.from_numpy(x if i == which else a) for i, a in enumerate(arrays)])
        outs = [to_numpy(out) for out in outs]
        return sum(
            float((out * _weights(out, i)).sum()) for i, out in enumerate(outs) if out.dtype.kind == "f"
        )

    for j in range(flat.size):
        middle = flat[j]
        step = 1e-6 * max(1.0, abs(middle))
        flat[j] = middle + step
        above = total()
        flat[j] = middle - step
        below = total()
        flat[j] = middle
        flat_slope[j] = (above - below) / (2 * step)
    return slope


def op(
    name: str,
    ours: Callable,
    inputs: Sequence,
    reference: Callable | None = None,
    *,
    theirs: Callable | None = None,
    gradient: bool = True,
    differences: bool = True,
    all_layouts: bool = True,
    dtypes: Sequence[str] = ("float32", "float64"),
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Compare an operation with PyTorch (if installed), a NumPy reference (if given), finite differences.

    ours, theirs: functions of a module and tensors; `theirs` is `ours` unless given. inputs: arrays; floats
    are converted to each of `dtypes`, and gradients flow to them. gradient: whether there is one;
    differences: whether finite differences can find it (not at a kink).
    """
    arrays = [np.asarray(x) for x in inputs]
    for dtype in dtypes:
        cast = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
        expected = expected_grads = first_grads = None
        if torch is not None:
            their_tensors = [_as_theirs(a) for a in cast]
            expected = _run(theirs or ours, torch, their_tensors)
            expected_grads = _gradients(torch, expected, their_tensors) if gradient else None
        for layout, presented in _presentations(cast, all_layouts):
            what = f"{name}, {dtype}, {layout}"
            before = [a.copy() for a in presented]
            tensors = [_as_ours(a) for a in presented]
            outs = _run(ours, tensor, tensors)
            if reference is not None:
                with np.errstate(all="ignore"):
                    wanted = reference(*[a.astype(np.float64) if a.dtype.kind == "f" else a for a in cast])
                for out, value in zip(outs, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
                    array = to_numpy(out)
                    same(array, np.asarray(value).astype(array.dtype), f"{what}, against NumPy", rtol, atol)
            if expected is not None:
                same(outs, expected, f"{what}, against PyTorch", rtol, atol)
            if gradient:
                grads = _gradients(tensor, outs, tensors)
                assert grads, f"{what}: the result does not require a gradient"
                if expected_grads is not None:
                    same(grads, expected_grads, f"{what}, gradients against PyTorch", rtol, atol)
                if first_grads is not None:
                    same(grads, first_grads, f"{what}, gradients against those in order", rtol, atol)
                elif differences and dtype == "float64" and DEVICE == "cpu":
                    floats = [i for i, a in enumerate(cast) if a.dtype.kind == "f"]
                    for i, grad in zip(floats, grads, strict=True):
                        slope = _finite_differences(ours, cast, i)
                        grad = np.zeros_like(slope) if grad is None else grad
                        np.testing.assert_allclose(
                            grad,
                            slope,
                            1e-5,
                            1e-6,
                            err_msg=f"{what}, gradient {i} against finite differences",
                        )
                first_grads = first_grads or grads
                _grads_are_apart(what, tensors)
            for a, t, b in zip(presented, tensors, before, strict=True):
                np.testing.assert_array_equal(a, b, f"{what}: an input was changed")
                np.testing.assert_array_equal(to_numpy(t), b, f"{what}: an input was changed")


def _presentations(arrays: list[np.ndarray], everything: bool):
    """Yield the inputs in order, then each layout, mixed so that neighbours differ."""
    kinds = [list(layouts(a).items()) for a in arrays]
    count = max((len(k) for k in kinds), default=1) if everything else 1
    if SIMULATED:
        count = min(count, 2)  # two of the layouts: a kernel takes milliseconds there
    for i in range(count):
        chosen = [k[(i + j) % len(k)] if i else k[0] for j, k in enumerate(kinds)]
        yield " and ".join(sorted({c[0] for c in chosen})), [c[1] for c in chosen]


def _grads_are_apart(what: str, tensors: Sequence) -> None:
    """Fail if two gradients, or a gradient and a value, share memory: zeroing one would change the other."""
    grads = [t.grad._array for t in tensors if t.grad is not None]
    values = [t._array for t in tensors]
    for a, b in itertools.combinations(grads, 2):
        assert not _share_memory(a, b), f"{what}: two gradients share memory"
    for a, b in itertools.product(grads, values):
        assert not _share_memory(a, b), f"{what}: a gradient shares memory with a value"
    for grad in grads:
        assert grad.flags.writeable, f"{what}: a gradient is read-only"
        inner = [s for s, n in zip(grad.strides, grad.shape, strict=True) if n > 1]
        assert grad.size == 0 or 0 not in inner, f"{what}: a gradient's elements overlap"


def _share_memory(a, b) -> bool:
    return np.shares_memory(a, b) if isinstance(a, np.ndarray) else a.may_share_memory(b)


def raises_alike(ours: Callable) -> None:
    """Fail unless this engine raises the kind of error that PyTorch, where it is installed, raises."""
    found = _error_of(ours, tensor)
    if torch is None:
        kinds = (RuntimeError, TypeError, ValueError, LookupError, AssertionError, ArithmeticError)
        assert isinstance(found, kinds), f"{found!r}"
        return
    expected = _error_of(ours, torch)
    assert expected is not None, "PyTorch raises nothing here"
    assert found is not None, f"no error, where PyTorch raises {expected!r}"
    assert isinstance(found, type(expected)), f"{found!r}, where PyTorch raises {expected!r}"


def _error_of(function: Callable, module) -> Exception | None:
    try:
        function(module)
    except Exception as error:
        return error
    return None
