"""Every framework's functions: they are estimators, say what they are, and give the numbers worked out by hand."""

import pickle

import numpy as np
import pytest

from advantages import conventions, estimators, grpo, normalized, reinforce
from advantages.conventions import (
    areal,
    art,
    ms_swift,
    nemo_rl,
    open_instruct,
    openrlhf,
    prime_rl,
    rllm,
    roll,
    slime,
    tinker,
    torchrl,
    trl,
    verl,
)
from advantages.conventions.convention import STAGES, Framework
from advantages.core.definition import definition_of
from advantages.host import resolve
from advantages.testing import CHECKS, Subject, verdict_on

FUNCTIONS = {
    f"{name}.{function}": getattr(getattr(conventions, name), function)
    for name in conventions.__all__
    for function in getattr(conventions, name).__all__
}
MODULES = [getattr(conventions, name) for name in conventions.__all__]
NAN = float("nan")


@pytest.mark.parametrize("module", MODULES, ids=conventions.__all__)
def test_a_framework_says_its_version_and_whether_it_was_run(module):
    said = {True: "run beside it in the tests", False: "from source, not executed"}
    first = module.__doc__.splitlines()[0]
    assert module.VERSION in first
    assert said[module.FRAMEWORK.executed] in first
    assert set(module.DEVIATIONS) <= set(module.__all__)
    for function in map(module.__dict__.get, module.__all__):
        assert said[function.__convention__.executed] in function.__doc__
        for setting, (value, reason) in module.DEVIATIONS.get(function.__name__, {}).items():
            assert f"{setting} = {value!r}: {reason}." in function.__doc__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_convention_is_an_estimator_with_the_frameworks_settings(name):
    function = FUNCTIONS[name]
    module = f"advantages.conventions.{name.partition('.')[0]}"
    assert resolve(f"{module}:{function.__name__}") is function
    assert pickle.loads(pickle.dumps(function)) is function
    d, base = definition_of(function), definition_of(function.__convention__.base)
    assert (d.name, d.needed, d.unit, d.lead) == (name, base.needed, base.unit, base.lead)
    for setting, (value, _) in function.__convention__.deviations.items():
        assert d.settings[setting] == value
        ours = STAGES[setting][2] if setting in STAGES else base.settings[setting]
        assert value != ours, f"{setting} is our default: no deviation"


def test_settings_that_are_not_said_are_ours():
    function = verl.grpo
    for setting, value in definition_of(grpo).settings.items():
        if setting not in verl.DEVIATIONS["grpo"]:
            assert definition_of(function).settings[setting] == value


def test_a_deviation_that_is_no_setting_is_refused():
    with pytest.raises(TypeError, match=r"x.grpo: deviates in 'epsilo', .*; did you mean 'epsilon'\?"):
        Framework("x", "1", {"grpo": {"epsilo": (0.0, "none")}}, executed=False)("grpo", grpo)


def test_errors_name_the_convention():
    with pytest.raises(TypeError, match=r"verl.grpo: takes no 'epsilom'"):
        verl.grpo(np.ones(2), ["a", "a"], epsilom=1.0)
    with pytest.raises(ValueError, match=r"verl.gae: whitening is 'all'"):
        verl.gae(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)), whitening="all")
    with pytest.raises(AttributeError, match=r"no framework 'openrhlf'; .*; did you mean 'openrlhf'\?"):
        conventions.openrhlf  # noqa: B018


def test_a_setting_can_be_taken_back():
    rewards, groups = np.array([1.0, 0.0, 3.0]), ["a", "a", "b"]
    np.testing.assert_array_equal(verl.grpo(rewards, groups, singleton="zero"), grpo(rewards, groups))
    failed = np.array([1.0, NAN, 0.0])
    np.testing.assert_array_equal(ms_swift.grpo(failed, 3, unscored="left_out", epsilon=1e-6), grpo(failed, 3))
    assert np.isnan(failed[1])


@pytest.mark.parametrize(
    ("name", "center", "scale"),
    [
        ("grpo", "group", "group"),
        ("dr_grpo", "group", "none"),
        ("rloo", "others", "none"),
        ("reinforce", "none", "none"),
    ],
)
def test_normalized_has_the_others_as_settings(name, center, scale):
    rng = np.random.default_rng(0)
    for _ in range(50):
        rewards = np.where(rng.random(12) < 0.1, NAN, rng.integers(0, 3, 12) / 2)
        groups = rng.integers(0, 4, 12)
        base = getattr(estimators, name)
        expected = base(rewards) if base is reinforce else base(rewards, groups)
        np.testing.assert_allclose(normalized(rewards, groups, center=center, scale=scale), expected, atol=1e-12)


# From source, not executed: worked by hand from the formulas.

WINNER = np.array([1.0, 0.0, 0.0, 0.0])
TWO = np.array([3.0, 1.0, 5.0, 3.0])
PAIRS = ["a", "a", "b", "b"]


def close(found, expected, **options):
    np.testing.assert_allclose(found, expected, **{"rtol": 1e-5, "atol": 1e-9} | options)


def test_nemo_rl_divides_by_the_deviation_of_the_others_where_there_is_one():
    # The winner's others are equal: centred on 0, not divided. A loser's others are 1, 0, 0: mean 1/3, std 0.57735.
    close(nemo_rl.grpo(WINNER, 4), [1.0] + [-1 / 3 / (np.sqrt(1 / 3) + 1e-6)] * 3)
    close(nemo_rl.grpo(np.array([1.0] + [0.01] * 31), 32)[0], 0.99)
    close(nemo_rl.group_grpo(WINNER, 4), [1.5, -0.5, -0.5, -0.5])
    close(nemo_rl.rloo(WINNER, 4), [1, -1 / 3, -1 / 3, -1 / 3])
    assert nemo_rl.grpo(np.array([0.7]), ["a"]).tolist() == [0.0]


def test_nemo_rls_gdpo_has_the_others_for_a_baseline():
    # Right: the winner is 1 above equals, undivided; a loser -1/2 over a deviation of 0.70711. Short: the loner is 1.
    parts = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    loser = -0.5 / (np.sqrt(0.5) + 1e-6)
    total = np.array([1 + 2 * loser, 3 * loser, loser + 2, 0.0])
    close(nemo_rl.gdpo(parts, ["a", "a", "a", "b"], weights=[1.0, 2.0]), (total - total.mean()) / total.std(ddof=1))
    assert nemo_rl.gdpo(np.ones((2, 2)), 2).tolist() == [0.0, 0.0]


def test_nemo_rls_tokens_are_whitened():
    mask = np.array([[True, True, False], [True, True, True]])
    values, rewards = np.full((2, 3), 0.5), np.array([[0.0, 1.0, 7.0], [0.0, 0.0, 0.0]])

    def white(x, ddof):
        return np.where(mask, (x - x[mask].mean()) / x[mask].std(ddof=ddof), 0.0)

    # Five tokens: deltas 0 and 0.5 for the first response, 0, 0 and -0.5 for the second.
    decayed = np.array([[0.5 * 0.95, 0.5, 0.0], [-0.5 * 0.95**2, -0.5 * 0.95, -0.5]])
    close(nemo_rl.gae(rewards, values, mask), white(decayed, 1))
    # Lambda 1 - 1 / (2/3 L): 1/4 for two tokens, 1/2 for three.
    decayed = np.array([[0.5 / 4, 0.5, 0.0], [-0.5 / 4, -0.5 / 2, -0.5]])
    close(nemo_rl.vapo(rewards, values, mask, alpha=2 / 3), white(decayed, 1))
    above = np.array([[0.5], [-0.5]]) * np.ones((2, 3))
    close(nemo_rl.reinforce_plus_plus(np.array([1.0, 0.0]), 2, mask), white(above, 0))


def test_a_token_pays_for_its_own_divergence_before_whitening():
    mask = np.array([[True, True, False], [True, True, True]])
    rewards, logprobs = np.array([1.0, 0.0]), np.array([[-1.0, -0.5, -9.0], [-0.2, -2.0, -1.0]])
    reference = np.array([[-1.5, -0.5, 0.0], [-0.2, -1.0, -3.0]])
    ratio = reference - logprobs
    k1, k3 = -ratio, np.exp(ratio) - 1 - ratio

    def white(x, ddof):
        return np.where(mask, (x - x[mask].mean()) / x[mask].std(ddof=ddof), 0.0)

    above = np.array([[0.5], [-0.5]])
    found = nemo_rl.reinforce_plus_plus_with_kl(rewards, 2, mask, logprobs, reference)
    close(found, white(above - 0.01 * k3, 0))
    found = slime.reinforce_plus_plus_baseline_with_kl(rewards, 2, mask, logprobs, reference, beta=0.3)
    close(found, white(above - 0.3 * k1, 1))
    close(nemo_rl.normalized_raw_reward(rewards, mask), white(np.array([[1.0], [0.0]]) * mask, 0))
    without = nemo_rl.reinforce_plus_plus_with_kl(rewards, 2, mask, logprobs, reference, beta=0.0)
    close(without, nemo_rl.reinforce_plus_plus(rewards, 2, mask))


def test_rolls_steps_of_agents():
    # Rollouts a of one step and b of two, of one task: returns 1, 0 and 4; sums 1, 4 and 4, whose mean over rows is 3.
    rewards, rollouts, task = np.array([1.0, 0.0, 4.0]), ["a", "b", "b"], ["task"] * 3
    states = ["start", "start", "door"]
    found = roll.gigpo(rewards, task, states, trajectories=rollouts, discount=0.5)
    close(found, [-2 - 0.5, 1 + 0.5, 1])
    close(roll.gigpo(rewards, task, states, trajectories=rollouts, weight="rollouts", discount=0.5), [-2, 2, 1.5])
    close(roll.step_reinforce(rewards, task, trajectories=rollouts, discount=0.5), np.array([1, 2, 4]) - 7 / 3)
    scaled = roll.step_reinforce(rewards, task, trajectories=rollouts, discount=0.5, scale=True)
    close(scaled, (np.array([1, 2, 4]) - 7 / 3) / (np.sqrt(7 / 3) + 1e-6))


def test_verls_gdpo_counts_a_response_as_often_as_it_has_tokens():
    parts, mask = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[True, True, True], [True, False, False]])
    found = verl.gdpo(parts, ["a", "a"], mask)  # numbers 1, 1, 1 and -1: mean 1/2, deviation 1
    close(found, [[0.5, 0.5, 0.5], [-1.5, 0.0, 0.0]])
    long = verl.gdpo(parts, ["a", "a"], mask, whitening="population")
    close(long, found * np.sqrt(4 / 3))


def test_areal_has_five_epsilons_and_a_deviation_about_the_others():
    close(areal.grpo(TWO, PAIRS), np.array([1, -1, 1, -1]) / (np.sqrt(2) + 1e-5))
    close(areal.leave_one_out_grpo(TWO, PAIRS), np.array([2, -2, 2, -2]) / (2 * np.sqrt(2) + 1e-5))
    close(areal.leave_one_out_grpo(np.array([0.7]), ["a"]), [0.7], rtol=2e-5)
    assert areal.rloo(np.array([0.7]), ["a"]).tolist() == [0.7]
    close(areal.batch(TWO, PAIRS), np.array([0, -2, 2, 0]) / (np.sqrt(8 / 3) + 1e-5))
    close(areal.lite_ppo(TWO, PAIRS), np.array([1, -1, 1, -1]) / (np.sqrt(8 / 3) + 1e-5))
    assert areal.batch(np.full(3, 0.7), ["a", "b", "c"]).tolist() == [0.0] * 3


def test_rolls_means_and_deviations():
    close(roll.lite_ppo(TWO, PAIRS), np.array([1, -1, 1, -1]) / (np.sqrt(8 / 3) + 1e-6))
    assert roll.identity(TWO).tolist() == TWO.tolist()
    close(roll.batch(TWO, PAIRS, center="none"), TWO / (np.sqrt(8 / 3) + 1e-6))
    close(roll.batch(TWO, PAIRS), np.array([0, -2, 2, 0]) / (np.sqrt(8 / 3) + 1e-6))


def test_ms_swifts_reinforce_plus_plus_divides_by_the_deviation_of_what_is_centred():
    close(ms_swift.reinforce_plus_plus(TWO, PAIRS), np.array([1, -1, 1, -1]) / (np.sqrt(4 / 3) + 1e-4))
    close(ms_swift.grpo(WINNER, 4), np.array([0.75, -0.25, -0.25, -0.25]) / (0.5 + 1e-4))
    close(ms_swift.grpo(np.array([1.0, NAN, 0.0, 0.0]), 4), ms_swift.grpo(WINNER, 4))


def test_centring_alone():
    for function in (prime_rl.grpo, tinker.grpo, open_instruct.centered, slime.dr_grpo):
        assert function(WINNER, 4).tolist() == [0.75, -0.25, -0.25, -0.25]


def test_populations_deviations():
    close(open_instruct.standard(WINNER, 4), [np.sqrt(3), *[-1 / np.sqrt(3)] * 3])
    close(art.grpo(WINNER, 4), np.array([0.75, -0.25, -0.25, -0.25]) / (np.sqrt(3 / 16) + 1e-6))
    close(art.grpo_on_tinker(WINNER, 4), [1.5, -0.5, -0.5, -0.5], rtol=1e-12)
    close(torchrl.grpo(WINNER, 4), [1.5, -0.5, -0.5, -0.5], rtol=1e-12)
    close(rllm.prpo(WINNER, ["a", "b", "c", "d"]), np.array([0.75, -0.25, -0.25, -0.25]) / (np.sqrt(3 / 16) + 1e-6))


def test_flash_reinforce_has_the_batch_for_a_baseline():
    assert openrlhf.flash_reinforce(WINNER, ["a", "b", "c", "d"]).tolist() == [0.75, -0.25, -0.25, -0.25]


def test_trl_async_and_batch():
    close(trl.async_grpo(WINNER, 4)[0], 1.732, rtol=1e-4)
    close(trl.grpo(WINNER, 4)[0], 1.4997, rtol=1e-4)
    close(trl.batch_grpo(TWO, PAIRS), np.array([1, -1, 1, -1]) / (np.sqrt(8 / 3) + 1e-4))


# The kit: what it holds of each convention. Its own estimators are checked in full elsewhere; here, what changes.

CHECKED = ["agrees_with_its_spec", "leaves_its_inputs_alone", "keeps_the_dtype", "never_reads_masked_entries"]
by_name = {check.name: check for check in CHECKS}


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if f.__convention__.deviations])
def test_the_kit_takes_it(name):
    function = FUNCTIONS[name]
    singleton = definition_of(function).settings.get("singleton", "zero")
    subject = Subject(function, singleton=singleton, libraries=())
    for check in CHECKED:
        assert verdict_on(subject, by_name[check], examples=5).outcome in ("holds", "does not apply"), check


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_other_libraries(library):
    xp = pytest.importorskip(library)
    made = xp.asarray
    rng = np.random.default_rng(0)
    rewards = np.where(rng.random(12) < 0.2, NAN, rng.normal(size=12)).astype(np.float32)
    groups = np.repeat(np.arange(4), 3)
    token_rewards, values = rng.normal(size=(2, 4, 5)).astype(np.float32)
    mask = rng.random((4, 5)) < 0.7
    for function in (nemo_rl.grpo, areal.batch, ms_swift.reinforce_plus_plus, verl.grpo):
        close(function(made(rewards), made(groups)), function(rewards, groups), atol=1e-5)
    for function in (openrlhf.gae, verl.gae, torchrl.gae):
        found = function(made(token_rewards), made(values), made(mask))
        close(found, function(token_rewards, values, mask), atol=1e-5)


@pytest.mark.parametrize("function", [verl.grpo, trl.grpo, verl.rloo])
def test_it_keeps_what_it_promises(function):
    singleton = definition_of(function).settings["singleton"]
    subject = Subject(function, singleton=singleton, libraries=())
    for check in CHECKS:
        if check.library is None:
            found = verdict_on(subject, check, examples=5)
            assert found.outcome in ("holds", "does not apply"), found


def openrlhf_gae_at_095(token_rewards, values, mask):
    """At OpenRLHF's defaults, of no discount at all, steps cost nothing."""
    return openrlhf.gae(token_rewards, values, mask, lambda_=0.95, whitening="none")


@pytest.mark.parametrize(
    ("function", "check"),
    [
        (verl.gae, "counts_rewards_on_masked_tokens"),
        (openrlhf_gae_at_095, "steps_over_observation_tokens"),
        (ms_swift.grpo, "leaves_out_unscored_rows"),
    ],
)
def test_the_kit_sees_a_fault_that_is_reproduced_on_purpose(function, check):
    assert verdict_on(Subject(function, libraries=()), by_name[check], examples=50).outcome == "fails"


def test_a_lone_response_that_keeps_its_reward_breaks_promises():
    assert definition_of(trl.grpo).promises == definition_of(grpo).promises
    assert not definition_of(verl.grpo).promises.zero_sum
    assert definition_of(verl.rloo).promises.scale == "equivariant"
    assert definition_of(verl.gae).promises.spans_batch
