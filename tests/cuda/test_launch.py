"""What a launch hands to the driver, read back by a stand-in for the driver, without a GPU."""

import math
import struct
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

if find_spec("numba_cuda") is None:
    pytest.skip("numba-cuda is not installed", allow_module_level=True)

from numba import types

from kernels.cuda import compile as compiler
from kernels.cuda import launching, offline
from kernels.cuda.compile import MOST_DIMS, SIMULATED, Kernel

pytestmark = pytest.mark.skipif(SIMULATED, reason="the simulator launches nothing")

INVALID_VALUE = 1


@pytest.fixture
def driver(gpu_stand_in: ModuleType) -> Iterator[Any]:
    """Launch on a stand-in, which keeps every launch."""
    with gpu_stand_in.stand_in() as made:
        yield made


def array(address: int, dtype: str, count: int = 0) -> Any:
    kind = np.dtype(dtype)
    return SimpleNamespace(address=address, dtype=kind, span=count, itemsize=kind.itemsize)


def test_parameters_lie_as_the_kernel_reads_them(driver: Any) -> None:
    made = Kernel(lambda *_: None, "int64, T*, dims, T, uint8, out int64[], out S*", ["float32 bool"])
    made.launch(
        (3, 2), 64, -5, array(1 << 46, "float32"), (1, 2, 3, 4, 5, 6), 0.5, 7, array(96, "int64", 9),
        array(128, "bool"),
    )  # fmt: skip
    (launch,) = driver.launches
    assert (launch.grid, launch.block, launch.stream) == ((3, 2, 1), (64, 1, 1), 0)
    # Each parameter lies at a multiple of its own size, as in a structure of C.
    read = struct.unpack("@qQ6qfBQQqqQqqQ", launch.parameters)
    assert read == (-5, 1 << 46, 1, 2, 3, 4, 5, 6, 0.5, 7, 0, 0, 9, 8, 96, 9, 8, 128)


def test_numbers_are_stored_as_c_stores_them(driver: Any) -> None:
    made = Kernel(lambda *_: None, "out T*, T, S*, S", ["float32 uint8"])
    made.launch(1, 1, array(16, "float32"), 1e300, array(32, "uint8"), 300)
    made.launch(1, 1, array(16, "float32"), -math.inf, array(32, "uint8"), -1)
    read = [struct.unpack("@QfQB", launch.parameters) for launch in driver.launches]
    assert read == [(16, math.inf, 32, 44), (16, -math.inf, 32, 255)]


@pytest.mark.parametrize(("number", "dims"), [(0.5, (0,) * MOST_DIMS), (1, (0,) * (MOST_DIMS - 1))])
def test_what_is_no_parameter_is_refused(driver: Any, number: Any, dims: tuple) -> None:
    made = Kernel(lambda *_: None, "int64, dims, out T*", ["float32"])
    with pytest.raises(TypeError):
        made.launch(1, 1, number, dims, array(16, "float32"))
    assert driver.launches == []


def test_an_error_names_the_kernel_and_the_launch(driver: Any) -> None:
    made = Kernel(lambda *_: None, "out T*", ["float32"], name="fill", family="memory")
    driver.answer = INVALID_VALUE
    with pytest.raises(RuntimeError, match=r"memory.fill: .*\(9, 1, 1\) blocks.*CUDA_ERROR_INVALID_VALUE"):
        made.launch(9, 2048, array(16, "float32"))


def test_a_forked_process_is_told_what_to_do(driver: Any) -> None:
    made = Kernel(lambda *_: None, "out T*", ["float32"])
    driver.answer = 3  # CUDA_ERROR_NOT_INITIALIZED
    with pytest.raises(RuntimeError, match=r"a process forked from one .* by the method 'spawn'"):
        made.launch(1, 1, array(16, "float32"))
    driver.answer = INVALID_VALUE
    with pytest.raises(RuntimeError) as told:
        made.launch(1, 1, array(16, "float32"))
    assert "spawn" not in str(told.value)


def test_a_launch_goes_to_the_stream_of_its_thread(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    attached: list[int] = []
    compiler.cuda.current_context = lambda: attached.append(threading.get_ident())
    monkeypatch.setattr(launching, "streams", launching.Streams())
    made = Kernel(lambda *_: None, "out T*", ["float32"])
    launching.streams.current = SimpleNamespace(handle=SimpleNamespace(value=77))
    made.launch(1, 1, array(16, "float32"))
    made.launch(1, 1, array(16, "float32"))
    other = threading.Thread(target=made.launch, args=(1, 1, array(16, "float32")))
    other.start()
    other.join()
    assert [launch.stream for launch in driver.launches] == [77, 77, 0]
    assert len(attached) == 2, "each thread takes the GPU's context once"


def test_threads_launch_one_kernel_at_a_time_each_with_its_own_numbers(
    driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Kernel(lambda *_: None, "int64, out T*", ["float32"])
    made.launch(1, 1, 1, array(1, "float32"))
    driver.launches.clear()

    def launch_often(n: int) -> None:
        launching.streams.current = SimpleNamespace(handle=n)
        for _ in range(2000):
            made.launch(n, 1, n, array(n, "float32"))

    monkeypatch.setattr(launching, "streams", launching.Streams())
    interval = sys.getswitchinterval()
    threads = [threading.Thread(target=launch_often, args=(n,)) for n in (1, 2, 3, 4)]
    try:
        sys.setswitchinterval(1e-6)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    found = [(x.grid[0], x.stream, *struct.unpack("@qQ", x.parameters)) for x in driver.launches]
    assert sorted(found) == [(n, n, n, n) for n in (1, 2, 3, 4) for _ in range(2000)]


def test_a_launch_within_a_launch_leaves_its_parameters(driver: Any) -> None:
    made = Kernel(lambda *_: None, "int64, int64, out T*", ["float32"])

    class Number:
        """A number whose conversion launches the kernel, as a finaliser or a signal's handler might."""

        def __index__(self) -> int:
            made.launch(9, 1, 7, 7, array(7, "float32"))
            return 2

    made.launch(1, 1, 1, Number(), array(3, "float32"))
    found = [(x.grid[0], *struct.unpack("@qqQ", x.parameters)) for x in driver.launches]
    assert found == [(9, 7, 7, 7), (1, 1, 2, 3)]


def test_the_last_arguments_can_be_given_once(driver: Any) -> None:
    made = Kernel(lambda *_: None, "T*, T, out T*, uint8, dims, T", ["float32", "float64"])
    kinds = (np.dtype(np.float32),) * 2
    launch = made.with_last(kinds, 300, (1, 2, 3, 4, 5, 6), 1e300)
    for n in (1, 2):
        launch(n, 32, array(n, "float32"), n / 2, array(10 * n, "float32"))
        made.launch(
            n, 32, array(n, "float32"), n / 2, array(10 * n, "float32"), 300, (1, 2, 3, 4, 5, 6), 1e300
        )
    launch((2, 3), (4, 5), array(7, "float32"), 1e300, array(8, "float32"))
    a, b, c, d, last = driver.launches
    assert (a.parameters, c.parameters) == (b.parameters, d.parameters)
    assert struct.unpack("@QfQB6qf", last.parameters) == (7, math.inf, 8, 44, 1, 2, 3, 4, 5, 6, math.inf)
    assert [x.grid[0] for x in driver.launches] == [1, 1, 2, 2, 2]
    assert (last.grid, last.block) == ((2, 3, 1), (4, 5, 1))
    with pytest.raises(TypeError):
        launch(1, 1, array(7, "float32"), 1, array(8, "float32"), 5)
    with pytest.raises(TypeError, match="expected 8 parameters, got 7"):
        made.with_last(kinds, 300, (0,) * (MOST_DIMS - 1), 1.0)
    with pytest.raises(TypeError, match="only numbers and dims"):
        made.with_last(kinds, array(8, "float32"), 300, (0,) * MOST_DIMS, 1.0)
    assert len(driver.launches) == 5


def test_a_launch_is_few_calls(driver: Any) -> None:
    """What a launch costs the host is Python's calls, most of all: a fifth of a microsecond each."""
    made = Kernel(lambda *_: None, "T*, T*, T*, out T*, dims, int64", ["float32"])
    dims, x = (1,) * MOST_DIMS, array(16, "float32")
    launch = made.with_last((x.dtype,) * 4, dims, 5)
    for once, most in [
        (lambda: made.launch(9, 32, x, x, x, x, dims, 5), 4), (lambda: launch(9, 32, x, x, x, x), 2)
    ]:  # fmt: skip
        once()
        driver.forget()
        calls: list[str] = []

        def note(frame: Any, event: str, _: Any, calls: list[str] = calls) -> None:
            if event == "call":
                calls.append(frame.f_code.co_name)

        sys.setprofile(note)
        try:
            once()
        finally:
            sys.setprofile(None)
        kept = calls[1 : calls.index("_launch")]  # from the launch to the driver
        assert len(kept) <= most, kept
        assert len(driver.launches) == 1


def test_arrays_of_other_types_are_refused(driver: Any) -> None:
    made = Kernel(lambda *_: None, "T*, T*, out float32*", ["float32", "int64"], name="both", family="f")
    x, n = array(16, "float32"), array(16, "int64")
    with pytest.raises(TypeError, match="T stands for float32 and int64"):
        made.launch(1, 1, x, n, x)
    with pytest.raises(TypeError, match="expected an array of float32, got int64"):
        made.launch(1, 1, n, n, n)
    bad = array(16, "int8")
    with pytest.raises(NotImplementedError, match=r"f\.both: no GPU kernel for int8"):
        made.launch(1, 1, bad, bad, x)


@pytest.mark.parametrize("kernel", offline.all_kernels(), ids=lambda k: f"{k.family}.{k.name}")
def test_parameters_of_every_kernel_are_those_that_numba_would_pass(kernel: Kernel) -> None:
    from numba.cuda.dispatcher import _Kernel

    launched = _Kernel.__new__(_Kernel)
    launched.extensions = []
    for kind in kernel.kinds:
        for kept, code in zip(kernel.types(kind), kernel.codes(kind), strict=True):
            if isinstance(kept, types.Array):
                continue  # numba-cuda asks the device; what it compiles is compared in test_offline.py
            given: list = []
            example = (3,) * MOST_DIMS if isinstance(kept, types.UniTuple) else 3
            launched._prepare_args(kept, example, 0, [], given)
            if isinstance(kept, types.CPointer):
                assert (given, code) == ([3], launching.POINTER)
            else:
                assert [number._type_.lower() for number in given] == [_c_code(c) for c in code.lower()]


def _c_code(code: str) -> str:
    return "l" if code == "q" else code  # ctypes' own name of a number of eight bytes
