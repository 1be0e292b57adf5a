"""Value-augmented PPO (Yue et al., 2025, arXiv:2504.05118)."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction, Positive
from ..core.types import A, Array, RowOptions, Vector
from ..ops.elementwise import at_least
from ..ops.tokens import lambda_returns, ones_where
from ..spec import per_response


@per_response
def spec(r: Vector, v: Vector, bootstrap_values: float | None, *, alpha: float = 0.05, discount: float = 1.0) -> Vector:
    a = np.zeros_like(r)
    lambda_ = 1 - 1 / max(alpha * len(r), 1.0)
    next_value, next_advantage = bootstrap_values or 0.0, 0.0
    for t in reversed(range(len(r))):
        delta = r[t] + discount * next_value - v[t]
        a[t] = delta + discount * lambda_ * next_advantage
        next_value, next_advantage = v[t], a[t]
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "VAPO: efficient and reliable reinforcement learning for advanced reasoning tasks",
        "Yue et al.",
        2025,
        "2504.05118",
    ),
    promises=Promises(scale="equivariant"),
)
def vapo(
    token_rewards: A,
    values: Array,
    mask: Array,
    bootstrap_values: Array | None = None,
    *,
    alpha: Positive = 0.05,
    discount: Fraction = 1.0,
    **options: Unpack[RowOptions],
) -> A:
    """Generalized advantage estimation whose lambda grows with the response's length.

        A_t = delta_t + discount * lambda * A_{t+1},    lambda = 1 - 1 / max(alpha * L, 1)

    L is the number of trained tokens, so that the reward reaches back over the same share of every response. It is
    decoupled: the critic learns from other returns, `gae(..., lambda_=1.0) + values`, not from `advantages + values`.
    Up to 1 / alpha tokens lambda is 0, and the critic alone gives the credit.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) the critic's value before each token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        bootstrap_values: (N,) the critic's value beyond the last token of a truncated response; 0 where it ended.
        alpha: lambda reaches over this share of a response's trained tokens; the paper has 0.05.
        discount: per trained token.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> token_rewards, values = np.array([[0.0, 0.0, 1.0, 1.0]]), np.full((1, 4), 0.5)
    >>> vapo(token_rewards, values, np.ones((1, 4), bool), alpha=0.5)
    array([[0.3125, 0.625 , 1.25  , 0.5   ]])
    """
    lengths = ones_where(mask, values).sum(1)[:, None]
    lambda_ = 1 - 1 / at_least(alpha * lengths, 1.0)
    return (
        lambda_returns(token_rewards, values, mask, discount=discount, lambda_=lambda_, beyond=bootstrap_values)
        - values
    )
