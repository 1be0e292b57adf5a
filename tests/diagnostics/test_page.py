"""The code of docs/diagnostics.md runs."""

import re
from pathlib import Path


def test_the_pages_code_runs():
    page = (Path(__file__).parents[2] / "docs" / "diagnostics.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    scope = {}
    for block in blocks:
        exec(compile(block, "diagnostics.md", "exec"), scope)
