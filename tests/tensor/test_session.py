"""tensor/session.py: what the tests of the command line do not reach."""

from pathlib import Path

import pytest

from tensor import session


@pytest.mark.parametrize(
    ("name", "model", "folder", "message"),
    [
        ("patterns", "mlp", None, "--data patterns: mlp learns from digits, mnist, idx"),
        ("mnist", "tinycnn", None, "--data mnist: tinycnn learns from patterns"),
        ("patterns", "tinycnn", Path("."), "--data-dir: the patterns are built in"),
        ("cats", "mlp", None, "names the data 'cats'"),
    ],
)
def test_data_that_a_model_cannot_use(name, model, folder, message):
    with pytest.raises(session.Refused, match=message):
        session.load_data(name, folder, model, screen=None)
