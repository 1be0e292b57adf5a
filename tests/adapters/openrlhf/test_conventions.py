"""OpenRLHF's own method beside `advantages.conventions.openrlhf`, on random batches."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("openrlhf")
import torch
from openrlhf.trainer.ppo_utils import experience_maker

from advantages.bench import peers
from advantages.conventions import openrlhf

SIZE = 4
MAKER = experience_maker.RemoteExperienceMaker


def theirs(name, batch, *, gamma=1.0, lambd=1.0, size=SIZE):
    """The whole batch as one experience, the reward on the last trained token, without a penalty."""
    advantage = SimpleNamespace(estimator=name, gamma=gamma, lambd=lambd, no_std_norm=False)
    args = SimpleNamespace(
        algo=SimpleNamespace(advantage=advantage),
        rollout=SimpleNamespace(n_samples_per_prompt=size, max_new_tokens=6),
        reward=SimpleNamespace(
            clip_range=None, overlong_buffer_len=None, stop_properly_penalty_coef=None, overlong_penalty_factor=None
        ),
    )
    maker = MAKER.__new__(MAKER)
    maker.strategy, maker.kl_ctl = SimpleNamespace(args=args), SimpleNamespace(value=0.0)
    maker.advantage_estimator = name
    mask = torch.tensor(batch["mask"])
    experience = SimpleNamespace(
        rewards=torch.tensor(batch["rewards"]),
        index=list(range(len(mask))),
        kl=torch.zeros(mask.shape, dtype=torch.float64),
        action_mask=mask,
        values=torch.tensor(batch["values"]),
        info={},
    )
    maker.compute_advantages_and_returns([experience])
    return experience.advantages.double().numpy() * batch["mask"]


def on_last(batch):
    """Each response's reward on its last trained token, where OpenRLHF puts it."""
    places = batch["mask"].shape[1] - 1 - batch["mask"][:, ::-1].argmax(1)
    token_rewards = np.zeros(batch["mask"].shape)
    token_rewards[np.arange(len(places)), places] = batch["rewards"]
    return token_rewards


@pytest.mark.parametrize("name", ["group_norm", "dr_grpo", "rloo", "flash_reinforce"])
def test_responses(batches, close, name):
    for batch in batches(ragged=False):
        our = getattr(openrlhf, name)(batch["rewards"], SIZE)[:, None] * batch["mask"]
        if name != "group_norm" or batch["rewards"].reshape(-1, SIZE).std(1).min() > 0:  # else fault B1
            close(our, theirs(name, batch))


def test_reinforce_baseline(batches, close):
    for batch in batches(ragged=False):
        if batch["rewards"].reshape(-1, SIZE).std() > 0.03:
            close(
                openrlhf.reinforce_baseline(batch["rewards"], SIZE, batch["mask"]), theirs("reinforce_baseline", batch)
            )


@pytest.mark.parametrize(("gamma", "holes"), [(1.0, True), (0.9, False)])
def test_reinforce(batches, close, gamma, holes):
    for batch in batches(ragged=False, holes=holes):
        their = theirs("reinforce", batch, gamma=gamma)
        if np.ptp(their[batch["mask"]]) > 1e-3:
            close(openrlhf.reinforce(on_last(batch), batch["mask"], discount=gamma), their)


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 1.0), (0.9, 0.8)])
def test_gae_counts_masked_tokens_as_steps(batches, close, gamma, lam):
    for batch in batches(ragged=False):
        their = theirs("gae", batch, gamma=gamma, lambd=lam)
        close(openrlhf.gae(on_last(batch), batch["values"], batch["mask"], discount=gamma, lambda_=lam), their)


@pytest.mark.parametrize(("name", "lines"), [("group_norm", peers.openrlhf_grpo), ("rloo", peers.openrlhf_rloo)])
def test_the_lines_that_the_benchmark_restates(batches, name, lines):
    for batch in batches(ragged=False):
        their = theirs(name, batch)
        ours = lines(torch.tensor(batch["rewards"]), SIZE).numpy()
        np.testing.assert_array_equal(ours[:, None] * batch["mask"], their)
