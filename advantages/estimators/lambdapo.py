"""LambdaPO (arXiv:2605.19416, withdrawn; its formulas are known second-hand)."""

from typing import Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import Positive
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least
from ..ops.groupwise import group_count
from ..ops.pairs import light_pairs, scores_of, sigmoid_sums
from ..spec import per_group


@per_group
def spec(
    r: Vector, s: Vector, lengths: Vector | None = None, *, temperature: float = 1.0, reduction: str = "sum"
) -> Vector:
    s = s / np.maximum(lengths, 1) if reduction == "mean" and lengths is not None else s
    advantages = np.zeros_like(r)
    for i in range(len(r)):
        others = np.arange(len(r)) != i
        gaps = r[i] - r[others]
        weights = np.exp(-np.logaddexp(0, np.sign(gaps) * (s[i] - s[others]) / temperature))
        advantages[i] = np.mean(gaps * weights)
    return advantages


@estimator(
    spec=spec,
    portable=light_pairs,
    paper=Paper("LambdaPO", "unknown", 2026, "2605.19416", note="withdrawn; formulas second-hand"),
    promises=Promises(zero_sum=True, shift_invariant=True, scale="equivariant", gap_bound=Bound("1", lambda n: 1.0)),
)
def lambdapo(
    rewards: A,
    groups: Ids,
    logprobs: Array,
    lengths: Array | None = None,
    *,
    temperature: Positive = 1.0,
    reduction: Literal["sum", "mean"] = "sum",
    **options: Unpack[GroupOptions],
) -> A:
    """Mean reward gap to the others in the group, attenuated where the policy already ranks the pair rightly.

        A_i = 1/(n-1) * sum over j != i of (r_i - r_j) * sigmoid(-sign(r_i - r_j) * (s_i - s_j) / temperature)

    s is the log-probability of a response under the policy that sampled it. The weight is LambdaRank's, as the
    abstract of the withdrawn paper words it; its equations are not public.

    Warning: at a temperature of 1 and the learning rates tried, it was worse than GRPO on every seed of our four tiny
    settings, and collapsed the policy in two of them (docs/lampo.md); lower rates may save it. Withdrawing credit from
    pairs that are ranked rightly leaves the misranked ones to dominate.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        logprobs: (N,) log-probability of the whole response under the policy that sampled it, in nats.
        lengths: (N,) trained tokens in each response; needed for `reduction="mean"`.
        temperature: nats.
        reduction: s is the "sum" of token log-probabilities, or their "mean" per token.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds the largest gap.

    >>> import numpy as np
    >>> lambdapo(np.array([1.0, 0.0]), ["a", "a"], np.array([-3.0, -9.0])).round(4)
    array([ 0.0025, -0.0025])
    """
    scores = scores_of("lambdapo", logprobs, lengths, reduction)
    total = sigmoid_sums(rewards, scores, groups, temperature=temperature, misranked=True)
    return total / at_least(group_count(rewards, groups) - 1, 1)
