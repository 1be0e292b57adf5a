"""Bugs found in published frameworks, restated in numpy: the kit catches each, and our estimators pass.

Numbers are those of the catalogue of frameworks that this project was built from.
"""

import numpy as np
import pytest

from advantages import Promises, gae, grpo, outcome, reinforce_plus_plus, reinforce_plus_plus_baseline, rloo, whiten
from advantages.testing import CHECKS, Subject, verdict_on

by_name = {check.name: check for check in CHECKS}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def _per_group(formula):
    def estimate(rewards, groups):
        out = np.zeros(len(rewards), rewards.dtype if rewards.dtype.kind == "f" else float)
        for g in np.unique(groups):
            out[groups == g] = formula(rewards[groups == g])
        return out

    estimate.__name__ = formula.__name__
    return estimate


@_per_group
def b1_deviation_of_rounding_errors(r):
    """OpenRLHF group_norm: epsilon 1e-9 beside the deviation of rounding errors."""
    return (r - r.mean()) / (r.std(ddof=1) + r.dtype.type(1e-9)) if len(r) > 1 else 0 * r


def b2_leave_one_out_deviation_in_one_pass(rewards, groups):
    """NeMo-RL: the others' variance as E[x^2] - E[x]^2 in single precision, divided by where it is above zero."""
    r = rewards.astype(np.float32)
    same = (groups[:, None] == groups[None, :]) & ~np.eye(len(r), dtype=bool)
    n = np.maximum(same.sum(1), 1).astype(np.float32)
    mean, square = same.astype(np.float32) @ r / n, same.astype(np.float32) @ (r * r) / n
    std = np.sqrt(np.maximum((square - mean**2) * n / np.maximum(n - 1, 1), 0))
    centred = np.where(same.any(1), r - mean, 0)
    return np.where(std > 0, centred / (std + 1e-6), centred)


def b4_whitening_in_one_pass(rewards, groups, mask):
    """slime: the batch's variance as E[x^2] - E[x]^2 in single precision, without a floor."""
    r = np.where(mask, rewards.astype(np.float32)[:, None], 0)
    n = np.float32(max(mask.sum(), 1))
    mean = r.sum() / n
    variance = (r * r).sum() / n - mean * mean
    return np.where(mask, (r - mean) / np.sqrt(variance + np.float32(1e-8)), 0)


def b6_rewards_written_into_integers(token_rewards, mask):
    """tunix: rewards are added into zeros_like(token ids)."""
    ids = np.zeros(token_rewards.shape, np.int32)
    return np.where(mask, (ids + token_rewards).astype(np.int32), 0)


def _running(token_rewards, mask, step):
    out, running = np.zeros_like(token_rewards), np.zeros(len(token_rewards))
    for t in reversed(range(token_rewards.shape[1])):
        running = step(np.where(np.isfinite(token_rewards[:, t]), token_rewards[:, t], 0), running, mask[:, t])
        out[:, t] = running
    return np.where(mask, out, 0)


def b7_rewards_on_masked_tokens_are_lost(token_rewards, mask):
    """verl, AReaL, tunix: the running return is carried over masked tokens, and their rewards are not."""
    return _running(token_rewards, mask, lambda r, g, m: np.where(m, r + g, g))


def b8_mean_over_padding(rewards, groups, mask):
    """SkyRL: the mean over all positions, the variance over the mask."""
    a = np.where(mask, rewards[:, None], 0.0)
    mean = a.mean()
    variance = (((a - mean) * mask) ** 2).sum() / max(mask.sum(), 1)
    return np.where(mask, (a - mean) / np.sqrt(max(variance, 1e-8)), 0)


def b9_ragged_batch_becomes_one_group(rewards, groups):
    """slime: where the number of samples is not n * B, view(-1, N)."""
    sizes = np.unique(groups, return_counts=True)[1]
    if len(set(sizes.tolist())) == 1:
        return grpo(rewards, groups)
    return rewards - rewards.mean()


def b11_padding_rows_divide_by_their_length(rewards, groups, lengths, valid=None):
    """verl: the length-weighted baseline of synthetic rows without tokens is 0 / 0."""
    lengths = lengths if valid is None else lengths * valid
    return _opo(rewards, groups, lengths)


def _opo(rewards, groups, lengths):
    out = np.zeros(len(rewards))
    for g in np.unique(groups):
        on = groups == g
        out[on] = rewards[on] - (lengths[on] * rewards[on]).sum() / lengths[on].sum()
    return out


def b12_ids_as_indices(rewards, groups):
    """verl grpo_vectorized: integer ids are positions in a table."""
    total, count = np.bincount(groups, weights=rewards), np.bincount(groups)
    return rewards - (total / np.maximum(count, 1))[groups]


def b13_every_row_of_a_session_counts(rewards, groups, trajectories=None):
    """verl V1: only one of its estimators takes a session's rows for one sample."""
    return rloo(np.nan_to_num(rewards), groups)


def b15_returns_reset_at_holes(token_rewards, mask):
    """SkyRL: nothing flows across an observation."""
    return _running(token_rewards, mask, lambda r, g, m: (r + g) * m)


def b17_group_deviation_against_the_wrong_axis(rewards, groups):
    """ROLL: (N,) divided by (G, 1) gives (G, N)."""
    return rewards / np.ones((len(np.unique(groups)) + 1, 1))


def b18_unmasked_values(token_rewards, values, mask):
    """ROLL: the masked values are stored, the unmasked ones used."""
    then = np.concatenate([values[:, 1:], np.zeros((len(values), 1))], 1)
    return np.where(mask, np.where(mask, token_rewards, 0) + then - values, 0)


def b20_trailing_rows_of_a_batch(rewards, groups, *, group_size=None):
    """AReaL: rows beyond the last full group keep mean 0 and deviation 0."""
    n = group_size or 2
    full = len(rewards) // n * n
    blocks = rewards[:full].reshape(-1, n)
    z = (blocks - blocks.mean(1, keepdims=True)) / (blocks.std(1, keepdims=True) + 1e-5)
    return np.concatenate([z.reshape(-1), rewards[full:] / 1e-5])


def b21_observations_are_steps(token_rewards, mask):
    """OpenRLHF: a masked token is a step with value zero, at the full discount."""
    return _running(token_rewards, mask, lambda r, g, m: np.where(m, r, 0) + 0.95 * g)


def b22_penalty_in_place(rewards, groups):
    """OpenRLHF, AReaL: a length penalty is subtracted from the batch's own rewards."""
    rewards -= 0.5
    return grpo(rewards, groups)


@_per_group
def b23_infinity_becomes_the_largest_number(r):
    """TRL: nan_to_num without posinf and neginf."""
    return np.nan_to_num(r - np.nanmean(r), nan=0.0)


def b25_returns_are_the_advantages(rewards, groups):
    """verl: one tensor under two names, so that writing to one changes the other."""
    return rewards


@_per_group
def b25_lone_responses_by_estimator(r):
    """verl: of one registry, grpo gives .6999993 for a lone .7, rloo .7, rloo_vectorized 0."""
    return r / (1 + 1e-6) if len(r) == 1 else r - r.mean()


def b33_whitening_nothing(token_rewards, mask):
    """NeMo-RL: an all-masked batch is divided by its zero tokens."""
    g = _running(token_rewards, mask, lambda r, g, m: r + g)
    return np.where(mask, g, 0) - (g * mask).sum() / mask.sum()


@_per_group
def b37_deviation_of_one(r):
    """ROLL: one sample per prompt."""
    return (r - r.mean()) / (r.std(ddof=1) + 1e-6)


BUGS = [
    (b1_deviation_of_rounding_errors, "gives_equal_rewards_exactly_zero", {}),
    (
        b2_leave_one_out_deviation_in_one_pass,
        "ignores_a_shift_of_rewards",
        {"promises": Promises(shift_invariant=True)},
    ),
    (b4_whitening_in_one_pass, "ignores_a_shift_of_rewards", {"promises": Promises(True, shift_invariant=True)}),
    (b6_rewards_written_into_integers, "keeps_the_dtype", {}),
    (b7_rewards_on_masked_tokens_are_lost, "counts_rewards_on_masked_tokens", {}),
    (b8_mean_over_padding, "ignores_padding", {"promises": Promises(spans_batch=True)}),
    (b9_ragged_batch_becomes_one_group, "keeps_groups_apart", {}),
    (b11_padding_rows_divide_by_their_length, "leaves_out_invalid_rows", {}),
    (b12_ids_as_indices, "ignores_the_names_of_groups", {}),
    (b13_every_row_of_a_session_counts, "counts_a_trajectory_once", {}),
    (b15_returns_reset_at_holes, "steps_over_observation_tokens", {}),
    (b17_group_deviation_against_the_wrong_axis, "returns_one_finite_advantage_each", {}),
    (b18_unmasked_values, "never_reads_masked_entries", {}),
    (b20_trailing_rows_of_a_batch, "gives_lone_responses_what_it_says", {}),
    (b21_observations_are_steps, "steps_over_observation_tokens", {}),
    (b22_penalty_in_place, "leaves_its_inputs_alone", {}),
    (b23_infinity_becomes_the_largest_number, "leaves_out_unscored_rows", {}),
    (b25_returns_are_the_advantages, "leaves_its_inputs_alone", {}),
    (b25_lone_responses_by_estimator, "gives_lone_responses_what_it_says", {}),
    (b33_whitening_nothing, "gives_rows_without_a_trained_token_zero", {}),
    (b37_deviation_of_one, "returns_one_finite_advantage_each", {}),
]


@pytest.mark.parametrize(("bug", "check", "options"), BUGS, ids=[bug.__name__ for bug, _, _ in BUGS])
def test_the_kit_catches(bug, check, options):
    verdict = verdict_on(Subject(bug, **options), by_name[check], examples=100)
    assert verdict.outcome == "fails", verdict


def test_b1_ours():
    for level, n in [(0.7, 8), (0.1, 7), (10.1, 7), (0.01, 64)]:
        assert not grpo(np.full(n, level, np.float32), groups=n, epsilon=1e-9).any()
        assert not grpo(np.full(n, level, np.float32), groups=n, epsilon=0).any()


def test_b2_ours():
    offset = np.array([1000.1, 1000.2] * 2, np.float32)
    np.testing.assert_allclose(grpo(offset, groups=4), [-0.866, 0.866] * 2, atol=1e-3)
    lone_winner = np.array([1.0] + [0.01] * 31, np.float32)
    assert np.abs(grpo(lone_winner, groups=32)).max() < np.sqrt(31)


def test_b4_ours():
    assert not whiten(np.full(1000, 1.1, np.float32)).any()
    np.testing.assert_allclose(whiten(np.array([1000.1, 1000.2] * 500, np.float32)), [-1, 1] * 500, atol=1e-3)


def test_b7_ours():
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    rewards = np.array([[0, 0, 0, 0, 1.0], [0, 0, 0, 0, 0]])
    assert outcome(rewards, mask).tolist() == [1.0, 0.0]
    assert gae(rewards, 0 * rewards, mask, lambda_=1.0)[0].tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert (reinforce_plus_plus(rewards, mask)[0, :3] > 0).all()


def test_b8_ours():
    mask = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
    found = reinforce_plus_plus_baseline(np.array([1.0, 0.0]), ["a", "a"], mask)
    assert found[mask].mean() == pytest.approx(0.0, abs=1e-9)


def test_b9_ours():
    rewards = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    found = rloo(rewards, [0, 0, 0, 0, 1, 1, 1]) * np.array([3 / 4] * 4 + [2 / 3] * 3)
    np.testing.assert_allclose(found, [0.25, 0.25, 0.25, -0.75, 2 / 3, -1 / 3, -1 / 3])


def test_b12_ours():
    assert rloo(np.array([1.0, 0.0, 0.5, 0.5]), ["7", "7", "07", "07"]).tolist() == [1.0, -1.0, 0.0, 0.0]
    assert rloo(np.array([1.0, 0.0]), [-1, -1]).tolist() == [1.0, -1.0]
    assert rloo(np.array([1.0, 0.0]), [2 * 10**9] * 2).tolist() == [1.0, -1.0]


def test_b13_ours():
    rewards, sessions = np.array([1.0, 1.0, 1.0, 0.0]), ["s", "s", "s", "t"]
    np.testing.assert_allclose(grpo(rewards, groups=4, trajectories=sessions), [0.7071] * 3 + [-0.7071], atol=1e-4)
    assert rloo(rewards, groups=4, trajectories=sessions).tolist() == [1.0, 1.0, 1.0, -1.0]


def test_b15_and_b21_ours():
    mask = np.array([[1, 1, 0, 0, 0, 1, 1]])
    rewards = np.array([[0, 0, 0, 0, 0, 0, 1.0]])
    values = np.where(mask, 0.5, 0.0)
    assert gae(rewards, values, mask)[0, 0] == pytest.approx(0.429, abs=1e-3)
    assert gae(rewards, values, mask, discount=0.99, lambda_=1.0)[0, 0] == pytest.approx(0.470, abs=1e-3)


def test_b18_ours():
    values = np.array([[0.5, 0.5, 9.0, 9.0]])
    found = gae(np.array([[0, 1.0, 0, 0]]), values, np.array([[1, 1, 0, 0]]))
    np.testing.assert_allclose(found, [[0.475, 0.5, 0.0, 0.0]])


def test_b20_ours():
    assert grpo(np.array([1.0, 2.0, 3.0, 4.0, 1.0]), [0, 0, 1, 1, 2])[4] == 0.0


def test_b23_ours():
    assert grpo(np.array([np.inf, 0.0, 0.0, 0.0]), groups=4).tolist() == [0.0] * 4
    np.testing.assert_allclose(rloo(np.array([np.nan, 1.0, 0.0, 0.0]), groups=4), [0.0, 1.0, -0.5, -0.5])
