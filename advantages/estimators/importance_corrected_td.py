"""TD errors corrected decision by decision (Precup, Sutton and Singh, 2000)."""

from typing import Unpack

import numpy as np

from ..call import estimator
from ..core.definition import Paper
from ..core.promises import Promises
from ..core.settings import Fraction, Positive
from ..core.types import A, Array, RowOptions, Vector
from ..ops.elementwise import namespace, where
from ..ops.tokens import next_trained, reverse_scan
from ..spec import per_response


@per_response
def spec(
    r: Vector,
    v: Vector,
    token_logprobs: Vector,
    policy_token_logprobs: Vector,
    bootstrap_values: float | None,
    *,
    discount: float = 1.0,
    lambda_: float = 1.0,
    max_ratio: float = float("inf"),
) -> Vector:
    a = np.zeros_like(r)
    next_value, next_error = bootstrap_values or 0.0, 0.0
    for t in reversed(range(len(r))):
        ratio = min(np.exp(policy_token_logprobs[t] - token_logprobs[t]), max_ratio)
        a[t] = ratio * (r[t] + discount * (next_value + lambda_ * next_error) - v[t])
        next_value, next_error = v[t], a[t]
    return a


@estimator(
    unit="token",
    spec=spec,
    paper=Paper(
        "Eligibility traces for off-policy policy evaluation", "Precup, Sutton and Singh", 2000, venue="ICML 2000"
    ),
    promises=Promises(scale="equivariant"),
)
def importance_corrected_td(
    token_rewards: A,
    values: Array,
    mask: Array,
    token_logprobs: Array,
    policy_token_logprobs: Array,
    bootstrap_values: Array | None = None,
    *,
    discount: Fraction = 1.0,
    lambda_: Fraction = 1.0,
    max_ratio: Positive = float("inf"),
    **options: Unpack[RowOptions],
) -> A:
    """Advantages of the trained policy from the tokens of another one, by the product of all ratios to come.

        A_t = rho_t * (r_t + discount * (V_{t+1} + lambda * A_{t+1}) - V_t)

    rho is the ratio of the two policies at a token. What is expected of it is right for the trained policy, but the
    product varies wildly over long responses, and beyond the range of the dtype the advantages are not finite: that is
    why V-trace and Retrace cut it, as `max_ratio` does at the price of a bias. On-policy it is GAE. The advantage
    contains its ratio: a loss that multiplies by a ratio again counts it twice. Time steps over masked tokens.

    Args:
        token_rewards: (N, T) reward attributed to each token.
        values: (N, T) the critic's value before each token.
        mask: (N, T) bool, tokens that the policy produced and is trained on.
        token_logprobs: (N, T) nats, under the policy that sampled.
        policy_token_logprobs: (N, T) nats, under the policy that is trained.
        bootstrap_values: (N,) the critic's value beyond the last token of a truncated response; 0 where it ended.
        discount: per trained token.
        lambda_: 0 trusts the critic, 1 the rewards.
        max_ratio: where the ratio of each token is cut.

    Returns:
        (N, T) advantages of the library, device and floating dtype of `token_rewards`, 0 where `mask` is False.

    >>> import numpy as np
    >>> half, one = np.log([[1.0, 0.5]]), np.zeros((1, 2))
    >>> importance_corrected_td(np.array([[0.0, 1.0]]), np.full((1, 2), 0.5), np.ones((1, 2), bool), one, half)
    array([[0.25, 0.25]])
    """
    xp = namespace(token_rewards)
    rho = xp.clip(xp.exp(policy_token_logprobs - token_logprobs), None, max_ratio)
    value_after = next_trained(values, mask, bootstrap_values)
    error = where(mask, rho * (token_rewards + discount * value_after - values), 0.0)
    return reverse_scan(where(mask, discount * lambda_ * rho, 1.0), error)
