"""verl's own functions beside `advantages.conventions.verl`, on random batches."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("verl")
import torch
from verl.trainer.ppo import core_algos

from advantages import discounted_returns, to_tokens
from advantages.conventions import verl

CONFIG = SimpleNamespace(gamma=0.9)


def theirs(function, batch, **more):
    rewards = torch.tensor(batch["token_rewards"], dtype=torch.float64)
    mask = torch.tensor(batch["mask"]).double()
    advantages, _ = function(token_level_rewards=rewards, response_mask=mask, **more)
    return (advantages * mask).numpy()


def spread(x, mask):
    """Whether there is a deviation for 1e-8 to vanish beside; else theirs is smaller, or a quotient of roundings."""
    return mask.sum() > 1 and x[mask].std() > 0.03


@pytest.mark.parametrize(
    ("name", "function", "more"),
    [
        ("grpo", core_algos.compute_grpo_outcome_advantage, {}),
        ("grpo_vectorized", core_algos.compute_grpo_vectorized_outcome_advantage, {}),
        ("dr_grpo", core_algos.compute_grpo_outcome_advantage, {"norm_adv_by_std_in_grpo": False}),
        ("gpg", core_algos.compute_gpg_outcome_advantage, {}),
        ("rloo", core_algos.compute_rloo_outcome_advantage, {}),
        ("rloo_vectorized", core_algos.compute_rloo_vectorized_outcome_advantage, {}),
    ],
)
def test_responses(batches, close, name, function, more):
    for batch in batches():
        their = theirs(function, batch, index=batch["groups"], **more)
        our = getattr(verl, name)(batch["rewards"], batch["groups"])
        close(our[:, None] * batch["mask"], their)


def test_opo(batches, close):
    for batch in batches():
        their = theirs(core_algos.compute_opo_outcome_advantage, batch, index=batch["groups"])
        our = verl.opo(batch["rewards"], batch["groups"], batch["mask"].sum(1))
        close(our[:, None] * batch["mask"], their)


@pytest.mark.parametrize("holes", [True, False])
def test_tir_optimal_token_baseline(batches, close, holes):
    rng = np.random.default_rng(0)
    functions = [core_algos.compute_multi_turn_optimal_token_baseline_advantage]
    functions += [] if holes else [core_algos.compute_optimal_token_baseline_advantage]
    for batch in batches(holes=holes):
        mask, rewards, groups = batch["mask"], batch["rewards"], batch["groups"]
        last = mask.shape[1] - 1 - mask[:, ::-1].argmax(1)  # the outcome lies on a trained token
        batch = {**batch, "token_rewards": (np.arange(mask.shape[1]) == last[:, None]) * rewards[:, None]}
        probs = rng.uniform(0.1, 0.9, mask.shape)
        squares = probs**2 + rng.uniform(0.01, 0.1, mask.shape)
        varied = [np.ptp(rewards[groups == g]) > 0 or (groups == g).sum() == 1 for g in groups]
        for function in functions:
            more = {"old_log_probs": torch.tensor(np.log(probs)), "sum_pi_squared": torch.tensor(squares)}
            their = theirs(function, batch, index=groups, **more)
            ours = verl.tir_optimal_token_baseline(rewards, groups, mask, np.log(probs), squares)
            close(ours[varied], their[varied])


@pytest.mark.parametrize("scale", [True, False])
def test_grpo_passk(batches, close, scale):
    function, config = core_algos.compute_grpo_passk_outcome_advantage, {"norm_adv_by_std_in_grpo": scale}
    for batch in batches(ragged=False):
        their = theirs(function, batch, index=batch["groups"], config=config)
        close(verl.grpo_passk(batch["rewards"], batch["groups"], scale=scale)[:, None] * batch["mask"], their)


def test_remax_loses_rewards_on_masked_tokens(batches, close):
    for batch in batches():
        baselines = batch["values"][:, 0]
        more = {"reward_baselines": torch.tensor(baselines)}
        their = theirs(core_algos.compute_remax_outcome_advantage, batch, **more)
        close(verl.remax(batch["token_rewards"], baselines, batch["mask"]), their)


def test_reinforce_plus_plus_loses_rewards_on_masked_tokens(batches, close):
    for batch in batches():
        mask = batch["mask"]
        returns = discounted_returns(batch["token_rewards"] * mask, mask, discount=0.9)
        if spread(returns, mask):
            their = theirs(core_algos.compute_reinforce_plus_plus_outcome_advantage, batch, config=CONFIG)
            close(verl.reinforce_plus_plus(batch["token_rewards"], mask, discount=0.9), their)


def test_reinforce_plus_plus_baseline(batches, close):
    function = core_algos.compute_reinforce_plus_plus_baseline_outcome_advantage
    for batch in batches():
        mask = batch["mask"]
        if spread(to_tokens(verl.dr_grpo(batch["rewards"], batch["groups"]), mask), mask):
            their = theirs(function, batch, index=batch["groups"])
            close(verl.reinforce_plus_plus_baseline(batch["rewards"], batch["groups"], mask), their)


def test_gdpo_whitens_over_tokens(batches, close):
    """Their components come from the batch, one key each, and lie on the last token."""
    rng = np.random.default_rng(0)
    for batch in batches():
        mask, rows = batch["mask"], len(batch["groups"])
        parts, weights = np.round(rng.normal(size=(rows, 3)), 1), [1.0, 0.5, 2.0]
        names = ["right", "short", "polite"]
        ours = verl.gdpo(parts, batch["groups"], mask, weights=weights)
        if spread(ours, mask):
            components = dict(zip(names, parts.T, strict=True))
            lengths = {"prompts": torch.zeros(rows, 2), "attention_mask": torch.ones(rows, 2 + mask.shape[1]).long()}
            config = {"gdpo_reward_keys": names, "gdpo_reward_weights": weights}
            function = partial(core_algos.compute_gdpo_outcome_advantage, batch=lengths, non_tensor_batch=components)
            close(ours, theirs(function, batch, index=batch["groups"], config=config))


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 1.0), (0.9, 0.8)])
def test_gae(batches, close, gamma, lam):
    for batch in batches():
        if batch["mask"].sum() > 1:
            values = torch.tensor(batch["values"])
            their = theirs(core_algos.compute_gae_advantage_return, batch, values=values, gamma=gamma, lam=lam)
            ours = verl.gae(batch["token_rewards"], batch["values"], batch["mask"], discount=gamma, lambda_=lam)
            close(ours, their)
