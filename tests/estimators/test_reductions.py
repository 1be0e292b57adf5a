"""Estimators that are each other's limits and special cases, and objectives whose gradient they follow exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import advantages as adv
from advantages.lab.bandit import updates
from advantages.ops import group_count, group_mean, group_sum, outcome
from advantages.stages import unlikeliness_reward
from advantages.testing import strategies

few = settings(max_examples=10)


def cases(*words):
    return strategies.inputs(*words)


def verdicts(*words):
    return cases("rewards", "groups", *words).map(lambda case: {**case, "rewards": (case["rewards"] > 0) * 1.0})


def equal(found, expected, atol=1e-9):
    np.testing.assert_allclose(found, expected, atol=atol, rtol=1e-9)


def rows_of_mixed_groups(case):
    r, g = case["rewards"], case["groups"]
    return np.array([np.ptp(r[g == name]) > 0 for name in g], bool)


# The best of k


@few
@given(cases("rewards", "groups"))
def test_the_best_of_one_is_the_mean(case):
    n = group_count(**_x(case))
    equal(adv.pkpo(**case, k=1), adv.rloo(**case) / n)
    equal(adv.pkpo(**case, k=1, baseline="sloo"), adv.rloo(**case) / n)
    several = n > 1
    equal(adv.pkpo(**case, k=1, baseline="none"), np.where(several, case["rewards"] / n, 0.0))


def _x(case):
    return {"x": case["rewards"], "groups": case["groups"]}


@few
@given(strategies.inputs("rewards", n=12), st.sampled_from([2, 3, 4, 6]))
def test_the_best_of_the_whole_group_is_grpo_passk(case, n):
    equal(adv.pkpo(case["rewards"], n, k=n), adv.grpo_passk(case["rewards"], n))


@few
@given(strategies.inputs("rewards", n=12), st.sampled_from([(4, 2), (4, 3), (6, 4), (12, 5)]))
def test_pass_at_k_is_the_best_of_k_verdicts_normalised(case, sizes):
    n, k = sizes
    r = (case["rewards"] > 0) * 1.0
    raw = adv.pkpo(r, n, k=k, baseline="none") * n / k
    rho = group_mean(raw, np.repeat(np.arange(12 // n), n))
    sigma = np.sqrt(np.clip(rho * (1 - rho), 0, None))
    equal(adv.pass_at_k(r, n, k=k) * (sigma + 1e-6), np.where(sigma > 1e-9, raw - rho, 0.0), atol=1e-7)


POLICY, WORTH = np.array([0.2, 0.5, 0.3]), np.array([1.0, -0.5, 2.0])


def gradient(objective):
    """Of a function of the probabilities, by logit, by central differences."""
    logits, step = np.log(POLICY), 1e-5

    def at(logits):
        p = np.exp(logits) / np.exp(logits).sum()
        return objective(p)

    return np.array([(at(logits + step * e) - at(logits - step * e)) / (2 * step) for e in np.eye(3)])


def best_of(k):
    order = np.argsort(WORTH)

    def objective(p):
        below = np.cumsum(p[order])
        chances = below**k - np.concatenate([[0.0], below[:-1]]) ** k
        return chances @ WORTH[order]

    return objective


@pytest.mark.parametrize(("n", "k"), [(2, 1), (3, 2), (4, 2), (4, 3), (5, 3)])
@pytest.mark.parametrize("baseline", ["sloo-1", "sloo", "sloo as printed", "none"])
def test_pkpo_follows_the_gradient_of_the_best_of_k(n, k, baseline):
    found = updates(adv.pkpo, POLICY, WORTH, n, k=k, baseline=baseline).mean * n
    equal(found, gradient(best_of(k)), atol=1e-8)


def test_sloo_as_printed_pushes_equal_rewards():
    flat = np.full(4, 3.0)
    assert not adv.pkpo(flat, 4, k=2).any()
    assert not adv.pkpo(flat, 4, k=2, baseline="sloo").any()
    equal(adv.pkpo(flat, 4, k=2, baseline="sloo as printed"), 2 * 3.0 * (1 / 4 - 1 / 3))


def test_pkpo_in_one_large_group_is_the_listings_sum_over_subsets():
    r = np.random.default_rng(0).normal(size=300).round(1)
    found = adv.pkpo(r, 300, k=2)
    by_hand = [np.clip(r[i] - np.delete(r, i), 0, None).mean() * 2 / 300 for i in range(300)]
    equal(found, by_hand)


# Likelihood


@pytest.mark.parametrize(("n", "order"), [(2, 1), (3, 2), (3, 3), (4, 3), (5, 5)])
@pytest.mark.parametrize("baseline", ["others", "none"])
def test_maxrl_of_order_follows_the_series_of_the_log_likelihood(n, order, baseline):
    right = np.array([1.0, 0.0, 0.0])
    found = updates(adv.maxrl_of_order, POLICY, right, n, order=order, baseline=baseline).mean * n
    equal(found, gradient(lambda p: -sum((1 - p @ right) ** k / k for k in range(1, order + 1))), atol=1e-8)


@few
@given(verdicts())
def test_maxrl_of_order_one_is_reinforce_and_rloo_over_n(case):
    n = group_count(**_x(case))
    equal(adv.maxrl_of_order(**case, order=1), adv.rloo(**case) / n)
    found = adv.maxrl_of_order(**case, order=1, baseline="none")
    equal(found, np.where(n > 1, adv.reinforce(case["rewards"]) / n, 0.0))


@few
@given(verdicts())
def test_right_responses_gain_the_whole_likelihood_in_the_last_order(case):
    n, c = (group_sum(x, case["groups"]) for x in (np.ones_like(case["rewards"]), case["rewards"]))
    found = adv.maxrl_of_order(**case, order=max(2, int(n.max())))
    wins = (case["rewards"] == 1) & (n > 1)
    equal(found[wins], ((n - c) / np.maximum(c * (n - 1), 1))[wins])


@few
@given(verdicts())
def test_vr_cond_is_maxrl_over_n_where_one_is_right(case):
    n, c = group_count(**_x(case)), group_sum(case["rewards"], case["groups"])
    equal(np.where(c > 0, adv.vr_cond(**case), 0.0), adv.maxrl(**case) / n)


# Limits of a temperature


@few
@given(cases("rewards", "groups"))
def test_small_betas_are_centring(case):
    equal(adv.entropic(**case, beta=1e-7) / 1e-7, adv.rloo(**case), atol=1e-4)
    equal(adv.rs_grpo(**case, beta=1e-7), adv.dr_grpo(**case), atol=1e-4)
    equal(adv.opmd(**case, temperature=1e7), adv.dr_grpo(**case), atol=1e-4)
    equal(adv.opmd(**case, temperature=1e7, others=True), adv.rloo(**case), atol=1e-4)


@few
@given(cases("rewards", "groups"))
def test_large_betas_leave_the_best(case):
    cold = adv.opmd(**case, temperature=1e-9, others=True)
    lead = adv.grpo_passk(**case)
    equal(np.clip(cold, 0, None), lead, atol=1e-6)


def test_entropic_stays_finite_for_a_pair_and_reaches_its_divergence():
    pair = adv.entropic(np.array([1.0, 0.0]), 2)
    assert 5 < pair[0] < 10
    uncut = adv.entropic(np.array([1.0, 0.0]), 2, reachable=1.0, cap=float("inf"))
    assert uncut[0] > 1e9
    published = adv.entropic(np.array([1.0, 0.0]), 2, reachable=1.0, cap=1e12)
    assert published[0] == pytest.approx(1e12)
    p = (adv.entropic(np.array([1.0, 0.5, 0.0, 0.0]), 4) + 1) / 3  # odds, since p_i / (1 - p_i) = (A_i + 1) / 3
    p = p / (1 + p)
    assert (p * np.log(4 * p)).sum() == pytest.approx(np.log(2), abs=1e-6)
    equal(adv.entropic(np.array([9.0, 7.0, 7.5]), 3), adv.entropic(np.array([900.0, 700.0, 750.0]), 3), atol=1e-6)


# Baselines and scales


@few
@given(cases("rewards", "groups", "lengths"))
def test_opo_with_equal_lengths_is_dr_grpo(case):
    equal(
        adv.opo(**{**case, "lengths": np.full_like(case["lengths"], 7)}), adv.dr_grpo(case["rewards"], case["groups"])
    )


@few
@given(cases("rewards", "groups"))
def test_the_family_meets_where_its_settings_meet(case):
    r, g = case["rewards"], case["groups"]
    ones = np.ones(len(r))
    equal(adv.asymre(r, g, shift=0.0), adv.dr_grpo(r, g))
    equal(adv.luffy(r, g, ones > 0), adv.grpo(r, g))
    equal(adv.hierarchical_grpo(r, g, np.zeros(len(r), int)), adv.dr_grpo(r, g))
    equal(adv.length_penalized_grpo(r, g, ones * 9, weight=0.0), adv.dr_grpo(r, g))
    equal(adv.length_penalized_grpo(r, g, ones * 9), adv.dr_grpo(r, g))
    equal(adv.unlikeliness(r, g, -ones, ones, penalty=0.0), adv.grpo(r, g))
    equal(adv.ds_grpo(r, g, -ones, right=0.0, wrong=0.0), adv.grpo(r, g, ddof=0))
    equal(adv.baselined(r, group_mean(r, g)), r - group_mean(r, g))
    equal(adv.reinforce_rej(r, g), np.where(rows_of_mixed_groups(case), adv.reinforce(r), 0.0))
    equal(adv.raft(r), np.maximum(adv.reinforce(r), 0.0))


@few
@given(cases("rewards", "groups"))
def test_centred_is_every_estimator_that_its_settings_say(case):
    equal(adv.normalized(**case, center="group", scale="group"), adv.grpo(**case))
    equal(adv.normalized(**case, center="group", scale="none"), adv.dr_grpo(**case))
    equal(adv.normalized(**case, center="others", scale="none"), adv.rloo(**case))
    equal(adv.normalized(**case, center="others", scale="about_others", epsilon=0.0), adv.grpo(**case, epsilon=0.0))
    equal(adv.normalized(**case, center="none", scale="none"), adv.reinforce(case["rewards"]))
    equal(adv.normalized(**case, center="batch", scale="none"), adv.flash_reinforce(case["rewards"]))


@few
@given(cases("rewards"))
def test_one_group_is_the_batch(case):
    r, g = case["rewards"], np.zeros(len(case["rewards"]), int)
    equal(adv.normalized(r, g, center="batch", scale="batch"), adv.grpo(r, g))
    equal(adv.normalized(r, g, scale="batch"), adv.grpo(r, g))


@few
@given(verdicts())
def test_verdict_estimators_meet_grpo(case):
    r, g = case["rewards"], case["groups"]
    c = group_sum(r, g)
    n = group_count(r, g)
    equal(adv.reinforce_ada(r, c, n - c), adv.grpo(r, g), atol=1e-5)
    equal(adv.mgpo(r, g, strength=0.0), adv.grpo(r, g))
    equal(adv.grpo_lead(r, g, least=1.0, most=1.0), adv.grpo(r, g))
    equal(adv.w_reinforce(r, positive=0.0), adv.nsr(r))
    equal(adv.psr(r) + adv.nsr(r), 2 * r - 1)
    one_group = np.zeros(len(r), int)
    equal(adv.bnpo(r, one_group), adv.dr_grpo(r, one_group))
    equal(adv.one_sided_grpo(r, g) * (np.sqrt(c / n) + 1e-6), adv.dr_grpo(r, g))


@few
@given(verdicts())
def test_qae_learns_from_one_side(case):
    found = adv.qae(**case)
    p = group_mean(*_x(case).values())
    assert not found[(p <= 0.6) & (case["rewards"] == 0)].any()
    assert not found[(p > 0.6) & (case["rewards"] == 1)].any()


def test_bnpo_lets_prompts_of_one_rate_pass():
    r = np.tile([1.0, 0.0, 0.0, 0.0], 3)  # published: variance 0, and NaN everywhere
    equal(adv.bnpo(r, 4), adv.dr_grpo(r, 4))


@few
@given(cases("rewards", "groups"))
def test_dgpo_pushes_every_live_group_alike(case):
    total = group_sum(np.abs(adv.dgpo(**case, epsilon=0.0)), case["groups"])
    equal(total, np.where(rows_of_mixed_groups(case), group_count(**_x(case)), 0.0))


@few
@given(cases("rewards", "groups"))
def test_gopo_sees_the_order_only(case):
    stretched = {**case, "rewards": np.exp(case["rewards"] / 4)}
    equal(adv.gopo(**stretched), adv.gopo(**case))


@few
@given(cases("rewards", "groups"))
def test_gpg_is_dr_grpo_times_a_factor_of_the_batch(case):
    r = case["rewards"]
    equal(adv.gpg(**case), adv.dr_grpo(**case) * len(r) / max(1, np.count_nonzero(r)))


def test_ngrpo_is_grpo_with_one_more_row():
    r = np.array([0.0, 1.0, 0.25])
    equal(adv.ngrpo(r, 3), adv.grpo(np.append(r, 1.0), 4)[:3])
    assert not adv.ngrpo(np.ones(4), 4).any()


def test_a_role_is_not_compared_with_another():
    r = np.array([1.0, 0.0, 9.0, 5.0, 7.0])
    found = adv.hierarchical_grpo(r, [0, 0, 0, 0, 1], [0, 0, 1, 1, 0])
    assert found.tolist() == [0.5, -0.5, 2.0, -2.0, 0.0]


def test_luffy_without_a_response_of_its_own_has_no_baseline():
    off = np.array([False, False, True, False])
    found = adv.luffy(np.array([1.0, 0.0, 1.0, 0.0]), [0, 0, 1, 1], off)
    assert found.tolist() == [0.0, 0.0, 0.0, -1.0]
    one_sided = adv.luffy(np.array([1.0, 0.0, 1.0, 0.0]), [0, 0, 1, 1], off, one_sided=True)
    assert not one_sided.any()


@few
@given(cases("rewards", "groups", "logprobs", "lengths"))
def test_the_unlikeliness_reward_before_grpo_is_unlikeliness(case):
    staged = adv.compose(unlikeliness_reward(penalty=0.5), adv.grpo)
    equal(staged(**case), adv.unlikeliness(**case, penalty=0.5))


def test_a_negative_mean_never_turns_a_length_penalty_into_a_bonus():
    found = adv.length_penalized_grpo(np.array([-1.0, -1.0]), 2, np.array([100, 1]), equals="push")
    assert found.tolist() == [0.0, 0.0]  # published: .124 for the long one


# Tokens


@few
@given(cases("rewards", "groups", "mask", "token_logprobs", "teacher_token_logprobs", "token_entropies", "planning"))
def test_shaped_tokens_without_shape_are_grpo(case):
    r, g, mask = (case[word] for word in ("rewards", "groups", "mask"))
    s, t, h, plan = (case[w] for w in ("token_logprobs", "teacher_token_logprobs", "token_entropies", "planning"))
    plain = adv.to_tokens(adv.grpo(r, g), mask)
    equal(adv.hicra(r, g, plan, mask, alpha=0.0), plain)
    equal(adv.entropy_shaped_grpo(r, g, h, mask, alpha=0.0), plain)
    equal(adv.rlsd(r, g, s, t, mask, share=0.0), plain)
    equal(adv.rlsd(r, g, s, s, mask), plain)
    equal(adv.delightful(r, g, s, mask, temperature=float("inf")), plain / 2)


@few
@given(cases("rewards", "mask", "token_logprobs", "teacher_token_logprobs"))
def test_distillation_meets_where_its_settings_meet(case):
    plain = adv.on_policy_distillation(**case)
    equal(adv.minillm(**case, discount=0.0), plain)
    equal(adv.iw_opd(**case, lead=0.0), plain)
    alike = {**case, "teacher_token_logprobs": case["token_logprobs"]}
    for estimator in (adv.on_policy_distillation, adv.minillm, adv.iw_opd, adv.jsd):
        equal(estimator(**alike), adv.to_tokens(case["rewards"], case["mask"]))
    near = adv.jsd(**case, beta=0.01, coefficient=100.0)  # for a small beta, beta times the divergence itself
    gap = np.where(case["mask"], case["teacher_token_logprobs"] - case["token_logprobs"], 0.0)
    small = np.abs(gap) < 0.2
    reward = np.where(case["mask"], case["rewards"][:, None], 0.0)
    equal(np.where(small, near, 0.0), np.where(small, reward - gap + np.expm1(gap), 0.0), atol=0.05)


@few
@given(cases("token_rewards", "baselines", "mask"))
def test_remax_starts_with_the_outcome_above_the_baseline(case):
    found, mask = adv.remax(**case), case["mask"]
    above = adv.baselined(outcome(case["token_rewards"], mask), case["baselines"])
    for row, on in enumerate(mask):
        if on.any():
            assert found[row, np.flatnonzero(on)[0]] == pytest.approx(above[row], abs=1e-9)


def test_gtpo_apart_hides_the_verdict_and_together_does_not():
    r, h = np.array([1.0, 1.0, 0.0, 0.0]), np.array([[3.0, 1.0], [1.0, 3.0], [4.0, 1.0], [1.0, 4.0]])
    apart, together = (adv.gtpo(r, 4, h, np.ones((4, 2), bool), normalize=how) for how in ("apart", "together"))
    assert apart[:2].mean() == pytest.approx(0.0) == apart[2:].mean()
    assert together[:2].min() > 0 > together[2:].max()


# What is refused


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda r: adv.maxrl(r, 2), r"maxrl: rewards of rows 1 include -1; each must be a number of at least 0"),
        (lambda r: adv.one_sided_grpo(r, 2), "one_sided_grpo: rewards of rows 1"),
        (lambda r: adv.bnpo(r, 2), "bnpo: rewards of rows 1 include -1; each must be a number between 0 and 1"),
        (
            lambda r: adv.pass_at_k(r / 2, 2),
            r"pass_at_k: rewards of rows 0, 1 include 0.5; each must be a whole number",
        ),
        (lambda r: adv.psr(r), "psr: rewards of rows 1 include -1"),
        (lambda r: adv.pkpo(r, 2, k=3), "pkpo: k is 3 but the largest group has 2 responses; pass at most that"),
        (lambda r: adv.pkpo(r, ["a", "a"], k=4), "pkpo: k is 4 but the largest group has 2"),
        (lambda r: adv.pass_at_k(abs(r), 2, k=3), "pass_at_k: k is 3 but the largest group has 2"),
        (lambda r: adv.maxrl_of_order(abs(r), 2, order=9), "maxrl_of_order: order is 9 but the largest group has 2"),
        (lambda r: adv.pkpo(r, 2, k=0), "pkpo: k is 0; pass a whole number of at least 1"),
    ],
)
@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_bad_input_is_a_sentence(call, sentence, library):
    rewards = np.array([1.0, -1.0])
    if library != "numpy":
        rewards = pytest.importorskip("jax.numpy" if library == "jax" else "torch").asarray(rewards)
    with pytest.raises(ValueError, match=sentence):
        call(rewards)


def test_what_does_not_count_may_be_out_of_range():
    found = adv.maxrl(np.array([1.0, 0.0, -5.0, np.nan]), 4, valid=np.array([True, True, False, True]))
    assert found.tolist() == [1.0, -1.0, 0.0, 0.0]
