"""`advantages list` and `advantages show`: the estimators as a person reads them."""

import json
import re

import numpy as np
import pytest

import advantages
from advantages import Bound, Paper, Promises, estimator
from advantages.catalogue import bibtex, promised, row, rows, table
from advantages.cli import main
from advantages.conventions.table import shipped
from advantages.core.definition import definition_of
from advantages.core.objectives import LIKELIHOOD


def listed(capsys, *options):
    assert main(["list", *options]) == 0
    return capsys.readouterr().out


def names(printed):
    return re.findall(r"^(\w+)  ", printed, re.MULTILINE)


def test_list_has_every_estimator_and_fits_a_terminal(capsys):
    printed = listed(capsys)
    assert names(printed) == advantages.estimators.__all__
    assert max(map(len, printed.splitlines())) <= 100
    assert "at most sqrt(n - 1)\n" in printed
    assert "unbiased times (n - 1)/n\n" in printed
    assert "Williams, 1992, Machine Learning 8:229-256" in printed
    for name in advantages.estimators.__all__:
        assert str(definition_of(getattr(advantages, name)).paper) in " ".join(printed.split())


def test_programs_read_the_same(capsys):
    every = json.loads(listed(capsys, "--json"))["estimators"]
    assert [one["name"] for one in every] == advantages.estimators.__all__
    some = json.loads(listed(capsys, "--json", "--needs", "values", "--unit", "token"))["estimators"]
    assert [one["name"] for one in some] == [one.name for one in rows(["values"], "token")]
    assert json.loads(listed(capsys, "--json", "--needs", "values,labels")) == {"estimators": []}
    for one in every:
        assert main(["show", one["name"], "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown.items() >= one.items()
        assert shown["shipped"] == shipped(one["name"])
        assert shown["signature"].startswith(f"{one['name']}(")
        assert (
            shown["paper"] is None or Paper(**shown["paper"]) == definition_of(getattr(advantages, one["name"])).paper
        )


def test_list_finds_estimators_by_what_they_need_and_give(capsys):
    assert "gae" in (found := names(listed(capsys, "--needs", "values")))
    assert all("values" in row(getattr(advantages, name)).needs for name in found)
    assert {"lampo", "lambdapo"} <= set(names(listed(capsys, "--needs", "groups, logprobs", "--unit", "response")))
    assert "grpo" not in names(listed(capsys, "--needs", "groups,logprobs"))
    for unit in ("response", "token"):
        found = names(listed(capsys, "--unit", unit))
        assert found == [name for name in advantages.estimators.__all__ if row(getattr(advantages, name)).unit == unit]
    found = listed(capsys, "--needs", "values,turns", "--unit", "response")
    assert found == "no estimator with one advantage per response needs values, turns\n"


def test_list_refuses_a_word_that_there_is_not(capsys):
    with pytest.raises(SystemExit):
        main(["list", "--needs", "groups,logprob"])
    assert "'logprob' is no input; inputs are rewards, groups" in (said := capsys.readouterr().err)
    assert "did you mean 'logprobs'?" in said


def test_show_says_all_that_is_known_of_an_estimator(capsys):
    assert main(["show", "dr_grpo"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("dr_grpo(rewards, groups, *, ")
    assert "A_i = r_i - mean(r)" in printed
    assert "Gives one advantage per response, and needs rewards, groups.\n" in printed
    assert "    at most (n - 1)/n of the largest gap\n" in printed
    assert "Understanding R1-Zero-like training: a critical perspective (Liu et al., 2025, arXiv:2503.20783)" in printed
    assert "@misc{dr_grpo,\n" in printed


def test_show_says_who_ships_an_estimator_under_which_name(capsys):
    assert main(["show", "maxrl"]) == 0
    printed = capsys.readouterr().out
    assert "as:\n    prime_rl.max_rl, 559b4477 (2026-08-21)\n    skyrl.maxrl, 0.3.0: epsilon = 1e-06" in printed
    assert main(["show", "lampo"]) == 0
    assert "Shipped" not in capsys.readouterr().out
    every = [line.split(",")[0] for name in advantages.estimators.__all__ for line in shipped(name)]
    assert len(every) == len(set(every)) > 90
    assert {"verl.grpo", "trinity.opmd", "torchrl.v_trace"} <= set(every)
    assert not shipped("grp")
    assert main(["show", "verl.rloo"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("verl.rloo(rewards, groups, *")
    assert "singleton = 'raw': a lone response keeps its reward" in printed
    with pytest.raises(SystemExit, match=r"advantages show: verl.rlo: verl has .*; did you mean 'rloo'"):
        main(["show", "verl.rlo"])


@pytest.mark.parametrize("name", advantages.estimators.__all__)
def test_show_works_for_every_estimator(name, capsys):
    assert main(["show", name]) == 0
    printed = capsys.readouterr().out
    assert definition_of(getattr(advantages, name)).paper.title in printed
    assert printed.count("{") == printed.count("}")


def test_show_takes_an_estimator_of_ones_own(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)  # and take it away again
    file = tmp_path / "shown_by_a_test.py"
    file.write_text("def plain(rewards, groups):\n    return rewards\n")
    assert main(["show", f"{file}:plain"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("plain(rewards, groups)\n")
    assert "It has no docstring." in printed
    assert "    nothing\n" in printed
    assert "Paper" not in printed
    for wrong, sentence in (
        ("lamp", "advantages show: estimator 'lamp': there is none; .* did you mean 'lampo'"),
        (f"{file}:plane", "advantages show: estimator .* did you mean 'plain'"),
        ("math:sqrt", "advantages show: "),
    ):
        with pytest.raises(SystemExit, match=sentence):
            main(["show", wrong])


def test_a_row_is_what_an_estimator_declares():
    @estimator(promises=Promises(bound=lambda n: n / 4, gap_bound=Bound("2", lambda n: 2.0)))
    def mine(rewards, groups):
        return np.zeros_like(rewards)

    assert row(mine) == ("mine", "response", ("rewards", "groups"), row(mine).promises, None)
    assert row(mine).promises == ("at most 2 for n = 8", "at most 2 of the largest gap")
    assert "unpublished" in table([row(mine)])
    assert table([]) == ""
    assert promised(Promises()) == ()
    assert len(rows()) == len(advantages.estimators.__all__)


def test_every_promise_has_words():
    """A promise that is added to the core, and that no page tells of, fails here."""
    values = {"scale": "invariant", "bound": Bound("n", float), "gap_bound": Bound("n", float), "unbiased": float}
    values["objective"] = LIKELIHOOD
    for field, default in Promises._field_defaults.items():
        value = not default if isinstance(default, bool) else values[field]
        assert promised(Promises(**{field: value})), f"promised() has no words for {field}={value}"


def test_bibtex_is_made_from_the_paper():
    entry = bibtex("a_b", Paper("50% of R&D", "Kool, van Hoof, Welling", 2019, venue="ICLR_w", note="#1"))
    assert entry == (
        "@misc{a_b,\n  title = {{50\\% of R\\&D}},\n  author = {Kool and van Hoof and Welling},\n  year = {2019},\n"
        "  howpublished = {ICLR\\_w},\n  note = {\\#1}\n}"
    )
    assert "author" not in bibtex("x", Paper("X", "unknown", 2026, "2605.00001"))
