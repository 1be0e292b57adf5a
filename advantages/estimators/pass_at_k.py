"""Pass@k training, analytic (Chen et al., 2025, arXiv:2508.10751)."""

from math import comb, sqrt
from typing import Annotated, Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import BEST_OF_K
from ..core.promises import Promises
from ..core.settings import NonNegative, Range
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, namespace, where
from ..ops.groupwise import group_count, group_sum
from ..ops.refusals import fits_a_group
from ..spec import per_group


@per_group
def spec(r: Vector, *, k: int = 2, epsilon: float = 1e-6) -> Vector:
    n, c = len(r), int(r.sum())
    if n < k or c == 0 or n - c < k:
        return np.zeros(n)
    rho = 1 - comb(n - c, k) / comb(n, k)
    sigma = sqrt(rho * (1 - rho))
    wrong = 1 - rho - comb(n - c - 1, k - 1) / comb(n - 1, k - 1)
    return np.where(r == 1, 1 - rho, wrong) / (sigma + epsilon)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Pass@k training for adaptively balancing exploration and exploitation of large reasoning models",
        "Chen et al.",
        2025,
        "2508.10751",
    ),
    promises=Promises(zero_sum=True, monotone=True, objective=BEST_OF_K),
    ranges={"rewards": Range(0.0, 1.0, whole=True)},
)
def pass_at_k(
    rewards: A,
    groups: Ids,
    *,
    k: Annotated[int, Range(1, float("inf"), whole=True)] = 2,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO on all sets of k responses, each rewarded if one of it is right, averaged over a response's sets.

        right:  (1 - rho) / (sigma + epsilon)
        wrong:  (1 - rho - C(n-c-1, k-1) / C(n-1, k-1)) / (sigma + epsilon)
        rho = 1 - C(n-c, k) / C(n, k),    sigma = sqrt(rho (1 - rho)),    c right of n

    Where fewer than k are wrong every set is right, and the whole group gets 0: with k above 1 nothing is learnt from
    nearly solved prompts. Rewards are verdicts, 0 or 1; the authors' code lets others through unchanged.

    Args:
        rewards: (N,) 1 where the response is right, else 0.
        groups: (N,) ids, equal where responses answer the same prompt.
        k: responses in a set; groups of fewer get 0.
        epsilon: added to the deviation.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    Raises:
        ValueError: a reward is neither 0 nor 1, or `k` is above every group.

    >>> import numpy as np
    >>> pass_at_k(np.array([1.0, 0.0, 0.0, 0.0]), groups=4).round(3)  # rho = 1/2: (1/2) / (1/2), (1/2 - 2/3) / (1/2)
    array([ 1.   , -0.333, -0.333, -0.333])
    """
    fits_a_group("pass_at_k", "k", k, groups)  # type: ignore[arg-type]
    xp = namespace(rewards)
    n: Any = group_count(rewards, groups)
    wrong: Any = n - group_sum(rewards, groups)
    fail: Any = 1.0 + 0.0 * wrong
    fail_with_it = fail
    for t in range(k):  # where fewer than k are wrong, one of the factors is 0
        fail = fail * ((wrong - t) / at_least(n - t, 1.0))
        if t:
            fail_with_it = fail_with_it * ((wrong - t) / at_least(n - t, 1.0))
    sigma = xp.sqrt(xp.clip(fail * (1.0 - fail), 0.0, None))
    scale = where((sigma > 0) & (n >= k + 0.0 * wrong), 1.0 / (sigma + where(sigma > 0, epsilon, 1.0)), 0.0)
    return where(rewards > 0.5, fail, fail - fail_with_it) * scale
