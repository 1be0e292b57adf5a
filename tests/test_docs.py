"""What the documentation says is true: tables are those of the code, and code blocks run."""

import re
from pathlib import Path

import pytest

from advantages.catalogue import markdown

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_readmes_table_is_that_of_the_code():
    (table,) = re.findall(r"<!-- table -->\n(.*?)\n<!-- /table -->", README, re.DOTALL)
    assert table == markdown()


def test_the_readmes_code_runs_and_its_own_estimator_conforms():
    pytest.importorskip("torch")
    pytest.importorskip("jax")
    scope = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)
    from advantages.testing import CHECKS, Subject, verdict_on

    for check in CHECKS:
        if check.library is None:
            assert verdict_on(Subject(scope["mine"]), check, examples=10).outcome in ("holds", "does not apply"), check


def test_the_readmes_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]), ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
