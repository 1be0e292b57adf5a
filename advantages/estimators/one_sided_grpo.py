"""One-sided GRPO, of the MaxRL code (Tajwar et al., 2026, arXiv:2602.02710)."""

from math import sqrt
from typing import Any, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative, Range
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, namespace, where, with_finite_squares
from ..ops.groupwise import group_centered, group_mean
from ..spec import per_group


@per_group
def spec(r: Vector, *, epsilon: float = 1e-6) -> Vector:
    if r.max() == r.min():
        return 0.0 * r
    return (r - r.mean()) / (sqrt(r.mean()) + epsilon)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Maximum likelihood reinforcement learning", "Tajwar et al.", 2026, "2602.02710", note="in the authors' code"
    ),
    promises=Promises(zero_sum=True, monotone=True),
    ranges={"rewards": Range(0.0, float("inf"))},
)
def one_sided_grpo(rewards: A, groups: Ids, *, epsilon: NonNegative = 1e-6, **options: Unpack[GroupOptions]) -> A:
    """Reward above the group's mean, over the root of the mean: between Dr. GRPO and `maxrl`.

        A_i = (r_i - mean(r)) / (sqrt(mean(r)) + epsilon)

    GRPO's deviation is sqrt(p (1 - p)) for verdicts; this keeps the half of it that lifts hard prompts, and drops the
    half that lifts easy ones.

    Args:
        rewards: (N,) outcome reward of each response, at least 0.
        groups: (N,) ids, equal where responses answer the same prompt.
        epsilon: added to the root.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    Raises:
        ValueError: a reward is below 0.

    >>> import numpy as np
    >>> one_sided_grpo(np.array([1.0, 0.0, 0.0, 0.0]), groups=4).round(3)
    array([ 1.5, -0.5, -0.5, -0.5])
    """
    rewards = with_finite_squares(rewards)
    mean: Any = at_least(group_mean(rewards, groups), 0.0)
    return group_centered(rewards, groups) / where(mean > 0, namespace(rewards).sqrt(mean) + epsilon, 1.0)
