"""What a notebook is given; the pictures themselves are tested with `viz`."""

import pytest

from micro import Value, display


@pytest.fixture
def hook(monkeypatch):
    """Return a function that puts hooks in the place of those that are installed."""
    return lambda *hooks: monkeypatch.setattr(display, "_load_hooks", lambda: hooks)


FORMS = {"text/plain": "text", "image/svg+xml": "<svg/>"}


def test_the_first_hook_that_has_something_to_show_is_asked(hook):
    hook(lambda value: None, lambda value: {**FORMS, "text/plain": repr(value)}, lambda value: 1 / 0)
    assert Value(2.0)._repr_mimebundle_() == {**FORMS, "text/plain": "Value(data=2.0, grad=0.0)"}


@pytest.mark.parametrize("error", [RuntimeError, RecursionError, ImportError, MemoryError])
def test_whatever_fails_there_is_text(hook, error):
    def fail(value):
        raise error("no")

    hook(fail)
    assert Value(2.0)._repr_mimebundle_() == {}


def test_nothing_is_drawn_that_nobody_asked_for(hook):
    asked = []
    hook(lambda value: asked.append(value) or FORMS)
    assert Value(2.0)._repr_mimebundle_(include={"text/plain"}) == {}
    assert Value(2.0)._repr_mimebundle_(exclude={"image/svg+xml"}) == {}
    assert asked == []
    assert Value(2.0)._repr_mimebundle_(include={"image/svg+xml"}) == {"image/svg+xml": "<svg/>"}
    assert Value(2.0)._repr_mimebundle_(exclude={"text/plain"}) == {"image/svg+xml": "<svg/>"}


def test_without_hooks_there_is_text(hook):
    hook()
    assert Value(2.0)._repr_mimebundle_() == {}


def test_a_hook_that_cannot_be_loaded_leaves_the_text(monkeypatch):
    class Entry:
        def load(self):
            raise ModuleNotFoundError("viz")

    monkeypatch.setattr(
        display, "entry_points", lambda group: [Entry()] if group == "liftgrad.display" else []
    )
    display._load_hooks.cache_clear()
    try:
        assert Value(2.0)._repr_mimebundle_() == {}
    finally:
        display._load_hooks.cache_clear()
