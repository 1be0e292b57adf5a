"""docs/conventions.md: its tables are those of the code, its code runs, and its commands print what they print."""

import json
import re
import shlex
from pathlib import Path

from advantages.cli import main
from advantages.conventions.table import markdown

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "conventions.md").read_text()
ROWS = [(1.0, "a"), (0.0, "a"), (0.5, "b"), (0.0, "b"), (1.0, "c"), (0.25, "c")]


def test_its_tables_are_those_of_the_code():
    (table,) = re.findall(r"<!-- conventions -->\n(.*?)\n<!-- /conventions -->", PAGE, re.DOTALL)
    assert table == markdown()


def test_its_code_runs():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "conventions.md", "exec"), {})


def test_its_commands_print_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, order in (("rollouts", range(6)), ("shuffled", (0, 2, 4, 5, 3, 1))):
        records = [{"score": ROWS[row][0], "uid": ROWS[row][1]} for row in order]
        Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    blocks = re.findall(r"```console\n\$ advantages (.*?)\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for command, printed in blocks:
        main(shlex.split(command))
        assert capsys.readouterr().out == printed
