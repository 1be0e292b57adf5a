"""The rest of the catalogue's faults of arithmetic, restated in numpy: the kit catches each, and ours has none.

B1 to B38 are of the frameworks in August 2026, N1 to N53 of papers' own code and of frameworks in November 2026.
Those that `test_known_bugs.py` has are not repeated; those that no check of an estimator can see are in `WAIVED`.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from advantages import (
    Promises,
    asymre,
    dr_grpo,
    gae,
    gdpo,
    grpo,
    luffy,
    maxrl_of_order,
    mgpo,
    normalized,
    nsr,
    opmd,
    pkpo,
    psr,
    reinforce_plus_plus,
    reinforce_rej,
    rloo,
    turn_gae,
    vineppo,
    w_reinforce,
    whiten,
)
from advantages.conventions import ms_swift, nemo_rl, openrlhf, trinity, tunix, verl
from advantages.core.definition import definition_of
from advantages.testing import CHECKS, Subject, verdict_on

by_name = {check.name: check for check in CHECKS}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

WAIVED = {
    "B10": "verl V1 does not fetch columns: it raises, and no number is wrong",
    "B28": "SkyRL's sampler renames rows; the estimator sees right groups of a wrong size",
    "B29": "torchrl's V-trace across a truncated step, mended since August 2026; the vocabulary has no done flags here",
    "B30": "TRL's MiniLLM return is a reward of another objective, and has left TRL",
    "B31": "tunix counts characters in its overlong penalty: the lengths that it passes are of another unit",
    "B34": "AReaL's penalty in place is that of B22, which test_known_bugs.py has",
    "B36": "a wrong help text; its second part is b36 here",
    "B38": "slow loops, right numbers",
    "N3": "MaxRL's order above the group is silently the group's; ours refuses it, below",
    "N4": "VR-cond pushes groups that are all wrong, by design, and `vr_cond` says so",
    "N5": "a constant of 1/8 for groups of eight: of the clipped form, which is not here",
    "N6": "QAE has two published codings that differ; both are settings of `qae`",
    "N8": "RS-GRPO's published code uses a name that it does not define: it cannot run",
    "N12": "NGRPO pushes groups that are all wrong, by design, and `ngrpo` says so",
    "N13": "AVSPO's threshold is a state of the run, not of an estimator",
    "N19": "GRPO-LEAD writes a file per group; no number is wrong",
    "N24": "Reinforce-Ada is for verdicts alone; ours refuses other rewards",
    "N29": "EMPO sorts both sides of a filter in one direction: a choice of rows before any estimator",
    "N30": "the gate of raw surprisal is near a half everywhere: a scale that `delightful` sets by itself",
    "N32": "DS-GRPO takes log-probabilities of whole responses, long ones weigh more, as it is printed",
    "N36": "GTPO's two z-scores amplify a lone right response: test_reductions.py has both forms",
    "N38": "one sample of a divergence may be negative, whose mean is not; `jsd` says so",
    "N39": "Clip-V forgets to centre what it compares: a mask of tokens, not an advantage",
    "N41": "MT-GRPO's rows without a tool result are scored by another formula, which the paper leaves open",
    "N43": "VAGEN marks values that count for nothing by -100: a number of its batches, not of an estimator",
    "N44": "HGPO's code drops parts of 0 from its weights: `hgpo(zeros='dropped')`; tested among the reductions",
    "N47": "Trinity's anchors are b5 again",
    "N51": "PRIME's baseline at every token is what the paper prints: `prime` says that length enters",
    "N53": "finite-horizon GAE parts from GAE on short episodes, by design: docs/laboratory.md has both",
}


TRAPS = (
    *range(1, 20),
    *(21, 22, 24, 25, 29, 30, 32, 33, 36, 38, 39, 41, 42, 43, 44, 47, 48, 51, 53),
)
"""Lines of the second catalogue that name a trap of arithmetic."""


def _per_group(formula):
    def estimate(rewards, groups, **others):
        out = np.zeros(len(rewards), rewards.dtype if rewards.dtype.kind == "f" else float)
        for g in np.unique(groups):
            on = groups == g
            out[on] = formula(rewards[on].astype(out.dtype), **{name: x[on] for name, x in others.items()})
        return out

    return estimate


def _plain(formula):
    """A function of (rewards, groups) of a formula for one group, under the formula's name."""

    def estimate(rewards, groups):
        return _per_group(formula)(rewards, groups)

    estimate.__name__ = formula.__name__
    return estimate


@_plain
def b3_the_only_success_is_filtered_out(r):
    """NeMo-RL: dynamic sampling drops rows whose others have no deviation, the only success of a group among them."""
    others = [np.delete(r, i) for i in range(len(r))]
    kept = [len(x) > 0 and np.ptp(x) > 0 for x in others]
    return np.where(kept, r - r.mean(), 0.0)


def b5_states_of_two_tasks_are_one(rewards, groups, states):
    """ROLL, and Trinity 0.6.0 (N47): anchors are grouped by a bare hash, across tasks."""
    return dr_grpo(rewards, groups) + dr_grpo(np.nan_to_num(rewards), states)


@_plain
def b14_division_by_a_mean_of_either_sign(r):
    """SkyRL MaxRL: a negative mean turns the order of the group round."""
    return (r - r.mean()) / (r.mean() + 1e-6)


def b16_padding_rows_enter_the_whitening(rewards, groups, mask, valid=None):
    """SkyRL: rows that fill up the last rank keep their response mask."""
    return np.where(mask, whiten(np.where(np.isfinite(rewards), rewards, 0.0))[:, None], 0.0)


def b19_what_fills_the_padded_length_was_cut_off(token_rewards, mask):
    """AReaL: the longest row of every batch counts as truncated, and its reward is zeroed."""
    ended = ~np.asarray(mask)[:, -1:].astype(bool)
    total = np.where(mask, token_rewards, 0.0).sum(1, keepdims=True)
    return np.where(mask, total * ended, 0.0)


@_plain
def b24_a_failed_judge_is_a_reward_of_zero(r):
    """TRL: a None of one of several functions counts as 0; ms-swift: every None does."""
    r = np.nan_to_num(r)
    return r - r.mean()


def b26_a_length_for_a_position(token_rewards, mask):
    """verl's optimal token baseline: the zero tail begins at the number of trained tokens, wherever they are."""
    places = np.arange(mask.shape[1])
    returns = np.cumsum(np.where(mask, token_rewards, 0)[:, ::-1], 1)[:, ::-1]
    return np.where(mask & (places < np.asarray(mask).sum(1, keepdims=True)), returns, 0.0)


@_plain
def b27_a_deviation_that_is_not_zero(r):
    """verl, SkyRL: np.std(x) == 0 is asked whether a group is constant."""
    return np.zeros_like(r) if r.std() == 0 else (r - r.mean()) / (r.std() + 1e-12)


def b32_whitening_one_token(token_rewards, mask):
    """tunix: the sample variance of a single valid token."""
    x = np.where(mask, np.nan_to_num(token_rewards), 0.0)
    n = np.asarray(mask).sum()
    mean = x.sum() / n
    variance = (np.where(mask, x - mean, 0.0) ** 2).sum() / (n - 1)
    return np.where(mask, (x - mean) / np.sqrt(variance + 1e-8), 0.0)


def b35_a_penalty_in_units_of_the_mean(rewards, groups, lengths):
    """prime-rl: the length penalty times the group's mean reward, which is a bonus where that is negative."""

    def formula(r, lengths):
        scaled = r - r.mean() * 0.25 * lengths / max(lengths.max(), 1)
        return scaled - scaled.mean()

    return _per_group(formula)(rewards, groups, lengths=lengths)


def b36_values_of_observations(token_rewards, values, mask):
    """slime: PPO's GAE ignores the loss mask."""
    then = np.concatenate([values[:, 1:], np.zeros((len(values), 1))], 1)
    return np.where(mask, token_rewards + then - values, 0.0)


@_plain
def n1_raw_rewards_at_k_of_one(r):
    """PKPO: where there is no set of k - 1 others nothing is subtracted, and the reward itself comes back."""
    return r


@_plain
def n2_rewards_that_are_not_0_or_1_pass_through(r):
    """Pass@k training: [1, -1, -1, -1] stays what it is, since c is the number of ones."""
    c, n = (r == 1).sum(), len(r)
    rho = 1 - (n - c) / n
    sigma = np.sqrt(rho * (1 - rho)) + 1e-6
    return np.where(r == 1, (1 - rho) / sigma, np.where(r == 0, -rho / sigma, r))


@_plain
def n7_a_temperature_that_no_pair_can_have(r):
    """TTT-Discover: of two, no temperature reaches a KL of ln 2, so that beta runs to its limit."""
    if np.ptp(r) == 0 or len(r) < 2:
        return 0.0 * r
    x = np.exp(1e6 * (r - r.max()))
    return x / np.maximum((x.sum() - x) / (len(r) - 1), 1e-12) - 1


@_plain
def n9_a_lone_response_has_no_baseline(r):
    """Trinity OPMD, AsymRE: the baseline of a group of one is taken to be 0."""
    return r if len(r) < 2 else r - np.log(np.mean(np.exp(r)))


@_plain
def n10_equals_are_pushed(r):
    """AsymRE: a baseline below the mean pushes a group of equals up, on purpose."""
    return r - (r.mean() - 0.1)


@_plain
def n11_a_lone_response_raises(r):
    """Trinity REC: a name that only a larger group defines."""
    if len(r) < 2:
        raise UnboundLocalError("local variable 'mean' referenced before assignment")
    return r - r.mean()


def n14_scores_between_verdicts(rewards):
    """RLVR-Decomposed: rewards are compared with 1 and with 0, and others go through as they are."""
    return np.where(rewards == 1, 1.0, np.where(rewards == 0, -1.0, rewards))


@_plain
def n15_dust_is_a_deviation(r):
    """Reinforce-Rej: a group is kept where its deviation is above 0, were it by rounding."""
    return r if r.std() > 0 else 0.0 * r


def n16_groups_of_one_pass_rate(rewards, groups):
    """BNPO: Beta's parameters from the variance of the batch's pass rates, which may be zero."""
    p = rewards - dr_grpo(rewards, groups)
    common = p.mean() * (1 - p.mean()) / p.var() - 1
    return (rewards - p) / (p ** (p.mean() * common) * (1 - p) ** ((1 - p.mean()) * common))


def n17_the_order_of_the_rows(rewards, groups):
    """KRPO: a Kalman filter over the samples of a group, one after the other."""

    def formula(r):
        x, p, out = 0.0, 1.0, []
        for reward in r:
            p += 1e-5
            gain = p / (p + 1e-2)
            x, p = x + gain * (reward - x), (1 - gain) * p
            out.append((reward - x) / (np.sqrt(p) + 1e-8))
        return np.array(out)

    return _per_group(formula)(rewards, groups)


def n18_a_batch_of_one(rewards):
    """SPO: the sample deviation of a single prompt."""
    return (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-8)


@_plain
def n21_the_logarithm_of_no_success(r):
    """MGPO: the divergence of a pass rate of 0 or 1 from one half, without a floor."""
    p = (r > 0).mean()
    kl = p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p))
    return (r - r.mean()) * np.exp(-kl)


@_plain
def n22_ties_by_position(r):
    """GOPO: of equal rewards the first ranks first."""
    rank = np.argsort(np.argsort(-r, kind="stable"), kind="stable")
    return 2 - 4 * rank / max(len(r) - 1, 1)


def n25_no_row_of_its_own_policy(rewards, groups, on_policy):
    """LUFFY: statistics of the rows of the trained policy, by group, in a dictionary that may not have the group."""
    means = {g: rewards[on_policy & (groups == g)].mean() for g in groups[on_policy]}
    return rewards - np.array([means[g] for g in groups])


@_plain
def n33_a_penalty_that_reaches_the_statistics_alone(r):
    """Trinity: the rank penalty changes mean and deviation, and the score keeps the raw reward."""
    penalised = r * (1 - 0.25 * np.arange(len(r)) / len(r))
    return (r - penalised.mean()) / (penalised.std() + 1e-6)


def n42_a_turn_without_reward_is_none(token_rewards, values, mask, turns, *, discount=1.0, lambda_=0.95):
    """RAGEN: turns end where the reward is not 0, so that a turn whose reward is 0 belongs to the next one."""
    out = np.zeros_like(token_rewards)
    for row, on in enumerate(mask):
        places = np.flatnonzero(on)
        ends = [t for t in places if token_rewards[row, t] != 0 or t == places[-1]]
        next_value, advantage = 0.0, 0.0
        for start, end in reversed(list(zip([-1, *ends], ends, strict=False))):
            turn = places[(places > start) & (places <= end)]
            value = values[row, turn[0]]
            delta = token_rewards[row, turn].sum() + discount * next_value - value
            advantage = delta + discount * lambda_ * advantage
            out[row, turn], next_value = advantage, value
    return out


def n48_missing_values_come_from_behind(token_rewards, values, mask):
    """VinePPO: a value that was not sampled is filled with the next one that was."""
    filled = values.copy()
    for t in reversed(range(values.shape[1] - 1)):
        filled[:, t] = np.where(np.isfinite(filled[:, t]), filled[:, t], filled[:, t + 1])
    after = np.concatenate([filled[:, 1:], np.zeros((len(filled), 1))], 1)
    return np.where(mask, token_rewards + after - filled, 0.0)


BUGS = [
    (b3_the_only_success_is_filtered_out, "sums_to_zero_in_a_group", {"promises": Promises(zero_sum=True)}),
    (b5_states_of_two_tasks_are_one, "keeps_groups_apart", {}),
    (
        b14_division_by_a_mean_of_either_sign,
        "never_ranks_a_better_response_lower",
        {"promises": Promises(monotone=True)},
    ),
    (b16_padding_rows_enter_the_whitening, "leaves_out_invalid_rows", {"promises": Promises(spans_batch=True)}),
    (b19_what_fills_the_padded_length_was_cut_off, "ignores_padding", {}),
    (b24_a_failed_judge_is_a_reward_of_zero, "leaves_out_unscored_rows", {}),
    (b26_a_length_for_a_position, "steps_over_observation_tokens", {}),
    (b27_a_deviation_that_is_not_zero, "gives_equal_rewards_exactly_zero", {}),
    (b32_whitening_one_token, "returns_one_finite_advantage_each", {"promises": Promises(spans_batch=True)}),
    (
        b35_a_penalty_in_units_of_the_mean,
        "ignores_a_shift_of_rewards",
        {"promises": Promises(shift_invariant=True)},
    ),
    (b36_values_of_observations, "never_reads_masked_entries", {}),
    (
        n2_rewards_that_are_not_0_or_1_pass_through,
        "ignores_a_shift_of_rewards",
        {"promises": Promises(shift_invariant=True)},
    ),
    (n1_raw_rewards_at_k_of_one, "gives_equal_rewards_exactly_zero", {}),
    (n9_a_lone_response_has_no_baseline, "gives_lone_responses_what_it_says", {}),
    (n14_scores_between_verdicts, "agrees_with_its_spec", {"spec": lambda rewards: np.where(rewards == 1, 1.0, -1.0)}),
    (n15_dust_is_a_deviation, "gives_equal_rewards_exactly_zero", {}),
    (n21_the_logarithm_of_no_success, "returns_one_finite_advantage_each", {}),
    (n25_no_row_of_its_own_policy, "returns_one_finite_advantage_each", {}),
    (n42_a_turn_without_reward_is_none, "agrees_with_its_spec", {"spec": definition_of(turn_gae).spec}),
    (n48_missing_values_come_from_behind, "steps_over_observation_tokens", {}),
    (n7_a_temperature_that_no_pair_can_have, "keeps_its_bound", {"promises": Promises(bound=lambda n: 1e6)}),
    (n10_equals_are_pushed, "gives_equal_rewards_exactly_zero", {}),
    (n11_a_lone_response_raises, "gives_lone_responses_what_it_says", {}),
    (n16_groups_of_one_pass_rate, "returns_one_finite_advantage_each", {"promises": Promises(spans_batch=True)}),
    (n17_the_order_of_the_rows, "ignores_the_order_of_rows", {}),
    (n18_a_batch_of_one, "returns_one_finite_advantage_each", {"promises": Promises(spans_batch=True)}),
    (n22_ties_by_position, "gives_equal_rewards_exactly_zero", {}),
    (
        n33_a_penalty_that_reaches_the_statistics_alone,
        "sums_to_zero_in_a_group",
        {"promises": Promises(zero_sum=True)},
    ),
]


@pytest.mark.parametrize(("bug", "check", "options"), BUGS, ids=[bug.__name__ for bug, _, _ in BUGS])
def test_the_kit_catches(bug, check, options):
    verdict = verdict_on(Subject(bug, **options), by_name[check], examples=100)
    assert verdict.outcome == "fails", verdict


def test_every_fault_is_here_or_waived():
    here = Path(__file__).parent
    found = {name.upper() for file in here.glob("test_*.py") for name in re.findall(r"def (b\d+)_", file.read_text())}
    assert {f"B{number}" for number in range(1, 39)} == found | {name for name in WAIVED if name[0] == "B"}
    named = {name.upper() for file in here.glob("test_*.py") for name in re.findall(r"def (n\d+)_", file.read_text())}
    assert {f"N{number}" for number in TRAPS} == named | {name for name in WAIVED if name[0] == "N"}
    assert not named & set(WAIVED)
    assert found & set(WAIVED) == {"B36"}  # whose first part is waived


# Ours, and the conventions that reproduce a fault on purpose


def test_b3_ours_keeps_the_only_success():
    assert nemo_rl.grpo(np.array([1.0, 0.0, 0.0, 0.0]), 4)[0] == 1.0
    assert grpo(np.array([1.0, 0.0, 0.0, 0.0]), 4).all()


def test_b2_the_convention_does_not_reproduce_rounding_and_says_so():
    assert nemo_rl.grpo(np.array([1.0] + [0.01] * 31), 32).max() < 1
    assert "fault B2, not reproduced" in " ".join(nemo_rl.__doc__.split())


def test_b1_the_convention_does_not_reproduce_rounding_and_says_so():
    for level, n in [(0.7, 8), (0.1, 7)]:
        assert not openrlhf.group_norm(np.full(n, level, np.float32), n).any()
    assert "fault B1, not reproduced" in " ".join(openrlhf.__doc__.split())


@pytest.mark.parametrize("function", [verl.gae, tunix.gae])
def test_b7_conventions_lose_rewards_on_masked_tokens_and_say_so(function):
    rewards, mask = np.array([[0.0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]), np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    assert not function(rewards, 0 * rewards, mask).any()
    assert function(rewards, 0 * rewards, mask, masked_rewards="carried").any()
    assert "fault B7, reproduced on purpose" in function.__doc__


def test_b7_reinforce_plus_plus():
    rewards, mask = np.array([[0.0, 0, 1], [0, 0, 0]]), np.array([[1, 1, 0], [1, 1, 1]])
    assert not verl.reinforce_plus_plus(rewards, mask).any()
    assert reinforce_plus_plus(rewards, mask).any()


def test_b21_the_convention_takes_observations_for_steps_and_says_so():
    mask = np.array([[1, 1, 0, 0, 0, 1, 1]])
    rewards, values = np.array([[0, 0, 0, 0, 0, 0, 1.0]]), np.where(mask, 0.5, 0.0)
    found = openrlhf.gae(rewards, values, mask, lambda_=0.95, whitening="none")
    assert found[0, 0] == pytest.approx(0.300, abs=1e-3)
    assert gae(rewards, values, mask)[0, 0] == pytest.approx(0.429, abs=1e-3)
    assert "fault B21, reproduced on purpose" in openrlhf.gae.__doc__


def test_b24_a_failed_judge():
    rewards = np.array([1.0, np.nan, 0.0, 0.0])
    np.testing.assert_allclose(ms_swift.rloo(rewards, 4), rloo(np.array([1.0, 0, 0, 0]), 4))
    np.testing.assert_allclose(rloo(rewards, 4), [1.0, 0.0, -0.5, -0.5])
    assert "a reward that is None counts as 0" in ms_swift.rloo.__doc__
    parts = np.array([[1.0, np.nan], [np.nan, np.nan], [0.0, 1.0], [0.0, 0.0]])
    assert gdpo(parts, 4)[1] == 0.0


def test_b25_one_registry_gives_a_lone_response_two_things():
    lone = np.array([0.7])
    assert verl.rloo(lone, ["a"]).tolist() == [0.7]
    assert verl.rloo_vectorized(lone, ["a"]).tolist() == [0.0]
    assert verl.grpo(lone, ["a"]) == pytest.approx(0.6999993, abs=1e-6)


def test_b27_ours():
    for n in range(3, 12):
        assert not grpo(np.full(n, 0.1), n).any()
        assert not normalized(np.full(n, 0.1), n, scale="others").any()


def test_b32_ours():
    assert tunix.gae(np.ones((1, 1)), np.zeros((1, 1)), np.ones((1, 1), bool)).tolist() == [[0.0]]
    found = tunix.experimental_grpo(np.array([1.0, 0, 0, 0]), 4)[0], tunix.grpo(np.array([1.0, 0, 0, 0]), 4)[0]
    np.testing.assert_allclose(found, [1.732, 1.5], atol=1e-3)


def test_ours_at_the_same_places():
    flat, lone = np.full(4, 0.7), np.array([0.7])
    assert not pkpo(flat, 4, k=1).any()
    assert opmd(lone, ["a"]).tolist() == asymre(lone, ["a"]).tolist() == [0.0]
    assert trinity.opmd(lone, ["a"]).tolist() == trinity.asymre(lone, ["a"]).tolist() == [0.7]
    assert not reinforce_rej(np.full(3, 0.1), 3).any()
    for wrong in (psr, nsr, w_reinforce):
        with pytest.raises(ValueError, match="rewards"):
            wrong(np.array([0.5, 1.0]))
    assert mgpo(np.array([0.0, 0.0, 1.0, 1.0]), 2).tolist() == [0.0] * 4
    assert np.isfinite(luffy(np.array([1.0, 0.0]), ["a", "a"], np.zeros(2, bool))).all()
    with pytest.raises(ValueError, match="order is 5"):
        maxrl_of_order(np.array([1.0, 0.0]), 2, order=5)
    rewards, values = np.array([[0.0, 0.0, 1.0]]), np.array([[0.25, 0.5, 0.75]])
    mask = np.ones((1, 3), bool)
    assert turn_gae(rewards, values, mask, np.array([[0, 1, 2]]), lambda_=0.0).tolist() == [[0.25, 0.25, 0.25]]
    gone = np.array([[0.25, np.nan, 0.75]])
    assert not vineppo(rewards, gone, mask, np.array([[0, 1, 2]])).any()  # a row without a value is left out
