"""docs/pytorch.md says what is true now."""

import importlib.util
from pathlib import Path


def test_the_page_is_up_to_date():
    spec = importlib.util.spec_from_file_location("liftgrad_tests_page", Path(__file__).parent / "page.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    assert page.PAGE.read_text(encoding="utf-8") == page.page(), "run: make docs"
