"""OpenRLHF's own experience maker, on its own experiences, with our estimators."""

import json
import sys
from math import sqrt
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("openrlhf")
import torch
from ten import TEN

from advantages import discounted_returns, estimators, to_tokens
from advantages.adapters.openrlhf import Request
from advantages.core.definition import definition_of

FAILED = float("nan")


def command(name, options=None, *more):
    return ["--advantage", name, "--advantage-options", json.dumps(options or {}), *more]


@pytest.fixture
def ours(parse, install, roll):
    def run(name, samples, *arguments, options=None, whiten=False):
        install(Request(name, options or {}, whiten))
        more = ["--advantage-whiten"] if whiten else []
        return roll(parse(*arguments, advantage=command(name, options, *more)), samples)

    return run


@pytest.fixture
def theirs(parse, roll):
    def run(name, samples, *arguments):
        return roll(parse(f"--algo.advantage.estimator {name}", *arguments), samples)

    return run


def table(experiences, name="advantages"):
    """(N, T) in the order of the samples, zero where nothing is trained."""
    width = max(e.action_mask.shape[1] for e in experiences)
    whole = np.zeros((sum(len(e.index) for e in experiences), width))
    for e in experiences:
        for place, numbers, mask in zip(e.index, getattr(e, name), e.action_mask, strict=True):
            whole[place, : len(numbers)] = np.where(mask != 0, numbers.float().numpy(), 0.0)
    return whole


def column(experiences, name):
    whole = np.zeros(sum(len(e.index) for e in experiences))
    for e in experiences:
        whole[e.index] = e.info[name].numpy()
    return whole


def words(samples, models):
    """The vocabulary, formed from the samples in another way than the adapter's."""
    width = max(s.action_mask.shape[1] for s in samples)

    def padded(rows):
        return np.stack([np.pad(np.asarray(row, float), (0, width - len(row)), constant_values=np.nan) for row in rows])

    mask = padded([s.action_mask[0] for s in samples]) == 1
    token_logprobs = padded([models.actor(s.sequences[0, 1:]) for s in samples])
    rewards = np.array([s.rewards.item() for s in samples])
    token_rewards = np.zeros(mask.shape)
    for row, reward in enumerate(rewards):
        if mask[row].any():
            token_rewards[row, np.flatnonzero(mask[row])[-1]] = reward
    return {
        "rewards": rewards,
        "groups": [s.prompts[0] for s in samples],
        "logprobs": np.where(mask, token_logprobs, 0.0).sum(1),
        "lengths": mask.sum(1),
        "mask": mask,
        "valid": mask.any(1),
        "token_logprobs": token_logprobs,
        "ref_token_logprobs": padded([models.reference(s.sequences[0, 1:]) for s in samples]),
        "token_rewards": token_rewards,
        "values": padded([models.critic(s.sequences[0, 1:]) for s in samples]),
    }


def without_tokens(samples, row):
    """A prompt that fills the context leaves no trained token."""
    samples[row].action_mask.zero_()
    return samples


OPTIONS = {"lampo": {"temperature": 0.5, "reduction": "mean"}, "gdpo": {"components": ["right", "short"]}}


@pytest.mark.parametrize("arguments", ["", "--train.dynamic_batch_enable --rollout.max_tokens_per_gpu 30"])
@pytest.mark.parametrize("name", TEN)
def test_advantages_are_those_of_the_bare_call(name, arguments, ours, samples, models):
    options = OPTIONS.get(name, {})
    rewards = [0.5, FAILED, 1.5, -2.0, 3.0, 3.0, 3.0, 3.0, 0.0, 1.0, 0.25, 0.5]
    parts = {"right": np.array(rewards), "short": np.arange(12.0) % 5}
    drawn = without_tokens(samples(rewards, turns=2, **parts), row=10)
    batch = words(drawn, models)
    if name == "gdpo":
        batch["rewards"] = np.stack([parts["right"], parts["short"]], 1)
    experiences = ours(name, drawn, arguments, options=options)

    function = getattr(estimators, name)
    also = {"lambda_": 1.0} if name == "gae" else {}  # OpenRLHF's default
    expected = function(
        **{word: batch[word] for word in definition_of(function).inputs if word in batch}, **options, **also
    )
    expected = expected if expected.ndim == 2 else to_tokens(expected, batch["mask"])
    width = expected.shape[1]
    np.testing.assert_allclose(table(experiences)[:, :width], expected, atol=2e-5)
    assert not table(experiences)[:, width:].any()
    assert np.abs(expected).max() > 0.1
    assert not expected[10].any()
    if name != "gdpo":
        assert not expected[1].any()
    for e in experiences:
        assert e.advantages.dtype == e.returns.dtype == torch.float32
        assert e.advantages.shape == e.returns.shape == e.action_mask.shape
        assert not e.advantages[e.action_mask == 0].any()
        assert e.kl is None
    returns = table(experiences, "returns")[:, :width]
    np.testing.assert_allclose(
        returns, expected + np.where(batch["mask"], batch["values"], 0.0) if name == "gae" else expected, atol=2e-5
    )


# Where the formulas agree

PENALTY = "--algo.kl.init_coef 0.3"
CLIP = "--reward.clip_range -0.4 0.6"
LENGTHS = "--reward.overlong_buffer_len 3 --rollout.max_new_tokens 4 --reward.stop_properly_penalty_coef 0.5"


@pytest.mark.parametrize(
    "arguments", ["", PENALTY, f"{PENALTY} {CLIP}", f"{PENALTY} {LENGTHS}", f"{PENALTY} --algo.kl.estimator k3"]
)
@pytest.mark.parametrize(
    ("theirs_is", "ours_is", "options", "whiten"),
    [
        ("rloo", "rloo", {}, False),
        ("dr_grpo", "dr_grpo", {}, False),
        ("group_norm", "grpo", {"epsilon": 1e-9}, False),
        ("reinforce", "reinforce", {}, True),
        ("reinforce_baseline", "dr_grpo", {}, True),
        ("reinforce_baseline --algo.advantage.no_std_norm", "dr_grpo", {}, True),
        ("gae", "gae", {}, True),
        ("gae --algo.advantage.gamma 0.9 --algo.advantage.lambd 0.7", "gae", {}, True),
    ],
)  # fmt: skip
def test_openrlhf_computes_the_same(theirs_is, ours_is, options, whiten, arguments, ours, theirs, samples):
    estimator, _, flags = theirs_is.partition(" ")
    turns = 1 if estimator == "gae" else 2
    expected = theirs(estimator, samples(turns=turns), arguments, flags)
    found = ours(ours_is, samples(turns=turns), arguments, flags, options=options, whiten=whiten)
    np.testing.assert_allclose(table(found), table(expected), atol=1e-5)
    assert np.abs(table(found)).max() > 0.1
    if estimator == "gae":
        np.testing.assert_allclose(table(found, "returns"), table(expected, "returns"), atol=1e-5)
    for name in ("group_reward_std", "reward", "kl"):
        np.testing.assert_allclose(column(found, name), column(expected, name), atol=1e-6)


@pytest.mark.parametrize("arguments", ["", PENALTY, f"{PENALTY} {CLIP} --algo.advantage.gamma 0.9"])
def test_reinforce_plus_plus_is_their_reinforce_but_for_ddof(arguments, ours, theirs, samples):
    expected = theirs("reinforce", samples(), arguments)
    found = ours("reinforce_plus_plus", samples(), arguments)
    tokens = sum(e.action_mask.sum().item() for e in found)
    np.testing.assert_allclose(table(found), table(expected) * sqrt((tokens - 1) / tokens), atol=1e-5)


def test_reinforce_plus_plus_baseline_is_their_reinforce_baseline_but_for_ddof(ours, theirs, samples):
    expected = theirs("reinforce_baseline", samples(turns=2))
    found = ours("reinforce_plus_plus_baseline", samples(turns=2))
    tokens = sum(e.action_mask.sum().item() for e in found)
    np.testing.assert_allclose(table(found), table(expected) * sqrt((tokens - 1) / tokens), atol=1e-5)


SCALES = [1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("theirs_is", "ours_is"), [("reinforce", "reinforce"), ("reinforce_baseline", "dr_grpo"), ("gae", "gae")]
)
def test_whitening_is_theirs_at_every_scale_of_the_rewards(theirs_is, ours_is, scale, ours, theirs, samples, models):
    critic = models.critic
    models.critic = lambda tokens: scale * critic(tokens)
    rewards = scale * np.random.default_rng(1).normal(size=12)
    expected = table(theirs(theirs_is, samples(rewards)))
    np.testing.assert_allclose(table(ours(ours_is, samples(rewards), whiten=True)), expected, rtol=1e-4, atol=1e-5)
    deviation = expected[expected != 0].std()
    assert 0.8 < deviation < 1.2 if scale >= 1e-2 else deviation > 0.005  # the variance has a floor of 1e-8


# Where they differ, as the documentation says


def test_they_whiten_after_the_penalty_and_the_estimator_before(ours, samples, models):
    found = ours("reinforce_plus_plus_baseline", samples(), PENALTY)
    batch = words(samples(), models)
    white = estimators.reinforce_plus_plus_baseline(batch["rewards"], batch["groups"], batch["mask"])
    penalty = -0.3 * (batch["token_logprobs"] - batch["ref_token_logprobs"])
    expected = white + discounted_returns(np.where(batch["mask"], penalty, 0.0), batch["mask"])
    np.testing.assert_allclose(table(found), expected, atol=1e-5)


def test_a_group_of_equals_gets_zero_and_not_rounding_noise(ours, theirs, samples):
    equal, six = samples([0.6] * 12, per_prompt=6), "--rollout.n_samples_per_prompt 6"
    assert np.abs(table(theirs("group_norm", equal, six))).max() > 0.5
    assert not table(ours("grpo", samples([0.6] * 12, per_prompt=6), six, options={"epsilon": 1e-9})).any()


def test_an_unscored_response_stays_alone(ours, theirs, samples):
    rewards = [FAILED, 1.0, 0.0, 0.5] + [1.0, 0.0, 0.0, 0.0] * 2
    assert np.isnan(table(theirs("rloo", samples(rewards), PENALTY))[1:4]).any()
    whole = theirs("reinforce", samples(rewards))
    assert all(e.advantages.isnan().all() for e in whole)
    assert np.isnan(column(whole, "group_reward_std"))[:4].all()
    found = table(ours("rloo", samples(rewards), PENALTY))
    assert np.isfinite(found).all()
    assert not found[0].any()
    assert found[1:4].any(1).all()


def test_an_unscored_response_leaves_the_logged_deviation_of_its_group(ours, samples):
    rewards = [FAILED, 1.0, 0.0, 0.5] + [1.0, 0.0, 0.0, 0.0] * 2
    found = ours("rloo", samples(rewards))
    np.testing.assert_allclose(column(found, "group_reward_std"), [0.5] * 12)
    np.testing.assert_array_equal(column(found, "advantages/groups_informative"), [1.0] * 12)
    np.testing.assert_array_equal(column(found, "advantages/responses"), [12.0] * 12)


def test_a_response_without_tokens_is_no_sibling(ours, theirs, samples):
    rewards = [1.0, 0.0, 0.0, 0.0] * 3
    counted = table(theirs("dr_grpo", without_tokens(samples(rewards), row=8)))
    found = table(ours("dr_grpo", without_tokens(samples(rewards), row=8)))
    assert set(counted[9]) <= {0.0, -0.25}
    assert counted[9].any()
    assert not found[9:].any()


def test_numbers_on_masked_tokens_are_zero(ours, theirs, samples):
    def masked(experiences):
        return torch.cat([e.advantages[e.action_mask == 0] for e in experiences])

    expected, found = theirs("gae", samples(turns=2)), ours("gae", samples(turns=2), whiten=True)
    assert masked(expected).any()
    assert not masked(found).any()


def test_gae_steps_over_what_a_tool_wrote(ours, theirs, samples):
    arguments = "--algo.advantage.gamma 0.9"
    expected, found = theirs("gae", samples(turns=2), arguments), ours("gae", samples(turns=2), arguments, whiten=True)
    assert np.abs(table(found) - table(expected)).max() > 1e-2


def test_the_logged_return_is_before_the_baseline(ours, theirs, samples):
    found = ours("rloo", samples(), PENALTY)
    expected = theirs("reinforce", samples(), "--algo.kl.init_coef 0")
    kl = column(found, "kl") * np.array([s.action_mask.sum().item() for s in samples()])
    np.testing.assert_allclose(column(found, "return"), column(expected, "return") - 0.3 * kl, atol=1e-5)


def test_the_logged_return_leaves_out_the_penalty_of_what_a_tool_wrote(ours, theirs, samples, models):
    expected, found = theirs("reinforce", samples(turns=2), PENALTY), ours("reinforce", samples(turns=2), PENALTY)
    batch = words(samples(turns=2), models)
    kl = 0.3 * np.nan_to_num(batch["token_logprobs"] - batch["ref_token_logprobs"])
    np.testing.assert_allclose(
        column(found, "return"), batch["rewards"] - np.where(batch["mask"], kl, 0.0).sum(1), atol=1e-5
    )
    assert np.abs(column(found, "return") - column(expected, "return")).max() > 0.01


def test_the_logged_return_of_a_response_without_tokens_is_zero(ours, theirs, samples):
    drawn = [without_tokens(samples(), row=10) for _ in range(2)]
    assert column(theirs("reinforce", drawn[0]), "return")[10] != 0
    assert column(ours("reinforce", drawn[1]), "return")[10] == 0


def test_rewards_keep_their_digits_where_log_probabilities_are_short(ours, theirs, samples, models):
    actor = models.actor
    models.actor = lambda tokens: actor(tokens).bfloat16()
    rewards = np.linspace(0.0, 1.1, 12) + 1 / 3
    short, exact = theirs("dr_grpo", samples(rewards)), ours("dr_grpo", samples(rewards))
    expected = estimators.dr_grpo(rewards, np.repeat([0, 1, 2], 4))
    found = table(exact)
    np.testing.assert_allclose(found, np.where(found != 0, expected[:, None], 0.0), atol=1e-6)
    assert short[0].advantages.dtype == torch.bfloat16
    assert np.abs(table(short) - found).max() > 1e-4


@pytest.mark.parametrize(("theirs_is", "ours_is"), [("rloo", "rloo"), ("group_norm", "grpo")])
def test_small_differences_of_large_rewards_count(theirs_is, ours_is, ours, theirs, samples):
    rewards = np.float32(1e4) + np.float32(0.001) * np.arange(12, dtype=np.float32) ** 2
    exact = getattr(estimators, ours_is)(rewards.astype(float), np.repeat([0, 1, 2], 4))[:, None]
    errors = [
        np.abs(np.where(found != 0, found - exact, 0.0)).max()
        for found in (table(theirs(theirs_is, samples(rewards))), table(ours(ours_is, samples(rewards))))
    ]
    assert errors[1] < 1e-6 < 1e-4 < errors[0]


def test_equal_rewards_are_whitened_to_zero(ours, theirs, samples):
    equal, six = [0.6] * 6 + [0.1] * 6, "--rollout.n_samples_per_prompt 6"
    noise = np.abs(table(theirs("reinforce_baseline", samples(equal, per_prompt=6), six))).max()
    assert noise > 1e-5
    assert not table(ours("dr_grpo", samples(equal, per_prompt=6), six, whiten=True)).any()


def test_gamma_is_refused_where_they_set_it_to_one(theirs, ours, samples):
    theirs("rloo", samples(), "--algo.advantage.gamma 0.9")  # logs a warning
    with pytest.raises(SystemExit, match=r"advantage\.gamma is 0\.9, but rloo has no setting discount"):
        ours("rloo", samples(), "--algo.advantage.gamma 0.9")


# Batches that cannot be served


def test_responses_to_several_prompts_are_no_group(ours, samples):
    drawn = samples()
    del drawn[2]  # lost on the way
    with pytest.raises(
        ValueError, match=r"responses 0 to 3 of the rollout should answer one prompt .*'prompt 0' and 'prompt 1'"
    ):
        ours("grpo", [*drawn, drawn[-1]])


def test_every_response_must_have_every_component(ours, samples):
    drawn = samples(right=np.ones(12))
    del drawn[3].info["right"]
    with pytest.raises(ValueError, match="right is in extra_logs of 11 of 12 responses; return every component"):
        ours("gdpo", drawn, options={"components": ["right", "reward"]})


def closer(rewards, token_logprobs, ref_token_logprobs, values, mask):
    return rewards[:, None] + token_logprobs - 2 * ref_token_logprobs + 3 * values


def wrong(rewards):
    return rewards[:, None]


def knows(rewards, groups, valid):
    return torch.where(valid, rewards.nan_to_num(), 0.0)


def greedy(rewards, token_rewards, token_logprobs, values, lengths, groups, valid, mask):
    given = (rewards, token_rewards, token_logprobs, values, lengths, groups, valid, mask)
    result = rewards.nan_to_num()[:, None] + 0.0 * mask
    for x in given:
        x.zero_()
    return result


UNFIT = {
    "nan": (lambda rewards: rewards * torch.nan, ValueError, "advantages that are not finite"),
    "one_inf": (lambda rewards: rewards / (rewards - rewards[3]), ValueError, "advantages that are not finite"),
    "per_token": (lambda rewards, mask: (rewards / 0.0)[:, None] * mask, ValueError, "advantages that are not finite"),
    "in_numpy": (lambda rewards: rewards.numpy() * 2, TypeError, "numpy array of float32; .* must be a torch tensor"),
    "in_a_list": (lambda rewards: rewards.tolist(), TypeError, "returned a value of type list; .* a torch tensor"),
    "nothing": (lambda rewards: None, TypeError, "returned a value of type NoneType; .* must be a torch tensor"),
    "integers": (lambda rewards: rewards.long(), TypeError, "torch tensor of torch.int64; .* floating point numbers"),
    "one_number": (
        lambda rewards: rewards.sum(),
        ValueError,
        r"returned shape \(\); its advantages must have shape \(12,\)",
    ),
    "transposed": (lambda rewards, mask: mask.T * 1.0, ValueError, "returned shape .* must have shape"),
}


@pytest.fixture(autouse=True)
def users_own(monkeypatch):
    monkeypatch.setitem(
        sys.modules,
        "users_own",
        SimpleNamespace(closer=closer, wrong=wrong, knows=knows, greedy=greedy, **{k: v[0] for k, v in UNFIT.items()}),
    )


def test_every_word_about_tokens_reaches_a_users_own_function(ours, samples, models):
    found = ours("users_own:closer", samples(turns=2), "--algo.kl.init_coef 0.1 --algo.kl.use_loss")
    batch = words(samples(turns=2), models)
    expected = batch["rewards"][:, None] + batch["token_logprobs"] - 2 * batch["ref_token_logprobs"]
    expected = np.where(batch["mask"], expected + 3 * batch["values"], 0.0)
    np.testing.assert_allclose(table(found), expected, atol=1e-5)
    np.testing.assert_allclose(
        table(found, "returns"), expected + np.where(batch["mask"], batch["values"], 0), atol=1e-5
    )


def test_a_function_must_return_one_number_per_response_or_token(ours, samples):
    with pytest.raises(ValueError, match=r"wrong: returned shape \(12, 1\); its advantages .* shape \(12,\) or \(12, "):
        ours("users_own:wrong", samples())


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("name", UNFIT)
def test_what_would_spoil_the_training_is_refused(name, whiten, ours, samples):
    _, error, message = UNFIT[name]
    with pytest.raises(error, match=message):
        ours(f"users_own:{name}", samples(), whiten=whiten)


@pytest.mark.parametrize("rewards", [None, [0.5, FAILED, 1.5, -2.0] * 3])
def test_a_function_may_ask_which_rows_are_scored(rewards, ours, samples):
    found = table(ours("users_own:knows", samples(rewards)))
    given = np.array([s.rewards.item() for s in samples(rewards)])
    np.testing.assert_allclose(found.sum(1), np.nan_to_num(given) * (found != 0).sum(1), rtol=1e-5)
    assert (found != 0).any(1).tolist() == np.isfinite(given).tolist()


def test_a_function_cannot_write_into_openrlhfs_tensors(ours, samples):
    arguments = "--algo.kl.init_coef 0.1 --algo.kl.use_loss"
    found = ours("users_own:greedy", samples(turns=2), arguments)
    untouched = ours("users_own:closer", samples(turns=2), arguments)
    for e, other in zip(found, untouched, strict=True):
        for name in ("rewards", "action_mask", "action_log_probs", "base_action_log_probs", "values"):
            torch.testing.assert_close(getattr(e, name), getattr(other, name))
        torch.testing.assert_close(e.advantages, torch.where(e.action_mask != 0, e.rewards[:, None], 0.0))
        torch.testing.assert_close(e.info["group_reward_std"], other.info["group_reward_std"])
