"""The words that estimators are written in, on every library."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advantages import Groups, discounted_returns, masked_mean, outcome, sequence_logprobs, to_tokens, whiten
from advantages.ops import group_count, group_mean, group_std, group_sum, log_sigmoid, moments, reverse_scan, sigmoid
from advantages.testing import strategies

LIBRARIES = pytest.mark.parametrize("library", [np.array, torch.tensor, jnp.array], ids=["numpy", "torch", "jax"])


@LIBRARIES
@pytest.mark.parametrize("steps", [0, 1, 2, 15, 16, 17, 300])
def test_reverse_scan_is_the_recurrence(library, steps):
    rng = np.random.default_rng(steps)
    decay, x = rng.uniform(-1, 1, (3, steps)), rng.normal(size=(3, steps))
    expected = np.zeros((3, steps + 1))
    for t in reversed(range(steps)):
        expected[:, t] = x[:, t] + decay[:, t] * expected[:, t + 1]
    found = np.asarray(reverse_scan(library(decay), library(x)))
    np.testing.assert_allclose(found, expected[:, :steps], atol=1e-5)


@given(st.data())
def test_group_words_see_scored_rows_only(data):
    n = data.draw(st.integers(1, 12))
    x, ids, scored = (data.draw(s(n)) for s in (strategies.rewards, strategies.groups, strategies.valid))
    dirty = np.where(scored, x, np.nan)
    groups = Groups(ids).where(scored)
    words = (group_sum, group_mean, group_std, group_count)
    found = [word(dirty, groups) for word in words]
    for i in np.flatnonzero(scored):
        mine = x[(ids == ids[i]) & scored]
        std = mine.std(ddof=1) if len(mine) > 1 else 0.0
        expected = [mine.sum(), mine.mean(), std, len(mine)]
        np.testing.assert_allclose([word[i] for word in found], expected, atol=1e-9)


@LIBRARIES
def test_sigmoids_neither_overflow_nor_lose_their_complement(library):
    x = library(np.array([-1e4, -100.0, -1.0, 0.0, 3.0, 1e4]))
    low, high = np.asarray(sigmoid(x)), np.asarray(sigmoid(-x))
    assert (low + high == 1).all()
    np.testing.assert_allclose(np.asarray(log_sigmoid(x)), -np.logaddexp(0, -np.asarray(x)), rtol=1e-5)


@given(strategies.inputs("token_rewards", "mask"))
def test_an_outcome_counts_rewards_on_masked_tokens_and_ignores_padding(case):
    rewards, mask = case["token_rewards"], case["mask"]
    np.testing.assert_allclose(outcome(rewards, mask), rewards.sum(1))
    padded = np.where(mask, rewards, np.inf)
    np.testing.assert_allclose(outcome(padded, mask), np.where(mask, rewards, 0.0).sum(1))


def test_an_outcome_with_a_failed_token_is_unscored():
    assert np.isnan(outcome(np.array([[np.nan, 1.0]]), np.array([[True, True]])))


@LIBRARIES
def test_sums_of_half_precision_logprobs_come_back_in_single(library):
    logprobs = library(np.full((1, 8192), -0.5, np.float16))
    mask = library(np.ones((1, 8192), bool))
    assert float(sequence_logprobs(logprobs, mask)[0]) == -4096.0
    assert float(sequence_logprobs(logprobs, mask, reduction="mean")[0]) == -0.5


def test_a_response_without_a_trained_token_has_a_logprob_of_zero():
    logprobs, mask = np.full((1, 2), np.nan), np.zeros((1, 2), bool)
    for reduction in ("sum", "mean"):
        assert sequence_logprobs(logprobs, mask, reduction=reduction).tolist() == [0.0]


def test_sequence_logprobs_carry_gradients_and_nan_under_the_mask_does_not_poison_them():
    logprobs = torch.tensor([[-1.0, float("nan")]], requires_grad=True)
    sequence_logprobs(logprobs, torch.tensor([[True, False]])).sum().backward()
    assert logprobs.grad.tolist() == [[1.0, 0.0]]


@given(strategies.inputs("token_rewards", "mask"), st.sampled_from([0.0, 0.5, 1.0]))
def test_returns_are_recursive(case, discount):
    found = discounted_returns(**case, discount=discount)
    plain = discounted_returns(**case, discount=0.0)  # the rewards, on trained tokens
    for row, on in enumerate(case["mask"]):
        after = 0.0
        for t in reversed(np.flatnonzero(on)):
            after = plain[row, t] + discount * after
            assert found[row, t] == pytest.approx(after)


def test_returns_under_a_small_penalty_do_not_stagnate_in_half_precision():
    rewards = np.full((1, 8192), -1e-3, np.float32)
    rewards[0, -1] += 1.0
    half = torch.tensor(rewards).bfloat16()
    found = discounted_returns(half, torch.ones(1, 8192, dtype=torch.bool))
    assert float(found[0, 0]) == pytest.approx(float(half.double().sum()), rel=1e-2)  # 1.0 in a bfloat16 loop


@given(st.data())
def test_whitened_numbers_have_mean_0_and_deviation_1(data):
    n, t = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    x, mask = data.draw(strategies.values(n, t)), data.draw(strategies.mask(n, t))
    white = whiten(np.where(mask, x, np.nan), mask, epsilon=0.0)
    assert not white[~mask].any()
    if mask.sum() > 1 and np.ptp(x[mask]) > 0:
        assert white[mask].mean() == pytest.approx(0.0, abs=1e-9)
        assert white[mask].std(ddof=1) == pytest.approx(1.0)
    else:
        assert not white.any()


@given(st.data())
def test_moments_of_shards_merge_to_those_of_the_whole(data):
    x = data.draw(strategies.values(6, 4))
    mask = data.draw(strategies.mask(6, 4))
    cut = data.draw(st.integers(0, 6))
    weight = data.draw(st.sampled_from(["tokens", "responses"]))
    shards = [moments(x[part], mask[part], weight=weight) for part in (slice(0, cut), slice(cut, 6))]
    merged = type(shards[0])(*(np.stack(values) for values in zip(*shards, strict=True))).merged()
    whole = moments(x, mask, weight=weight)
    for found, expected in zip(merged, whole, strict=True):
        assert found == pytest.approx(expected, abs=1e-9)


@LIBRARIES
def test_masked_mean_by_tokens_and_by_responses(library):
    x, mask = library(np.array([[1.0, 1.0], [4.0, 9.0]])), library(np.array([[True, True], [True, False]]))
    assert float(masked_mean(x, mask)) == 2.0
    assert float(masked_mean(x, mask, weight="responses")) == 2.5
    assert float(masked_mean(x, mask & ~mask)) == 0.0


@LIBRARIES
def test_to_tokens_keeps_garbage_off_masked_tokens(library):
    found = to_tokens(library(np.array([2.0, np.nan])), library(np.array([[1, 0], [0, 0]])))
    assert np.asarray(found).tolist() == [[2.0, 0.0], [0.0, 0.0]]


def test_words_run_inside_a_compiled_function():
    x = jnp.array([1.0, 3.0, 5.0])
    slots = jnp.array([4, 4, -9])
    assert jax.jit(lambda x, ids: group_mean(x, ids))(x, slots).tolist() == [2.0, 2.0, 5.0]
    assert torch.compile(lambda x, ids: group_mean(x, ids), fullgraph=True, backend="eager")(
        torch.tensor([1.0, 3.0, 5.0]), torch.tensor([4, 4, -9])
    ).tolist() == [2.0, 2.0, 5.0]
