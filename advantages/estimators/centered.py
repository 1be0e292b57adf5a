"""Centring and scaling chosen freely, as AReaL and ROLL have it (LitePPO: Liu et al., 2025, arXiv:2508.08221)."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.groups import Groups
from ..core.promises import Promises
from ..core.settings import MinScored, NonNegative
from ..core.types import A, BatchOptions, Ids, Singleton, Vector
from ..ops.elementwise import at_least, where
from ..ops.groupwise import group_centered, group_count, group_std, group_std_of_others, small_groups
from ..spec import per_batch


@per_batch
def spec(
    r: Vector,
    *,
    groups: Sequence[Hashable],
    center: str = "group",
    scale: str = "batch",
    epsilon: float = 1e-6,
    ddof: int = 1,
    singleton: str = "zero",
    min_scored: int = 2,
) -> Any:
    def std(x: Vector) -> float:
        return float(x.std(ddof=ddof)) if len(x) > ddof and np.ptp(x) > 0 else 0.0

    a, spread = np.zeros(len(r)), np.zeros(len(r))
    for i in range(len(r)):
        mine = np.array([group == groups[i] for group in groups])
        others = mine & (np.arange(len(r)) != i)
        n = mine.sum()
        mean_of_others = r[others].mean() if others.any() else r[i]
        a[i] = r[i] - {"none": 0.0, "group": r[mine].mean(), "others": mean_of_others, "batch": r.mean()}[center]
        a[i] = 0.0 if center in ("group", "others") and np.ptp(r[mine]) == 0 else a[i]
        spread[i] = {
            "none": 0.0,
            "group": std(r[mine]),
            "others": std(r[others]),
            "about others": std(r[mine]) * n / max(n - 1, 1),
            "batch": std(r),
            "batch of centered": 0.0,
        }[scale]
    if scale == "batch of centered":
        spread[:] = std(a)
    a = a / np.where(spread > 0, spread + epsilon, 1.0)
    if center in ("group", "others") or scale in ("group", "others", "about others"):
        for i in range(len(r)):
            if sum(group == groups[i] for group in groups) < min_scored:
                a[i] = r[i] if singleton == "raw" else 0.0
    return a


@estimator(
    spec=spec,
    paper=Paper("Part I: tricks or traps? A deep dive into RL for LLM reasoning", "Liu et al.", 2025, "2508.08221"),
    promises=Promises(spans_batch=True, zero_sum=True, scale="invariant", monotone=True),
)
def centered(
    rewards: A,
    groups: Ids,
    *,
    center: Literal["group", "others", "batch", "none"] = "group",
    scale: Literal["batch", "batch of centered", "group", "others", "about others", "none"] = "batch",
    epsilon: NonNegative = 1e-6,
    ddof: Literal[0, 1] = 1,
    singleton: Singleton = "zero",
    min_scored: MinScored = 2,
    **options: Unpack[BatchOptions],
) -> A:
    """Reward above a mean, in units of a deviation, each of the group, of the others in it, or of the batch.

        A_i = (r_i - center) / (scale + epsilon),    not divided where the deviation is 0

    | center | scale | is |
    |---|---|---|
    | group | batch | LitePPO; TRL's scale_rewards="batch" (the default) |
    | group | batch of centered | ms-swift's reinforce_plus_plus |
    | others | others | NeMo RL's default |
    | others | about others | AReaL's mean_leave1out with a deviation |
    | batch | batch | ROLL's and AReaL's batch; rllm's PRPO |
    | group | group | `grpo`, which is quicker |

    "others" is the deviation of the others in the group, and so unbounded: a lone winner among nearly equal others
    gets as much as they are equal. It is formed without cancelling, and is 0, so that nothing is divided, where they
    are equal (NeMo RL's code gave 172,196 there until September 2026).

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        center: what is subtracted.
        scale: what divides; "batch of centered" is the deviation of what is left after the subtraction.
        epsilon: added to the deviation.
        ddof: 1 for sample deviations, 0 for the population's.
        singleton: what a response that is alone in its group gets, if the group matters: "zero", "raw" (its reward) or
            "error".
        min_scored: scored responses below which a group counts as small.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> centered(np.array([1.0, 0.0, 5.0, 5.0]), ["a", "a", "b", "b"], epsilon=0.0).round(3)  # std of all: 2.63
    array([ 0.19, -0.19,  0.  ,  0.  ])
    """
    if not rewards.shape[0]:
        return rewards
    ids: Any = groups
    batch = Groups.of_size(rewards.shape[0], rewards.shape[0]).where(ids.scored)
    n: Any = group_count(rewards, ids)
    if center == "none":
        above: Any = rewards
    else:
        above = group_centered(rewards, batch if center == "batch" else ids)
        above = above * (n / at_least(n - 1, 1.0)) if center == "others" else above
    if scale != "none":
        std: Any
        if scale == "others":
            std = group_std_of_others(rewards, ids, ddof=ddof)
        elif scale == "batch of centered":
            std = group_std(above, batch, ddof=ddof)
        else:
            std = group_std(rewards, batch if scale == "batch" else ids, ddof=ddof)
            std = std * (n / at_least(n - 1, 1.0)) if scale == "about others" else std
        above = above / where(std > 0, std + epsilon, 1.0)
    if center in ("group", "others") or scale in ("group", "others", "about others"):
        above = small_groups("centered", above, rewards, ids, singleton, min_scored)
    return above
