"""How the estimators hang together: limits, identities and numbers that a reader can check by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advantages import (
    codapo,
    dr_grpo,
    gae,
    gdpo,
    grpo,
    hgpo,
    lambdapo,
    lampo,
    pass_at_k,
    reinforce,
    reinforce_plus_plus,
    reinforce_plus_plus_baseline,
    rloo,
)
from advantages.core.definition import definition_of
from advantages.ops import group_count, group_mean, group_std, group_sum, outcome, pair_reduce
from advantages.testing import strategies


def cases(*words):
    return strategies.inputs(*words)


@given(cases("rewards", "groups", "logprobs"))
def test_lampo_at_a_large_temperature_is_half_of_rloo(case):
    half = rloo(case["rewards"], case["groups"]) / 2
    np.testing.assert_allclose(lampo(**case, temperature=1e12), half, atol=1e-9)
    np.testing.assert_allclose(lampo(**case, temperature=float("inf")), half, atol=1e-12)
    np.testing.assert_allclose(lambdapo(**case, temperature=1e12), half, atol=1e-9)


@given(cases("rewards", "groups", "logprobs"))
def test_lampo_at_a_small_temperature_compares_with_the_less_likely_only(case):
    r, g, s = case["rewards"], case["groups"], case["logprobs"]
    found = lampo(r, g, s, temperature=1e-6)
    for i in range(len(r)):
        others = (g == g[i]) & (np.arange(len(r)) != i)
        weight = np.where(s[i] == s[others], 0.5, s[i] > s[others])
        expected = np.sum((r[i] - r[others]) * weight) / max(others.sum(), 1)
        assert found[i] == pytest.approx(expected, abs=1e-9)


@given(cases("rewards", "groups", "logprobs"), st.sampled_from([0.3, 1.0, 5.0]))
def test_lampos_sum_over_a_group_is_a_tanh_of_the_gaps(case, tau):
    r, g, s = case["rewards"], case["groups"], case["logprobs"]
    total = group_sum(lampo(r, g, s, temperature=tau), g)
    tanh = pair_reduce("sum", lambda r, s, q, t: (r - q) * np.tanh((s - t) / (2 * tau)), (r, s), g)
    expected = group_sum(tanh, g) / 2 / np.maximum(group_count(r, g) - 1, 1)
    np.testing.assert_allclose(total, expected, atol=1e-9)


@given(cases("rewards", "groups", "logprobs"), st.sampled_from([-7.0, 100.0]))
def test_pairwise_estimators_ignore_a_shift_of_logprobs(case, shift):
    for estimator in (lampo, lambdapo):
        moved = {**case, "logprobs": case["logprobs"] + shift}
        np.testing.assert_allclose(estimator(**moved), estimator(**case), atol=1e-9)


@given(cases("rewards", "groups", "logprobs", "lengths"))
def test_lampos_options_are_what_they_say(case):
    r, g, s, lengths = (case[word] for word in ("rewards", "groups", "logprobs", "lengths"))
    plain = lampo(r, g, s)
    np.testing.assert_allclose(lampo(**case, reduction="mean"), lampo(r, g, s / lengths), atol=1e-9)
    np.testing.assert_allclose(lampo(r, g, s, center=True), plain - group_mean(plain, g), atol=1e-9)
    np.testing.assert_allclose(lampo(r, g, s, scale=True) * (group_std(r, g) + 1e-6), plain, atol=1e-9)
    spread = group_std(s, g)
    standard = s / np.where(spread > 0, spread, 1.0)
    np.testing.assert_allclose(lampo(r, g, s, temperature="auto"), lampo(r, g, standard), atol=1e-9)
    half = lampo(r, g, s, average="weights", temperature=1e12)
    np.testing.assert_allclose(half, rloo(r, g), atol=1e-6)


@pytest.mark.parametrize("estimator", [codapo, hgpo, pass_at_k])
def test_an_oracle_divides_nothing_by_a_deviation_of_zero(estimator):
    r = np.array([1.0, 1.0, 0.0])  # no two are wrong, so that every pair has a right one
    words = {"rewards": r if estimator is pass_at_k else np.ones(3), "groups": ["a"] * 3}
    more = {"states": ["s"] * 3, "logprobs": -r, "lengths": 1.0 + r}
    words |= {word: more[word] for word in definition_of(estimator).needed if word in more}
    spec = definition_of(estimator).spec
    assert spec(**words, epsilon=0.0).tolist() == estimator(**words, epsilon=0.0).tolist() == [0.0] * 3


def test_lampo_weights_stay_finite_where_every_sigmoid_vanishes():
    r, s = np.array([1.0, 0.0, 0.5]), np.array([-5000.0, -10.0, -20.0])
    found = lampo(r.astype(np.float32), ["a"] * 3, s.astype(np.float32), average="weights")
    # The least likely response meets its nearest other; the others meet the least likely one.
    np.testing.assert_allclose(found, [0.5, -0.75, -0.5], atol=1e-4)


@given(cases("rewards", "groups"))
def test_the_family_is_made_of_mean_gaps(case):
    r, g = case["rewards"], case["groups"]
    n = group_count(r, g)
    gaps = pair_reduce("sum", lambda a, b: a - b, (r,), g)
    np.testing.assert_allclose(dr_grpo(r, g), gaps / n, atol=1e-9)
    np.testing.assert_allclose(rloo(r, g), gaps / np.maximum(n - 1, 1), atol=1e-9)
    np.testing.assert_allclose(grpo(r, g) * (group_std(r, g) + 1e-6), dr_grpo(r, g), atol=1e-9)


@given(cases("rewards", "groups"))
def test_gdpo_with_one_component_is_grpo_over_the_batchs_deviation(case):
    one = grpo(case["rewards"], case["groups"])
    many = gdpo(case["rewards"][:, None], case["groups"])
    std = one.std(ddof=1) if len(one) > 1 else 0.0
    np.testing.assert_allclose(many * (std + 1e-6), one, atol=1e-9)


@given(st.data())
def test_gdpo_gives_a_group_of_equals_zero_beside_other_groups(data):
    rewards = data.draw(strategies.rewards(9, 2))
    rewards[:3] = 0.7
    found = gdpo(rewards, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert not found[:3].any()


def test_gdpo_counts_a_missing_component_for_nobody():
    rewards = np.array([[1.0, 3.0], [0.0, np.nan], [0.0, 1.0]])
    found = gdpo(rewards, ["a"] * 3, epsilon=0.0)
    by_hand = np.array([2, -1, -1]) / np.sqrt(3) + np.array([1, 0, -1]) / np.sqrt(2)
    np.testing.assert_allclose(found, by_hand / by_hand.std(ddof=1), atol=1e-12)
    assert gdpo(np.array([[np.nan, np.nan], [1.0, 2.0]]), ["a", "a"]).tolist() == [0.0, 0.0]


@given(cases("token_rewards", "values", "mask"))
def test_gae_at_its_ends_is_the_td_error_and_the_return(case):
    mask = case["mask"]
    returns = gae(**{**case, "values": np.zeros_like(case["values"])}, lambda_=1.0)
    np.testing.assert_allclose(gae(**case, lambda_=1.0), np.where(mask, returns - case["values"], 0.0), atol=1e-9)
    for row in range(len(mask)):
        on = np.flatnonzero(mask[row])
        if len(on):
            total = outcome(case["token_rewards"], mask)[row]
            assert returns[row, on[0]] == pytest.approx(total)
            td = gae(**case, lambda_=0.0, discount=0.5)[row, on]
            now, then = case["values"][row, on], np.append(case["values"][row, on][1:], 0.0)
            rewards = gae(**{**case, "values": np.zeros_like(case["values"])}, lambda_=0.0, discount=0.0)[row, on]
            np.testing.assert_allclose(td, rewards + 0.5 * then - now, atol=1e-9)


def test_gae_over_a_tool_call_by_hand():
    rewards = np.array([[0.0, 0.0, 0.0, 0.0, 1.0]])
    values = np.full((1, 5), 0.5)
    mask = np.array([[True, True, False, False, True]])
    last, middle = 0.5, 0.0 + 0.9 * 0.5 - 0.5
    expected = [[middle + 0.9 * 0.95 * (middle + 0.9 * 0.95 * last), middle + 0.9 * 0.95 * last, 0, 0, last]]
    np.testing.assert_allclose(gae(rewards, values, mask, discount=0.9), expected)


@given(cases("token_rewards", "mask"))
def test_reinforce_plus_plus_without_whitening_is_reinforce_on_every_token(case):
    mask = case["mask"]
    total = reinforce(outcome(case["token_rewards"], mask))
    at_the_end = np.zeros_like(case["token_rewards"])
    for row, on in enumerate(mask):
        if on.any():
            at_the_end[row, np.flatnonzero(on)[-1]] = total[row]
    spread = np.where(mask, total[:, None], np.nan)
    found = reinforce_plus_plus(at_the_end, mask)
    if mask.any() and np.nanstd(spread) > 0:
        expected = (spread - np.nanmean(spread)) / (np.nanstd(spread, ddof=1) + 1e-6)
        np.testing.assert_allclose(found, np.nan_to_num(expected), atol=1e-9)
    else:
        assert not found.any()


def test_weights_of_reinforce_plus_plus_count_tokens_or_responses():
    rewards, mask = np.array([1.0, 0.0]), np.array([[True] * 4, [True, False, False, False]])
    tokens = reinforce_plus_plus_baseline(rewards, ["a", "a"], mask)
    responses = reinforce_plus_plus_baseline(rewards, ["a", "a"], mask, weight="responses")
    assert tokens[mask].mean() == pytest.approx(0.0, abs=1e-9)
    assert responses[:, 0].tolist() == pytest.approx([0.70710578, -0.70710578], abs=1e-6)


@settings(max_examples=20)
@given(st.integers(1, 40), st.floats(-6e4, 6e4, width=32), st.sampled_from(["float32", "float64", "float16"]))
def test_equal_rewards_give_exactly_zero_in_every_dtype_and_size(n, level, dtype):
    rewards = np.full(n, level).astype(dtype)
    for estimator in (grpo, dr_grpo, rloo):
        assert not estimator(rewards, groups=n).any()
        assert not estimator(rewards, groups=n, singleton="zero").any()


def test_a_lone_winner_keeps_its_bound():
    rewards = np.array([1.0] + [0.01] * 31, np.float32)  # 172,196 in a framework with E[x^2] - E[x]^2
    assert grpo(rewards, groups=32)[0] == pytest.approx(31 / np.sqrt(32), rel=1e-5)
    assert rloo(rewards, groups=32)[0] == pytest.approx(0.99, rel=1e-6)
