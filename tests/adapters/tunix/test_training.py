"""Real trainings by tunix on the CPU: its cluster, its sampler, its learners and its optimiser steps."""

import types

import numpy as np
import pytest

pytest.importorskip("tunix")

import jax
import optax
from flax import nnx
from jax.sharding import Mesh
from tunix import GRPOConfig, GRPOLearner, PPOConfig, PPOLearner
from tunix.rl.rl_cluster import ClusterConfig, RLCluster, RLTrainingConfig, Role
from tunix.rl.rollout.base_rollout import RolloutConfig
from tunix.tests.test_common import MockVocab

import advantages
from advantages.adapters.tunix import register

STEPS, PROMPTS, GROUP = 8, 2, 16
VOCABULARY = MockVocab()


class Bigram(nnx.Module):
    """A number for each next token from the present one alone: as causal with a cache of the past as without."""

    def __init__(self, outputs, seed):
        self.config = types.SimpleNamespace(num_layers=1, num_kv_heads=1, head_dim=1)
        self.num_embed = VOCABULARY.GetPieceSize()
        self.table = nnx.Embed(self.num_embed, outputs, rngs=nnx.Rngs(seed))

    def __call__(self, tokens, positions, cache=None, attention_mask=None, **others):
        scores = self.table(tokens)
        return scores if scores.shape[-1] == 1 else (scores, cache)


def cluster(*, critic=False):
    mesh = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("fsdp", "tp"))
    roles = [Role.ACTOR, Role.REFERENCE, Role.ROLLOUT] + [Role.CRITIC] * critic
    return RLCluster(
        actor=Bigram(VOCABULARY.GetPieceSize(), seed=0),
        reference=Bigram(VOCABULARY.GetPieceSize(), seed=0),
        critic=Bigram(1, seed=1) if critic else None,
        tokenizer=VOCABULARY,
        cluster_config=ClusterConfig(
            role_to_mesh=dict.fromkeys(roles, mesh),
            training_config=RLTrainingConfig(
                actor_optimizer=optax.adam(1.0),
                critic_optimizer=optax.adam(1.0) if critic else None,
                eval_every_n_steps=1000,
                max_steps=STEPS,
            ),
            rollout_config=RolloutConfig(
                max_prompt_length=4, max_tokens_to_generate=2, kv_cache_size=16, temperature=1.0
            ),
        ),
    )


class Greeting:
    """Whether a completion starts with "hello", and all that was given."""

    __name__ = "greeting"

    def __init__(self):
        self.given = []

    def __call__(self, prompts, completions, **others):
        self.given.append(np.array([float(completion.startswith("hello")) for completion in completions]))
        return list(self.given[-1])

    @property
    def learned(self):
        return self.given[0].mean() < 0.2 and self.given[-1].mean() > 0.9


def trained(learner_class, config, reward, *, rows):
    """What the actor's table and the critic's have gained."""
    made = cluster(critic=learner_class is PPOLearner)
    trainers = [made.actor_trainer, made.critic_trainer] if learner_class is PPOLearner else [made.actor_trainer]
    before = [np.asarray(trainer.model.table.embedding[...]) for trainer in trainers]
    prompts = np.array(["input string"] * (rows // 2) + ["My name"] * (rows // 2))
    learner_class(made, config, reward).train([{"prompts": prompts}] * STEPS)
    return [np.asarray(trainer.model.table.embedding[...]) - x for trainer, x in zip(trainers, before, strict=True)]


def test_two_learners_of_one_process_train_with_their_own_options():
    seen = {1.0: [], 0.0: []}

    def spied(rewards, groups, *, scale: float = 1.0):
        formed = scale * advantages.rloo(rewards, groups)
        seen[scale].append((rewards, groups, formed))
        return formed

    rewards, moves = {}, {}
    for scale in (1.0, 0.0):
        config = GRPOConfig(advantage_estimator=register(spied, {"scale": scale}), num_generations=GROUP, beta=0.0)
        rewards[scale] = Greeting()
        (moves[scale],) = trained(GRPOLearner, config, rewards[scale], rows=PROMPTS)
    for scale in (1.0, 0.0):
        assert len(seen[scale]) == STEPS
        for given, (found, groups, formed) in zip(rewards[scale].given, seen[scale], strict=True):
            np.testing.assert_array_equal(found, given)
            np.testing.assert_array_equal(groups, np.repeat(np.arange(PROMPTS), GROUP))
            assert formed.any() == bool(scale and given.reshape(PROMPTS, GROUP).std(1).any())
    assert rewards[1.0].learned
    assert not rewards[0.0].learned
    assert not moves[0.0].any()
    hello = VOCABULARY.DEFAULT_MAPPING["hello"]
    assert moves[1.0].max(0).argmax() == hello


def test_gae_trains_the_policy_and_the_critic_of_the_ppo_learner():
    reward = Greeting()
    config = PPOConfig(advantage_estimator=register("gae", whiten=True), beta=0.0)
    actor, critic = trained(PPOLearner, config, reward, rows=PROMPTS * GROUP)
    assert reward.learned
    assert actor.any()
    assert critic.any()
