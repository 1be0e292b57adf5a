"""Quantile advantage estimation (arXiv:2509.22611)."""

from math import sqrt
from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction, NonNegative, Range
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, namespace, where
from ..ops.groupwise import group_count, group_sum
from ..spec import per_group


@per_group
def spec(r: Vector, *, quantile: float = 0.4, coding: str = "gate", epsilon: float = 1e-6) -> Vector:
    p = r.mean()
    if p in (0, 1):
        return 0.0 * r
    if coding == "gate":
        baseline = 0.0 if round((1 - p) * len(r)) >= quantile * len(r) else 1.0
    else:
        baseline = float(np.quantile(r, quantile))
    return (r - baseline) / (sqrt(p * (1 - p)) + epsilon)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Quantile advantage estimation for entropy-safe reasoning",
        "Wu et al.",
        2025,
        "2509.22611",
        note="abstract and an indexed copy of its code read",
    ),
    promises=Promises(monotone=True),
    ranges={"rewards": Range(0.0, 1.0, whole=True)},
)
def qae(
    rewards: A,
    groups: Ids,
    *,
    quantile: Fraction = 0.4,
    coding: Literal["gate", "interpolated"] = "gate",
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """Verdict above a quantile of the group's: hard prompts learn from successes only, easy ones from failures.

        A_i = (r_i - Q) / (sqrt(p (1 - p)) + epsilon),    p the part that is right

    Two published codings disagree. "gate": Q is 0 where at least the part `quantile` is wrong, else 1, so that most
    responses get 0. "interpolated": Q is a quantile with linear interpolation, which lies between 0 and 1 for a few
    values of p, and then pushes every response. The denominator means something for verdicts only.

    Args:
        rewards: (N,) 1 where the response is right, else 0.
        groups: (N,) ids, equal where responses answer the same prompt.
        quantile: K in the paper.
        coding: "gate" or "interpolated".
        epsilon: added to the deviation.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    Raises:
        ValueError: a reward is neither 0 nor 1.

    >>> import numpy as np
    >>> qae(np.array([1.0, 0.0, 0.0, 0.0]), groups=4).round(3)  # 3/4 wrong: Q = 0, and 1 / sqrt(3)/4
    array([2.309, 0.   , 0.   , 0.   ])
    >>> qae(np.array([1.0, 1.0, 1.0, 0.0]), groups=4).round(3)
    array([ 0.   ,  0.   ,  0.   , -2.309])
    """
    n: Any = group_count(rewards, groups)
    xp = namespace(rewards)
    wrong: Any = n - group_sum(rewards, groups)
    p = 1.0 - wrong / n
    if coding == "gate":
        baseline = where(wrong >= quantile * n, 0.0 * p, 1.0)
    else:
        baseline = xp.clip(quantile * (n - 1) - (wrong - 1), 0.0, 1.0)
    mixed = (wrong > 0) & (wrong < n)
    scale = xp.sqrt(xp.clip(p * (1.0 - p), 0.0, None)) + epsilon
    return where(mixed, (rewards - baseline) / where(mixed, at_least(scale, 1e-12), 1.0), 0.0)
