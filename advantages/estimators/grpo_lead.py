"""GRPO-LEAD (Zhang and Zuo, 2025, arXiv:2504.09696)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative, Range
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import sigmoid, where
from ..ops.groupwise import group_mean, group_zscore
from ..spec import per_group


@per_group
def spec(
    r: Vector,
    *,
    least: float = 0.4,
    most: float = 1.5,
    steepness: float = 10.0,
    turn: float = 0.75,
    epsilon: float = 1e-6,
) -> Vector:
    if r.max() == r.min():
        return 0.0 * r
    z = (r - r.mean()) / (r.std(ddof=1) + epsilon)
    easy = np.where(z > 0, r.mean(), 1 - r.mean())
    return z * (least + (most - least) / (1 + np.exp(steepness * (easy - turn))))


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "GRPO-LEAD: a difficulty-aware reinforcement learning approach for concise mathematical reasoning in language "
        "models",
        "Zhang and Zuo",
        2025,
        "2504.09696",
    ),
    promises=Promises(monotone=True),
    ranges={"rewards": Range(0.0, 1.0)},
)
def grpo_lead(
    rewards: A,
    groups: Ids,
    *,
    least: NonNegative = 0.4,
    most: NonNegative = 1.5,
    steepness: NonNegative = 10.0,
    turn: float = 0.75,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO, where a right response to a hard prompt and a wrong one to an easy prompt weigh more.

        A_i = z_i w(p) if z_i > 0, else z_i w(1 - p),    w(x) = least + (most - least) / (1 + exp(steepness (x - turn)))

    z is GRPO's advantage and p the group's mean reward. Not zero-sum. The paper's length term is a matter of the
    reward, and not part of this.

    Args:
        rewards: (N,) outcome reward of each response, between 0 and 1.
        groups: (N,) ids, equal where responses answer the same prompt.
        least, most: ends of the weight.
        steepness, turn: where the weight falls, and how fast.
        epsilon: added to the deviation.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    Raises:
        ValueError: a reward is not between 0 and 1.

    >>> import numpy as np
    >>> grpo_lead(np.array([1.0] + [0.0] * 7), groups=8)[:2].round(3)  # 2.475 w(1/8) and -0.354 w(7/8)
    array([ 3.707, -0.228])
    """
    z: Any = group_zscore(rewards, groups, epsilon=epsilon)
    p: Any = group_mean(rewards, groups)
    easy = where(z > 0, p, 1.0 - p)
    return z * (least + (most - least) * sigmoid(steepness * (turn - easy)))
