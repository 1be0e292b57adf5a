"""What the documentation says is true: tables are those of the code, and code blocks run."""

import re
from pathlib import Path

import numpy as np
import pytest

from advantages import lampo
from advantages.adapters.hooks import MovedHookError
from advantages.adapters.hosts import HOSTS
from advantages.catalogue import markdown, rows, words

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_tables_are_those_of_the_code():
    pattern = r"<!-- table -->\n(.*?)\n<!-- /table -->"
    page = (ROOT / "docs" / "estimators.md").read_text()
    (table,) = re.findall(pattern, page, re.DOTALL)
    assert table == markdown(), "make it anew: advantages list --markdown"
    (some,) = re.findall(pattern, README, re.DOTALL)
    assert some == markdown(re.findall(r"^\| `(\w+)`", some, re.MULTILINE))
    assert re.search(r"^(\d+) estimators", README, re.MULTILINE)[1] == str(len(rows()))
    assert words() in page


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


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]), ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_index_of_adapters_says_what_the_contract_says():
    page = (ROOT / "docs" / "adapters" / "README.md").read_text()
    rows = {
        row[0]: row
        for row in re.findall(r"^\| \[([\w ]+)\].*?\| ([^|]*\d[^|]*) \| (the real package|a stand-in) \|", page, re.M)
    }
    assert rows == {
        host.name: (host.name, host.tested, "the real package" if host.real else "a stand-in")
        for host in HOSTS.values()
    }


def test_the_adapter_of_ones_own_runs():
    page = (ROOT / "docs" / "adapters" / "README.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    scope = {}
    exec(compile(block, "README.md", "exec"), scope)

    class MillTrainer:
        def advantages_of(self, batch):
            raise NotImplementedError

    batch = {
        "scores": np.array([1.0, 0.0, 1.0, 0.0]),
        "prompt_ids": ["a", "b", "b", "a"],
        "old_logps": np.array([[-1.0, -2.0], [-1.0, -9.0], [-3.0, -1.0], [-1.0, -1.0]]),
        "mask": np.array([[1, 1], [1, 0], [1, 1], [1, 1]]),
    }
    np.testing.assert_allclose(
        scope["estimated"](MillTrainer, "lampo", temperature="auto")().advantages_of(batch),
        lampo(
            batch["scores"],
            batch["prompt_ids"],
            np.array([-3.0, -1.0, -4.0, -2.0]),
            lengths=batch["mask"].sum(1),
            temperature="auto",
        ),
    )
    with pytest.raises(TypeError, match=r"gae needs token_rewards .* Mill"):
        scope["estimated"](MillTrainer, "gae")
    with pytest.raises(TypeError, match="lampo: takes no option 'speed'"):
        scope["estimated"](MillTrainer, "lampo", speed=1)
    with pytest.raises(MovedHookError, match="no advantages_of"):
        scope["estimated"](dict, "lampo")
