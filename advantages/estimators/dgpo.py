"""Difficulty-aware group policy optimization, of MathForge (arXiv:2601.20614)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import NonNegative
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import namespace, where
from ..ops.groupwise import group_centered, group_count, group_sum
from ..spec import per_group


@per_group
def spec(r: Vector, *, epsilon: float = 1e-6) -> Vector:
    if r.max() == r.min():
        return 0.0 * r
    return len(r) * (r - r.mean()) / (np.abs(r - r.mean()).sum() + epsilon)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Harder is better: boosting mathematical reasoning via difficulty-aware GRPO", "Dai et al.", 2026, "2601.20614"
    ),
    promises=Promises(
        zero_sum=True, shift_invariant=True, scale="invariant", monotone=True, bound=Bound("n/2", lambda n: n / 2)
    ),
)
def dgpo(rewards: A, groups: Ids, *, epsilon: NonNegative = 1e-6, **options: Unpack[GroupOptions]) -> A:
    """Reward above the group's mean, in units of the mean absolute deviation: every live group pushes alike in sum.

        A_i = n (r_i - mean(r)) / (sum over j of |r_j - mean(r)| + epsilon)

    The sum of |A| is n in every group whose rewards differ, where GRPO's is largest for groups that are half right.
    The authors also weigh groups against each other, by difficulty and by tokens; that belongs into the loss, and is
    not part of this.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        epsilon: added to the sum; the authors have 1e-4.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds n / 2.

    >>> import numpy as np
    >>> dgpo(np.array([1.0, 0.0, 0.0, 0.0]), groups=4, epsilon=0.0).round(3)  # 4 * 3/4 over 3/4 + 3 * 1/4
    array([ 2.   , -0.667, -0.667, -0.667])
    """
    n: Any = group_count(rewards, groups)
    centered: Any = group_centered(rewards, groups)
    total: Any = group_sum(namespace(rewards).abs(centered), groups)
    return n * centered / where(total > 0, total + epsilon, 1.0)
