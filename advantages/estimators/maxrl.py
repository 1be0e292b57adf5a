"""Maximum likelihood reinforcement learning (Tajwar et al., 2026, arXiv:2602.02710)."""

from typing import Any, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import LIKELIHOOD
from ..core.promises import Bound, Promises
from ..core.settings import NonNegative, Range
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import where
from ..ops.groupwise import group_centered, group_mean
from ..spec import per_group


@per_group
def spec(r: Vector, *, epsilon: float = 0.0) -> Vector:
    if r.max() == r.min():
        return 0.0 * r
    return (r - r.mean()) / (r.mean() + epsilon)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("Maximum likelihood reinforcement learning", "Tajwar et al.", 2026, "2602.02710"),
    promises=Promises(
        zero_sum=True, scale="invariant", monotone=True, bound=Bound("n - 1", lambda n: n - 1.0), objective=LIKELIHOOD
    ),
    ranges={"rewards": Range(0.0, float("inf"))},
)
def maxrl(rewards: A, groups: Ids, *, epsilon: NonNegative = 0.0, **options: Unpack[GroupOptions]) -> A:
    """Reward above the group's mean, in units of that mean: rare success weighs most.

        A_i = (r_i - mean(r)) / (mean(r) + epsilon)

    For verdicts it climbs the log-likelihood of a right answer, of which the expected reward is the first term; see
    `maxrl_of_order` for the terms between. A group without reward gets 0. Rewards below 0 are refused: a mean near 0
    then divides what does not vanish (SkyRL gives [1, -1] advantages of a million, and punishes the better of [0, -1]).

    Args:
        rewards: (N,) outcome reward of each response, at least 0.
        groups: (N,) ids, equal where responses answer the same prompt.
        epsilon: added to the mean; prime-rl has 0, SkyRL 1e-6.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds n - 1.

    Raises:
        ValueError: a reward is below 0.

    >>> import numpy as np
    >>> maxrl(np.array([1.0, 0.0, 0.0, 0.0]), groups=4)
    array([ 3., -1., -1., -1.])
    """
    mean: Any = group_mean(rewards, groups)
    return group_centered(rewards, groups) / where(mean > 0, mean + epsilon, 1.0)
