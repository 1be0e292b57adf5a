"""`advantages lab` and docs/laboratory.md: what they say is so."""

import json
import re
from pathlib import Path

import pytest

import advantages
from advantages import estimators, laboratory
from advantages.cli import main
from advantages.core.definition import definition_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "laboratory.md").read_text()
SOME = ["rloo", "grpo", "pkpo", "gae", "vr_cond", "gdpo", "entropic", "minillm"]


def test_the_page_has_every_estimator_and_some_rows_are_measured_anew():
    (table,) = re.findall(r"<!-- laboratory -->\n(.*?)\n<!-- /laboratory -->", PAGE, re.DOTALL)
    lines = table.splitlines()
    assert re.findall(r"^\| `(\w+)", table, re.MULTILINE) == estimators.__all__, "make laboratory"
    for line in laboratory.markdown(laboratory.rows(SOME)).splitlines():
        assert line in lines, "make laboratory"


def test_the_page_runs():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "laboratory.md", "exec"), {})


@pytest.mark.parametrize(
    "name", [n for n in estimators.__all__ if definition_of(getattr(advantages, n)).promises.unbiased]
)
def test_unbiased_rows_are_parallel_and_have_the_promised_length(name):
    (row,) = laboratory.rows([name])
    factor = definition_of(getattr(advantages, name)).promises.unbiased(laboratory.SIZE)
    for world, measures in row.measures.items():
        if measures is not None and (
            name not in ("vineppo", "treerl") or world != "graded"
        ):  # values are to be sampled
            assert measures.cosine == pytest.approx(1.0)
            assert measures.length == pytest.approx(factor)


def test_the_command(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(estimators, "__all__", ["rloo", "qae"])
    assert main(["lab"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    assert re.search(r"^rloo +E\[r\] +1\.00 1\.00 0\.83 ", printed, re.MULTILINE)
    assert re.search(r"^qae .* - +- +-$", printed, re.MULTILINE)
    assert main(["lab", "--json"]) == 0
    rloo, qae = json.loads(capsys.readouterr().out)
    assert rloo["measures"]["graded"]["cosine"] == pytest.approx(1.0)
    assert qae["measures"]["graded"] is None
    assert qae["objective"] == "E[r]"
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- laboratory -->\nold\n<!-- /laboratory -->\nafter\n")
    assert main(["lab", "--into", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- laboratory -->\n| estimator |")
    assert text.endswith("|\n<!-- /laboratory -->\nafter\n")
    assert "old" not in text
    page.write_text("no place")
    with pytest.raises(SystemExit, match=r"advantages lab: .*page.md has no <!-- laboratory -->"):
        main(["lab", "--into", str(page)])
    with pytest.raises(SystemExit, match=r"advantages lab: .*none.md"):
        main(["lab", "--into", str(tmp_path / "none.md")])


def test_what_cannot_be_measured_is_null():
    flat = laboratory.WORLDS["graded"]._replace(rewards=dict.fromkeys(laboratory.WORLDS["graded"].rewards, 0.5))
    found = laboratory.measured(laboratory.updates(advantages.rloo, flat, 3))
    assert found == (None, None, None)
