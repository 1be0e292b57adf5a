"""Group ordinal policy optimization (arXiv:2602.03876)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least
from ..ops.groupwise import group_count, group_ranks
from ..spec import per_group


@per_group
def spec(r: Vector) -> Vector:
    ranks = np.array([1 + np.sum(r > x) + (np.sum(r == x) - 1) / 2 for x in r])
    return 2 - 4 * (ranks - 1) / (len(r) - 1)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("GOPO: policy optimization using ranked rewards", "unknown", 2026, "2602.03876"),
    promises=Promises(
        zero_sum=True, shift_invariant=True, scale="invariant", monotone=True, bound=Bound("2", lambda n: 2.0)
    ),
)
def gopo(rewards: A, groups: Ids, **options: Unpack[GroupOptions]) -> A:
    """The rank of a reward in its group, from 2 for the best to -2 for the worst: only the order of rewards counts.

        A_i = 2 - 4 (rank_i - 1) / (n - 1),    rank 1 is the best; equal rewards share the mean of their ranks

    The authors' code breaks ties by position, so that four equal rewards get 2, 0.67, -0.67 and -2; that form depends
    on the order of rows, and is not offered.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds 2.

    >>> import numpy as np
    >>> gopo(np.array([0.1, 7.0, 0.1, 0.5, 0.2]), groups=5)
    array([-1.5,  2. , -1.5,  1. ,  0. ])
    """
    n: Any = group_count(rewards, groups)
    below: Any = group_ranks(rewards, groups)
    return (4.0 * below - 2.0 * (n - 1)) / at_least(n - 1, 1.0)
