"""OpenRLHF's own experience maker, on its own experiences, with our estimators."""

import json
import sys
from math import sqrt
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("openrlhf")
import torch

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
            whole[place, : len(numbers)] = np.where(mask != 0, numbers.numpy(), 0.0)
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
@pytest.mark.parametrize("name", estimators.__all__)
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
    found = table(ours("rloo", samples(rewards), PENALTY))
    assert np.isfinite(found).all()
    assert not found[0].any()
    assert found[1:4].any(1).all()


def test_an_unscored_response_leaves_the_logged_deviation_of_its_group(ours, samples):
    rewards = [FAILED, 1.0, 0.0, 0.5] + [1.0, 0.0, 0.0, 0.0] * 2
    np.testing.assert_allclose(column(ours("rloo", samples(rewards)), "group_reward_std"), [0.5] * 12)


def test_gae_steps_over_what_a_tool_wrote(ours, theirs, samples):
    arguments = "--algo.advantage.gamma 0.9"
    expected, found = theirs("gae", samples(turns=2), arguments), ours("gae", samples(turns=2), arguments, whiten=True)
    assert np.abs(table(found) - table(expected)).max() > 1e-2


def test_the_logged_return_is_before_the_baseline(ours, theirs, samples):
    found = ours("rloo", samples(), PENALTY)
    expected = theirs("reinforce", samples(), "--algo.kl.init_coef 0")
    kl = column(found, "kl") * np.array([s.action_mask.sum().item() for s in samples()])
    np.testing.assert_allclose(column(found, "return"), column(expected, "return") - 0.3 * kl, atol=1e-5)


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


@pytest.fixture(autouse=True)
def users_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "users_own", SimpleNamespace(closer=closer, wrong=wrong))


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
    with pytest.raises(ValueError, match=r"wrong: returned shape \(12, 1\); advantages .* shape \(12,\) or \(12, "):
        ours("users_own:wrong", samples())
