"""Entropic advantages, as in TTT-Discover (Yuksekgonul et al., 2026, arXiv:2601.16175)."""

from math import log
from typing import Annotated, Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import ENTROPIC
from ..core.promises import Promises
from ..core.settings import Fraction, Positive, Range
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, namespace, where
from ..ops.groupwise import Grouped, above_log_mean_exp
from ..spec import per_group

_LN2 = log(2)
_LARGEST = 88.0  # exp of more is infinite in single precision
_LEAST, _MOST, _HALVINGS = log(1e-4), log(1e6), 32


@per_group
def spec(
    r: Vector, *, beta: float | str = "auto", divergence: float = _LN2, reachable: float = 0.5, cap: float = 1e4
) -> Vector:
    if r.max() == r.min():
        return 0.0 * r
    n = len(r)
    x = (r - r.max()) / np.ptp(r)
    if beta == "auto":
        target = min(divergence, reachable * log(n / np.sum(x == 0)))
        low, high = _LEAST, _MOST
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            p = np.exp(np.exp(middle) * x) / np.exp(np.exp(middle) * x).sum()
            kl = sum(q * log(n * q) for q in p if q > 0)
            low, high = (low, middle) if kl > target else (middle, high)
        x = x * np.exp((low + high) / 2)
    else:
        x = float(beta) * (r - r.max())
    a = np.zeros(n)
    for i in range(n):
        others = np.delete(x, i)
        ratio = x[i] - others.max() - log(np.mean(np.exp(others - others.max())))
        a[i] = np.exp(min(ratio, log(cap), _LARGEST)) - 1
    return a


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Learning to discover at test time",
        "Yuksekgonul et al.",
        2026,
        "2601.16175",
        note="read in the authors' code",
    ),
    promises=Promises(shift_invariant=True, scale="invariant", monotone=True, objective=ENTROPIC),
)
def entropic(
    rewards: A,
    groups: Ids,
    *,
    beta: Positive | Literal["auto"] = "auto",
    divergence: Positive = _LN2,
    reachable: Fraction = 0.5,
    cap: Annotated[float, Range(1.0, float("inf"))] = 1e4,
    **options: Unpack[GroupOptions],
) -> A:
    """How much likelier a response is to be the best than the others are on average, by a softmax of the rewards.

        A_i = exp(beta r_i) / mean over j != i of exp(beta r_j) - 1

    With "auto", each group has the beta at which its softmax is `divergence` nats from uniform, so that the unit of
    the rewards does not matter. A group of n with m best ones comes no further than log(n / m): the published form
    then runs beta up to a million, and gives a pair of unequal rewards 1e12. Here the target is at most the share
    `reachable` of that, and a ratio is cut at `cap`; `reachable=1.0` and `cap=1e12` are the published form. For
    a small fixed beta it is beta times RLOO.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        beta: per unit of reward, or "auto".
        divergence: KL(softmax(beta r) || uniform) that "auto" looks for, in nats.
        reachable: the most that it looks for, as a share of what the group can reach.
        cap: largest ratio.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`; between -1 and `cap`.

    >>> import numpy as np
    >>> entropic(np.array([1.0, 0.0]), ["a", "a"], beta=np.log(3.0)).round(3)  # 3/1 - 1 and 1/3 - 1
    array([ 2.   , -0.667])
    >>> entropic(np.array([1.0, 0.0, 0.0, 0.0]), groups=4).round(1)
    array([11.8, -0.8, -0.8, -0.8])
    """
    xp = namespace(rewards)
    scores: Any
    if isinstance(beta, str):
        scores = _tempered(rewards, groups, divergence, reachable)
    else:
        g = Grouped(rewards, groups)
        scores = g.rows(g.gap(g.view)) * beta
    return xp.expm1(xp.clip(above_log_mean_exp(scores, groups, others=True), None, min(log(cap), _LARGEST)))


def _tempered(rewards: Any, groups: Ids, divergence: float, reachable: float) -> Any:
    """(N,) rewards below the group's best, times the beta whose softmax diverges as it should."""
    g = Grouped(rewards, groups)
    xp = g.backend.xp
    top = g.max(g.view)
    below = g.kept(g.view - where(xp.isfinite(top), top, 0.0))
    gap = -g.min(below)
    x = below / where((gap > 0) & xp.isfinite(gap), gap, 1.0)
    n = at_least(g.count, 1.0)
    best = at_least(g.sum(where(below == 0, xp.ones_like(x), 0.0)), 1.0)
    most = reachable * xp.log(n / best)
    target = where(most < divergence, most, 0.0 * most + divergence)
    low = 0.0 * target + _LEAST
    high = 0.0 * target + _MOST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        scaled = xp.exp(middle) * x
        weights = g.kept(xp.exp(scaled))
        total = at_least(g.sum(weights), 1.0)
        kl = g.sum(weights * scaled) / total + xp.log(n / total)
        low, high = where(kl > target, low, middle), where(kl > target, middle, high)
    return g.rows(x * xp.exp((low + high) / 2))
