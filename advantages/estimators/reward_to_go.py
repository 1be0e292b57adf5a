"""Rewards to go (Baxter & Bartlett, 2001, arXiv:1106.0665)."""

from typing import Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import Fraction
from ..core.types import A, Array, RowOptions, Vector
from ..ops.tokens import discounted_returns
from ..spec import per_response


@per_response
def spec(r: Vector, *, discount: float = 1.0) -> Vector:
    g = r.copy()
    for t in reversed(range(len(r) - 1)):
        g[t] = r[t] + discount * g[t + 1]
    return g


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("Infinite-horizon policy-gradient estimation", "Baxter & Bartlett", 2001, "1106.0665"),
    promises=Promises(scale="equivariant", unbiased=Bound("1", lambda n: 1.0)),
)
def reward_to_go(token_rewards: A, mask: Array, *, discount: Fraction = 1.0, **options: Unpack[RowOptions]) -> A:
    """Discounted sum of the rewards from each token on, without a baseline.

        A_t = r_t + discount * A_{t+1}

    Time steps over masked tokens. Without a baseline its variance is large: `reinforce_plus_plus` whitens it, `gae`
    subtracts a critic's value.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        discount: per trained token.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> reward_to_go(np.array([[1.0, 0.0, 2.0]]), np.array([[True, False, True]]), discount=0.5)
    array([[2., 0., 2.]])
    """
    return discounted_returns(token_rewards, mask, discount=discount)
