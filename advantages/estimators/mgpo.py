"""Maximum-entropy guided policy optimization, of VibeThinker (Xu et al., 2025, arXiv:2511.06221)."""

from math import log
from typing import Any, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import NonNegative, Range
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, namespace
from ..ops.groupwise import group_count, group_sum, group_zscore
from ..spec import per_group


@per_group
def spec(r: Vector, *, strength: float = 1.0, epsilon: float = 1e-6) -> Vector:
    p = r.mean()
    if p in (0, 1):
        return 0.0 * r
    divergence = p * log(2 * p) + (1 - p) * log(2 * (1 - p))
    return (r - p) / (r.std(ddof=1) + epsilon) * 2.718281828459045 ** (-strength * divergence)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Tiny model, big logic: diversity-driven optimization elicits large-model reasoning ability in "
        "VibeThinker-1.5B",
        "Xu et al.",
        2025,
        "2511.06221",
        note="formula from an indexed copy of third-party code",
    ),
    promises=Promises(zero_sum=True, monotone=True, bound=Bound("sqrt(n - 1)", lambda n: (n - 1) ** 0.5)),
    ranges={"rewards": Range(0.0, 1.0, whole=True)},
)
def mgpo(
    rewards: A,
    groups: Ids,
    *,
    strength: NonNegative = 1.0,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO, less for prompts whose pass rate is far from a half.

        A_i = z_i exp(-strength * KL(Bernoulli(p) || Bernoulli(1/2)))

    z is GRPO's advantage and p the part that is right. The formula was read in third-party code only, and the default
    strength is ours.

    Args:
        rewards: (N,) 1 where the response is right, else 0.
        groups: (N,) ids, equal where responses answer the same prompt.
        strength: per nat.
        epsilon: added to the deviation.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds sqrt(n - 1) in size.

    Raises:
        ValueError: a reward is neither 0 nor 1.

    >>> import numpy as np
    >>> mgpo(np.array([1.0, 0.0, 0.0, 0.0]), groups=4).round(3)  # GRPO's 1.5 and -0.5 times exp(-0.131)
    array([ 1.316, -0.439, -0.439, -0.439])
    """
    xp = namespace(rewards)
    n: Any = group_count(rewards, groups)
    right: Any = group_sum(rewards, groups) / n
    wrong = 1.0 - right
    entropy = -right * xp.log(at_least(right, 1e-30)) - wrong * xp.log(at_least(wrong, 1e-30))
    z: Any = group_zscore(rewards, groups, epsilon=epsilon)
    return z * xp.exp(strength * (entropy - log(2)))
