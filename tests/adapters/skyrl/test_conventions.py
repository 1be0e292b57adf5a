"""SkyRL's own functions beside `advantages.conventions.skyrl`, on random batches."""

import typing
import warnings

import pytest

torch = pytest.importorskip("torch")
typing_extensions = pytest.importorskip("typing_extensions")
with warnings.catch_warnings(action="ignore"), pytest.MonkeyPatch.context() as patch:
    patch.setattr(typing, "TypedDict", typing_extensions.TypedDict)  # pydantic asks SkyRL for it below Python 3.12
    pytest.importorskip("skyrl")
    from skyrl.backends.skyrl_train.utils import ppo_utils

from advantages.conventions import skyrl


def theirs(function, batch, **more):
    rewards, mask = torch.tensor(batch["token_rewards"]), torch.tensor(batch["mask"]).double()
    advantages, _ = function(token_level_rewards=rewards, response_mask=mask, index=batch["groups"], **more)
    return (advantages * mask).numpy()


@pytest.mark.parametrize(
    ("name", "function", "more"),
    [
        ("grpo", "compute_grpo_outcome_advantage", {}),
        ("dr_grpo", "compute_grpo_outcome_advantage", {"grpo_norm_by_std": False}),
        ("rloo", "compute_rloo_outcome_advantage", {}),
    ],
)
def test_responses(batches, close, name, function, more):
    for batch in batches():
        their = theirs(getattr(ppo_utils, function), batch, **more)
        close(getattr(skyrl, name)(batch["rewards"], batch["groups"])[:, None] * batch["mask"], their)


def test_maxrl(batches, close):
    for batch in batches():
        batch = {**batch, "rewards": abs(batch["rewards"]), "token_rewards": abs(batch["token_rewards"])}
        their = theirs(ppo_utils.compute_maxrl_advantage, batch)
        close(skyrl.maxrl(batch["rewards"], batch["groups"])[:, None] * batch["mask"], their)


def test_reinforce_plus_plus_without_holes(batches, close):
    for batch in batches(holes=False):
        if batch["mask"].sum() > 1 and batch["rewards"].std() > 0.03:
            their = theirs(ppo_utils.compute_reinforce_plus_plus_outcome_advantage, batch, gamma=0.9)
            close(skyrl.reinforce_plus_plus(batch["token_rewards"], batch["mask"], discount=0.9), their)


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 1.0), (0.9, 0.8)])
def test_gae_without_holes(batches, close, gamma, lam):
    for batch in batches(holes=False):
        if batch["mask"].sum() > 1:
            values = torch.tensor(batch["values"])
            their = theirs(ppo_utils.compute_gae_advantage_return, batch, values=values, gamma=gamma, lambd=lam)
            ours = skyrl.gae(batch["token_rewards"], batch["values"], batch["mask"], discount=gamma, lambda_=lam)
            close(ours, their)
