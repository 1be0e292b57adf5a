"""Negative-enhanced GRPO (Nan et al., 2025, arXiv:2509.18851)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import namespace, where, with_finite_squares
from ..ops.groupwise import group_count, group_sum
from ..spec import per_group


@per_group
def spec(r: Vector, *, best: float = 1.0, epsilon: float = 1e-6) -> Vector:
    with_best = np.append(r, best)
    if np.ptp(with_best) == 0:
        return 0.0 * r
    return (r - with_best.mean()) / (with_best.std(ddof=1) + epsilon)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("NGRPO: negative-enhanced group relative policy optimization", "Nan et al.", 2025, "2509.18851"),
    promises=Promises(equals_get_zero=False, monotone=True),
)
def ngrpo(
    rewards: A, groups: Ids, *, best: float = 1.0, epsilon: NonNegative = 1e-6, **options: Unpack[GroupOptions]
) -> A:
    """GRPO with one more, imagined response in every group, which has the best reward there is.

        A_i = (r_i - mean(r, best)) / (std(r, best) + epsilon)

    On purpose it is not zero-sum, and pushes groups that are all wrong, by -0.447 for four responses; groups that all
    have `best` get 0. Its paper steadies it with a clip that is tighter below (0.16) than above (0.24).

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        best: largest reward that a response can have; one above it is no error, and makes the imagined response worse.
        epsilon: added to the deviation.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> ngrpo(np.array([0.0, 0.0, 0.0, 0.0]), groups=4).round(3)  # (0 - 1/5) / sqrt(1/5)
    array([-0.447, -0.447, -0.447, -0.447])
    """
    rewards = with_finite_squares(rewards)
    n: Any = group_count(rewards, groups)
    below: Any = rewards - best  # distances from the imagined response, whose own is 0
    mean: Any = group_sum(below, groups) / (n + 1)
    squares = group_sum((below - mean) * (below - mean), groups) + mean * mean
    std = namespace(rewards).sqrt(squares / n)
    return (below - mean) / where(std > 0, std + epsilon, 1.0)
