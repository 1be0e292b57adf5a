"""PURE, min-form credit (Cheng et al., 2025, arXiv:2504.15275)."""

from collections.abc import Hashable, Sequence
from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Positive
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import at_least, namespace, where
from ..ops.groupwise import group_centered, group_count
from ..ops.turns import Turns
from ..spec import per_responses


@per_responses
def spec(
    rewards: list[float],
    token_rewards: list[Vector],
    turns: list[Vector],
    *,
    groups: Sequence[Hashable],
    temperature: float = 0.1,
    singleton: str = "zero",
    min_scored: int = 2,
) -> list[Vector]:
    worth = []
    for reward, r, turn in zip(rewards, token_rewards, turns, strict=True):
        steps = np.array([r[turn == one].sum() for one in dict.fromkeys(turn)])
        weights = np.exp(-(steps - steps.min(initial=np.inf)) / temperature)
        worth.append(reward + (np.sum(steps * weights) / np.sum(weights) if len(steps) else 0.0))
    a = []
    for i, turn in enumerate(turns):
        others = [worth[k] for k, group in enumerate(groups) if group == groups[i] and k != i]
        small = len(others) + 1 < min_scored
        alone = rewards[i] if singleton == "raw" else 0.0
        a.append(np.full(len(turn), alone if small else worth[i] - np.mean(others)))
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "Stop summation: min-form credit assignment is all process reward model needs for reasoning",
        "Cheng et al.",
        2025,
        "2504.15275",
    ),
    promises=Promises(shift_invariant=True),
)
def pure(
    rewards: A,
    groups: Ids,
    mask: Array,
    token_rewards: Array,
    turns: Ids,
    *,
    temperature: Positive = 0.1,
    **options: Unpack[GroupOptions],
) -> A:
    """The worst step's reward, softly, plus the outcome, above the mean of the others in the group.

        w_i = r_i + sum_k q_k softmax(-q / temperature)_k,    A_i = w_i - mean of w over the others

    q_k is the process reward of step k. A sum of process rewards pays for every further step; the minimum does not.

    Args:
        rewards: (N,) outcome reward of each response; zeros where there are process rewards alone.
        groups: (N,) ids, equal where responses answer the same prompt.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        token_rewards: (N, T) process rewards of steps, on any of their tokens.
        turns: (N, T) ids, equal within a response where tokens belong to the same step; a step is one run of tokens.
        temperature: towards 0 the minimum; towards infinity the mean.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> steps, mask = np.array([[1.0, 0.0], [0.5, 0.5]]), np.ones((2, 2), bool)
    >>> pure(np.zeros(2), ["a", "a"], mask, steps, np.array([[0, 1], [0, 1]]), temperature=1e-3)
    array([[-0.5, -0.5],
           [ 0.5,  0.5]])
    """
    turn = Turns(turns, mask, token_rewards)
    xp = namespace(token_rewards)
    step = turn.sum(token_rewards)
    least = where(turn.first, step, float("inf"))
    low = (xp.amin(least, 1) if least.shape[1] else least.sum(1))[:, None]
    weight = where(turn.first, xp.exp(xp.clip(where(turn.first, low - step, 0.0) / temperature, -80.0, None)), 0.0)
    softest = (weight * step).sum(1) / at_least(weight.sum(1), 1.0)
    n = group_count(rewards, groups)
    return (group_centered(rewards + softest, groups) * (n / at_least(n - 1, 1)))[:, None]
