"""What the tests of every package share.

With `LIFTGRAD_TEST_DEVICE=cuda` the tests that ask for `check` or `device` run on the GPU, in numba-cuda's
simulator, or with `LIFTGRAD_EMULATOR=0` in `tests/cuda/emulator` (1, 2: in other orders of threads); all
others are left out. With `LIFTGRAD_TEST_EVERY=4` only every fourth of them runs.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# In a container there is neither a sandbox nor a graphics card; nothing is to be fetched.
BROWSER_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--no-first-run",
)  # fmt: skip


try:
    import hypothesis as _  # noqa: F401
except ImportError:  # its tests are skipped, and those beside them run
    _stub: Any = MagicMock()
    _stub.given = lambda *_, **__: pytest.mark.skip(reason="hypothesis is not installed")
    _stub.settings = _stub.example = lambda *_, **__: lambda function: function
    sys.modules["hypothesis"] = sys.modules["hypothesis.extra"] = _stub


def _load(path: Path) -> ModuleType:
    # By its path: in importlib mode a test cannot import its neighbour, and `tests` may be another's package.
    name = "liftgrad_tests_" + path.stem
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def check() -> ModuleType:
    """Return `tests/tensor/check.py`: `check.op(...)` compares an operation with its references."""
    return _load(Path(__file__).parent / "tensor" / "check.py")


@pytest.fixture(scope="session")
def reference_conv() -> ModuleType:
    """Return `tests/kernels/cpu/reference_conv.py`: convolution and its gradients by their definitions."""
    return _load(Path(__file__).parent / "kernels" / "cpu" / "reference_conv.py")


@pytest.fixture(scope="session")
def gpu_stand_in() -> ModuleType:
    """Return `tensor.bench.stand_in`: `with stand_in() as gpu:` has a GPU that computes nothing."""
    if find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda is not installed")
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
        pytest.skip("the simulator launches nothing")
    return import_module("tensor.bench.stand_in")


@pytest.fixture(scope="session")
def gpu_emulator() -> ModuleType:
    """Return `tests/cuda/emulator/emulator.py`: with emulate(), kernels run as compiled, on this CPU."""
    emulator = _load(Path(__file__).parent / "cuda" / "emulator" / "emulator.py")
    if lacking := emulator.missing():
        pytest.skip(lacking)
    return emulator


@pytest.fixture(scope="session")
def pages() -> ModuleType:
    """Return `tests/viz/pages.py`: computations, and `check_state(page, stepper, k)`."""
    return _load(Path(__file__).parent / "viz" / "pages.py")


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Return where MNIST's files lie; a test that asks for it is skipped where there are none."""
    folder = _load(Path(__file__).parent / "trained.py").mnist_folder()
    if folder is None:
        pytest.skip("MNIST is not here: LIFTGRAD_MNIST names its folder, `train --data mnist` fetches it")
    return folder


@pytest.fixture(scope="session")
def trained_model(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[..., Path]:
    """Return trained_model(name, data="digits"): a model's file, after an epoch of `data` with seed 0.

    It is trained when first asked for, once for all processes of the test run. data: "digits", or "mnist",
    where a test is skipped unless its files are here.
    """
    trained = _load(Path(__file__).parent / "trained.py")
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    environment = dict(os.environ)  # now: a test may have an empty cache of its own

    def trained_model(name: str, data: str = "digits") -> Path:
        source = request.getfixturevalue("mnist_folder") if data == "mnist" else None
        return trained.train(folder, name, data, source, environment)

    return trained_model


@pytest.fixture(scope="session")
def strokes() -> ModuleType:
    """Return `tests/viz/strokes.py`: `read_drawings()`, digits drawn by hand, and what models see in them."""
    return _load(Path(__file__).parent / "viz" / "strokes.py")


DEVICE = os.environ.get("LIFTGRAD_TEST_DEVICE", "cpu")
EVERY = int(os.environ.get("LIFTGRAD_TEST_EVERY", "1"))


def pytest_configure(config: pytest.Config) -> None:
    """Emulate a GPU for all tests, if that is asked for."""
    order = os.environ.get("LIFTGRAD_EMULATOR")
    if order is not None:
        emulator = _load(Path(__file__).parent / "cuda" / "emulator" / "emulator.py")
        if lacking := emulator.missing():
            pytest.exit(f"LIFTGRAD_EMULATOR: {lacking}", returncode=4)
        emulated = emulator.emulate(int(order))
        emulated.__enter__()
        config.add_cleanup(lambda: emulated.__exit__(None, None, None))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs on the CPU alone, when the tests run on another device.

    There errors that the GPU finds are raised where the CPU raises them; test_faults.py has the others.
    """
    if DEVICE == "cpu":
        return
    with suppress(ImportError):
        import_module("kernels.cuda.faults").AT_ONCE = True  # type: ignore[attr-defined]
    chosen = [item for item in items if {"check", "device"} & set(getattr(item, "fixturenames", ()))][::EVERY]
    left_out = list(set(items).difference(chosen))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Note the GPU kernels that ran in the file that `LIFTGRAD_LAUNCHED` names, for `tests/cuda/page.py`."""
    log = os.environ.get("LIFTGRAD_LAUNCHED")
    kernels = sys.modules.get("kernels.cuda.compile")
    if log and kernels is not None:
        launched = [name for name, kernel in kernels.KERNELS.items() if kernel.was_launched]
        with open(log, "a", encoding="utf-8") as file:
            file.writelines(f"{name}\n" for name in launched)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """Skip, on another device, files that need a package which is not there: a lent machine may be bare."""
    report = yield
    missing = re.search(r"ModuleNotFoundError: No module named '(\w+)", str(report.longrepr))
    if DEVICE != "cpu" and report.failed and missing and missing[1] not in ("kernels", "micro", "tensor"):
        report.outcome, report.result = "skipped", []
        report.longrepr = (str(collector.path), 0, f"Skipped: {missing[1]} is not installed")
    return report


@pytest.fixture(scope="session", params=[DEVICE])
def device(request: pytest.FixtureRequest) -> str:
    """Return the device a test runs on; each test that asks for it runs once on every device."""
    return request.param


@pytest.fixture(scope="session")
def engines() -> list[ModuleType]:
    """Return this engine, and PyTorch where it is installed: what is asserted must be true of both."""
    engines = [import_module("tensor")]
    with suppress(ImportError):
        engines.append(import_module("torch"))
    return engines


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """Return PyTorch; a test that asks for it is skipped where it is not installed."""
    return pytest.importorskip(
        "torch", reason="PyTorch is not installed; values are compared with it only where it is"
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return Chromium, driven by Playwright; a test that asks for it is skipped where one is not there."""
    driver = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install -e '.[browser]'"
    )
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("Chromium is not installed: apt install chromium")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=list(BROWSER_FLAGS), timeout=120_000
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Return open_page(path, hash="", **options): a page of its own, which may ask for nothing else.

    options are those of a Playwright context: viewport, color_scheme, reduced_motion, ... After the test a
    request for anything but the file, an error or a warning in the console, or an exception fails it.
    """
    contexts, wrong = [], []

    def open_page(path: Path, hash: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        address = path.as_uri()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, "data:"))
                else wrong.append(f"asked for {request.url}")
            ),
        )
        page.goto(address + hash)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def page_of(open_page: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Return page_of(root, hash="", check=False, **options): the page of a computation, opened."""
    import viz

    def page_of(root: Any, hash: str = "", check: bool = False, **options: Any) -> Any:
        return open_page(viz.page(root, tmp_path / "steps.html", check=check), hash, **options)

    return page_of


@pytest.fixture(scope="session")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return demo_page(name, **options): the file of a demo's page, which each test process writes once."""
    from viz.demos import DEMOS

    folder = tmp_path_factory.mktemp("demos")

    @cache
    def demo_page(name: str, **options: int) -> Path:
        path = folder / f"{name}{''.join(f'-{key}-{value}' for key, value in options.items())}.html"
        path.write_text(DEMOS[name].write(**options), encoding="utf-8")
        return path

    return demo_page


@pytest.fixture
def open_demo(open_page: Callable[..., Any], demo_page: Callable[..., Path]) -> Callable[..., Any]:
    """Return open_demo(name, hash="", **options): the page of a demo, opened; options are `open_page`'s."""
    return lambda name, hash="", **options: open_page(demo_page(name), hash, **options)
