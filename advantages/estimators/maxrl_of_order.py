"""Maximum likelihood reinforcement learning, truncated (Tajwar et al., 2026, arXiv:2602.02710)."""

from math import comb
from typing import Annotated, Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import LIKELIHOOD_OF_ORDER
from ..core.promises import Bound, Promises
from ..core.settings import Range
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least
from ..ops.groupwise import group_count, group_sum
from ..ops.refusals import fits_a_group
from ..spec import per_group


@per_group
def spec(r: Vector, *, order: int = 2, baseline: str = "others") -> Vector:
    n = len(r)
    a = np.zeros(n)
    for i in range(n):
        wrong = int((n - 1) - (r.sum() - r[i]))  # of the others
        weight = sum(comb(wrong, k - 1) / comb(n - 1, k - 1) for k in range(1, min(order, n) + 1)) / n
        if baseline == "others":
            a[i] = weight * (r[i] - (r.sum() - r[i]) / (n - 1))
        else:
            a[i] = 1 / n if r[i] == 1 else 1 / n - weight
    return a


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("Maximum likelihood reinforcement learning", "Tajwar et al.", 2026, "2602.02710"),
    promises=Promises(monotone=True, unbiased=Bound("1/n", lambda n: 1 / n), objective=LIKELIHOOD_OF_ORDER),
    ranges={"rewards": Range(0.0, 1.0, whole=True)},
)
def maxrl_of_order(
    rewards: A,
    groups: Ids,
    *,
    order: Annotated[int, Range(1, float("inf"), whole=True)] = 2,
    baseline: Literal["others", "none"] = "others",
    **options: Unpack[GroupOptions],
) -> A:
    """The first terms of the log-likelihood's series, log p = -sum over k of (1 - p)^k / k, estimated without bias.

        A_i = w_i (r_i - mean of the others' r),    w_i = 1/n * sum over k = 1 .. order of C(f_i, k-1) / C(n-1, k-1)

    f_i are the wrong ones among the others, so that the weight does not depend on the own verdict. Summed over a
    group, its mean is sum over k of (1 - p)^(k-1) times the gradient of p: order 1 is RLOO / n, order n the whole
    series that n samples can tell. `baseline="none"` is what the paper prints: 1/n for right ones, 1/n - w_i for wrong
    ones, which pushes an all-wrong group. The authors' own leave-one-out form compares sets that overlap, and is not
    offered here.

    Args:
        rewards: (N,) 1 where the response is right, else 0.
        groups: (N,) ids, equal where responses answer the same prompt.
        order: terms of the series; a smaller group has as many as it has responses.
        baseline: the mean of the "others", or "none".

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    Raises:
        ValueError: a reward is neither 0 nor 1, or `order` is above every group.

    >>> import numpy as np
    >>> maxrl_of_order(np.array([1.0, 0.0, 0.0, 0.0]), groups=4, order=4).round(4)  # 1 for the one, -(1/2)/3 for others
    array([ 1.    , -0.1667, -0.1667, -0.1667])
    """
    fits_a_group("maxrl_of_order", "order", order, groups)  # type: ignore[arg-type]
    n: Any = group_count(rewards, groups)
    right: Any = group_sum(rewards, groups) - rewards  # of the others
    wrong: Any = n - 1 - right
    term: Any = 1.0 + 0.0 * wrong
    total = term
    for k in range(order - 1):  # a factor is 0 beyond the wrong ones, before it could be negative
        term = term * ((wrong - k) / at_least(n - 1 - k, 1.0))
        total = total + term
    if baseline == "none":
        return (1.0 - (1.0 - rewards) * total) / n
    return total * (rewards - right / at_least(n - 1, 1.0)) / n
