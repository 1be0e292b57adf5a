"""LamPO, lambda style policy optimization (arXiv:2605.21235, withdrawn; its formulas are known second-hand)."""

from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import NonNegative, Positive
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, log_sigmoid, namespace, where
from ..ops.groupwise import group_centered, group_count, group_std
from ..ops.pairs import light_pairs, pair_reduce, scores_of, sigmoid_sums
from ..spec import per_group


@per_group
def spec(
    r: Vector,
    s: Vector,
    lengths: Vector | None = None,
    *,
    temperature: float | str = 1.0,
    reduction: str = "sum",
    average: str = "others",
    center: bool = False,
    scale: bool = False,
    epsilon: float = 1e-6,
) -> Vector:
    s = s / np.maximum(lengths, 1) if reduction == "mean" and lengths is not None else s
    tau = (s.std(ddof=1) or 1.0) if temperature == "auto" else float(temperature)
    advantages = np.zeros_like(r)
    for i in range(len(r)):
        others = np.arange(len(r)) != i
        gaps = r[i] - r[others]
        log_weights = -np.logaddexp(0, -(s[i] - s[others]) / tau)
        if average == "others":
            advantages[i] = np.mean(gaps * np.exp(log_weights))
        else:
            advantages[i] = np.average(gaps, weights=np.exp(log_weights - log_weights.max()))
    if center:
        advantages = advantages - advantages.mean()
    if scale and r.max() > r.min():
        advantages = advantages / (r.std(ddof=1) + epsilon)
    return advantages


@estimator(
    spec=spec,
    portable=light_pairs,
    paper=Paper(
        "LamPO: lambda style policy optimization", "unknown", 2026, "2605.21235", note="withdrawn; formulas second-hand"
    ),
    promises=Promises(shift_invariant=True, scale="equivariant", gap_bound=Bound("1", lambda n: 1.0)),
)
def lampo(
    rewards: A,
    groups: Ids,
    logprobs: Array,
    lengths: Array | None = None,
    *,
    temperature: Positive | Literal["auto"] = 1.0,
    reduction: Literal["sum", "mean"] = "sum",
    average: Literal["others", "weights"] = "others",
    center: bool = False,
    scale: bool = False,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """Mean reward gap to the others in the group, weighted by the policy's preference in each pair.

        A_i = 1/(n-1) * sum over j != i of (r_i - r_j) * sigmoid((s_i - s_j) / temperature)

    s is the log-probability of a response under the policy that sampled it. For a large temperature every weight is
    1/2, and this is RLOO / 2. It is not zero-sum, and the weight depends on the response's own log-probability, so
    it is not an unbiased advantage of the expected reward: a confident right answer is reinforced most, a confident
    wrong one is pushed hardest, and a rare right one earns little.

    The paper is withdrawn, its equations are not public, and the provenance of its results is doubtful; what the
    sources leave open is an option here. docs/lampo.md has what we measured, on tiny models alone.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        logprobs: (N,) log-probability of the whole response under the policy that sampled it, in nats.
        lengths: (N,) trained tokens in each response; needed for `reduction="mean"`.
        temperature: nats; or "auto", the deviation of s within the group. Sums over real responses differ by tens
            to hundreds of nats, where 1.0 is a hard ordering.
        reduction: s is the "sum" of token log-probabilities, or their "mean" per token.
        average: over the n - 1 "others", or over the "weights", whose sum then divides.
        center: subtract the group's mean advantage.
        scale: divide by the deviation of the group's rewards plus `epsilon`.
        epsilon: added to that deviation.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; none exceeds the largest gap.

    >>> import numpy as np
    >>> lampo(np.array([1.0, 0.0]), ["a", "a"], np.array([-3.0, -3.0]))
    array([ 0.5, -0.5])
    >>> lampo(np.array([1.0, 0.0]), ["a", "a"], np.array([-3.0, -9.0])).round(4)
    array([ 0.9975, -0.0025])
    """
    scores = scores_of("lampo", logprobs, lengths, reduction)
    if isinstance(temperature, str):
        spread = group_std(scores, groups)
        scores, temperature = group_centered(scores, groups) / where(spread > 0, spread, 1.0), 1.0

    if average == "others":
        total = sigmoid_sums(rewards, scores, groups, temperature=temperature)
        advantages = total / at_least(group_count(rewards, groups) - 1, 1)
    else:
        scores = group_centered(scores, groups) / temperature
        top = log_sigmoid(pair_reduce("max", _gap, (scores,), groups))
        total = pair_reduce("sum", _weighted_gap, (rewards, scores, top), groups)
        weights = pair_reduce("sum", _weight, (scores, top), groups)
        advantages = total / at_least(weights, 1)
    if center:
        advantages = group_centered(advantages, groups)
    if scale:
        spread = group_std(rewards, groups)
        advantages = advantages / where(spread > 0, spread + epsilon, 1.0)
    return advantages


def _gap(x: Any, y: Any) -> Any:
    return x - y


def _weight(s: Any, top: Any, t: Any, _: Any) -> Any:
    """Relative to the largest, so that the sum of weights never vanishes."""
    xp = namespace(s)
    return xp.exp(xp.clip(log_sigmoid(s - t) - top, None, 0.0))


def _weighted_gap(r: Any, s: Any, top: Any, q: Any, t: Any, _: Any) -> Any:
    return (r - q) * _weight(s, top, t, _)
