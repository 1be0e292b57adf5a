"""Estimators in the real tunix: its registry, configurations and learners; only the cluster is a stand-in."""

import types

import numpy as np
import pytest

pytest.importorskip("tunix")

import jax.numpy as jnp
from tunix import GRPOConfig, GRPOLearner, PPOConfig, PPOLearner
from tunix.perf import trace as perf
from tunix.perf.experimental import tracer as perf_v2
from tunix.rl import function_registry
from tunix.rl.agentic.agentic_grpo_learner import GRPOConfig as AgenticGRPOConfig

import advantages
from advantages.adapters.hooks import MovedHookError
from advantages.adapters.tunix import register

REWARDS = np.array([1.0, 0.0, 0.0, 1.0, 0.5, 0.25, 0.25, 0.25], np.float32)
TOKENS = [[5, 6, 7], [5], [6, 6], [7, 7, 7], [5, 5], [6], [7, 5], [5, 7, 6]]
VALUES = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)


class Cluster:
    """What a learner asks of RLCluster to make training examples."""

    global_steps = 0

    def __init__(self):
        rollout_config = types.SimpleNamespace(max_tokens_to_generate=4)
        self.cluster_config = types.SimpleNamespace(rollout_config=rollout_config)
        self.rollout = types.SimpleNamespace(pad_id=lambda: 0, eos_id=lambda: 1)
        self.perf, self.perf_v2 = perf.NoopTracer(), perf_v2.NoopTracer()
        self.metrics = {}

    def generate(self, prompts, **others):
        return types.SimpleNamespace(
            text=[str(row) for row in range(len(prompts))],
            tokens=[np.array(tokens) for tokens in TOKENS],
            left_padded_prompt_tokens=np.full((len(prompts), 2), 3),
        )

    def get_old_per_token_logps(self, **others):
        return jnp.full((8, 4), -1.0)

    def get_values(self, **others):
        return jnp.asarray(VALUES)

    def buffer_metrics(self, metrics, mode):
        self.metrics |= metrics


def example(learner_class, config, rewards=REWARDS):
    """A training example, made by the learner's own method."""
    learner = learner_class.__new__(learner_class)
    learner.algo_config = config
    learner.rl_cluster = Cluster()
    learner.metric_fns = []
    learner._rollout_micro_batch_size = learner._compute_logps_micro_batch_size = 8
    learner._use_reward_model = False
    learner.reward_manager = function_registry.get_reward_manager(config.reward_manager)(
        reward_fns=[lambda prompts, completions, **others: list(rewards)], algo_config=config
    )
    return learner._generate_and_compute_advantage({"prompts": ["p"] * 8})


GROUPS = np.arange(8) // 4


@pytest.mark.parametrize("config_class", [GRPOConfig, AgenticGRPOConfig])
@pytest.mark.parametrize(
    ("advantage", "options"),
    [("rloo", {}), ("dr_grpo", {}), ("grpo", {"epsilon": 0.1, "ddof": 0}), ("reinforce", {})],
)
def test_the_learner_trains_on_the_estimators_advantages(advantage, options, config_class):
    config = config_class(advantage_estimator=register(advantage, options), num_generations=4, beta=0.0)
    groups = {} if advantage == "reinforce" else {"groups": GROUPS}
    expected = getattr(advantages, advantage)(REWARDS, **groups, **options)
    if config_class is GRPOConfig:
        made = example(GRPOLearner, config).advantages
    else:  # the agentic learner's own call
        made = function_registry.get_advantage_estimator(config.advantage_estimator)(rewards=REWARDS, num_generations=4)
    np.testing.assert_allclose(made, expected, rtol=1e-6)


@pytest.mark.parametrize(("theirs", "ours"), [("grpo", "grpo"), ("rloo", "rloo"), ("drgrpo", "dr_grpo")])
def test_the_same_numbers_as_tunixs_own(theirs, ours):
    configs = [GRPOConfig(advantage_estimator=name, num_generations=4, beta=0.0) for name in (theirs, register(ours))]
    own, made = (example(GRPOLearner, config).advantages for config in configs)
    np.testing.assert_allclose(made, own, atol=1e-6)


def test_gae_in_the_ppo_learner_is_tunixs_own():
    name = register("gae", whiten=True)
    settings = {"beta": 0.0, "gamma": 0.9, "gae_lambda": 0.8}
    own, made = (
        example(PPOLearner, PPOConfig(advantage_estimator=estimator, **settings)) for estimator in ("gae", name)
    )
    mask = np.asarray(own.completion_mask)
    np.testing.assert_allclose(np.asarray(made.advantages)[mask], np.asarray(own.advantages)[mask], atol=1e-4)
    np.testing.assert_allclose(np.asarray(made.returns)[mask], np.asarray(own.returns)[mask], atol=1e-5)
    assert (np.asarray(made.advantages)[~mask] == 0).all()


def test_gamma_and_lambda_are_those_of_the_configuration():
    config = PPOConfig(advantage_estimator=register("gae"), beta=0.0, gamma=0.9, gae_lambda=0.8)
    made = example(PPOLearner, config)
    mask, values = np.asarray(made.completion_mask), np.asarray(made.old_values)
    rewards = np.zeros((8, 4), np.float32)
    rewards[np.arange(8), mask.sum(1) - 1] = REWARDS.astype(int)  # as tunix rounds them where beta is 0
    expected = advantages.gae(rewards, values, mask, discount=0.9, lambda_=0.8)
    np.testing.assert_allclose(made.advantages, expected, atol=1e-6)


def test_the_critic_learns_the_rewards_to_go_where_the_estimator_takes_no_values():
    config = PPOConfig(advantage_estimator=register("reinforce_plus_plus"), beta=0.0, gamma=0.5)
    made = example(PPOLearner, config)
    mask = np.asarray(made.completion_mask)
    rewards = np.zeros((8, 4), np.float32)
    rewards[np.arange(8), mask.sum(1) - 1] = REWARDS.astype(int)
    expected = advantages.reinforce_plus_plus(rewards, mask, discount=0.5)
    np.testing.assert_allclose(made.advantages, expected, atol=1e-5)
    np.testing.assert_allclose(made.returns[0], [0.25, 0.5, 1.0, 0.0], atol=1e-6)


def of_ones_own(rewards, groups, valid, *, power: float = 1.0):
    return np.where(valid, np.nan_to_num(rewards) ** power, 0.0)


def test_a_function_of_ones_own():
    name = register(of_ones_own, {"power": 2.0})
    made = example(GRPOLearner, GRPOConfig(advantage_estimator=name, num_generations=4, beta=0.0)).advantages
    np.testing.assert_allclose(made, REWARDS**2)


def test_a_reward_manager_that_keeps_missing_rewards_as_nan():
    rewards = np.where(np.arange(8) == 4, np.nan, REWARDS)
    made = function_registry.get_advantage_estimator(register("grpo"))(rewards=rewards, num_generations=4)
    np.testing.assert_allclose(made, advantages.grpo(rewards, GROUPS), rtol=1e-6)


def not_finite(rewards):
    return np.log(rewards)


def too_few(rewards):
    return rewards[1:]


@pytest.mark.parametrize(
    ("advantage", "others", "error", "message"),
    [
        ("lambo", {}, ValueError, "advantage is 'lambo'"),
        ("lampo", {}, TypeError, r"lampo needs logprobs .* tunix does not hand"),
        ("reinforce_plus_plus_baseline", {}, TypeError, r"needs rewards .* tunix PPO does not hand"),
        ("grpo", {"advantage_options": {"speed": 1}}, TypeError, "grpo: takes no option 'speed'"),
        ("grpo", {"advantage_options": {"epsilon": -1.0}}, ValueError, "epsilon"),
        ("gdpo", {}, TypeError, "gdpo needs rewards by component, but tunix hands their sum"),
        ("gae", {"advantage_options": {"lambda_": 0.9}}, TypeError, "lambda_ is gae_lambda in PPOConfig"),
        ("grpo", {"whiten": True}, TypeError, "whiten is for the PPO learner"),
        ("grpo", {"name": "rloo"}, ValueError, "tunix has an advantage estimator 'rloo' already"),
    ],
)
def test_what_cannot_work_is_refused_at_once(advantage, others, error, message):
    with pytest.raises(error, match=message):
        register(advantage, **others)


@pytest.mark.parametrize(("function", "message"), [(not_finite, "not finite"), (too_few, r"shape \(7,\); tunix takes")])
def test_advantages_that_would_spoil_the_training_are_refused(function, message):
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match=message):
        example(GRPOLearner, GRPOConfig(advantage_estimator=register(function), num_generations=4, beta=0.0))


def test_a_moved_hook_is_named(monkeypatch):
    monkeypatch.delattr(function_registry, "register_advantage_estimator")
    with pytest.raises(MovedHookError, match="has no register_advantage_estimator"):
        register("grpo")
