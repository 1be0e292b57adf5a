"""Estimators in TRL's RLOOTrainer, whose loss has one advantage per response."""

import math

import pytest

pytest.importorskip("trl")
pytest.importorskip("peft")
import torch
import trl
from peft import LoraConfig
from ten import TEN
from trl_runs import bare, share, short

from advantages import estimator, lampo
from advantages.adapters.hooks import MovedHookError
from advantages.adapters.trl import RLOOTrainer
from advantages.core.definition import definition_of
from advantages.host import resolve

PER_RESPONSE = [name for name in TEN if not definition_of(resolve(name)).per_token]


def trained(trainer):
    trainer.train()
    assert all(math.isfinite(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
    return trainer.watched


@pytest.mark.parametrize("name", TEN)
def test_every_estimator_runs_or_is_refused(make, model, name):
    if name not in PER_RESPONSE:
        message = f"{name} gives one advantage per token, but the loss of RLOOTrainer has one per response; use GRPO"
        with pytest.raises(TypeError, match=message):
            make(RLOOTrainer, advantage=name)
        return
    seen = trained(make(RLOOTrainer, advantage=name, beta=0.0, num_iterations=2, max_steps=2))
    expected = bare(resolve(name), seen.batches[0], model, seen.scores[0])
    assert expected.any()
    torch.testing.assert_close(seen.batches[0]["advantages"], expected, atol=1e-5, rtol=1e-5)
    assert sorted(seen.losses[0]["advantages"].tolist()) == sorted(seen.batches[0]["advantages"].tolist())


@pytest.mark.parametrize(
    "settings",
    [
        {"beta": 0.0},
        {"beta": 0.5},
        {"beta": 0.5, "reward_clip_range": (-0.5, 0.1)},
        {"beta": 0.5, "reward_weights": [1.0, -2.0]},
        {"beta": 0.5, "mask_truncated_completions": True},
        {"beta": 0.5, "learning_rate": 5.0, "peft_config": "LoRA"},
    ],
)
def test_rloo_is_trls(make, settings):
    """The KL penalty is zero in the first batch, and is not in the second."""
    if "peft_config" in settings:
        settings = settings | {"peft_config": LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")}
    theirs = trained(make(trl.RLOOTrainer, max_steps=2, **settings))
    ours = trained(make(RLOOTrainer, advantage="rloo", max_steps=2, **settings))
    for their, our in zip(theirs.batches, ours.batches, strict=True):
        torch.testing.assert_close(our["completion_ids"], their["completion_ids"])
        torch.testing.assert_close(our["advantages"], their["advantages"], atol=1e-5, rtol=1e-5)
    without = resolve("rloo")(ours.scores[1].nansum(1), groups=4)
    if settings["beta"]:
        assert not torch.allclose(ours.batches[1]["advantages"], without, atol=1e-3)


def longest(rewards, mask):
    return rewards.nan_to_num() + mask.sum(1)


def per_token(rewards, mask):
    return rewards.nan_to_num()[:, None] * mask


def test_the_mask_may_be_read_but_advantages_are_those_of_responses(make, model):
    for advantage in (longest, estimator()(longest)):
        seen = trained(make(RLOOTrainer, advantage=advantage, beta=0.0, rewards=[share]))
        torch.testing.assert_close(seen.batches[0]["advantages"], bare(longest, seen.batches[0], model, seen.scores[0]))
    with pytest.raises(ValueError, match=r"per_token: returned shape \(8, 6\); its advantages must have shape \(8,\)$"):
        make(RLOOTrainer, advantage=per_token, beta=0.0).train()
    with pytest.raises(TypeError, match="per_token gives one advantage per token, but the loss of RLOOTrainer"):
        make(RLOOTrainer, advantage=estimator(unit="token")(per_token))


def test_unscored_responses_get_nothing(make):
    seen = trained(make(RLOOTrainer, advantage="reinforce", rewards=[short]))
    unscored = seen.scores[0].isnan().all(1)
    assert unscored.any()
    assert not seen.batches[0]["advantages"][unscored].any()


def test_evaluation_and_what_is_logged(make, model):
    trainer = make(RLOOTrainer, advantage="lampo", num_generations_eval=2, per_device_eval_batch_size=4, beta=0.0)
    metrics, seen = trainer.evaluate(), trainer.watched
    assert len(seen.batches) == 2
    expected = [bare(lampo, batch, model, scores) for batch, scores in zip(seen.batches, seen.scores, strict=True)]
    expected = torch.cat(expected)
    assert metrics["eval_advantages/mean"] == pytest.approx(expected.mean().item(), abs=1e-5)
    assert list(trainer._logs["advantages"]) == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"advantage": "grpo", "normalize_advantages": True}, ValueError, "normalize_advantages is True, which shapes"),
        ({"advantage": "gdpo"}, ValueError, "beta is 0.05, which TRL applies to the sum of the .*; pass beta=0.0"),
        (
            {"advantage": "gdpo", "beta": 0.0, "reward_clip_range": (0.0, 1.0)},
            ValueError,
            r"reward_clip_range is \(0.0, 1.0\), .* takes the reward functions apart; pass reward_clip_range=None",
        ),
    ],
)
def test_what_would_be_ignored_is_refused(make, options, error, message):
    with pytest.raises(error, match=message):
        make(RLOOTrainer, **options)


def test_a_penalty_that_cannot_be_formed_is_an_error(make, monkeypatch):
    trainer = make(RLOOTrainer, advantage="rloo", rewards=[share])
    score = trl.RLOOTrainer._generate_and_score_completions

    def without_reference(self, inputs):
        output = score(self, inputs)
        self._passes.pop()
        return output

    monkeypatch.setattr(trl.RLOOTrainer, "_generate_and_score_completions", without_reference)
    with pytest.raises(MovedHookError, match="TRL no longer computes log-probabilities twice for a batch"):
        trainer.train()
