"""Online policy mirror descent with a log-partition baseline (Kimi Team, 2025, arXiv:2501.12599)."""

from math import log
from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import Positive
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import with_finite_squares
from ..ops.groupwise import above_log_mean_exp, group_centered
from ..spec import per_group


@per_group
def spec(r: Vector, *, temperature: float = 1.0, others: bool = False) -> Vector:
    a = np.zeros(len(r))
    for i in range(len(r)):
        some = np.delete(r, i) if others else r
        top = some.max()
        a[i] = r[i] - top - temperature * log(np.mean(np.exp((some - top) / temperature)))
    return a


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Kimi k1.5: scaling reinforcement learning with LLMs",
        "Kimi Team",
        2025,
        "2501.12599",
        note="formula as in Trinity-RFT 0.6.0 and OpenKimi",
    ),
    promises=Promises(shift_invariant=True, monotone=True, gap_bound=Bound("1", lambda n: 1.0)),
)
def opmd(
    rewards: A, groups: Ids, *, temperature: Positive = 1.0, others: bool = False, **options: Unpack[GroupOptions]
) -> A:
    """Reward above the soft maximum of the group, the baseline of a KL-regularised optimum.

        A_i = r_i - temperature * log(mean(exp(r / temperature)))

    Not zero-sum: the soft maximum is above the mean, so that advantages lean to the negative, by more the colder it is.
    For a large temperature it is Dr. GRPO.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        temperature: weight of the KL penalty, in units of reward. Trinity-RFT has 1, OpenKimi 0.01.
        others: leave the response itself out of the mean, as OpenKimi does.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds the largest gap.

    >>> import numpy as np
    >>> opmd(np.array([1.0, 0.0, 0.0, 0.0]), groups=4, temperature=0.25).round(3)
    array([ 0.333, -0.667, -0.667, -0.667])
    """
    rewards = with_finite_squares(rewards)
    centered = group_centered(rewards, groups)
    return above_log_mean_exp(centered / temperature, groups, others=others) * temperature
