"""Hierarchy-of-groups policy optimization (He et al., 2026, arXiv:2602.22817)."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.groups import Groups
from ..core.promises import Promises
from ..core.settings import Fraction, NonNegative, Whole
from ..core.types import A, Ids, StepOptions, Vector
from ..ops.elementwise import where
from ..ops.groupwise import group_centered, group_count, group_zscore
from ..ops.turns import histories, step_returns
from ..spec import per_batch, rollout_returns


@per_batch
def spec(
    r: Vector,
    *,
    groups: Sequence[Hashable],
    states: Sequence[Hashable],
    trajectories: Sequence[Hashable],
    history: int = 2,
    alpha: float = 1.0,
    discount: float = 0.95,
    scale: bool = True,
    epsilon: float = 1e-6,
    weights: str = "paper",
    zeros: str = "counted",
    singleton: str = "zero",
    min_scored: int = 2,
) -> Vector:
    n = len(r)
    g = rollout_returns(r, trajectories, discount)
    before = [[k for k in range(t) if trajectories[k] == trajectories[t]] for t in range(n)]
    a = np.zeros_like(r)
    for t in range(n):
        if sum(group == groups[t] for group in groups) < min_scored:
            a[t] = r[t] if singleton == "raw" else 0.0
            continue
        total = whole = 0.0
        for k in range(history + 1):
            seen = [[states[j] for j in [*before[i], i][-k - 1 :]] for i in range(n)]
            same = [i for i in range(n) if groups[i] == groups[t] and len(seen[i]) == k + 1 and seen[i] == seen[t]]
            if len(same) < 2 or len(seen[t]) < k + 1:
                continue
            above = 0.0 if np.ptp(g[same]) == 0 else g[t] - g[same].mean()
            above = above / (g[same].std() + epsilon) if scale and above != 0 else above
            if zeros == "counted" or above != 0:
                w = (k + 1 if weights == "paper" else k + 2) ** alpha
                total += w * above
                whole += w
        a[t] = total / whole if whole else 0.0
    return a


@estimator(
    spec=spec,
    portable=True,
    paper=Paper(
        "Hierarchy-of-groups policy optimization for long-horizon agentic tasks",
        "He et al.",
        2026,
        "2602.22817",
        note="the population's deviation as a copy of the authors' code has it",
    ),
    promises=Promises(scale="invariant"),
)
def hgpo(
    rewards: A,
    groups: Ids,
    states: Ids,
    *,
    trajectories: Ids | None = None,
    history: Whole = 2,
    alpha: NonNegative = 1.0,
    discount: Fraction = 0.95,
    scale: bool = True,
    epsilon: NonNegative = 1e-6,
    weights: Literal["paper", "code"] = "paper",
    zeros: Literal["counted", "dropped"] = "counted",
    **options: Unpack[StepOptions],
) -> A:
    """The step above others that were in the same state, and above those that came there the same way, weighted.

        A_t = sum_k w_k A_tk / sum_k w_k,    w_k = (k + 1)^alpha,    k = 0 ... history
        A_tk = (G_t - mean(G)) / (std(G) + epsilon)    over the steps with the same state and the same k before it
        G_t = r_t + discount * G_{t+1}

    Rows are steps, in order within their rollout. The deviation is the population's. A history that no other step of
    the task shares has no part in the sum, and states of different tasks are never the same, whatever their ids. The
    authors' code weighs by (k + 2)^alpha, and drops parts that are exactly 0, so that an advantage jumps where one of
    them passes through 0: that is `weights="code", zeros="dropped"`.

    Args:
        rewards: (N,) reward of each step.
        groups: (N,) ids, equal where steps belong to rollouts of the same task.
        states: (N,) ids, equal where steps of a task were taken from the same state.
        trajectories: (N,) ids, equal where steps are of one rollout; without them each row is a rollout.
        history: steps before the present one in the longest history.
        alpha: of the weights; 0 weighs all histories alike.
        discount: per step.
        scale: whether the parts are divided by their deviation plus `epsilon`; the code's other form is without.
        epsilon: added to the deviations.
        weights: 1, 2, 3, ... to the power of alpha, as in the "paper", or 2, 3, 4, ..., as in its "code".
        zeros: whether parts of exactly 0 are "counted", or "dropped" from the weights.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> rewards, states = np.array([0.0, 4.0, 0.0, 0.0, 0.0, 2.0]), ["s", "d", "s", "d", "t", "d"]
    >>> rollouts = ["a", "a", "b", "b", "c", "c"]
    >>> hgpo(rewards, ["task"] * 6, states, trajectories=rollouts, discount=1.0, scale=False).round(3)
    array([ 2.,  2., -2., -2.,  0.,  0.])
    """
    groups = Groups.of(groups)
    same = Groups.of_pairs(groups, Groups.of(states))
    returns = step_returns(rewards, trajectories, discount=discount)
    levels = [same] if trajectories is None else histories(same, trajectories, rewards, longest=history + 1)
    total: Any = 0 * returns
    whole: Any = 0 * returns
    for k, level in enumerate(levels, start=1 if weights == "paper" else 2):
        above: Any = group_zscore(returns, level, epsilon=epsilon, ddof=0) if scale else group_centered(returns, level)
        counts: Any = 0 * total + group_count(returns, level) > 1
        counts = counts if level.scored is None else counts & level.scored
        counts = counts & (above != 0) if zeros == "dropped" else counts
        total = total + where(counts, k**alpha * above, 0.0)
        whole = whole + where(counts, k**alpha, 0.0)
    return total / where(whole > 0, whole, 1.0)
