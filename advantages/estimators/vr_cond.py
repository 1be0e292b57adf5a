"""MaxRL's conditional form with reduced variance (Tajwar et al., 2026, arXiv:2602.02710)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import LIKELIHOOD_OF_GROUP
from ..core.promises import Bound, Promises
from ..core.settings import Range
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, where
from ..ops.groupwise import group_count, group_sum
from ..spec import per_group


@per_group
def spec(r: Vector) -> Vector:
    n, c = len(r), r.sum()
    return np.where(r == 1, (n - c) / (max(c, 1) * n), -1 / n)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("Maximum likelihood reinforcement learning", "Tajwar et al.", 2026, "2602.02710"),
    promises=Promises(
        equals_get_zero=False,
        monotone=True,
        bound=Bound("1", lambda n: 1.0),
        unbiased=Bound("1/n", lambda n: 1 / n),
        objective=LIKELIHOOD_OF_GROUP,
    ),
    ranges={"rewards": Range(0.0, 1.0, whole=True)},
)
def vr_cond(rewards: A, groups: Ids, **options: Unpack[GroupOptions]) -> A:
    """`maxrl` over n, except that groups that are all wrong are pushed down.

        right:  (n - c) / (c n),    wrong:  -1/n,    c right of n

    Such a push keeps the mean over groups unbiased; SkyRL's and prime-rl's MaxRL give those groups 0, as `maxrl` does.

    Args:
        rewards: (N,) 1 where the response is right, else 0.
        groups: (N,) ids, equal where responses answer the same prompt.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds 1.

    Raises:
        ValueError: a reward is neither 0 nor 1.

    >>> import numpy as np
    >>> vr_cond(np.array([1.0, 0.0, 0.0, 0.0]), ["a", "a", "b", "b"])
    array([ 0.5, -0.5, -0.5, -0.5])
    """
    n: Any = group_count(rewards, groups)
    right: Any = group_sum(rewards, groups)
    return where(rewards > 0.5, (n - right) / at_least(right, 1.0), -1.0) / n
