"""Pages of docs/ that have code: it runs, its numbers hold, and its commands print what the page says."""

import json
import re
import shlex
from pathlib import Path

import pytest

from advantages.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROLLOUTS = [(1.0, "a"), (0.0, "a"), (0.5, "b"), (0.501, "b"), (0.0, "c"), (1.0, "c")]


@pytest.mark.parametrize("page", ["choosing", "composition", "index", "migration", "own"])
def test_its_code_runs(page):
    text = (DOCS / f"{page}.md").read_text()
    if page == "index":
        pytest.importorskip("torch")
        pytest.importorskip("jax")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    scope = {}
    for block in blocks:
        exec(compile(block, f"{page}.md", "exec"), scope)


def test_the_migration_prints_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    records = [{"reward": reward, "group": group} for reward, group in ROLLOUTS]
    lines = [json.dumps(record) for record in records]
    Path("rollouts.jsonl").write_text("\n".join(lines))
    masked = [{**record, "mask": [True, row % 2 == 0]} for row, record in enumerate(records)]
    Path("masked.jsonl").write_text("\n".join(map(json.dumps, masked)))
    page = (DOCS / "migration.md").read_text()
    assert "\n".join(lines) in page
    blocks = re.findall(r"```console\n\$ advantages (.*?)\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 4
    for command, printed in blocks:
        main(shlex.split(command))
        assert capsys.readouterr().out == printed
