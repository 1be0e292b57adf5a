"""The V1 trainer's own computation of advantages, from its queue and back, with the queue in a dictionary."""

from types import SimpleNamespace

import pytest

pytest.importorskip("verl")
import torch
import transfer_queue
from tensordict import TensorDict
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl_batches import composed

from advantages import gdpo, lampo

KEYS = ["b_0_1", "a_0_0", "b_1_0", "a_1_0", "b_0_0"]
REWARDS = {"a_0": 1.0, "a_1": 0.0, "b_0": 0.25, "b_1": 1.0}
SHORT = {"a_0": 2.0, "a_1": 5.0, "b_0": 1.0, "b_1": 0.0}
LOGPROBS = [-0.3, -0.1, -0.5, -0.2, -0.4]


@pytest.fixture(autouse=True)
def queue(monkeypatch):
    """Fields by key: Ray and the real queue's servers take longer to start than all of these tests."""
    rows = {}

    def put(keys, partition_id, fields, tags=None):
        for row, key in enumerate(keys):
            for name in fields.keys():  # noqa: SIM118, a TensorDict iterates over rows
                rows.setdefault(key, {})[name] = fields[name][row]
        return transfer_queue.KVBatchMeta(keys=list(keys), tags=tags or [{} for _ in keys], partition_id=partition_id)

    def get(keys, partition_id, select_fields=None):
        names = select_fields or list(rows[keys[0]])
        return list_of_dict_to_tensordict(
            [{name: rows[key][name] for name in names if name in rows[key]} for key in keys]
        )

    monkeypatch.setattr(transfer_queue, "kv_batch_put", put)
    monkeypatch.setattr(transfer_queue, "kv_batch_get", get)
    return SimpleNamespace(put=put, get=get)


def sample(row, key):
    length = row + 2
    scores = torch.zeros(length)
    scores[-1] = REWARDS[key[:3]]  # verl repeats a session's reward on each of its rows
    return {
        "uid": key[0],
        "prompts": torch.ones(3, dtype=torch.long),
        "responses": torch.ones(length, dtype=torch.long),
        "input_ids": torch.ones(length + 3, dtype=torch.long),
        "response_mask": torch.ones(length, dtype=torch.long),
        "rm_scores": scores,
        "rollout_log_probs": torch.full((length,), LOGPROBS[row]),
        "extra_fields": {"reward_extra_info": {"right": REWARDS[key[:3]], "short": SHORT[key[:3]]}},
    }


def step(queue, *overrides):
    """Advantages by key, of a batch that verl has filled up to eight rows and put into another order."""
    samples = [sample(row, key) for row, key in enumerate(KEYS)]
    tags = [{"seq_len": len(one["input_ids"])} for one in samples]
    batch = queue.put(KEYS, "train", list_of_dict_to_tensordict(samples), tags)
    batch = upsample_batch_to_divisible_size(batch, 8, eos_token_id=0)
    batch.reorder([7, 0, 1, 5, 2, 3, 6, 4])
    logprobs = queue.get(batch.keys, "train", ["rollout_log_probs"])["rollout_log_probs"]
    queue.put(batch.keys, "train", TensorDict({"old_log_probs": logprobs}, batch_size=len(batch)))
    metrics = {}
    result = PPOTrainer._compute_advantage(SimpleNamespace(config=composed(*overrides)), batch, metrics)
    assert len(result.keys) == 8
    queue.metrics = metrics
    return dict(zip(batch.keys, queue.get(batch.keys, "train", ["advantages"])["advantages"].unbind(), strict=True))


def check(found, expected):
    """Every token of a session has its advantage; the rows that filled up the batch have 0."""
    for key, advantages in found.items():
        if key in KEYS:
            assert advantages.shape == (KEYS.index(key) + 2,)
            torch.testing.assert_close(advantages, torch.full_like(advantages, expected[key[:3]]))
        else:
            assert not advantages.any()


def test_lampo(queue):
    found = step(queue, "algorithm.adv_estimator=lampo", "+algorithm.advantage_options.temperature=0.5")
    of = dict.fromkeys(REWARDS, 0.0)
    for row, key in enumerate(KEYS):
        of[key[:3]] += LOGPROBS[row] * (row + 2)  # of all the rows of a session
    expected = lampo(
        torch.tensor(list(REWARDS.values())),
        [session[0] for session in REWARDS],
        torch.tensor([of[session] for session in REWARDS]),
        temperature=0.5,
    )
    assert expected.any()
    check(found, dict(zip(REWARDS, expected.tolist(), strict=True)))


def test_metrics_are_logged_as_in_trl(queue):
    found = step(queue, "algorithm.adv_estimator=dr_grpo")
    each = torch.stack([found[key][0] for key in KEYS])  # sessions of several rows count by row, as they are trained on
    assert queue.metrics["advantages/responses_unscored"] == 0.0
    names = ("mean", "std", "informative_groups", "unscored")
    assert {f"advantages/{name}": queue.metrics[f"advantages/{name}"] for name in names} == {
        "advantages/mean": pytest.approx(each.mean().item()),
        "advantages/std": pytest.approx(each.std(correction=0).item()),
        "advantages/informative_groups": 1.0,
        "advantages/unscored": 0.0,
    }
    step(queue, "algorithm.adv_estimator=advantages.reinforce_plus_plus")
    assert queue.metrics["advantages/mean"] == pytest.approx(0.0, abs=1e-6)
    assert queue.metrics["advantages/std"] == pytest.approx((19 / 20) ** 0.5, abs=1e-3)  # of 20 tokens


def test_components_come_from_what_compute_score_returned(queue):
    """The V1 trainer does not fetch them, so that verl's own gdpo does not work in it."""
    keys = "+algorithm.gdpo_reward_keys=[right,short]"
    found = step(queue, "algorithm.adv_estimator=advantages.gdpo", keys)
    columns = torch.tensor([[REWARDS[session], SHORT[session]] for session in REWARDS])
    expected = gdpo(columns, [session[0] for session in REWARDS])
    assert expected.any()
    check(found, dict(zip(REWARDS, expected.tolist(), strict=True)))
    with pytest.raises((AssertionError, KeyError)):
        step(queue, "algorithm.adv_estimator=gdpo", keys)


def test_a_component_that_compute_score_did_not_return_is_said(queue):
    with pytest.raises(ValueError, match=r"algorithm.gdpo_reward_keys names kind, which the batch does not have"):
        step(queue, "algorithm.adv_estimator=advantages.gdpo", "+algorithm.gdpo_reward_keys=[right,kind]")
