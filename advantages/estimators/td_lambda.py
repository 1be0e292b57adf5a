"""TD(lambda) (Sutton, 1988, "Learning to predict by the methods of temporal differences")."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction
from ..core.types import A, Array, RowOptions, Vector
from ..ops.tokens import lambda_returns
from ..spec import per_response


@per_response
def spec(
    r: Vector, v: Vector, bootstrap_values: float | None, *, discount: float = 1.0, lambda_: float = 0.95
) -> Vector:
    a = np.zeros_like(r)
    next_value = next_return = bootstrap_values or 0.0
    for t in reversed(range(len(r))):
        next_return = r[t] + discount * ((1 - lambda_) * next_value + lambda_ * next_return)
        next_value = v[t]
        a[t] = next_return - v[t]
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "Learning to predict by the methods of temporal differences",
        "Sutton",
        1988,
        venue="Machine Learning 3",
    ),
    promises=Promises(scale="equivariant"),
)
def td_lambda(
    token_rewards: A,
    values: Array,
    mask: Array,
    bootstrap_values: Array | None = None,
    *,
    discount: Fraction = 1.0,
    lambda_: Fraction = 0.95,
    **options: Unpack[RowOptions],
) -> A:
    """The lambda-return of each token above the critic's value.

        A_t = G_t - V_t,    G_t = r_t + discount * ((1 - lambda) V_{t+1} + lambda * G_{t+1})

    The same numbers as `gae`, which sums the errors of the critic instead; TD(0) and TD(1) are its ends. Time steps
    over masked tokens.

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
    >>> td_lambda(np.array([[0.0, 1.0]]), np.array([[0.5, 0.25]]), np.ones((1, 2), bool), lambda_=0.5)
    array([[0.125, 0.75 ]])
    """
    returns = lambda_returns(token_rewards, values, mask, discount=discount, lambda_=lambda_, beyond=bootstrap_values)
    return returns - values
