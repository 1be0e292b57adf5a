"""Dr. GRPO with a length penalty that grows with the pass rate, as in prime-rl (no paper)."""

from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, where
from ..ops.groupwise import group_centered, group_count, group_max, group_min, group_sum
from ..spec import per_group


@per_group
def spec(r: Vector, l: Vector, *, weight: float = 0.25, equals: str = "zero") -> Vector:  # noqa: E741
    if equals == "zero" and r.max() == r.min():
        return 0.0 * r
    penalized = r - max(r.mean(), 0) * weight * l / max(l.max(), 1)
    return penalized - np.mean(penalized)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("prime-rl", "Prime Intellect", 2026, venue="prime-rl 559b4477", note="no paper"),
    promises=Promises(zero_sum=True, scale="equivariant"),
)
def length_penalized_grpo(
    rewards: A,
    groups: Ids,
    lengths: Array,
    *,
    weight: NonNegative = 0.25,
    equals: Literal["zero", "push"] = "zero",
    **options: Unpack[GroupOptions],
) -> A:
    """Reward above the group's mean, after a penalty on length that counts most where most responses succeed.

        A_i = r'_i - mean(r'),    r'_i = r_i - max(mean(r), 0) * weight * l_i / max(l)

    The published code lets the mean be negative, where the penalty becomes a bonus for length, and weighs input tokens
    and turns, too.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        lengths: (N,) trained tokens in each response.
        weight: of the longest response's penalty, in units of the mean reward.
        equals: what a group of equal rewards gets: "zero", or the "push" to shorter responses, as published.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> length_penalized_grpo(np.array([1.0, 0.0]), ["a", "a"], np.array([10, 20]))  # 1 - 1/16 and 0 - 1/8
    array([ 0.53125, -0.53125])
    """
    mean: Any = at_least(group_sum(rewards, groups) / group_count(rewards, groups), 0.0)
    longest: Any = at_least(group_max(lengths, groups), 1.0)
    advantages: Any = group_centered(rewards - mean * (weight / longest) * lengths, groups)
    if equals == "push":
        return advantages
    return where(group_max(rewards, groups) > group_min(rewards, groups), advantages, 0.0)
