"""The kit is believed because it can fail: every check catches a bug that was planted for it."""

import numpy as np
import pytest

from advantages import Promises, estimator, grpo, rloo
from advantages.core.definition import define, definition_of
from advantages.testing import CHECKS, Subject, verdict_on

_calls = []


def _centered(rewards, groups):
    """Correct for finite rewards, in any order, with any integer ids."""
    if not len(rewards):
        return rewards * 1.0
    _, slots = np.unique(groups, return_inverse=True)
    ones = np.equal(slots[:, None], slots[None, :])
    return (ones * (rewards[:, None] - rewards[None, :])).sum(1) / ones.sum(1)


def _dtype(rewards):
    return rewards.dtype if rewards.dtype.kind == "f" else np.float64


def extra_axis(rewards, groups):
    return _centered(rewards, groups)[:, None]


def always_float64(rewards, groups):
    return _centered(rewards, groups).astype(np.float64)


def variance_by_squares_in_half(rewards, groups):
    mean = rewards.sum() / len(rewards)
    variance = ((rewards * rewards).sum() / len(rewards) - mean * mean).clip(0)
    return ((rewards - mean) / np.sqrt(variance + rewards.dtype.type(1e-4))).astype(rewards.dtype)


def casts_to_the_rewards_dtype(rewards, groups):
    return _centered(rewards.astype(float), groups).astype(rewards.dtype)


def chokes_on_nothing(rewards, groups):
    return _centered(rewards, groups) * (rewards.max() >= -np.inf)


def compares_all_pairs_of_rows(rewards, groups):
    return _centered(rewards, groups)


def seeds_the_process(rewards, groups):
    np.random.seed(0)  # noqa: NPY002
    return _centered(rewards, groups)


def hashes_into_64_slots(rewards, groups):
    return _centered(rewards, np.array([hash(name) % 64 for name in groups.tolist()]))


def clips_at_100(rewards, groups):
    return np.clip(_centered(rewards, groups), -100, 100)


def writes_to_its_input(rewards, groups):
    rewards -= rewards.mean()
    return rewards


def remembers(rewards, groups):
    _calls.append(1)
    return _centered(rewards, groups) + len(_calls)


def groups_by_position(rewards, groups):
    if len(rewards) % 2:
        return _centered(rewards, groups)
    pairs = rewards.reshape(-1, 2)
    return (pairs - pairs.mean(1, keepdims=True)).reshape(-1)


def indexes_by_id(rewards, groups):
    return _centered(rewards, groups % 8)


def centres_on_the_batch(rewards, groups):
    return _centered(rewards, np.zeros_like(groups))


def reads_its_neighbours(rewards):
    return rewards - rewards.mean()


def divides_rounding_errors(rewards, groups):
    out = np.zeros(len(rewards), _dtype(rewards))
    for g in np.unique(groups):
        r = rewards[groups == g]
        out[groups == g] = (r - r.mean()) / (r.std() + 1e-9)
    return out


def lone_responses_get_nan(rewards, groups):
    out = _centered(rewards, groups)
    ids, counts = np.unique(groups, return_counts=True)
    return np.where(np.isin(groups, ids[counts == 1]), np.nan, out)


def group_size_one_off(rewards, groups):
    if isinstance(groups, int):
        groups = np.arange(len(rewards)) // max(1, groups - 1)
    return _centered(rewards, groups)


group_size_one_off.__advantages__ = define(group_size_one_off)  # only such a function need take a number


def treats_failures_as_zero(rewards, groups):
    return _centered(np.where(np.isfinite(rewards), rewards, 0.0), groups)


def counts_invalid_rows(rewards, groups, valid=None):
    out = _centered(np.nan_to_num(rewards, nan=0.0, posinf=0.0), groups)
    return out if valid is None else np.where(valid, out, 0.0)


def counts_every_row_of_a_trajectory(rewards, groups, trajectories=None):
    return _centered(np.nan_to_num(rewards), groups)


def forgets_the_earlier_rows(token_rewards, mask, trajectories=None):
    return _returns(token_rewards, mask)


def broadcasts(rewards, groups):
    return rewards - rewards.mean() + 0.0 * groups.mean()


def swallows_settings(rewards, groups, **anything):
    return _centered(rewards, groups)


def _returns(token_rewards, mask):
    """Correct, whatever lies under the mask."""
    kept = np.where(mask | np.isfinite(token_rewards), token_rewards, 0.0)
    total = np.cumsum(kept[:, ::-1], 1)[:, ::-1]
    lead = np.where(np.cumsum(mask, 1) == 0, kept, 0.0).sum(1, keepdims=True)
    return np.where(mask, total + np.where(np.cumsum(mask, 1) == 1, lead, 0.0), 0.0)


def pays_masked_tokens(token_rewards, mask):
    return _returns(token_rewards, mask) + 1.0 * ~mask


def multiplies_by_the_mask(token_rewards, mask):
    return np.cumsum((token_rewards * mask)[:, ::-1], 1)[:, ::-1] * mask


def averages_over_the_width(token_rewards, mask):
    return np.where(mask, np.where(mask, token_rewards, 0.0).mean(1, keepdims=True), 0.0)


def decays_over_observations(token_rewards, mask):
    out = np.zeros_like(token_rewards)
    running = np.zeros(len(out))
    for t in reversed(range(out.shape[1])):
        running = np.where(mask[:, t], token_rewards[:, t], 0.0) + 0.9 * running
        out[:, t] = running
    return np.where(mask, out, 0.0)


def loses_rewards_on_masked_tokens(token_rewards, mask):
    return _returns(np.where(mask, token_rewards, 0.0), mask)


def divides_by_no_tokens(token_rewards, mask):
    kept = np.where(mask, token_rewards, 0.0)
    return np.where(mask.any(), kept, np.nan)


def raw(rewards, groups):
    return rewards * 1.0


def inverse(rewards, groups):
    return -_centered(rewards, groups)


def squares(rewards, groups):
    return _centered(rewards, groups) * 2 * np.abs(rewards)


def one_pass_variance(rewards, groups):
    """E[x^2] - E[x]^2, in the precision of the rewards."""
    out = np.zeros_like(rewards)
    for g in np.unique(groups):
        r = rewards[groups == g]
        mean = r.sum() / r.dtype.type(len(r))
        variance = max((r * r).sum() / r.dtype.type(len(r)) - mean * mean, 0)
        out[groups == g] = (r - mean) / np.sqrt(variance + r.dtype.type(1e-6))
    return out


def explodes(rewards, groups):
    out = np.zeros(len(rewards))
    for g in np.unique(groups):
        r = rewards[groups == g]
        out[groups == g] = (r - r.mean()) / (r.var() + 1e-12)
    return out


def misses_a_factor(rewards, groups):
    return _centered(rewards, groups)  # (n - 1) / n of what it claims


def population_deviation(rewards, groups):
    return grpo(rewards, groups, ddof=0)


def merges_means_without_counts(rewards, groups, *, across=None):
    mine = np.array([rewards.mean() if len(rewards) else 0.0])
    return rewards - (mine if across is None else across(mine)).mean()


@estimator(promises=Promises())
def deviates_by_library(rewards, groups):
    return rewards - rewards.mean() + rewards.std()  # torch divides by n - 1, numpy by n


def single_precision(rewards, groups):
    return rloo(rewards, groups).astype("float32") if hasattr(rewards, "astype") else rloo(rewards, groups).float()


def reads_a_value(rewards, groups):
    return rloo(rewards, groups) * (1.0 if float(rewards.sum()) < 1e9 else 2.0)


def lets_gradients_through(rewards, groups):
    return rewards * 1.0


_everywhere = {"libraries": ("numpy", "torch", "jax")}

PLANTED = {
    "returns_one_finite_advantage_each": (extra_axis, {}),
    "keeps_the_dtype": (always_float64, {}),
    "computes_half_precision_in_full": (variance_by_squares_in_half, {}),
    "takes_integer_and_boolean_rewards": (casts_to_the_rewards_dtype, {}),
    "takes_an_empty_batch": (chokes_on_nothing, {}),
    "needs_memory_in_proportion_to_the_batch": (compares_all_pairs_of_rows, {}),
    "leaves_the_process_alone": (seeds_the_process, {}),
    "keeps_many_groups_apart": (hashes_into_64_slots, {}),
    "tells_large_rewards_apart": (clips_at_100, {}),
    "leaves_its_inputs_alone": (writes_to_its_input, {}),
    "repeats_itself": (remembers, {}),
    "ignores_the_order_of_rows": (groups_by_position, {}),
    "ignores_the_names_of_groups": (indexes_by_id, {}),
    "keeps_groups_apart": (centres_on_the_batch, {}),
    "keeps_responses_apart": (reads_its_neighbours, {}),
    "gives_equal_rewards_exactly_zero": (divides_rounding_errors, {}),
    "gives_lone_responses_what_it_says": (lone_responses_get_nan, {}),
    "takes_a_group_size_for_blocks": (group_size_one_off, {}),
    "leaves_out_unscored_rows": (treats_failures_as_zero, {}),
    "leaves_out_invalid_rows": (counts_invalid_rows, {}),
    "counts_a_trajectory_once": (counts_every_row_of_a_trajectory, {}),
    "joins_the_rows_of_a_trajectory": (forgets_the_earlier_rows, {}),
    "refuses_rows_that_do_not_match": (broadcasts, {}),
    "refuses_settings_it_does_not_know": (swallows_settings, {}),
    "gives_masked_tokens_zero": (pays_masked_tokens, {}),
    "never_reads_masked_entries": (multiplies_by_the_mask, {}),
    "ignores_padding": (averages_over_the_width, {}),
    "steps_over_observation_tokens": (decays_over_observations, {}),
    "counts_rewards_on_masked_tokens": (loses_rewards_on_masked_tokens, {}),
    "gives_rows_without_a_trained_token_zero": (divides_by_no_tokens, {}),
    "sums_to_zero_in_a_group": (raw, {"promises": Promises(zero_sum=True)}),
    "ignores_a_shift_of_rewards": (one_pass_variance, {"promises": Promises(shift_invariant=True)}),
    "scales_with_the_rewards": (squares, {"promises": Promises(scale="equivariant")}),
    "never_ranks_a_better_response_lower": (inverse, {"promises": Promises(monotone=True)}),
    "keeps_its_bound": (explodes, {"promises": Promises(bound=lambda n: n)}),
    "points_along_the_true_gradient": (misses_a_factor, {"promises": Promises(unbiased=lambda n: 1.0)}),
    "agrees_with_its_spec": (population_deviation, {"spec": definition_of(grpo).spec}),
    "merges_shards_exactly": (merges_means_without_counts, {"promises": Promises(spans_batch=True)}),
    "agrees_with_numpy_on_torch": (deviates_by_library, {}),
    "agrees_with_numpy_on_jax": (lambda rewards, groups: rewards * (1 + hasattr(rewards, "at")), _everywhere),
    "keeps_low_precision_dtypes_on_torch": (single_precision, _everywhere),
    "keeps_low_precision_dtypes_on_jax": (single_precision, _everywhere),
    "runs_without_values_on_torch": (reads_a_value, _everywhere),
    "stops_gradients_on_torch": (lets_gradients_through, _everywhere),
    "stops_gradients_on_jax": (lets_gradients_through, _everywhere),
    "compiles_on_torch": (reads_a_value, _everywhere),
    "compiles_on_jax": (reads_a_value, _everywhere),
    "vectorises_on_torch": (reads_a_value, _everywhere),
    "vectorises_on_jax": (reads_a_value, _everywhere),
}


def test_every_check_has_a_bug_planted_for_it():
    assert set(PLANTED) == {check.name for check in CHECKS}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("check", CHECKS, ids=[check.sentence for check in CHECKS])
def test_planted_bug_is_caught(check):
    function, options = PLANTED[check.name]
    verdict = verdict_on(Subject(function, **options), check, examples=100)
    assert verdict.outcome == "fails", verdict
