"""REINFORCE++ with a group baseline (Hu et al., 2025, arXiv:2501.03262)."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import MinScored, NonNegative
from ..core.types import A, Array, BatchOptions, Ids, Singleton, Vector
from ..ops.groupwise import group_centered, small_groups
from ..ops.statistics import Weight, whiten
from ..spec import per_responses, whitened
from .dr_grpo import spec as dr_grpo_spec


@per_responses
def spec(
    r: list[float],
    *,
    groups: Sequence[Hashable],
    lengths: list[int],
    singleton: str = "zero",
    min_scored: int = 2,
    weight: str = "tokens",
    epsilon: float = 1e-6,
    ddof: int = 1,
) -> list[Vector]:
    above = dr_grpo_spec(rewards=np.array(r), groups=groups, singleton=singleton, min_scored=min_scored)
    rows = [np.full(n, a) for n, a in zip(lengths, above, strict=True)]
    return whitened(rows, weight=weight, epsilon=epsilon, ddof=ddof)


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "REINFORCE++: an efficient RLHF algorithm with robustness to both prompt and reward models",
        "Hu et al.",
        2025,
        "2501.03262",
    ),
    promises=Promises(spans_batch=True, shift_invariant=True, scale="invariant"),
)
def reinforce_plus_plus_baseline(
    rewards: A,
    groups: Ids,
    mask: Array,
    *,
    weight: Weight = "tokens",
    epsilon: NonNegative = 1e-6,
    ddof: Literal[0, 1] = 1,
    singleton: Singleton = "zero",
    min_scored: MinScored = 2,
    **options: Unpack[BatchOptions],
) -> A:
    """Reward above the group's mean, whitened over all trained tokens of the batch.

        A_it = (a_i - mean(a)) / (std(a) + epsilon),    a_i = r_i - mean(r)

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        weight: statistics count all "tokens" alike, or all "responses" alike, whatever their lengths.
        epsilon: added to the deviation.
        ddof: 1 for the sample deviation, 0 for the population's.
        singleton: what a response that is alone in its group has before whitening: "zero", "raw" (its reward) or
            "error".
        min_scored: scored responses below which a group counts as small.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> reinforce_plus_plus_baseline(np.array([1.0, 0.0]), ["a", "a"], np.ones((2, 2), bool)).round(3)
    array([[ 0.866,  0.866],
           [-0.866, -0.866]])
    """
    above: Any = group_centered(rewards, groups)
    above = small_groups("reinforce_plus_plus_baseline", above, rewards, groups, singleton, min_scored)
    counts: Any = mask.sum(1) * 1.0  # type: ignore[attr-defined]
    counts = counts if weight == "tokens" else counts.clip(None, 1.0)
    white: Any = whiten(above, counts=counts, ddof=ddof, epsilon=epsilon)
    return white[:, None]
