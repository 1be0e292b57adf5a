"""A step's responses, of all processes, and what is read off them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..core.groups import Groups
from ..ops import masked_mean
from ..policy.rollout import Rollout, joined
from ..rewards import Scores
from ..tasks.problem import Problem

__all__ = [
    "Batch",
    "accuracy",
    "concatenated",
    "examples",
    "informative",
    "known",
    "mean",
    "of_groups",
    "useful_groups",
]


class Batch(NamedTuple):
    """A step's responses, of all processes, group after group."""

    problems: list[Problem]
    groups: Any
    rollout: Rollout
    scores: Scores
    rewards: torch.Tensor
    """(N,) float64 totals, NaN where unscored."""
    replaced: int
    """Groups of equal rewards that were sampled, and replaced."""


def known(x: float) -> float | None:
    """A number as a record holds it: None where there is none."""
    return x if math.isfinite(x) else None


def mean(x: Any) -> float | None:
    """The mean over scored rows; None where none is."""
    scored = np.isfinite(x)
    return float(masked_mean(x, scored)) if scored.any() else None


def accuracy(verdicts: Any) -> float | None:
    """The mean of a reward over scored rows; None where none is, or where it is no verdict of 0 or 1."""
    return mean(verdicts) if np.isin(verdicts[np.isfinite(verdicts)], (0, 1)).all() else None


def useful_groups(rewards: torch.Tensor, group_size: int) -> torch.Tensor:
    """(groups,) bool: whether two scored responses of a group differ."""
    table = rewards.view(-1, group_size)
    scored = table.isfinite()
    low = table.masked_fill(~scored, math.inf).amin(1)
    high = table.masked_fill(~scored, -math.inf).amax(1)
    return high > low


def informative(rewards: torch.Tensor, groups: Groups) -> float | None:
    """The share of groups, of those with a scored response, whose rewards differ; None where no response is scored."""
    size = groups.size or 1
    scored = rewards.isfinite().view(-1, size).any(1)
    return float(useful_groups(rewards, size)[scored].float().mean()) if bool(scored.any()) else None


def examples(step: int, batch: Batch, advantages: torch.Tensor, count: int = 4) -> list[dict[str, Any]]:
    """The first responses to a step's first prompt, for the record; a reward is None where there is none.

    Of an estimator that gives each token its own, the advantage is the mean over the response.
    """
    mask = batch.rollout.mask
    rows = range(min(count, batch.groups.size or count, len(batch.problems)))
    return [
        {
            "step": step,
            "prompt": batch.problems[row].prompt,
            "answer": batch.problems[row].answer,
            "response": batch.rollout.texts[row],
            "reward": known(float(batch.rewards[row])),
            "scores": dict(zip(batch.scores.names, map(known, batch.scores.values[row].tolist()), strict=True)),
            "advantage": float(masked_mean(advantages[row], mask[row]) if advantages.ndim == 2 else advantages[row]),
            "tokens": int(mask[row].sum()),
            "truncated": bool(batch.rollout.truncated[row]),
        }
        for row in rows
    ]


def of_groups(batch: Batch, keep: torch.Tensor, group_size: int) -> Batch:
    """The groups that are kept."""
    rows = keep.repeat_interleave(group_size).nonzero().flatten()
    index = rows.tolist()
    return batch._replace(
        problems=[batch.problems[i] for i in index],
        rollout=batch.rollout.rows(rows),
        scores=batch.scores._replace(values=batch.scores.values[index]),
        rewards=batch.rewards[rows],
    )


def concatenated(batches: Sequence[Batch], group_size: int, pad: int, replaced: int) -> Batch:
    """Several batches as one."""
    problems = [problem for batch in batches for problem in batch.problems]
    return Batch(
        problems,
        Groups.of_size(group_size, len(problems)),
        joined([batch.rollout for batch in batches], pad),
        batches[-1].scores._replace(values=np.concatenate([batch.scores.values for batch in batches])),
        torch.cat([batch.rewards for batch in batches]),
        replaced,
    )
