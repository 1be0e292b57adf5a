"""The optimizer's part of a step: the responses are gone through in minibatches, each of which moves the policy."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch

from ..policy.engine import token_logprobs
from ..policy.rollout import Rollout
from ..runs.config import Config
from .distributed import Distributed
from .loss import Surrogate, importance_weights, surrogate

__all__ = ["Updater"]

FEW = 5
"""Updates in a row that may be skipped."""


class Updater:
    """Moves the policy by a step's advantages, as far as its gradients are finite.

    Args:
        longest: tokens of the longest response.
    """

    def __init__(self, config: Config, world: Distributed, model: Any, optimizer: Any, longest: int) -> None:
        self.config, self.world, self.model, self.optimizer = config, world, model, optimizer
        self._longest = longest
        self.skipped = 0
        """Updates in a row whose gradient was not finite."""

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step, the first being 1."""
        return self.config.learning_rate * min(1.0, step / max(1, self.config.warmup))

    @torch.enable_grad()  # an own function may have turned gradients off as it was imported
    def __call__(
        self,
        step: int,
        rollout: Rollout,
        old: torch.Tensor,
        advantages: torch.Tensor,
        reference: torch.Tensor | None,
    ) -> dict[str, float | None]:
        """Take a step's updates; what the loss says of those that were made, None where none was.

        Raises:
            ValueError: several gradients in a row were not finite.
        """
        c = self.config
        trained = rollout.mask & ~rollout.truncated[:, None] if c.truncated == "mask" else rollout.mask
        weights = None
        if rollout.sampled_logprobs is not None:
            weights = importance_weights(old, rollout.sampled_logprobs, rollout.mask, cap=c.importance_cap)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(step)
        self.model.train()
        found: list[dict[str, float]] = []
        for _ in range(c.epochs):
            order = torch.randperm(len(advantages)).to(advantages.device)
            for minibatch in order.chunk(c.minibatches):
                results = self._backward(minibatch, rollout, trained, old, advantages, reference, weights)
                if (norm := self._move()) is not None:
                    found.append({**results, "grad_norm": norm})
        names = [name for name in Surrogate._fields if name != "loss"] + ["loss", "grad_norm"]
        means = {name: sum(one[name] for one in found) / len(found) if found else None for name in names}
        return {**means, "skipped_updates": c.epochs * c.minibatches - len(found)}

    def _backward(
        self,
        minibatch: torch.Tensor,
        rollout: Rollout,
        trained: torch.Tensor,
        old: torch.Tensor,
        advantages: torch.Tensor,
        reference: torch.Tensor | None,
        weights: torch.Tensor | None,
    ) -> dict[str, float]:
        """Leave a minibatch's gradient in the weights, micro-batch after micro-batch; what its loss says."""
        c, accelerator = self.config, self.world.accelerator
        divisor = self._divisor(trained[minibatch]) / self.world.size  # DDP averages gradients over processes
        micro_batches: Sequence[torch.Tensor] = minibatch.split(c.micro_batch or len(minibatch))
        sums = dict.fromkeys(Surrogate._fields, 0.0)
        for number, index in enumerate(micro_batches, 1):
            with accelerator.no_sync(self.model) if number < len(micro_batches) else nullcontext():
                logprobs, _ = token_logprobs(self.model, rollout.rows(index), temperature=c.temperature, entropy=False)
                result = surrogate(
                    logprobs,
                    old[index],
                    advantages[index],
                    trained[index],
                    clip_low=c.clip_low,
                    clip_high=c.clip_high,
                    dual_clip=c.dual_clip or None,
                    ratio=c.ratio,
                    aggregation=c.aggregation,
                    divisor=divisor,
                    reference_logprobs=None if reference is None else reference[index],
                    kl=c.kl,
                    weights=None if weights is None else weights[index],
                )
                accelerator.backward(result.loss)
            for name, x in result._asdict().items():
                sums[name] += float(x.detach()) * (1.0 if name == "loss" else len(index) / len(minibatch))
        return sums

    def _move(self) -> float | None:
        """Apply the gradient, on all processes or on none; its norm before it is clipped, None where it is skipped."""
        clip = self.config.grad_clip or math.inf
        found: Any = self.world.accelerator.clip_grad_norm_(self.model.parameters(), clip)
        norm = float(found)
        skip = self.world.any(not math.isfinite(norm))
        if not skip:
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.skipped = self.skipped + 1 if skip else 0
        if self.skipped == FEW:
            raise ValueError(
                f"the gradients of {FEW} updates in a row were not finite, and none of them was applied; lower "
                "--learning-rate, and look at the rewards and at --kl; the last checkpoint is whole"
            )
        return None if skip else norm

    def _divisor(self, trained: torch.Tensor) -> float:
        """What the summed loss of a minibatch is divided by: over all processes, so that every token weighs alike."""
        responses = max(1.0, self.world.sum(float(trained.any(1).sum())))
        match self.config.aggregation:
            case "token":
                return max(1.0, self.world.sum(float(trained.sum())))
            case "sequence":
                return responses
            case _:
                return responses * self._longest
