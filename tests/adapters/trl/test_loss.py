"""The loss of the built-in training loop against TRL's, on the same batch: values, gradients and metrics."""

import pytest

pytest.importorskip("trl")
import torch
import trl
from trl_runs import make_trainer

from advantages.policy.engine import token_logprobs
from advantages.policy.rollout import Rollout
from advantages.training.loss import importance_weights, surrogate

AGGREGATIONS = {"dapo": "token", "bnpo": "token", "grpo": "sequence", "dr_grpo": "constant"}
LONGEST = 9


@pytest.fixture(scope="module")
def trainer(folder, tmp_path_factory):
    made = make_trainer(folder, tmp_path_factory.mktemp("loss"), trl.GRPOTrainer, max_completion_length=LONGEST)
    made.model.train()
    made.current_gradient_accumulation_steps = 1
    return made


def batch_of(seed, rows=6, tokens=7):
    """Log-probabilities that have moved so far that every bound is met, in float64; masks with holes."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, scale=1.0):
        return scale * torch.randn(shape, generator=generator, dtype=torch.float64)

    completion_mask = torch.arange(tokens) < torch.randint(1, tokens + 1, (rows, 1), generator=generator)
    tool_mask = torch.rand(rows, tokens, generator=generator) < 0.8
    old = normal(rows, tokens) - 3
    return {
        "logprobs": old + normal(rows, tokens, scale=0.6),
        "old": old,
        "reference": old + normal(rows, tokens, scale=0.5),
        "advantages": normal(rows),
        "token_advantages": normal(rows, tokens),
        "completion_mask": completion_mask,
        "tool_mask": tool_mask,
        "mask": completion_mask & tool_mask,
    }


def of_trl(trainer, monkeypatch, batch, advantages, *, weights=None, items=None, **settings):
    """TRL's loss and its gradient with respect to the log-probabilities, and what it logs."""
    leaf = batch["logprobs"].clone().requires_grad_()
    monkeypatch.setattr(
        trainer, "_get_per_token_logps_and_entropies", lambda *_, **__: (leaf, torch.zeros_like(leaf), None)
    )
    for name in ("delta", "use_bias_correction_kl"):
        monkeypatch.setattr(trainer.args, name, settings.pop(name, getattr(trainer.args, name)))
    for name, value in settings.items():
        assert hasattr(trainer, name)
        monkeypatch.setattr(trainer, name, value)
    monkeypatch.setattr(trainer, "use_vllm", weights is not None)
    rows = len(leaf)
    inputs = {
        "prompt_ids": torch.zeros(rows, 1, dtype=torch.long),
        "prompt_mask": torch.ones(rows, 1, dtype=torch.long),
        "completion_ids": torch.zeros(leaf.shape, dtype=torch.long),
        "completion_mask": batch["completion_mask"].long(),
        "tool_mask": batch["tool_mask"].long(),
        "advantages": advantages,
        "old_per_token_logps": batch["old"],
        "ref_per_token_logps": batch["reference"],
        "num_items_in_batch": batch["mask"].sum() if items is None else items,
    }
    if weights is not None:
        inputs["importance_sampling_ratio"] = weights
    trainer._metrics["train"].clear()
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    return loss.detach(), leaf.grad, {name: values[-1] for name, values in trainer._metrics["train"].items()}


def of_ours(batch, advantages, **settings):
    leaf = batch["logprobs"].clone().requires_grad_()
    found = surrogate(leaf, batch["old"], advantages, batch["mask"], reference_logprobs=batch["reference"], **settings)
    found.loss.backward()
    return found.loss.detach(), leaf.grad, found


def divisor(loss_type, batch):
    return batch["mask"].shape[0] * LONGEST if loss_type == "dr_grpo" else None


def check(theirs, ours):
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(ours[1], theirs[1], atol=1e-12, rtol=1e-12)
    assert ours[1].any()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("advantages", ["advantages", "token_advantages"])
@pytest.mark.parametrize(
    ("their", "our"),
    [
        ({}, {}),
        ({"epsilon_low": 0.1, "epsilon_high": 0.4}, {"clip_low": 0.1, "clip_high": 0.4}),
        ({"delta": 1.5}, {"dual_clip": 1.5}),
        ({"beta": 0.3}, {"kl": 0.3}),
        ({"beta": 0.3, "use_bias_correction_kl": False}, {"kl": 0.3, "unbiased_kl": False}),
        (
            {"epsilon_low": 0.3, "epsilon_high": 0.28, "delta": 2.0, "beta": 0.1},
            {"clip_low": 0.3, "clip_high": 0.28, "dual_clip": 2.0, "kl": 0.1},
        ),
    ],
)
@pytest.mark.parametrize("loss_type", AGGREGATIONS)
def test_the_ratio_of_tokens(trainer, monkeypatch, loss_type, their, our, advantages, seed):
    batch = batch_of(seed)
    a = batch[advantages]
    theirs = of_trl(trainer, monkeypatch, batch, a, loss_type=loss_type, **their)
    aggregation = {"aggregation": AGGREGATIONS[loss_type], "divisor": divisor(loss_type, batch)}
    ours = of_ours(batch, a, **aggregation, **our)
    check(theirs, ours)
    assert ours[2].clip_fraction.item() == pytest.approx(theirs[2]["clip_ratio/region_mean"])
    assert 0 < ours[2].clip_fraction < 1
    if "beta" in their:
        assert ours[2].kl_reference.item() == pytest.approx(theirs[2]["kl"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss_type", AGGREGATIONS)
def test_the_ratio_of_sequences(trainer, monkeypatch, loss_type, seed):
    """GSPO; the paper averages per sequence, which is loss_type="grpo".

    Where the divergence has the ratio as a factor, TRL takes the sequence's, which TRL's help says is not unbiased;
    ours is the token's.
    """
    batch = batch_of(seed)
    theirs = of_trl(
        trainer,
        monkeypatch,
        batch,
        batch["advantages"],
        loss_type=loss_type,
        importance_sampling_level="sequence",
        epsilon_low=0.05,
        epsilon_high=0.1,
        delta=1.3,
        beta=0.2,
        use_bias_correction_kl=False,
    )
    ours = of_ours(
        batch,
        batch["advantages"],
        ratio="sequence",
        clip_low=0.05,
        clip_high=0.1,
        dual_clip=1.3,
        kl=0.2,
        unbiased_kl=False,
        aggregation=AGGREGATIONS[loss_type],
        divisor=divisor(loss_type, batch),
    )
    check(theirs, ours)


@pytest.mark.parametrize("loss_type", AGGREGATIONS)
def test_weights_for_an_engine_that_differs(trainer, monkeypatch, loss_type):
    """TRL's vllm_importance_sampling_mode="token_truncate"."""
    batch = batch_of(0)
    sampled = batch["old"] + 0.7 * torch.sin(torch.arange(batch["old"].numel())).reshape(batch["old"].shape)
    weights = importance_weights(batch["old"], sampled, batch["mask"], cap=1.5)
    assert weights.max() == 1.5
    clipped = torch.exp((batch["old"] - sampled) * batch["mask"]).clamp(max=1.5)  # as TRL's trainer has it
    torch.testing.assert_close(weights, clipped)
    a = batch["advantages"]
    theirs = of_trl(trainer, monkeypatch, batch, a, loss_type=loss_type, beta=0.1, weights=clipped)
    aggregation = {"aggregation": AGGREGATIONS[loss_type], "divisor": divisor(loss_type, batch)}
    check(theirs, of_ours(batch, a, weights=weights, kl=0.1, **aggregation))


# Where the two mean different things


def test_a_dual_clip_inside_the_clip_range_differs(trainer, monkeypatch):
    """Below 1 + epsilon_high, TRL's delta bounds nothing more; ours is the dual clip of Ye et al. there too."""
    batch = batch_of(0)
    a = -batch["advantages"].abs()
    settings = {"loss_type": "dapo", "epsilon_low": 0.2, "epsilon_high": 0.5}
    unbounded = of_trl(trainer, monkeypatch, batch, a, delta=1.5, **settings)
    theirs = of_trl(trainer, monkeypatch, batch, a, delta=1.2, **settings)
    ours = of_ours(batch, a, clip_high=0.5, dual_clip=1.2)
    torch.testing.assert_close(theirs[0], unbounded[0])
    assert ours[0] < theirs[0]


def test_ratios_of_sequences_with_advantages_of_tokens_differ_in_the_gradient(trainer, monkeypatch):
    """Ours is the paper's GSPO-token: a token's gradient has its own advantage; TRL's has the mean of the response."""
    batch = batch_of(0)
    a = batch["token_advantages"]
    settings = {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon_low": 9.0, "epsilon_high": 9.0}
    theirs = of_trl(trainer, monkeypatch, batch, a, **settings)
    ours = of_ours(batch, a, ratio="sequence", aggregation="sequence", clip_low=9.0, clip_high=9.0)
    torch.testing.assert_close(ours[0], theirs[0])
    assert not torch.allclose(ours[1], theirs[1])
    torch.testing.assert_close(ours[1].sum(1), theirs[1].sum(1))


# Micro-batches, and the model itself


@pytest.mark.parametrize("loss_type", ["dapo", "grpo", "dr_grpo"])
def test_micro_batches_of_one_step(trainer, monkeypatch, loss_type):
    """TRL's accumulation over a generation batch is our divisor. Its bnpo is a mean over each micro-batch: not ours."""
    batch = batch_of(1)
    rows, a = len(batch["mask"]), batch["advantages"]
    monkeypatch.setattr(trainer, "current_gradient_accumulation_steps", 2)
    monkeypatch.setattr(trainer.args, "steps_per_generation", 2)
    aggregation = AGGREGATIONS[loss_type]
    whole = {"token": batch["mask"].sum(), "sequence": rows, "constant": rows * LONGEST}[aggregation]
    theirs, ours = 0.0, 0.0
    for half in (slice(0, rows // 2), slice(rows // 2, None)):
        part = {name: x[half] for name, x in batch.items()}
        theirs += of_trl(trainer, monkeypatch, part, a[half], loss_type=loss_type, items=batch["mask"].sum())[0]
        ours += of_ours(part, a[half], aggregation=aggregation, divisor=float(whole))[0]
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(ours, of_ours(batch, a, aggregation=aggregation, divisor=float(whole))[0])


@pytest.mark.parametrize("loss_type", AGGREGATIONS)
def test_the_gradient_of_the_model(folder, tmp_path, loss_type):
    """From tokens to the gradient of every weight: log-probabilities are read at the same temperature."""
    trainer = make_trainer(
        folder,
        tmp_path,
        trl.GRPOTrainer,
        max_completion_length=LONGEST,
        temperature=1.5,
        loss_type=loss_type,
        beta=0.1,
        epsilon_high=0.3,
        delta=2.0,
    )
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    batch = batch_of(2)
    rows, tokens = batch["mask"].shape
    generator = torch.Generator().manual_seed(3)
    prompts = torch.randint(2, 14, (rows, 4), generator=generator)
    prompt_mask = torch.arange(4) >= torch.randint(0, 4, (rows, 1), generator=generator)
    completions = torch.randint(2, 14, (rows, tokens), generator=generator)
    rollout = Rollout(
        torch.cat([prompts, completions], 1),
        torch.cat([prompt_mask, batch["completion_mask"]], 1),
        batch["mask"],
        torch.zeros(rows, dtype=torch.bool),
        None,
        [""] * rows,
    )
    old, reference = ((x - batch["logprobs"]).float() for x in (batch["old"], batch["reference"]))
    with torch.no_grad():
        logprobs, _ = token_logprobs(trainer.model, rollout, temperature=1.5)
        old, reference = logprobs + old, logprobs + reference
    theirs = trainer._compute_loss(
        trainer.model,
        {
            "prompt_ids": prompts,
            "prompt_mask": prompt_mask.long(),
            "completion_ids": completions,
            "completion_mask": batch["completion_mask"].long(),
            "tool_mask": batch["tool_mask"].long(),
            "advantages": batch["advantages"].float(),
            "old_per_token_logps": old,
            "ref_per_token_logps": reference,
            "num_items_in_batch": batch["mask"].sum(),
        },
    )
    parameters = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
    their_gradient = torch.autograd.grad(theirs, parameters)
    ours = surrogate(
        token_logprobs(trainer.model, rollout, temperature=1.5)[0],
        old,
        batch["advantages"].float(),
        batch["mask"],
        clip_high=0.3,
        dual_clip=2.0,
        kl=0.1,
        reference_logprobs=reference,
        aggregation=AGGREGATIONS[loss_type],
        divisor=divisor(loss_type, batch),
    ).loss
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    for our, their in zip(torch.autograd.grad(ours, parameters), their_gradient, strict=True):
        assert their.any()
        torch.testing.assert_close(our, their, atol=1e-6, rtol=1e-4)
