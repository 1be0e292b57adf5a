"""Adapters of frameworks that cannot be installed here, on minimal hosts with their signatures."""

import dataclasses
import importlib
import pickle
import sys
from argparse import Namespace
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

from advantages import gae, grpo, lampo, reinforce_plus_plus, rloo
from advantages.adapters.contract import MovedHookError

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
        ({"advantage": "lambo"}, ValueError, "advantage is 'lambo'"),
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
        ({"advantage": f"{__name__}:too_few"}, ValueError, r"too_few: returned shape \(4,\); slime takes .* \(5,\)"),
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


# SkyRL 0.3.0: skyrl/backends/skyrl_train/utils/ppo_utils.py, skyrl/train/trainer.py


class AdvantageEstimatorRegistry:
    _functions: ClassVar = {}

    @classmethod
    def register(cls, name, func):
        if name in cls._functions:
            raise ValueError(f"advantage estimator '{name}' already registered")
        cls._functions[name] = pickle.dumps(func)  # SkyRL sends it to an actor of Ray

    @classmethod
    def get(cls, name):
        return pickle.loads(cls._functions[name])


class Batch(dict):
    metadata: dict


class RayPPOTrainer:
    def __init__(self, **algorithm):
        step_wise = algorithm.pop("step_wise_trajectories", False)
        defaults = {"gamma": 1.0, "lambd": 1.0, "grpo_norm_by_std": True}
        self.cfg = Namespace(
            trainer=Namespace(algorithm=Namespace(**(defaults | algorithm))),
            generator=Namespace(step_wise_trajectories=step_wise),
        )

    def compute_advantages_and_returns(self, data):
        algorithm = self.cfg.trainer.algorithm
        rows = torch.tensor(data.metadata.get("is_last_step", [True] * len(data["rewards"])))
        step_wise = self.cfg.generator.step_wise_trajectories
        mask = torch.ones_like(data["response_mask"][rows], dtype=torch.float) if step_wise else data["response_mask"]
        data["advantages"], data["returns"] = AdvantageEstimatorRegistry.get(algorithm.advantage_estimator)(
            token_level_rewards=data["rewards"][rows],
            response_mask=mask,
            index=np.array(data.metadata["uids"])[rows.numpy()] if step_wise else data.metadata["uids"],
            values=data["values"],
            grpo_norm_by_std=algorithm.grpo_norm_by_std,
            gamma=algorithm.gamma,
            lambd=algorithm.lambd,
            config=algorithm,
        )
        return data


@pytest.fixture
def skyrl(monkeypatch):
    path = ""
    for name in ("skyrl", "backends", "skyrl_train", "utils", "ppo_utils"):
        path = f"{path}.{name}" if path else name
        monkeypatch.setitem(sys.modules, path, ModuleType(path))
    utils = sys.modules["skyrl.backends.skyrl_train.utils"]
    utils.ppo_utils = sys.modules[path]
    utils.ppo_utils.AdvantageEstimatorRegistry = AdvantageEstimatorRegistry
    monkeypatch.setattr(AdvantageEstimatorRegistry, "_functions", {})
    from advantages.adapters import skyrl

    return skyrl


def skyrl_batch():
    """Right-aligned responses, as SkyRL has them; the first has an observation's token in its middle."""
    response_mask = torch.tensor([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 1, 1]])
    batch = Batch(
        response_mask=response_mask,
        loss_mask=response_mask * torch.tensor([[1.0, 0.0, 1.0], [1, 1, 1], [1, 1, 1], [1, 1, 1]]),
        rewards=torch.tensor([[0.0, 0.0, 1.0], [0, 0, 0], [0, 0, 1], [0, 0, 0.5]]),
        values=torch.tensor([[0.1, 0.2, 0.3], [0, 0.5, 0.5], [0, 0, 0.2], [0, 0.4, 0.1]]),
        action_log_probs=torch.tensor([[-1.0, -9, -2], [0, -1, -1], [0, 0, -4], [0, -0.5, -0.5]]),
        base_action_log_probs=None,
    )
    batch.metadata = {"uids": ["a", "b", "b", "a"]}
    return batch


OUTCOMES = np.array([1.0, 0.0, 1.0, 0.5], np.float32)


def test_skyrls_registry_alone_serves_estimators_over_rewards_and_groups(skyrl):
    data = RayPPOTrainer(advantage_estimator=skyrl.register("rloo")).compute_advantages_and_returns(skyrl_batch())
    expected = rloo(OUTCOMES, ["a", "b", "b", "a"])[:, None] * data["response_mask"].numpy()
    np.testing.assert_allclose(data["advantages"], expected, rtol=1e-6)
    assert data["returns"] is data["advantages"]
    trainer = RayPPOTrainer(advantage_estimator=skyrl.register("lampo"))
    with pytest.raises(TypeError, match=r"lampo needs logprobs .* SkyRL does not hand .* hands rewards, groups$"):
        trainer.compute_advantages_and_returns(skyrl_batch())


def test_skyrls_whole_batch_serves_log_probabilities_and_tokens(skyrl):
    trainer = skyrl.whole_batch(RayPPOTrainer)
    name = skyrl.register("lampo", {"temperature": 0.5})
    data = trainer(advantage_estimator=name).compute_advantages_and_returns(skyrl_batch())
    logprobs = np.array([-3.0, -2.0, -4.0, -1.0], np.float32)
    expected = lampo(OUTCOMES, ["a", "b", "b", "a"], logprobs, temperature=0.5)
    np.testing.assert_allclose(data["advantages"], expected[:, None] * data["response_mask"].numpy(), rtol=1e-5)

    batch = skyrl_batch()
    mask = batch["loss_mask"].numpy() != 0
    name = skyrl.register("gae")
    data = trainer(advantage_estimator=name, gamma=0.9, lambd=0.8).compute_advantages_and_returns(batch)
    expected = gae(batch["rewards"].numpy(), batch["values"].numpy(), mask, discount=0.9, lambda_=0.8)
    np.testing.assert_allclose(data["advantages"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(data["returns"], (expected + batch["values"].numpy()) * mask, rtol=1e-5, atol=1e-6)


def test_skyrls_rows_of_padding_and_filtered_responses_do_not_count(skyrl):
    trainer = skyrl.whole_batch(RayPPOTrainer)
    batch = skyrl_batch()
    batch["loss_mask"][3] = 0.0
    data = trainer(advantage_estimator=skyrl.register("lampo")).compute_advantages_and_returns(batch)
    assert (data["advantages"][[0, 3]] == 0).all()

    batch = skyrl_batch()
    batch.metadata |= {"uids": ["a", "b", "b", "pad0"], "pad_size": 1}
    data = trainer(advantage_estimator=skyrl.register("reinforce_plus_plus")).compute_advantages_and_returns(batch)
    expected = reinforce_plus_plus(
        batch["rewards"].numpy(), batch["loss_mask"].numpy() != 0, valid=np.array([True, True, True, False])
    )
    np.testing.assert_allclose(data["advantages"], expected, rtol=1e-5, atol=1e-6)


def test_skyrls_steps_share_the_advantage_of_the_last(skyrl):
    trainer = skyrl.whole_batch(RayPPOTrainer)
    batch = skyrl_batch()
    batch.metadata = {"uids": ["a", "a", "a", "a"], "is_last_step": [False, True, True, True]}
    name = skyrl.register("grpo")
    data = trainer(advantage_estimator=name, step_wise_trajectories=True).compute_advantages_and_returns(batch)
    np.testing.assert_allclose(data["advantages"][:, 0], grpo(OUTCOMES[1:], ["a"] * 3), rtol=1e-5, atol=1e-6)
    name = skyrl.register("gae")
    with pytest.raises(TypeError, match="gae needs token_rewards"):
        trainer(advantage_estimator=name, step_wise_trajectories=True).compute_advantages_and_returns(batch)


@pytest.mark.parametrize(
    ("advantage", "options", "error", "message"),
    [
        ("lambo", {}, ValueError, "advantage is 'lambo'"),
        ("gdpo", {}, TypeError, "gdpo needs rewards by component, but SkyRL hands their sum"),
        ("grpo", {"speed": 1}, TypeError, "grpo: takes no option 'speed'"),
        ("gae", {"lambda_": 0.9}, TypeError, "lambda_ is trainer.algorithm.lambd in SkyRL"),
    ],
)
def test_what_skyrl_cannot_do_is_refused_at_once(skyrl, advantage, options, error, message):
    with pytest.raises(error, match=message):
        skyrl.register(advantage, options)


def test_what_skyrl_would_ignore_or_has_moved_is_refused(skyrl, monkeypatch):
    trainer = RayPPOTrainer(advantage_estimator=skyrl.register("grpo"), grpo_norm_by_std=False)
    with pytest.raises(ValueError, match="grpo_norm_by_std is False"):
        trainer.compute_advantages_and_returns(skyrl_batch())
    with pytest.raises(ValueError, match="already registered"):
        skyrl.register("grpo")
    for function, message in ((not_finite, "not finite"), (too_few, r"shape \(3,\); its advantages .* \(4,\)")):
        with pytest.raises(ValueError, match=message):
            RayPPOTrainer(advantage_estimator=skyrl.register(function)).compute_advantages_and_returns(skyrl_batch())
    with pytest.raises(MovedHookError, match="no compute_advantages_and_returns"):
        skyrl.whole_batch(dict)
    batch = skyrl_batch()
    del batch["loss_mask"]
    name = skyrl.register("lampo")
    with pytest.raises(MovedHookError, match="SkyRL's batch has no loss_mask"):
        skyrl.whole_batch(RayPPOTrainer)(advantage_estimator=name).compute_advantages_and_returns(batch)
    monkeypatch.delattr(AdvantageEstimatorRegistry, "register")
    with pytest.raises(MovedHookError, match=r"no AdvantageEstimatorRegistry.register"):
        skyrl.register("rloo")
