"""A step's advantages: what the loop hands to an estimator, word by word."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..core.definition import Definition
from ..host import estimate
from ..ops import sequence_logprobs
from ..runs.config import Config
from .batch import Batch
from .distributed import Distributed

__all__ = ["advantages_of"]


def advantages_of(
    batch: Batch,
    own_old: torch.Tensor,
    own_reference: torch.Tensor | None,
    *,
    config: Config,
    estimator: Callable[..., Any],
    definition: Definition,
    world: Distributed,
) -> torch.Tensor:
    """(N,) or (N, T) advantages of a batch, of all processes.

    Args:
        batch: of all processes.
        own_old, own_reference: (n, T) log-probabilities of this process's responses.
        config: names the estimator, its settings, and what happens to truncated responses.
        estimator, definition: what that name stands for.
        world: the processes.

    Raises:
        ValueError: they are not finite.
    """
    mask, rewards = batch.rollout.mask, batch.rewards
    dtype = rewards.dtype  # float64: what rewards differ by may be less than float32 holds
    options = dict(config.options)
    values = rewards
    if any(len(shape) == 2 for shape in definition.shapes.get("rewards", ())):
        values = torch.from_numpy(batch.scores.values).to(mask.device, dtype)
        own = {"components": list(batch.scores.names), "weights": [float(w) for w in batch.scores.weights]}
        options = {**{name: x for name, x in own.items() if name in definition.settings}, **options}

    def at_the_end() -> torch.Tensor:
        last = (mask.sum(1, keepdim=True) - 1).clamp(min=0)
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).scatter(1, last, rewards[:, None])

    def everyones(x: torch.Tensor | None) -> torch.Tensor:
        assert x is not None
        return world.join_rows(x)

    supply: Mapping[str, Callable[[], Any]] = {
        "rewards": lambda: values,
        "groups": lambda: batch.groups,
        "logprobs": lambda: sequence_logprobs(everyones(own_old), mask),
        "mask": lambda: mask,
        "token_rewards": at_the_end,
        "token_logprobs": lambda: everyones(own_old),
        "ref_token_logprobs": lambda: everyones(own_reference),
        "lengths": lambda: mask.sum(1),
        "valid": lambda: ~batch.rollout.truncated if config.truncated == "drop" else None,
    }
    advantages: torch.Tensor = estimate(estimator, supply, options)
    if not bool(advantages.isfinite().all()):
        raise ValueError(f"{config.estimator} returned advantages that are not finite; see `advantages check`")
    return advantages
