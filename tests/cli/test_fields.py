"""Options made from a dataclass: what a field says is all that they need."""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advantages import cli
from advantages.cli.fields import add_options, no_such_option, option_of, options_in, read_options
from advantages.core.settings import Count, Finite, FiniteNonNegative, Positive, check_fields, option
from advantages.evaluation.settings import Settings
from advantages.runs.config import Config


@dataclasses.dataclass(frozen=True)
class Judge:
    """A dataclass that nobody but this test knows."""

    rounds: Count = option(3, "how often it is asked; 100% of the time", group="how")
    max_share: FiniteNonNegative = option(0.5, "largest share")
    temperature: Positive | Literal["auto"] = option("auto", "of its answers")
    mood: Literal["calm", "stern"] = option("calm", "how it speaks", group="how")
    strict: bool = option(False, "whether a doubt counts")
    name: str | None = option(None, "what it is called")
    weights: Mapping[str, Finite] = option({}, "of the voices", form="voice=weight, such as first=1")
    names: Mapping[str, str] = option({}, "of the voices")
    sizes: tuple[Count, ...] = option((), "of the benches")
    more: Mapping[str, Any] = option({}, "anything")

    def __post_init__(self) -> None:
        check_fields(self, "judge")


def parse(*arguments):
    parser = argparse.ArgumentParser(prog="judge")
    add_options(parser, Judge, groups={"how": "how it judges"})
    return parser, read_options(Judge, vars(parser.parse_args(arguments)))


WORDS = st.text("abcxyz", min_size=1, max_size=4)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "rounds": st.integers(1, 10**9),
            "max_share": st.floats(0, allow_infinity=False),
            "temperature": st.one_of(st.just("auto"), st.floats(0, exclude_min=True)),
            "mood": st.sampled_from(["calm", "stern"]),
            "strict": st.booleans(),
            "name": WORDS,
            "weights": st.dictionaries(WORDS, FINITE, min_size=1, max_size=3),
            "names": st.dictionaries(WORDS, WORDS, min_size=1, max_size=3),
            "sizes": st.lists(st.integers(1, 99), min_size=1, max_size=3).map(tuple),
            "more": st.dictionaries(WORDS, st.one_of(st.integers(), st.booleans(), FINITE), min_size=1, max_size=3),
        },
    )
)
def test_what_is_written_as_options_is_read_as_it_was(settings):
    arguments = []
    for name, value in settings.items():
        if isinstance(value, bool):
            arguments.append(option_of(name) if value else f"--no-{name}")
            continue
        if isinstance(value, dict):
            value = ",".join(f"{key}={x!r}" if not isinstance(x, str) else f"{key}={x}" for key, x in value.items())
        elif isinstance(value, tuple):
            value = ",".join(map(str, value))
        arguments.append(f"{option_of(name)}={value}")
    _, read = parse(*arguments)
    assert read == settings
    assert all(type(read[name]) is type(value) for name, value in settings.items())
    assert Judge(**read) == Judge(**settings)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rounds", "0"], "judge: rounds is 0; pass a whole number of at least 1"),
        (["--rounds", "often"], "judge: rounds is 'often'; pass a whole number of at least 1"),
        (["--rounds", "2.0"], "judge: rounds is '2.0'; pass a whole number of at least 1"),
        (["--max-share", "nan"], "judge: max_share is nan; pass a finite number of at least 0"),
        (["--temperature", "hot"], "judge: temperature is 'hot'; pass \"auto\" or a number above 0"),
        (["--mood", "clam"], "judge: mood is 'clam'; pass one of calm, stern"),
        (["--weights", "a=1,b=x"], "judge: weights['b'] is 'x'; pass a finite number"),
        (["--weights", "a"], "--weights a: write voice=weight, such as first=1"),
        (["--names", "a="], "--names a=: write name=value"),
        (["--names", "a=b,a=c"], "--names a=b,a=c: a stands twice; name it once"),
        (["--sizes", "4,x"], "judge: sizes[1] is 'x'; pass a whole number of at least 1"),
    ],
)
def test_text_that_is_no_such_value_is_refused_as_any_wrong_value_is(arguments, sentence):
    with pytest.raises((TypeError, ValueError)) as caught:
        Judge(**parse(*arguments)[1])
    assert str(caught.value) == sentence


def test_help_says_the_meaning_the_form_and_the_default():
    parser, read = parse()
    assert read == {}
    said = " ".join(parser.format_help().split())
    for part in [
        "--rounds ROUNDS how often it is asked; 100% of the time (default: 3)",
        "--max-share SHARE largest share (default: 0.5)",
        "--mood calm|stern how it speaks (default: calm)",
        "--strict, --no-strict whether a doubt counts (default: False)",
        "--name NAME what it is called (default: none)",
        "--weights VOICE=WEIGHT,... of the voices",
        "--sizes SIZES,... of the benches",
        "how it judges: --rounds",
    ]:
        assert part in said
    assert set(options_in(parser)) >= {option_of(field.name) for field in dataclasses.fields(Judge)}


def test_an_unknown_option_is_answered_with_the_nearest():
    known = ["--learning-rate", "--epochs"]
    assert no_such_option("--learning-rat=3", known, "x").endswith(
        "see advantages x --help; did you mean --learning-rate?"
    )
    assert no_such_option("--lear", [*known, "--clear"], "x").endswith("; did you mean --learning-rate?")
    assert no_such_option("--passes", known, "x", {"--passes": "--epochs"}).endswith("; did you mean --epochs?")
    assert no_such_option("--qqqq", known, "x") == "--qqqq: there is no such option; see advantages x --help"
    assert no_such_option("word", known, "x") == "word: there is no place for it; see advantages x --help"


@dataclasses.dataclass(frozen=True)
class LongerConfig(Config):
    """A run that has one setting more."""

    patience: Count = option(3, "steps without progress after which it ends", group="run")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongerSettings(Settings):
    """An evaluation that has one setting more."""

    patience: Count = option(3, "problems without an answer after which it ends")


@pytest.mark.parametrize(
    ("command", "name", "longer"), [("train", "Config", LongerConfig), ("eval", "Settings", LongerSettings)]
)
def test_a_new_field_gets_an_option_a_check_and_a_sentence(command, name, longer, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"advantages.cli.{command}.{name}", longer)
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert "--patience PATIENCE" in capsys.readouterr().out
    needed = ["--model", "m", "--benchmark", "chain"] if command == "eval" else []
    for text, value in (("0", "0"), ("long", "'long'")):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, *needed, "--patience", text])
        assert str(ended.value) == f"advantages {command}: patience is {value}; pass a whole number of at least 1"
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--patiense", "3"])
    assert str(ended.value).endswith(f"see advantages {command} --help; did you mean --patience?")


@pytest.mark.parametrize("command", ["list", "diff", "check", "eval", "compare-runs"])
def test_every_command_refuses_an_unknown_option_in_a_sentence(command):
    needed = {"diff": ["grpo", "rloo", "f"], "check": ["grpo"], "compare-runs": ["f"]}.get(command, [])
    with pytest.raises(SystemExit, match=f"^advantages {command}: --zzzz: there is no such option; see advantages"):
        cli.main([command, *needed, "--zzzz"])
