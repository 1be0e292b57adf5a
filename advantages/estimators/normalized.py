"""Centring and scaling chosen freely, as AReaL and ROLL have it (LitePPO: Liu et al., 2025, arXiv:2508.08221)."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import MinScored, NonNegative
from ..core.types import A, BatchOptions, Ids, Singleton, Vector
from ..ops.elementwise import at_least, where
from ..ops.groupwise import group_centered, group_count, group_std, group_std_of_others, small_groups
from ..ops.statistics import moments
from ..spec import per_batch

Center = Literal["group", "others", "batch", "none"]
Scale = Literal["group", "others", "about_others", "batch", "batch_of_centered", "none"]


@per_batch
def spec(
    r: Vector,
    *,
    groups: Sequence[Hashable],
    center: str = "group",
    scale: str = "group",
    epsilon: float = 1e-6,
    ddof: int = 1,
    singleton: str = "zero",
    min_scored: int = 2,
) -> Vector:
    def deviation(x: Vector) -> float:
        return 0.0 if len(x) <= ddof or np.ptp(x) == 0 else float(x.std(ddof=ddof))

    mine = [np.array([r[j] for j in range(len(r)) if groups[j] == groups[i]]) for i in range(len(r))]
    others = [np.array([r[j] for j in range(len(r)) if groups[j] == groups[i] and j != i]) for i in range(len(r))]
    means = {
        "group": [x.mean() for x in mine],
        "others": [x.mean() if len(x) else r_i for x, r_i in zip(others, r, strict=True)],
        "batch": [r.mean()] * len(r),
        "none": [0.0] * len(r),
    }
    centered = r - np.array(means[center])
    deviations = {
        "group": [deviation(x) for x in mine],
        "others": [deviation(x) for x in others],
        "about_others": [deviation(x) * len(x) / max(len(x) - 1, 1) for x in mine],
        "batch": [deviation(r)] * len(r),
        "batch_of_centered": [deviation(centered)] * len(r),
        "none": [0.0] * len(r),
    }[scale]
    result = np.array([c / (s + epsilon) if s > 0 else c for c, s in zip(centered, deviations, strict=True)])
    if not _by_group(center, scale):
        return result
    small = np.array([len(x) < min_scored for x in mine])
    return np.where(small, r if singleton == "raw" else 0.0, result)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("Tricks or traps? A deep dive into RL for LLM reasoning", "Liu et al.", 2025, "2508.08221"),
    promises=Promises(spans_batch=True),
)
def normalized(
    rewards: A,
    groups: Ids,
    *,
    center: Center = "group",
    scale: Scale = "group",
    epsilon: NonNegative = 1e-6,
    ddof: Literal[0, 1] = 1,
    singleton: Singleton = "zero",
    min_scored: MinScored = 2,
    **options: Unpack[BatchOptions],
) -> A:
    """Reward above a mean, in units of a deviation, each of one's own choice.

        A_i = (r_i - mean) / (std + epsilon);    undivided where std is 0

    GRPO is ("group", "group"), Dr. GRPO ("group", "none"), RLOO ("others", "none"), LitePPO ("group", "batch").

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        center: the mean of the whole "group", of its "others", of the "batch", or "none".
        scale: the deviation of the "group"; of its "others", as NeMo-RL has it; of the group "about_others", about the
            mean of the others, as AReaL has it; of the rewards of the "batch"; "batch_of_centered", of what was
            centred; or "none".
        epsilon: added to the deviation.
        ddof: 1 for the sample deviation, 0 for the population's.
        singleton: what a response that is alone in its group has: "zero", "raw" (its reward) or "error"; nothing
            special where neither the mean nor the deviation is a group's.
        min_scored: scored responses below which a group counts as small.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> rewards, groups = np.array([3.0, 1.0, 5.0, 3.0]), ["a", "a", "b", "b"]
    >>> normalized(rewards, groups, center="others", scale="none")
    array([ 2., -2.,  2., -2.])
    >>> normalized(rewards, groups, scale="batch", ddof=0, epsilon=0.0).round(3)
    array([ 0.707, -0.707,  0.707, -0.707])
    """
    above: Any = group_centered(rewards, groups)
    n = group_count(rewards, groups)
    more: Any = n / at_least(n - 1, 1)
    scored = groups.scored  # type: ignore[union-attr]
    batch = moments(rewards, scored)
    if center == "batch":
        centered: Any = rewards - batch.origin - batch.mean
    else:
        centered = rewards if center == "none" else above * (more if center == "others" else 1.0)
    if scale == "none":
        result = centered
    else:
        if scale == "group":
            std: Any = group_std(rewards, groups, ddof=ddof)
        elif scale == "others":
            std = group_std_of_others(rewards, groups, ddof=ddof)
        elif scale == "about_others":
            std = group_std(rewards, groups, ddof=ddof) * more
        else:
            std = (batch if scale == "batch" else moments(centered, scored)).std(ddof)
        result = centered / where(std > 0, std + epsilon, 1.0)
    if not _by_group(center, scale):
        return result
    return small_groups("normalized", result, rewards, groups, singleton, min_scored)


def _by_group(center: str, scale: str) -> bool:
    """Whether groups matter at all."""
    return center in ("group", "others") or scale in ("group", "others", "about_others")
