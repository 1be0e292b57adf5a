"""One validator for the settings of estimators, rewards, runs and evaluations."""

import dataclasses
import inspect
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advantages import grpo, rewards
from advantages.core.settings import (
    Count,
    Finite,
    FinitePositive,
    Fraction,
    NonNegative,
    Positive,
    Range,
    Setting,
    Text,
    Whole,
    check_arguments,
    check_fields,
    settings_of,
)
from advantages.evaluation.settings import Settings
from advantages.rewards import Exact, Isolated, Overlong, RougeL, Weight
from advantages.runs.config import Config

R, G = np.array([1.0, 0.0, 1.0, 1.0]), ["a", "a", "b", "b"]
NAN = math.nan


def estimate(**settings):
    return grpo(R, G, **settings)


def isolated(**settings):
    return Isolated("math:pow", **settings)


def evaluation(**settings):
    return Settings(**{"model": "m", "benchmark": "chain", **settings})


@pytest.mark.parametrize(
    ("make", "settings", "error", "sentence"),
    [
        # a number out of its range
        (estimate, {"epsilon": -1.0}, ValueError, "grpo: epsilon is -1.0; pass a number of at least 0"),
        (Overlong, {"max_length": 8, "buffer": -1}, ValueError, "overlong: buffer is -1; pass a whole number of at"),
        (isolated, {"seconds": NAN}, ValueError, "pow: seconds is nan; pass a finite number above 0"),
        (Config, {"clip_low": 1.5}, ValueError, "clip_low is 1.5; pass a number between 0 and 1"),
        (Config, {"learning_rate": math.inf}, ValueError, "learning_rate is inf; pass a finite number of at least 0"),
        (evaluation, {"samples": 1001}, ValueError, "samples is 1001; pass a whole number between 1 and 1000"),
        (evaluation, {"temperature": math.inf}, ValueError, "temperature is inf; pass a finite number of at least 0"),
        # a number that is not whole
        (estimate, {"min_scored": 2.5}, ValueError, "grpo: min_scored is 2.5; pass a whole number of at least 2"),
        (Overlong, {"max_length": 8.5, "buffer": 1}, ValueError, "overlong: max_length is 8.5; pass a whole number"),
        (Config, {"steps": 2.5}, ValueError, "steps is 2.5; pass a whole number of at least 1"),
        (evaluation, {"limit": 2.5}, ValueError, "limit is 2.5; pass a whole number of at least 0"),
        # no number
        (estimate, {"epsilon": "small"}, TypeError, "grpo: epsilon is 'small'; pass a number of at least 0"),
        (Weight, {"value": "small"}, TypeError, "Weight: value is 'small'; pass a finite number"),
        (Config, {"kl": "small"}, TypeError, "kl is 'small'; pass a finite number of at least 0"),
        (Config, {"seed": True}, TypeError, "seed is True; pass a whole number of at least 0"),
        (evaluation, {"top_p": None}, TypeError, "top_p is None; pass a number between 1e-06 and 1"),
        # no flag
        (estimate, {"strict": 1}, TypeError, "grpo: strict is 1; pass True or False"),
        (Exact, {"ignore_case": 1}, TypeError, "exact: ignore_case is 1; pass True or False"),
        (Config, {"thinking": 1}, TypeError, "thinking is 1; pass True or False"),
        (evaluation, {"thinking": "no"}, TypeError, "thinking is 'no'; pass True or False"),
        # another word, and no word
        (estimate, {"singleton": "nan"}, ValueError, "grpo: singleton is 'nan'; pass one of zero, raw, error"),
        (RougeL, {"part": "end"}, ValueError, "rouge_l: part is 'end'; pass one of reasoning, whole"),
        (Config, {"ratio": "turn"}, ValueError, "ratio is 'turn'; pass one of token, sequence"),
        (Config, {"random_init": "big"}, ValueError, "random_init is 'big'; pass None or one of Qwen3-1.7B, Qwen3-4B"),
        (evaluation, {"precision": "int8"}, ValueError, "precision is 'int8'; pass one of auto, float32, bfloat16"),
        (estimate, {"singleton": 0}, TypeError, "grpo: singleton is 0; pass one of zero, raw, error"),
        (Config, {"engine": None}, TypeError, "engine is None; pass one of generate, continuous, vllm"),
        # no text
        (Exact, {"column": ""}, ValueError, "exact: column is empty; pass a string with something in it"),
        (Config, {"data": 3}, TypeError, "data is 3; pass None or a string"),
        (evaluation, {"benchmark": 3}, TypeError, "benchmark is 3; pass a string"),
        # inside a mapping, or a tuple
        (Config, {"rewards": {"exact": NAN}}, ValueError, r"rewards\['exact'\] is nan; pass a finite number"),
        (
            Config,
            {"rewards": [("exact", 1)]},
            TypeError,
            r"rewards is \[\('exact', 1\)\]; pass a mapping whose",
        ),
        (Config, {"rewards": {1: 1.0}}, TypeError, r"rewards is \{1: 1.0\}; pass a mapping whose keys are names"),
        (evaluation, {"map": {"a": 1}, "data": "f"}, TypeError, r"map\['a'\] is 1; pass a string"),
        (evaluation, {"k": (1, 0)}, ValueError, r"k\[1\] is 0; pass a whole number of at least 1"),
        (evaluation, {"k": 1}, TypeError, "k is 1; pass a tuple"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence_whoever_has_the_setting(make, settings, error, sentence):
    with pytest.raises(error, match=f"^{sentence}"):
        make(**settings)


def test_all_four_kinds_go_through_one_validator(monkeypatch):
    seen = []
    check = Setting.check_plain

    def watched(self, who, name, value):
        seen.append((who, name, value))
        check(self, who, name, value)

    monkeypatch.setattr(Setting, "check_plain", watched)
    estimate(epsilon=0.5)
    Exact(marker="#")
    isolated(seconds=3.0)
    Config(steps=7)
    evaluation(samples=3)
    for one in [
        ("grpo", "epsilon", 0.5),
        ("exact", "marker", "#"),
        ("pow", "seconds", 3.0),
        ("", "steps", 7),
        ("", "samples", 3),
    ]:
        assert one in seen


@pytest.mark.parametrize("number", [np.int64(3), np.float32(3.0), np.array(3)])
def test_what_ends_in_a_file_is_one_of_pythons_own_numbers(number):
    with pytest.raises(TypeError, match=r"^seed is .*; pass a whole number"):
        Config(seed=number)
    assert np.isfinite(estimate(epsilon=np.float32(0.5))).all()  # an estimator's may be an array


def test_bounds_that_may_be_infinite_are():
    config = Config(clip_high=math.inf, importance_cap=math.inf)
    assert (config.clip_high, config.importance_cap) == (math.inf, math.inf)


def test_nothing_that_a_run_an_evaluation_or_a_reward_is_set_to_goes_unchecked():
    made = [one for one in vars(rewards).values() if inspect.isclass(one) and dataclasses.is_dataclass(one)]
    assert len(made) >= 7
    unchecked = {
        f"{cls.__name__}.{name}"
        for cls in (Config, Settings, *made)
        for name, setting in settings_of(cls).items()
        if setting.open
    }
    assert unchecked == {"CosineLength.verifier", "CosineLength.right", "CosineLength.wrong"}  # by their own sentences


@dataclasses.dataclass
class Judge:
    """A dataclass that nobody but this test knows."""

    votes: Count = 3
    rest: Whole | None = None
    share: Fraction = 0.5
    limit: FinitePositive = 1.0
    temperature: Positive | Literal["auto"] = "auto"
    ddof: Literal[0, 1] = 1
    name: Text = "judge"
    weights: Mapping[str, Finite] = dataclasses.field(default_factory=dict)
    sizes: tuple[Count, ...] = ()
    callback: Any = None
    low: Annotated[float, Range(-math.inf, 0.0)] = 0.0
    between: Annotated[float, Range(0.0, 1.0, low_excluded=True)] = 1.0
    noted: Annotated[bool, "a note that is no range"] = True

    def __post_init__(self):
        check_fields(self, "judge")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("votes", 0, "a whole number of at least 1"),
        ("rest", -1, "None or a whole number of at least 0"),
        ("share", 1.01, "a number between 0 and 1"),
        ("limit", math.inf, "a finite number above 0"),
        ("temperature", 0.0, '"auto" or a number above 0'),
        ("temperature", "hot", '"auto" or a number above 0'),
        ("ddof", 2, "0 or 1"),
        ("low", 0.1, "a number of at most 0"),
        ("between", 0.0, "a number above 0 and of at most 1"),
        ("noted", None, "True or False"),
    ],
)
def test_a_field_is_checked_by_its_hint_alone(name, value, expected):
    Judge()
    with pytest.raises((TypeError, ValueError)) as caught:
        Judge(**{name: value})
    assert str(caught.value) == f"judge: {name} is {value!r}; pass {expected}"


def test_a_hint_that_says_nothing_lets_everything_pass():
    assert Judge(callback=object()).callback
    Setting(list[int] | Positive).check("judge", "sizes", [1, 2])


NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([0, 1, 0.0, -0.0, 1.0, math.inf, -math.inf, 10**400]))


@given(low=st.integers(-3, 3), width=st.integers(0, 3), x=NUMBERS, whole=st.booleans(), excluded=st.booleans())
def test_a_range_holds_what_its_sentence_says(low, width, x, whole, excluded):
    allowed = Range(low, low + width, low_excluded=excluded, whole=whole)
    right = (x > low if excluded else x >= low) and x <= low + width and (not whole or isinstance(x, int))
    assert (x in allowed) == right
    setting = Setting(Annotated[float, allowed])
    if right:
        setting.check("f", "x", x)
    else:
        with pytest.raises(ValueError, match="^" + re.escape(f"f: x is {x!r:.60}; pass {allowed}") + "$"):
            setting.check("f", "x", x)


@given(x=NUMBERS)
def test_a_finite_number_is_one_that_ends(x):
    assert (x in Range(-math.inf, math.inf, finite=True)) == (x == x and abs(x) != math.inf)
    assert True not in Range(-math.inf, math.inf, finite=True)


def test_arguments_are_checked_by_the_functions_hints():
    def ask(*, rounds: Count = 1, epsilon: NonNegative = 0.0) -> None:
        check_arguments("ask", ask, rounds=rounds, epsilon=epsilon)

    ask(rounds=3)
    with pytest.raises(ValueError, match=r"^ask: rounds is 0; pass a whole number of at least 1$"):
        ask(rounds=0)
