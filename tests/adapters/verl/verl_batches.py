"""Batches as verl's trainers make them, and what a bare call gives on the same numbers."""

from functools import cache

import numpy as np
import torch
from hydra import compose, initialize_config_module
from omegaconf import open_dict
from tensordict import TensorDict
from verl import DataProto

from advantages.call import definition_of
from advantages.host import resolve

UIDS = ["b", "a", "b", "a", "b", "a", "b", "a"]  # interleaved
RIGHT = [1.0, 0.0, 0.0, 1.0, 1.0, 0.5, 0.0, 0.25]
SHORT = [0.0, 2.0, 1.0, 3.0, 0.0, 1.0, 2.0, 5.0]
COMPONENTS = ["right", "short"]
OVERRIDES = {
    "gdpo": ["+algorithm.gdpo_reward_keys=[right,short]"],
    "gae": ["critic.enable=true"],
}


@cache
def composed(*overrides):
    """verl's own configuration with overrides, as its command line composes it."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=list(overrides))


def algorithm(name, *overrides):
    """The part of the configuration that reaches estimators, without the seconds that verl's whole one takes."""
    given = [f"algorithm.adv_estimator={name}", *OVERRIDES.get(bare_name(name), ()), *overrides]
    config = composed().copy()
    with open_dict(config):
        config.merge_with_dotlist([text.removeprefix("+") for text in given])
    return config.algorithm


def bare_name(name):
    return name.removeprefix("advantages.")


def make_batch(uids=UIDS, rewards=RIGHT, *, seed=0, observations=True, lengths=None):
    """What both trainers hold when they come to the advantages: padded columns, uids, and scores by name."""
    generator = torch.Generator().manual_seed(seed)
    count, tokens = len(uids), 6
    lengths = torch.as_tensor(lengths or [2 + row % 5 for row in range(count)])
    attention = torch.arange(tokens) < lengths[:, None]
    mask = attention.clone()
    if observations:
        mask[1::2, 1] = False  # a tool's answer
        mask[:, 0] = True
    scores = torch.zeros(count, tokens)
    scores[torch.arange(count), lengths - 1] = torch.tensor(rewards)
    logprobs = -torch.rand(3, count, tokens, generator=generator) * attention
    columns = {
        "prompts": torch.zeros(count, 3, dtype=torch.long),
        "attention_mask": torch.cat([torch.ones(count, 3, dtype=torch.bool), attention], 1).long(),
        "responses": torch.zeros(count, tokens, dtype=torch.long),
        "response_mask": mask.long(),
        "token_level_scores": scores,
        "token_level_rewards": scores.clone(),
        "old_log_probs": logprobs[0],
        "ref_log_prob": logprobs[1],
        "rollout_log_probs": logprobs[2],
        "values": torch.rand(count, tokens, generator=generator),
    }
    others = {"uid": np.array(uids, dtype=object), "right": np.array(rewards), "short": np.resize(SHORT, count)}
    return DataProto(TensorDict(columns, batch_size=count), others)


def words(batch):
    """The vocabulary, from the columns of a batch."""
    columns, mask = batch.batch, batch.batch["response_mask"].bool()
    return {
        "rewards": columns["token_level_rewards"].sum(1),
        "groups": batch.non_tensor_batch["uid"].tolist(),
        "mask": mask,
        "lengths": mask.sum(1),
        "token_rewards": columns["token_level_rewards"],
        "logprobs": (columns["old_log_probs"] * mask).sum(1),
        "token_logprobs": columns["old_log_probs"],
        "ref_token_logprobs": columns["ref_log_prob"],
        "values": columns["values"],
    }


def bare(name, batch, rows=None, **options):
    """(N, T) advantages of a direct call, on some rows of a batch."""
    batch = batch if rows is None else batch.select_idxs(rows)
    estimator = resolve(bare_name(name))
    given = words(batch)
    if bare_name(name) == "gdpo":
        given["rewards"] = torch.tensor(np.stack([batch.non_tensor_batch[key] for key in COMPONENTS], 1)).float()
    d = definition_of(estimator)
    advantages = estimator(**{word: given[word] for word in d.inputs if word in given}, **options)
    return (advantages if d.per_token else advantages[:, None]) * given["mask"]
