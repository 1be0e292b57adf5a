"""TRL's GRPOTrainer with our estimators: real steps, and the numbers that its loss gets."""

import math

import pytest

pytest.importorskip("trl")
import torch
import trl
from transformers import AutoModelForCausalLM

from advantages import estimators
from advantages.adapters.trl import GRPOTrainer


def trained(trainer):
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses
    assert all(math.isfinite(loss) for loss in losses)
    moved = [not torch.equal(x, y) for x, y in zip(before, trainer.model.parameters(), strict=True)]
    assert any(moved)
    return trainer


def test_one(make, watch, by_row):
    trainer = make(GRPOTrainer, advantage="lampo")
    seen = watch(trainer)
    trained(trainer)
    print(trainer.state.log_history)
    print(seen.batches[0]["advantages"], seen.losses[0]["advantages"])
