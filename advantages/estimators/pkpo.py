"""Pass-at-k policy optimization (Walder and Karkhanis, 2025, arXiv:2505.15201)."""

from itertools import combinations
from typing import Annotated, Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.objectives import BEST_OF_K
from ..core.promises import Bound, Promises
from ..core.settings import Range
from ..core.types import A, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, where
from ..ops.groupwise import Ordered, group_count
from ..ops.refusals import fits_a_group
from ..spec import per_group


@per_group
def spec(r: Vector, *, k: int = 2, baseline: str = "sloo-1") -> Vector:
    n = len(r)
    if n < k + (k > 1 and "sloo" in baseline and baseline != "sloo-1"):
        return np.zeros(n)

    def best(rows: list[int], size: int, own: tuple[int, ...] = ()) -> float:
        return float(np.mean([max(r[[*some, *own]]) for some in combinations(rows, size)]))

    a = np.zeros(n)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        a[i] = k / n * best(others, k - 1, (i,))
        if baseline == "sloo-1" and k > 1:
            a[i] -= k / n * best(others, k - 1)
        elif baseline in ("sloo", "sloo-1"):
            a[i] -= k / n * best(others, k)
        elif baseline == "sloo as printed":
            a[i] -= k / (n - 1) * best(others, k)
    return a


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Pass@K policy optimization: solving harder reinforcement learning problems",
        "Walder and Karkhanis",
        2025,
        "2505.15201",
    ),
    promises=Promises(
        shift_invariant=True,
        scale="equivariant",
        monotone=True,
        gap_bound=Bound("2/n for k = 2", lambda n: 2 / n),
        unbiased=Bound("1/n", lambda n: 1 / n),
        objective=BEST_OF_K,
    ),
)
def pkpo(
    rewards: A,
    groups: Ids,
    *,
    k: Annotated[int, Range(1, float("inf"), whole=True)] = 2,
    baseline: Literal["sloo-1", "sloo", "sloo as printed", "none"] = "sloo-1",
    **options: Unpack[GroupOptions],
) -> A:
    """What a response adds to the best of k: the sum over a batch is an unbiased gradient of E[max of k rewards].

        A_i = k/n * (mean of max(T, r_i) - mean of max(T)),    over all sets T of k - 1 others    ("sloo-1", eq. 33)

    "sloo" subtracts the mean of the max over sets of k others instead, "none" nothing (eq. 19). Summed over a group,
    all of them have the same mean: the gradient. With k = 1 there is no set of k - 1, "sloo-1" is "sloo", and both are
    RLOO / n; the paper's listing gives raw rewards there, n times the scale of every other k.

    Rewards may be any numbers. Equal rewards have equal advantages. A group of fewer than k responses (of k, for
    "sloo") has no estimate, and gets 0. The paper's eq. 29 divides its baseline by n - 1 where n centres, so that
    equal rewards are pushed: that is "sloo as printed". It takes n log n steps, and k of n.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        k: draws whose best counts; 1 is the mean reward.
        baseline: "sloo-1", which varies least, "sloo", "sloo as printed" or "none".

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    Raises:
        ValueError: `k` is above every group.

    >>> import numpy as np
    >>> pkpo(np.array([1.0, 0.0, 4.0, 0.0]), ["a"] * 4)  # best of 2: 4 adds 2/4 * (4 - 1 + 4 + 4)/3
    array([0.33333333, 0.        , 1.83333333, 0.        ])
    """
    fits_a_group("pkpo", "k", k, groups)  # type: ignore[arg-type]
    ordered = Ordered(rewards, groups)
    n = ordered.sorted(group_count(rewards, groups))
    steps, place = ordered.steps, ordered.place

    def share(below: Any, size: int) -> Any:
        """The part of all sets of `size` others that lies among the `below` lowest of them."""
        part = 1.0 + 0.0 * below
        for t in range(size):
            part = part * ((below - t) / at_least(n - 1 - t, 1.0))
        return part

    # Every number is the sum of the steps up to it, so that a max is the sum of the steps that some member passes.
    def beyond(y: Any) -> Any:
        return ordered.cumulated(y, backwards=True) - y

    others = at_least(place - 1, 0.0)  # below a step that lies above the own number
    enough = n >= k + 0.0 * place
    if baseline == "sloo-1" and k > 1:
        advantages = ordered.cumulated(steps * share(place, k - 1))
    else:
        enough = enough if k == 1 or baseline == "none" else n > k + 0.0 * place
        lost = steps * (share(others, k - 1) - share(others, k))
        advantages = ordered.cumulated(steps * share(place, k)) - beyond(lost)
        if baseline in ("none", "sloo as printed"):
            best = _lowest(ordered) + ordered.cumulated(steps) + beyond(steps * (1.0 - share(others, k - 1)))
            advantages = best if baseline == "none" else advantages - (best - advantages) / at_least(n - 1, 1.0)
    return ordered.rows(where(enough, advantages * (k / n), 0.0))


def _lowest(ordered: Ordered) -> Any:
    """(N,) the least number of each one's group."""
    xp = ordered.backend.xp
    first = where((ordered.place == 0) & xp.isfinite(ordered.x), ordered.x, 0.0)
    return ordered.cumulated(first)
