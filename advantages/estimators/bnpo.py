"""Beta normalization policy optimization (Xiao et al., 2025, arXiv:2506.02864)."""

from collections.abc import Hashable, Sequence
from math import exp, lgamma, log
from typing import Any, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import MinScored, NonNegative, Positive, Range
from ..core.types import A, BatchOptions, Ids, Singleton, Vector
from ..ops.elementwise import log_gamma, namespace, where
from ..ops.groupwise import group_centered, group_count, group_sum, small_groups
from ..ops.statistics import moments
from ..spec import per_batch


@per_batch
def spec(
    r: Vector,
    *,
    groups: Sequence[Hashable],
    spread: float = 0.01,
    cap: float = 1e6,
    singleton: str = "zero",
    min_scored: int = 2,
) -> Any:
    rows = {g: [i for i, other in enumerate(groups) if other == g] for g in groups}
    rates = {g: float(np.mean(r[rows[g]])) for g in rows if len(rows[g]) >= min_scored}
    alpha = beta = 1.0
    p = np.array(list(rates.values()))
    if len(p) > 1 and p.std(ddof=1) > spread:
        total = p.mean() * (1 - p.mean()) / p.var(ddof=1) - 1
        alpha, beta = max(1.0, 1 + total * p.mean() / 3), max(1.0, 1 + total * (1 - p.mean()) / 3)
    a = np.zeros(len(r))
    for g, mine in rows.items():
        if g not in rates:
            a[mine] = r[mine] if singleton == "raw" else 0.0
        elif np.ptp(r[mine]) > 0:
            q = rates[g]
            density = exp(
                (alpha - 1) * log(q) + (beta - 1) * log(1 - q) - (lgamma(alpha) + lgamma(beta) - lgamma(alpha + beta))
            )
            a[mine] = (r[mine] - q) * (min(1 / density, cap) if density > 0 else cap)
    return a


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("BNPO: Beta normalization policy optimization", "Xiao et al.", 2025, "2506.02864"),
    promises=Promises(spans_batch=True, zero_sum=True, monotone=True),
    ranges={"rewards": Range(0.0, 1.0)},
)
def bnpo(
    rewards: A,
    groups: Ids,
    *,
    spread: NonNegative = 0.01,
    cap: Positive = 1e6,
    singleton: Singleton = "zero",
    min_scored: MinScored = 2,
    **options: Unpack[BatchOptions],
) -> A:
    """Reward above the group's mean, over the density of such a mean among the batch's prompts: rare ones weigh more.

        A_i = (r_i - p) / Beta(p; a, b),    a = max(1, 1 + a'/3),  b = max(1, 1 + b'/3)

    p is the group's mean reward; Beta(a', b') has the mean and variance of the batch's p. Where all prompts have the
    same p the published variance is 0 and every advantage NaN: here, where they deviate by no more than `spread`, and
    for a single group, a = b = 1, so that it is Dr. GRPO. A group that is too small has no p.

    Args:
        rewards: (N,) outcome reward of each response, between 0 and 1.
        groups: (N,) ids, equal where responses answer the same prompt.
        spread: deviation of p up to which prompts count as alike.
        cap: largest weight.
        singleton: what a response that is alone in its group gets: "zero", "raw" (its reward) or "error".
        min_scored: scored responses below which a group counts as small.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    Raises:
        ValueError: a reward is not between 0 and 1.

    >>> import numpy as np
    >>> bnpo(np.array([1.0, 0.0, 0.0, 0.0]), groups=4)
    array([ 0.75, -0.25, -0.25, -0.25])
    >>> r = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0])  # p = 1/2 and 3/4: a = 2.354, b = 1.813
    >>> bnpo(r, groups=4)[[0, 1, 4, 7]].round(3)
    array([ 0.341, -0.341,  0.173, -0.519])
    """
    xp = namespace(rewards)
    ids: Any = groups
    n: Any = group_count(rewards, ids) + 0.0 * rewards
    p: Any = group_sum(rewards, ids) / n
    large = where(ids.scored, n, 0.0) >= min_scored
    found = moments(p, counts=where(large, 1.0 / n, 0.0))
    std, mean = found.std(), found.origin + found.mean
    apart = (std > spread) & (found.count > 1.5)
    total = where(apart, mean * (1.0 - mean) / where(apart, std * std, 1.0) - 1.0, 0.0)
    a, b = (xp.clip(1.0 + total * part / 3.0, 1.0, None) for part in (mean, 1.0 - mean))
    log_beta = log_gamma(a) + log_gamma(b) - log_gamma(a + b)
    inside = xp.clip(p, 1e-6, 1.0 - 1e-6)  # at the ends rewards are equal, and get 0
    rarity = log_beta - (a - 1.0) * xp.log(inside) - (b - 1.0) * xp.log1p(-inside)
    weight = xp.exp(xp.minimum(rarity, xp.log(0.0 * rarity + cap)))  # a cap may be traced
    return small_groups("bnpo", group_centered(rewards, ids) * weight, rewards, ids, singleton, min_scored)
