"""A step's advantages: what the loop hands to an estimator, word by word."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..core.definition import Definition
from ..host import estimate
from ..ops import sequence_logprobs
from ..runs.config import Config
from .batch import Batch
from .checks import at_the_end, options_of
from .distributed import Distributed

__all__ = ["advantages_of"]


def advantages_of(
    batch: Batch,
    own_old: torch.Tensor,
    own_entropies: torch.Tensor,
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
        own_entropies: (n, T) of the policy that `own_old` is of, in nats.
        config: names the estimator, its settings, and what happens to truncated responses.
        estimator, definition: what that name stands for.
        world: the processes.

    Raises:
        ValueError: they are not finite.
    """
    mask, scores = batch.rollout.mask, batch.scores
    rewards = values = batch.rewards  # in float64: what rewards differ by may be less than float32 holds
    if definition.by_component:
        values = torch.from_numpy(scores.values).to(mask.device, rewards.dtype)

    def everyones(x: torch.Tensor | None) -> torch.Tensor:
        assert x is not None
        return world.join_rows(x)

    supply: Mapping[str, Callable[[], Any]] = {
        "rewards": lambda: values,
        "groups": lambda: batch.groups,
        "logprobs": lambda: sequence_logprobs(everyones(own_old), mask),
        "mask": lambda: mask,
        "token_rewards": lambda: at_the_end(rewards, mask),
        "token_logprobs": lambda: everyones(own_old),
        "token_entropies": lambda: everyones(own_entropies),
        "ref_token_logprobs": lambda: everyones(own_reference),
        "lengths": lambda: mask.sum(1),
        "valid": lambda: ~batch.rollout.truncated if config.truncated == "drop" else None,
    }
    options = options_of(config, definition, scores.names, [float(weight) for weight in scores.weights])
    advantages: torch.Tensor = estimate(estimator, supply, options)
    return advantages
