"""Confidence and difficulty-adaptive policy optimization (Zhou et al., 2026, arXiv:2606.07950)."""

from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import Finite, NonNegative
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, namespace, where
from ..ops.groupwise import group_centered, group_mean, group_zscore
from ..spec import per_group


@per_group
def spec(
    r: Vector,
    s: Vector,
    l: Vector,  # noqa: E741
    *,
    floor: float = 0.1,
    success: float = 1.0,
    scale: bool = True,
    epsilon: float = 1e-6,
) -> Vector:
    if r.max() == r.min():
        return 0.0 * r
    confidence = np.exp(np.mean(s / np.maximum(l, 1)))
    difficulty = 1 - np.mean(r >= success)
    value = confidence * (1 - 4 * (difficulty - 0.5) ** 2)
    return (value + floor) * (r - r.mean()) / (r.std(ddof=1) + epsilon if scale else 1.0)


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "The easy, the hard, and the learnable: confidence and difficulty-adaptive policy optimization for LLM "
        "reasoning",
        "Zhou et al.",
        2026,
        "2606.07950",
        note="read in the authors' code and in their page for verl",
    ),
    promises=Promises(zero_sum=True, monotone=True, bound=Bound("1.1 sqrt(n - 1)", lambda n: 1.1 * (n - 1) ** 0.5)),
)
def codapo(
    rewards: A,
    groups: Ids,
    logprobs: Array,
    lengths: Array,
    *,
    floor: NonNegative = 0.1,
    success: Finite = 1.0,
    scale: bool = True,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """GRPO, by how much a question is worth learning from: answered half of the time, and by a confident policy.

        A_i = (value + floor) * z_i,    value = c * (1 - 4 (d - 1/2)^2)
        c = exp(mean of s_j / L_j),    d = 1 - the share of right responses

    z is GRPO's advantage, s the log-probability of a response and L its tokens. The value is 0 for a question that all
    or none answer, and at most the confidence c. The method also samples anew from the questions of highest value,
    which is no advantage. Its code takes a reward of exactly 1 for right, here it is any from `success` on; where
    rewards have other parts, that is not the same.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        logprobs: (N,) log-probability of the whole response under the policy that sampled it, in nats.
        lengths: (N,) trained tokens in each response.
        floor: weight of a question without value.
        success: the least reward of a right response.
        scale: whether z is divided by the group's deviation plus `epsilon`, or only centred.
        epsilon: added to the deviation.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds (1 + floor) sqrt(n - 1).

    >>> import numpy as np
    >>> s = np.log(np.array([0.5, 0.5]))  # one token each, so that c is 1/2, and d is 1/2
    >>> codapo(np.array([1.0, 0.0]), ["a", "a"], s, np.ones(2), scale=False)
    array([ 0.3, -0.3])
    """
    above: Any = group_zscore(rewards, groups, epsilon=epsilon) if scale else group_centered(rewards, groups)
    confidence: Any = namespace(logprobs).exp(group_mean(logprobs / at_least(lengths, 1.0), groups))
    r: Any = rewards
    right: Any = group_mean(where(r >= success, 0.0 * r + 1.0, 0.0), groups)
    return (confidence * (1.0 - 4.0 * (right - 0.5) ** 2) + floor) * above
