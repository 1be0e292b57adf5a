"""Generalized advantage estimation (Schulman et al., 2015, arXiv:1506.02438)."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction
from ..core.types import A, Array, RowOptions, Vector
from ..ops.tokens import bootstrapped, lambda_advantages
from ..spec import per_response


@per_response
def spec(
    r: Vector, v: Vector, bootstrap_values: float | None, *, discount: float = 1.0, lambda_: float = 0.95
) -> Vector:
    a = np.zeros_like(r)
    next_value, next_advantage = bootstrap_values or 0.0, 0.0
    for t in reversed(range(len(r))):
        delta = r[t] + discount * next_value - v[t]
        a[t] = delta + discount * lambda_ * next_advantage
        next_value, next_advantage = v[t], a[t]
    return a


@estimator(
    unit="token",
    selects=True,
    spec=spec,
    paper=Paper(
        "High-dimensional continuous control using generalized advantage estimation",
        "Schulman et al.",
        2015,
        "1506.02438",
    ),
    promises=Promises(scale="equivariant"),
)
def gae(
    token_rewards: A,
    values: Array,
    mask: Array,
    bootstrap_values: Array | None = None,
    *,
    discount: Fraction = 1.0,
    lambda_: Fraction = 0.95,
    **options: Unpack[RowOptions],
) -> A:
    """Exponentially weighted mean of the n-step advantages of each token.

        A_t = delta_t + discount * lambda * A_{t+1},    delta_t = r_t + discount * V_{t+1} - V_t

    Time steps over masked tokens: t + 1 is the next trained token, and the value beyond the last one is 0, or the
    bootstrap value. Returns for the critic are `advantages + values`.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) the critic's value before each token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        bootstrap_values: (N,) the critic's value beyond the last token of a truncated response; 0 where it ended.
        discount: per trained token.
        lambda_: 0 trusts the critic, 1 the rewards.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> token_rewards, values = np.array([[0.0, 0.0, 1.0]]), np.array([[0.5, 7.0, 0.5]])
    >>> gae(token_rewards, values, np.array([[True, False, True]]), lambda_=1.0)
    array([[0.5, 0. , 0.5]])
    """
    # u_t = (1 - lambda) V_t + lambda (r_t + discount u_{t+1}) needs one scan, where A needs one more for V_{t+1}.
    token_rewards = bootstrapped(token_rewards, bootstrap_values, mask, discount)
    return lambda_advantages(token_rewards, values, mask, discount=discount, lambda_=lambda_)
