"""What the tests of the drawing page share: pages of trained and of untrained networks."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import tensor
from tensor import nn
from viz.play import write_file, write_page


@pytest.fixture(scope="session")
def play_page(tmp_path_factory: pytest.TempPathFactory, trained_model: Callable[..., Path]):
    """Return play_page(name, data="digits"): the page of a model that was trained for an epoch."""
    folder = tmp_path_factory.mktemp("play")

    @cache
    def play_page(name: str, data: str = "digits") -> Path:
        path = folder / f"{name}-{data}.html"
        path.write_text(write_file(trained_model(name, data)), encoding="utf-8")
        return path

    return play_page


@pytest.fixture
def open_play(open_page: Callable[..., Any], play_page: Callable[..., Path]):
    """Return open_play(name, data="digits", **options): that page, opened; options are `open_page`'s."""
    return lambda name, data="digits", **options: open_page(play_page(name, data), **options)


@pytest.fixture
def open_model(open_page: Callable[..., Any], tmp_path: Path):
    """Return open_model(model, **options): the page of any network, opened."""

    def open_model(model: nn.Module, **options: Any) -> Any:
        path = tmp_path / "model.html"
        path.write_text(write_page(model), encoding="utf-8")
        return open_page(path, **options)

    return open_model


@pytest.fixture
def small() -> nn.Module:
    """Return the smallest network of digits, with weights of seed 0."""
    tensor.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
