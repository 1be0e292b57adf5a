"""Group-in-group policy optimization (Feng et al., 2025, arXiv:2505.10978)."""

from collections.abc import Hashable, Sequence
from typing import Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.groups import Groups
from ..core.promises import Promises
from ..core.settings import Fraction, NonNegative
from ..core.types import A, Ids, StepOptions, Vector
from ..ops.elementwise import where
from ..ops.groupwise import group_centered, group_sum, group_zscore
from ..ops.turns import rollout_ends, step_returns
from ..spec import per_batch, rollout_returns


def _normed(x: Vector, scale: bool, epsilon: float) -> Vector:
    if np.ptp(x) == 0:
        return np.zeros_like(x)
    return (x - x.mean()) / (x.std(ddof=1) + epsilon if scale else 1.0)


@per_batch
def spec(
    r: Vector,
    *,
    groups: Sequence[Hashable],
    states: Sequence[Hashable],
    trajectories: Sequence[Hashable],
    step_weight: float = 1.0,
    discount: float = 0.95,
    scale: bool = False,
    weight: str = "rollouts",
    epsilon: float = 1e-6,
    singleton: str = "zero",
    min_scored: int = 2,
) -> Vector:
    n = len(r)
    g = rollout_returns(r, trajectories, discount)
    a = np.zeros_like(r)
    for i in range(n):
        peers = [k for k in range(n) if groups[k] == groups[i]]
        if len(peers) < min_scored:
            a[i] = r[i] if singleton == "raw" else 0.0
            continue
        rollouts = list(dict.fromkeys(trajectories[k] for k in peers))
        counted = rollouts if weight == "rollouts" else [trajectories[k] for k in peers]
        episodes = np.array([sum(r[k] for k in peers if trajectories[k] == one) for one in counted])
        a[i] = _normed(episodes, scale, epsilon)[counted.index(trajectories[i])]
        same = [k for k in peers if states[k] == states[i]]
        a[i] += step_weight * _normed(g[same], scale, epsilon)[same.index(i)]
    return a


@estimator(
    spec=spec,
    portable=True,
    paper=Paper("Group-in-group policy optimization for LLM agent training", "Feng et al.", 2025, "2505.10978"),
    promises=Promises(scale="equivariant"),
)
def gigpo(
    rewards: A,
    groups: Ids,
    states: Ids,
    *,
    trajectories: Ids | None = None,
    step_weight: NonNegative = 1.0,
    discount: Fraction = 0.95,
    scale: bool = False,
    weight: Literal["rollouts", "steps"] = "rollouts",
    epsilon: NonNegative = 1e-6,
    **options: Unpack[StepOptions],
) -> A:
    """The rollout above the others of its task, plus the step above the others taken from the same state.

        A_t = (R - mean(R over rollouts)) + step_weight * (G_t - mean(G over steps from the same state)),
        G_t = r_t + discount * G_{t+1}

    Rows are steps, in order within their rollout, and R is the sum of a rollout's rewards. A step from a state that
    nobody else was in has the rollout's part alone. States of different tasks are never the same, whatever their ids:
    ROLL and Trinity-RFT 0.6.0 merge them.

    Args:
        rewards: (N,) reward of each step.
        groups: (N,) ids, equal where steps belong to rollouts of the same task.
        states: (N,) ids, equal where steps of a task were taken from the same state.
        trajectories: (N,) ids, equal where steps are of one rollout; without them each row is a rollout.
        step_weight: of the step's part.
        discount: per step.
        scale: whether both parts are divided by their deviation plus `epsilon`, as the paper's other form has it.
        weight: whether all "rollouts" of a task count alike, or all "steps", as in ROLL: then a rollout counts as often
            as it has steps.
        epsilon: added to the deviations.

    Returns:
        (N,) advantages of the library, device and floating dtype of `rewards`.

    >>> import numpy as np
    >>> rewards, states = np.array([0.0, 1.0, 0.0, 0.0]), ["start", "door", "start", "wall"]
    >>> gigpo(rewards, ["task"] * 4, states, trajectories=["a", "a", "b", "b"], discount=1.0)
    array([ 1. ,  0.5, -1. , -0.5])
    """
    groups = Groups.of(groups)
    states = Groups.of_pairs(groups, Groups.of(states))

    def normed(x: A, of: Groups) -> A:
        return group_zscore(x, of, epsilon=epsilon) if scale else group_centered(x, of)

    step = normed(step_returns(rewards, trajectories, discount=discount), states)
    if trajectories is None:
        return normed(rewards, groups) + step_weight * step
    if weight == "steps":
        return normed(group_sum(rewards, trajectories), groups) + step_weight * step
    ends = rollout_ends(rewards, trajectories)
    episode = normed(group_sum(rewards, trajectories), groups.where(ends))
    return group_sum(where(ends, episode, 0.0), trajectories) + step_weight * step
