"""Step-level REINFORCE (ROLL, `step_reinforce`)."""

from collections.abc import Hashable, Sequence
from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction, NonNegative
from ..core.types import A, Ids, StepOptions, Vector
from ..ops.groupwise import group_centered, group_zscore
from ..ops.turns import step_returns
from ..spec import per_batch, rollout_returns


@per_batch
def spec(
    r: Vector,
    *,
    groups: Sequence[Hashable],
    trajectories: Sequence[Hashable],
    discount: float = 0.95,
    scale: bool = True,
    epsilon: float = 1e-6,
    singleton: str = "zero",
    min_scored: int = 2,
) -> Vector:
    g = rollout_returns(r, trajectories, discount)
    a = np.zeros_like(r)
    for i in range(len(r)):
        peers = [k for k in range(len(r)) if groups[k] == groups[i]]
        if len(peers) < min_scored:
            a[i] = r[i] if singleton == "raw" else 0.0
        elif np.ptp(g[peers]) > 0:
            a[i] = (g[i] - g[peers].mean()) / (g[peers].std(ddof=1) + epsilon if scale else 1.0)
    return a


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("ROLL", "Alibaba", 2026, venue="github.com/alibaba/ROLL", note="step_reinforce, not a paper"),
    promises=Promises(zero_sum=True, scale="invariant"),
)
def step_reinforce(
    rewards: A,
    groups: Ids,
    *,
    trajectories: Ids | None = None,
    discount: Fraction = 0.95,
    scale: bool = True,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[StepOptions],
) -> A:
    """Reward-to-go of each step of an agent, above the mean of all steps of its group, in units of their deviation.

        A_t = (G_t - mean(G)) / (std(G) + epsilon),    G_t = r_t + discount * G_{t+1}

    Rows are steps, in order within their rollout. Early and late steps are compared with each other, so that with a
    reward at the end and a discount below 1 the steps of a long rollout lose against those of a short one.

    Args:
        rewards: (N,) reward of each step.
        groups: (N,) ids, equal where steps belong to rollouts of the same task.
        trajectories: (N,) ids, equal where steps are of one rollout; without them each row is a rollout.
        discount: per step.
        scale: whether it is divided by the deviation plus `epsilon`.
        epsilon: added to the deviation.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> rewards = np.array([0.0, 1.0, 0.0, 0.0])
    >>> step_reinforce(rewards, ["task"] * 4, trajectories=["a", "a", "b", "b"], discount=1.0).round(3)
    array([ 0.866,  0.866, -0.866, -0.866])
    """
    returns = step_returns(rewards, trajectories, discount=discount)
    return group_zscore(returns, groups, epsilon=epsilon) if scale else group_centered(returns, groups)
