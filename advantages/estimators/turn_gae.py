"""Turn-level GAE (VAGEN, github.com/RAGEN-AI/VAGEN, `no_concat_gae`)."""

from typing import Any, Literal, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction
from ..core.types import A, Array, Ids, RowOptions, Vector
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
    values_at: str = "first",
) -> Vector:
    a = np.zeros_like(r)
    next_value, next_advantage = bootstrap_values or 0.0, 0.0
    for turn in reversed(list(dict.fromkeys(turns))):
        value = v[turns == turn][0 if values_at == "first" else -1]
        delta = r[turns == turn].sum() + discount * next_value - value
        next_advantage = delta + discount * lambda_ * next_advantage
        a[turns == turn] = next_advantage
        next_value = value
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("VAGEN", "RAGEN-AI", 2025, venue="github.com/RAGEN-AI/VAGEN", note="read as code, no_concat_gae.py"),
    promises=Promises(scale="equivariant"),
)
def turn_gae(
    token_rewards: A,
    values: Array,
    mask: Array,
    turns: Ids,
    bootstrap_values: Array | None = None,
    *,
    discount: Fraction = 1.0,
    lambda_: Fraction = 0.95,
    values_at: Literal["first", "last"] = "first",
    **options: Unpack[RowOptions],
) -> A:
    """Generalized advantage estimation with turns for time steps, the same for all tokens of a turn.

        A_k = delta_k + discount * lambda * A_{k+1},    delta_k = R_k + discount * V_{k+1} - V_k

    R_k is the sum of a turn's rewards and V_k the critic's value before its first token. VAGEN takes the value at the
    last token, `values_at="last"`: it has seen the turn that it is a baseline of, which biases the gradient. The critic
    learns `advantages + values` at that one token of each turn alone.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) the critic's value before each token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        turns: (N, T) ids, equal within a response where tokens belong to the same turn; a turn is one run of tokens.
        bootstrap_values: (N,) the critic's value beyond the last turn of a truncated response; 0 where it ended.
        discount: per turn.
        lambda_: 0 trusts the critic, 1 the rewards.
        values_at: the token of a turn whose value is the turn's.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> token_rewards, values = np.array([[0.0, 0.0, 1.0]]), np.array([[0.25, 9.0, 0.5]])
    >>> turn_gae(token_rewards, values, np.ones((1, 3), bool), np.array([[0, 0, 1]]), lambda_=0.5)
    array([[0.5, 0.5, 0.5]])
    """
    turn = Turns(turns, mask, token_rewards)
    value = turn.at(getattr(turn, values_at), values)
    advantages: Any = turn.gae(turn.sum(token_rewards), value, discount, lambda_, bootstrap_values)
    return advantages
