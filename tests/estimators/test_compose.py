"""Stages around an estimator: one estimator, with the words of its parts, that keeps every promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advantages import (
    compose,
    dr_grpo,
    entropy_shaped_grpo,
    grpo,
    lampo,
    maxrl,
    ngrpo,
    pass_at_k,
    reinforce,
    reinforce_plus_plus,
    reinforce_plus_plus_baseline,
    reward_to_go,
    to_tokens,
)
from advantages.compose import parsed, stages_of
from advantages.core.definition import definition_of
from advantages.host import resolve
from advantages.stages import (
    clipped,
    entropy_shaped,
    group_filter,
    kl_penalty,
    length_penalty,
    overlong_penalty,
    sequence_kl_penalty,
    stop_properly,
)
from advantages.stages import to_tokens as to_tokens_stage
from advantages.testing import conforms, strategies

shaped = compose(grpo, entropy_shaped(alpha=0.4), clipped(5.0))
filtered = compose(group_filter(), overlong_penalty(limit=40, buffer=20), dr_grpo)
penalised = compose(kl_penalty(beta=0.1), reinforce_plus_plus, clipped(limit=2.0))
shortened = compose(length_penalty(weight=0.5), dr_grpo)
pushed = compose(ngrpo, clipped(limit=2.0))
on_tokens = compose(lampo, to_tokens_stage())

test_shaped = conforms(shaped, examples=8)
test_filtered = conforms(filtered, examples=8)
test_penalised = conforms(penalised, examples=8)
test_shortened = conforms(shortened, examples=8)
test_pushed = conforms(pushed, examples=8)
test_on_tokens = conforms(on_tokens, examples=8)


def test_the_signature_is_the_union_of_the_words():
    assert definition_of(shaped).needed == ("rewards", "groups", "token_entropies", "mask")
    assert definition_of(shaped).unit == "token"
    assert set(definition_of(grpo).settings) == set(definition_of(shaped).settings)
    assert definition_of(filtered).needed == ("rewards", "groups", "lengths")
    assert definition_of(penalised).promises.spans_batch


@pytest.mark.parametrize(
    ("composed", "zero"),
    [
        (shaped, True),
        (shortened, False),
        (pushed, False),
        (filtered, True),
        (compose(group_filter(), ngrpo), True),
        (compose(group_filter(varied=False), ngrpo), False),
        (compose(overlong_penalty(), group_filter(), grpo), False),
    ],
)
def test_whether_groups_of_equals_get_zero(composed, zero):
    assert definition_of(composed).promises.equals_get_zero is zero


@given(strategies.inputs("rewards", "groups", "token_entropies", "mask"))
def test_entropy_shaping_never_flips_a_sign(case):
    plain = to_tokens(grpo(case["rewards"], case["groups"]), case["mask"])
    found = shaped(**case)
    gained = np.minimum(0.4 * case["token_entropies"], np.abs(plain) / 2)
    np.testing.assert_allclose(found, np.where(case["mask"], np.clip(plain + gained, -5, 5), 0), atol=1e-9)
    assert (found * plain >= 0).all()


@given(strategies.inputs("rewards", "groups", "token_entropies", "mask"))
def test_entropy_shaped_grpo_is_grpo_with_the_stage(case):
    found = compose(grpo, entropy_shaped(alpha=0.3, kappa=3.0))(**case)
    np.testing.assert_array_equal(found, entropy_shaped_grpo(**case, alpha=0.3, kappa=3.0))


@given(strategies.inputs("token_rewards", "mask", "token_logprobs", "ref_token_logprobs"))
def test_a_kl_per_token_stays_on_its_token_where_an_outcome_moves(case):
    mask, rewards = case["mask"], case["token_rewards"]
    found = compose(kl_penalty(beta=0.5), reward_to_go)(**case, discount=0.0)
    kl = np.where(mask, case["token_logprobs"] - case["ref_token_logprobs"], 0.0)
    np.testing.assert_allclose(found, reward_to_go(rewards, mask, discount=0.0) - 0.5 * kl, atol=1e-9)


@given(
    strategies.inputs("rewards", "token_logprobs", "ref_token_logprobs", "mask"), st.sampled_from(["k1", "k2", "k3"])
)
def test_kinds_of_kl_agree_where_the_policies_do(case, kind):
    other = {**case, "ref_token_logprobs": case["token_logprobs"]}
    same = compose(sequence_kl_penalty(beta=1.0, kind=kind), reinforce)
    np.testing.assert_allclose(same(**other), case["rewards"])
    if kind != "k1":
        assert (same(**case) <= case["rewards"] + 1e-9).all()


def test_filters_keep_and_drop_whole_groups_on_the_raw_rewards():
    rewards, groups = np.array([1.0, 1.0, 1.0, 0.0, 0.5, 0.5]), [0, 0, 1, 1, 2, 2]
    lengths = np.array([10, 40, 10, 10, 10, 30])
    assert filtered(rewards, groups, lengths).tolist() == [0.0, 0.0, 0.5, -0.5, 0.0, 0.0]
    late = compose(overlong_penalty(limit=40, buffer=20), group_filter(), dr_grpo)
    assert late(rewards, groups, lengths).tolist() == [0.5, -0.5, 0.5, -0.5, 0.25, -0.25]
    hard = compose(group_filter(low=0.0, high=0.75), dr_grpo)
    assert hard(np.array([1.0, 0.9, 1.0, 0.0]), [0, 0, 1, 1]).tolist() == [0.0, 0.0, 0.5, -0.5]


def test_a_dropped_group_enters_no_statistic_of_the_batch():
    mask = np.ones((6, 1), bool)
    kept = compose(group_filter(high=5.0), reinforce_plus_plus_baseline)
    found = kept(np.array([1.0, 0.0, 50.0, 0.0, 1.0, 0.0]), 2, mask)
    alone = reinforce_plus_plus_baseline(np.array([1.0, 0.0, 1.0, 0.0]), 2, mask[:4])
    np.testing.assert_allclose(found[[0, 1, 4, 5]], alone)
    assert not found[2:4].any()


def test_penalties_by_hand():
    rewards, lengths = np.array([1.0, 1.0, -1.0]), np.array([90, 100, 400])
    soft = overlong_penalty(limit=100, buffer=20)
    assert compose(soft, reinforce)(rewards, lengths).tolist() == [0.5, 0.0, -2.0]
    hard = overlong_penalty(limit=100, buffer=20, clip=False)
    assert compose(hard, reinforce)(rewards, lengths).tolist() == [0.5, 0.0, -17.0]
    stop = compose(stop_properly(limit=100, coefficient=0.5), reinforce)
    assert stop(rewards, lengths).tolist() == [1.0, 0.5, -1.0]
    short = compose(length_penalty(weight=0.5), dr_grpo)
    rewards, lengths = np.array([1.0, 1.0, 0.0, 0.0]), np.array([10, 20, 5, 500])
    np.testing.assert_allclose(short(rewards, 4, lengths), np.array([0.75, 0.5, 0.0, 0.0]) - 0.3125)


def test_bad_compositions_are_sentences():
    for parts, words in (
        ((grpo, grpo), "one estimator"),
        ((clipped(),), "one estimator"),
        ((clipped(), grpo), "put it after grpo"),
        ((grpo, overlong_penalty()), "put it before grpo"),
        ((kl_penalty(), grpo), "does not take"),
        ((grpo, clipped), r"call it: clipped\(\)"),
        ((grpo, len), "neither an estimator nor a stage"),
    ):
        with pytest.raises(TypeError, match=words):
            compose(*parts)
    with pytest.raises(TypeError, match="did you mean 'limit'"):
        clipped(limti=3.0)
    with pytest.raises(ValueError, match="limit is -1"):
        clipped(-1.0)
    with pytest.raises(ValueError, match="did you mean 'clipped'"):
        stages_of(["cliped"])
    with pytest.raises(ValueError, match=r"write stage\.setting=value"):
        stages_of(["clipped.limit"])


def test_numbers_that_the_formula_means_nothing_for_are_refused_where_they_arise():
    verdicts, lengths = np.array([1.0, 0.0, 1.0, 0.0]), np.array([1, 2, 4, 9])
    for call, words in (
        (lambda: compose(pass_at_k, clipped())(verdicts / 2, 4), "rewards of rows 0, 2 include 0.5"),
        (lambda: compose(maxrl, clipped())(verdicts - 1, 4), "rewards of rows 1, 3 include -1"),
        (lambda: compose(overlong_penalty(limit=5, buffer=2), pass_at_k)(verdicts, 4, lengths), "pass_at_k: .* 0.5"),
        (lambda: compose(overlong_penalty(limit=5, buffer=2), maxrl)(verdicts, 4, lengths), "maxrl: .* 3 include -1"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    assert compose(length_penalty(), maxrl)(verdicts, 4, lengths)[1] == -1.0


def test_a_name_says_the_composition():
    named = resolve("grpo+entropy_shaped.alpha=0.4+clipped.limit=5")
    case = (np.array([1.0, 0.0]), 2, np.ones((2, 2)), np.ones((2, 2), bool))
    assert (named(*case) == shaped(*case)).all()
    for place in ("folder/a+b.py:mine", "c++.old/mine.py:f", "a+clippers/mine.py:f", "a+b.py:f"):
        assert parsed(place) == (place, [])
    assert parsed("a+b.py:f+clipped.limit=1e+5") == ("a+b.py:f", [clipped(1e5)])
    for text in ("grpo+cliped", "grpo+cliped.limit=5", "grpo+cliped.limit=5+clipped", "a+b.py:f+clipped+cliped"):
        with pytest.raises(ValueError, match=r"there is no stage 'cliped'.*; did you mean 'clipped'"):
            parsed(text)
    assert resolve("grpo") is grpo
