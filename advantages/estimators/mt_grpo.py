"""Multi-turn GRPO (Zeng et al., 2025, arXiv:2505.11821)."""

from collections.abc import Hashable, Sequence
from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import NonNegative
from ..core.types import A, Array, GroupOptions, Ids, Vector
from ..ops.elementwise import where
from ..ops.groupwise import group_zscore
from ..ops.turns import Turns
from ..spec import per_responses


def _zscore(x: Vector, epsilon: float) -> Vector:
    return 0.0 * x if np.ptp(x) == 0 else (x - x.mean()) / (x.std(ddof=1) + epsilon)


@per_responses
def spec(
    rewards: list[float],
    token_rewards: list[Vector],
    turns: list[Vector],
    *,
    groups: Sequence[Hashable],
    turn_weight: float = 1.0,
    epsilon: float = 1e-6,
    singleton: str = "zero",
    min_scored: int = 2,
) -> list[Vector]:
    a = []
    for i, turn in enumerate(turns):
        peers = [k for k, group in enumerate(groups) if group == groups[i]]
        if len(peers) < min_scored:
            a.append(np.full(len(turn), rewards[i] if singleton == "raw" else 0.0))
            continue
        place = peers.index(i)
        outcome = _zscore(np.array([rewards[k] for k in peers]), epsilon)[place]
        of_turns = _zscore(np.array([token_rewards[k].sum() for k in peers]), epsilon)[place]
        a.append(np.array([outcome + turn_weight * of_turns * (one != turn[-1]) for one in turn]))
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "Reinforcing multi-turn reasoning in LLM agents via turn-level reward design", "Zeng et al.", 2025, "2505.11821"
    ),
    promises=Promises(shift_invariant=True, scale="invariant"),
)
def mt_grpo(
    rewards: A,
    groups: Ids,
    mask: Array,
    token_rewards: Array,
    turns: Ids,
    *,
    turn_weight: NonNegative = 1.0,
    epsilon: NonNegative = 1e-6,
    **options: Unpack[GroupOptions],
) -> A:
    """The outcome's z-score for all tokens, plus that of the turns' rewards for all turns but the last.

        A = A_O + turn_weight * A_T before the last turn, A_O in it,
        A_O = zscore(r),    A_T = zscore(sum of the rewards of turns)

    Both over the group. The paper has two turns, a search and an answer, and the search is paid for its result. The
    published code gives a response without a result the z-score of the sum of both rewards; here it has one turn, the
    last one, and gets the outcome's.

    Args:
        rewards: (N,) outcome reward of each response.
        groups: (N,) ids, equal where responses answer the same prompt.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        token_rewards: (N, T) rewards of turns, on any of their tokens.
        turns: (N, T) ids, equal within a response where tokens belong to the same turn; a turn is one run of tokens.
        turn_weight: of the turns' rewards.
        epsilon: added to the deviations.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> of_turns, mask = np.array([[1.0, 0.0], [0.0, 0.0]]), np.ones((2, 2), bool)
    >>> mt_grpo(np.array([0.0, 1.0]), ["a", "a"], mask, of_turns, np.array([[0, 1], [0, 1]])).round(3)
    array([[ 0.   , -0.707],
           [ 0.   ,  0.707]])
    """
    turn = Turns(turns, mask, token_rewards)
    outcome = group_zscore(rewards, groups, epsilon=epsilon)[:, None]
    of_turns = group_zscore(where(mask, token_rewards, 0.0).sum(1), groups, epsilon=epsilon)[:, None]
    return where(turn.is_last, outcome, outcome + turn_weight * of_turns)
