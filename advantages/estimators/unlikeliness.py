"""GRPO with the unlikeliness reward (He et al., 2025, arXiv:2506.02355)."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import Fraction, NonNegative
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.groupwise import group_zscore, unlikely
from ..spec import per_group


@per_group
def spec(
    r: Vector,
    s: Vector,
    l: Vector,  # noqa: E741
    *,
    penalty: float = 0.25,
    epsilon: float = 1e-6,
) -> Vector:
    likely = s / np.maximum(l, 1)
    rank = np.array([np.sum(likely < x) + (np.sum(likely == x) - 1) / 2 for x in likely])
    shaped = r * (1 - penalty * rank / len(r))
    return 0.0 * r if shaped.max() == shaped.min() else (shaped - shaped.mean()) / (shaped.std(ddof=1) + epsilon)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("Rewarding the unlikely: lifting GRPO beyond distribution sharpening", "He et al.", 2025, "2506.02355"),
    promises=Promises(
        equals_get_zero=False, zero_sum=True, scale="invariant", bound=Bound("sqrt(n - 1)", lambda n: (n - 1) ** 0.5)
    ),
)
def unlikeliness(
    rewards: A,
    groups: Ids,
    logprobs: Array,
    lengths: Array,
    *,
    penalty: Fraction = 0.25,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO on rewards that are worth less, the likelier the response: what the policy rarely finds is reinforced most.

        A_i = z-score of r'_i,    r'_i = r_i (1 - penalty * rank_i / n)

    rank is 0 for the response whose mean token log-probability is lowest, n - 1 for the likeliest; equal ones share
    the mean of their ranks. A group that is all right is pushed to its unlikely members, on purpose. Where rewards
    may be negative, the penalty spares the likely ones. Trinity-RFT 0.6.0 penalises the group's statistics and not the
    rewards themselves, so that likely and unlikely winners get the same, and a group's sum is not 0.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        logprobs: (N,) log-probability of the whole response under the policy that sampled it, in nats.
        lengths: (N,) trained tokens in each response.
        penalty: share of its reward that the likeliest response would lose in a large group.
        epsilon: added to the deviation.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds sqrt(n - 1) in size.

    >>> import numpy as np
    >>> r, s = np.array([1.0, 1.0, 0.0, 0.0]), np.array([-2.0, -8.0, -4.0, -6.0])  # the winners are worth .8125 and 1
    >>> unlikeliness(r, ["a"] * 4, s, np.ones(4), epsilon=0.0).round(3)
    array([ 0.68 ,  1.034, -0.857, -0.857])
    """
    return group_zscore(unlikely(rewards, groups, logprobs, lengths, penalty=penalty), groups, epsilon=epsilon)
