"""What the README shows is what happens: its interactive sessions run, its files and commands exist."""

import doctest
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_sessions_print_what_the_readme_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    session = "\n".join(block for block in blocks if block.startswith(">>>"))
    test = doctest.DocTestParser().get_doctest(session, {}, "README.md", "README.md", 0)
    assert test.examples
    report: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not outcome.failed, "".join(report)


def test_the_program_prints_what_the_readme_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = re.findall(
        r"^```python\n(import tensor.*?)^```\n\n```\n(.*?)^```", README, re.MULTILINE | re.DOTALL
    )
    assert found
    for program, printed in found:
        exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})
        assert capsys.readouterr().out == printed


def test_the_files_and_commands_it_names_exist():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    examples = re.findall(r"`(examples/[\w.]+\.py)`", README)
    assert [name for name in links + examples if not (ROOT / name).exists()] == []
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE)) <= targets


def test_it_says_how_to_make_each_page():
    from viz.demos import DEMOS

    shown = re.findall(r"^liftgrad demo (\w+)", README, re.MULTILINE)
    assert shown == [*DEMOS, "all"]
    pictures = re.findall(r"!\[[^]]+\]\(docs/(\w+)\.png\)", README)
    assert len(set(pictures) & set(DEMOS)) == 2
    for name in pictures:
        assert (ROOT / "docs" / f"{name}.png").stat().st_size < 120_000
