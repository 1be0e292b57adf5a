"""Estimators over tokens, turns and steps meet each other at their ends, whatever the batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advantages import (
    bi_level_gae,
    dr_grpo,
    finite_horizon_gae,
    gae,
    gigpo,
    grpo,
    hgpo,
    importance_corrected_td,
    mt_grpo,
    n_step,
    optimal_token_baseline,
    prime,
    pure,
    retrace,
    reward_to_go,
    rloo,
    step_reinforce,
    td_lambda,
    to_tokens,
    treerl,
    turn_gae,
    turn_returns,
    v_trace,
    vapo,
    vineppo,
    whiten,
)
from advantages.ops.turns import step_returns
from advantages.testing import strategies

critic = strategies.inputs("token_rewards", "values", "mask", "bootstrap_values")
fractions = st.sampled_from([0.0, 0.5, 0.95, 1.0])


def close(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-9)


def one_a_token(mask):
    return np.broadcast_to(np.arange(mask.shape[1]), mask.shape)


@given(critic)
def test_treerl_is_vineppo_where_the_root_is_the_only_ancestor(case):
    r, v, mask = case["token_rewards"], case["values"], case["mask"]
    close(treerl(r, v, mask, np.zeros(mask.shape, int)), vineppo(r, v, mask, np.zeros(mask.shape, int)))
    turns = one_a_token(mask)
    worth = np.where(mask, 3.0, 0.0) - np.where(mask, np.cumsum(r * mask, 1) - r, 0.0)  # the same at every node
    unmasked = mask.all(1)
    found = treerl(r, worth, mask, turns)[unmasked, :-1]
    close(found, 0.0 * found)


@given(critic, fractions)
def test_full_returns_above_the_value(case, discount):
    """With lambda 1, many steps, the policy's own tokens, or none at all, it is the return less the value."""
    r, v, mask = case["token_rewards"], case["values"], case["mask"]
    expected = np.where(mask, reward_to_go(r, mask, discount=discount) - v, 0.0)
    same = np.full_like(r, -1.0)
    close(gae(r, v, mask, discount=discount, lambda_=1.0), expected)
    close(td_lambda(r, v, mask, discount=discount, lambda_=1.0), expected)
    close(n_step(r, v, mask, discount=discount, steps=99), expected)
    close(v_trace(r, v, mask, same, same, discount=discount), expected)
    close(importance_corrected_td(r, v, mask, same, same, discount=discount), expected)
    close(retrace(r, v, v, mask, same, same, discount=discount), expected)
    close(turn_gae(r, v, mask, one_a_token(mask), discount=discount, lambda_=1.0), expected)
    close(vapo(r, v, mask, discount=discount, alpha=1e12), gae(r, v, mask, discount=discount, lambda_=1 - 1e-12))


@given(critic, fractions, fractions)
def test_the_family_of_gae(case, discount, lambda_):
    r, v, mask, b = (case[word] for word in ("token_rewards", "values", "mask", "bootstrap_values"))
    plain = td_lambda(r, v, mask, b, discount=discount, lambda_=lambda_)
    close(
        td_lambda(r, v, mask, discount=discount, lambda_=lambda_), gae(r, v, mask, discount=discount, lambda_=lambda_)
    )
    tokens = one_a_token(mask)
    close(turn_gae(r, v, mask, tokens, b, discount=discount, lambda_=lambda_), plain)
    close(bi_level_gae(r, v, mask, tokens, b, turn_discount=discount, turn_lambda=lambda_), plain)
    same = np.zeros_like(r)
    close(v_trace(r, v, mask, same, same, b, discount=discount, lambda_=lambda_), plain)
    close(importance_corrected_td(r, v, mask, same, same, b, discount=discount, lambda_=lambda_), plain)
    close(retrace(r, v, v, mask, same, same, b, discount=discount, lambda_=lambda_), plain)
    one = td_lambda(r, v, mask, b, discount=discount, lambda_=0.0)
    close(n_step(r, v, mask, b, discount=discount), one)
    close(finite_horizon_gae(r, v, mask, b, discount=discount, lambda_=0.0), one)
    close(vineppo(r, v, mask, tokens), gae(r, v, mask, lambda_=0.0))
    close(vapo(r, v, mask, b, discount=discount, alpha=1e-9), one)


@given(critic)
def test_finite_horizon_gae_with_lambda_one_weighs_all_n_steps_alike(case):
    r, v, mask, b = (case[word] for word in ("token_rewards", "values", "mask", "bootstrap_values"))
    left = np.where(mask, np.cumsum(mask[:, ::-1], 1)[:, ::-1], 1)
    steps = [np.where(left >= k, n_step(r, v, mask, b, steps=k), 0.0) for k in range(1, mask.shape[1] + 1)]
    close(finite_horizon_gae(r, v, mask, b, lambda_=1.0), sum(steps) / left)


def test_finite_horizon_gae_on_the_numbers_of_its_source():
    r, v = np.array([[0.0, 0.0, 0.0, 1.0]]), np.array([[0.2, 0.3, 0.4, 0.5]])
    found = finite_horizon_gae(r, v, np.ones((1, 4), bool))
    np.testing.assert_allclose(found, [[0.336, 0.323, 0.344, 0.5]], atol=6e-4)


@given(strategies.inputs("token_rewards", "mask"), fractions)
def test_returns_of_turns_of_one_token_are_rewards_to_go(case, discount):
    r, mask = case["token_rewards"], case["mask"]
    close(turn_returns(r, mask, one_a_token(mask), discount=discount), reward_to_go(r, mask, discount=discount))
    whole = np.zeros(mask.shape, int)
    total = np.where(mask.any(1), reward_to_go(r, mask).max(1, initial=-np.inf, where=mask), 0.0)
    assert turn_returns(r, mask, whole).shape == (len(total), mask.shape[1])


@given(strategies.inputs("rewards", "groups", "trajectories", "states"))
def test_gigpo_at_its_ends(case):
    r, g, states, rollouts = (case[word] for word in ("rewards", "groups", "states", "trajectories"))
    alone = np.arange(len(r))
    close(gigpo(r, g, alone), dr_grpo(r, g))
    close(gigpo(r, g, alone, scale=True), grpo(r, g))
    close(gigpo(r, g, np.zeros(len(r), int)), 2 * dr_grpo(r, g))
    close(gigpo(r, g, states, step_weight=0.0), dr_grpo(r, g))
    total = np.array([r[rollouts == one].sum() for one in rollouts])
    close(gigpo(r, g, states, trajectories=rollouts, step_weight=0.0, weight="steps"), dr_grpo(total, g))
    first = np.array([row == np.flatnonzero(rollouts == one)[0] for row, one in enumerate(rollouts)])
    episode = np.zeros_like(total)
    episode[first] = dr_grpo(total[first], g[first])
    expected = np.array([episode[first & (rollouts == one)][0] for one in rollouts])
    close(gigpo(r, g, states, trajectories=rollouts, step_weight=0.0, min_scored=2), _unless_alone(expected, g))


@given(strategies.inputs("rewards", "groups", "trajectories", "states"))
def test_hgpo_without_a_history_is_gigpos_part_of_the_step(case):
    r, g, states, rollouts = (case[word] for word in ("rewards", "groups", "states", "trajectories"))
    step = gigpo(r, g, states, trajectories=rollouts) - gigpo(r, g, states, trajectories=rollouts, step_weight=0.0)
    close(hgpo(r, g, states, trajectories=rollouts, history=0, scale=False), step)
    close(hgpo(r, g, np.arange(len(r)), trajectories=rollouts), np.zeros(len(r)))
    close(hgpo(r, g, states), grpo(r, [(one, state) for one, state in zip(g, states, strict=True)], ddof=0))


def test_hgpo_weighs_longer_histories_more_by_hand():
    """Three rollouts come to the door with returns 4, 0 and 2; the first two by the same way."""
    rewards, states = np.array([0.0, 4.0, 0.0, 0.0, 0.0, 2.0]), ["in", "door", "in", "door", "roof", "door"]
    rollouts, tasks = ["a", "a", "b", "b", "c", "c"], ["task"] * 6
    found = hgpo(rewards, tasks, states, trajectories=rollouts, discount=1.0, scale=False, alpha=2.0)
    close(found, [2, (1 * 2 + 4 * 2) / 5, -2, -2, 0, 0])
    rewards[3] = 1.0  # now 4, 1 and 2: above the mean of 7/3 by 5/3, -4/3, -1/3, and by 3/2, -3/2 of the same way
    settings = {"trajectories": rollouts, "discount": 1.0, "scale": False}
    close(hgpo(rewards, tasks, states, **settings)[1], (5 / 3 + 2 * 3 / 2) / 3)
    close(hgpo(rewards, tasks, states, weights="code", **settings)[1], (2 * 5 / 3 + 3 * 3 / 2) / 5)
    found = hgpo(rewards, ["task"] * 4 + ["other"] * 2, states, **settings)
    close(found, [1.5, 1.5, -1.5, -1.5, 0, 0])  # no state is the same in two tasks


def test_hgpo_as_its_code_has_it_jumps_where_a_part_is_0():
    """Returns 3, 1 and 2 or 2.1 at the door: the third is at the mean of all, or near it, and 1 above its own way's."""
    states, rollouts = ["a", "s", "b", "s", "b", "s"], ["x", "x", "y", "y", "z", "z"]

    def third(reward, zeros):
        rewards = np.array([0.0, 3.0, 0.0, 1.0, 0.0, reward])
        return hgpo(rewards, ["task"] * 6, states, trajectories=rollouts, discount=1.0, scale=False, zeros=zeros)[5]

    assert abs(third(2.0, "counted") - third(2.0 + 1e-9, "counted")) < 1e-8
    assert third(2.0, "dropped") - third(2.0 + 1e-9, "dropped") == pytest.approx(0.5 - 1 / 3)


def _unless_alone(x, groups):
    return np.where([(groups == one).sum() > 1 for one in groups], x, 0.0)


def test_gigpo_never_merges_states_of_two_tasks():
    """Trinity 0.6.0 gives the second task, whose rewards are equal, .25 each."""
    found = gigpo(np.array([1.0, 0.0, 1.0, 1.0]), ["A", "A", "B", "B"], ["s"] * 4)
    assert found.tolist() == [1.0, -1.0, 0.0, 0.0]


@given(strategies.inputs("rewards", "groups"))
def test_steps_that_are_rollouts_are_responses(case):
    close(step_reinforce(**case), grpo(**case))


def test_returns_of_steps_follow_the_order_of_rows():
    found = step_returns(np.array([0.0, 1.0, 2.0, 4.0]), ["a", "b", "a", "a"], discount=0.5)
    assert found.tolist() == [2.0, 1.0, 4.0, 4.0]


@given(strategies.inputs("rewards", "groups", "mask", "token_rewards"))
def test_outcome_alone(case):
    r, g, mask, of_turns = (case[word] for word in ("rewards", "groups", "mask", "token_rewards"))
    turns = one_a_token(mask)
    close(mt_grpo(r, g, mask, of_turns, turns, turn_weight=0.0), to_tokens(grpo(r, g), mask))
    white = whiten(to_tokens(rloo(r, g), mask), mask)
    close(prime(r, g, mask, of_turns, process_weight=0.0), _unless_alone(white.T, g).T)
    close(pure(r, g, mask, np.zeros_like(of_turns), turns), to_tokens(rloo(r, g), mask))


@given(strategies.inputs("rewards", "groups", "token_logprobs"))
def test_the_optimal_baseline_of_equally_uncertain_tokens_is_the_mean(case):
    mask, half = np.ones(case["token_logprobs"].shape, bool), np.full(case["token_logprobs"].shape, np.log(0.5))
    found = optimal_token_baseline(case["rewards"], case["groups"], mask, half, np.full(mask.shape, 0.5))
    close(found, to_tokens(dr_grpo(case["rewards"], case["groups"]), mask))


def test_bad_input_is_a_sentence():
    ones = np.ones((1, 3))
    with pytest.raises(ValueError, match="in row 0 a turn is taken up again after another one"):
        turn_returns(ones, np.ones((1, 3), bool), np.array([[0, 1, 0]]))
    assert turn_returns(ones, np.array([[True, False, True]]), np.array([[0, 1, 0]])).tolist() == [[3.0, 0.0, 3.0]]
    with pytest.raises(TypeError, match="needs mask"):
        vapo(ones, ones)
    with pytest.raises(ValueError, match="lies in two groups"):
        gigpo(np.ones(2), ["a", "b"], ["s", "s"], trajectories=["one", "one"])
