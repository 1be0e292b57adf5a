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


@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0])
def test_gae_in_the_ppo_learner_is_tunixs_own_at_every_scale(scale, monkeypatch):
    monkeypatch.setattr(Cluster, "get_values", lambda self, **others: jnp.asarray(scale * VALUES))
    settings = {"beta": 0.0, "gamma": 0.9, "gae_lambda": 0.8}
    own, made = (
        example(
            PPOLearner, PPOConfig(advantage_estimator=estimator, **settings), rewards=100 * (scale == 100) * REWARDS
        )
        for estimator in ("gae", register("gae", whiten=True))
    )
    mask = np.asarray(own.completion_mask)
    np.testing.assert_allclose(np.asarray(made.advantages)[mask], np.asarray(own.advantages)[mask], atol=1e-4)
    np.testing.assert_allclose(np.asarray(made.returns)[mask], np.asarray(own.returns)[mask], rtol=1e-5)
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
        ("lambo", {}, ValueError, "estimator 'lambo': there is none; .* did you mean 'lampo'"),
        ("lampo", {}, TypeError, r"lampo needs logprobs .* tunix does not hand"),
        ("reinforce_plus_plus_baseline", {}, TypeError, r"needs mask .* tunix does not hand"),
        ("grpo", {"advantage_options": {"speed": 1}}, TypeError, "grpo: takes no option 'speed'"),
        ("grpo", {"advantage_options": {"epsilom": 1}}, TypeError, "takes no option 'epsilom'; .* mean 'epsilon'"),
        ("grpo", {"advantage_options": {"group_size": 4}}, TypeError, "takes no option 'group_size'; options are"),
        (
            "reinforce_plus_plus",
            {"advantage_options": {"across": "data"}},
            TypeError,
            "no option 'across' under tunix PPO",
        ),
        ("grpo", {"advantage_options": ["epsilon"]}, TypeError, "pass a mapping from settings to values"),
        ("grpo", {"advantage_options": {"epsilon": -1.0}}, ValueError, "epsilon"),
        ("gdpo", {}, TypeError, "gdpo needs rewards by component, but tunix hands their sum"),
        (
            "gae",
            {"advantage_options": {"lambda_": 0.9}},
            TypeError,
            "takes no option 'lambda_' under tunix PPO; set PPOConfig.gae_lambda",
        ),
        ("grpo", {"whiten": True}, TypeError, "whiten is for the PPO learner"),
        ("grpo", {"name": "rloo"}, ValueError, "tunix has another advantage estimator 'rloo' already"),
    ],
)
def test_what_cannot_work_is_refused_at_once(advantage, others, error, message):
    with pytest.raises(error, match=message):
        register(advantage, **others)


def in_a_list(rewards):
    return list(rewards)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (not_finite, "not finite"),
        (in_a_list, "returned a value of type list; its advantages must be a numpy array"),
        (too_few, r"shape \(7,\); its advantages must have shape \(8,\)"),
    ],
)
def test_advantages_that_would_spoil_the_training_are_refused(function, message):
    with np.errstate(divide="ignore"), pytest.raises((TypeError, ValueError), match=message):
        example(GRPOLearner, GRPOConfig(advantage_estimator=register(function), num_generations=4, beta=0.0))


def called(name, rewards, num_generations):
    return function_registry.get_advantage_estimator(name)(rewards=rewards, num_generations=num_generations)


@pytest.mark.parametrize("advantage", ["grpo", "rloo", "dr_grpo", "reinforce", of_ones_own])
@pytest.mark.parametrize(("rows", "num_generations"), [(7, 3), (8, 3), (1, 2), (2, 4), (9, 8)])
def test_rows_that_the_group_size_does_not_divide_are_refused(advantage, rows, num_generations):
    with pytest.raises(
        ValueError, match=f"got {rows} rewards, which num_generations={num_generations} does not divide"
    ):
        called(register(advantage), np.arange(float(rows)), num_generations)


def test_one_response_to_a_prompt_could_never_learn():
    with pytest.raises(ValueError, match="num_generations is 1, but rloo compares the responses"):
        called(register("rloo"), REWARDS, 1)  # GRPOConfig refuses it, too
    np.testing.assert_allclose(called(register("rloo", {"singleton": "raw"}), REWARDS, 1), REWARDS)


def test_two_configurations_stay_apart():
    several = [{}, {"epsilon": 1.0}, {"epsilon": 0.5, "ddof": 0}, {"singleton": "raw"}]
    names = [register("grpo", options) for options in several]
    assert len(set(names)) == len(names)
    assert names == [register("grpo", options) for options in several]  # a notebook runs its cell again
    for name, options in zip(names, several, strict=True):
        np.testing.assert_allclose(called(name, REWARDS, 4), advantages.grpo(REWARDS, GROUPS, **options), rtol=1e-6)

    def namesake(scale):
        def mine(rewards):
            return rewards * scale

        return mine

    names = [register(namesake(scale)) for scale in (1.0, 2.0)]
    assert [called(name, REWARDS, 4)[0] for name in names] == [1.0, 2.0]
    assert register("gae") != register("gae", whiten=True)

    register("rloo", name="the one")
    assert register("rloo", name="the one") == "the one"
    with pytest.raises(ValueError, match="tunix has another advantage estimator 'the one' already; pass another name"):
        register("rloo", {"singleton": "raw"}, name="the one")


def greedy(rewards):
    doubled = 2.0 * rewards
    rewards[:] = 0.0
    return doubled


def test_a_function_cannot_write_into_tunixs_rewards():
    rewards = REWARDS.copy()
    np.testing.assert_allclose(called(register(greedy), rewards, 4), 2.0 * REWARDS)
    np.testing.assert_allclose(rewards, REWARDS)


@pytest.mark.parametrize("name", ["gae", "reinforce_plus_plus"])
@pytest.mark.parametrize("whiten", [False, True])
def test_an_unknown_token_reward_teaches_neither_the_policy_nor_the_critic(name, whiten):
    mask = np.arange(4) < np.array([3, 1, 2, 4, 2, 2, 1, 4])[:, None]
    rewards, unknown = np.where(mask, VALUES[::-1, :4], 0.0), [1, 3]
    rewards[1, 0], rewards[3, 0] = np.nan, np.inf
    of_tunix = function_registry.get_advantage_estimator(register(name, whiten=whiten))

    def of(mask):
        values, mask = jnp.asarray(VALUES[:, :4]), jnp.asarray(mask)
        return of_tunix(rewards=rewards, values=values, completion_mask=mask, gamma=0.9, gae_lambda=0.95)

    (made, returns), (without, returns_without) = of(mask), of(mask & ~np.isin(np.arange(8), unknown)[:, None])
    np.testing.assert_allclose(made, without, atol=1e-5)
    np.testing.assert_allclose(np.delete(returns, unknown, 0), np.delete(returns_without, unknown, 0), atol=1e-5)
    assert not np.asarray(made)[unknown].any()
    np.testing.assert_allclose(np.asarray(returns)[unknown], np.where(mask, VALUES[:, :4], 0.0)[unknown])


def last_reward(token_rewards, mask):
    return token_rewards.sum(1)


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("rows", [8, 4])
def test_an_advantage_per_response_is_on_all_trained_tokens_of_the_ppo_learner(rows, declared):
    """Also where there are as many tokens as rows."""
    function = advantages.estimator()(last_reward) if declared else last_reward
    mask = np.arange(4) < np.array([3, 1, 2, 4, 2, 2, 1, 4])[:rows, None]
    rewards = np.where(mask, VALUES[:rows, 1:], 0.0)
    values = jnp.asarray(VALUES[:rows, :4])
    made, returns = function_registry.get_advantage_estimator(register(function))(
        rewards=rewards, values=values, completion_mask=jnp.asarray(mask), gamma=1.0, gae_lambda=0.95
    )
    np.testing.assert_allclose(made, np.where(mask, rewards.sum(1)[:, None], 0.0), atol=1e-6)
    assert returns.shape == mask.shape


def test_gamma_and_lambda_that_an_estimator_has_not_are_refused():
    config = PPOConfig(advantage_estimator=register("reinforce_plus_plus"), beta=0.0, gae_lambda=0.8)
    with pytest.raises(
        ValueError, match=r"gae_lambda is 0\.8, but reinforce_plus_plus has no setting lambda_, .* at 0\.95"
    ):
        example(PPOLearner, config)
    config = PPOConfig(advantage_estimator=register("gae"), beta=0.0, gamma=1.5)
    with pytest.raises(ValueError, match=r"gae: PPOConfig\.gamma is 1\.5; pass a number between 0 and 1"):
        example(PPOLearner, config)


def test_a_moved_hook_is_named(monkeypatch):
    monkeypatch.delattr(function_registry, "register_advantage_estimator")
    with pytest.raises(MovedHookError, match="has no register_advantage_estimator"):
        register("grpo")
