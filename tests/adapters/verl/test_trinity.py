"""Trinity-RFT's own classes beside `advantages.conventions.trinity`, on random batches; it builds on verl."""

import numpy as np
import pytest

pytest.importorskip("trinity")
pytest.importorskip("verl")
import torch
from trinity.algorithm.advantage_fn import ADVANTAGE_FN
from trinity.common.experience import EID, Experience
from verl import DataProto

from advantages.conventions import trinity


def of_experiences(name, batch, **options):
    """(N,) advantages of a class that takes experiences by group."""
    tokens = torch.tensor([0, 1])
    rows = [
        Experience(eid=EID(batch=0, task=int(group), run=row), tokens=tokens, prompt_length=1, reward=float(reward))
        for row, (group, reward) in enumerate(zip(batch["groups"], batch["rewards"], strict=True))
    ]
    for one in rows:
        one.action_mask = torch.ones(1)
    made = ADVANTAGE_FN.get(name)(**options)
    made.process(rows)
    return np.array([float(one.advantages[0]) for one in rows])


def of_tensors(name, batch, **options):
    """(N, T) advantages of a class that takes verl's batches."""
    mask = torch.tensor(batch["mask"]).double()
    tensors = {key: torch.tensor(x) for key, x in batch.items() if key not in ("groups", "mask", "rewards")}
    tensors["token_level_rewards"] = tensors.pop("token_rewards")
    data = DataProto.from_dict({**tensors, "response_mask": mask}, {"uid": batch["groups"].astype(object)})
    made, _ = ADVANTAGE_FN.get(name)(**options)(data)
    return (made.batch["advantages"] * mask).numpy()


@pytest.mark.parametrize(
    ("ours", "name", "options"),
    [
        ("grpo", "grpo", {}),
        ("opmd", "opmd", {}),
        ("opmd_logavgexp", "opmd", {"opmd_baseline": "logavgexp"}),
        ("asymre", "asymre", {}),
        ("reinforce", "reinforce", {}),
    ],
)
def test_by_experiences(batches, close, ours, name, options):
    function = getattr(trinity, ours)
    for batch in batches():
        inputs = {word: batch[word] for word in ("rewards", "groups") if word != "groups" or ours != "reinforce"}
        close(function(**inputs), of_experiences(name, batch, **options))


def test_batch_grpo_but_for_lone_responses(batches, close):
    for batch in batches():
        several = np.array([(batch["groups"] == group).sum() > 1 for group in batch["groups"]])
        if len(several) > 1 and batch["rewards"].std() > 0.03:
            found = of_experiences("grpo", batch, std_cal_level="batch")
            close(trinity.batch_grpo(batch["rewards"], batch["groups"])[several], found[several])


def test_rloo(batches, close):
    for batch in batches():
        found = trinity.rloo(batch["rewards"], batch["groups"])
        close(found[:, None] * batch["mask"], of_tensors("rloo", batch))


def test_tokens_without_holes(batches, close):
    for batch in batches(holes=False):
        mask = batch["mask"]
        if mask.sum() > 1 and batch["rewards"].std() > 0.03:
            found = trinity.reinforceplusplus(batch["token_rewards"], mask, discount=0.9)
            close(found, of_tensors("reinforceplusplus", batch, gamma=0.9))
        if mask.sum() > 1:
            found = trinity.ppo(batch["token_rewards"], batch["values"], mask, discount=0.9, lambda_=0.8)
            close(found, of_tensors("ppo", batch, gamma=0.9, lam=0.8))


def test_remax_loses_rewards_on_masked_tokens(batches, close):
    rng = np.random.default_rng(0)
    for batch in batches():
        baselines = rng.normal(size=len(batch["rewards"]))
        their = of_tensors("remax", {**batch, "reward_baselines": baselines})
        close(trinity.remax(batch["token_rewards"], baselines, batch["mask"]), their)


def test_teachers(batches, close):
    rng = np.random.default_rng(0)
    for batch in batches():
        own, teacher = -rng.exponential(size=(2, *batch["mask"].shape))
        given = {**batch, "old_log_probs": own, "teacher_logprobs": teacher}
        zeros = np.zeros(len(batch["rewards"]))
        their = of_tensors("on_policy_distill", given, kl_coef=0.7)
        close(trinity.on_policy_distill(zeros, own, teacher, batch["mask"], coefficient=0.7), their)
        their = of_tensors("jsd", given, lambda_coef=0.3)
        close(trinity.jsd(zeros, own, teacher, batch["mask"], beta=0.3), their)
