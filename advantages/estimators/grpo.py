"""Group relative policy optimization (Shao et al., 2024, arXiv:2402.03300)."""

from math import sqrt
from typing import Literal, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import NonNegative
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.groupwise import group_zscore
from ..spec import per_group


@per_group
def spec(r: Vector, *, epsilon: float = 1e-6, ddof: int = 1) -> Vector:
    if r.max() == r.min():
        return 0.0 * r
    return (r - r.mean()) / (r.std(ddof=ddof) + epsilon)


@estimator(
    spec=spec,
    portable=True,
    widens=True,
    paper=Paper(
        "DeepSeekMath: pushing the limits of mathematical reasoning in open language models",
        "Shao et al.",
        2024,
        "2402.03300",
    ),
    promises=Promises(
        zero_sum=True,
        shift_invariant=True,
        scale="invariant",
        monotone=True,
        bound=Bound("sqrt(n - 1)", lambda n: sqrt(n - 1)),
    ),
)
def grpo(
    rewards: A,
    groups: Ids,
    *,
    epsilon: NonNegative = 1e-6,
    ddof: Literal[0, 1] = 1,
    **options: Unpack[GroupOptions],
) -> A:
    """Reward above the group's mean, in units of the group's deviation.

        A_i = (r_i - mean(r)) / (std(r) + epsilon)

    A group of equal rewards gets exactly zero, decided on the rewards: never the quotient of two rounding errors.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        epsilon: added to the deviation. TRL has 1e-4, OpenRLHF 1e-9, most others 1e-6.
        ddof: 1 for the sample deviation, as in most frameworks; 0 for the population's, as in numpy.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds sqrt(n - 1) in size.

    >>> import numpy as np
    >>> grpo(np.array([1.0, 0.0, 5.0, 5.0]), ["a", "a", "b", "b"], ddof=0).round(3)
    array([ 1., -1.,  0.,  0.])
    """
    return group_zscore(rewards, groups, epsilon=epsilon, ddof=ddof)
