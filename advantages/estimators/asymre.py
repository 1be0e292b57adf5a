"""Asymmetric REINFORCE (Arnal et al., 2025, arXiv:2506.20520)."""

from typing import Literal, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import where, with_finite_squares
from ..ops.groupwise import group_centered, group_max, group_min
from ..spec import per_group


@per_group
def spec(r: Vector, *, shift: float = -0.1, equals: str = "zero") -> Vector:
    if equals == "zero" and r.max() == r.min():
        return 0.0 * r
    return r - (r.mean() + shift)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Asymmetric REINFORCE for off-policy reinforcement learning: balancing positive and negative rewards",
        "Arnal et al.",
        2025,
        "2506.20520",
    ),
    promises=Promises(shift_invariant=True, monotone=True),
)
def asymre(
    rewards: A,
    groups: Ids,
    *,
    shift: float = -0.1,
    equals: Literal["zero", "push"] = "zero",
    **options: Unpack[GroupOptions],
) -> A:
    """Reward above the group's mean plus a shift; below 0, it leans on successes, which off-policy data need.

        A_i = r_i - (mean(r) + shift)

    The published form pushes groups of equal rewards, too, right or wrong alike, by -shift: that is `equals="push"`.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        shift: of the baseline, in units of reward.
        equals: what a group of equal rewards gets: "zero", or the "push".

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> asymre(np.array([1.0, 0.0, 5.0, 5.0]), ["a", "a", "b", "b"])
    array([ 0.6, -0.4,  0. ,  0. ])
    """
    rewards = with_finite_squares(rewards)
    advantages = group_centered(rewards, groups) - shift
    if equals == "push":
        return advantages
    return where(group_max(rewards, groups) > group_min(rewards, groups), advantages, 0.0)
