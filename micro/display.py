"""How a notebook shows a value: by whatever the entry points of the group `liftgrad.display` name.

A picture is drawn by a floor above this one, which nothing here may import; so it announces itself with the
package's installation. Without it, and whatever fails within it, a value shows its text.
"""

import sys
from collections.abc import Callable, Collection
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

GROUP = "liftgrad.display"
PICTURE = "image/svg+xml"


def show(value: Any, include: Collection[str] | None = None, exclude: Collection[str] | None = None) -> Any:
    """Return `value` in the forms a notebook chooses from: {"text/plain": ..., "image/svg+xml": ...}.

    include, exclude: only these forms, not those. An empty dict leaves it to the notebook, which asks repr.
    """
    try:
        if not is_wanted(PICTURE, include, exclude) or not can_show_pictures():
            return {}
        for hook in _load_hooks():
            forms = hook(value)
            if forms:
                return {name: form for name, form in forms.items() if is_wanted(name, include, exclude)}
    except Exception:  # whatever it was: what was to be shown has a text
        pass
    return {}


def is_wanted(form: str, include: Collection[str] | None, exclude: Collection[str] | None) -> bool:
    """Return whether a notebook that was told `include` and `exclude` uses this form."""
    return (not include or form in include) and form not in (exclude or ())


def can_show_pictures() -> bool:
    """Return False in IPython's terminal: drawing would take time there and show nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is None or PICTURE in shell.display_formatter.active_types


@lru_cache(maxsize=1)
def _load_hooks() -> tuple[Callable[[Any], dict[str, str] | None], ...]:
    return tuple(entry.load() for entry in entry_points(group=GROUP))
