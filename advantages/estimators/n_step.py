"""n-step advantages (Watkins, 1989, "Learning from delayed rewards")."""

from typing import Annotated, Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction, Range
from ..core.types import A, Array, RowOptions, Vector
from ..ops.tokens import lambda_returns, trained_later
from ..spec import per_response


@per_response
def spec(r: Vector, v: Vector, bootstrap_values: float | None, *, discount: float = 1.0, steps: int = 1) -> Vector:
    a = np.zeros_like(r)
    then = np.append(v, bootstrap_values or 0.0)
    for t in range(len(r)):
        last = min(t + steps, len(r))
        a[t] = sum(discount ** (k - t) * r[k] for k in range(t, last)) + discount ** (last - t) * then[last] - v[t]
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper("Learning from delayed rewards", "Watkins", 1989, venue="thesis, University of Cambridge"),
    promises=Promises(scale="equivariant"),
)
def n_step(
    token_rewards: A,
    values: Array,
    mask: Array,
    bootstrap_values: Array | None = None,
    *,
    discount: Fraction = 1.0,
    steps: Annotated[int, Range(1, float("inf"), whole=True)] = 1,
    **options: Unpack[RowOptions],
) -> A:
    """Rewards of the next `steps` tokens and the critic's value after them, above its value now.

        A_t = r_t + ... + discount^(n-1) r_{t+n-1} + discount^n V_{t+n} - V_t

    Towards the end there are fewer than n tokens, and the value beyond them is 0, or the bootstrap value. Time steps
    over masked tokens. One step is `gae` with lambda 0; as many as there are tokens, with lambda 1.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) the critic's value before each token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        bootstrap_values: (N,) the critic's value beyond the last token of a truncated response; 0 where it ended.
        discount: per trained token.
        steps: trained tokens whose rewards are summed.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> token_rewards, values = np.array([[0.0, 0.0, 1.0]]), np.array([[0.25, 0.5, 0.75]])
    >>> n_step(token_rewards, values, np.ones((1, 3), bool), steps=2)
    array([[0.5 , 0.5 , 0.25]])
    """
    # What the whole return has above the value, less what it has from n tokens later on.
    whole = lambda_returns(token_rewards, values, mask, discount=discount, beyond=bootstrap_values) - values
    return whole - discount**steps * trained_later(whole, mask, steps)
