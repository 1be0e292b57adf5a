"""Adapters of frameworks that cannot be installed here, on minimal hosts with their signatures."""

import dataclasses
import importlib
from argparse import Namespace

import numpy as np
import pytest

from advantages import grpo, lampo, rloo
from advantages.adapters.hooks import MovedHookError

torch = pytest.importorskip("torch")


# slime 0.3.1: slime/utils/types.py, slime/ray/rollout.py, slime/utils/ppo_utils.py


@dataclasses.dataclass
class Sample:
    group_index: int | None = None
    index: int | None = None
    rollout_id: int | None = None
    response_length: int = 0
    reward: float | dict | None = None
    loss_mask: list[int] | None = None
    rollout_log_probs: list[float] | None = None

    def get_reward_value(self, args):
        return self.reward if not args.reward_key else self.reward[args.reward_key]

    @property
    def effective_response_length(self):
        return sum(self.loss_mask) if self.loss_mask is not None else self.response_length


class RolloutManager:
    """Loads the hook by its path, calls it on all samples, and spreads what it gives over the tokens."""

    def __init__(self, args):
        self.args = args
        module, _, name = args.custom_reward_post_process_path.rpartition(".")
        self.custom_reward_post_process_func = getattr(importlib.import_module(module), name)

    def generate(self, samples):
        raw_rewards, rewards = self.custom_reward_post_process_func(self.args, samples)
        assert len(raw_rewards) == len(samples) == len(rewards)
        rewards = torch.tensor(rewards, dtype=torch.float32)
        kl = [torch.zeros(sample.response_length) for sample in samples]
        return raw_rewards, [torch.ones_like(kl[i]) * rewards[i] for i in range(len(rewards))]


def slime_arguments(**changed):
    return Namespace(
        **{
            "custom_reward_post_process_path": "advantages.adapters.slime.advantages_as_rewards",
            "custom_advantage_function_path": None,
            "advantage_estimator": "grpo",
            "rewards_normalization": True,
            "grpo_std_normalization": True,
            "reward_key": None,
        }
        | changed
    )


def slime_samples():
    """Two groups that do not stand in blocks; the third response has a tool's token in its middle."""
    return [
        Sample(0, 0, None, 2, 1.0, None, [-1.0, -2.0]),
        Sample(1, 1, None, 1, 0.0, None, [-1.5]),
        Sample(0, 2, None, 3, 0.0, [1, 0, 1], [-1.0, -50.0, -0.5]),
        Sample(1, 3, None, 2, 1.0, [1, 1], [-0.5, -0.5]),
        Sample(0, 4, None, 1, 0.5, None, [-4.0]),
    ]


def test_slime_trains_on_the_estimators_advantages():
    raw, advantages = RolloutManager(
        slime_arguments(advantage="lampo", advantage_options={"temperature": 0.5, "reduction": "mean"})
    ).generate(slime_samples())
    expected = lampo(
        np.array([1.0, 0.0, 0.0, 1.0, 0.5]),
        ["a", "b", "a", "b", "a"],
        np.array([-3.0, -1.5, -1.5, -1.0, -4.0]),
        lengths=np.array([2, 1, 2, 2, 1]),
        temperature=0.5,
        reduction="mean",
    )
    assert raw == [1.0, 0.0, 0.0, 1.0, 0.5]
    assert [len(x) for x in advantages] == [2, 1, 3, 2, 1]
    for tokens, one in zip(advantages, expected, strict=True):
        np.testing.assert_allclose(tokens, one, rtol=1e-6)


def test_slime_reads_one_of_several_rewards_and_leaves_out_samples_without_one():
    samples = slime_samples()
    for sample in samples:
        sample.reward = {"right": sample.reward, "short": 7.0}
    samples[4].reward["right"] = None
    raw, advantages = RolloutManager(slime_arguments(advantage="grpo", reward_key="right")).generate(samples)
    expected = grpo(np.array([1.0, 0.0, 0.0, 1.0, np.nan]), [0, 1, 0, 1, 0])
    assert raw[4] is None
    np.testing.assert_allclose([x[0] for x in advantages], expected, rtol=1e-6)


def test_slime_counts_a_rollout_of_several_samples_once():
    samples = slime_samples()
    samples[0].rollout_id = samples[2].rollout_id = 9
    _, advantages = RolloutManager(slime_arguments(advantage="rloo")).generate(samples)
    expected = rloo(np.array([1.0, 0.0, 0.0, 1.0, 0.5]), [0, 1, 0, 1, 0], trajectories=[9, 1, 9, 3, 4])
    assert expected[0] == expected[2] == -0.5
    np.testing.assert_allclose([x[0] for x in advantages], expected, rtol=1e-6)


def of_ones_own(rewards, groups, valid, *, power: float = 1.0):
    return torch.where(valid, rewards.nan_to_num() ** power, 0.0)


def not_finite(rewards):
    return rewards / 0.0


def too_few(rewards):
    return rewards[1:]


def test_slime_takes_a_function_of_ones_own_by_its_path():
    samples = slime_samples()
    samples[0].reward = None
    args = slime_arguments(advantage=f"{__name__}:of_ones_own", advantage_options={"power": 2.0})
    _, advantages = RolloutManager(args).generate(samples)
    assert [x[0].item() for x in advantages] == [0.0, 0.0, 0.0, 1.0, 0.25]


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({}, ValueError, "no estimator is named; put `advantage: lampo`"),
        ({"advantage": "lambo"}, ValueError, "estimator 'lambo': there is none"),
        ({"advantage": "gae"}, TypeError, r"gae needs token_rewards .* slime does not hand"),
        ({"advantage": "grpo", "advantage_options": {"speed": 1}}, TypeError, "grpo: takes no option 'speed'"),
        ({"advantage": "grpo", "advantage_options": {"epsilon": -1.0}}, ValueError, "epsilon"),
        ({"advantage": "gdpo"}, TypeError, "gdpo needs rewards by component, but slime hands their sum"),
        ({"advantage": "grpo", "advantage_estimator": "ppo"}, ValueError, "--advantage-estimator is ppo"),
        ({"advantage": "grpo", "rewards_normalization": False}, ValueError, "--disable-rewards-normalization is set"),
        ({"advantage": "grpo", "grpo_std_normalization": False}, ValueError, "--disable-grpo-std-normalization is set"),
        (
            {"advantage": "grpo", "custom_advantage_function_path": "a.b"},
            ValueError,
            "--custom-advantage-function-path is set",
        ),
        ({"advantage": f"{__name__}:not_finite"}, ValueError, "not_finite: returned advantages that are not finite"),
        (
            {"advantage": f"{__name__}:too_few"},
            ValueError,
            r"too_few: returned shape \(4,\); .* must have shape \(5,\)",
        ),
    ],
)
def test_what_slime_cannot_do_is_refused_in_a_sentence(changed, error, message):
    with pytest.raises(error, match=message):
        RolloutManager(slime_arguments(**changed)).generate(slime_samples())


def test_slime_needs_what_it_did_not_record():
    samples = slime_samples()
    samples[1].group_index = None
    with pytest.raises(ValueError, match="the sample at place 1 has no group_index"):
        RolloutManager(slime_arguments(advantage="grpo")).generate(samples)
    samples = slime_samples()
    for sample in samples:
        sample.rollout_log_probs = None
    with pytest.raises(TypeError, match="logprobs"):
        RolloutManager(slime_arguments(advantage="lampo")).generate(samples)
    samples = slime_samples()
    samples[3].loss_mask = [1]
    with pytest.raises(ValueError, match="sample 3 has 2 rollout_log_probs but 1 in loss_mask"):
        RolloutManager(slime_arguments(advantage="lampo")).generate(samples)


def test_a_moved_hook_of_slime_is_named():
    args = slime_arguments(advantage="grpo")
    del args.rewards_normalization
    with pytest.raises(MovedHookError, match="no rewards_normalization"):
        RolloutManager(args).generate(slime_samples())
    with pytest.raises(MovedHookError, match="no get_reward_value"):
        RolloutManager(slime_arguments(advantage="grpo")).generate([Namespace(reward=1.0)])
