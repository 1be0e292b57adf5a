"""verl's own functions beside `advantages.conventions.verl`, on random batches."""

from types import SimpleNamespace

import pytest

pytest.importorskip("verl")
import torch
from verl.trainer.ppo import core_algos

from advantages.conventions import verl

CONFIG = SimpleNamespace(gamma=0.9)


def theirs(function, batch, **more):
    rewards = torch.tensor(batch["token_rewards"], dtype=torch.float64)
    mask = torch.tensor(batch["mask"]).double()
    advantages, _ = function(token_level_rewards=rewards, response_mask=mask, **more)
    return (advantages * mask).numpy()


def spread(their, batch):
    """Whether there is a deviation to divide by; else theirs is a quotient of roundings."""
    return their[batch["mask"]].std() > 0.3


@pytest.mark.parametrize(
    ("name", "function", "more"),
    [
        ("grpo", core_algos.compute_grpo_outcome_advantage, {}),
        ("grpo_vectorized", core_algos.compute_grpo_vectorized_outcome_advantage, {}),
        ("dr_grpo", core_algos.compute_grpo_outcome_advantage, {"norm_adv_by_std_in_grpo": False}),
        ("rloo", core_algos.compute_rloo_outcome_advantage, {}),
        ("rloo_vectorized", core_algos.compute_rloo_vectorized_outcome_advantage, {}),
    ],
)
def test_responses(batches, close, name, function, more):
    for batch in batches():
        their = theirs(function, batch, index=batch["groups"], **more)
        our = getattr(verl, name)(batch["rewards"], batch["groups"])
        close(our[:, None] * batch["mask"], their)


def test_reinforce_plus_plus_loses_rewards_on_masked_tokens(batches, close):
    for batch in batches():
        if batch["mask"].sum() > 1:
            their = theirs(core_algos.compute_reinforce_plus_plus_outcome_advantage, batch, config=CONFIG)
            if spread(their, batch):
                close(verl.reinforce_plus_plus(batch["token_rewards"], batch["mask"], discount=0.9), their)


def test_reinforce_plus_plus_baseline(batches, close):
    function = core_algos.compute_reinforce_plus_plus_baseline_outcome_advantage
    for batch in batches():
        if batch["mask"].sum() > 1:
            their = theirs(function, batch, index=batch["groups"])
            if not spread(their, batch):
                continue
            close(verl.reinforce_plus_plus_baseline(batch["rewards"], batch["groups"], batch["mask"]), their)


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 1.0), (0.9, 0.8)])
def test_gae(batches, close, gamma, lam):
    for batch in batches():
        if batch["mask"].sum() > 1:
            values = torch.tensor(batch["values"])
            their = theirs(core_algos.compute_gae_advantage_return, batch, values=values, gamma=gamma, lam=lam)
            ours = verl.gae(batch["token_rewards"], batch["values"], batch["mask"], discount=gamma, lambda_=lam)
            close(ours, their)
