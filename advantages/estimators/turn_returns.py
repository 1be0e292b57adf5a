"""Discounted returns of turns (ROLL, `agentic_reinforce`)."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import Fraction
from ..core.types import A, Array, Ids, RowOptions, Vector
from ..ops.turns import Turns
from ..spec import per_response


@per_response
def spec(r: Vector, turns: Vector, *, discount: float = 1.0) -> Vector:
    a = np.zeros_like(r)
    to_come = 0.0
    for turn in reversed(list(dict.fromkeys(turns))):
        to_come = r[turns == turn].sum() + discount * to_come
        a[turns == turn] = to_come
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("ROLL", "Alibaba", 2026, venue="github.com/alibaba/ROLL", note="agentic_reinforce, not a paper"),
    promises=Promises(scale="equivariant", unbiased=Bound("1", lambda n: 1.0)),
)
def turn_returns(
    token_rewards: A, mask: Array, turns: Ids, *, discount: Fraction = 1.0, **options: Unpack[RowOptions]
) -> A:
    """Rewards of a turn and of those after it, discounted once per turn, for all tokens of the turn.

        A_t = R_k,    R_k = r_k + discount * R_{k+1},    r_k the rewards of turn k, summed

    ROLL reads the reward of a turn's last token only, and loses those before it; here they are summed.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        turns: (N, T) ids, equal within a response where tokens belong to the same turn; a turn is one run of tokens.
        discount: per turn.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> mask, turns = np.array([[True, True, False, True]]), np.array([[0, 0, 0, 1]])
    >>> turn_returns(np.array([[1.0, 0.0, 0.0, 2.0]]), mask, turns, discount=0.5)
    array([[2., 2., 0., 2.]])
    """
    turn = Turns(turns, mask, token_rewards)
    rewards = turn.sum(token_rewards)
    return rewards + discount * turn.to_come(discount, rewards)
