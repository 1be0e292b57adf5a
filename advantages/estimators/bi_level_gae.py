"""Bi-level GAE (VAGEN and RAGEN, github.com/RAGEN-AI)."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction
from ..core.types import A, Array, Ids, RowOptions, Vector
from ..ops.elementwise import where
from ..ops.tokens import scan_to_come
from ..ops.turns import Turns
from ..spec import per_response


@per_response
def spec(
    r: Vector,
    v: Vector,
    turns: Vector,
    bootstrap_values: float | None,
    *,
    discount: float = 1.0,
    lambda_: float = 0.95,
    turn_discount: float = 1.0,
    turn_lambda: float = 0.95,
) -> Vector:
    a = np.zeros_like(r)
    next_value, next_advantage = bootstrap_values or 0.0, 0.0
    for turn in reversed(list(dict.fromkeys(turns))):
        *inside, end = np.flatnonzero(turns == turn)
        delta = r[turns == turn].sum() + turn_discount * next_value - v[end]
        a[end] = next_advantage = delta + turn_discount * turn_lambda * next_advantage
        next_value = v[end]
        for t in reversed(inside):
            a[t] = discount * v[t + 1] - v[t] + discount * lambda_ * a[t + 1]
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("RAGEN", "RAGEN-AI", 2025, venue="github.com/RAGEN-AI/RAGEN", note="read as code, core_algos.py"),
    promises=Promises(scale="equivariant"),
)
def bi_level_gae(
    token_rewards: A,
    values: Array,
    mask: Array,
    turns: Ids,
    bootstrap_values: Array | None = None,
    *,
    discount: Fraction = 1.0,
    lambda_: Fraction = 0.95,
    turn_discount: Fraction = 1.0,
    turn_lambda: Fraction = 0.95,
    **options: Unpack[RowOptions],
) -> A:
    """Generalized advantage estimation from turn to turn, and from there back through each turn's tokens.

        A_e = R_k + discount' * V_e' - V_e + discount' * lambda' * A_e'    at the last token e of turn k, e' of the next
        A_t = discount * V_{t+1} - V_t + discount * lambda * A_{t+1}       before it

    R_k is the sum of the turn's rewards, which counts at its last token. RAGEN finds turns by their rewards, so that
    a turn with reward 0 vanishes; here they are named.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) the critic's value before each token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        turns: (N, T) ids, equal within a response where tokens belong to the same turn; a turn is one run of tokens.
        bootstrap_values: (N,) the critic's value beyond the last turn of a truncated response; 0 where it ended.
        discount: per token inside a turn.
        lambda_: inside a turn; 0 trusts the critic.
        turn_discount: per turn.
        turn_lambda: from turn to turn; 0 trusts the critic, 1 the rewards.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> token_rewards, values = np.array([[0.0, 0.0, 1.0]]), np.array([[0.25, 0.5, 0.5]])
    >>> bi_level_gae(token_rewards, values, np.ones((1, 3), bool), np.array([[0, 0, 1]]), turn_lambda=0.5, lambda_=0.0)
    array([[0.25, 0.25, 0.5 ]])
    """
    turn = Turns(turns, mask, token_rewards)
    value = turn.at(turn.last, values)
    ends = turn.gae(turn.sum(token_rewards), value, turn_discount, turn_lambda, bootstrap_values)
    inside = mask & ~turn.last
    step = where(turn.last, values + lambda_ * ends, where(mask, (1 - lambda_) * values, 0.0))
    decay = where(inside, 0.0 * values + discount * lambda_, where(turn.last, 0.0 * values, 1.0))
    return where(turn.last, ends, discount * scan_to_come(decay, step) - values)
