"""Estimators in TRL's GRPOTrainer: real steps, and the numbers that reach its loss."""

import math
import re
from pathlib import Path

import pytest

pytest.importorskip("trl")
pytest.importorskip("peft")
import pandas
import torch
import trl
from peft import LoraConfig
from ten import TEN
from trl_runs import bare, by_response, share, short

from advantages import estimator, lampo
from advantages.adapters.hooks import MovedHookError
from advantages.adapters.hosts import HOSTS
from advantages.adapters.trl import GRPOTrainer
from advantages.host import resolve

OLD = trl.__version__.startswith("0.")
LOSSES = ["grpo", "bnpo", "dr_grpo", "dapo", *([] if OLD else ["cispo", "sapo", "luspo", "vespo"])]
WORK = sorted(set(TEN) - {"gae"})


def trained(trainer):
    """Train, and see that the loss went through and moved the model."""
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses
    assert all(map(math.isfinite, losses))
    assert not all(map(torch.equal, before, trainer.model.parameters()))
    return trainer.watched


def check_the_loss_gets_them(seen):
    """Each response reaches the loss with the advantage that it was given."""
    given = {}
    for batch in seen.batches:
        given |= by_response(batch)
    for batch in seen.losses:
        for key, advantages in by_response(batch).items():
            assert given[key] == advantages


# What reaches the loss


@pytest.mark.parametrize("name", WORK)
def test_the_loss_gets_what_a_bare_call_gives(make, model, name):
    seen = trained(make(GRPOTrainer, advantage=name))
    assert seen.scores[0].isnan().any()
    assert seen.batches[0]["advantages"].any()
    expected = bare(resolve(name), seen.batches[0], model, seen.scores[0])
    torch.testing.assert_close(seen.batches[0]["advantages"], expected, atol=1e-5, rtol=1e-5)
    check_the_loss_gets_them(seen)


@pytest.mark.parametrize("name", ["lampo", "reinforce_plus_plus"])
@pytest.mark.parametrize(
    ("schedule", "old_logprobs"),
    [
        ({"num_iterations": 2}, True),
        ({"gradient_accumulation_steps": 2}, False),
        ({"steps_per_generation": 2}, True),
        ({"steps_per_generation": 2, "num_iterations": 2, "gradient_accumulation_steps": 2}, True),
    ],
)
def test_schedules(make, model, name, schedule, old_logprobs):
    """With and without the old log-probabilities, which TRL computes only where its loss needs them."""
    seen = trained(make(GRPOTrainer, advantage=name, max_steps=3, per_device_train_batch_size=4, **schedule))
    assert ("old_per_token_logps" in seen.batches[0]) == old_logprobs
    assert ("old_per_token_logps" in seen.losses[0]) == old_logprobs
    expected = bare(resolve(name), seen.batches[0], model, seen.scores[0])
    torch.testing.assert_close(seen.batches[0]["advantages"], expected, atol=1e-5, rtol=1e-5)
    assert len(seen.losses) == 3 * schedule.get("gradient_accumulation_steps", 1)
    check_the_loss_gets_them(seen)


@pytest.mark.parametrize(
    ("name", "options", "config"),
    [
        ("grpo", {"epsilon": 1e-4}, {}),
        ("dr_grpo", {}, {"scale_rewards": "none"}),
        ("gdpo", {"epsilon": 1e-4}, {"multi_objective_aggregation": "normalize_then_sum"}),
    ],
)
@pytest.mark.parametrize(
    ("rewards", "weights"), [([share, short], None), ([share, short], [1.0, -0.5]), ([short], None)]
)
def test_formulas_that_agree_with_trls_give_the_same_numbers(make, name, options, config, rewards, weights):
    if OLD and rewards == [short]:
        pytest.skip("TRL 0.24 trains on responses that no function has scored, as if their reward were 0")
    settings = {"max_steps": 2, "rewards": rewards, "reward_weights": weights}
    theirs = trained(make(trl.GRPOTrainer, **settings, **config))
    ours = trained(make(GRPOTrainer, advantage=name, advantage_options=options, **settings))
    for their, our in zip(theirs.batches, ours.batches, strict=True):
        torch.testing.assert_close(our["completion_ids"], their["completion_ids"])
        torch.testing.assert_close(our["advantages"], their["advantages"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_takes_advantages_of_tokens(make, loss):
    trained(make(GRPOTrainer, advantage="reinforce_plus_plus", loss_type=loss, num_iterations=2, max_steps=2))


def test_gdpo_has_the_weights_of_the_configuration(make, model):
    seen = trained(make(GRPOTrainer, advantage="gdpo", reward_weights=[2.0, 0.5]))
    expected = bare(resolve("gdpo"), seen.batches[0], model, seen.scores[0], weights=None)
    assert not torch.allclose(seen.batches[0]["advantages"], expected, atol=1e-3)
    expected = resolve("gdpo")(seen.scores[0], groups=4, weights=[2.0, 0.5])
    torch.testing.assert_close(seen.batches[0]["advantages"], expected)


def test_log_probabilities_are_those_of_the_temperature(make, model):
    seen = trained(make(GRPOTrainer, advantage=lampo, temperature=2.0))
    head = model.lm_head.forward
    model.lm_head.forward = lambda x: head(x) / 2.0
    expected = bare(lampo, seen.batches[0], model, seen.scores[0])
    torch.testing.assert_close(seen.batches[0]["advantages"], expected, atol=1e-5, rtol=1e-5)


def observed(prompts, trainer):
    """Responses with observations inside and at the end, of several lengths."""
    tokenizer = trainer.processing_class
    lengths = [4 + row % 3 for row in range(len(prompts))]
    generator = torch.Generator().manual_seed(0)
    return {
        "prompt_ids": [tokenizer(prompt).input_ids for prompt in prompts],
        "completion_ids": [torch.randint(2, 14, (n,), generator=generator).tolist() for n in lengths],
        "logprobs": None,
        "env_mask": [[1, 0] + [1] * (n - 3) + [0] for n in lengths],
    }


@pytest.mark.filterwarnings("ignore:You are using 'rollout_func'")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("reinforce_plus_plus", {"discount": 0.5}),
        ("reinforce_plus_plus_baseline", {}),
        ("lampo", {"reduction": "mean", "temperature": 0.1}),
    ],
)
def test_observations_are_not_trained_on(make, model, name, options):
    seen = trained(make(GRPOTrainer, advantage=name, advantage_options=options, rollout_func=observed))
    batch = seen.batches[0]
    expected = bare(resolve(name), batch, model, seen.scores[0], **options)
    torch.testing.assert_close(batch["advantages"], expected, atol=1e-5, rtol=1e-5)
    if batch["advantages"].ndim == 2:
        assert not batch["advantages"][batch["tool_mask"] == 0].any()


def test_truncated_responses_that_trl_masks(make, model):
    """Their rewards count, as in TRL; their log-probabilities are unknown, so that LamPO leaves them out."""
    settings = {"mask_truncated_completions": True, "rewards": [share], "max_completion_length": 4}
    theirs = trained(make(trl.GRPOTrainer, **settings)).batches[0]
    masked = theirs["completion_mask"].sum(1) == 0
    assert masked.any()
    assert not masked.all()
    ours = trained(make(GRPOTrainer, advantage="grpo", advantage_options={"epsilon": 1e-4}, **settings)).batches[0]
    torch.testing.assert_close(ours["advantages"], theirs["advantages"], atol=1e-4, rtol=1e-4)
    seen = trained(make(GRPOTrainer, advantage="lampo", **settings))
    batch, rewards = seen.batches[0], seen.scores[0].clone()
    rewards[masked] = torch.nan
    expected = bare(lampo, batch, model, rewards)
    torch.testing.assert_close(batch["advantages"], expected, atol=1e-5, rtol=1e-5)
    assert not batch["advantages"][masked].any()


def test_the_reference_policy(make):
    @estimator(unit="token")
    def divergence(rewards, token_logprobs, ref_token_logprobs, mask):
        return token_logprobs - ref_token_logprobs + rewards[:, None]

    seen = trained(make(GRPOTrainer, advantage=divergence, beta=0.1, rewards=[share], max_steps=2))
    for batch, scores in zip(seen.batches, seen.scores, strict=True):
        expected = torch.where(batch["completion_mask"].bool(), scores, 0.0)
        first = batch is seen.batches[0]
        assert torch.allclose(batch["advantages"], expected, atol=1e-5) == first


def test_gradient_checkpointing_and_lora(make, model):
    """The adapter is new, so that the policy is the model as it was loaded."""
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = make(GRPOTrainer, advantage="lampo", peft_config=lora, gradient_checkpointing=True, beta=0.1, max_steps=2)
    seen = trained(trainer)
    expected = bare(lampo, seen.batches[0], model, seen.scores[0])
    torch.testing.assert_close(seen.batches[0]["advantages"], expected, atol=1e-5, rtol=1e-5)


# Evaluation, and what is logged


def test_evaluation(make, model):
    trainer = make(GRPOTrainer, advantage="lampo", num_generations_eval=2)
    metrics = trainer.evaluate()
    seen = trainer.watched
    expected = bare(lampo, seen.batches[0], model, seen.scores[0])
    torch.testing.assert_close(seen.batches[0]["advantages"], expected, atol=1e-5, rtol=1e-5)
    assert math.isfinite(metrics["eval_loss"])
    assert metrics["eval_advantages/mean"] == pytest.approx(expected.mean().item(), abs=1e-5)
    assert metrics["eval_advantages/largest"] == pytest.approx(expected.abs().max().item(), abs=1e-5)
    assert metrics["eval_advantages/groups"] == len(expected) / 2
    assert not any(name.startswith("advantages/") for name in trainer._metrics["train"])


def test_one_generation_in_evaluation_is_alone_in_its_group(make):
    trainer = make(GRPOTrainer, advantage="rloo", num_generations_eval=1)
    assert trainer.evaluate()["eval_advantages/informative_groups"] == 0


@pytest.mark.parametrize("name", ["rloo", "reinforce_plus_plus"])
def test_what_is_logged_is_what_is_trained_on(make, tmp_path, name):
    trainer = make(GRPOTrainer, advantage=name, log_completions=True, rewards=[share, short])
    seen = trained(trainer)
    batch, mask = seen.batches[0], seen.batches[0]["completion_mask"].bool()
    per_token = batch["advantages"].ndim == 2
    each = batch["advantages"].sum(1) / mask.sum(1) if per_token else batch["advantages"]
    if not OLD:  # which writes no table
        table = pandas.read_parquet(tmp_path / "completions" / "completions_00001.parquet")
        assert table["advantage"].tolist() == pytest.approx(each.tolist())
    logged = trainer.state.log_history[0]
    numbers = batch["advantages"][mask] if per_token else batch["advantages"]
    assert logged["advantages/mean"] == pytest.approx(numbers.mean().item(), abs=1e-6)
    assert logged["advantages/std"] == pytest.approx(numbers.std(correction=0).item(), abs=1e-6)
    assert logged["advantages/unscored"] == 0
    assert logged["advantages/informative_groups"] == 1
    assert logged["reward"] == pytest.approx(seen.scores[0].nansum(1).mean().item())
    assert logged["rewards/short/mean"] == pytest.approx(seen.scores[0][:, 1].nanmean().item())


def test_unscored_responses_are_counted_and_get_nothing(make):
    trainer = make(GRPOTrainer, advantage="reinforce", rewards=[short])
    seen = trained(trainer)
    unscored = seen.scores[0].isnan().all(1)
    assert trainer.state.log_history[0]["advantages/unscored"] == pytest.approx(unscored.float().mean().item())
    assert not seen.batches[0]["advantages"][unscored].any()
    assert seen.batches[0]["advantages"][~unscored].all()


# The user's own


def mine(rewards, groups, valid, *, power: float = 1.0):
    return torch.where(valid, rewards.nan_to_num(), 0.0) ** power + torch.as_tensor(groups)


def test_a_function_of_the_user(make):
    for advantage in (mine, f"{__name__}:mine"):
        seen = trained(make(GRPOTrainer, advantage=advantage, advantage_options={"power": 2.0}, rewards=[short]))
        expected = seen.scores[0][:, 0].nan_to_num() ** 2 + torch.tensor([0] * 4 + [1] * 4)
        torch.testing.assert_close(seen.batches[0]["advantages"], expected)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda rewards: rewards[:4], ValueError, r"<lambda>: returned shape \(4,\); .* must have shape \(8,\)$"),
        (lambda rewards: rewards[None], ValueError, r"returned shape \(1, 8\); .* have shape \(8,\) or \(8, 6\)"),
        (
            lambda rewards: rewards.tolist(),
            TypeError,
            "<lambda>: returned a value of type list; its advantages must be a torch tensor of",
        ),
        (
            lambda rewards: rewards.numpy(),
            TypeError,
            "<lambda>: returned a numpy array of float32; its advantages must be",
        ),
        (lambda rewards: rewards > 0, TypeError, "<lambda>: returned a torch tensor of torch.bool; its adv"),
        (lambda rewards: rewards - rewards.mean(), ValueError, "<lambda>: returned advantages that are not finite; "),
    ],
)
def test_what_cannot_be_trained_on_is_refused(make, function, error, message):
    with pytest.raises(error, match=message):
        make(GRPOTrainer, advantage=function, rewards=[short]).train()


def test_strict_raises_on_unscored_responses(make):
    with pytest.raises(ValueError, match=r"grpo: rows .* have a non-finite input"):
        make(GRPOTrainer, advantage="grpo", advantage_options={"strict": True}, rewards=[short]).train()


# Refused at construction


@estimator(shapes={"rewards": (("N", "K"),)})
def per_function(rewards):
    return rewards.sum(1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"advantage": "gae"}, TypeError, "gae needs values .*, which TRL does not hand to estimators here; it hands "),
        ({"advantage": "lambo"}, ValueError, "estimator 'lambo': there is none; .* mean 'lampo'"),
        ({"advantage": "grpo", "advantage_options": {"tau": 1}}, TypeError, "grpo: takes no option 'tau'"),
        ({"advantage": "lampo", "advantage_options": {"temperature": -1}}, ValueError, "lampo: temperature is -1"),
        ({"advantage": None}, TypeError, "advantage is None; pass a name, 'package.module:function' or a function"),
        ({"advantage": "lampo", "advantage_options": {"temprature": 1}}, TypeError, "; did you mean 'temperature'"),
        (
            {"advantage": "lampo", "advantage_options": ["temperature"]},
            TypeError,
            "lampo: its options are .*; pass a map",
        ),
        (
            {"advantage": "gdpo", "advantage_options": {"across": 1}},
            TypeError,
            "gdpo: takes no option 'across' under TRL",
        ),
        (
            {"advantage": "gdpo", "advantage_options": {"weights": [1.0, 1.0]}},
            TypeError,
            "gdpo: takes no option 'weights' under TRL; pass reward_weights to the trainer's configuration",
        ),
        ({"advantage": "grpo", "scale_rewards": "none"}, ValueError, "scale_rewards is 'none', .* of grpo; .*dr_grpo"),
        ({"advantage": "grpo", "scale_rewards": False}, ValueError, "scale_rewards is 'none'"),
        (
            {"advantage": "gdpo", "multi_objective_aggregation": "normalize_then_sum"},
            ValueError,
            "multi_objective_aggregation is 'normalize_then_sum'",
        ),
        (
            {"advantage": per_function, "reward_weights": [1.0, 2.0]},
            ValueError,
            r"reward_weights is \[1.0, 2.0\], but per_function takes the reward functions apart and has no setting",
        ),
        (
            {"advantage": lambda rewards, ref_token_logprobs: rewards},
            TypeError,
            "<lambda> needs ref_token_logprobs .*, which TRL does not hand to estimators here",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_construction(make, monkeypatch, options, error, message):
    monkeypatch.setattr(trl.GRPOTrainer, "__init__", lambda *_, **__: pytest.fail("a model was loaded first"))
    with pytest.raises(error, match=message):
        make(GRPOTrainer, **options)


def test_an_advantage_must_be_chosen(make):
    with pytest.raises(TypeError, match="advantage"):
        make(GRPOTrainer)


@pytest.mark.parametrize("name", ["_calculate_rewards", "_generate_and_score_completions"])
def test_a_moved_hook_is_an_error(make, monkeypatch, name):
    monkeypatch.delattr(trl.GRPOTrainer, name)
    with pytest.raises(MovedHookError, match=f"trl.trainer.grpo_trainer has no {name}, which the adapter holds on to"):
        make(GRPOTrainer, advantage="grpo")


def test_a_hook_that_is_passed_by_is_an_error(make, monkeypatch):
    trainer = make(GRPOTrainer, advantage="grpo")
    monkeypatch.setattr(trl.GRPOTrainer, "_generate_and_score_completions", lambda self, inputs: {"advantages": 0})
    with pytest.raises(MovedHookError, match="TRL has scored a batch without _calculate_rewards"):
        trainer.train()


@pytest.mark.parametrize("nothing", [None, (None, None)])
def test_log_probabilities_that_do_not_come_are_an_error(make, monkeypatch, nothing):
    trainer = make(GRPOTrainer, advantage="lampo")
    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", lambda *_, **__: nothing)
    with pytest.raises(MovedHookError, match="_get_per_token_logps_and_entropies gives no log-probabilities"):
        trainer.train()


def test_the_page_says_where_each_word_comes_from():
    page = (Path(__file__).parents[3] / "docs" / "adapters" / "trl.md").read_text()
    section = page.partition("## What reaches the estimator")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == HOSTS["TRL"].words
