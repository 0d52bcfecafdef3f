"""tensor/runlog.py: what is written is read again, and nothing else is."""

import json
import math

import pytest

from tensor.runlog import Log, LogError, read_runs


def test_a_log_has_whole_lines_and_no_number_that_json_has_not(tmp_path):
    path = tmp_path / "log"
    path.write_text("cut off")
    log = Log(path, go_on=True)
    log.add("epoch", loss=float("nan"), accuracy=0.5)
    first, second = path.read_text().splitlines()
    assert first == "cut off"
    assert json.loads(second) == {"event": "epoch", "loss": None, "accuracy": 0.5}
    Log(path, go_on=False).add("start")
    assert path.read_text() == '{"event": "start"}\n'


def test_runs_come_back(tmp_path):
    path = tmp_path / "log"
    log = Log(path, go_on=False)
    log.add("start", model="mlp", threads=2)
    log.add("epoch", epoch=1, loss=0.5, accuracy=0.8, test_loss=math.inf, test_accuracy=0.7, lr=0.1)
    log.add("epoch", epoch=2, loss=0.4, accuracy=0.9, test_loss=0.3, test_accuracy=0.8)
    log.add("stop", epoch=2, batch=3)
    log = Log(path, go_on=True)
    log.add("resume", model="mlp")
    log.add("epoch", epoch=2, loss=0.25, accuracy=1, test_loss=0.2, test_accuracy=0.85)  # again: a kill
    log.add("resume", model="cnn")
    log.add("epoch", epoch=7, loss=0.1, accuracy=0.9)
    log.add("start", model="moons")
    log.add("start", model="moons")
    log.add("epoch", epoch=1, loss=0.1, accuracy=0.9)
    first, second, third = read_runs(path)
    assert [run.model for run in (first, second, third)] == ["mlp", "cnn", "moons"]
    rows = first.in_order()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert math.isnan(rows[0]["test_loss"])
    assert rows[1] == {"epoch": 2, "loss": 0.25, "accuracy": 1.0, "test_loss": 0.2, "test_accuracy": 0.85}
    assert second.in_order() == [{"epoch": 7, "loss": 0.1, "accuracy": 0.9}]


GOOD = '{"event": "start", "model": "mlp"}\n{"event": "epoch", "epoch": 1, "loss": 0.5, "accuracy": 0.5}\n'


def test_what_is_no_harm(tmp_path):
    path = tmp_path / "log"
    for text in (
        "\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), "\n\n" + GOOD, GOOD + '{"event": "later", "x": [1]}\n',
        GOOD.split("\n", 1)[1], GOOD.replace("mlp", "a\u2028b"), GOOD.replace("0.5}", "NaN}"),
        GOOD.rstrip("\n"),
    ):  # fmt: skip
        path.write_text(text, encoding="utf-8", newline="")
        assert [row["loss"] for row in read_runs(path)[0].in_order()] == [0.5]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello", "got hello"), ('{"event": "epo', 'got {"event": "epo'), ("[" * 5000, "got [[["),
        ("[1, 2]", 'got no "event": [1, 2]'), ("{}", 'no "event": {}'), ("7", 'no "event": 7'),
        ('{"event": 3}', 'no "event"'), ('{"event": "epoch"}', '"epoch": null'),
        ('{"event": "epoch", "epoch": 0}', '"epoch": 0'),
        ('{"event": "epoch", "epoch": 1.5}', '"epoch": 1.5'),
        ('{"event": "epoch", "epoch": true}', '"epoch": true'),
        ('{"event": "epoch", "epoch": 1, "loss": "0.5"}', '"loss": "0.5"'),
        ('{"event": "epoch", "epoch": 1, "loss": true}', '"loss": true'),
        ('{"event": "epoch", "epoch": 1, "loss": [1]}', '"loss": [1]'),
        ('{"event": "epoch", "epoch": 1, "loss": 1' + "0" * 400 + "}", '"loss": 1000'),
        ("x\x1b[2J\x07" + "y" * 500, "got x?[2J?yyy"),
    ],
)  # fmt: skip
def test_a_foreign_line_is_named(tmp_path, line, message):
    path = tmp_path / "run.jsonl"
    path.write_text(GOOD + line + "\n" + GOOD, encoding="utf-8")
    with pytest.raises(LogError) as error:
        read_runs(path)
    text = str(error.value)
    assert text.startswith(f"{path}, line 3: expected a JSON line as `train --log` writes them, got ")
    assert message in text
    assert text.isprintable()
    assert len(text) < len(str(path)) + 200


def test_a_file_that_is_no_log(tmp_path):
    path = tmp_path / "run.jsonl"
    with pytest.raises(LogError, match=r"no such file; `liftgrad train mlp --log .*` would make one"):
        read_runs(path)
    with pytest.raises(LogError, match="got a folder"):
        read_runs(tmp_path)
    path.write_bytes(GOOD.encode() + b"\n\xff\xfe\n")
    with pytest.raises(LogError, match=r"line 4: .* got bytes that are no UTF-8"):
        read_runs(path)
    path.write_text("\n")
    with pytest.raises(LogError, match="a finished epoch, got an empty file"):
        read_runs(path)
    path.write_text('{"event": "start", "model": "mlp"}\n')
    with pytest.raises(LogError, match="ended before its first epoch did"):
        read_runs(path)
