"""The command line, as a person uses it."""

import json
import subprocess
import sys
import textwrap

import pytest

from advantages.cli import main


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "advantages", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        textwrap.dedent(
            """
            import numpy as np
            from advantages import estimator
            from advantages.ops import group_centered

            def careless(rewards, groups):
                return rewards - rewards.mean()

            @estimator()
            def careful(rewards, groups):
                return group_centered(rewards, groups)

            def odd(rewards, temperature):
                return rewards
            """
        )
    )
    return path


def test_check_finds_the_smallest_counterexample_and_exits_with_1(mine):
    found = run("check", f"{mine}:careless")
    assert found.returncode == 1
    assert "FAILS   keeps groups apart" in found.stdout
    assert "another group changed the first row's group" in found.stdout
    assert "FAILS   gives equal rewards exactly zero" in found.stdout
    assert "rewards = [" in found.stdout
    assert "Rewards of one prompt must never reach another prompt's baseline." in found.stdout
    assert "takes no mask: gives masked tokens zero" in found.stdout
    assert found.stdout.count("do not apply") == 1
    assert "not applicable" not in found.stdout
    assert "Traceback" not in found.stderr


def test_programs_read_the_verdicts(mine):
    found = run("check", f"{mine}:careless", "--json", "--examples", "20")
    assert found.returncode == 1
    verdicts = {one["check"]: one for one in json.loads(found.stdout)["verdicts"]}
    assert "another group changed the first row's group" in verdicts["keeps_groups_apart"]["detail"]
    assert {one["outcome"] for one in verdicts.values()} == {"holds", "fails", "does not apply"}


def test_check_takes_stages_around_an_estimator(capsys):
    options = ["check", "dr_grpo", "--libraries", "numpy", "--examples", "3"]
    assert main([*options, "--then", "clipped.limit=0.5", "--then", "length_penalty.weight=0.1"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("\nlength_penalty_then_dr_grpo_then_clipped(rewards, groups, lengths, *")
    assert "holds   keeps its bound" in printed
    for wrong, sentence in (
        ("clip.limit=1", r"there is no stage 'clip'.*did you mean 'clipped'"),
        ("clipped.limit=-1", r"clipped: limit is -1; pass a number above 0"),
        ("clipped.most=1", r"clipped: has no setting 'most'"),
        ("kl_penalty.beta=1", r"compose: kl_penalty changes token_rewards, which dr_grpo does not take"),
    ):
        with pytest.raises(SystemExit, match=sentence):
            main([*options, "--then", wrong])


def test_check_passes_a_careful_estimator_and_exits_with_0(mine):
    found = run("check", f"{mine}:careful", "--libraries", "numpy", "--examples", "20")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "FAILS" not in found.stdout
    assert "holds   leaves out unscored rows" in found.stdout


def test_a_known_failure_needs_a_reason_and_must_be_one(mine):
    arguments = ("check", f"{mine}:careful", "--libraries", "numpy", "--examples", "5", "--expect-failure")
    assert "says no reason" in run(*arguments, "repeats_itself").stderr
    assert "there is no check 'repeats'" in run(*arguments, "repeats=why").stderr
    found = run(*arguments, "repeats_itself=it has a memory")
    assert found.returncode == 1
    assert "HOLDS UNEXPECTEDLY" in found.stdout


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("numpy", "estimator 'numpy': there is none; pass one of asymre, baselined, "),
        ("no.such:thing", "estimator 'no.such:thing': cannot be imported"),
        ("advantages.ops:nothing", "advantages.ops has no 'nothing'; it has"),
        ("{mine}:odd", "odd: takes 'temperature', which nobody can supply; inputs are named rewards"),
    ],
)
def test_what_cannot_be_checked_is_said_in_a_sentence(target, message, mine):
    found = run("check", target.format(mine=mine))
    assert found.returncode == 2
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_help_answers(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "check an estimator, your own for instance" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["bench", "--sec", "1"], "--seconds"),
        (["train", "--estim", "grpo"], "--estimator"),
        (["eval", "--bench", "aime"], "--benchmark"),
        (["check", "grpo", "--th", "clipped"], "--then"),
        (["lab", "--js"], "--json"),
    ],
)
def test_the_beginning_of_an_option_is_no_option(arguments, meant):
    with pytest.raises(SystemExit, match=f"there is no such option; .*; did you mean {meant}\\?"):
        main(arguments)


def test_adapters_says_what_works_where(capsys):
    assert main(["adapters"]) == 0
    printed = capsys.readouterr().out
    assert "TRL: " in printed
    assert "lacks values: gae" in printed
    assert main(["adapters", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)["adapters"]
    assert known["TRL"]["lacks"]["gae"] == ["values"]
    assert known["TRL"]["lacks"]["grpo"] == []
