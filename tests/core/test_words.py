"""A word is added in one place, and an estimator's call looks its backend up and checks its arrays once."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings

import advantages
from advantages import Groups, estimator, grpo, lampo
from advantages.call import estimator as decorate
from advantages.core import definition
from advantages.core.vocabulary import INPUTS, Input
from advantages.testing import Subject, strategies


@pytest.fixture
def words(monkeypatch):
    monkeypatch.setitem(INPUTS, "chapters", Input(("N", "T"), "ids", "the chapter of a token", "one per token"))
    monkeypatch.setitem(
        INPUTS, "difficulty", Input(("N",), "real", "how hard the prompt is", "one number per response")
    )
    monkeypatch.setitem(INPUTS, "raters", Input(("N",), "ids", "who rated the response", "one rater per response"))


def test_a_new_word_reaches_estimators_the_kit_and_whoever_asks_for_words(words):
    seen = {}

    @estimator(unit="token")
    def mine(rewards, mask, chapters, difficulty, raters):
        seen.update(chapters=chapters, difficulty=difficulty, raters=raters)
        return mask * (rewards + difficulty)[:, None]

    cases = []

    @settings(max_examples=1, database=None)
    @given(strategies.inputs(*definition.definition_of(mine).needed, n=3, t=2))
    def draw(case):
        cases.append(case)

    draw()
    (case, *_) = cases
    assert case["chapters"].shape == (3, 2)
    found = mine(**case)
    assert found.shape == (3, 2)
    assert isinstance(seen["chapters"], Groups)
    assert isinstance(seen["raters"], Groups)
    assert seen["difficulty"].dtype == np.float64
    assert "chapters" in str(definition.definition_of(mine).signature)
    with pytest.raises(TypeError, match="mine: needs chapters: the chapter of a token; pass one per token"):
        mine(**{**case, "chapters": None})
    with pytest.raises(ValueError, match=r"mine: chapters has shape \(3, 5\), not \(3, 2\)"):
        mine(**{**case, "chapters": np.zeros((3, 5), int)})


@pytest.mark.parametrize("make", [np.array, torch.tensor, lambda x: [["c" * k for k in row] for row in x]])
def test_ids_of_tokens_are_apart_in_every_row(words, make):
    @estimator(unit="token")
    def pieces(rewards, mask, chapters):
        return advantages.ops.group_sum(mask * rewards[:, None], chapters)

    rewards, mask = np.array([1.0, 10.0]), np.array([[True, True, True], [True, False, True]])
    chapters = make([[0, 0, 1], [0, 0, 0]])
    if isinstance(chapters, torch.Tensor):
        rewards, mask = torch.tensor(rewards), torch.tensor(mask)
    assert np.asarray(pieces(rewards, mask, chapters)).tolist() == [[2.0, 2.0, 1.0], [20.0, 0.0, 20.0]]


def test_a_unit_is_declared_and_not_guessed():
    @decorate(unit="response")
    def per_response(rewards, mask, token_logprobs):
        return rewards * (mask * token_logprobs).sum(1)

    rewards, mask = np.array([1.0, 2.0]), np.ones((2, 3), bool)
    assert per_response(rewards, mask, -np.ones((2, 3))).tolist() == [-3.0, -6.0]

    @decorate()
    def forgot(rewards, mask):
        return rewards[:, None] * mask

    with pytest.raises(ValueError, match=r"forgot: returned shape \(2, 3\); .* \(2,\), one per response .*token"):
        forgot(rewards, mask)
    with pytest.raises(TypeError, match='unit is \'tokens\'; declare "response" or "token"'):
        decorate(unit="tokens")(lambda rewards: rewards)


def calls_of(function, *names):
    """How often functions of some names are entered while `function` runs."""
    counts = dict.fromkeys(names, 0)

    def profile(frame, event, _):
        if event == "call" and frame.f_code.co_name in counts:
            counts[frame.f_code.co_name] += 1

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return counts


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_one_call_looks_its_backend_up_and_checks_its_arrays_once(make):
    rewards, logprobs, groups = make(np.arange(8.0)), make(-np.arange(8.0)), Groups([0, 0, 1, 1, 2, 2, 3, 3])
    table, mask = make(np.ones((4, 3))), make(np.ones((4, 3), bool))
    runs = {
        "grpo": lambda: grpo(rewards, groups, strict=True),
        "lampo": lambda: lampo(rewards, groups, logprobs, strict=True),
        "gae": lambda: advantages.gae(table, table, mask),
        "reinforce_plus_plus": lambda: advantages.reinforce_plus_plus(table, mask),
        "reinforce_plus_plus_baseline": lambda: advantages.reinforce_plus_plus_baseline(rewards[:4], 2, mask),
        "gdpo": lambda: advantages.gdpo(table, 2),
    }
    for name, run in runs.items():
        run()
        counts = calls_of(run, "check_arrays", "_looked_up", "library_of")
        assert counts["check_arrays"] == 1, name
        assert counts["_looked_up"] == 0, name
        assert counts["library_of"] <= 1, name
    for run in (lambda: grpo(rewards, groups), lambda: lampo(rewards, groups, logprobs)):  # the short way
        assert not any(calls_of(run, "check_arrays", "_looked_up", "library_of").values())


def test_groups_are_frozen():
    groups = Groups(["a", "b"])
    with pytest.raises(AttributeError, match="Groups are frozen: scored cannot be set"):
        groups.scored = np.ones(2, bool)
    assert groups.where(np.array([True, False])).scored.tolist() == [True, False]
    assert groups.scored is None


def test_rows_that_are_not_trained_vote_and_get_nothing():
    rewards = np.array([1.0, 0.0, 0.0, 3.0])
    assert advantages.dr_grpo(rewards, 4, trained=np.array([True, True, False, False])).tolist() == [
        0.0,
        -1.0,
        0.0,
        0.0,
    ]


def test_small_groups_are_what_singleton_says():
    rewards, ids = np.array([1.0, 0.0, 5.0, 3.0, np.nan]), ["a", "a", "b", "b", "b"]
    assert advantages.rloo(rewards, ids, min_scored=3).tolist() == [0.0] * 5
    assert advantages.rloo(rewards, ids, min_scored=3, singleton="raw").tolist() == [1.0, 0.0, 5.0, 3.0, 0.0]
    with pytest.raises(ValueError, match="rows 0, 1, 2, 3 are in groups of fewer than 3"):
        advantages.rloo(rewards, ids, min_scored=3, singleton="error")


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_finite_rewards_of_any_size_give_finite_advantages(make, dtype):
    huge = np.finfo(dtype).max
    for pattern in ([1, -1, 0, 1], [1, 1, 1, 0.5], [1, -1, -1, -1], [1, 0, 0, 0]):
        rewards = np.array(pattern, dtype) * huge
        for name in advantages.estimators.__all__:
            function = getattr(advantages, name)
            needed = definition.definition_of(function).needed
            given = {
                "rewards": np.stack([rewards, -rewards], 1) if name == "gdpo" else rewards,
                "groups": 4,
                "logprobs": -np.arange(4, dtype=dtype),
                "lengths": np.arange(4) + 1,
                "on_policy": np.array([True, True, True, False]),
                "baselines": -rewards[: 2 if "token_rewards" in needed else 4],
                "roles": [0, 0, 0, 1],
                "token_rewards": rewards.reshape(2, 2),
                "values": -rewards.reshape(2, 2),
                "mask": np.ones((2, 2) if "token_rewards" in needed else (4, 2), bool),
            }
            if not set(needed) <= given.keys() or {"rewards", "token_rewards"} <= set(needed):
                continue
            d = definition.definition_of(function)
            if dtype == np.float64 and d.promises.scale is None and not d.by_component:
                continue  # nothing is wider than they are
            given = Subject(function).fitted(given)
            case = {word: make(x) if isinstance(x := given[word], np.ndarray) else x for word in needed}
            assert np.isfinite(np.asarray(function(**case), np.float64)).all(), (name, pattern)


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, jnp.asarray])
def test_ids_of_cells_beside_rewards_of_responses_say_nothing_of_which_responses_count(make):
    @decorate(unit="response")
    def centred(rewards, turns, mask):
        """Rewards above 1, where turns are looked at and not needed."""
        return rewards - 1.0

    found = centred(make(np.array([1.0, np.nan, 3.0])), np.zeros((3, 4), int), make(np.ones((3, 4), bool)))
    np.testing.assert_array_equal(np.asarray(found), [0.0, 0.0, 2.0])
