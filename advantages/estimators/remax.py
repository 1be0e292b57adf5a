"""ReMax (Li et al., 2023, arXiv:2310.10505)."""

from typing import Any, Unpack

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Bound, Promises
from ..core.settings import Fraction
from ..core.types import A, Array, RowOptions, Vector
from ..ops.tokens import discounted_returns
from ..spec import per_response


@per_response
def spec(r: Vector, b: float, *, discount: float = 1.0) -> Vector:
    g = r.copy()
    for t in reversed(range(len(r) - 1)):
        g[t] = r[t] + discount * g[t + 1]
    return g - b


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "ReMax: a simple, effective, and efficient reinforcement learning method for aligning large language models",
        "Li et al.",
        2023,
        "2310.10505",
    ),
    promises=Promises(scale="equivariant", unbiased=Bound("1", lambda n: 1.0)),
)
def remax(
    token_rewards: A, baselines: Array, mask: Array, *, discount: Fraction = 1.0, **options: Unpack[RowOptions]
) -> A:
    """Reward-to-go of each token, above the whole reward of the greedy response to the same prompt.

        A_t = G_t - b,    G_t = r_t + discount * G_{t+1}

    Time steps over masked tokens. The baseline is the greedy response's total at every token, as published; where
    rewards come early in a response, later tokens are then compared with more than they can still earn.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        baselines: (N,) total reward of the greedy response.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        discount: per trained token.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> remax(np.array([[0.0, 1.0]]), np.array([0.25]), np.ones((1, 2), bool))
    array([[0.75, 0.75]])
    """
    returns: Any = discounted_returns(token_rewards, mask, discount=discount)
    return returns - baselines[:, None]
