"""`advantages diff`: rows, sizes and stages, from files of every kind, and sentences for what does not fit."""

import json

import numpy as np
import pytest

from advantages import conventions, estimators
from advantages.cli import main
from advantages.conventions import ms_swift, nemo_rl, openrlhf, skyrl, slime, torchrl, trl, tunix, verl
from advantages.conventions.convention import Framework
from advantages.core.definition import definition_of
from advantages.diff import diff, named, sentences
from advantages.tasks.rollouts import read_batch, words_of_columns

NAN = float("nan")
REWARDS = np.array([1.0, 0.0, 0.5, 0.0, 1.0, 0.25])
BLOCKS = ["a", "a", "b", "b", "c", "c"]
MIXED = ["a", "b", "c", "c", "b", "a"]
MASK = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0]], bool)
TOKEN_REWARDS = np.zeros((6, 3))
TOKEN_REWARDS[:, 2] = REWARDS
VALUES = np.linspace(-1, 1, 18).reshape(6, 3)
BATCH = {"rewards": REWARDS, "groups": BLOCKS, "mask": MASK, "token_rewards": TOKEN_REWARDS, "values": VALUES}


def lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


gae_of_steps = Framework("some", "1", {"gae": {"holes": ("steps", "a test")}}, executed=False)("gae", estimators.gae)


@pytest.mark.parametrize(
    ("first", "second", "batch", "stage", "rows"),
    [
        (openrlhf.rloo, verl.rloo, {"groups": MIXED}, "grouping", [0, 4]),
        (ms_swift.rloo, skyrl.rloo, {"rewards": np.array([1, NAN, 0.5, 0, 1, 0.5])}, "unscored rows", [0, 1]),
        (estimators.dr_grpo, estimators.rloo, {}, "centre", [0, 1, 2, 3, 4, 5]),
        (estimators.dr_grpo, estimators.grpo, {}, "scale", [0, 1, 2, 3, 4, 5]),
        (verl.grpo, trl.grpo, {}, "epsilon", [0, 1, 2, 3, 4, 5]),
        (verl.rloo, verl.rloo_vectorized, {"groups": [*BLOCKS[:4], "c", "d"]}, "singleton", [4, 5]),
        (tunix.gae, torchrl.gae, {"mask": np.ones((6, 3), bool)}, "whitening", [0, 1, 2, 3, 4, 5]),
        (verl.reinforce_plus_plus, slime.reinforce_plus_plus, {}, "token placement", [0, 1, 2, 3, 4, 5]),
        (gae_of_steps, torchrl.gae, {}, "mask", [1]),
    ],
)
def test_one_stage_explains_it(first, second, batch, stage, rows):
    found = diff(first, second, {**BATCH, **batch})
    assert found.rows == rows
    assert found.explained
    assert [(e.stage, e.rows) for e in found.exchanges] == [(stage, rows)]
    assert found.exchanges[0].left < 1e-5
    assert found.largest > 1e-5


def test_several_stages_each_explain_a_part():
    found = diff(verl.grpo, trl.dr_grpo, {**BATCH, "groups": [*BLOCKS[:4], "c", "d"]})
    assert {e.stage for e in found.exchanges} == {"scale", "singleton"}
    assert not found.explained
    assert all(e.left > 0.1 for e in found.exchanges)


def test_formulas_that_are_no_settings_of_one():
    found = diff(estimators.gae, estimators.rloo, BATCH)
    assert found.exchanges is None
    assert found.rows
    assert "no settings of one" in "\n".join(sentences(found))


def test_a_stage_before_the_formula_makes_it_another():
    logprobs = {"token_logprobs": -np.ones((6, 3)), "ref_token_logprobs": np.linspace(-2, -1, 18).reshape(6, 3)}
    for function in (nemo_rl.reinforce_plus_plus_with_kl, slime.reinforce_plus_plus_baseline_with_kl):
        found = diff(function, verl.reinforce_plus_plus_baseline, {**BATCH, **logprobs})
        assert found.exchanges is None


COVERED = ("dr_grpo", "flash_reinforce", "gae", "grpo", "normalized", "reinforce", "rloo")
RECIPES = [
    getattr(getattr(conventions, name), function)
    for name in conventions.__all__
    for function in getattr(conventions, name).__all__
    if (base := definition_of(getattr(getattr(conventions, name), function).__convention__.base).name) in COVERED
    or (base in ("reinforce_plus_plus", "reinforce_plus_plus_baseline") and not function.endswith("_with_kl"))
]
"""Conventions of the estimators that the general formula covers; the others have formulas of their own."""


@pytest.mark.parametrize("function", RECIPES, ids=lambda f: definition_of(f).name)
def test_the_general_formula_is_every_convention(function):
    """Else the stage that is named would be that of another formula."""
    batch = {**BATCH, "rewards": np.array([1, NAN, 0.5, 0, 1, 0.5])}
    found = diff(function, function, batch)
    assert found.exchanges == []
    assert found.rows == []


def test_moving_rloo_from_openrlhf_to_verl(tmp_path, capsys):
    """verl#5355: a week lost. OpenRLHF takes neighbours for a group, verl rows of one uid; and a lone response."""
    rows = [{"score": float(r), "uid": g} for r, g in zip(REWARDS, BLOCKS, strict=True)]
    path = lines(tmp_path / "rollouts.jsonl", rows)
    command = ["diff", "openrlhf.rloo", "verl.rloo", str(path), "--map", "reward=score,group=uid"]
    assert main(command) == 0
    assert "agree in all 6 rows: the advantage is not what differs" in capsys.readouterr().out

    lines(path, [rows[i] for i in (0, 2, 4, 5, 3, 1)])
    assert main(command) == 1
    told = capsys.readouterr().out
    assert "differ in 4 of 6 rows, by 1 at most" in told
    assert "stage grouping: grouping is 'position' and 'ids'; moves 4 rows, and explains all of it" in told

    lines(path, rows[:5])
    assert main(command) == 1
    told = capsys.readouterr().out
    assert "differ in 1 of 5 rows, by 1 at most" in told
    assert "row 4: 0. and 1." in told
    assert "stage singleton: singleton is 'zero' and 'raw'; moves 1 rows, and explains all of it" in told
    assert "remark: openrlhf takes neighbouring rows for groups of one size" in told

    assert main(["diff", "openrlhf.rloo", "openrlhf.dr_grpo", *command[3:]]) == 1
    assert capsys.readouterr().out.count("remark: openrlhf takes neighbouring rows") == 1


@pytest.mark.parametrize("kind", ["jsonl", "npz", "parquet"])
def test_files_of_every_kind(tmp_path, capsys, kind):
    path = tmp_path / f"rollouts.{kind}"
    if kind == "npz":
        np.savez(path, score=REWARDS, uid=np.array(BLOCKS), other=np.ones(2))
    elif kind == "jsonl":
        lines(path, [{"score": r, "uid": g} for r, g in zip(REWARDS.tolist(), BLOCKS, strict=True)])
    else:
        arrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(arrow.table({"score": REWARDS, "uid": BLOCKS}), path)
    assert main(["diff", "verl.grpo", "trl.grpo", str(path), "--map", "score=rewards,uid=groups", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(found["advantages"][0], verl.grpo(REWARDS, BLOCKS))
    np.testing.assert_allclose(found["advantages"][1], trl.grpo(REWARDS, BLOCKS))
    assert found["rows"] == [0, 1, 2, 3, 4, 5]
    assert [e["stage"] for e in found["exchanges"]] == ["epsilon"]


def test_rows_of_tokens_are_padded(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    lines(
        path,
        [
            {"token_rewards": [0.0, 1.0], "mask": [1, 1], "values": [0.5, 0.5], "group": 7, "reward": None},
            {"token_rewards": [1.0], "mask": [True], "values": [0.25], "group": 7, "reward": 1},
        ],
    )
    batch = read_batch(path)
    assert batch["token_rewards"].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert batch["mask"].tolist() == [[True, True], [True, False]]
    assert np.isnan(batch["rewards"][0])
    assert batch["groups"] == [7, 7]


def test_rows_of_tokens_that_do_not_fit(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    lines(path, [{"mask": [1], "values": [1]}, {"mask": [1], "values": [1, 2]}])
    with pytest.raises(ValueError, match="line 2: values has 2 tokens and mask has 1"):
        read_batch(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"rewards": 1, "groups": "a"}\n{"rewards": "good", "groups": "a"}',
            r"line 2: rewards is 'good'; write a number",
        ),
        ('{"rewards": 1, "groups": "a"}\n{"rewards": true', r"line 2 is no JSON"),
        ('{"rewards": 1, "groups": "a"}\n{"rewards": 1}', r"line 2 has no groups, which .* line 1 has"),
        ('{"rewards": 1, "groups": [1]}', r"line 1: groups is \[1\]; write an id"),
        ('{"rewards": 1, "groups": 0.5}', r"line 1: groups is 0.5; write an id"),
        ('{"rewards": 1}', r"verl.grpo needs groups: .*; the file has rewards; add it, or .* --map OWN=groups"),
        ('{"groups": 1, "rewards": 1, "mask": 1}', r"line 1: mask is 1; write a list"),
        ('{"groups": 1, "rewards": 1, "mask": [2]}', r"line 1: mask is 2; write true or false"),
        ("", "holds no problem|empty|holds no"),
    ],
)
def test_what_does_not_fit_is_said_with_its_line(tmp_path, content, message):
    path = tmp_path / "rollouts.jsonl"
    path.write_text(content)
    with pytest.raises(SystemExit, match=message):
        main(["diff", "verl.grpo", "trl.grpo", str(path)])


def test_archives_that_do_not_fit(tmp_path):
    path = tmp_path / "rollouts.npz"
    np.savez(path, rewards=np.ones(2), groups=np.array(["a"]))
    with pytest.raises(ValueError, match=r"arrays have .* rows; save one row per response"):
        read_batch(path)
    np.savez(path, rewards=np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"cannot be read"):
        read_batch(path)
    path.write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match=r"cannot be read"):
        read_batch(path)
    with pytest.raises(ValueError, match="there is no such file"):
        read_batch(tmp_path / "none.npz")


def test_names():
    assert named("verl.grpo") is named("advantages.conventions.verl:grpo") is verl.grpo
    assert named("grpo") is estimators.grpo
    with pytest.raises(ValueError, match=r"verl has .*, but no 'gropo'; did you mean 'grpo'\?"):
        named("verl.gropo")
    with pytest.raises(ValueError, match=r"no framework 'vrel'; did you mean 'verl'\?"):
        named("vrel.grpo")


def test_a_map_may_stand_either_way_round():
    assert words_of_columns({"score": "rewards", "group": "uid"}) == {"score": "rewards", "uid": "groups"}
    with pytest.raises(ValueError, match=r"--map score=reword: neither is a word .*did you mean 'rewards'"):
        words_of_columns({"score": "reword"})
